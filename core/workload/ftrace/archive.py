"""The archive that a recording leaves beside its trace, opened; a damaged one is told in a line."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import InputError
from core.workload.text import TraceError, read_pieces

#: An archive holds a few files of text: of no more bytes, once decompressed, and no more files.
_MOST_BYTES, _MOST_FILES = 256 << 20, 10_000
#: What reading a tar raises that is none, or is damaged.
_DAMAGE = (tarfile.TarError, ValueError, ArithmeticError, RecursionError)


@contextmanager
def opened_archive(path: str | os.PathLike[str]) -> Iterator[tarfile.TarFile]:
    """Open an archive, all of whose members have been looked at.

    Raises
    ------
    TraceError
        When it is no archive, or what is read of it inside the context is damaged; or when it holds
        more than an archive of a recording does.
    """
    try:
        content = io.BytesIO(_unpacked(path))
        with tarfile.open(fileobj=content, mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= _MOST_FILES or not 0 <= member.size <= content.getbuffer().nbytes:
                    raise tarfile.TarError("it claims more than there is")
            yield archive
    except InputError:
        raise
    except _DAMAGE:
        raise _no_archive(path, "it is no tar, or a damaged one") from None


def _unpacked(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of an archive, decompressed."""
    pieces, size_bytes = [], 0
    try:
        for _, piece in read_pieces([path]):
            pieces.append(piece)
            size_bytes += len(piece)
            if size_bytes > _MOST_BYTES:
                break
    except TraceError as error:
        raise _no_archive(path, error.what) from None
    if size_bytes > _MOST_BYTES:
        raise _no_archive(path, f"it holds more than {_MOST_BYTES >> 20} MiB")
    return b"".join(pieces)


def _no_archive(path: str | os.PathLike[str], why: str) -> TraceError:
    return TraceError(f"no archive of a recording: {why}", file=path)
