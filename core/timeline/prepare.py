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
    INVALIDATE_INODE,
    RESTORE,
    STORE,
    WORKINGSET,
    Events,
    check_events,
    is_anonymous,
    without_anonymous,
)
from core.jit import entry, wide
from core.lane import (
    LAST_MISSED,
    MISSED,
    MISSED_SEQUENTIAL,
    NO_PAGE_MISSED,
    REGISTERS,
    SERIES_POINTS,
    count_miss,
)
from core.machine import Machine
from core.policy import MAX_FOLIO_ORDER
from core.timeline.changes import Changes, Region, block_changes, region_changes, with_frames
from core.timeline.occupancy import Occupancy, occupy
from core.timeline.steps import FLAG, OF_SWAP, ORDER_SHIFT, Steps


class Timeline(NamedTuple):
    """The steps of a replay and what every policy shares; arrays are read-only.

    `Steps` says what `word` and `argument` of a step are.
    """

    word: NDArray[np.int16]  # [step]
    argument: NDArray[np.int32]  # [step]
    remaining_ns: NDArray[np.int64]  # [step] time from the step to the last event
    inode_pages: NDArray[np.int32]  # [invalidate_inode, (first, end)]
    sample_bins: NDArray[np.int32]  # [sample] bin of a sample of its class that drops no page
    classes: NDArray[np.int64]  # [class, (atomic, blocks, first bin, bins, pages written)]
    occupancy: Occupancy
    refaults: int
    offered_pages: int  # by stores
    offered_anonymous_pages: int
    has_swap: bool  # whether anonymous pages are in it
    restore_pages: int
    restore_sequential_pages: int  # that follow the page before, if all are missed
    page_keys: NDArray[np.uint64]  # [page] inode << 32 | index
    pages: int  # distinct file pages
    max_order: int  # of file events
    span_ns: int
    bins: int  # bins of a latency histogram of one lane
    slots: int  # tag pages, or pages of the region at most
    pages_per_slot: int  # that a latency histogram has bins for
    block_pages: int
    is_region: bool  # whether slots are a region's, and no tag storage
    series_steps: NDArray[np.int64]  # [point + 1] steps up to each moment of a series

    @property
    def steps(self) -> Steps:
        """The steps, as kernels take them."""
        return Steps(*(getattr(self, name) for name in Steps._fields))


def prepare(
    events: Events,
    machine: Machine,
    region: Region | None = None,
    pages_per_slot: int = 1,
    every_frame: bool = False,
    with_swap: bool = False,
) -> Timeline:
    """Return the timeline of `events` on `machine`, for its tag storage or for a region.

    Parameters
    ----------
    events
        The table.
    machine
        The machine.
    region
        A hypervisor's region in place of the tag storage.
    pages_per_slot
        Pages that a slot holds at most.
    every_frame
        Whether allocations and frees of frames become steps too.
    with_swap
        Whether the pages of a swap device are in it; all systems but a zswap leave them to the
        device.

    Raises
    ------
    EventsError
        When a frame falls outside the machine.
    ValueError
        When time x tag pages does not fit 63 bits (16 GiB for 19 hours).
    """
    if events.data_pages > machine.data_pages:
        check_events(events, machine.data_pages, events.source)
    if not with_swap:
        events = without_anonymous(events)
    span_ns = int(events.time_ns[-1]) - int(events.time_ns[0]) if events.time_ns.size else 0
    occupancy = occupy(events, machine, region is None)
    slots, block_pages = machine.slots, machine.tag_block_pages
    if region is None:
        changes, samples = block_changes(events, occupancy), occupancy.samples
        if every_frame:
            changes = with_frames(events, machine, changes)
    else:
        changes = region_changes(events, region, span_ns)
        # Shrinking is one sample of latency each, of no block, and never atomic.
        samples = np.zeros((int((changes.word & FLAG != 0).sum()), 2), dtype=np.int64)
        slots, block_pages = max(region.most_pages, int(changes.argument.max())), 1
    if span_ns * slots >= 2**63:
        raise ValueError(f"{span_ns} ns x {slots} tag pages is beyond 2**63: cut the trace")
    keys = distinct_pages(events)
    page, adjacent, inode_pages = _locate(events, keys)
    word, argument, remaining_ns = _steps(events, page, adjacent, changes)
    refaults, offered, restored, sequential = _offers(
        *(events.op, events.order, page, adjacent, inode_pages, keys.size)
    )
    max_order = int(events.order[events.op < INVALIDATE_INODE].max(initial=0))
    # A reserved slot drops the units of its pages at most.
    block_drops = (block_pages << min(max_order, MAX_FOLIO_ORDER)) * pages_per_slot
    classes, sample_bins = _sample_classes(samples, block_drops, slots * pages_per_slot)
    timeline = Timeline(
        word,
        argument,
        remaining_ns,
        inode_pages,
        sample_bins=sample_bins,
        classes=classes,
        occupancy=occupancy,
        refaults=int(refaults),
        offered_pages=int(offered),
        offered_anonymous_pages=_offered_anonymous_pages(events),
        has_swap=with_swap,
        restore_pages=int(restored),
        restore_sequential_pages=int(sequential),
        page_keys=keys,
        pages=int(keys.size),
        max_order=max_order,
        span_ns=span_ns,
        bins=int(classes[:, 3].sum()),
        slots=slots,
        pages_per_slot=pages_per_slot,
        block_pages=block_pages,
        is_region=region is not None,
        series_steps=_series_steps(remaining_ns, span_ns),
    )
    for column in timeline:
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    return timeline


def _offered_anonymous_pages(events: Events) -> int:
    swapped = is_anonymous(events) & (events.op == STORE)
    return int((1 << events.order[swapped].astype(np.int64)).sum())


def _sample_classes(
    samples: NDArray[np.int64], block_drops: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the classes of a latency histogram, and the first bin of each sample's class.

    A class is of samples that are equal in (atomic, blocks). It has a bin for each number of pages
    that such a sample can drop: `block_drops` for each of its blocks, and `most` at most. A sample
    without a block is a region's, which can drop `most`.
    """
    pairs, class_of = np.unique(samples, axis=0, return_inverse=True)
    drops = np.minimum(pairs[:, 1] * block_drops, most)
    bins = np.where(pairs[:, 1] == 0, most, drops) + 1
    first = np.cumsum(bins) - bins
    classes = np.column_stack([pairs, first, bins, np.zeros_like(bins)]).astype(np.int64)
    return classes, first[class_of.reshape(-1)].astype(np.int32)


def distinct_pages(events: Events) -> NDArray[np.uint64]:
    """Return every file page that an event names as ``inode << 32 | index``, ascending.

    A folio's pages are consecutive in it, and its order is that of model.md: a page's place in
    this array is its number in a replay.
    """
    folios = events.op < INVALIDATE_INODE
    return folio_pages(_keys(events)[folios], events.order[folios])


def folio_pages(keys: NDArray[np.uint64], orders: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return every page of some folios, ascending and once each.

    Parameters
    ----------
    keys, orders
        The first page of each folio as ``inode << 32 | index``, and its order.  # each [folio]
    """
    parts = []
    for order in np.unique(orders):
        first = np.unique(keys[orders == order])
        offsets = np.arange(1 << int(order), dtype=np.uint64)
        parts.append((first[:, None] + offsets).ravel())
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.uint64)


def _keys(events: Events) -> NDArray[np.uint64]:
    return (events.inode.astype(np.uint64) << np.uint64(32)) | events.index


def _locate(
    events: Events, keys: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32]]:
    """Return the number of each event's first page, and what lies beside it.

    That is, whether the page before it in number is its neighbour in the file, and the range of
    pages of each invalidate_inode, whose "page" is a row of those ranges.
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


def _steps(
    events: Events, page: NDArray[np.int32], adjacent: NDArray[np.bool_], changes: Changes
) -> tuple[NDArray[np.int16], NDArray[np.int32], NDArray[np.int64]]:
    """Return the word, argument and remaining time of file events and changes, in order."""
    rows = np.flatnonzero(events.op <= INVALIDATE_INODE)
    op = events.op[rows].astype(np.int16)
    order = np.where(op == INVALIDATE_INODE, 0, events.order[rows]).astype(np.int16)
    flag = ((op == STORE) & (events.flags[rows] & WORKINGSET != 0)) | adjacent[rows]
    words = op | np.where(flag, FLAG, 0).astype(np.int16) | order << ORDER_SHIFT
    words |= np.where(is_anonymous(events)[rows], OF_SWAP, 0).astype(np.int16)
    # Changes come before a file event of their row; those of one row keep their order.
    merged = np.argsort(np.concatenate([changes.row, rows]), kind="stable")
    end = events.time_ns[-1] if events.time_ns.size else 0
    return (
        np.concatenate([changes.word, words]).astype(np.int16)[merged],
        np.concatenate([changes.argument, page[rows]]).astype(np.int32)[merged],
        (end - np.concatenate([changes.time_ns, events.time_ns[rows]]))[merged],
    )


def _series_steps(remaining_ns: NDArray[np.int64], span_ns: int) -> NDArray[np.int64]:
    left = [span_ns - span_ns * (point + 1) // SERIES_POINTS for point in range(SERIES_POINTS)]
    # `remaining_ns` descends: steps that have more time left than a moment come before it.
    steps = remaining_ns.size - np.searchsorted(remaining_ns[::-1], left, side="left")
    return np.concatenate([[0], steps]).astype(np.int64)


@entry
def _offers(
    op: NDArray[np.uint8],
    order: NDArray[np.uint8],
    first_page: NDArray[np.int32],
    adjacent: NDArray[np.bool_],
    inode_pages: NDArray[np.int32],
    pages: int,
) -> tuple[int, int, int, int]:
    """Return pages refaulted, offered by stores, restored, and of these the sequential ones.

    The last two are what is read, and read in sequence, if every restore misses.
    """
    offered = np.zeros(pages, dtype=np.uint8)
    refaults, stored = 0, 0
    all_missed = np.zeros(REGISTERS, dtype=np.int64)
    all_missed[LAST_MISSED] = NO_PAGE_MISSED
    for row in range(op.size):
        kind = wide(op[row])
        if kind > INVALIDATE_INODE:
            continue
        first = wide(first_page[row])
        if kind == INVALIDATE_INODE:
            for page in range(inode_pages[first, 0], inode_pages[first, 1]):
                offered[page] = 0
            continue
        size = 1 << wide(order[row])
        if kind == RESTORE:
            for page in range(first, first + size):
                count_miss(all_missed, page, adjacent[row] or page > first)
                refaults += wide(offered[page])
        else:
            if kind == STORE:
                stored += size
            for page in range(first, first + size):
                offered[page] = 1 if kind == STORE else 0
    return refaults, stored, wide(all_missed[MISSED]), wide(all_missed[MISSED_SEQUENTIAL])
