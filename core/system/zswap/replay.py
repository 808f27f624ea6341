"""Zswap-like: evicted pages, compressed, several to a slot.

How far a page compresses is drawn. Its size is the sum of two draws, one for its file and one for
the page, both even between nothing and a page / `compression_ratio`, in sixteenths of a page. A
page that needs all sixteen is turned away, as zswap does.

With `packing: zsmalloc` a slot holds pages of one size class, as many as fit (mm/zsmalloc.c with
zspages of one page); with `zbud` it holds two pages of any size (mm/zbud.c). Where no slot has
room, the least recently used pages are reclaimed. A reservation drops what its slots hold.

File pages are clean, and so are anonymous pages that are written through to the swap device. An
anonymous page that is to be written back is written when it is turned away, reclaimed or recalled
(mm/zswap.c, ``zswap_writeback_entry``); no atomic allocation waits for that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE_INODE, RESTORE, STORE
from core.jit import entry, kernel, wide
from core.lane import (
    CACHED,
    FAILED_ATOMIC,
    PEAK_CACHED,
    RECALLED,
    RECLAIMED,
    REGISTERS,
    SAMPLED,
    SAMPLED_BLOCKS,
    SAMPLED_DROPPED,
    SAMPLED_WRITTEN,
    SKIPPED,
    STORED,
    WAITED_RECLAIMED,
    WAITED_STORED,
    WRITTEN,
    Register,
)
from core.policy import Policies, headroom_blocks
from core.random_bits import bits_of
from core.system.contract import Counted, count_missed, nothing_counted
from core.system.zswap.pages import Options, invalidate, offer, restore
from core.system.zswap.slots import (
    DIRTY,
    FREE,
    HELD,
    LIST,
    LISTS,
    NONE,
    PAGE_COLUMNS,
    PARTS,
    SLOT_COLUMNS,
    SLOTS_USED,
    WITHHELD,
    Compressed,
    begin,
    drop,
    enter_list,
    leave_list,
)
from core.timeline.prepare import Timeline
from core.timeline.steps import (
    IN_ATOMIC,
    OF_SWAP,
    ON_DISK,
    RELEASE,
    RESERVE,
    WAITED,
    Steps,
    is_flagged,
    kind_of,
    order_of,
)

# Columns of what each sample of latency dropped, and wrote to the swap device.
_DROPPED, _WRITTEN = range(2)


def replay_zswap(timeline: Timeline, policies: Policies) -> tuple[Timeline, Counted]:
    """Return what lanes count.

    Raises
    ------
    ValueError
        When the timeline was not prepared for slots of several pages.
    """
    if timeline.pages_per_slot < PARTS:
        raise ValueError("a zswap has a view of its own: prepare the timeline that it shows")
    if timeline.has_swap:
        return _replay_with_swap(timeline, policies)
    counted = nothing_counted(timeline, policies.size)
    first = int(timeline.counted_in_warm_up(timeline.samples))
    for lane, samples in enumerate(_replay_lanes(timeline, policies, counted)):
        bins = (timeline.sample_bins + samples[:, _DROPPED])[first:]
        counted.samples[lane] = np.bincount(bins, minlength=timeline.bins)
    count_missed(timeline, counted)
    return timeline, counted


def _replay_with_swap(timeline: Timeline, policies: Policies) -> tuple[Timeline, Counted]:
    """Return what lanes count where anonymous pages are in the timeline, with classes of samples.

    A class has its pages written besides, and bins for as many dropped as were seen. A sample that
    would have to write in atomic context is none: its allocation fails.
    """
    counted = nothing_counted(timeline, policies.size)
    first_sample = int(timeline.counted_in_warm_up(timeline.samples))
    first_bins = timeline.sample_bins[first_sample:]
    of_sample = np.searchsorted(timeline.classes[:, 2], first_bins, side="right") - 1
    is_atomic = timeline.classes[of_sample, 0] == 1
    # Of each lane the samples that differ, (class, written, dropped), as one number, and how many.
    most = int(timeline.classes[:, 3].max(initial=1))
    lanes: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for samples_of_all in _replay_lanes(timeline, policies, counted):
        samples = samples_of_all[first_sample:]
        failed = is_atomic & (samples[:, _WRITTEN] > 0)
        keys = (of_sample * most + samples[:, _WRITTEN]) * most + samples[:, _DROPPED]
        lanes.append(np.unique(keys[~failed], return_counts=True))
    together = np.unique(np.concatenate([keys for keys, _ in lanes]))
    classes, of_key = np.unique(together // most, return_inverse=True)
    bins = np.zeros(classes.size, dtype=np.int64)
    np.maximum.at(bins, of_key, together % most + 1)
    first = np.cumsum(bins) - bins
    places = first[of_key] + together % most
    tallied = np.zeros((policies.size, int(bins.sum())), dtype=np.int64)
    for lane, (keys, counts) in enumerate(lanes):
        tallied[lane, places[np.searchsorted(together, keys)]] = counts
    kinds = timeline.classes[classes // most, :2]
    seen = timeline._replace(
        classes=np.column_stack([kinds, first, bins, classes % most, np.zeros_like(bins)]).astype(
            np.int64
        ),
        sample_bins=np.empty(0, dtype=np.int32),
        bins=tallied.shape[1],
    )
    count_missed(timeline, counted)
    return seen, counted._replace(samples=tallied)


def _replay_lanes(
    timeline: Timeline, policies: Policies, counted: Counted
) -> Iterator[NDArray[np.int32]]:
    """Count lane after lane, and yield what each of its samples dropped and wrote."""
    blocks = timeline.slots // timeline.block_pages
    for lane, policy in enumerate(policies):
        headroom = int(headroom_blocks(policy["headroom"], blocks)) * timeline.block_pages
        options = Options(
            workingset_only=policy["admission"] == "workingset",
            exclusive=policy["restore"] == "exclusive",
            headroom_slots=headroom,
            writes_back=policy["anonymous"] == "write_back",
            mapped_only=policy["offer"] == "mapped",
            looks_up_prefix=policy["lookup"] == "prefix",
        )
        ratio, seed = float(policy["compression_ratio"]), int(policy["seed"])
        sizes = compressed_sizes(timeline.page_keys, ratio, seed)
        state = Compressed(
            pages=np.zeros((sizes.size + 1, PAGE_COLUMNS), dtype=np.int32),
            slots=np.zeros((timeline.slots + LISTS, SLOT_COLUMNS), dtype=np.int32),
            register=np.zeros(REGISTERS, dtype=np.int64),
            in_pairs=policy["packing"] == "zbud",
        )
        begin(state, sizes, headroom)
        samples = np.zeros((timeline.sample_bins.size, 2), dtype=np.int32)
        _replay(
            *(timeline.steps, timeline.block_pages, options, state),
            *(samples, counted.tallies[lane], timeline.marks.points, counted.series[lane]),
        )
        yield samples


@entry
def compressed_sizes(keys: NDArray[np.uint64], ratio: float, seed: int) -> NDArray[np.uint8]:
    """Return what each page compresses to, in sixteenths of a page.  # [page]

    Parameters
    ----------
    keys
        The pages as ``inode << 32 | index``.  # [page]
    ratio
        Mean of a page's size over that of its compressed copy.
    seed
        Of the draws.
    """
    sizes = np.empty(keys.size, dtype=np.uint8)
    for page in range(keys.size):
        inode, index = wide(keys[page] >> np.uint64(32)), wide(keys[page] & np.uint64(0xFFFFFFFF))
        of_file = bits_of(seed, inode)
        drawn = of_file + bits_of(of_file, index)
        sizes[page] = min(PARTS, 1 + int(drawn * PARTS / (ratio * 4294967296.0)))
    return sizes


@kernel
def _reserve(state: Compressed, first: int, end: int, left_ns: int) -> None:
    """Drop what the slots of a block hold, and take them from the queue."""
    slots, register = state.slots, state.register
    for slot in range(first, end):
        while slots[slot, HELD] != NONE:
            page = wide(slots[slot, HELD])
            drop(state, page, left_ns)
            register[RECALLED] += 1
            register[WRITTEN] += state.pages[page, DIRTY]
        leave_list(slots, slot)
        slots[slot, LIST] = WITHHELD


@kernel
def _replay_file_event(
    steps: Steps, options: Options, state: Compressed, word: int, first: int, left_ns: int
) -> None:
    """Replay a store, a restore or an invalidate."""
    kind, anonymous = kind_of(word), word & OF_SWAP != 0
    register = state.register
    end = first + (1 << order_of(word))
    if kind == STORE:
        stored, reclaimed = wide(register[STORED]), wide(register[RECLAIMED])
        if options.mapped_only and not anonymous and word & ON_DISK == 0:
            invalidate(state, first, end, left_ns)
            register[SKIPPED] += end - first
        else:
            for page in range(first, end):
                offer(state, options, wide(page), is_flagged(word), anonymous, left_ns)
        if word & WAITED:
            register[WAITED_STORED] += register[STORED] - stored
            register[WAITED_RECLAIMED] += register[RECLAIMED] - reclaimed
    elif kind == RESTORE:
        restore(state, options, word, first, anonymous, left_ns)
    elif kind == INVALIDATE_INODE:
        pages = steps.inode_pages
        invalidate(state, wide(pages[first, 0]), wide(pages[first, 1]), left_ns)
    else:
        invalidate(state, first, end, left_ns)


@entry
def _replay(
    steps: Steps,
    block_pages: int,
    options: Options,
    state: Compressed,
    samples: NDArray[np.int32],  # [sample, (dropped, written)]
    tallies: NDArray[np.int64],  # [mark, tally]
    points: NDArray[np.int64],  # [point] the mark of each
    series: NDArray[np.int64],  # [point]
) -> None:
    register = state.register
    sample, point = 0, 0
    # The blocks of one sample, and what they drop and write.
    blocks, dropped, written = 0, 0, 0
    for mark in range(tallies.shape[0]):
        for step in range(steps.mark_steps[mark], steps.mark_steps[mark + 1]):
            word, left_ns = wide(steps.word[step]), wide(steps.remaining_ns[step])
            kind, argument = kind_of(word), wide(steps.argument[step])
            first = argument * block_pages
            if kind <= INVALIDATE_INODE:
                _replay_file_event(steps, options, state, word, argument, left_ns)
            elif kind == RESERVE:
                recalled, writes = wide(register[RECALLED]), wide(register[WRITTEN])
                if first >= options.headroom_slots:
                    _reserve(state, first, first + block_pages, left_ns)
                dropped += register[RECALLED] - recalled
                written += register[WRITTEN] - writes
                blocks += 1
                if is_flagged(word):
                    samples[sample, _DROPPED] = dropped
                    samples[sample, _WRITTEN] = written
                    _count_sample(register, word, blocks, dropped, written)
                    blocks, dropped, written = 0, 0, 0
                    sample += 1
            elif kind == RELEASE and first >= options.headroom_slots:
                for slot in range(first, first + block_pages):
                    enter_list(state.slots, wide(slot), wide(FREE), False)
        tallies[mark] = register[: tallies.shape[1]]
        while point < points.size and points[point] == mark:
            series[point] = register[SLOTS_USED]
            point += 1
        if mark + 1 == steps.warm_up_marks:
            register[PEAK_CACHED] = register[CACHED]


@kernel
def _count_sample(register: Register, word: int, blocks: int, dropped: int, written: int) -> None:
    """Count what an allocation waited for; an atomic one cannot wait for writes, and fails."""
    if word & IN_ATOMIC and written > 0:
        register[FAILED_ATOMIC] += 1
        return
    register[SAMPLED] += 1
    register[SAMPLED_BLOCKS] += blocks
    register[SAMPLED_DROPPED] += dropped
    register[SAMPLED_WRITTEN] += written
