"""Placement: which free slots the pages of a unit take, and blocks that are kept empty.

Beside the free queue it knows how many slots of each tag block are free. Blocks have keys, in the
order in which a placement prefers them, and a bit a key says whether the block has a free slot.
"""

from __future__ import annotations

import numpy as np

import core.system.cleancache.slots as slots
from core.eviction.queue import units_end
from core.jit import kernel, wide
from core.lane import (
    CAPACITY,
    FREE_NEXT,
    NOWHERE,
    PAGE,
    PLACEMENT_REGISTERS,
    VACANT,
    WITHHELD_PAGE_NS,
    Places,
    State,
)
from core.machine import DATA_PAGES_PER_TAG_PAGE
from core.policy import code
from core.policy_words import Placement

_CONTIGUOUS, _SPREAD, _COLD_BLOCK, _FAR = (
    code(Placement.CONTIGUOUS),
    code(Placement.SPREAD),
    code(Placement.COLD_BLOCK),
    code(Placement.FAR),
)
# The placement's own registers: tag pages of a block; the placement; keys so far, and the lowest
# whose block may have a free slot; the block that was taken last, and the next slot of a run; how
# many blocks are to be kept empty, and how many are.
(
    BLOCK_PAGES,
    _PLACEMENT,
    _KEYS,
    _LOWEST_KEY,
    _CURSOR,
    _RUN,
    KEPT_TARGET,
    KEPT_NOW,
) = range(PLACEMENT_REGISTERS, PLACEMENT_REGISTERS + 8)
# Columns of `places`: of a block its free slots, its key, whether it is kept empty and whether it
# is reserved; of a key its block; the bits of 32 keys; of a block the free frames under it.
_FREE, _KEY, _KEPT, _RESERVED, _BLOCK, _BITS, _FRAMES = range(7)
_COLUMNS = 7
_BITS_SHIFT = 5


def make_places(blocks: int, releases: int) -> Places:
    """Return room for the blocks of a tag storage, and for a new key at each release."""
    return np.zeros((blocks + releases + 1, _COLUMNS), dtype=np.int64)


@kernel
def start(state: State, withheld: int, placement: int, kept: int, block_pages: int) -> None:
    """Make the state that of an empty cache.

    Parameters
    ----------
    state
        The state of a lane, with room in `places`.
    withheld
        Slots of a static headroom: the first ones.
    placement
        The code of a `Placement`.
    kept
        How many blocks a dynamic headroom keeps empty; at first these are the first ones.
    block_pages
        Tag pages of a block.
    """
    register = state.register
    places = state.places
    first = max(withheld, kept * block_pages)
    slots.start(state, first)
    blocks = units_end(state.table) // block_pages
    register[BLOCK_PAGES] = block_pages
    register[_PLACEMENT] = placement
    register[KEPT_TARGET] = kept
    register[KEPT_NOW] = kept
    register[_KEYS] = blocks
    register[_CURSOR] = NOWHERE
    register[_RUN] = NOWHERE
    places.fill(0)
    for block in range(blocks):
        places[block, _KEY] = block
        places[block, _BLOCK] = block
        # Of the last block there may be fewer; it is not known here, and taken for whole.
        places[block, _FRAMES] = DATA_PAGES_PER_TAG_PAGE * block_pages
        if block < kept:
            places[block, _KEPT] = 1
        elif block * block_pages >= first:
            places[block, _FREE] = block_pages
            _set_bit(state, wide(block))


@kernel
def _set_bit(state: State, key: int) -> None:
    state.places[key >> _BITS_SHIFT, _BITS] |= wide(1) << (key & 31)
    state.register[_LOWEST_KEY] = min(state.register[_LOWEST_KEY], key)


@kernel
def _clear_bit(places: Places, key: int) -> None:
    places[key >> _BITS_SHIFT, _BITS] &= ~(wide(1) << (key & 31))


@kernel
def _next_key(state: State, first: int) -> int:
    """Return the first key from `first` on whose block has a free slot, or NOWHERE."""
    register = state.register
    key = max(first, wide(register[_LOWEST_KEY]))
    while key < register[_KEYS]:
        bits = wide(state.places[key >> _BITS_SHIFT, _BITS]) >> (key & 31)
        if bits == 0:
            key = ((key >> _BITS_SHIFT) + 1) << _BITS_SHIFT
            continue
        while bits & 1 == 0:
            bits >>= 1
            key += 1
        if first <= register[_LOWEST_KEY]:
            register[_LOWEST_KEY] = key
        return key
    return NOWHERE


@kernel
def give(state: State, slot: int) -> None:
    """Return a slot to the back of the free queue, and to its block."""
    places = state.places
    slots.give(state, slot)
    block = slot // wide(state.register[BLOCK_PAGES])
    places[block, _FREE] += 1
    if places[block, _FREE] == 1:
        _set_bit(state, wide(places[block, _KEY]))


@kernel
def take(state: State, slot: int) -> None:
    """Take a slot out of the free queue and of its block."""
    places = state.places
    slots.take(state, slot)
    block = slot // wide(state.register[BLOCK_PAGES])
    places[block, _FREE] -= 1
    if places[block, _FREE] == 0:
        _clear_bit(places, wide(places[block, _KEY]))


@kernel
def _lowest_slot(state: State, block: int) -> int:
    """Return the lowest free slot of a block that has one."""
    slot = block * wide(state.register[BLOCK_PAGES])
    while state.table[slot, PAGE] != VACANT:
        slot += 1
    return slot


@kernel
def note_frames(places: Places, block: int, more: int) -> None:
    """Note that frames under a block are free, or allocated."""
    places[block, _FRAMES] += more


@kernel
def _farthest(state: State) -> int:
    """Return the block with a free slot that has the fewest free frames under it."""
    places = state.places
    best = _next_key(state, wide(0))
    block = best
    while block != NOWHERE and places[best, _FRAMES] > 0:
        if places[block, _FRAMES] < places[best, _FRAMES]:
            best = block
        block = _next_key(state, block + 1)
    return best


@kernel
def _choose(state: State) -> int:
    """Return the free slot that the next page takes."""
    register = state.register
    mode = wide(register[_PLACEMENT])
    if mode == _CONTIGUOUS:
        run = wide(register[_RUN])
        if run != NOWHERE:
            register[_RUN] = run + 1
            return run
        return _lowest_slot(state, _next_key(state, wide(0)))
    if mode == _SPREAD:
        block = _next_key(state, wide(register[_CURSOR]) + 1)
        if block == NOWHERE:
            block = _next_key(state, wide(0))
        register[_CURSOR] = block
        return _lowest_slot(state, block)
    if mode == _FAR:
        return _lowest_slot(state, _farthest(state))
    if mode == _COLD_BLOCK:
        key = _next_key(state, wide(0))
        return _lowest_slot(state, wide(state.places[key, _BLOCK]))
    return wide(state.table[units_end(state.table), FREE_NEXT])


@kernel
def plan(state: State, need: int) -> None:
    """Find the run of free slots for `need` pages: of the fewest blocks, then the lowest."""
    register = state.register
    if register[_PLACEMENT] != _CONTIGUOUS or need == 0:
        return
    register[_RUN] = NOWHERE
    pages = wide(register[BLOCK_PAGES])
    fewest = (need + pages - 1) // pages
    fallback = NOWHERE
    length = wide(0)
    before = wide(NOWHERE)
    block = _next_key(state, wide(0))
    while block != NOWHERE:
        if block != before + 1:
            length = wide(0)
        for slot in range(block * pages, (block + 1) * pages):
            length = length + 1 if state.table[slot, PAGE] == VACANT else wide(0)
            if length >= need:
                first = slot - need + 1
                if slot // pages - first // pages + 1 == fewest:
                    register[_RUN] = first
                    return
                if fallback == NOWHERE:
                    fallback = first
        before = block
        block = _next_key(state, block + 1)
    register[_RUN] = fallback


@kernel
def fill(state: State, page: int, remaining_ns: int) -> int:
    """Put `page` into a free slot; return the slot."""
    slot = _choose(state)
    take(state, slot)
    slots.put(state, slot, page, remaining_ns)
    return slot


@kernel
def is_kept(places: Places, block: int) -> bool:
    """Return whether a block is kept empty."""
    return bool(places[block, _KEPT] != 0)


@kernel
def reserve_kept(state: State, block: int, remaining_ns: int) -> None:
    """Reserve a block that was kept empty: there is nothing to drop."""
    register = state.register
    state.places[block, _KEPT] = 0
    state.places[block, _RESERVED] = 1
    register[KEPT_NOW] -= 1
    register[WITHHELD_PAGE_NS] -= register[BLOCK_PAGES] * remaining_ns


@kernel
def note_reserved(places: Places, block: int) -> None:
    """Remember that a block is reserved."""
    places[block, _RESERVED] = 1


@kernel
def release(state: State, first: int, end: int, remaining_ns: int) -> None:
    """Give the slots of a block to the cache, or keep it empty while too few blocks are."""
    register = state.register
    places = state.places
    block = first // wide(register[BLOCK_PAGES])
    places[block, _RESERVED] = 0
    if register[_PLACEMENT] == _COLD_BLOCK:
        places[block, _KEY] = register[_KEYS]
        places[register[_KEYS], _BLOCK] = block
        register[_KEYS] += 1
    if register[KEPT_NOW] < register[KEPT_TARGET]:
        keep(state, block, remaining_ns)
        return
    for slot in range(first, end):
        give(state, slot)
    register[CAPACITY] += end - first


@kernel
def keep(state: State, block: int, remaining_ns: int) -> None:
    """Keep a block empty that caches nothing."""
    register = state.register
    state.places[block, _KEPT] = 1
    register[KEPT_NOW] += 1
    register[WITHHELD_PAGE_NS] += register[BLOCK_PAGES] * remaining_ns


@kernel
def emptiest(state: State) -> int:
    """Return the block that caches the fewest pages and could be kept empty, or NOWHERE."""
    places = state.places
    pages = wide(state.register[BLOCK_PAGES])
    best, fewest = wide(NOWHERE), pages + 1
    for block in range(units_end(state.table) // pages):
        cached = pages - wide(places[block, _FREE])
        if cached < fewest and places[block, _KEPT] == 0 and places[block, _RESERVED] == 0:
            best, fewest = wide(block), cached
            if cached == 0:
                break
    return best
