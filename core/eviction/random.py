"""Random replacement: every unit is as likely a victim, drawn by a counter keyed by the seed.

The units make a dense array here: row i of PREV is the unit at place i, NEXT a unit's place.
"""

from __future__ import annotations

from core.eviction.queue import DRAWS, NEXT, PREV, SEED, UNITS, Pages, Register, Table
from core.eviction.queue import ignore_expect as expect
from core.eviction.queue import ignore_touch as touch
from core.jit import kernel, wide
from core.random_bits import bits_of

__all__ = ["expect", "insert", "remove", "touch", "victim"]


@kernel
def insert(slot_of: Pages, table: Table, register: Register, unit: int) -> None:
    """Append the unit to the dense array."""
    place = register[UNITS]
    table[place, PREV] = unit
    table[unit, NEXT] = place
    register[UNITS] = place + 1


@kernel
def remove(slot_of: Pages, table: Table, register: Register, unit: int) -> None:
    """Fill the unit's place with the last one."""
    place = table[unit, NEXT]
    register[UNITS] -= 1
    last = table[register[UNITS], PREV]
    table[place, PREV] = last
    table[last, NEXT] = place


@kernel
def victim(slot_of: Pages, table: Table, register: Register, keep: int) -> int:
    """Return a unit drawn from all but `keep`."""
    draw = wide(register[DRAWS])
    register[DRAWS] = draw + 1
    bits = bits_of(wide(register[SEED]), draw)
    choices = wide(register[UNITS])
    if keep >= 0:
        choices -= 1
    place = (bits * choices) >> 32
    if keep >= 0 and place >= table[keep, NEXT]:
        place += 1
    return wide(table[place, PREV])
