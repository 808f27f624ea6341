"""The folders of what is kept from run to run: they are this user's own, or are not used.

Machine code is loaded from there. A digest beside it tells of damage, but not of a stranger: who
can write a folder can write digests too. So a folder that another user owns, or can write, is no
cache of ours, wherever ``XDG_CACHE_HOME`` or a home that is shared may point.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from core.errors import shown_name

#: Nothing can be made or read in it.
_NOWHERE = Path(os.devnull)


def cache_folder(name: str) -> Path:
    """Return a folder of that name, for what is kept; where there is none, nothing can be kept."""
    for parent in _own_parents():
        folder = parent / name
        if _is_ready(folder):
            return folder
    return _NOWHERE / name


def _own_parents() -> Iterator[Path]:
    """Yield the folders in which those of what is kept lie, the better one first."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    # A home that is not known stays "~", and a name that is not absolute is none by the XDG rules.
    if os.path.isabs(home) and _is_ready(parent := Path(home) / "tag-storage-sweep"):
        yield parent
    with suppress(OSError):  # no folder for what is temporary
        if _is_ready(parent := Path(tempfile.gettempdir()) / f"tag-storage-sweep-{os.getuid()}"):
            yield parent
    yield from _of_this_process()


@cache
def _of_this_process() -> tuple[Path, ...]:
    """Return a folder for this process and those that it starts, which is removed at its end."""
    try:
        home = tempfile.mkdtemp(prefix="tag-storage-sweep-")
    except OSError:
        return ()
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["XDG_CACHE_HOME"] = home
    parent = Path(home) / "tag-storage-sweep"
    return (parent,) if _is_ready(parent) else ()


@cache
def _is_ready(folder: Path) -> bool:
    """Return whether a folder, which is made if it is not there, can be used.

    If it cannot since it is not this user's alone, that is said.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(0o700)  # whatever the umask leaves of it
        about = folder.stat()
        owners = {folder.lstat().st_uid, about.st_uid}
    except OSError:
        return False
    if not stat.S_ISDIR(about.st_mode):
        return False
    # Where users have groups of their own, the umask may let a group write. As pam_umask does, a
    # group that has the number of the user is taken for that: nobody else is in it.
    others = stat.S_IWOTH | (stat.S_IWGRP if about.st_gid != os.geteuid() else 0)
    if owners != {os.geteuid()}:
        why = "it belongs to another user"
    elif about.st_mode & others:
        why = "others can write it"
    else:
        return os.access(folder, os.W_OK | os.X_OK)
    logging.getLogger(__name__).warning(
        "%s is not used, as %s: nothing is kept there", shown_name(folder), why
    )
    return False
