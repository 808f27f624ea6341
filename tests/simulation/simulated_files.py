"""A file system in memory that forgets what was not synced, and whose operations fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from simulated_world import World

from core.files import Files


class _Inode:
    def __init__(self) -> None:
        self.content = b""
        #: What is safe; None before the first sync.
        self.synced: bytes | None = None


Names = dict[Path, _Inode | None]  # None is a folder


class SimulatedFiles:
    """Files and their names, as they are and as a power failure would leave them.

    A change of names is safe once its folder is synced. Of those that are not, a power failure
    keeps any, in their order; of content that is not synced, any part.

    Parameters
    ----------
    world
        What it happens in.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.fails = 0.0
        #: How often what is safe changed.
        self.version = 0
        self._names: Names = {}
        self._safe: Names = {}
        self._unsynced: list[tuple[Path, Callable[[Names], None]]] = []

    def make_folder(self, folder: Path) -> None:
        with self._world.operation(f"mkdir {folder.name}"):
            if folder not in self._names:
                self._change(folder.parent, lambda names: names.update({folder: None}))

    def names(self, folder: Path) -> list[str]:
        with self._world.operation(f"ls {folder.name}"):
            return _names_in(folder, self._names)

    def read(self, file: Path) -> bytes:
        with self._world.operation(f"read {file.name}"):
            return self._inode(file).content

    def write(self, file: Path, content: bytes) -> None:
        if file.parent not in self._names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        with self._world.operation(f"open {file.name}"):
            self._fail(file)
            inode = self._names.get(file)
            if inode is None:
                inode = _Inode()
                self._change(file.parent, lambda names: names.update({file: inode}))
            inode.content = b""
        try:
            with self._world.operation(f"write {file.name}"):
                self._fail(file)
                inode.content = content
        except BaseException:
            if inode.content != content:
                inode.content = content[: self._world.chance.randint(0, len(content))]
            raise

    def sync(self, place: Path) -> None:
        with self._world.operation(f"sync {place.name}"):
            self._fail(place)
            self.version += 1
            inode = self._names.get(place)
            if inode is not None:
                inode.synced = inode.content
                return
            for folder, change in self._unsynced:
                if folder == place:
                    change(self._safe)
            self._unsynced = [each for each in self._unsynced if each[0] != place]

    def rename(self, file: Path, new: Path) -> None:
        with self._world.operation(f"rename {file.name} to {new.name}"):
            self._fail(file)
            inode = self._inode(file)

            def change(names: Names) -> None:
                names.pop(file, None)
                names[new] = inode

            self._change(new.parent, change)

    def link(self, file: Path, new: Path) -> None:
        with self._world.operation(f"link {file.name} to {new.name}"):
            inode = self._inode(file)
            self._change(new.parent, lambda names: names.update({new: inode}))

    def remove(self, file: Path) -> None:
        with self._world.operation(f"remove {file.name}"):
            self._fail(file)
            self._change(file.parent, lambda names: names.pop(file, None))

    def _inode(self, file: Path) -> _Inode:
        inode = self._names.get(file)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        return inode

    def _change(self, folder: Path, change: Callable[[Names], object]) -> None:
        change(self._names)
        self.version += 1
        self._unsynced.append((folder, change))

    def _fail(self, place: Path) -> None:
        if self._world.happens(self.fails):
            self._world.has_failed = True
            code = self._world.chance.choice([errno.ENOSPC, errno.EIO])
            self._world.log.append(f"      *** {errno.errorcode[code]}")
            raise OSError(code, os.strerror(code), str(place))

    def lose_power(self) -> None:
        """Forget what is not safe, but for some of it."""
        chance = self._world.chance
        self.version += 1
        for _, change in self._unsynced:
            if chance.random() < 0.5:
                change(self._safe)
        self._unsynced = []
        there = {folder for folder, inode in self._safe.items() if inode is None}
        self._safe = {
            place: inode
            for place, inode in self._safe.items()
            if inode is None or place.parent in there
        }
        self._names = dict(self._safe)
        for inode in self._safe.values():
            if inode is not None and inode.content != inode.synced:
                torn = inode.content[: chance.randint(0, len(inode.content))]
                zeros = bytes(len(inode.content))
                inode.content = chance.choice([inode.synced or b"", torn, zeros, inode.content])
                inode.synced = inode.content

    def safe(self, folder: Path) -> dict[str, bytes]:
        """Return what a power failure would leave of a folder at the worst, by name."""
        if folder not in self._safe:
            return {}
        lost = dict(self._safe)
        for _, change in self._unsynced:  # a name that is being removed may be gone
            trial = dict(lost)
            change(trial)
            lost = {place: inode for place, inode in lost.items() if place in trial}
        return {
            place.name: inode.synced or b""
            for place, inode in lost.items()
            if inode is not None and place.parent == folder
        }

    def content(self, file: Path) -> bytes:
        """Return the content of a file, without an operation."""
        return self._inode(file).content

    def has_content(self, file: Path, content: bytes) -> None:
        """Let a file have a content, which is not synced, without an operation."""
        self._inode(file).content = content

    def has_folder(self, folder: Path) -> None:
        """Let a folder be there, and be safe, without an operation."""
        self._names[folder] = self._safe[folder] = None

    def files(self) -> dict[Path, bytes | None]:
        """Return the content of each file, and None for each folder."""
        return {place: inode and inode.content for place, inode in self._names.items()}

    def take_away(self, file: Path) -> None:
        """Remove a file for another process."""
        self._change(file.parent, lambda names: names.pop(file, None))

    def left(self, folder: Path) -> list[str]:
        """Return the names in a folder, without an operation."""
        return _names_in(folder, self._names)


def _names_in(folder: Path, names: Names) -> list[str]:
    inside = f"{folder}/"
    return sorted(str(each).removeprefix(inside) for each in names if str(each).startswith(inside))


class WatchedFiles:
    """A real file system, whose operations are those of a world.

    Parameters
    ----------
    world
        What they happen in.
    files
        Where they are done.
    """

    def __init__(self, world: World, files: Files) -> None:
        self._world, self._files = world, files

    def make_folder(self, folder: Path) -> None:
        with self._world.operation("mkdir"):
            self._files.make_folder(folder)

    def names(self, folder: Path) -> list[str]:
        with self._world.operation("ls"):
            return self._files.names(folder)

    def read(self, file: Path) -> bytes:
        with self._world.operation(f"read {file.name}"):
            return self._files.read(file)

    def write(self, file: Path, content: bytes) -> None:
        with self._world.operation(f"write {file.name}"):
            self._files.write(file, content)

    def sync(self, place: Path) -> None:
        with self._world.operation(f"sync {place.name}"):
            self._files.sync(place)

    def rename(self, file: Path, new: Path) -> None:
        with self._world.operation(f"rename {file.name} to {new.name}"):
            self._files.rename(file, new)

    def remove(self, file: Path) -> None:
        with self._world.operation(f"remove {file.name}"):
            self._files.remove(file)
