"""Clock (second chance): a touched unit is passed over once.

F. J. Corbató, "A Paging Experiment with the Multics System" (1968), as a queue.
"""

from __future__ import annotations

from core.eviction.queue import NEXT, SHAPE, Pages, Register, Table, push, units_end, unlink
from core.eviction.queue import ignore_expect as expect
from core.eviction.queue import insert_newest as insert
from core.eviction.queue import mark_touch as touch
from core.eviction.queue import remove_from_queue as remove
from core.jit import kernel, wide

__all__ = ["expect", "insert", "remove", "touch", "victim"]


@kernel
def victim(slot_of: Pages, table: Table, register: Register, keep: int) -> int:
    """Return the oldest unit without a bit, moving those before it to the new end."""
    end = units_end(table)
    while True:
        oldest = wide(table[end, NEXT])
        if oldest != keep:
            if table[oldest, SHAPE] & 1 == 0:
                return oldest
            table[oldest, SHAPE] &= ~1
        unlink(table, oldest)
        push(table, end, oldest)
