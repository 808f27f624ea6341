"""The archive that a recording leaves beside its trace, opened; a damaged one is told in a line."""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from core.workload.text import TraceError

#: What reading a file raises that is no tar, or is damaged.
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError)


def why_unreadable(error: Exception) -> str:
    """Return in a few words why an archive could not be read: the system's, or that it is none."""
    return getattr(error, "strerror", None) or "it is no tar, or a damaged one"


@contextmanager
def opened_archive(path: str | os.PathLike[str]) -> Iterator[tarfile.TarFile]:
    """Open an archive.

    Raises
    ------
    TraceError
        When it is no archive, or what is read of it inside the context is damaged.
    """
    try:
        with tarfile.open(path) as archive:
            yield archive
    except DAMAGE as error:
        what = f"no archive of a recording: {why_unreadable(error)}"
        raise TraceError(what, file=path) from None
