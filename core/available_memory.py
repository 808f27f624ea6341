"""The memory that this process may have, and what of it is free: of the machine and its cgroups."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: What a machine that says nothing is taken to have.
_UNKNOWN_BYTES = 1 << 62
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def memory_limit_bytes() -> int:
    """Return the memory that this process may have: the machine's, its cgroup's, or its own limit.

    The cgroup is that of a container, a batch system or systemd.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits += [limit for limit, _, _ in _cgroups()]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits)


def available_bytes() -> int:
    """Return the bytes of memory that are free for this process, or can be made so."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")), re.MULTILINE)
    of_machine = int(found[1]) * 1024 if found else _UNKNOWN_BYTES
    # A cgroup counts caches as in use.
    left = [limit - used + _cached_in(group) for limit, used, group in _cgroups()]
    return min(of_machine, *left, _UNKNOWN_BYTES)


def kills_for_memory() -> int:
    """Return how often Linux killed a process of this process's cgroup for want of memory."""
    counts = [
        re.search(r"^oom_kill (\d+)", _text(group / name), re.MULTILINE)
        for _, group in _own_cgroups()
        for name in ("memory.events", "memory.oom_control")  # of version 2 and of version 1
    ]
    return sum(int(count[1]) for count in counts if count)


def _own_cgroups() -> Iterator[tuple[Path, Path]]:
    """Yield where cgroups for memory are mounted, and the one there that this process is in."""
    for line in _text(_OWN_CGROUPS).splitlines():
        _, _, place = line.partition(":")
        controllers, _, name = place.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _CGROUPS / "memory" if controllers else _CGROUPS  # of version 1, or 2
        yield root, Path(os.path.normpath(f"{root}/{name}"))


def _cgroups() -> Iterator[tuple[int, int, Path]]:
    """Yield the limit, use and folder of each cgroup above this process that has a limit."""
    for root, folder in _own_cgroups():
        most, now = "memory.max", "memory.current"
        if root != _CGROUPS:
            most, now = "memory.limit_in_bytes", "memory.usage_in_bytes"
        for group in (folder, *folder.parents):
            limit, used = _text(group / most).strip(), _text(group / now).strip()
            if group.is_relative_to(root) and limit.isdigit():
                yield int(limit), int(used) if used.isdigit() else 0, group


def _cached_in(group: Path) -> int:
    found = re.search(r"^inactive_file (\d+)", _text(group / "memory.stat"), re.MULTILINE)
    return int(found[1]) if found else 0


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
