"""A timeline: an event table prepared for one machine, shared by every policy.

Which file page an event names, when a tag block is reserved or released, and what counts as a
refault are the same under every policy, so they are worked out once: a lane then replays file
events and block transitions alone (database-mglru: 272,000 steps of 338,900 events).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import (
    ALLOC,
    ATOMIC,
    FRAME_FREE,
    FRAME_TAGGED,
    FRAME_UNTAGGED,
    FREE,
    INVALIDATE,
    INVALIDATE_INODE,
    RESIZE,
    RESTORE,
    STORE,
    TAGGED,
    WORKINGSET,
    Events,
)
from core.jit import entry, kernel, wide
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine

# A step packs its kind in bits 0-2, a flag in bit 3 and the folio's order in bits 4-7.
RESERVE, RELEASE = 4, 5
FLAG = 8
ORDER_SHIFT = 4

FACTS = (
    "reservations",
    "releases",
    "peak_reserved",
    "freed_tagged_pages",
    "refaults",
    "offered_pages",
    "restore_pages",
    "restore_sequential_pages",
    "tagged_ns",
)
(
    RESERVATIONS,
    RELEASES,
    PEAK_RESERVED,
    FREED_TAGGED,
    REFAULTS,
    OFFERED,
    RESTORE_PAGES,
    RESTORE_SEQUENTIAL,
    TAGGED_NS,
) = range(len(FACTS))


class Timeline(NamedTuple):
    """The steps of a replay and what every policy shares; arrays are read-only.

    A step is a store, restore or invalidate (`page` is the folio's first page; the flag says
    workingset for a store and, for a restore, that the page before it in `page` order is its
    neighbour in the file), an invalidate_inode (`page` is a row of `inode_pages`), or a block
    reserved (the flag ends a sample of latency) or released (`page` is the block).
    """

    word: NDArray[np.int16]  # [step]
    page: NDArray[np.int32]  # [step]
    remaining_ns: NDArray[np.int64]  # [step] time from the step to the last event
    inode_pages: NDArray[np.int32]  # [invalidate_inode, (first, end)]
    sample_bins: NDArray[np.int32]  # [sample] bin of a sample of its class that drops no page
    classes: NDArray[np.int64]  # [class, (atomic, blocks, first bin, bins)]
    block_reserved_ns: NDArray[np.int64]  # [block]
    facts: NDArray[np.int64]  # [FACTS]
    amplification_ns: float  # integral of the amplification over the time with tagged pages
    inverse_ideal_ns: float  # the same of 1 / ceil(tagged / (32 b)): times B, the carve-out's
    pages: int  # distinct file pages
    max_order: int  # of file events
    span_ns: int
    bins: int  # bins of a latency histogram of one lane


def prepare(events: Events, machine: Machine, max_drop_order: int = 9) -> Timeline:
    """Return the timeline of `events` on `machine`.

    `max_drop_order` bounds the pages that one reserved slot can drop (``2**max_drop_order``).

    Raises
    ------
    ValueError
        When time x tag pages does not fit 63 bits (16 GiB for 19 hours).
    """
    span_ns = int(events.time_ns[-1] - events.time_ns[0]) if events.time_ns.size else 0
    if span_ns * machine.slots >= 2**63:
        raise ValueError(f"{span_ns} ns x {machine.slots} tag pages is beyond 2**63: cut the trace")
    keys = distinct_pages(events)
    page, adjacent, inode_pages = _locate(events, keys)
    word, argument, remaining, samples, reserved_ns, facts, ratios = _steps(
        *(events.time_ns, events.op, events.order, events.pfn, events.flags),
        *(page, adjacent, inode_pages, keys.size),
        *(machine.data_pages, machine.tag_block_pages, machine.tag_blocks),
    )
    classes, sample_class = np.unique(samples, axis=0, return_inverse=True)
    largest = np.minimum(classes[:, 1] * machine.tag_block_pages << max_drop_order, machine.slots)
    bins = largest + 1
    first = np.cumsum(bins) - bins
    table = np.column_stack([classes, first, bins]).astype(np.int64)
    file_orders = events.order[events.op < INVALIDATE_INODE]
    timeline = Timeline(
        word=word,
        page=argument,
        remaining_ns=remaining,
        inode_pages=inode_pages,
        sample_bins=first[sample_class.reshape(-1)].astype(np.int32),
        classes=table,
        block_reserved_ns=reserved_ns,
        facts=facts,
        amplification_ns=float(ratios[0]),
        inverse_ideal_ns=float(ratios[1]),
        pages=int(keys.size),
        max_order=int(file_orders.max()) if file_orders.size else 0,
        span_ns=span_ns,
        bins=int(bins.sum()),
    )
    for column in timeline:
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    return timeline


def distinct_pages(events: Events) -> NDArray[np.uint64]:
    """Return every file page that an event names as ``inode << 32 | index``, ascending.

    A folio's pages are consecutive in it, and its order is that of model.md: a page's place in
    this array is its number in a replay.
    """
    folios = events.op < INVALIDATE_INODE
    keys = _keys(events)
    parts = []
    for order in np.unique(events.order[folios]):
        first = np.unique(keys[folios & (events.order == order)])
        offsets = np.arange(1 << int(order), dtype=np.uint64)
        parts.append((first[:, None] + offsets).ravel())
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.uint64)


def _keys(events: Events) -> NDArray[np.uint64]:
    return (events.inode.astype(np.uint64) << np.uint64(32)) | events.index


def _locate(
    events: Events, keys: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32]]:
    """Return each event's page and whether the page before is its neighbour in the file; then
    the page range of each invalidate_inode.
    """
    page = np.searchsorted(keys, _keys(events)).astype(np.int32)
    inode = keys >> np.uint64(32)
    adjacent = np.zeros(keys.size + 1, dtype=np.bool_)
    adjacent[1:-1] = (np.diff(keys) == 1) & (inode[1:] == inode[:-1])
    files = events.op == INVALIDATE_INODE
    dropped = events.inode[files].astype(np.uint64)
    ranges = [np.searchsorted(inode, dropped, side) for side in ("left", "right")]
    page[files] = np.arange(dropped.size, dtype=np.int32)
    inode_pages = np.column_stack(ranges).astype(np.int32)
    restores = events.op == RESTORE
    event_adjacent = np.zeros(events.op.size, dtype=np.bool_)
    event_adjacent[restores] = adjacent[page[restores]]
    return page, event_adjacent, inode_pages


@entry
def _steps(
    time_ns: NDArray[np.int64],
    op: NDArray[np.uint8],
    order: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    flags: NDArray[np.uint8],
    page: NDArray[np.int32],
    adjacent: NDArray[np.bool_],
    inode_pages: NDArray[np.int32],
    pages: int,
    data_pages: int,
    tag_block_pages: int,
    tag_blocks: int,
) -> tuple[
    NDArray[np.int16],
    NDArray[np.int32],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
]:
    """Walk the events once: steps, samples [sample, (atomic, blocks)], occupancy and facts."""
    covered = DATA_PAGES_PER_TAG_PAGE * tag_block_pages
    capacity = 0
    for row in range(op.size):
        capacity += 1
        if op[row] == ALLOC or op[row] == FREE:
            capacity += ((1 << wide(order[row])) + covered - 1) // covered
    word = np.empty(capacity, dtype=np.int16)
    argument = np.empty(capacity, dtype=np.int32)
    remaining = np.empty(capacity, dtype=np.int64)
    samples = np.empty((capacity, 2), dtype=np.int64)
    facts = np.zeros(len(FACTS), dtype=np.int64)
    ratios = np.zeros(2, dtype=np.float64)
    frames = np.zeros(data_pages, dtype=np.uint8)
    counts = np.zeros(tag_blocks, dtype=np.int32)
    since = np.zeros(tag_blocks, dtype=np.int64)
    reserved_ns = np.zeros(tag_blocks, dtype=np.int64)
    offered = np.zeros(pages, dtype=np.uint8)
    steps, sampled, reserved, tagged, last_missed = 0, 0, 0, 0, -2
    end = time_ns[-1] if op.size else 0
    for row in range(op.size):
        kind = wide(op[row])
        left = end - time_ns[row]
        if row > 0 and tagged > 0:
            elapsed = time_ns[row] - time_ns[row - 1]
            ideal = (tagged + covered - 1) // covered
            facts[TAGGED_NS] += elapsed
            ratios[0] += elapsed * (reserved / ideal)
            ratios[1] += elapsed / ideal
        if kind < ALLOC:
            last_missed = _offer(
                kind, wide(order[row]), page[row], adjacent[row], last_missed, inode_pages,
                offered, facts,
            )  # fmt: skip
            flag = (kind == STORE and wide(flags[row]) & WORKINGSET != 0) or adjacent[row]
            depth = wide(order[row]) if kind < INVALIDATE_INODE else 0
            word[steps] = kind | (FLAG if flag else 0) | depth << ORDER_SHIFT
            argument[steps] = page[row]
            remaining[steps] = left
            steps += 1
            continue
        if kind == RESIZE:
            continue
        blocks = 0
        take_tag = kind == ALLOC and wide(flags[row]) & TAGGED != 0
        for frame in range(pfn[row], pfn[row] + (1 << wide(order[row]))):
            block = frame // covered
            if take_tag and frames[frame] != FRAME_TAGGED:
                if counts[block] == 0:
                    since[block] = left
                    blocks += 1
                    word[steps] = RESERVE
                    argument[steps] = block
                    remaining[steps] = left
                    steps += 1
                counts[block] += 1
                tagged += 1
            elif kind == FREE and frames[frame] == FRAME_TAGGED:
                counts[block] -= 1
                tagged -= 1
                facts[FREED_TAGGED] += 1
                if counts[block] == 0:
                    reserved_ns[block] += since[block] - left
                    reserved -= 1
                    facts[RELEASES] += 1
                    word[steps] = RELEASE
                    argument[steps] = block
                    remaining[steps] = left
                    steps += 1
            if kind == FREE:
                frames[frame] = FRAME_FREE
            else:
                frames[frame] = FRAME_TAGGED if take_tag else FRAME_UNTAGGED
        if blocks > 0:
            word[steps - 1] |= FLAG
            samples[sampled, 0] = 1 if wide(flags[row]) & ATOMIC else 0
            samples[sampled, 1] = blocks
            sampled += 1
            reserved += blocks
            facts[RESERVATIONS] += blocks
            facts[PEAK_RESERVED] = max(facts[PEAK_RESERVED], reserved)
    for block in range(tag_blocks):
        if counts[block] > 0:
            reserved_ns[block] += since[block]
    return (
        word[:steps].copy(),
        argument[:steps].copy(),
        remaining[:steps].copy(),
        samples[:sampled].copy(),
        reserved_ns,
        facts,
        ratios,
    )


@kernel
def _offer(
    kind: int,
    order: int,
    page: int,
    adjacent: bool,
    last_missed: int,
    inode_pages: NDArray[np.int32],
    offered: NDArray[np.uint8],
    facts: NDArray[np.int64],
) -> int:
    """Count what a file event means under every policy; return the page read last if all miss."""
    if kind == INVALIDATE_INODE:
        offered[inode_pages[page, 0] : inode_pages[page, 1]] = 0
        return last_missed
    size = 1 << order
    if kind == STORE:
        offered[page : page + size] = 1
        facts[OFFERED] += size
    elif kind == INVALIDATE:
        offered[page : page + size] = 0
    else:
        facts[RESTORE_PAGES] += size
        facts[RESTORE_SEQUENTIAL] += size - 1
        if adjacent and page == last_missed + 1:
            facts[RESTORE_SEQUENTIAL] += 1
        for wanted in range(page, page + size):
            facts[REFAULTS] += offered[wanted]
        last_missed = page + size - 1
    return last_missed
