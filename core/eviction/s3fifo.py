"""S3-FIFO: a small queue for the new, a main queue for the used, ghosts of what left the small one.

J. Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023). An access is a
restore. Queue sizes follow the slots that are unreserved now: a tenth is the small queue's, nine
tenths as many ghosts are remembered by their first page. At zero tags and order 0, misses equal
libCacheSim's from 20 slots on (below, it keeps nothing in the small queue; here one unit is).
"""

from __future__ import annotations

from core.eviction.queue import Eviction, push, units_end, unlink
from core.jit import kernel, wide
from core.lane import (
    CAPACITY,
    ENDS,
    EVICTION_COLUMN,
    EVICTION_REGISTERS,
    FIRST,
    NEXT,
    NOWHERE,
    SHAPE,
    PageSlots,
    Register,
    State,
    Table,
)

# Registers: units in each queue; whether anything was evicted, and the ghost of the page that comes
# in; the ring of ghosts, from its head to its tail, and how many are in it.
(
    _SMALL_UNITS,
    _MAIN_UNITS,
    _EVICTED,
    _GHOST_HIT,
    _GHOST_HEAD,
    _GHOST_TAIL,
    _GHOSTS,
) = range(EVICTION_REGISTERS, EVICTION_REGISTERS + 7)
# The column of the table that the ring of ghosts lies in: a page each.
_GHOST = EVICTION_COLUMN

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
def _ghost(slot_of: PageSlots, page: int) -> int:
    """Return where `slot_of` keeps 1 + the place of a page's ghost, or 0."""
    return slot_of.size // 2 + page


@kernel
def _expect(state: State, page: int) -> None:
    """Note whether the page that is about to come in has a ghost, and lay the ghost to rest."""
    slot_of = state.slot_of
    place = wide(slot_of[_ghost(slot_of, page)])
    state.register[_GHOST_HIT] = place
    if place > 0:
        slot_of[_ghost(slot_of, page)] = 0
        state.table[place - 1, _GHOST] = NOWHERE
        state.register[_GHOSTS] -= 1


@kernel
def _insert(state: State, unit: int) -> None:
    """Enter the small queue; the main one after a ghost, or while the cache first fills."""
    register = state.register
    filling = register[_EVICTED] == 0 and register[_SMALL_UNITS] >= _small_target(register)
    if register[_GHOST_HIT] > 0 or filling:
        _enter_main(state, unit)
    else:
        push(state.table, units_end(state.table), unit)
        register[_SMALL_UNITS] += 1


@kernel
def _enter_main(state: State, unit: int) -> None:
    table = state.table
    table[unit, SHAPE] = table[unit, SHAPE] & ~_TOUCHES | _MAIN
    push(table, _main_end(table), unit)
    state.register[_MAIN_UNITS] += 1


@kernel
def _touch(state: State, unit: int, restored: bool) -> None:
    """Count a restore."""
    if restored and state.table[unit, SHAPE] & _TOUCHES < _TOUCHES:
        state.table[unit, SHAPE] += 1


@kernel
def _remove(state: State, unit: int) -> None:
    """Leave whichever queue the unit is in."""
    unlink(state.table, unit)
    if state.table[unit, SHAPE] & _MAIN:
        state.register[_MAIN_UNITS] -= 1
    else:
        state.register[_SMALL_UNITS] -= 1


@kernel
def _victim(state: State, keep: int) -> int:
    """Return an untouched unit: of the main queue if that is over its size, else of the small."""
    table = state.table
    register = state.register
    register[_EVICTED] = 1
    small, main = units_end(table), _main_end(table)
    while True:
        main_target = register[CAPACITY] - _small_target(register)
        if register[_MAIN_UNITS] > main_target or register[_SMALL_UNITS] == 0:
            unit = wide(table[main, NEXT])
            touches = wide(table[unit, SHAPE]) & _TOUCHES
            if unit == keep or touches > 0:
                if unit != keep:
                    table[unit, SHAPE] -= 1
                elif register[_MAIN_UNITS] == 1:
                    _promote(state, wide(table[small, NEXT]))
                unlink(table, unit)
                push(table, main, unit)
                continue
            return unit
        unit = wide(table[small, NEXT])
        if unit == keep or table[unit, SHAPE] & _TOUCHES >= _PROMOTED_FROM:
            _promote(state, unit)
            continue
        _remember(state, wide(table[unit, FIRST]))
        return unit


@kernel
def _promote(state: State, unit: int) -> None:
    """Move a unit of the small queue to the main one."""
    unlink(state.table, unit)
    state.register[_SMALL_UNITS] -= 1
    _enter_main(state, unit)


@kernel
def _remember(state: State, page: int) -> None:
    """Add a ghost at the tail of the ring, forgetting the oldest ones beyond their number."""
    slot_of = state.slot_of
    register = state.register
    if slot_of[_ghost(slot_of, page)] > 0:
        return
    most = int(register[CAPACITY] * _GHOST_SHARE)
    if most == 0:
        return
    ring = int(state.table.shape[0]) - ENDS
    while register[_GHOSTS] >= most:
        _forget_oldest(state, ring)
    if register[_GHOST_TAIL] - register[_GHOST_HEAD] == ring:
        _close_gaps(state, ring)
    place = wide(register[_GHOST_TAIL] % ring)
    state.table[place, _GHOST] = page
    slot_of[_ghost(slot_of, page)] = place + 1
    register[_GHOST_TAIL] += 1
    register[_GHOSTS] += 1


@kernel
def _forget_oldest(state: State, ring: int) -> None:
    register = state.register
    page = wide(state.table[register[_GHOST_HEAD] % ring, _GHOST])
    register[_GHOST_HEAD] += 1
    if page != NOWHERE:
        state.slot_of[_ghost(state.slot_of, page)] = 0
        register[_GHOSTS] -= 1


@kernel
def _close_gaps(state: State, ring: int) -> None:
    """Move the ghosts together, oldest first: at least a tenth of the ring is gaps by now."""
    register = state.register
    head, tail = wide(register[_GHOST_HEAD]), wide(register[_GHOST_TAIL])
    end = head
    for place in range(head, tail):
        page = wide(state.table[place % ring, _GHOST])
        if page != NOWHERE:
            state.table[end % ring, _GHOST] = page
            state.slot_of[_ghost(state.slot_of, page)] = end % ring + 1
            end += 1
    register[_GHOST_TAIL] = end


S3FIFO = Eviction(
    *(_expect, _insert, _touch, _remove, _victim),
    remembers_pages=True,
    meaning="a small queue sorts out units that are restored once at most, before they reach the "
    "main queue (S3-FIFO)",
)
