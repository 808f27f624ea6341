"""S3-FIFO: a small queue for the new, a main queue for the used, ghosts of what left the small one.

J. Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023). An access is a
restore. Queue sizes follow the slots that are unreserved now: a tenth is the small queue's, nine
tenths as many ghosts are remembered by their first page. At zero tags and order 0, misses equal
libCacheSim's from 20 slots on (below, it keeps nothing in the small queue; here one unit is).
"""

from __future__ import annotations

from core.eviction.queue import (
    CAPACITY,
    ENDS,
    EVICTED,
    FIRST,
    GHOST,
    GHOST_HEAD,
    GHOST_HIT,
    GHOST_TAIL,
    GHOSTS,
    MAIN_UNITS,
    NEXT,
    NOWHERE,
    SHAPE,
    SMALL_UNITS,
    Pages,
    Register,
    Table,
    push,
    units_end,
    unlink,
)
from core.jit import kernel, wide

__all__ = ["expect", "insert", "remove", "touch", "victim"]

# Of the mark: how often the unit was touched, up to 3, and the queue it is in.
_TOUCHES = 3
_MAIN = 4
_SMALL_SHARE = 0.10
_GHOST_SHARE = 0.90
_PROMOTED_FROM = 2


@kernel
def _small_target(register: Register) -> int:
    return max(1, int(register[CAPACITY] * _SMALL_SHARE))


@kernel
def _main_end(table: Table) -> int:
    return units_end(table) + 1


@kernel
def _ghost(slot_of: Pages, page: int) -> int:
    """Return where `slot_of` keeps 1 + the place of a page's ghost, or 0."""
    return slot_of.size // 2 + page


@kernel
def expect(slot_of: Pages, table: Table, register: Register, page: int) -> None:
    """Note whether the page that is about to come in has a ghost, and lay the ghost to rest."""
    place = wide(slot_of[_ghost(slot_of, page)])
    register[GHOST_HIT] = place
    if place > 0:
        slot_of[_ghost(slot_of, page)] = 0
        table[place - 1, GHOST] = NOWHERE
        register[GHOSTS] -= 1


@kernel
def insert(slot_of: Pages, table: Table, register: Register, unit: int) -> None:
    """Enter the small queue; the main one after a ghost, or while the cache first fills."""
    filling = register[EVICTED] == 0 and register[SMALL_UNITS] >= _small_target(register)
    if register[GHOST_HIT] > 0 or filling:
        _enter_main(table, register, unit)
    else:
        push(table, units_end(table), unit)
        register[SMALL_UNITS] += 1


@kernel
def _enter_main(table: Table, register: Register, unit: int) -> None:
    table[unit, SHAPE] = table[unit, SHAPE] & ~_TOUCHES | _MAIN
    push(table, _main_end(table), unit)
    register[MAIN_UNITS] += 1


@kernel
def touch(slot_of: Pages, table: Table, register: Register, unit: int, restored: bool) -> None:
    """Count a restore."""
    if restored and table[unit, SHAPE] & _TOUCHES < _TOUCHES:
        table[unit, SHAPE] += 1


@kernel
def remove(slot_of: Pages, table: Table, register: Register, unit: int) -> None:
    """Leave whichever queue the unit is in."""
    unlink(table, unit)
    if table[unit, SHAPE] & _MAIN:
        register[MAIN_UNITS] -= 1
    else:
        register[SMALL_UNITS] -= 1


@kernel
def victim(slot_of: Pages, table: Table, register: Register, keep: int) -> int:
    """Return an untouched unit: of the main queue if that is over its size, else of the small."""
    register[EVICTED] = 1
    small, main = units_end(table), _main_end(table)
    while True:
        main_target = register[CAPACITY] - _small_target(register)
        if register[MAIN_UNITS] > main_target or register[SMALL_UNITS] == 0:
            unit = wide(table[main, NEXT])
            touches = wide(table[unit, SHAPE]) & _TOUCHES
            if unit == keep or touches > 0:
                if unit != keep:
                    table[unit, SHAPE] -= 1
                elif register[MAIN_UNITS] == 1:
                    _promote(table, register, wide(table[small, NEXT]))
                unlink(table, unit)
                push(table, main, unit)
                continue
            return unit
        unit = wide(table[small, NEXT])
        if unit == keep or table[unit, SHAPE] & _TOUCHES >= _PROMOTED_FROM:
            _promote(table, register, unit)
            continue
        _remember(slot_of, table, register, wide(table[unit, FIRST]))
        return unit


@kernel
def _promote(table: Table, register: Register, unit: int) -> None:
    """Move a unit of the small queue to the main one."""
    unlink(table, unit)
    register[SMALL_UNITS] -= 1
    _enter_main(table, register, unit)


@kernel
def _remember(slot_of: Pages, table: Table, register: Register, page: int) -> None:
    """Add a ghost at the tail of the ring, forgetting the oldest ones beyond their number."""
    if slot_of[_ghost(slot_of, page)] > 0:
        return
    most = int(register[CAPACITY] * _GHOST_SHARE)
    if most == 0:
        return
    ring = int(table.shape[0]) - ENDS
    while register[GHOSTS] >= most:
        _forget_oldest(slot_of, table, register, ring)
    if register[GHOST_TAIL] - register[GHOST_HEAD] == ring:
        _close_gaps(slot_of, table, register, ring)
    place = wide(register[GHOST_TAIL] % ring)
    table[place, GHOST] = page
    slot_of[_ghost(slot_of, page)] = place + 1
    register[GHOST_TAIL] += 1
    register[GHOSTS] += 1


@kernel
def _forget_oldest(slot_of: Pages, table: Table, register: Register, ring: int) -> None:
    page = wide(table[register[GHOST_HEAD] % ring, GHOST])
    register[GHOST_HEAD] += 1
    if page != NOWHERE:
        slot_of[_ghost(slot_of, page)] = 0
        register[GHOSTS] -= 1


@kernel
def _close_gaps(slot_of: Pages, table: Table, register: Register, ring: int) -> None:
    """Move the ghosts together, oldest first: at least a tenth of the ring is gaps by now."""
    head, tail = wide(register[GHOST_HEAD]), wide(register[GHOST_TAIL])
    end = head
    for place in range(head, tail):
        page = wide(table[place % ring, GHOST])
        if page != NOWHERE:
            table[end % ring, GHOST] = page
            slot_of[_ghost(slot_of, page)] = end % ring + 1
            end += 1
    register[GHOST_TAIL] = end
