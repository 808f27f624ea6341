"""The file system that a database is on: what a run relies on is tried before it begins.

Network file systems differ in locks, renames and flushes, and where one of them fails rows are
lost, or DuckDB says that another process holds the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from core.files import DISK
from sweep.results.errors import StoreError, told_errors
from sweep.results.genuine import check_file

_MOUNTS = Path("/proc/self/mountinfo")
#: What a file system answers that cannot do what it is asked; anything else, such as a full disk,
#: is told as it is.
_CANNOT = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
#: Options of a mount by which locks hold on one machine alone: NFS's (`nfs(5)`) and Lustre's.
_LOCAL_LOCKS = ("nolock", "local_lock=all", "local_lock=flock", "local_lock=posix", "localflock")
#: Kinds that are known to flush. To try it would take 0.3 to 12 ms, as busy as the disk is.
_FLUSH = ("btrfs", "ext4", "tmpfs", "xfs")


class Mount(NamedTuple):
    """A mounted file system.

    Parameters
    ----------
    place
        Where it is mounted.
    kind
        Its kind: ext4, nfs4, lustre …
    options
        What it is mounted with.
    """

    place: str
    kind: str
    options: tuple[str, ...]


def mount_of(folder: Path) -> Mount | None:
    """Return the file system of a folder; None where the system does not tell it."""
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        about, _, of_kind = line.partition(" - ")
        words, kind = about.split(" "), of_kind.split(" ")
        # A space in a name is written as \040.
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), words[4])
        deeper = found is None or len(place) >= len(found.place)  # mounted last, where two are
        if folder.is_relative_to(place) and deeper:
            found = Mount(place, kind[0], (*words[5].split(","), *kind[-1].split(",")))
    return found


def check_file_system(database: Path) -> str | None:
    """Try what a run does to its files, in the folder of its database, and leave no trace of it.

    Parameters
    ----------
    database
        The database, which may not exist yet.

    Returns
    -------
    str or None
        What the user should know of the file system.

    Raises
    ------
    StoreError
        When something cannot be done there.
    """
    if not database.parent.is_dir():
        raise StoreError(f"there is no folder {database.parent}", file=database)
    check_file(database)
    with told_errors(database):
        folder = database.resolve().parent
        mount = mount_of(folder)
        with TemporaryDirectory(dir=folder, prefix=".sweep-trial-") as name:
            _try_locks_and_names(Path(name), database, mount)
            if mount is None or mount.kind not in _FLUSH:
                _try_flushes(Path(name), database, mount)
    local = [option for option in (mount.options if mount else ()) if option in _LOCAL_LOCKS]
    if mount is None or not local:
        return None
    return (
        f"{database}: the locks of {_named(mount)} hold on this machine alone ({local[0]}): "
        "let no other machine run, or merge into, this database at the same time"
    )


def _try_locks_and_names(folder: Path, database: Path, mount: Mount | None) -> None:
    """Lock files in both ways, and replace one by the other."""
    first, second = folder / "first", folder / "second"
    with first.open("w") as file, first.open("w") as again:
        with _tried("lock a file (flock)", database, mount):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            raise _refusal("keep a lock: it grants one twice (flock)", database, mount)
    # Another file: over NFS the two kinds of lock exclude each other.
    with second.open("w") as file, _tried("lock a file (fcntl)", database, mount):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    inode = first.stat().st_ino
    with _tried("give a file the name of another (rename)", database, mount):
        os.replace(first, second)
    if second.stat().st_ino != inode:
        raise _refusal("replace a file by another (rename)", database, mount)


def _try_flushes(folder: Path, database: Path, mount: Mount | None) -> None:
    """Flush a file, and the names in a folder."""
    with _tried("flush a file (fsync)", database, mount):
        DISK.sync(folder / "second")
    with _tried("flush the names in a folder (fsync)", database, mount):
        DISK.sync(folder)


@contextmanager
def _tried(what: str, database: Path, mount: Mount | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        raise _refusal(f"{what}: {error.strerror}", database, mount) from None


def _refusal(what: str, database: Path, mount: Mount | None) -> StoreError:
    where = _named(mount) if mount else "its file system"
    return StoreError(
        f"{where} cannot {what}\n"
        "  a database there could lose rows: let --db name a file on a local disk, and copy it "
        "here when the run is over; sweep merge, with its first file on a local disk, reads what "
        "was copied here (docs/cluster.md)",
        file=database,
    )


def _named(mount: Mount) -> str:
    return f"{mount.place} ({mount.kind})"
