"""A copy of a database that another process holds, in a folder that goes when its reader does."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sweep.results.errors import StoreError

#: A database and the logs that DuckDB keeps beside it, those of a checkpoint under way included.
SUFFIXES = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
#: The inode number of a file, its size in bytes and the time of its last change in ns. They differ
#: once the file is written to, or another file has taken its name.
Version = tuple[int, int, int]
#: The version of each file of a database, in the order of `SUFFIXES`; None where there is no file.
State = list[Version | None]

_PREFIX = "sweep-snapshot-"
#: Where copies go if the folder for temporary files has no room.
_MEMORY = "/dev/shm"


def state_of(path: Path) -> State:
    """Return what tells whether a database was written to."""
    versions: State = []
    for suffix in SUFFIXES:
        try:
            versions.append(version_of(os.stat(f"{path}{suffix}")))
        except FileNotFoundError:
            versions.append(None)
    return versions


def version_of(stat: os.stat_result) -> Version:
    """Return what tells whether a file was written to, or replaced."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@contextmanager
def copied(path: Path, with_logs: bool = True) -> Iterator[Path]:
    """Give a copy of a database, which is removed at the end: who has opened it reads on.

    Parameters
    ----------
    path
        The database, by its own name and not by that of a link.
    with_logs
        Whether the logs are copied that DuckDB keeps beside it.

    Raises
    ------
    StoreError
        When it is written to meanwhile, or there is no room for a copy.
    """
    remove_leftovers()
    with ExitStack() as kept:
        yield _copied(path, SUFFIXES if with_logs else SUFFIXES[:1], kept)


def _copied(path: Path, suffixes: Sequence[str], kept: ExitStack) -> Path:
    """Return a copy in the first folder that has room for it."""
    why = "there is no folder for temporary files"
    for place in _places():
        try:
            with ExitStack() as made:
                copy = made.enter_context(_own_folder(place)) / "copy.duckdb"
                is_steady = _copy(path, copy, suffixes)
                kept.push(made.pop_all())
        except FileNotFoundError:
            is_steady = False
        except OSError as error:
            why = error.strerror or str(error)
            continue
        if not is_steady:
            raise StoreError("it is being written", file=path)
        return copy
    raise StoreError(f"no copy of it can be made: {why}", file=path)


def remove_leftovers() -> None:
    """Remove the copies of readers that were killed."""
    for place in _places():
        for name in glob.glob(f"{_PREFIX}*", root_dir=place):
            with suppress(OSError):  # somebody else's, or gone
                _remove_leftover(os.path.join(place, name))


def _remove_leftover(folder: str) -> None:
    """Remove a folder of copies, unless its owner lives, which has it locked."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _places() -> list[str]:
    """Return the folders where copies go, in order."""
    places = [_MEMORY]
    with suppress(OSError):  # there is no folder for temporary files that can be written
        places.insert(0, tempfile.gettempdir())
    return [place for place in dict.fromkeys(places) if os.path.isdir(place)]


@contextmanager
def _own_folder(place: str) -> Iterator[Path]:
    """Give a new folder that nobody else may enter, locked as long as this process needs it."""
    with ExitStack() as made:
        while True:
            folder = tempfile.mkdtemp(prefix=_PREFIX, dir=place)  # of mode 0700
            made.callback(shutil.rmtree, folder, ignore_errors=True)
            # Another reader takes it for a leftover, if it comes before it is locked.
            with suppress(FileNotFoundError, BlockingIOError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                made.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.isdir(folder):
                    break
        yield Path(folder)


def _copy(path: Path, copy: Path, suffixes: Sequence[str]) -> bool:
    """Copy a database; return whether no client wrote to it meanwhile.

    A newer file may take its name meanwhile: the file that is being copied does not change.
    """
    state = state_of(path)[: len(suffixes)]
    with path.open("rb") as file, copy.open("wb") as target:
        opened = version_of(os.fstat(file.fileno()))
        shutil.copyfileobj(file, target, 2**20)
        for suffix, version in zip(suffixes[1:], state[1:], strict=True):
            if version is not None:
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        unwritten = version_of(os.fstat(file.fileno())) == opened == state[0]
    return unwritten and state_of(path)[1 : len(suffixes)] == state[1:]
