"""Compressed pages in slots, several to one: by size classes, or in pairs.

`page` has a row for each page, `slot` one for each slot. Slots without a page wait in a queue;
those with room for another stand on a list of their own, by what it has room for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.eviction.queue import CACHED, CACHED_PAGE_NS, PEAK_CACHED, SLOTS_USED, Register
from core.jit import entry, kernel, wide

#: Sixteenths of a page that sizes are counted in.
PARTS = 16
# Columns of `page`: neighbours by age, neighbours in its slot, its slot and size, and whether its
# swap device lacks it. One more row ends the list by age.
(OLDER, NEWER, BEFORE, AFTER, SLOT, SIZE, DIRTY, PAGE_COLUMNS) = range(8)
# Columns of `slot`: neighbours on its list, the list, its first page, pages and sixteenths used.
# More rows end the lists: of free slots, then those with room, by size class or by room.
(_PREV, _NEXT, LIST, HELD, _COUNT, _USED, SLOT_COLUMNS) = range(7)
FREE = 0
LISTS = PARTS + 1
NONE = -1
WITHHELD = -2


@entry
def begin(
    page: NDArray[np.int32], slot: NDArray[np.int32], sizes: NDArray[np.uint8], headroom: int
) -> None:
    """Start: nothing is held, and slots from `headroom` on are free, lowest first."""
    end = wide(page.shape[0]) - 1
    page[:, SLOT] = NONE
    page[:end, SIZE] = sizes
    page[end, OLDER] = end
    page[end, NEWER] = end
    for which in range(LISTS):
        one = _end_of(slot, wide(which))
        slot[one, _PREV] = one
        slot[one, _NEXT] = one
    for number in range(_end_of(slot, 0)):
        slot[number, HELD] = NONE
        slot[number, LIST] = WITHHELD
        if number >= headroom:
            enter_list(slot, number, wide(FREE), False)


@kernel
def _end_of(slot: NDArray[np.int32], which: int) -> int:
    return wide(slot.shape[0]) - LISTS + which


@kernel
def leave_list(slot: NDArray[np.int32], number: int) -> None:
    """Take a slot off its list."""
    before, after = wide(slot[number, _PREV]), wide(slot[number, _NEXT])
    slot[before, _NEXT] = after
    slot[after, _PREV] = before
    slot[number, LIST] = NONE


@kernel
def enter_list(slot: NDArray[np.int32], number: int, which: int, front: bool) -> None:
    """Put a slot at the front or the back of a list."""
    end = _end_of(slot, which)
    before = end if front else wide(slot[end, _PREV])
    after = wide(slot[before, _NEXT])
    slot[number, _PREV] = before
    slot[number, _NEXT] = after
    slot[before, _NEXT] = number
    slot[after, _PREV] = number
    slot[number, LIST] = which


@kernel
def _list_for(slot: NDArray[np.int32], number: int, size: int, in_pairs: bool) -> int:
    """Return the list of a slot that holds pages, the last of `size`: none if it has no room."""
    if in_pairs:
        return PARTS - wide(slot[number, _USED]) if slot[number, _COUNT] < 2 else wide(NONE)
    return size if slot[number, _COUNT] < PARTS // size else wide(NONE)


@kernel
def _move(slot: NDArray[np.int32], number: int, which: int) -> None:
    """Put a slot at the front of the list that is right for it now."""
    if slot[number, LIST] != which:
        if slot[number, LIST] != NONE:
            leave_list(slot, number)
        if which > FREE:
            enter_list(slot, number, which, True)


@kernel
def find_room(slot: NDArray[np.int32], size: int, in_pairs: bool) -> int:
    """Return a slot with room for a page: with the least, then one that is free; or none."""
    last = PARTS if in_pairs else size + 1
    for which in range(size, last):
        number = wide(slot[_end_of(slot, which), _NEXT])
        if number < _end_of(slot, 0):
            return number
    number = wide(slot[_end_of(slot, FREE), _NEXT])
    return number if number < _end_of(slot, 0) else wide(NONE)


@kernel
def unlink_page(page: NDArray[np.int32], one: int) -> None:
    """Take a page off the list by age."""
    older, newer = wide(page[one, OLDER]), wide(page[one, NEWER])
    page[older, NEWER] = newer
    page[newer, OLDER] = older


@kernel
def make_newest(page: NDArray[np.int32], one: int) -> None:
    """Put a page at the new end of the list by age."""
    end = wide(page.shape[0]) - 1
    newest = wide(page[end, OLDER])
    page[one, OLDER] = newest
    page[one, NEWER] = end
    page[newest, NEWER] = one
    page[end, OLDER] = one


@kernel
def drop(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    one: int,
    in_pairs: bool,
    left_ns: int,
) -> None:
    """Take a page out of its slot; a slot without any goes to the back of the queue."""
    number, size = wide(page[one, SLOT]), wide(page[one, SIZE])
    before, after = wide(page[one, BEFORE]), wide(page[one, AFTER])
    if before == NONE:
        slot[number, HELD] = after
    else:
        page[before, AFTER] = after
    if after != NONE:
        page[after, BEFORE] = before
    unlink_page(page, one)
    page[one, SLOT] = NONE
    slot[number, _COUNT] -= 1
    slot[number, _USED] -= size
    register[CACHED] -= 1
    if slot[number, _COUNT] == 0:
        if slot[number, LIST] != NONE:
            leave_list(slot, number)
        enter_list(slot, number, wide(FREE), False)
        register[SLOTS_USED] -= 1
        register[CACHED_PAGE_NS] -= left_ns
    else:
        _move(slot, number, _list_for(slot, number, size, in_pairs))


@kernel
def fill(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    one: int,
    number: int,
    in_pairs: bool,
    left_ns: int,
) -> None:
    """Put a page into a slot that has room for it."""
    if slot[number, _COUNT] == 0:
        register[SLOTS_USED] += 1
        register[CACHED_PAGE_NS] += left_ns
    size = wide(page[one, SIZE])
    first = wide(slot[number, HELD])
    page[one, BEFORE] = NONE
    page[one, AFTER] = first
    if first != NONE:
        page[first, BEFORE] = one
    slot[number, HELD] = one
    page[one, SLOT] = number
    slot[number, _COUNT] += 1
    slot[number, _USED] += size
    _move(slot, number, _list_for(slot, number, size, in_pairs))
    make_newest(page, one)
    register[CACHED] += 1
    register[PEAK_CACHED] = max(register[PEAK_CACHED], register[CACHED])
