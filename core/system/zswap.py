"""Zswap-like: clean file pages, compressed, several to a slot.

How far a page compresses is drawn: its size is the sum of a part that its file has and a part of
its own, both even between nothing and a page / `compression_ratio`, in sixteenths of a page. One
that needs all sixteen is turned away, as zswap does. `packing: zsmalloc` gives a slot to pages of
one size class, as many as fit (mm/zsmalloc.c with zspages of one page), `zbud` to two pages of any
(mm/zbud.c). Pages are reclaimed least recently used first until a slot has room; a reservation
drops what its slots hold. The data are clean, so nothing is written back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE, RESTORE, STORE
from core.eviction.queue import (
    CACHED,
    CACHED_PAGE_NS,
    COMPRESSED,
    DECOMPRESSED,
    INVALIDATED,
    LAST_MISSED,
    MISSED,
    MISSED_SEQUENTIAL,
    OVERWRITTEN,
    PEAK_CACHED,
    RECALLED,
    RECLAIMED,
    REGISTERS,
    RESTORED,
    SKIPPED,
    SLOTS_USED,
    STALE,
    STORED,
    TALLIES,
    Register,
)
from core.jit import entry, kernel, wide
from core.policy import Admission, Packing, Policies, Restore, code
from core.random_bits import bits_of
from core.system.counted import Counted, nothing_counted
from core.timeline import FLAG, ORDER_SHIFT, RELEASE, RESERVE, Timeline

PARTS = 16
# Columns of `options`.
_WORKINGSET_ONLY, _EXCLUSIVE, _HEADROOM, _IN_PAIRS, _OPTIONS = range(5)
# Columns of `page`: neighbours by age, neighbours in its slot, its slot and size. One more row ends
# the list by age.
_OLDER, _NEWER, _BEFORE, _AFTER, _SLOT, _SIZE, _PAGE_COLUMNS = range(7)
# Columns of `slot`: neighbours on its list, the list, its first page, pages and sixteenths used.
# More rows end the lists: of free slots, then those with room, by size class or by room.
_PREV, _NEXT, _LIST, _FIRST, _COUNT, _USED, _SLOT_COLUMNS = range(7)
_FREE = 0
_LISTS = PARTS + 1
_NONE = -1
_WITHHELD = -2


def replay_zswap(timeline: Timeline, policies: Policies) -> Counted:
    """Return what lanes count.

    Raises
    ------
    ValueError
        When the timeline was not prepared for slots of several pages.
    """
    if timeline.pages_per_slot < PARTS:
        raise ValueError("zswap has a view of its own: replay_policy, or prepare_view")
    counted = nothing_counted(timeline, policies.lanes)
    options = np.zeros((policies.lanes, _OPTIONS), dtype=np.int64)
    blocks = timeline.slots // timeline.block_pages
    headroom = np.floor(policies.headroom * blocks).astype(np.int64) * timeline.block_pages
    options[:, _WORKINGSET_ONLY] = policies.admission == code(Admission.WORKINGSET)
    options[:, _EXCLUSIVE] = policies.restore == code(Restore.EXCLUSIVE)
    options[:, _HEADROOM] = headroom
    options[:, _IN_PAIRS] = policies.packing == code(Packing.ZBUD)
    for lane in range(policies.lanes):
        sizes = compressed_sizes(
            timeline.page_keys,
            float(policies.compression_ratio[lane]),
            int(policies.seed[lane]),
        )
        _replay(
            timeline.word,
            timeline.page,
            timeline.remaining_ns,
            timeline.inode_pages,
            timeline.sample_bins,
            timeline.block_pages,
            timeline.slots,
            timeline.series_steps,
            options[lane],
            sizes,
            counted.tallies[lane],
            counted.samples[lane],
            counted.series[lane],
        )
    return counted


@entry
def compressed_sizes(keys: NDArray[np.uint64], ratio: float, seed: int) -> NDArray[np.uint8]:
    """Return the sixteenths of a page that each page compresses to.  # [page]"""
    sizes = np.empty(keys.size, dtype=np.uint8)
    for page in range(keys.size):
        inode, index = wide(keys[page] >> np.uint64(32)), wide(keys[page] & np.uint64(0xFFFFFFFF))
        of_file = bits_of(seed, inode)
        drawn = of_file + bits_of(of_file, index)
        sizes[page] = min(PARTS, 1 + int(drawn * PARTS / (ratio * 4294967296.0)))
    return sizes


@kernel
def _end_of(slot: NDArray[np.int32], which: int) -> int:
    return wide(slot.shape[0]) - _LISTS + which


@kernel
def _leave_list(slot: NDArray[np.int32], number: int) -> None:
    before, after = wide(slot[number, _PREV]), wide(slot[number, _NEXT])
    slot[before, _NEXT] = after
    slot[after, _PREV] = before
    slot[number, _LIST] = _NONE


@kernel
def _enter_list(slot: NDArray[np.int32], number: int, which: int, front: bool) -> None:
    end = _end_of(slot, which)
    before = end if front else wide(slot[end, _PREV])
    after = wide(slot[before, _NEXT])
    slot[number, _PREV] = before
    slot[number, _NEXT] = after
    slot[before, _NEXT] = number
    slot[after, _PREV] = number
    slot[number, _LIST] = which


@kernel
def _list_for(slot: NDArray[np.int32], number: int, size: int, in_pairs: bool) -> int:
    """Return the list of a slot that holds pages, the last of `size`: none if it has no room."""
    if in_pairs:
        return PARTS - wide(slot[number, _USED]) if slot[number, _COUNT] < 2 else wide(_NONE)
    return size if slot[number, _COUNT] < PARTS // size else wide(_NONE)


@kernel
def _move(slot: NDArray[np.int32], number: int, which: int) -> None:
    """Put a slot at the front of the list that is right for it now."""
    if slot[number, _LIST] != which:
        if slot[number, _LIST] != _NONE:
            _leave_list(slot, number)
        if which > _FREE:
            _enter_list(slot, number, which, True)


@kernel
def _find_room(slot: NDArray[np.int32], size: int, in_pairs: bool) -> int:
    """Return a slot with room for a page: with the least, then one that is free; or none."""
    last = PARTS if in_pairs else size + 1
    for which in range(size, last):
        number = wide(slot[_end_of(slot, which), _NEXT])
        if number < _end_of(slot, 0):
            return number
    number = wide(slot[_end_of(slot, _FREE), _NEXT])
    return number if number < _end_of(slot, 0) else wide(_NONE)


@kernel
def _unlink_page(page: NDArray[np.int32], one: int) -> None:
    older, newer = wide(page[one, _OLDER]), wide(page[one, _NEWER])
    page[older, _NEWER] = newer
    page[newer, _OLDER] = older


@kernel
def _make_newest(page: NDArray[np.int32], one: int) -> None:
    end = wide(page.shape[0]) - 1
    newest = wide(page[end, _OLDER])
    page[one, _OLDER] = newest
    page[one, _NEWER] = end
    page[newest, _NEWER] = one
    page[end, _OLDER] = one


@kernel
def _drop(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    one: int,
    in_pairs: bool,
    left_ns: int,
) -> None:
    """Take a page out of its slot; a slot without any goes to the back of the queue."""
    number, size = wide(page[one, _SLOT]), wide(page[one, _SIZE])
    before, after = wide(page[one, _BEFORE]), wide(page[one, _AFTER])
    if before == _NONE:
        slot[number, _FIRST] = after
    else:
        page[before, _AFTER] = after
    if after != _NONE:
        page[after, _BEFORE] = before
    _unlink_page(page, one)
    page[one, _SLOT] = _NONE
    slot[number, _COUNT] -= 1
    slot[number, _USED] -= size
    register[CACHED] -= 1
    if slot[number, _COUNT] == 0:
        if slot[number, _LIST] != _NONE:
            _leave_list(slot, number)
        _enter_list(slot, number, wide(_FREE), False)
        register[SLOTS_USED] -= 1
        register[CACHED_PAGE_NS] -= left_ns
    else:
        _move(slot, number, _list_for(slot, number, size, in_pairs))


@kernel
def _store(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    one: int,
    in_pairs: bool,
    left_ns: int,
) -> None:
    """Store a page that is admitted."""
    size = wide(page[one, _SIZE])
    if size >= PARTS:
        register[SKIPPED] += 1
        return
    register[COMPRESSED] += 1
    if page[one, _SLOT] != _NONE:
        _unlink_page(page, one)
        _make_newest(page, one)
        register[OVERWRITTEN] += 1
        register[STORED] += 1
        return
    end = wide(page.shape[0]) - 1
    number = _find_room(slot, size, in_pairs)
    while number == _NONE and page[end, _NEWER] != end:
        _drop(page, slot, register, wide(page[end, _NEWER]), in_pairs, left_ns)
        register[RECLAIMED] += 1
        number = _find_room(slot, size, in_pairs)
    if number == _NONE:
        register[SKIPPED] += 1
        return
    if slot[number, _COUNT] == 0:
        register[SLOTS_USED] += 1
        register[CACHED_PAGE_NS] += left_ns
    first = wide(slot[number, _FIRST])
    page[one, _BEFORE] = _NONE
    page[one, _AFTER] = first
    if first != _NONE:
        page[first, _BEFORE] = one
    slot[number, _FIRST] = one
    page[one, _SLOT] = number
    slot[number, _COUNT] += 1
    slot[number, _USED] += size
    _move(slot, number, _list_for(slot, number, size, in_pairs))
    _make_newest(page, one)
    register[STORED] += 1
    register[CACHED] += 1
    register[PEAK_CACHED] = max(register[PEAK_CACHED], register[CACHED])


@kernel
def _restore(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    one: int,
    follows: bool,
    exclusive: bool,
    in_pairs: bool,
    left_ns: int,
) -> None:
    if page[one, _SLOT] == _NONE:
        register[MISSED] += 1
        if follows and one == register[LAST_MISSED] + 1:
            register[MISSED_SEQUENTIAL] += 1
        register[LAST_MISSED] = one
        return
    register[RESTORED] += 1
    register[DECOMPRESSED] += 1
    if exclusive:
        _drop(page, slot, register, one, in_pairs, left_ns)
    else:
        _unlink_page(page, one)
        _make_newest(page, one)


@kernel
def _reserve(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    first: int,
    end: int,
    in_pairs: bool,
    left_ns: int,
) -> None:
    """Drop what the slots of a block hold, and take them from the queue."""
    for number in range(first, end):
        while slot[number, _FIRST] != _NONE:
            _drop(page, slot, register, wide(slot[number, _FIRST]), in_pairs, left_ns)
            register[RECALLED] += 1
        _leave_list(slot, number)
        slot[number, _LIST] = _WITHHELD


@entry
def _begin(
    page: NDArray[np.int32], slot: NDArray[np.int32], sizes: NDArray[np.uint8], headroom: int
) -> None:
    end = wide(page.shape[0]) - 1
    page[:, _SLOT] = _NONE
    page[:end, _SIZE] = sizes
    page[end, _OLDER] = end
    page[end, _NEWER] = end
    for which in range(_LISTS):
        one = _end_of(slot, wide(which))
        slot[one, _PREV] = one
        slot[one, _NEXT] = one
    for number in range(_end_of(slot, 0)):
        slot[number, _FIRST] = _NONE
        slot[number, _LIST] = _WITHHELD
        if number >= headroom:
            _enter_list(slot, number, wide(_FREE), False)


@entry
def _replay(
    words: NDArray[np.int16],
    arguments: NDArray[np.int32],
    remaining_ns: NDArray[np.int64],
    inode_pages: NDArray[np.int32],
    sample_bins: NDArray[np.int32],
    block_pages: int,
    slots: int,
    series_steps: NDArray[np.int64],
    options: NDArray[np.int64],
    sizes: NDArray[np.uint8],
    tallies: NDArray[np.int64],
    samples: NDArray[np.int64],
    series: NDArray[np.int64],
) -> None:
    page = np.zeros((sizes.size + 1, _PAGE_COLUMNS), dtype=np.int32)
    slot = np.zeros((slots + _LISTS, _SLOT_COLUMNS), dtype=np.int32)
    register = np.zeros(REGISTERS, dtype=np.int64)
    register[LAST_MISSED] = -2
    headroom = wide(options[_HEADROOM])
    exclusive, in_pairs = options[_EXCLUSIVE] != 0, options[_IN_PAIRS] != 0
    _begin(page, slot, sizes, headroom)
    sampled, dropped = 0, 0
    for part in range(series.size):
        for step in range(series_steps[part], series_steps[part + 1]):
            word, left = wide(words[step]), wide(remaining_ns[step])
            kind, flag, first = word & 7, word & FLAG != 0, wide(arguments[step])
            end = first + (1 << (word >> ORDER_SHIFT))
            if kind == STORE:
                refused = options[_WORKINGSET_ONLY] != 0 and not flag
                for one in range(first, end):
                    if not refused:
                        _store(page, slot, register, wide(one), in_pairs, left)
                    elif page[one, _SLOT] != _NONE:
                        _drop(page, slot, register, wide(one), in_pairs, left)
                        register[STALE] += 1
                    else:
                        register[SKIPPED] += 1
            elif kind == RESTORE:
                for one in range(first, end):
                    follows = flag or one > first
                    _restore(page, slot, register, wide(one), follows, exclusive, in_pairs, left)
            elif kind == RESERVE:
                if first * block_pages >= headroom:
                    until = (first + 1) * block_pages
                    _reserve(page, slot, register, first * block_pages, until, in_pairs, left)
                if flag:
                    samples[sample_bins[sampled] + register[RECALLED] - dropped] += 1
                    dropped = register[RECALLED]
                    sampled += 1
            elif kind == RELEASE:
                if first * block_pages >= headroom:
                    for number in range(first * block_pages, (first + 1) * block_pages):
                        _enter_list(slot, wide(number), wide(_FREE), False)
            else:
                if kind != INVALIDATE:
                    first, end = wide(inode_pages[first, 0]), wide(inode_pages[first, 1])
                for one in range(first, end):
                    if page[one, _SLOT] != _NONE:
                        _drop(page, slot, register, wide(one), in_pairs, left)
                        register[INVALIDATED] += 1
        series[part] = register[SLOTS_USED]
    tallies[:] = register[: len(TALLIES)]
