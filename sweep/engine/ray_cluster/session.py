"""The folder of a Ray of our own: its sockets and logs, which nobody needs once it has ended.

It is private to the user, held locked as long as its driver lives, and removed at its end; the
folders of drivers that were killed are removed by the next one.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from time import time

_PREFIX, _LOCK = "sweep-ray-", "driver.lock"
#: A folder without a lock is of a driver that was killed as it made it, if it is as old as that.
_UNLOCKED_S = 60.0


class Session:
    """A folder for one Ray.

    Raises
    ------
    OSError
        When none can be made.
    """

    def __init__(self) -> None:
        # Where Ray itself would have it: names of sockets must be short.
        beside = Path(os.environ.get("RAY_TMPDIR", "/tmp"))
        with suppress(OSError):
            remove_left(beside)
        self._private = Path(mkdtemp(prefix=_PREFIX, dir=beside))
        partial = self._private / f"{_LOCK}.partial"
        self._lock = partial.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        partial.rename(self._private / _LOCK)  # it has its name when it is held
        #: What Ray gets: it lets everybody read and write in the folders that it uses.
        self.folder = self._private / "ray"
        self.folder.mkdir()
        atexit.register(self.close)

    def close(self) -> None:
        """Remove the folder; to close it again does nothing."""
        shutil.rmtree(self._private, ignore_errors=True)
        self._lock.close()
        atexit.unregister(self.close)


def remove_left(beside: Path) -> None:
    """Remove the folders of drivers that are gone, of this user."""
    for folder in beside.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            about = folder.lstat()
            if about.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
                continue
            if _is_left(folder, about.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path, changed_s: float) -> bool:
    """Return whether the driver of a folder is gone; the kernel releases the lock of a process."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return time() - changed_s > _UNLOCKED_S
    except BlockingIOError:
        return False
    return True
