"""Slots: which are free, in what order, and what it takes to fill and to give one back."""

from __future__ import annotations

from core.eviction.queue import make_empty, units_end
from core.jit import kernel, wide
from core.lane import (
    CACHED,
    CACHED_PAGE_NS,
    CAPACITY,
    FIRST,
    FREE_NEXT,
    FREE_PREV,
    FREE_SLOTS,
    NEXT,
    ORDER_BITS,
    ORDER_SHIFT,
    PAGE,
    PEAK_CACHED,
    SHAPE,
    SYSTEM_REGISTERS,
    VACANT,
    WITHHELD,
    State,
    Table,
)

# The cache's own registers: the first of the rows that no unit uses, linked by NEXT; the last slot
# that was handed back to a hypervisor, linked by FREE_NEXT; of 2**32 draws, those for which it has
# discarded a page; and what the samples of latency so far have dropped.
SPARE_UNIT, HANDED_BACK, DISCARD_BITS, DROPPED = range(SYSTEM_REGISTERS, SYSTEM_REGISTERS + 4)


@kernel
def start(state: State, withheld: int) -> None:
    """Make the state that of an empty cache: slots from `withheld` on free, lowest first."""
    table = state.table
    register = state.register
    state.slot_of.fill(-1)
    register.fill(0)
    end = units_end(table)
    make_empty(table, end)
    make_empty(table, end + 1)
    table[end, FREE_NEXT] = end
    table[end, FREE_PREV] = end
    for slot in range(end):
        table[slot, PAGE] = WITHHELD
        table[slot, NEXT] = slot + 1
    for slot in range(withheld, end):
        give(state, slot)
    register[CAPACITY] = end - withheld


@kernel
def give(state: State, slot: int) -> None:
    """Return a slot to the back of the free queue."""
    table = state.table
    end = units_end(table)
    last = table[end, FREE_PREV]
    table[slot, PAGE] = VACANT
    table[slot, FREE_PREV] = last
    table[slot, FREE_NEXT] = end
    table[last, FREE_NEXT] = slot
    table[end, FREE_PREV] = slot
    state.register[FREE_SLOTS] += 1


@kernel
def take(state: State, slot: int) -> None:
    """Take a slot out of the free queue, wherever it stands."""
    table = state.table
    before = table[slot, FREE_PREV]
    after = table[slot, FREE_NEXT]
    table[before, FREE_NEXT] = after
    table[after, FREE_PREV] = before
    state.register[FREE_SLOTS] -= 1


@kernel
def fill(state: State, page: int, remaining_ns: int) -> int:
    """Put `page` into the slot at the front of the free queue; return the slot."""
    slot = wide(state.table[units_end(state.table), FREE_NEXT])
    take(state, slot)
    put(state, slot, page, remaining_ns)
    return slot


@kernel
def put(state: State, slot: int, page: int, remaining_ns: int) -> None:
    """Put `page` into a slot that was taken."""
    register = state.register
    state.table[slot, PAGE] = page
    state.slot_of[page] = slot
    register[CACHED] += 1
    register[PEAK_CACHED] = max(register[PEAK_CACHED], register[CACHED])
    register[CACHED_PAGE_NS] += remaining_ns


@kernel
def plan(state: State, need: int) -> None:
    """Do nothing: the queue says which slots are next."""


@kernel
def _precedes(table: Table, unit: int, other: int) -> bool:
    """Return whether `unit` comes before `other` by first page, then order."""
    if table[unit, FIRST] != table[other, FIRST]:
        return bool(table[unit, FIRST] < table[other, FIRST])
    order_bits = ORDER_BITS << ORDER_SHIFT
    return bool(table[unit, SHAPE] & order_bits < table[other, SHAPE] & order_bits)


@kernel
def sort_units(table: Table, first: int, hits: int) -> None:
    """Sort units by first page, then order (insertion sort).

    Parameters
    ----------
    table
        The table of a lane.
    first, hits
        The units are noted in FREE_NEXT of the `hits` rows from `first` on.
    """
    for i in range(first + 1, first + hits):
        mover = table[i, FREE_NEXT]
        j = i
        while j > first and _precedes(table, mover, table[j - 1, FREE_NEXT]):
            table[j, FREE_NEXT] = table[j - 1, FREE_NEXT]
            j -= 1
        table[j, FREE_NEXT] = mover


@kernel
def release(state: State, first: int, end: int, remaining_ns: int) -> None:
    """Give the slots of a block, [first, end), to the cache."""
    for slot in range(first, end):
        give(state, slot)
    state.register[CAPACITY] += end - first
