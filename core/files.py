"""Files: the few operations that change them, each of which a test can make fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol


class Files(Protocol):
    """A file system. A name, or a file's content, survives a power failure once it is synced."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder, if there is none."""

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted; of a folder that is not there none."""

    def read(self, file: Path) -> bytes:
        """Return the content of a file."""

    def write(self, file: Path, content: bytes) -> None:
        """Write a file."""

    def sync(self, place: Path) -> None:
        """Sync the content of a file, or the names in a folder."""

    def rename(self, file: Path, new: Path) -> None:
        """Give a file another name, in one step; a file that has it already is replaced."""

    def remove(self, file: Path) -> None:
        """Remove a file, if it is there."""


class Disk:
    """The file system of this machine."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder, if there is none."""
        folder.mkdir(exist_ok=True)

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted; of a folder that is not there none."""
        try:
            return sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, file: Path) -> bytes:
        """Return the content of a file."""
        return file.read_bytes()

    def write(self, file: Path, content: bytes) -> None:
        """Write a file."""
        file.write_bytes(content)

    def new(self, file: Path) -> BinaryIO:
        """Return a file to write, which is empty."""
        return file.open("wb")

    def sync(self, place: Path) -> None:
        """Sync the content of a file, or the names in a folder."""
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, file: Path, new: Path) -> None:
        """Give a file another name, in one step; a file that has it already is replaced."""
        file.rename(new)

    def remove(self, file: Path) -> None:
        """Remove a file, if it is there."""
        file.unlink(missing_ok=True)


DISK = Disk()


@contextmanager
def written_whole(target: Path, is_synced: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write, which takes its name once it is whole: no half of it ever does.

    Parameters
    ----------
    target
        The name that it takes, in place of a file that has it.
    is_synced
        Whether it is synced first, so that a power failure leaves no half of it either.
    """
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with DISK.new(partial) as file:
            yield file
        if is_synced:
            DISK.sync(partial)
        DISK.rename(partial, target)
    except BaseException:
        with suppress(OSError):
            DISK.remove(partial)
        raise
