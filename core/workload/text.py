r"""Reads the text of traces in chunks of whole lines, whatever they travel in and are encoded as.

Text comes out in UTF-8 (or as the bytes that it is), with ``\n`` at the end of each line; lines
keep their numbers.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from core.errors import TraceError as TraceError
from core.workload.containers import read_unpacked
from core.workload.embedded_text import taken_out
from core.workload.encodings import as_utf8, encoding_of, with_newlines
from core.workload.signatures import (
    refuse_binary,
    refuse_known,
    refuse_other_text,
    refuse_perfetto,
)

#: Bytes read at once. A chunk begins with what the chunk before it left of its last line.
CHUNK_BYTES = 4 << 20
#: No line of a trace is longer than this.
LONGEST_LINE_BYTES = 1 << 20
#: So much of a text's beginning tells what it is.
_HEAD_BYTES = 1 << 16
_EMPTY = "is empty, once decompressed"

#: Is called with the bytes read so far of all files together, and with the size of all files.
Progress = Callable[[int, int], None]


def read_chunks(
    paths: Sequence[str | os.PathLike[str]], progress: Progress | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield (file, whole lines of it) of one file after the other.

    Raises
    ------
    TraceError
        When a file is missing, is cut in the middle, or is no text.
    """
    for name, pieces in _files(paths, progress):
        rest = b""
        for piece in _text(name, pieces):
            if b"\0" in piece:
                refuse_binary(name, rest + piece)
            end = piece.rfind(b"\n") + 1
            if end:
                lines = rest + piece[:end]
                yield name, with_newlines(lines) if b"\r" in lines else lines
                rest = piece[end:]
            else:
                rest += piece
            if len(rest) > LONGEST_LINE_BYTES:
                raise TraceError("has no lines: not the text of a trace", file=name)
        if rest:
            yield name, with_newlines(rest + b"\n")


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
    for name, pieces in _files(paths, progress):
        for piece in pieces:
            yield name, piece
        yield name, b""


def read_beginning(path: str | os.PathLike[str]) -> bytes:
    """Return the beginning of a file, decompressed, and in UTF-8 if it is text.

    Raises
    ------
    TraceError
        When the file cannot be read, or is of a binary form that has to be made text first.
    """
    name = os.fspath(path)
    content = next((piece for _, piece in read_pieces([path])), b"")
    if not content:
        raise TraceError(_EMPTY, file=name)
    refuse_known(name, content)
    mark, encoding = encoding_of(content)
    content = content[mark:]
    return b"".join(as_utf8(iter([content]), encoding)) if encoding else content


def _files(
    paths: Sequence[str | os.PathLike[str]], progress: Progress | None
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield (file, its bytes in pieces); pieces are to be read before the next file is taken."""
    names = [os.fspath(path) for path in paths]
    sizes = [_size(name) for name in names]
    for number, name in enumerate(names):
        yield name, _pieces(name, sum(sizes[:number]), sizes[number], sum(sizes), progress)


def _pieces(
    name: str, before: int, size: int, total: int, progress: Progress | None
) -> Iterator[bytes]:
    try:
        raw = open(name, "rb")  # noqa: SIM115  # what fails later says so itself
    except OSError as error:
        raise TraceError(f"cannot be read: {error.strerror}", file=name) from None
    with raw:
        for piece in read_unpacked(name, raw, CHUNK_BYTES):
            if progress is not None:
                progress(before + min(raw.tell(), size), total)
            yield piece


def _size(name: str) -> int:
    try:
        about = os.stat(name)
    except (OSError, ValueError) as error:
        raise TraceError(getattr(error, "strerror", None) or str(error), file=name) from None
    if stat.S_ISDIR(about.st_mode):
        raise TraceError(_folder(name), file=name)
    if not stat.S_ISREG(about.st_mode):
        what = "a pipe or a device, and a trace is read twice: write it to a file first"
        raise TraceError(what, file=name)
    if about.st_size == 0 and os.path.realpath(name).startswith(("/sys/", "/proc/")):
        what = f"a file of the running kernel: copy it first, as with `cat {name} > trace.txt`"
        raise TraceError(what, file=name)
    if about.st_size == 0:
        raise TraceError("is empty", file=name)
    return about.st_size


def _folder(name: str) -> str:
    """Return why a folder is no trace: some tools record one, of which another makes text."""
    if os.path.exists(os.path.join(name, "metadata")):
        return (
            f"a folder, not a trace; LTTng's, if anything: `babeltrace2 {name}` makes text of it, "
            "but of events with other fields, so record with ftrace (sweep trace record)"
        )
    if os.path.exists(os.path.join(name, "data")):
        return f"a folder, not a trace; perf's, if anything: `perf script -i {name} > trace.txt`"
    if any(Path(name).glob("cpu*/trace")):
        return f"a folder, not a trace: give the files in it, {name}/cpu*/trace"
    return "a folder, not a trace: give the files in it"


def _text(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a file's text in pieces that end anywhere."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _HEAD_BYTES:
            break
    if not head:
        raise TraceError(_EMPTY, file=name)
    refuse_known(name, head)
    refuse_perfetto(name, head)
    mark, encoding = encoding_of(head)
    pieces = chain([head[mark:]], pieces)
    if encoding:
        pieces = as_utf8(pieces, encoding)
        head = next(pieces, b"")
        pieces = chain([head], pieces)
    beginning = head[:_HEAD_BYTES]
    if b"\r" in beginning and b"\n" not in beginning:
        pieces = (piece.replace(b"\r", b"\n") for piece in pieces)
    refuse_other_text(name, beginning)
    return taken_out(name, beginning, pieces)
