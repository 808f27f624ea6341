"""The memory that this process may still take, as the machine and its control groups say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: What a machine that says nothing is taken to have.
_UNKNOWN_BYTES = 1 << 62
_GROUPS = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Return the bytes of memory that are free for this process, or can be made so."""
    return min(_of_machine(), *_of_groups(), _UNKNOWN_BYTES)


def _of_machine() -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")), re.MULTILINE)
    return int(found[1]) * 1024 if found else _UNKNOWN_BYTES


def _of_groups() -> Iterator[int]:
    """Yield what each control group above this process leaves; it counts caches as in use."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, most, now = _GROUPS, "memory.max", "memory.current"
        if controllers:  # version 1
            root, most, now = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        folder = Path(os.path.normpath(f"{root}/{name}"))
        for group in (folder, *folder.parents):
            limit, used = _text(group / most).strip(), _text(group / now).strip()
            if group.is_relative_to(root) and limit.isdigit() and used.isdigit():
                yield int(limit) - int(used) + _cached_in(group)


def _cached_in(group: Path) -> int:
    found = re.search(r"^inactive_file (\d+)", _text(group / "memory.stat"), re.MULTILINE)
    return int(found[1]) if found else 0


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
