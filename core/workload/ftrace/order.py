"""What the order of a trace's events tells of its text: the newest first, or events twice in it."""

from __future__ import annotations

import numpy as np

from core.import_losses import Loss, losses_of
from core.workload.ftrace.frames import NO_FRAME
from core.workload.ftrace.lines import Records, some_of
from core.workload.ftrace.words import ADD, DELETE, FRAME, PAGE_ALLOC, PAGE_FREE
from core.workload.text import TraceError

#: So many events tell in which order they are.
_TELLING_EVENTS = 3


def refuse_newest_first(records: Records, names: str) -> None:
    """Refuse a text whose first records go back in time, as tables sorted the other way do.

    Parameters
    ----------
    records
        The first records, in the order of their lines.
    names
        The files, in words.

    Raises
    ------
    TraceError
        When nearly each of them is older than the one before.
    """
    steps = np.diff(records.time_ns)
    back, on = int((steps < 0).sum()), int((steps > 0).sum())
    if back >= _TELLING_EVENTS and back > 4 * on:
        what = (
            f"{back:,} of its first {records.kind.size:,} events are older than the one before: "
            "it has the newest first; turn it around (tac FILE), then import it"
        )
        raise TraceError(what, file=names)


class Repeats:
    """Events that are in a trace twice, as those of two buffers in one report are."""

    def __init__(self) -> None:
        self._count = 0

    def left_out(self, records: Records) -> Records:
        """Return the records without those that equal the one before.

        No folio enters or leaves the page cache twice in one place at one time, and no frame is
        allocated or freed twice.
        """
        after = np.flatnonzero(records.time_ns[1:] == records.time_ns[:-1]) + 1
        kind = records.kind[after]
        after = after[
            np.isin(kind, (ADD, DELETE, PAGE_ALLOC, PAGE_FREE))
            & (kind == records.kind[after - 1])
            & (records.pid[after] == records.pid[after - 1])
            & (records.fields[after] == records.fields[after - 1]).all(axis=1)
            & (records.fields[after, FRAME] < NO_FRAME)
        ]
        if not after.size:
            return records
        self._count += after.size
        stays = np.ones(records.kind.size, dtype=np.bool_)
        stays[after] = False
        return some_of(records, np.flatnonzero(stays))

    def losses(self) -> tuple[Loss, ...]:
        """Return how many there were, when all records are read."""
        return losses_of({"repeated_events": (self._count, "")})
