"""A file that is no text of a trace is named, with the command that makes text of it."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
import request_files as files

from core.workload.formats import detect
from core.workload.perfetto.signature import looks_like_perfetto
from core.workload.requests.oracle_general import import_oracle_general
from core.workload.text import TraceError, read_chunks

LINE = b"  app-1 [001] ..... 1.000001: mm_page_alloc: pfn=0x40001 order=0 migratetype=1\n"
TRACE_CMD = b"\x17\x08\x44tracing7\0\0\x01\x08"
#: Content, and what its refusal must name.
BINARY = {
    TRACE_CMD: "`trace-cmd report -t -i ",
    b"\x17\x08\x44tracing6\0": "trace-cmd's trace.dat",
    b"PERFILE2\x68\0\0\0\0\0\0\0": "`perf script -i ",
    b"2ELIFREP\0\0\0\0\0\0\0\x68": "perf's perf.data",
    b"PERFILE2\x10\0\0\0\0\0\0\0": "`perf script -i - ",
    b"\x07tae\0\0\0\x01": "`blkparse -i ",
    b"eat\x07\x01\0\0\0": "blktrace's binary records",
    b"\xc1\x1f\xfc\xc1\0\0": "`babeltrace2 ",
    b"\x57\x1d\xd1\x75\0\0": "Common Trace Format",
    b"/* CTF 1.8 */\n": "Common Trace Format",
    b"SQLite format 3\0": "`sqlite3 -csv",
    b"PAR1\x15\x04\0": "`sweep trace info ",
    b"ARROW1\0\0": "Arrow",
    b"\x7fELF\x02\x01": "`crash`",
    b"KDUMP   \x06\0": "trace dump",
    b"\xd4\xc3\xb2\xa1\x02\0\x04\0": "pcap",
    b"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a": "pcap",
    b"\x89PNG\r\n\x1a\n\0": "a picture",
}


@pytest.mark.parametrize("content", BINARY)
@pytest.mark.parametrize("size", [26, 48, 4801])
def test_a_binary_form_is_named_whatever_its_size_and_name(
    content: bytes, size: int, tmp_path: Path
) -> None:
    whole = content.ljust(size, b"\0")
    for name, written in {
        "trace.dat": whole,
        "trace.dat.gz": gzip.compress(whole),
        "trace.oracleGeneral": whole,
    }.items():
        path = tmp_path / name
        path.write_bytes(written)
        for read in (detect, import_oracle_general, lambda path: list(read_chunks([path]))):
            with pytest.raises(TraceError) as caught:
                read(path if read is not import_oracle_general else [path])
            assert str(caught.value).startswith(f"{path}: ")
            assert BINARY[content] in str(caught.value)
            assert ("decompress it first" in str(caught.value)) == name.endswith(".gz")


def test_oracle_general_is_told_by_its_records(tmp_path: Path) -> None:
    path = tmp_path / "t"
    whole = files.oracle_general(files.whole_files(60))
    path.write_bytes(whole)
    assert detect(path).name == "oracle_general"
    # Cut off, it is still of that form, and its importer tells of the record.
    path.write_bytes(whole[:-5])
    assert detect(path).name == "oracle_general"
    dice = random.Random(1)
    for content in (whole[24:] + whole[:24], dice.randbytes(2400), b"\0" * 2400, b"\1\0" * 1200):
        path.write_bytes(content)
        assert detect(path).name == "ftrace"
        with pytest.raises(TraceError, match="holds binary data"):
            list(read_chunks([path]))


PERFETTO = b"\x0a\x06\x50\x01\x10\x02\x50\x04" + b"\x0a\x02\x50\x01" * 300


def test_a_trace_of_perfetto_is_told_from_text_that_begins_with_an_empty_line(
    tmp_path: Path,
) -> None:
    assert looks_like_perfetto(PERFETTO)
    assert looks_like_perfetto(PERFETTO[:-1])
    # A packet that is longer than what was read of it.
    assert looks_like_perfetto(b"\x0a\xff\xff\x03\x50\x01\x42\xf0\xff\x03" + b"\1" * 99)
    for text in (b"\n" + LINE, b"\n\n  x\n", b"\ntime,name\n1,a\n", b"\n", b"", LINE):
        assert not looks_like_perfetto(text)
    (tmp_path / "t").write_bytes(PERFETTO)
    with pytest.raises(TraceError, match="traceconv systrace "):
        list(read_chunks([tmp_path / "t"]))


def test_raw_pages_of_the_ring_buffer_are_named(tmp_path: Path) -> None:
    pages = [
        time.to_bytes(8, "little") + (4000).to_bytes(8, "little") + b"\1" * 4080
        for time in (1000, 1001, 1001)
    ]
    (tmp_path / "t").write_bytes(b"".join(pages))
    with pytest.raises(TraceError, match="raw pages of the kernel's ring buffer"):
        list(read_chunks([tmp_path / "t"]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[12:00:00.123456789] (+?.?????????) host kmem_mm_page_alloc: { cpu_id = 0 }\n", "LTTng"),
        (b"Attaching 2 probes...\n1\n", "bpftrace"),
        (b"packet {\n  ftrace_events {\n", "`traceconv systrace"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "`git lfs pull`"),
        (b"# To display the perf.data header info, please\n", "`perf script "),
        (b"From: a\nContent-Transfer-Encoding: base64\n\nAAAA\n", "a mail whose text is encoded"),
        # `pfn=3D0x40001` would be read as frame 3.
        (LINE.replace(b"=", b"=3D"), "quoted-printable"),
    ],
)
def test_other_text_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(TraceError) as caught:
        list(read_chunks([tmp_path / "t"]))
    assert said in str(caught.value)


def test_ftrace_in_a_mail_or_behind_other_output_is_read(tmp_path: Path) -> None:
    for before in (b"Attaching 1 probe...\n", b"Content-Transfer-Encoding: base64\n\n", b"\n\n"):
        (tmp_path / "t").write_bytes(before + LINE)
        assert b"".join(text for _, text in read_chunks([tmp_path / "t"])) == before + LINE
