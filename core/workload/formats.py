"""The formats of traces: one row for each, with what imports it.

A new format is a file with its importer, and a row of `FORMATS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from core.workload.perfetto.signature import is_perfetto
from core.workload.requests.blkparse import is_blkparse
from core.workload.requests.columns import DelimitedFormat
from core.workload.requests.delimited_formats import DELIMITED
from core.workload.requests.lcs import is_lcs
from core.workload.requests.oracle_general import oracle_format
from core.workload.requests.recognition import SAMPLE_BYTES, is_of_kernel, recognise, sample_of
from core.workload.requests.vscsi import vscsi_version
from core.workload.text import TraceError, read_beginning


class About(NamedTuple):
    """What a format is: for people who have a file and wonder whether it is read."""

    title: str
    columns: str  # what they hold, and in which units
    recognised: str  # how a file of it is told
    example: str = ""  # its first lines, of a format that is text


class Beginning(NamedTuple):
    """What a format is recognised by: the path of a file, and the beginning of its content."""

    path: Path
    content: bytes  # decompressed
    first_line: bytes  # the first line of text that is not blank; empty where the file is binary


class Format(NamedTuple):
    """A format of traces.

    Parameters
    ----------
    name
        What ``--format`` calls it.
    importer
        The function that imports it, as ``module:function``; it is loaded when it is used. An
        importer of requests returns `core.workload.requests.collector.ImportedRequests`, one of
        captures returns `core.workload.ftrace.capture.Imported`.
    is_recognised
        Whether a file is of this format, by how it begins.
    options
        The options of ``sweep trace import`` that fit this format; those that fit every format are
        left out.
    of_requests
        Whether the traces hold requests for bytes of files; if not, they are captures of a kernel.
    about
        What it is, for people.
    form
        What its columns hold, if it is text in columns; its importer is called with it.
    """

    name: str
    importer: str
    is_recognised: Callable[[Beginning], bool]
    options: tuple[str, ...]
    of_requests: bool = True
    about: About | None = None
    form: DelimitedFormat | None = None

    def load_importer(self) -> Callable[..., Any]:
        """Return the function that imports a trace of this format."""
        module, _, function = self.importer.partition(":")
        importer: Callable[..., Any] = getattr(import_module(module), function)
        return importer if self.form is None else partial(importer, form=self.form)


def first_line_is(pattern: bytes) -> Callable[[Beginning], bool]:
    """Return a test of whether a file is text whose first line begins as `pattern` says."""
    compiled = re.compile(pattern)
    return lambda beginning: compiled.match(beginning.first_line) is not None


def _is_oracle(name: str) -> Callable[[Beginning], bool]:
    """Return a test of whether a file is of libCacheSim's oracle format of this name."""
    return lambda beginning: oracle_format(beginning.path.name, beginning.content) == name


#: Options of every format of requests.
REQUEST_OPTIONS = ("--page-size", "--plain", "--ignore-size")
#: Options of a table whose columns the user has to name.
COLUMN_OPTIONS = (
    "--columns", "--delimiter", "--time-unit", "--offset-unit", "--size-unit", "--reads",
    "--writes",
)  # fmt: skip


def _delimited(form: DelimitedFormat) -> Format:
    """Return the row of a format that is text in columns."""
    options = ["--offset-unit", "--size-unit"]
    if form.name == "csv":
        options = list(COLUMN_OPTIONS)
    elif not form.time_unit:
        options.append("--time-unit")
    return Format(
        form.name,
        "core.workload.requests.delimited:import_delimited",
        lambda beginning: recognise(beginning.path.name, beginning.content[:SAMPLE_BYTES]) is form,
        (*REQUEST_OPTIONS, *options),
        about=About(form.title, form.meaning, form.recognised, form.example),
        form=form,
    )


#: Every format. A file that is not recognised as any other is taken to be of the first.
FORMATS: tuple[Format, ...] = (
    Format(
        "ftrace",
        "core.workload.ftrace.capture:import_ftrace",
        lambda beginning: True,
        ("--meta", "--memory-start", "--page-size", "--accesses"),
        of_requests=False,
    ),
    Format(
        "perfetto",
        "core.workload.perfetto.reader:import_perfetto",
        lambda beginning: is_perfetto(beginning.content),
        ("--meta", "--memory-start", "--page-size", "--accesses"),
        of_requests=False,
    ),
    Format(
        "oracle_general",
        "core.workload.requests.oracle_general:import_oracle_general",
        _is_oracle("oracle_general"),
        REQUEST_OPTIONS,
    ),
    Format(
        "oracle_general_op_ns",
        "core.workload.requests.oracle_general:import_oracle_general_op_ns",
        _is_oracle("oracle_general_op_ns"),
        REQUEST_OPTIONS,
    ),
    Format(
        "oracle_sys_twr_ns",
        "core.workload.requests.oracle_general:import_oracle_sys_twr_ns",
        _is_oracle("oracle_sys_twr_ns"),
        REQUEST_OPTIONS,
    ),
    Format(
        "lcs",
        "core.workload.requests.lcs:import_lcs",
        lambda beginning: is_lcs(beginning.content),
        REQUEST_OPTIONS,
    ),
    Format(
        "vscsi",
        "core.workload.requests.vscsi:import_vscsi",
        lambda beginning: vscsi_version(beginning.content) > 0,
        REQUEST_OPTIONS,
    ),
    *map(_delimited, DELIMITED),
    Format(
        "fio",
        "core.workload.requests.fio:import_fio",
        first_line_is(rb"(\xef\xbb\xbf)?\s*fio version \d+ iolog"),
        REQUEST_OPTIONS,
    ),
    Format(
        "blktrace",
        "core.workload.requests.blkparse:import_blkparse",
        lambda beginning: is_blkparse(beginning.content),
        REQUEST_OPTIONS,
    ),
)


def detect(path: str | os.PathLike[str]) -> Format:
    """Return the format of a trace, by the beginning of its content and by its name.

    A file that no other format recognises is taken to be of ftrace.

    Raises
    ------
    TraceError
        When the file is missing, empty, damaged where it begins, or of a known binary form that no
        importer reads.
    """
    content = read_beginning(path)
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")  # lines of an old Mac
    lines = () if b"\0" in content else content.splitlines()
    first_line = next((line for line in lines if line.strip()), b"")
    beginning = Beginning(Path(path), content, first_line)
    any_file, *formats = FORMATS
    # What is told by a mark goes before tables, which are told by what most lines look like.
    formats.sort(key=lambda row: row.form is not None)
    return next((row for row in formats if row.is_recognised(beginning)), any_file)


def is_capture(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is seen to be a capture of a kernel, rather than taken for one."""
    content = read_beginning(path)
    return is_perfetto(content) or is_of_kernel(content)


def check_same_format(paths: Sequence[str | os.PathLike[str]]) -> None:
    """Raise `TraceError` when a part is seen to be of another format than the first.

    Tables whose lines fit the first's columns, and files that nothing tells, are left to the
    importer, which knows more of them.
    """
    first = detect(paths[0]) if len(paths) > 1 else FORMATS[0]
    for path in paths[1:]:
        other = detect(path)
        if other is first or (other is FORMATS[0] and not is_capture(path)):
            continue
        if first is FORMATS[0] and not is_capture(paths[0]):
            continue
        if first.form is not None and other.form is not None:
            lines = sample_of(read_beginning(paths[0])[:SAMPLE_BYTES]).lines
            fits = 2 * sum(map(other.form.matches, lines)) > len(lines) if other.form.line else True
            if fits or other.name == "csv":
                continue
        names = [Path(each).name for each in (paths[0], path)]
        raise TraceError(
            f"is of the format {other.name}, and {names[0]} is of {first.name}: these are no parts "
            "of one trace; import them one by one, or say --format if both are of one",
            file=os.fspath(path),
        )


def about(row: Format) -> About:
    """Return what a format is, for people."""
    if row.about is not None:
        return row.about
    if row.name in _ABOUT:
        return _ABOUT[row.name]
    return About(row.name, "as its importer says", "how it begins")


#: What those formats are that are no text in columns.
_ABOUT = {
    "ftrace": About(
        "the text of a kernel's trace: tracefs, trace-cmd report, perf script, systrace",
        "events of the page cache and the page allocator, one a line; times in s",
        "anything that no other format fits",
        "# tracer: nop\n"
        " cat-81 [001] d..2. 7.104938: mm_filemap_add_to_page_cache: dev 254:0 ino 2f pfn=0x4a1 "
        "ofs=4096 order=0\n",
    ),
    "perfetto": About(
        "a trace of Perfetto, in packets or as text of them; needs the extra perfetto",
        "events of the page cache and the page allocator in its bundles of ftrace; times in ns",
        "a row of packets",
    ),
    "oracle_general": About(
        "libCacheSim's oracleGeneral: 24 bytes a request",
        "time in s (4 bytes), an object, which is a file (8), its size in bytes (4), the next "
        "request for it (8), which is not used; little endian; all are reads",
        "binary records in which time goes on, or oracleGeneral in the file's name",
    ),
    "oracle_general_op_ns": About(
        "libCacheSim's oracleGeneralOpNS: oracleGeneral with an op and a namespace",
        "as of oracle_general, with an op for reads and writes",
        "binary records in which time goes on, or oracleGeneralOpNS in the file's name",
    ),
    "oracle_sys_twr_ns": About(
        "libCacheSim's oracleSysTwrNS: Twitter's traces with the next request of an object",
        "time in s, an object, which is a file of its key's and its value's size, and an op",
        "binary records in which time goes on, or oracleSysTwrNS in the file's name",
    ),
    "lcs": About(
        "libCacheSim's lcs, versions 1 to 8",
        "time in s; an object is a file of its size in bytes; an op from version 2 on",
        "the magic number that it begins with",
    ),
    "vscsi": About(
        "VMware's vSCSI traces (CloudPhysics), versions 1 and 2",
        "time in us; the disk is one file; blocks of 512 bytes; size in bytes",
        "the versions that its records name",
    ),
    "fio": About(
        "fio's iolog, version 2 or 3",
        "a file (its name may have spaces), read or write, offset and size in bytes; times in us, "
        "in version 2 from its wait lines",
        "a first line `fio version 2 iolog`",
        "fio version 2 iolog\n/dev/sda add\n/dev/sda open\n/dev/sda read 4096 8192\n",
    ),
    "blktrace": About(
        "what blkparse prints of a block trace",
        "a device is a file; queued (Q) reads and writes, without these the issued (D), else the "
        "completed (C) ones; sectors of 512 bytes; time in s",
        "a line of device, CPU, number, time, process, action and RWBS, or `Input file .. added`",
        "  8,0    3        1     0.000000000   697  Q   R 223490 + 8 [kjournald]\n",
    ),
}
