"""Files: the few operations that change them, each of which a test can make fail."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import zlib
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
        """Return the content of a file; to open a pipe would wait for whoever writes to it."""
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _no_file(file)
        with open(descriptor, "rb") as opened:
            return opened.read()

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
        file.replace(new)

    def link(self, file: Path, new: Path) -> None:
        """Give a file a second name, which no file has yet."""
        os.link(file, new)

    def copy(self, opened: BinaryIO, new: Path) -> None:
        """Copy an open file, from where it is read to its end, and the mode of it."""
        with new.open("wb") as target:
            shutil.copyfileobj(opened, target, 2**20)
        new.chmod(stat.S_IMODE(os.fstat(opened.fileno()).st_mode))

    def remove(self, file: Path) -> None:
        """Remove a file, if it is there."""
        file.unlink(missing_ok=True)


def _no_file(path: Path) -> OSError:
    return OSError(errno.EINVAL, "a folder, a pipe or a device, and no file", str(path))


DISK = Disk()
#: Names this machine, in few letters, among those that share a file system.
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_UNFINISHED = re.compile(rf".*\.{_MACHINE}\.(\d{{1,9}})\.partial(\.wal)?")


def writer() -> str:
    """Return what no other process has, on any machine that shares a file system with this one."""
    return f"{_MACHINE}.{os.getpid()}"


def unfinished(target: Path) -> Path:
    """Return the name that a file has while this process writes it."""
    return target.with_name(f"{target.name}.{writer()}.partial")


def remove_unfinished(folder: Path) -> None:
    """Remove what processes of this machine that are no more were writing in a folder."""
    for name in DISK.names(folder):
        match = _UNFINISHED.fullmatch(name)
        if match and _is_gone(int(match[1])):
            with suppress(OSError):  # somebody else's
                DISK.remove(folder / name)


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except OSError as error:
        return isinstance(error, ProcessLookupError)  # else it is somebody else's
    return False


@contextmanager
def written_whole(target: Path, is_synced: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write, which takes its name once it is whole: no half of it ever does.

    Parameters
    ----------
    target
        The name that it takes, in place of a file that has it.
    is_synced
        Whether it is synced first, so that a power failure leaves no half of it either.

    Raises
    ------
    OSError
        When it cannot be written; or when a folder, a pipe or a device has that name: to put a file
        in place of a device would break the machine.
    """
    if target.exists() and not target.is_file():
        raise _no_file(target)
    partial = unfinished(target)
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
