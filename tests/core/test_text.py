"""Text of traces comes out the same, whatever it travels in and however it is encoded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from core.workload import containers
from core.workload import text as text_module
from core.workload.formats import detect
from core.workload.text import TraceError, read_chunks

LINE = (
    b"  app-101   [001] .....    10.000001: mm_page_alloc: pfn=0x40001 order=0 migratetype=1 "
    b"gfp_flags=GFP_HIGHUSER_MOVABLE\n"
)
TEXT = b"# tracer: nop\n" + LINE * 3000


def zipped(**members: bytes) -> bytes:
    """Return a zip; the names of its files have a dot in place of two underscores."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return into.getvalue()


def read(folder: Path, content: bytes) -> bytes:
    path = folder / "trace"
    path.write_bytes(content)
    return b"".join(piece for _, piece in read_chunks([path]))


def refusal(folder: Path, content: bytes) -> str:
    with pytest.raises(TraceError) as caught:
        read(folder, content)
    assert str(caught.value).startswith(f"{folder}/trace: ")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/trace: ")


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip of two members": lambda text: gzip.compress(text[:999]) + gzip.compress(text[999:]),
    "zstd": lambda text: pa.compress(text, "zstd", asbytes=True),
    "zstd after a skipped frame": lambda text: (
        b"\x50\x2a\x4d\x18\x02\0\0\0hi" + pa.compress(text, "zstd", asbytes=True)
    ),
    "xz": lzma.compress,
    "xz of two streams": lambda text: (
        lzma.compress(text[:999]) + b"\0" * 8 + lzma.compress(text[999:])
    ),
    "lzma": lambda text: lzma.compress(text, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "lz4": lambda text: pa.compress(text, "lz4", asbytes=True),
    "zip": lambda text: zipped(trace__txt=text),
    "zip with a picture": lambda text: zipped(trace__txt=text, a__png=b"\x89PNG\0\0"),
    "atrace": lambda text: b"TRACE:\n" + zlib.compress(text),
    "atrace with its word": lambda text: b"capturing trace... done\nTRACE:\n" + zlib.compress(text),
}
every_container = pytest.mark.parametrize("how", CONTAINERS)


@every_container
def test_text_is_the_same_from_every_container(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(tmp_path, CONTAINERS[how](TEXT)) == TEXT
    assert detect(tmp_path / "trace").name == "ftrace"
    monkeypatch.setattr(text_module, "CHUNK_BYTES", 1009)
    assert read(tmp_path, CONTAINERS[how](TEXT)) == TEXT


@every_container
def test_what_is_cut_off_is_named_by_its_container(how: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, CONTAINERS[how](TEXT)[:-9])
    assert "cut off or damaged" in said
    assert how.split()[0].replace("lzma", "xz") in said


def test_a_damaged_xz_says_that_it_is_xz_and_what_is_read(tmp_path: Path) -> None:
    said = refusal(tmp_path, bytes.fromhex("fd377a585a00") + bytes(range(1, 43)))
    assert said.startswith("a file of xz, cut off or damaged inside its compressed data")
    assert "plain text, gzip, zstd, xz, bzip2, lz4 and zip are read" in said
    with pytest.raises(TraceError, match="a file of xz"):
        detect(tmp_path / "trace")


def test_xz_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    header = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    # The size of the dictionary is a byte of the block's header, which its check covers.
    block = bytearray(header[12:24])
    at = block.index(b"\x21\x01") + 2
    block[at] = 40
    block[8:12] = zlib.crc32(bytes(block[:8])).to_bytes(4, "little")
    said = refusal(tmp_path, header[:12] + bytes(block) + header[24:])
    assert "needs too much memory" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(gzip.compress(TEXT)), "gzip inside another"),
        (gzip.compress(lzma.compress(TEXT)), "`xz -d`"),
        (zipped(trace__gz=gzip.compress(TEXT)), "gzip inside another"),
        (zipped(trace__txt=TEXT, meta__json=b"{}"), "a zip of 2 files (trace.txt, meta.json)"),
        (zipped(), "is empty"),
        (gzip.compress(b""), "is empty, once decompressed"),
        (b"a" * 257 + b"ustar\0" + b"\0" * 800, "a tar archive"),
        (gzip.compress(b"a" * 257 + b"ustar\0" + b"\0" * 800), "a tar archive"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "`7z x`"),
        (b"\x02\x21\x4c\x18abc", "`lz4 -d`"),
    ],
)
def test_what_has_to_be_unpacked_first_says_so(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refusal(tmp_path, content)


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16 with a mark": lambda text: text.encode("utf-16"),
    "UTF-16 of the other end": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 of the other end without": lambda text: text.encode("utf-16-be"),
    "UTF-32 with a mark": lambda text: text.encode("utf-32"),
    "UTF-32 without a mark": lambda text: text.encode("utf-32-be"),
}
NEWLINES = ("\n", "\r\n", "\r\r\n", "\r")


@pytest.mark.parametrize("how", ENCODINGS)
@pytest.mark.parametrize("newline", NEWLINES)
def test_text_is_the_same_in_every_encoding_and_with_every_end_of_lines(
    how: str, newline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "# tracer: nop\n"
        + "  日本-1 [001] ..... 1.000001: mm_page_free: page=0 pfn=1 order=0\n" * 99
    )
    content = ENCODINGS[how](text.replace("\n", newline))
    assert read(tmp_path, content) == text.encode()
    for size in (1, 7, 1009):
        monkeypatch.setattr(text_module, "CHUNK_BYTES", size)
        assert read(tmp_path, content) == text.encode()


def test_lines_of_mixed_ends_keep_their_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, b"a\r\nb\nc\r\r\n\r\nd") == b"a\nb\nc\n\nd\n"
    assert read(tmp_path, b"a\n\rb\n\rc\n") == b"a\nb\nc\n"
    # A carriage return within a line ends none.
    assert read(tmp_path, b"10%\r20%\n") == b"10%\r20%\n"


def test_a_flood_of_carriage_returns_takes_no_time_without_end(tmp_path: Path) -> None:
    assert read(tmp_path, b"a\n" + b"\r" * 500_000 + b"\nb\n").endswith(b"\nb\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LINE + b"\0" * 9 + LINE * 9, "9 zero bytes, the first beside"),
        (TEXT + TEXT.decode().encode("utf-16"), "a shell that appends UTF-16"),
        (b"\0" * 4800, "holds binary data, not the text of a trace"),
        (LINE[:50] + b"\0" + LINE[50:], "`tr -d '\\0'"),
    ],
)
def test_zeros_in_text_are_told_of(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refusal(tmp_path, content)


@pytest.mark.parametrize("how", ["gzip", "zstd", "xz", "lzma", "bzip2", "zip", "atrace"])
def test_a_small_file_that_becomes_a_large_one_is_refused(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_SMALL_BYTES", 1 << 20)
    bomb = CONTAINERS[how](b"\n" * (9 << 20))
    assert "no recording is packed 200 times; if this is one, unpack it first" in refusal(
        tmp_path, bomb
    )
    # A recording is not, nor is what stays small.
    assert read(tmp_path, CONTAINERS[how](b"\n" * (1 << 20))) == b"\n" * (1 << 20)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "lttng").mkdir()
    (tmp_path / "lttng" / "metadata").touch()
    for path, said in {
        tmp_path: "a folder, not a trace",
        tmp_path / "lttng": "babeltrace2",
        tmp_path / "pipe": "a pipe or a device",
        tmp_path / "empty": "is empty",
        tmp_path / "none": "No such file",
        tmp_path / "empty" / "x": "Not a directory",
        Path("/dev/null"): "a pipe or a device",
        Path("/proc/self/status"): "a file of the running kernel: copy it first",
    }.items():
        with pytest.raises(TraceError) as caught:
            detect(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert said in str(caught.value)


def test_a_file_that_must_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "trace").write_bytes(TEXT)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(TraceError, match="trace: cannot be read: Permission denied"):
        detect(tmp_path / "trace")
