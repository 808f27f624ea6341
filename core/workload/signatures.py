"""Files that are no text of a trace, by their first bytes, and what makes text of each."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from core.errors import TraceError, quoted_name
from core.workload.perfetto.signature import looks_like_perfetto

_HEAD_BYTES = 1 << 16
_PAGE_BYTES = 4096
#: A page of the kernel's ring buffer holds so many bytes at most behind its header.
_PAGE_DATA_BYTES = 4080


class Signature(NamedTuple):
    """A form of files that is no text.

    Parameters
    ----------
    magic
        A regular expression of how its bytes begin.
    name
        What it is, in words.
    advice
        What to do, such as the command that makes text of it; ``{file}`` stands for the file.
    """

    magic: bytes
    name: str
    advice: str


def _makes_text(command: str) -> str:
    return f"`{command} > trace.txt` makes text of it"


_UNPACK = "take the outer one off first, with `{}`, and give the file that is in it"
_NO_TRACE = "no trace: give the text of one"
#: The first that fits a file is what it is.
SIGNATURES: tuple[Signature, ...] = (
    Signature(
        rb"\x17\x08Dtracing",
        "trace-cmd's trace.dat",
        _makes_text("trace-cmd report -t -i {file}"),
    ),
    Signature(
        rb"PERFILE2\x10\0\0\0\0\0\0\0",
        "perf's perf.data, written to a pipe",
        _makes_text("perf script -i - --ns -F comm,pid,tid,cpu,time,event,trace < {file}"),
    ),
    Signature(
        rb"PERFILE2|2ELIFREP|PERFFILE",
        "perf's perf.data",
        _makes_text("perf script -i {file} --ns -F comm,pid,tid,cpu,time,event,trace")
        + " (of Android's simpleperf: record with perfetto or atrace)",
    ),
    Signature(
        rb"SIMPLEPERF",
        "a report of simpleperf",
        "it has no fields of events: record with perfetto or atrace",
    ),
    Signature(
        rb"[\x05-\x08]tae|eat[\x05-\x08]",
        "blktrace's binary records",
        "`blkparse -i {file} -o trace.txt` makes text of them (-i takes the name before "
        "`.blktrace.N`, for all CPUs at once)",
    ),
    Signature(
        rb"\x57\x1d\xd1\x75|\x75\xd1\x1d\x57|\xc1\x1f\xfc\xc1|\xc1\xfc\x1f\xc1|/\* CTF ",
        "a part of a Common Trace Format trace, such as LTTng's",
        "`babeltrace2 FOLDER` makes text of its folder, but LTTng's events have other fields: "
        "record with ftrace (sweep trace record)",
    ),
    Signature(
        rb"SQLite format 3\0",
        "a database of SQLite",
        "export a table with times, files and offsets: "
        "`sqlite3 -csv -header {file} 'SELECT ..' > trace.csv`",
    ),
    Signature(
        rb"PAR1",
        "a table in Parquet",
        "if it is one of `sweep trace import`, `sweep trace info {file}` shows it, and a study "
        "takes it as it is; else export it as CSV",
    ),
    Signature(rb"ARROW1\0\0|\xff{4}.{3}\0", "a table of Arrow", "export it as CSV"),
    Signature(rb"\x89HDF\r\n\x1a\n", "HDF5", "export it as CSV"),
    Signature(rb"\x93NUMPY", "an array of NumPy", "export it as CSV"),
    Signature(
        rb"(?:\xd4\xc3|\x4d\x3c)\xb2\xa1\x02\0\x04\0|\xa1\xb2(?:\xc3\xd4|\x3c\x4d)\0\x02\0\x04"
        rb"|\n\r\r\n.{4}(?:\x4d\x3c\x2b\x1a|\x1a\x2b\x3c\x4d)",
        "a capture of network packets (pcap)",
        _NO_TRACE,
    ),
    Signature(
        rb"KDUMP   |DISKDUMP|makedumpfile",
        "a crash dump of a kernel",
        "`crash` with its extension trace writes a trace.dat (`trace dump -t trace.dat`); "
        "`trace-cmd report -t -i trace.dat > trace.txt` makes text of that",
    ),
    Signature(
        rb"\x7fELF",
        "an ELF file: a program, or a core dump",
        "no trace; in a vmcore, `crash` with its extension trace finds one "
        "(`trace dump -t trace.dat`)",
    ),
    Signature(rb"\x89PNG|\xff\xd8\xff|GIF8|%PDF|\{\\rtf", "a picture or document", _NO_TRACE),
    Signature(rb".{257}ustar", "a tar archive", "unpack it (`tar xf`), and give the trace in it"),
    Signature(rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK.format("7z x")),
    Signature(rb"Rar!\x1a", "a rar archive", _UNPACK.format("unrar x")),
    Signature(rb"\x1f\x9d[\x89-\x90]", "a file of compress", _UNPACK.format("gzip -d")),
    Signature(rb"\x02\x21\x4c\x18", "lz4 in its old form", _UNPACK.format("lz4 -d")),
    Signature(rb"LZIP", "a file of lzip", _UNPACK.format("lzip -d")),
    # What travels in one of these is read; these are inside another.
    Signature(rb"\x1f\x8b", "gzip inside another compressed file", _UNPACK.format("gzip -d")),
    Signature(rb"\x28\xb5\x2f\xfd", "zstd inside a compressed file", _UNPACK.format("zstd -d")),
    Signature(rb"\xfd7zXZ", "xz inside a compressed file", _UNPACK.format("xz -d")),
    Signature(rb"BZh[1-9]1AY&SY", "bzip2 inside a compressed file", _UNPACK.format("bzip2 -d")),
    Signature(rb"\x04\x22\x4d\x18", "lz4 inside a compressed file", _UNPACK.format("lz4 -d")),
    Signature(rb"PK\x03\x04", "a zip inside a compressed file", _UNPACK.format("unzip")),
)
_COMPILED = [(re.compile(row.magic, re.DOTALL), row) for row in SIGNATURES]

#: An event in any form of text of ftrace.
_EVENT = re.compile(rb"[ \t]\d+\.\d{6,9}:\s+(?:\w+:)?\w+:[ \t]")
#: Quoted-printable writes `=` as `=3D`, which would make 3 of every number.
_QUOTED_PRINTABLE = re.compile(rb"\b(?:pfn|order|ofs|flags|size|migratetype|nr_\w+)=3D")
#: Other text by how it begins, which no importer reads; what has an event of ftrace is none of it.
OTHER_TEXTS: tuple[Signature, ...] = (
    Signature(
        rb"name: \w+\nID: \d+\nformat:",
        "the description of an event, a file called `format` of tracefs",
        "give the trace itself (the file `trace`, or what trace_pipe prints)",
    ),
    Signature(
        rb'\s*\{\s*"linux-perf-json-version"',
        "what `perf data convert --to-json` writes",
        "make text of the recording: `perf script -F comm,tid,cpu,time,event,trace`",
    ),
    Signature(
        rb"version https://git-lfs",
        "a pointer of Git LFS, not the file itself",
        "fetch it: `git lfs pull`",
    ),
    Signature(
        rb"\s*packet:? \{",
        "Perfetto's protobuf as text",
        _makes_text("traceconv systrace TRACE.pftrace") + ", of the trace that it was made from",
    ),
    Signature(
        rb"\s*\[\d\d:\d\d:\d\d\.\d{9}\] \(\+[?.\d]+\) ",
        "the text of babeltrace, of an LTTng trace",
        "its events have other fields: record with ftrace (sweep trace record)",
    ),
    Signature(
        rb"Attaching \d+ probes?\.\.\.",
        "the output of bpftrace",
        "record with ftrace (sweep trace record), or print CSV with times, files and offsets",
    ),
    Signature(
        rb"# To display the perf\.data header",
        "the summary of perf report",
        _makes_text("perf script --ns -F comm,pid,tid,cpu,time,event,trace"),
    ),
    Signature(
        rb"(?si).*^content-transfer-encoding:\s*(?:base64|quoted-printable)",
        "a mail whose text is encoded",
        "save what it holds, or the file attached to it, and give that",
    ),
)
_OTHER_COMPILED = [(re.compile(row.magic, re.MULTILINE), row) for row in OTHER_TEXTS]


def signature_of(content: bytes) -> Signature | None:
    """Return the form of a file that is no text, by its beginning, if it is a known one."""
    head = content[:_HEAD_BYTES]
    return next((row for magic, row in _COMPILED if magic.match(head)), None)


def refuse_known(name: str, content: bytes) -> None:
    """Raise `TraceError` if a file begins as one of `SIGNATURES`."""
    row = signature_of(content)
    if row is not None:
        raise _refusal(name, row.name, row.advice, content)


def refuse_perfetto(name: str, content: bytes) -> None:
    """Raise `TraceError` if a file is of Perfetto's protobuf, where text is needed."""
    if looks_like_perfetto(content):
        advice = "--format perfetto reads it, and `traceconv systrace {file}` makes text of it"
        raise _refusal(name, "a trace of Perfetto", advice, content)


def refuse_binary(name: str, content: bytes) -> NoReturn:
    """Raise `TraceError` for the text of a file in which there is a zero byte.

    Parameters
    ----------
    name
        The file.
    content
        A part of it that has zeros.
    """
    zeros = content.count(b"\0")
    if _is_ring_buffer(content):
        advice = "it cannot be read alone: record with trace-cmd, or read `trace` in its place"
        what = "raw pages of the kernel's ring buffer (trace_pipe_raw, trace.dat.cpuN)"
        raise _refusal(name, what, advice, content)
    at = content.index(b"\0")
    is_text = 10 * zeros < len(content) and _EVENT.search(content.replace(b"\0", b""))
    if not is_text and not _EVENT.search(content, 0, at):
        raise TraceError(
            "holds binary data, not the text of a trace: --format NAME says of which form it is",
            file=name,
        )
    begin, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
    line = content[begin : end if end >= 0 else len(content)]
    near = line.replace(b"\0", b"").decode(errors="replace").strip()[:60]
    place = f"the first beside {near!r}" if near else "the first at the end of a line"
    raise TraceError(
        f"holds binary data in its text: {zeros} zero bytes, {place} (a device that lost power "
        "leaves them, and so does a shell that appends UTF-16 to other text); "
        f"`tr -d '\\0' < {quoted_name(name)} > trace.txt` takes them out",
        file=name,
    )


def refuse_other_text(name: str, beginning: bytes) -> None:
    """Raise `TraceError` if a text is of a form that is known, and that no importer reads."""
    if _QUOTED_PRINTABLE.search(beginning):
        raise TraceError(
            "text of a mail in quoted-printable, where `=` is `=3D`: save the mail's text decoded, "
            f"as with `python3 -m quopri -d {quoted_name(name)} > trace.txt`",
            file=name,
        )
    if _EVENT.search(beginning):
        return
    for magic, row in _OTHER_COMPILED:
        if magic.match(beginning):
            raise TraceError(f"{row.name}: {row.advice.format(file=quoted_name(name))}", file=name)


def _is_ring_buffer(content: bytes) -> bool:
    """Return whether bytes are pages of the ring buffer: a time, and how much of it is data."""
    times = []
    for at in range(0, min(len(content), 8 * _PAGE_BYTES) - _PAGE_BYTES + 1, _PAGE_BYTES):
        times.append(int.from_bytes(content[at : at + 8], "little"))
        data = int.from_bytes(content[at + 8 : at + 16], "little") & ~(3 << 30)
        if not 0 < data <= _PAGE_DATA_BYTES:
            return False
    return bool(times) and times[0] > 0 and times == sorted(times)


def _refusal(name: str, what: str, advice: str, content: bytes) -> TraceError:
    with open(name, "rb") as raw:
        is_plain = content.startswith(raw.read(4))
    first = "" if is_plain else "decompress it first; "
    return TraceError(
        f"{what}, binary data: {first}{advice.format(file=quoted_name(name))}", file=name
    )
