"""Text of a trace as chunks of whole lines, out of plain, gzip or zstd files."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from core.errors import InputError

#: Bytes read at once; a chunk also has the beginning of a line that the one before cut.
CHUNK_BYTES = 4 << 20
#: A line longer than this is no line of a trace.
LONGEST_LINE_BYTES = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"

#: Called with the bytes read of all files, and their size.
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
            raise TraceError(f"{name}: holds binary data, not the text of a trace")
        end = piece.rfind(b"\n") + 1
        if end:
            yield name, rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > LONGEST_LINE_BYTES:
            raise TraceError(f"{name}: has no lines: not the text of a trace")


def read_pieces(
    paths: Sequence[str | os.PathLike[str]], progress: Progress | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield (file, decompressed bytes of it) of one file after the other; no bytes end a file.

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
        raise TraceError(f"{name}: {error.strerror}") from None
    if os.path.isdir(name):
        raise TraceError(f"{name}: a folder, not a trace")
    if size == 0:
        raise TraceError(f"{name}: is empty")
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
        raise TraceError(
            f"{name}: cut off or damaged inside its compressed data: {error}"
        ) from None
