"""Reads the text of traces in chunks of whole lines, from plain, gzip or zstd files."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from core.errors import InputError

#: Bytes read at once. A chunk begins with what the chunk before it left of its last line.
CHUNK_BYTES = 4 << 20
#: No line of a trace is longer than this.
LONGEST_LINE_BYTES = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"

#: Is called with the bytes read so far of all files together, and with the size of all files.
Progress = Callable[[int, int], None]


class TraceError(InputError):
    """A trace that cannot be imported: which file and line, and why."""


def read_chunks(
    paths: Sequence[str | os.PathLike[str]], progress: Progress | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield (file, whole lines of it) of one file after the other.

    Raises
    ------
    TraceError
        When a file is missing, is cut in the middle, or is no text.
    """
    rest = b""
    for name, piece in read_pieces(paths, progress):
        if not piece:
            if rest:
                yield name, rest + b"\n"
            rest = b""
            continue
        if b"\0" in piece:
            raise TraceError("holds binary data, not the text of a trace", file=name)
        end = piece.rfind(b"\n") + 1
        if end:
            yield name, rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > LONGEST_LINE_BYTES:
            raise TraceError("has no lines: not the text of a trace", file=name)


def read_pieces(
    paths: Sequence[str | os.PathLike[str]], progress: Progress | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield (file, decompressed bytes of it) of one file after the other.

    Empty bytes mark the end of each file.

    Raises
    ------
    TraceError
        When a file is missing, empty, or cut in the middle.
    """
    names = [os.fspath(path) for path in paths]
    sizes = [_size(name) for name in names]
    before = 0
    for name, size in zip(names, sizes, strict=True):
        with open(name, "rb") as raw:
            for piece in _pieces(name, raw):
                if progress is not None:
                    progress(before + min(raw.tell(), size), sum(sizes))
                yield name, piece
        yield name, b""
        before += size


def _size(name: str) -> int:
    try:
        size = os.stat(name).st_size
    except OSError as error:
        raise TraceError(str(error.strerror), file=name) from None
    if os.path.isdir(name):
        raise TraceError("a folder, not a trace", file=name)
    if size == 0:
        raise TraceError("is empty", file=name)
    return size


def _pieces(name: str, raw: BinaryIO) -> Iterator[bytes]:
    magic = raw.read(4)
    raw.seek(0)
    stream: BinaryIO = raw
    if magic.startswith(_GZIP):
        stream = gzip.GzipFile(fileobj=raw)  # type: ignore[assignment]
    elif magic == _ZSTD:
        stream = pa.CompressedInputStream(raw, "zstd")
    try:
        while piece := stream.read(CHUNK_BYTES):
            yield piece
    except (EOFError, zlib.error, OSError) as error:
        what = f"cut off or damaged inside its compressed data: {error}"
        raise TraceError(what, file=name) from None
