"""Slots: which are free, in what order, and what it takes to fill and to give one back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.eviction.queue import (
    CACHED,
    CACHED_PAGE_NS,
    CAPACITY,
    FIRST,
    FREE_NEXT,
    FREE_PREV,
    FREE_SLOTS,
    HAND,
    LAST_MISSED,
    NEXT,
    NOWHERE,
    ORDER_BITS,
    ORDER_SHIFT,
    PAGE,
    PEAK_CACHED,
    SEED,
    SHAPE,
    VACANT,
    WITHHELD,
    Pages,
    Places,
    Register,
    Table,
    make_empty,
    units_end,
)
from core.jit import kernel, wide


@kernel
def start(
    slot_of: Pages,
    table: Table,
    register: Register,
    places: Places,
    withheld: int,
    seed: int,
    placement: int,
    kept: int,
    block_pages: int,
) -> None:
    """Make the state that of an empty cache: slots from `withheld` on free, lowest first."""
    slot_of.fill(-1)
    register.fill(0)
    end = units_end(table)
    make_empty(table, end)
    make_empty(table, end + 1)
    table[end, FREE_NEXT] = end
    table[end, FREE_PREV] = end
    for number in range(end):
        table[number, PAGE] = WITHHELD
        table[number, NEXT] = number + 1
    for number in range(withheld, end):
        give(slot_of, table, register, places, number)
    register[CAPACITY] = end - withheld
    register[SEED] = seed
    register[HAND] = NOWHERE
    register[LAST_MISSED] = -2


@kernel
def give(slot_of: Pages, table: Table, register: Register, places: Places, number: int) -> None:
    """Return a slot to the back of the free queue."""
    end = units_end(table)
    last = table[end, FREE_PREV]
    table[number, PAGE] = VACANT
    table[number, FREE_PREV] = last
    table[number, FREE_NEXT] = end
    table[last, FREE_NEXT] = number
    table[end, FREE_PREV] = number
    register[FREE_SLOTS] += 1


@kernel
def take(slot_of: Pages, table: Table, register: Register, places: Places, number: int) -> None:
    """Take a slot out of the free queue, wherever it stands."""
    before = table[number, FREE_PREV]
    after = table[number, FREE_NEXT]
    table[before, FREE_NEXT] = after
    table[after, FREE_PREV] = before
    register[FREE_SLOTS] -= 1


@kernel
def fill(
    slot_of: Pages, table: Table, register: Register, places: Places, page: int, remaining_ns: int
) -> int:
    """Put `page` into the slot at the front of the free queue; return the slot."""
    number = wide(table[units_end(table), FREE_NEXT])
    take(slot_of, table, register, places, number)
    put(slot_of, table, register, number, page, remaining_ns)
    return number


@kernel
def put(
    slot_of: Pages, table: Table, register: Register, number: int, page: int, remaining_ns: int
) -> None:
    """Put `page` into a slot that was taken."""
    table[number, PAGE] = page
    slot_of[page] = number
    register[CACHED] += 1
    register[PEAK_CACHED] = max(register[PEAK_CACHED], register[CACHED])
    register[CACHED_PAGE_NS] += remaining_ns


@kernel
def plan(slot_of: Pages, table: Table, register: Register, places: Places, need: int) -> None:
    """Do nothing: the queue says which slots are next."""


@kernel
def _precedes(table: NDArray[np.int32], one: int, other: int) -> bool:
    """Return whether unit `one` comes before `other` by first page, then order."""
    if table[one, FIRST] != table[other, FIRST]:
        return bool(table[one, FIRST] < table[other, FIRST])
    order_bits = ORDER_BITS << ORDER_SHIFT
    return bool(table[one, SHAPE] & order_bits < table[other, SHAPE] & order_bits)


@kernel
def sort_units(table: NDArray[np.int32], first: int, hits: int) -> None:
    """Sort the units noted in FREE_NEXT of `hits` rows from `first` on (insertion sort)."""
    for i in range(first + 1, first + hits):
        mover = table[i, FREE_NEXT]
        j = i
        while j > first and _precedes(table, mover, table[j - 1, FREE_NEXT]):
            table[j, FREE_NEXT] = table[j - 1, FREE_NEXT]
            j -= 1
        table[j, FREE_NEXT] = mover


@kernel
def release(
    slot_of: Pages,
    table: Table,
    register: Register,
    places: Places,
    first: int,
    end: int,
    remaining_ns: int,
) -> None:
    """Give the slots of a block, [first, end), to the cache."""
    for number in range(first, end):
        give(slot_of, table, register, places, number)
    register[CAPACITY] += end - first
