"""Clock (second chance): a touched unit is passed over once.

F. J. Corbató, "A Paging Experiment with the Multics System" (1968), as a queue.
"""

from __future__ import annotations

from core.eviction.queue import Eviction, mark_touch, push, units_end, unlink
from core.jit import kernel, wide
from core.lane import NEXT, SHAPE, State


@kernel
def _victim(state: State, keep: int) -> int:
    """Return the oldest unit without a bit, moving those before it to the new end."""
    table = state.table
    end = units_end(table)
    while True:
        oldest = wide(table[end, NEXT])
        if oldest != keep:
            if table[oldest, SHAPE] & 1 == 0:
                return oldest
            table[oldest, SHAPE] &= ~1
        unlink(table, oldest)
        push(table, end, oldest)


CLOCK = Eviction(
    touch=mark_touch,
    victim=_victim,
    meaning="the oldest unit goes, but one that was touched gets a second chance",
)
