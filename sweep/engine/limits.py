"""The limits of this machine: memory that a process may have, and the free space of a folder."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def memory_limit_bytes() -> int:
    """Return the memory that this process may have: the machine's, its cgroup's, or its own limit.

    The cgroup is that of a container, a batch system or systemd.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_cgroup_limits()]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits)


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of the cgroups that this process is in, up to the root."""
    with suppress(OSError, ValueError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            root, name = _CGROUPS, "memory.max"
            if controllers:  # of version 1
                root, name = _CGROUPS / "memory", "memory.limit_in_bytes"
            if controllers and "memory" not in controllers.split(","):
                continue
            folder = root / path.lstrip("/")
            for each in (folder, *folder.parents):
                with suppress(OSError, ValueError):  # "max" where there is no limit
                    yield int((each / name).read_text())
                if each == root:
                    break


def free_disk_bytes(folder: Path) -> int | None:
    """Return the free space where a folder is, or is to be made; None if that is not known."""
    for each in (folder, *folder.parents):
        with suppress(OSError):
            return shutil.disk_usage(each).free
    return None
