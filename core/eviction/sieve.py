"""SIEVE: a hand walks from old to new and takes the first untouched unit; nothing moves.

Y. Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024).
"""

from __future__ import annotations

from core.eviction.queue import (
    HAND,
    NEXT,
    NOWHERE,
    SHAPE,
    Pages,
    Register,
    Table,
    units_end,
    unlink,
)
from core.eviction.queue import ignore_expect as expect
from core.eviction.queue import insert_newest as insert
from core.eviction.queue import mark_touch as touch
from core.jit import kernel, wide

__all__ = ["expect", "insert", "remove", "touch", "victim"]


@kernel
def _step(slot_of: Pages, table: Table, register: Register, unit: int) -> int:
    """Return the next newer unit, or NOWHERE."""
    newer = wide(table[unit, NEXT])
    return NOWHERE if newer == units_end(table) else newer


@kernel
def remove(slot_of: Pages, table: Table, register: Register, unit: int) -> None:
    """Unlink, and move the hand on if it stands on the unit."""
    if register[HAND] == unit:
        register[HAND] = _step(slot_of, table, register, unit)
    unlink(table, unit)


@kernel
def victim(slot_of: Pages, table: Table, register: Register, keep: int) -> int:
    """Return the first untouched unit from the hand on, clearing bits on the way."""
    unit = wide(register[HAND])
    while True:
        if unit == NOWHERE:
            unit = wide(table[units_end(table), NEXT])
        if unit != keep:
            if table[unit, SHAPE] & 1 == 0:
                register[HAND] = _step(slot_of, table, register, unit)
                return unit
            table[unit, SHAPE] &= ~1
        unit = _step(slot_of, table, register, unit)
