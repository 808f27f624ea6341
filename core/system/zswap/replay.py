"""Zswap-like: evicted pages, compressed, several to a slot.

How far a page compresses is drawn: its size is the sum of a part that its file has and a part of
its own, both even between nothing and a page / `compression_ratio`, in sixteenths of a page. One
that needs all sixteen is turned away, as zswap does. `packing: zsmalloc` gives a slot to pages of
one size class, as many as fit (mm/zsmalloc.c with zspages of one page), `zbud` to two pages of any
(mm/zbud.c). Pages are reclaimed least recently used first until a slot has room; a reservation
drops what its slots hold. File pages are clean, and so are anonymous ones that are written through
to the swap device; of those that are written back, one that is turned away, reclaimed or recalled
is written first (mm/zswap.c, ``zswap_writeback_entry``), which no atomic allocation waits for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE, RESTORE, STORE
from core.eviction.queue import (
    COMPRESSED,
    DECOMPRESSED,
    FAILED_ATOMIC,
    INVALIDATED,
    LAST_MISSED,
    MISSED,
    MISSED_SEQUENTIAL,
    OVERWRITTEN,
    RECALLED,
    RECLAIMED,
    REGISTERS,
    RESTORED,
    SKIPPED,
    SLOTS_USED,
    STALE,
    STORED,
    TALLIES,
    WRITTEN,
    Register,
)
from core.jit import entry, kernel, wide
from core.policy import Admission, Anonymous, Packing, Policies, Restore, code
from core.random_bits import bits_of
from core.system.counted import Counted, nothing_counted
from core.system.zswap.slots import (
    DIRTY,
    FREE,
    HELD,
    LIST,
    LISTS,
    NEWER,
    NONE,
    PAGE_COLUMNS,
    PARTS,
    SIZE,
    SLOT,
    SLOT_COLUMNS,
    WITHHELD,
    begin,
    drop,
    enter_list,
    fill,
    find_room,
    leave_list,
    make_newest,
    unlink_page,
)
from core.timeline.prepare import FLAG, OF_SWAP, ORDER_BITS, ORDER_SHIFT, RELEASE, RESERVE, Timeline

# Columns of `options`.
_WORKINGSET_ONLY, _EXCLUSIVE, _HEADROOM, _IN_PAIRS, _WRITES_BACK, _OPTIONS = range(6)
# Columns of what is found of a sample.
_DROPPED, _WRITTEN = range(2)


def replay_zswap(timeline: Timeline, policies: Policies) -> Counted:
    """Return what lanes count.

    Raises
    ------
    ValueError
        When the timeline was not prepared for slots of several pages.
    """
    counted = nothing_counted(timeline, policies.lanes)
    for lane, found in enumerate(_replay_lanes(timeline, policies, counted)):
        bins = timeline.sample_bins + found[:, _DROPPED]
        counted.samples[lane] = np.bincount(bins, minlength=timeline.bins)
    return counted


def replay_with_swap(timeline: Timeline, policies: Policies) -> tuple[Timeline, Counted]:
    """Return what lanes count where anonymous pages are in the timeline, with classes of samples.

    A class has its pages written besides, and bins for as many dropped as were seen. A sample that
    would have to write in atomic context is none: its allocation fails.
    """
    counted = nothing_counted(timeline, policies.lanes)
    of_sample = np.searchsorted(timeline.classes[:, 2], timeline.sample_bins, side="right") - 1
    is_atomic = timeline.classes[of_sample, 0] == 1
    # Of each lane the samples that differ, (class, written, dropped), as one number, and how many.
    most = int(timeline.classes[:, 3].max(initial=1))
    lanes: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for lane, found in enumerate(_replay_lanes(timeline, policies, counted)):
        failed = is_atomic & (found[:, _WRITTEN] > 0)
        counted.tallies[lane, FAILED_ATOMIC] = failed.sum()
        keys = (of_sample * most + found[:, _WRITTEN]) * most + found[:, _DROPPED]
        lanes.append(np.unique(keys[~failed], return_counts=True))
    together = np.unique(np.concatenate([keys for keys, _ in lanes]))
    classes, of_key = np.unique(together // most, return_inverse=True)
    bins = np.zeros(classes.size, dtype=np.int64)
    np.maximum.at(bins, of_key, together % most + 1)
    first = np.cumsum(bins) - bins
    places = first[of_key] + together % most
    samples = np.zeros((policies.lanes, int(bins.sum())), dtype=np.int64)
    for lane, (keys, counts) in enumerate(lanes):
        samples[lane, places[np.searchsorted(together, keys)]] = counts
    kinds = timeline.classes[classes // most, :2]
    seen = timeline._replace(
        classes=np.column_stack([kinds, first, bins, classes % most]).astype(np.int64),
        sample_bins=np.empty(0, dtype=np.int32),
        bins=samples.shape[1],
    )
    return seen, counted._replace(samples=samples)


def _replay_lanes(
    timeline: Timeline, policies: Policies, counted: Counted
) -> Iterator[NDArray[np.int32]]:
    """Yield what is found of each lane's samples; the rest is in what it counts."""
    if timeline.pages_per_slot < PARTS:
        raise ValueError("zswap has a view of its own: replay_policy, or prepare_view")
    options = np.zeros((policies.lanes, _OPTIONS), dtype=np.int64)
    blocks = timeline.slots // timeline.block_pages
    headroom = np.floor(policies.headroom * blocks).astype(np.int64) * timeline.block_pages
    options[:, _WORKINGSET_ONLY] = policies.admission == code(Admission.WORKINGSET)
    options[:, _EXCLUSIVE] = policies.restore == code(Restore.EXCLUSIVE)
    options[:, _HEADROOM] = headroom
    options[:, _IN_PAIRS] = policies.packing == code(Packing.ZBUD)
    options[:, _WRITES_BACK] = policies.anonymous == code(Anonymous.WRITE_BACK)
    for lane in range(policies.lanes):
        sizes = compressed_sizes(
            timeline.page_keys,
            float(policies.compression_ratio[lane]),
            int(policies.seed[lane]),
        )
        found = np.zeros((timeline.sample_bins.size, 2), dtype=np.int32)
        _replay(
            timeline.word,
            timeline.page,
            timeline.remaining_ns,
            timeline.inode_pages,
            timeline.block_pages,
            timeline.slots,
            timeline.series_steps,
            options[lane],
            sizes,
            counted.tallies[lane],
            found,
            counted.series[lane],
        )
        yield found


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
def _store(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    one: int,
    in_pairs: bool,
    left_ns: int,
) -> bool:
    """Store a page that is admitted; return whether it is kept."""
    size = wide(page[one, SIZE])
    if size >= PARTS:
        register[SKIPPED] += 1
        return False
    register[COMPRESSED] += 1
    if page[one, SLOT] != NONE:
        unlink_page(page, one)
        make_newest(page, one)
        register[OVERWRITTEN] += 1
        register[STORED] += 1
        return True
    end = wide(page.shape[0]) - 1
    number = find_room(slot, size, in_pairs)
    while number == NONE and page[end, NEWER] != end:
        oldest = wide(page[end, NEWER])
        drop(page, slot, register, oldest, in_pairs, left_ns)
        register[RECLAIMED] += 1
        register[WRITTEN] += page[oldest, DIRTY]
        number = find_room(slot, size, in_pairs)
    if number == NONE:
        register[SKIPPED] += 1
        return False
    fill(page, slot, register, one, number, in_pairs, left_ns)
    register[STORED] += 1
    return True


@kernel
def _offer(
    page: NDArray[np.int32],
    slot: NDArray[np.int32],
    register: Register,
    options: NDArray[np.int64],
    one: int,
    is_workingset: bool,
    anonymous: bool,
    left_ns: int,
) -> None:
    """Offer a page that was evicted."""
    in_pairs = options[_IN_PAIRS] != 0
    kept = False
    if not options[_WORKINGSET_ONLY] or is_workingset:
        kept = _store(page, slot, register, one, in_pairs, left_ns)
    elif page[one, SLOT] != NONE:
        drop(page, slot, register, one, in_pairs, left_ns)
        register[STALE] += 1
    else:
        register[SKIPPED] += 1
    waits = anonymous and kept and options[_WRITES_BACK] != 0
    page[one, DIRTY] = 1 if waits else 0
    if anonymous and not waits:
        register[WRITTEN] += 1


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
    if page[one, SLOT] == NONE:
        register[MISSED] += 1
        if follows and one == register[LAST_MISSED] + 1:
            register[MISSED_SEQUENTIAL] += 1
        register[LAST_MISSED] = one
        return
    register[RESTORED] += 1
    register[DECOMPRESSED] += 1
    if exclusive:
        drop(page, slot, register, one, in_pairs, left_ns)
    else:
        unlink_page(page, one)
        make_newest(page, one)


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
        while slot[number, HELD] != NONE:
            one = wide(slot[number, HELD])
            drop(page, slot, register, one, in_pairs, left_ns)
            register[RECALLED] += 1
            register[WRITTEN] += page[one, DIRTY]
        leave_list(slot, number)
        slot[number, LIST] = WITHHELD


@entry
def _replay(
    words: NDArray[np.int16],
    arguments: NDArray[np.int32],
    remaining_ns: NDArray[np.int64],
    inode_pages: NDArray[np.int32],
    block_pages: int,
    slots: int,
    series_steps: NDArray[np.int64],
    options: NDArray[np.int64],
    sizes: NDArray[np.uint8],
    tallies: NDArray[np.int64],
    found: NDArray[np.int32],
    series: NDArray[np.int64],
) -> None:
    page = np.zeros((sizes.size + 1, PAGE_COLUMNS), dtype=np.int32)
    slot = np.zeros((slots + LISTS, SLOT_COLUMNS), dtype=np.int32)
    register = np.zeros(REGISTERS, dtype=np.int64)
    register[LAST_MISSED] = -2
    headroom = wide(options[_HEADROOM])
    exclusive, in_pairs = options[_EXCLUSIVE] != 0, options[_IN_PAIRS] != 0
    begin(page, slot, sizes, headroom)
    sampled = 0
    # What the blocks of one sample drop, and write.
    dropped, written = 0, 0
    for part in range(series.size):
        for step in range(series_steps[part], series_steps[part + 1]):
            word, left = wide(words[step]), wide(remaining_ns[step])
            kind, flag, first = word & 7, word & FLAG != 0, wide(arguments[step])
            end = first + (1 << (word >> ORDER_SHIFT & ORDER_BITS))
            anonymous = word & OF_SWAP != 0
            if kind == STORE:
                for one in range(first, end):
                    _offer(page, slot, register, options, wide(one), flag, anonymous, left)
            elif kind == RESTORE:
                # A page that is back from swap has left it: there is nothing to keep a copy of.
                leaves = exclusive or anonymous
                for one in range(first, end):
                    follows = flag or one > first
                    _restore(page, slot, register, wide(one), follows, leaves, in_pairs, left)
            elif kind == RESERVE:
                recalled, writes = wide(register[RECALLED]), wide(register[WRITTEN])
                if first * block_pages >= headroom:
                    until = (first + 1) * block_pages
                    _reserve(page, slot, register, first * block_pages, until, in_pairs, left)
                dropped += register[RECALLED] - recalled
                written += register[WRITTEN] - writes
                if flag:
                    found[sampled, _DROPPED] = dropped
                    found[sampled, _WRITTEN] = written
                    dropped, written = 0, 0
                    sampled += 1
            elif kind == RELEASE:
                if first * block_pages >= headroom:
                    for number in range(first * block_pages, (first + 1) * block_pages):
                        enter_list(slot, wide(number), wide(FREE), False)
            else:
                if kind != INVALIDATE:
                    first, end = wide(inode_pages[first, 0]), wide(inode_pages[first, 1])
                for one in range(first, end):
                    if page[one, SLOT] != NONE:
                        drop(page, slot, register, wide(one), in_pairs, left)
                        register[INVALIDATED] += 1
        series[part] = register[SLOTS_USED]
    tallies[:] = register[: len(TALLIES)]
