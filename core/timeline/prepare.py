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
    FREE,
    INVALIDATE_INODE,
    RESTORE,
    STORE,
    WORKINGSET,
    Events,
    check_events,
    is_anonymous,
    without_anonymous,
)
from core.events import RESIZE as RESIZE_EVENT
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
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine
from core.policy import MAX_FOLIO_ORDER
from core.timeline.occupancy import Occupancy, occupy
from core.timeline.steps import FLAG, FRAMES, OF_SWAP, ORDER_SHIFT, RELEASE, RESERVE, RESIZE, Steps


class Region(NamedTuple):
    """A region of memory that is no tag storage: a hypervisor changes its size.

    By the `resize` events of a table; in one without, by turns between `most_pages`, with which it
    begins, and `least_pages`, every half `period_ns` (0: never).
    """

    most_pages: int
    least_pages: int
    period_ns: int


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

    A slot holds `pages_per_slot` pages at most; `every_frame`, if free frames are to be followed;
    `with_swap`, if anonymous pages are, which all but a zswap leave to the swap device.

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
    sizes = _sizes(events, region, span_ns) if region is not None else None
    slots, block_pages = machine.slots, machine.tag_block_pages
    if region is not None and sizes is not None:
        slots, block_pages = max(region.most_pages, int(sizes[1].max())), 1
        if slots >= 2**31:
            raise ValueError(f"a region of {slots} pages is beyond 2**31")
    if span_ns * slots >= 2**63:
        raise ValueError(f"{span_ns} ns x {slots} tag pages is beyond 2**63: cut the trace")
    keys = distinct_pages(events)
    page, adjacent, inode_pages = _locate(events, keys)
    occupancy = occupy(events, machine, region is None)
    if sizes is None:
        changes = _transitions(events, occupancy)
        if every_frame:
            changes = _with_frames(events, machine, changes)
        samples = occupancy.samples
    else:
        changes = _resizes(events, *sizes)
        samples = np.zeros((int((changes[2] & FLAG != 0).sum()), 2), dtype=np.int64)
    word, argument, remaining_ns = _steps(events, page, adjacent, changes)
    stores_and_restores = _offers(events.op, events.order, page, adjacent, inode_pages, keys.size)
    swapped = is_anonymous(events) & (events.op == STORE)
    classes, sample_class = np.unique(samples, axis=0, return_inverse=True)
    file_orders = events.order[events.op < INVALIDATE_INODE]
    max_order = int(file_orders.max()) if file_orders.size else 0
    # A reserved slot drops its unit at most; `bins` are for 0 to that many pages dropped.
    unit_order = min(max_order, MAX_FOLIO_ORDER)
    largest = np.minimum(classes[:, 1] * block_pages << unit_order, slots) * pages_per_slot
    bins = (largest if region is None else np.full_like(largest, slots)) + 1
    first = np.cumsum(bins) - bins
    timeline = Timeline(
        word,
        argument,
        remaining_ns,
        inode_pages,
        sample_bins=first[sample_class.reshape(-1)].astype(np.int32),
        classes=np.column_stack([classes, first, bins, np.zeros_like(bins)]).astype(np.int64),
        occupancy=occupancy,
        refaults=int(stores_and_restores[0]),
        offered_pages=int(stores_and_restores[1]),
        offered_anonymous_pages=int((1 << events.order[swapped].astype(np.int64)).sum()),
        has_swap=with_swap,
        restore_pages=int(stores_and_restores[2]),
        restore_sequential_pages=int(stores_and_restores[3]),
        page_keys=keys,
        pages=int(keys.size),
        max_order=max_order,
        span_ns=span_ns,
        bins=int(bins.sum()),
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


def distinct_pages(events: Events) -> NDArray[np.uint64]:
    """Return every file page that an event names as ``inode << 32 | index``, ascending.

    A folio's pages are consecutive in it, and its order is that of model.md: a page's place in
    this array is its number in a replay.
    """
    folios = events.op < INVALIDATE_INODE
    return folio_pages(_keys(events)[folios], events.order[folios])


def folio_pages(keys: NDArray[np.uint64], orders: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return every page of folios, given by first page and order, ascending and once each."""
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


#: Changes of tag storage or of a region: each one's row of the table, argument, word, and time.
Changes = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int16], NDArray[np.int64]]


def _transitions(events: Events, occupancy: Occupancy) -> Changes:
    words = np.where(occupancy.released, RELEASE, RESERVE) | np.where(occupancy.last, FLAG, 0)
    times = events.time_ns[occupancy.row]
    return occupancy.row, occupancy.block, words.astype(np.int16), times


def _with_frames(events: Events, machine: Machine, transitions: Changes) -> Changes:
    """Return transitions, and before those of their row the frames that its blocks lose or get."""
    rows = np.flatnonzero((events.op == ALLOC) | (events.op == FREE))
    row, block, order, freed = _frames(
        *(events.op, events.order, events.pfn, events.flags, rows, machine.data_pages),
        DATA_PAGES_PER_TAG_PAGE * machine.tag_block_pages,
    )
    words = (FRAMES | np.where(freed, FLAG, 0) | order << ORDER_SHIFT).astype(np.int16)
    rows, blocks, all_words, times = transitions
    merged = np.argsort(np.concatenate([row, rows]), kind="stable")
    return (
        np.concatenate([row, rows])[merged],
        np.concatenate([block, blocks])[merged],
        np.concatenate([words, all_words])[merged],
        np.concatenate([events.time_ns[row], times])[merged],
    )


@entry
def _frames(
    op: NDArray[np.uint8],
    orders: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    flags: NDArray[np.uint8],
    rows: NDArray[np.int64],
    data_pages: int,
    covered: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int16], NDArray[np.bool_]]:
    """Return the changes of free frames: row, block, log2 of how many, and whether they are free.

    A row has one for each piece of its frames in a block, whose size is a power of two.
    """
    most = 0
    for row in rows:
        most += 1 << wide(orders[row])
    at = np.empty(most, dtype=np.int64)
    blocks = np.empty(most, dtype=np.int32)
    sizes = np.empty(most, dtype=np.int16)
    freed = np.empty(most, dtype=np.bool_)
    used = np.zeros(data_pages, dtype=np.bool_)
    found = 0
    for row in rows:
        frees = op[row] == FREE
        frame, end = wide(pfn[row]), wide(pfn[row]) + (1 << wide(orders[row]))
        while frame < end:
            block = frame // covered
            until = min(end, (block + 1) * covered)
            changed = 0
            for one in range(frame, until):
                changed += 1 if used[one] == frees else 0
                used[one] = not frees
            order = 0
            while changed > 0:
                if changed & 1:
                    at[found], blocks[found] = row, block
                    sizes[found], freed[found] = order, frees
                    found += 1
                changed >>= 1
                order += 1
            frame = until
    return at[:found].copy(), blocks[:found].copy(), sizes[:found].copy(), freed[:found].copy()


def _sizes(
    events: Events, region: Region, span_ns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows before which a region gets new sizes, the sizes, and when."""
    rows = np.flatnonzero(events.op == RESIZE_EVENT)
    start = int(events.time_ns[0]) if events.time_ns.size else 0
    if rows.size or not region.period_ns:
        rows = np.concatenate([[0], rows])
        times = events.time_ns[rows] if events.time_ns.size else np.zeros(1, dtype=np.int64)
        return rows, np.concatenate([[region.most_pages], events.pfn[rows[1:]]]), times
    half = max(1, region.period_ns // 2)
    times = start + half * np.arange(span_ns // half + 1)
    rows = np.searchsorted(events.time_ns, times, side="left")
    turns = np.arange(times.size) % 2 == 0
    return rows, np.where(turns, region.most_pages, region.least_pages), times


def _resizes(
    events: Events, rows: NDArray[np.int64], sizes: NDArray[np.int64], times: NDArray[np.int64]
) -> Changes:
    shrinks = np.diff(sizes, prepend=sizes[:1]) < 0
    words = RESIZE | np.where(shrinks, FLAG, 0)
    return rows, sizes.astype(np.int32), words.astype(np.int16), times


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
    change_rows, arguments, change_words, times = changes
    # Changes come before a file event of their row; those of one row keep their order.
    merged = np.argsort(np.concatenate([change_rows, rows]), kind="stable")
    end = events.time_ns[-1] if events.time_ns.size else 0
    return (
        np.concatenate([change_words, words]).astype(np.int16)[merged],
        np.concatenate([arguments, page[rows]]).astype(np.int32)[merged],
        (end - np.concatenate([times, events.time_ns[rows]]))[merged],
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
