"""Least recently used: a touch moves the unit to the new end, the victim is the oldest."""

from __future__ import annotations

from core.eviction.queue import NEXT, Pages, Register, Table, push, units_end, unlink
from core.eviction.queue import ignore_expect as expect
from core.eviction.queue import insert_newest as insert
from core.eviction.queue import oldest_victim as victim
from core.eviction.queue import remove_from_queue as remove
from core.jit import kernel

__all__ = ["expect", "insert", "remove", "touch", "victim"]


@kernel
def touch(slot_of: Pages, table: Table, register: Register, unit: int, restored: bool) -> None:
    """Move the unit to the new end."""
    end = units_end(table)
    if table[unit, NEXT] != end:
        unlink(table, unit)
        push(table, end, unit)
