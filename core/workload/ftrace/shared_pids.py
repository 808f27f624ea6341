"""Numbers that several threads share: ``perf script -F comm,pid`` prints those of processes."""

from __future__ import annotations

import re

from core.import_losses import Loss, losses_of

#: So much of each chunk of text is looked at.
_LOOKED_AT_BYTES = 1 << 17
#: So much of it tells whether it is of perf.
_TELLING_BYTES = 1 << 12
# A task of perf with one number. Others have a hyphen or a slash before it.
_TASK = re.compile(
    rb"^[ \t]*(?P<name>\S.*?)[ \t]+(?P<pid>\d+)[ \t]+(?:\[\d+\][ \t]+)?\d+\.\d+:"
    rb"(?:.*?:mm_vmscan_direct_reclaim_(?P<reclaim>begin|end):)?",
    re.MULTILINE,
)


class SharedPids:
    """What tells that a number stands for several threads.

    A thread changes its name now and then, but does not take its old one again; and it begins no
    direct reclaim within another.
    """

    def __init__(self) -> None:
        self._names: dict[bytes, list[bytes]] = {}
        self._shared: set[bytes] = set()

    def look(self, text: bytes) -> None:
        """Take in some whole lines of a trace."""
        lines = text[:_LOOKED_AT_BYTES]
        if not _TASK.search(lines[:_TELLING_BYTES]):
            return
        reclaims: set[bytes] = set()  # the end of one may lie beyond what is looked at
        for task in _TASK.finditer(lines):
            name, pid, reclaim = task.groups()
            names = self._names.setdefault(pid, [])
            if not names or names[-1] != name:
                if name in names and pid != b"0":
                    self._shared.add(pid)
                names.append(name)
                del names[:-8]
            if reclaim == b"begin":
                if pid in reclaims:
                    self._shared.add(pid)
                reclaims.add(pid)
            elif reclaim == b"end":
                reclaims.discard(pid)

    def losses(self) -> tuple[Loss, ...]:
        """Return how many numbers are shared."""
        return losses_of({"shared_pids": (len(self._shared), "")})
