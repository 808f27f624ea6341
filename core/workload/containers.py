"""What the bytes of a trace travel in: compressed files and zips, which are read as streams."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from core.errors import TraceError

#: So much of a file's beginning tells what it travels in.
_HEAD_BYTES = 4096
#: What is read, for refusals.
READ = "plain text, gzip, zstd, xz, bzip2, lz4 and zip are read"
#: A dictionary of xz may take 4 GiB; `xz -9` needs 65 MiB.
_XZ_MEMORY_BYTES = 256 << 20
#: Text of a capture is packed 10 to 14 times. What is packed more often than this is refused where
#: it has come to more than `_SMALL_BYTES`: a few KiB could make a table of any size.
_MOST_UNPACKED, _SMALL_BYTES = 200, 64 << 20
#: The names of so many files of a zip are told.
_NAMES_TOLD = 4
_ATRACE = re.compile(rb"(?:[^\0]{0,200}\n)?TRACE:\n(?=x[\x01\x9c\xda])")
_DAMAGE = (
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
    # A zip with a password, or of a method that Python does not know.
    RuntimeError,
)


class Container(NamedTuple):
    """A form that wraps the bytes of a file, and how they are read from it."""

    name: str
    magic: re.Pattern[bytes]
    pieces: Callable[[str, BinaryIO, int], Iterator[bytes]]  # (name of the file, file, bytes)


def read_unpacked(name: str, raw: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    """Yield the bytes that a file holds, decompressed, in pieces that are not empty.

    Parameters
    ----------
    name
        The file's name, for errors.
    raw
        The file, at its beginning.
    piece_bytes
        The most bytes of a piece.

    Raises
    ------
    TraceError
        When it is cut off or damaged, or a zip of which no file can be chosen.
    """
    try:
        head = raw.read(_HEAD_BYTES)
        raw.seek(0)
        container = _container_of(head)
        if container is None:
            while piece := raw.read(piece_bytes):
                yield piece
            return
    except OSError as error:
        raise TraceError(f"cannot be read: {error.strerror or error}", file=name) from None
    unpacked_bytes, size_bytes = 0, os.fstat(raw.fileno()).st_size
    try:
        for piece in container.pieces(name, raw, piece_bytes):
            unpacked_bytes += len(piece)
            if unpacked_bytes > max(_SMALL_BYTES, _MOST_UNPACKED * size_bytes):
                raise TraceError(
                    f"a file of {container.name}, of whose {size_bytes:,} bytes more than "
                    f"{unpacked_bytes:,} become: no recording is packed {_MOST_UNPACKED} times; "
                    "if this is one, unpack it first",
                    file=name,
                )
            yield piece
    except _DAMAGE as error:
        raise TraceError(_why(container, error), file=name) from None


def _container_of(head: bytes) -> Container | None:
    return next((row for row in CONTAINERS if row.magic.match(head)), None)


def _why(container: Container, error: Exception) -> str:
    told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    kind = f"a file of {container.name}"
    if "emory" in told:
        return f"{kind} that needs too much memory to decompress ({told}): compress it anew"
    if isinstance(error, RuntimeError):
        return f"{kind} that cannot be read here ({told}): unpack it, and give what is in it"
    return f"{kind}, cut off or damaged inside its compressed data: {told} ({READ})"


def _gzip(name: str, raw: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=raw) as stream:
        while piece := stream.read(piece_bytes):
            yield piece


def _bzip2(name: str, raw: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    with bz2.BZ2File(raw) as stream:
        while piece := stream.read(piece_bytes):
            yield piece


def _arrow(codec: str) -> Callable[[str, BinaryIO, int], Iterator[bytes]]:
    def pieces(name: str, raw: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
        stream = pa.CompressedInputStream(raw, codec)
        while piece := stream.read(piece_bytes):
            yield piece

    return pieces


def _xz(name: str, raw: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    """Yield the pieces of one or several streams of xz, with zeros between them, or of lzma."""
    stream = lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
    while packed := raw.read(piece_bytes):
        while True:
            if stream.eof:
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                stream = lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
            piece = stream.decompress(packed, piece_bytes)
            packed = stream.unused_data if stream.eof else b""
            if piece:
                yield piece
            if not stream.eof and stream.needs_input:
                break
    if not stream.eof:
        raise EOFError("the end is missing")


def _zlib(name: str, raw: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    head = raw.read(_HEAD_BYTES)
    begin = _ATRACE.match(head)
    raw.seek(begin.end() if begin else 0)
    stream = zlib.decompressobj()
    while not stream.eof:
        packed = stream.unconsumed_tail or raw.read(piece_bytes)
        if not packed:
            raise EOFError("the end is missing")
        piece = stream.decompress(packed, piece_bytes)
        if piece:
            yield piece


def _zip(name: str, raw: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    with zipfile.ZipFile(raw) as archive:
        member = _member(name, archive)
        if member is None:
            return
        with archive.open(member) as stream:
            while piece := stream.read(piece_bytes):
                yield piece


def _member(name: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
    """Return the file of a zip that is meant: its only one, or the only one that is text."""
    members = [
        member
        for member in archive.infolist()
        if member.file_size and not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) <= 1:
        return members[0] if members else None
    texts = []
    for member in members[:1000]:
        with archive.open(member) as stream:
            head = stream.read(_HEAD_BYTES)
        if b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff")):
            texts.append(member)
    if len(texts) == 1:
        return texts[0]
    told = ", ".join(member.filename for member in (texts or members)[:_NAMES_TOLD])
    more = "" if len(texts or members) <= _NAMES_TOLD else ", ..."
    raise TraceError(
        f"a zip of {len(members)} files ({told}{more}): unpack it, and give the trace in it",
        file=name,
    )


CONTAINERS: tuple[Container, ...] = (
    Container("gzip", re.compile(rb"\x1f\x8b\x08[\0-\x1f]"), _gzip),
    # Its frames may begin with one that is skipped.
    Container("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _arrow("zstd")),
    # The form before xz has no magic but how it is usually made: of a size that it does not say.
    Container("xz", re.compile(rb"\xfd7zXZ|\x5d\0\0..\xff{8}", re.DOTALL), _xz),
    Container("bzip2", re.compile(rb"BZh[1-9]1AY&SY"), _bzip2),
    Container("lz4", re.compile(rb"\x04\x22\x4d\x18"), _arrow("lz4")),
    Container("zip", re.compile(rb"PK(?:\x03\x04|\x05\x06)"), _zip),
    # Perhaps a line of its own, a word, and then the stream of zlib.
    Container("atrace -z", _ATRACE, _zlib),
)
