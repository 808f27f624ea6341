"""Compressed pages in slots, several to one: by size classes, or in pairs.

`pages` has a row for each file page, `slots` one for each slot. Slots without a page wait in a
queue; those with room for another page stand on lists, one for each size that they have room for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, kernel, wide
from core.lane import CACHED, CACHED_PAGE_NS, PEAK_CACHED, SYSTEM_REGISTERS, Register

#: The register of how many slots hold pages.
SLOTS_USED = SYSTEM_REGISTERS

#: Sixteenths of a page that sizes are counted in.
PARTS = 16
# Columns of `pages`: the page's neighbours by age, and those in its slot; its slot; its size in
# sixteenths; and whether it still has to be written to the swap device. The last row ends the list
# by age.
(OLDER, NEWER, BEFORE, AFTER, SLOT, SIZE, DIRTY, PAGE_COLUMNS) = range(8)
# Columns of `slots`: the slot's neighbours on its list, and the list; its first page, and how many
# pages it holds and sixteenths they take. The last rows end the lists: the first is that of free
# slots, and the others are of slots with room, by size class or by room.
(_PREV, _NEXT, LIST, HELD, _COUNT, _USED, SLOT_COLUMNS) = range(7)
FREE = 0
LISTS = PARTS + 1
NONE = -1
WITHHELD = -2


class Compressed(NamedTuple):
    """What a lane of a zswap remembers; `in_pairs`: a slot takes two pages of any size."""

    pages: NDArray[np.int32]  # [page + end, PAGE_COLUMNS]
    slots: NDArray[np.int32]  # [slot + LISTS, SLOT_COLUMNS]
    register: Register  # [REGISTERS]
    in_pairs: bool


@entry
def begin(state: Compressed, sizes: NDArray[np.uint8], headroom: int) -> None:
    """Make a lane's state that in which nothing is held.

    Parameters
    ----------
    state
        The state.
    sizes
        What each page compresses to, in sixteenths of a page.  # [page]
    headroom
        Slots that never hold pages, the first ones; the others are free, the lowest first.
    """
    pages = state.pages
    slots = state.slots
    end = wide(pages.shape[0]) - 1
    pages[:, SLOT] = NONE
    pages[:end, SIZE] = sizes
    pages[end, OLDER] = end
    pages[end, NEWER] = end
    for which in range(LISTS):
        row = _end_of(slots, wide(which))
        slots[row, _PREV] = row
        slots[row, _NEXT] = row
    for slot in range(_end_of(slots, 0)):
        slots[slot, HELD] = NONE
        slots[slot, LIST] = WITHHELD
        if slot >= headroom:
            enter_list(slots, slot, wide(FREE), False)


@kernel
def _end_of(slots: NDArray[np.int32], which: int) -> int:
    return wide(slots.shape[0]) - LISTS + which


@kernel
def leave_list(slots: NDArray[np.int32], slot: int) -> None:
    """Take a slot off its list."""
    before, after = wide(slots[slot, _PREV]), wide(slots[slot, _NEXT])
    slots[before, _NEXT] = after
    slots[after, _PREV] = before
    slots[slot, LIST] = NONE


@kernel
def enter_list(slots: NDArray[np.int32], slot: int, which: int, front: bool) -> None:
    """Put a slot at the front or the back of the list `which`, from 0 to ``LISTS - 1``."""
    end = _end_of(slots, which)
    before = end if front else wide(slots[end, _PREV])
    after = wide(slots[before, _NEXT])
    slots[slot, _PREV] = before
    slots[slot, _NEXT] = after
    slots[before, _NEXT] = slot
    slots[after, _PREV] = slot
    slots[slot, LIST] = which


@kernel
def _list_for(state: Compressed, slot: int, size: int) -> int:
    """Return the list for a slot that holds pages, or NONE if it has no room for another.

    Where slots are of size classes, `size` is that of all its pages.
    """
    slots = state.slots
    if state.in_pairs:
        return PARTS - wide(slots[slot, _USED]) if slots[slot, _COUNT] < 2 else wide(NONE)
    return size if slots[slot, _COUNT] < PARTS // size else wide(NONE)


@kernel
def _move(slots: NDArray[np.int32], slot: int, which: int) -> None:
    """Put a slot at the front of the list that is right for it now."""
    if slots[slot, LIST] != which:
        if slots[slot, LIST] != NONE:
            leave_list(slots, slot)
        if which > FREE:
            enter_list(slots, slot, which, True)


@kernel
def find_room(state: Compressed, size: int) -> int:
    """Return the slot with the least room that a page fits into, else a free one, else NONE."""
    slots = state.slots
    last = PARTS if state.in_pairs else size + 1
    for which in range(size, last):
        slot = wide(slots[_end_of(slots, which), _NEXT])
        if slot < _end_of(slots, 0):
            return slot
    slot = wide(slots[_end_of(slots, FREE), _NEXT])
    return slot if slot < _end_of(slots, 0) else wide(NONE)


@kernel
def unlink_page(pages: NDArray[np.int32], page: int) -> None:
    """Take a page off the list by age."""
    older, newer = wide(pages[page, OLDER]), wide(pages[page, NEWER])
    pages[older, NEWER] = newer
    pages[newer, OLDER] = older


@kernel
def make_newest(pages: NDArray[np.int32], page: int) -> None:
    """Put a page at the new end of the list by age."""
    end = wide(pages.shape[0]) - 1
    newest = wide(pages[end, OLDER])
    pages[page, OLDER] = newest
    pages[page, NEWER] = end
    pages[newest, NEWER] = page
    pages[end, OLDER] = page


@kernel
def drop(state: Compressed, page: int, left_ns: int) -> None:
    """Take a page out of its slot; a slot without any goes to the back of the queue."""
    pages = state.pages
    slots = state.slots
    register = state.register
    slot, size = wide(pages[page, SLOT]), wide(pages[page, SIZE])
    before, after = wide(pages[page, BEFORE]), wide(pages[page, AFTER])
    if before == NONE:
        slots[slot, HELD] = after
    else:
        pages[before, AFTER] = after
    if after != NONE:
        pages[after, BEFORE] = before
    unlink_page(pages, page)
    pages[page, SLOT] = NONE
    slots[slot, _COUNT] -= 1
    slots[slot, _USED] -= size
    register[CACHED] -= 1
    if slots[slot, _COUNT] == 0:
        if slots[slot, LIST] != NONE:
            leave_list(slots, slot)
        enter_list(slots, slot, wide(FREE), False)
        register[SLOTS_USED] -= 1
        register[CACHED_PAGE_NS] -= left_ns
    else:
        _move(slots, slot, _list_for(state, slot, size))


@kernel
def fill(state: Compressed, page: int, slot: int, left_ns: int) -> None:
    """Put a page into a slot that has room for it."""
    pages = state.pages
    slots = state.slots
    register = state.register
    if slots[slot, _COUNT] == 0:
        register[SLOTS_USED] += 1
        register[CACHED_PAGE_NS] += left_ns
    size = wide(pages[page, SIZE])
    first = wide(slots[slot, HELD])
    pages[page, BEFORE] = NONE
    pages[page, AFTER] = first
    if first != NONE:
        pages[first, BEFORE] = page
    slots[slot, HELD] = page
    pages[page, SLOT] = slot
    slots[slot, _COUNT] += 1
    slots[slot, _USED] += size
    _move(slots, slot, _list_for(state, slot, size))
    make_newest(pages, page)
    register[CACHED] += 1
    register[PEAK_CACHED] = max(register[PEAK_CACHED], register[CACHED])
