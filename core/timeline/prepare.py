"""A timeline: an event table prepared for one machine, shared by every policy.

Which file page an event names, when a tag block is reserved or released, and what counts as a
refault are the same under every policy, so they are worked out once: a lane then replays file
events and block transitions alone (database-mglru-256w: 270,172 steps of 337,072 events).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import (
    INVALIDATE_INODE,
    MAPPED,
    PHASE,
    RESTORE,
    STORE,
    WORKINGSET,
    Events,
    EventsError,
    check_events,
    clock_of,
    is_anonymous,
    rows_of,
)
from core.lane import MISSED, SKIPPED
from core.machine import Machine
from core.policy import MAX_FOLIO_ORDER
from core.timeline.all_missed import count_all_missed
from core.timeline.changes import Changes, Region, block_changes, region_changes, with_frames
from core.timeline.marks import Marks, end_of_part, mark_rows
from core.timeline.occupancy import Occupancy, occupy
from core.timeline.pages import distinct_pages, page_keys
from core.timeline.refaults import count_refaults
from core.timeline.requests import Requests, find_requests
from core.timeline.steps import (
    BEGINS,
    ENDS,
    FLAG,
    KIND_BITS,
    OF_SWAP,
    ON_DISK,
    ORDER_SHIFT,
    RELEASE,
    RESERVE,
    RESIZE,
    WAITED,
    Steps,
)


class Recorded(NamedTuple):
    """What of a table was recorded, and what is guessed: see `core.events.Events`."""

    requests: bool
    mapped: bool
    workingset_inferred_ratio: float


class Timeline(NamedTuple):
    """The steps of a replay and what every policy shares; arrays are read-only.

    `Steps` says what `word` and `argument` of a step are.
    """

    word: NDArray[np.int16]  # [step]
    argument: NDArray[np.int32]  # [step]
    remaining_ns: NDArray[np.int64]  # [step] time that counts from the step to the last event
    inode_pages: NDArray[np.int32]  # [invalidate_inode, (first, end)]
    sample_bins: NDArray[np.int32]  # [sample] bin of a sample of its class that drops no page
    mark_steps: NDArray[np.int64]  # [mark + 1] steps up to each mark
    warm_up_marks: int  # marks up to the end of the warm-up; 0: there is none
    marks: Marks
    all_missed: NDArray[np.int64]  # [mark, tally] what is counted if every restore misses
    # [mark] allocations that reserve blocks, these blocks, and tagged pages freed, up to it
    samples: NDArray[np.int64]
    reservations: NDArray[np.int64]
    freed_tagged_pages: NDArray[np.int64]
    reserved_series: NDArray[np.int64]  # [point] pages of tag storage that hold something else
    # [class, (atomic, blocks, first bin, bins, pages written, pages migrated)]
    classes: NDArray[np.int64]
    occupancy: Occupancy
    refaults: int
    has_swap: bool  # whether anonymous pages are in it
    recorded: Recorded
    page_keys: NDArray[np.uint64]  # [page] inode << 32 | index
    pages: int  # distinct file pages
    max_order: int  # of file events
    start_ns: int
    span_ns: int
    bins: int  # bins of a latency histogram of one lane
    slots: int  # tag pages, or pages of the region at most
    pages_per_slot: int  # that a latency histogram has bins for
    block_pages: int
    is_region: bool  # whether slots are a region's, and no tag storage
    warm_up_parts: int  # equal parts of the time that are replayed and do not count

    @property
    def steps(self) -> Steps:
        """The steps, as kernels take them."""
        return Steps(*(getattr(self, name) for name in Steps._fields))

    @property
    def counted_ns(self) -> int:
        """The time that counts: all of it but the warm-up."""
        return self.span_ns - end_of_part(self.warm_up_parts, 0, self.span_ns)

    def counted_in_warm_up(self, upto_marks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what of counts up to each mark lies in the warm-up.  # [..., mark] to [...]"""
        if not self.warm_up_marks:
            return np.zeros(upto_marks.shape[:-1], dtype=np.int64)
        return upto_marks[..., self.warm_up_marks - 1]

    @property
    def restore_pages(self) -> int:
        """Pages that restores name."""
        return int(self.all_missed[-1, MISSED])

    @property
    def offered_pages(self) -> int:
        """Pages that stores offer."""
        return int(self.all_missed[-1, SKIPPED])


def prepare(
    events: Events,
    machine: Machine,
    region: Region | None = None,
    pages_per_slot: int = 1,
    every_frame: bool = False,
    with_swap: bool = False,
    clock: tuple[int, int] | None = None,
    warm_up_parts: int = 0,
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
        Whether the pages of a swap device are in it, which all but a zswap leave to the device.
    clock
        When its time begins and ends; by default at the first and the last row that is no phase.
    warm_up_parts
        The first parts of its time, of `SERIES_POINTS`, that are replayed and do not count.

    Raises
    ------
    EventsError
        When a frame falls outside the machine; or when time x tag pages does not fit 63 bits (16
        GiB for 19 hours).
    """
    if events.data_pages > machine.data_pages:
        check_events(events, machine.data_pages, events.source)
    start_ns, end_ns = clock or clock_of(events)
    span_ns = end_ns - start_ns
    events, requests, phase_rows, phases = _without_phases(events, with_swap)
    marks = mark_rows(events.time_ns, start_ns, end_ns, phase_rows, phases)
    warm_up = marks.warm_up(warm_up_parts)
    occupancy = occupy(events, machine, end_ns, region is None, warm_up.end_ns)
    slots, block_pages = machine.slots, machine.tag_block_pages
    if region is None:
        changes, samples = block_changes(events, occupancy), occupancy.samples
        changes = with_frames(events, machine, changes) if every_frame else changes
    else:
        changes, samples = _region(events, region, start_ns, span_ns)
        slots, block_pages = max(region.most_pages, int(changes.argument.max())), 1
    if span_ns * slots >= 2**63:
        what = f"{span_ns} ns x {slots} tag pages is beyond 2**63: cut the trace"
        raise EventsError(what, file=events.source)
    keys = distinct_pages(events)
    page, adjacent, inode_pages = _locate(events, keys)
    word, argument, left, step_row = _steps(events, page, adjacent, requests, changes, end_ns)
    mark_steps = _mark_steps(marks, step_row, left, span_ns)
    # What is added up over time so begins with the end of the warm-up, and the state there.
    left = left if warm_up.end_ns is None else np.minimum(left, end_ns - warm_up.end_ns)
    max_order = int(events.order[events.op < INVALIDATE_INODE].max(initial=0))
    # A reserved slot drops the units of its pages at most.
    block_drops = (block_pages << min(max_order, MAX_FOLIO_ORDER)) * pages_per_slot
    classes, sample_bins = _sample_classes(samples, block_drops, slots * pages_per_slot)
    steps = Steps(word, argument, left, inode_pages, sample_bins, mark_steps, warm_up.marks)
    timeline = Timeline(
        *steps,
        marks,
        count_all_missed(steps),
        *_counted(steps, marks, occupancy),
        _reserved_pages(word, argument, slots, block_pages)[mark_steps[1:][marks.points]],
        classes=classes,
        occupancy=occupancy,
        refaults=count_refaults(events, page, inode_pages, int(keys.size), warm_up.rows),
        has_swap=with_swap,
        recorded=Recorded(events.requests, events.mapped, events.workingset_inferred_ratio),
        page_keys=keys,
        pages=int(keys.size),
        max_order=max_order,
        start_ns=start_ns,
        span_ns=span_ns,
        bins=int(classes[:, 3].sum()),
        slots=slots,
        pages_per_slot=pages_per_slot,
        block_pages=block_pages,
        is_region=region is not None,
        warm_up_parts=warm_up_parts,
    )
    return _frozen(timeline)


def _frozen(timeline: Timeline) -> Timeline:
    for column in timeline:
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    return timeline


def _without_phases(
    events: Events, with_swap: bool
) -> tuple[Events, Requests, NDArray[np.int64], Events]:
    """Return the rows that are replayed, their requests, and the rows of phases.

    Of each row of a phase there is also the number of replayed rows that stand before it.
    """
    requests = find_requests(events)
    is_phase = events.op == PHASE
    keep = ~is_phase if with_swap else ~is_phase & ~is_anonymous(events)
    phase_rows = np.cumsum(keep)[is_phase]
    phases = rows_of(events, is_phase)
    if not keep.all():
        events, requests = rows_of(events, keep), Requests(*(column[keep] for column in requests))
    return events, requests, phase_rows, phases


def _region(
    events: Events, region: Region, start_ns: int, span_ns: int
) -> tuple[Changes, NDArray[np.int64]]:
    """Return the sizes of a region, and its samples: one a shrinking, of no block, never atomic."""
    changes = region_changes(events, region, start_ns, span_ns)
    return changes, np.zeros((int((changes.word & FLAG != 0).sum()), 2), dtype=np.int64)


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
    nothing = np.zeros_like(bins)
    classes = np.column_stack([pairs, first, bins, nothing, nothing]).astype(np.int64)
    return classes, first[class_of.reshape(-1)].astype(np.int32)


def _locate(
    events: Events, keys: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32]]:
    """Return the number of each event's first page, and what lies beside it.

    That is, whether the page before it in number is its neighbour in the file, and the range of
    pages of each invalidate_inode, whose "page" is a row of those ranges.
    """
    page = np.searchsorted(keys, page_keys(events)).astype(np.int32)
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
    events: Events,
    page: NDArray[np.int32],
    adjacent: NDArray[np.bool_],
    requests: Requests,
    changes: Changes,
    end_ns: int,
) -> tuple[NDArray[np.int16], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return the word, argument, remaining time and row of file events and changes, in order."""
    rows = np.flatnonzero(events.op <= INVALIDATE_INODE)
    op, flags = events.op[rows].astype(np.int16), events.flags[rows]
    order = np.where(op == INVALIDATE_INODE, 0, events.order[rows]).astype(np.int16)
    stores, restores = op == STORE, op == RESTORE
    on_disk = flags & MAPPED != 0 if events.mapped else np.ones_like(stores)
    said = (
        (FLAG, (stores & (flags & WORKINGSET != 0)) | adjacent[rows]),
        (OF_SWAP, is_anonymous(events)[rows]),
        (BEGINS, requests.begins[rows]),
        (ENDS, requests.ends[rows]),
        (WAITED, requests.waited[rows] & (restores | (stores & events.requests))),
        (ON_DISK, stores & on_disk),
    )
    words = op | order << ORDER_SHIFT
    for bit, is_so in said:
        words |= np.where(is_so, bit, 0).astype(np.int16)
    # Changes come before a file event of their row; those of one row keep their order.
    all_rows = np.concatenate([changes.row, rows])
    merged = np.argsort(all_rows, kind="stable")
    left = np.maximum(end_ns - np.concatenate([changes.time_ns, events.time_ns[rows]]), 0)
    return (
        np.concatenate([changes.word, words]).astype(np.int16)[merged],
        np.concatenate([changes.argument, page[rows]]).astype(np.int32)[merged],
        left[merged],
        all_rows[merged],
    )


def _counted(
    steps: Steps, marks: Marks, occupancy: Occupancy
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return samples, blocks reserved and tagged pages freed up to each mark."""
    reserves = steps.word & KIND_BITS == RESERVE
    sampled = np.concatenate([[0], np.cumsum(reserves & (steps.word & FLAG != 0))])
    reserved = np.concatenate([[0], np.cumsum(reserves)])
    freed = np.concatenate([[0], np.cumsum(occupancy.freed_pages)])
    upto = steps.mark_steps[1:]
    return (
        sampled[upto],
        reserved[upto],
        freed[np.searchsorted(occupancy.freed_row, marks.rows)],
    )


def _reserved_pages(
    word: NDArray[np.int16], argument: NDArray[np.int32], slots: int, block_pages: int
) -> NDArray[np.int64]:
    """Return the pages that are reserved, or that a region lacks, after so many steps."""
    kinds = word & KIND_BITS
    resized = kinds == RESIZE
    if not resized.any():
        change = np.where(kinds == RESERVE, 1, np.where(kinds == RELEASE, -1, 0))
        return np.concatenate([[0], np.cumsum(change * block_pages)])
    last = np.maximum.accumulate(np.where(resized, np.arange(kinds.size), -1))
    size = np.where(last < 0, slots, argument[np.maximum(last, 0)])
    return np.concatenate([[0], slots - size])


def _mark_steps(
    marks: Marks, step_row: NDArray[np.int64], remaining_ns: NDArray[np.int64], span_ns: int
) -> NDArray[np.int64]:
    """Return the steps up to each mark.  # [mark + 1]"""
    steps = np.searchsorted(step_row, marks.rows, side="left")
    # A region may be resized at a time of which the table has no row.
    parts = marks.points.size
    left = [span_ns - span_ns * (part + 1) // parts for part in range(parts)]
    # `remaining_ns` descends: steps that have more time left than a moment come before it.
    steps[marks.points] = remaining_ns.size - np.searchsorted(remaining_ns[::-1], left, side="left")
    steps[-1] = remaining_ns.size
    return np.concatenate([[0], np.maximum.accumulate(steps)]).astype(np.int64)
