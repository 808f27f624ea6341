"""Placement: which free slots the pages of a unit take, and blocks that are kept empty.

Beside the free queue it knows how many slots of each tag block are free. Blocks have keys, in the
order in which a placement prefers them, and a bit a key says whether the block has a free slot.
"""

from __future__ import annotations

import numpy as np

from core.eviction.queue import (
    BLOCK_PAGES,
    CAPACITY,
    CURSOR,
    FREE_NEXT,
    KEPT_NOW,
    KEPT_TARGET,
    KEYS,
    LOWEST_KEY,
    NOWHERE,
    PAGE,
    PLACEMENT,
    RUN,
    VACANT,
    WITHHELD_PAGE_NS,
    Pages,
    Places,
    Register,
    Table,
    units_end,
)
from core.jit import kernel, wide
from core.machine import DATA_PAGES_PER_TAG_PAGE
from core.policy import Placement, code
from core.system.cleancache import slots as tag_storage

_CONTIGUOUS, _SPREAD, _COLD_BLOCK, _FAR = (
    code(Placement.CONTIGUOUS),
    code(Placement.SPREAD),
    code(Placement.COLD_BLOCK),
    code(Placement.FAR),
)
# Columns of `places`: of a block its free slots, its key, whether it is kept empty and whether it
# is reserved; of a key its block; the bits of 32 keys; of a block the free frames under it.
_FREE, _KEY, _KEPT, _RESERVED, _BLOCK, _BITS, _FRAMES = range(7)
_COLUMNS = 7
_BITS_SHIFT = 5


def make_places(blocks: int, releases: int) -> Places:
    """Return room for the blocks of a tag storage, and for a new key at each release."""
    return np.zeros((blocks + releases + 1, _COLUMNS), dtype=np.int64)


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
    """Make the state that of an empty cache; the first `kept` blocks are kept empty."""
    first = max(withheld, kept * block_pages)
    tag_storage.start(slot_of, table, register, places, first, seed, placement, kept, block_pages)
    blocks = units_end(table) // block_pages
    register[BLOCK_PAGES] = block_pages
    register[PLACEMENT] = placement
    register[KEPT_TARGET] = kept
    register[KEPT_NOW] = kept
    register[KEYS] = blocks
    register[CURSOR] = NOWHERE
    register[RUN] = NOWHERE
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
            _set_bit(register, places, wide(block))


@kernel
def _set_bit(register: Register, places: Places, key: int) -> None:
    places[key >> _BITS_SHIFT, _BITS] |= wide(1) << (key & 31)
    register[LOWEST_KEY] = min(register[LOWEST_KEY], key)


@kernel
def _clear_bit(places: Places, key: int) -> None:
    places[key >> _BITS_SHIFT, _BITS] &= ~(wide(1) << (key & 31))


@kernel
def _next_key(register: Register, places: Places, first: int) -> int:
    """Return the first key from `first` on whose block has a free slot, or NOWHERE."""
    key = max(first, wide(register[LOWEST_KEY]))
    while key < register[KEYS]:
        bits = wide(places[key >> _BITS_SHIFT, _BITS]) >> (key & 31)
        if bits == 0:
            key = ((key >> _BITS_SHIFT) + 1) << _BITS_SHIFT
            continue
        while bits & 1 == 0:
            bits >>= 1
            key += 1
        if first <= register[LOWEST_KEY]:
            register[LOWEST_KEY] = key
        return key
    return NOWHERE


@kernel
def give(slot_of: Pages, table: Table, register: Register, places: Places, number: int) -> None:
    """Return a slot to the back of the free queue, and to its block."""
    tag_storage.give(slot_of, table, register, places, number)
    block = number // wide(register[BLOCK_PAGES])
    places[block, _FREE] += 1
    if places[block, _FREE] == 1:
        _set_bit(register, places, wide(places[block, _KEY]))


@kernel
def take(slot_of: Pages, table: Table, register: Register, places: Places, number: int) -> None:
    """Take a slot out of the free queue and of its block."""
    tag_storage.take(slot_of, table, register, places, number)
    block = number // wide(register[BLOCK_PAGES])
    places[block, _FREE] -= 1
    if places[block, _FREE] == 0:
        _clear_bit(places, wide(places[block, _KEY]))


@kernel
def _lowest_slot(table: Table, register: Register, block: int) -> int:
    """Return the lowest free slot of a block that has one."""
    number = block * wide(register[BLOCK_PAGES])
    while table[number, PAGE] != VACANT:
        number += 1
    return number


@kernel
def note_frames(places: Places, block: int, more: int) -> None:
    """Note that frames under a block are free, or allocated."""
    places[block, _FRAMES] += more


@kernel
def _farthest(register: Register, places: Places) -> int:
    """Return the block with a free slot that has the fewest free frames under it."""
    best = _next_key(register, places, wide(0))
    block = best
    while block != NOWHERE and places[best, _FRAMES] > 0:
        if places[block, _FRAMES] < places[best, _FRAMES]:
            best = block
        block = _next_key(register, places, block + 1)
    return best


@kernel
def _choose(table: Table, register: Register, places: Places) -> int:
    """Return the free slot that the next page takes."""
    mode = wide(register[PLACEMENT])
    if mode == _CONTIGUOUS:
        run = wide(register[RUN])
        if run != NOWHERE:
            register[RUN] = run + 1
            return run
        return _lowest_slot(table, register, _next_key(register, places, wide(0)))
    if mode == _SPREAD:
        block = _next_key(register, places, wide(register[CURSOR]) + 1)
        if block == NOWHERE:
            block = _next_key(register, places, wide(0))
        register[CURSOR] = block
        return _lowest_slot(table, register, block)
    if mode == _FAR:
        return _lowest_slot(table, register, _farthest(register, places))
    if mode == _COLD_BLOCK:
        key = _next_key(register, places, wide(0))
        return _lowest_slot(table, register, wide(places[key, _BLOCK]))
    return wide(table[units_end(table), FREE_NEXT])


@kernel
def plan(slot_of: Pages, table: Table, register: Register, places: Places, need: int) -> None:
    """Find the run of free slots for `need` pages: of the fewest blocks, then the lowest."""
    if register[PLACEMENT] != _CONTIGUOUS or need == 0:
        return
    register[RUN] = NOWHERE
    pages = wide(register[BLOCK_PAGES])
    fewest = (need + pages - 1) // pages
    fallback = NOWHERE
    length = wide(0)
    before = wide(NOWHERE)
    block = _next_key(register, places, wide(0))
    while block != NOWHERE:
        if block != before + 1:
            length = wide(0)
        for number in range(block * pages, (block + 1) * pages):
            length = length + 1 if table[number, PAGE] == VACANT else wide(0)
            if length >= need:
                first = number - need + 1
                if number // pages - first // pages + 1 == fewest:
                    register[RUN] = first
                    return
                if fallback == NOWHERE:
                    fallback = first
        before = block
        block = _next_key(register, places, block + 1)
    register[RUN] = fallback


@kernel
def fill(
    slot_of: Pages, table: Table, register: Register, places: Places, page: int, remaining_ns: int
) -> int:
    """Put `page` into a free slot; return the slot."""
    number = _choose(table, register, places)
    take(slot_of, table, register, places, number)
    tag_storage.put(slot_of, table, register, number, page, remaining_ns)
    return number


@kernel
def is_kept(places: Places, block: int) -> bool:
    """Return whether a block is kept empty."""
    return bool(places[block, _KEPT] != 0)


@kernel
def reserve_kept(register: Register, places: Places, block: int, remaining_ns: int) -> None:
    """Reserve a block that was kept empty: there is nothing to drop."""
    places[block, _KEPT] = 0
    places[block, _RESERVED] = 1
    register[KEPT_NOW] -= 1
    register[WITHHELD_PAGE_NS] -= register[BLOCK_PAGES] * remaining_ns


@kernel
def note_reserved(places: Places, block: int) -> None:
    """Remember that a block is reserved."""
    places[block, _RESERVED] = 1


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
    """Give the slots of a block to the cache, or keep it empty while too few blocks are."""
    block = first // wide(register[BLOCK_PAGES])
    places[block, _RESERVED] = 0
    if register[PLACEMENT] == _COLD_BLOCK:
        places[block, _KEY] = register[KEYS]
        places[register[KEYS], _BLOCK] = block
        register[KEYS] += 1
    if register[KEPT_NOW] < register[KEPT_TARGET]:
        keep(register, places, block, remaining_ns)
        return
    for number in range(first, end):
        give(slot_of, table, register, places, number)
    register[CAPACITY] += end - first


@kernel
def keep(register: Register, places: Places, block: int, remaining_ns: int) -> None:
    """Keep a block empty that caches nothing."""
    places[block, _KEPT] = 1
    register[KEPT_NOW] += 1
    register[WITHHELD_PAGE_NS] += register[BLOCK_PAGES] * remaining_ns


@kernel
def emptiest(table: Table, register: Register, places: Places) -> int:
    """Return the block that caches the fewest pages and could be kept empty, or NOWHERE."""
    pages = wide(register[BLOCK_PAGES])
    best, fewest = wide(NOWHERE), pages + 1
    for block in range(units_end(table) // pages):
        cached = pages - wide(places[block, _FREE])
        if cached < fewest and places[block, _KEPT] == 0 and places[block, _RESERVED] == 0:
            best, fewest = wide(block), cached
            if cached == 0:
                break
    return best
