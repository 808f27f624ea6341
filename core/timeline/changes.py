"""Changes: what becomes of tag storage, or of a hypervisor's region, between the file events.

Tag blocks are reserved and released, frames above them are allocated and freed, and a region gets
another size: the same under every policy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import ALLOC, ATOMIC, FREE, Events
from core.events import RESIZE as RESIZE_EVENT
from core.jit import entry, wide
from core.machine import DATA_PAGES_PER_TAG_PAGE, MAX_PAGES, Machine
from core.timeline.occupancy import Occupancy
from core.timeline.steps import FLAG, FRAMES, IN_ATOMIC, ORDER_SHIFT, RELEASE, RESERVE, RESIZE


class Region(NamedTuple):
    """A region of memory that is no tag storage, whose size a hypervisor changes.

    The `resize` events of a table say when. In a table without any, the region begins with
    `most_pages` and changes to `least_pages` and back every half `period_ns`, or never if that is
    0.
    """

    most_pages: int
    least_pages: int
    period_ns: int


class Changes(NamedTuple):
    """Changes of tag storage, or of a region, in order.  # each [change]

    They become steps of a timeline; those of a row come before the row's own step.
    """

    row: NDArray[np.int64]  # of the event table
    argument: NDArray[np.int32]  # of the step
    word: NDArray[np.int16]  # of the step
    time_ns: NDArray[np.int64]


def block_changes(events: Events, occupancy: Occupancy) -> Changes:
    """Return the blocks that are reserved and released."""
    words = np.where(occupancy.released, RELEASE, RESERVE) | np.where(occupancy.last, FLAG, 0)
    words |= np.where(events.flags[occupancy.row] & ATOMIC != 0, IN_ATOMIC, 0)
    times = events.time_ns[occupancy.row]
    return Changes(occupancy.row, occupancy.block, words.astype(np.int16), times)


def with_frames(events: Events, machine: Machine, blocks: Changes) -> Changes:
    """Return changes of blocks with those of the free frames above them.

    Of one row of the table, the frames that are allocated or freed come before the blocks.

    Parameters
    ----------
    events
        The table.
    machine
        Its machine.
    blocks
        What `block_changes` returns of the same table.
    """
    rows = np.flatnonzero((events.op == ALLOC) | (events.op == FREE))
    row, block, order, freed = _frames(
        *(events.op, events.order, events.pfn, events.flags, rows, machine.data_pages),
        DATA_PAGES_PER_TAG_PAGE * machine.tag_block_pages,
    )
    words = (FRAMES | np.where(freed, FLAG, 0) | order << ORDER_SHIFT).astype(np.int16)
    frames = Changes(row, block, words, events.time_ns[row])
    merged = np.argsort(np.concatenate([frames.row, blocks.row]), kind="stable")
    columns: Any = zip(frames, blocks, strict=True)
    return Changes(*(np.concatenate(column)[merged] for column in columns))


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

    Seven frames of a row that lie in one block are three changes, of 1, 2 and 4 frames, since a
    step has room for an order alone.
    """
    most = 0
    for row in rows:
        most += 1 << wide(orders[row])
    at = np.empty(most, dtype=np.int64)
    blocks = np.empty(most, dtype=np.int32)
    sizes = np.empty(most, dtype=np.int16)
    freed = np.empty(most, dtype=np.bool_)
    used = np.zeros(data_pages, dtype=np.bool_)
    change = 0
    for row in rows:
        frees = op[row] == FREE
        frame, end = wide(pfn[row]), wide(pfn[row]) + (1 << wide(orders[row]))
        while frame < end:
            block = frame // covered
            until = min(end, (block + 1) * covered)
            changed = 0
            for other in range(frame, until):
                changed += 1 if used[other] == frees else 0
                used[other] = not frees
            order = 0
            while changed > 0:
                if changed & 1:
                    at[change], blocks[change] = row, block
                    sizes[change], freed[change] = order, frees
                    change += 1
                changed >>= 1
                order += 1
            frame = until
    return at[:change].copy(), blocks[:change].copy(), sizes[:change].copy(), freed[:change].copy()


def region_changes(events: Events, region: Region, start_ns: int, span_ns: int) -> Changes:
    """Return the sizes of a region; the first is that with which it begins.

    Parameters
    ----------
    events
        The table, whose `resize` events are taken if it has any.
    region
        The region.
    start_ns, span_ns
        When the table's time begins, and how long it is.

    Raises
    ------
    ValueError
        When the region has more than `MAX_PAGES` pages.
    """
    rows, sizes, times = _region_sizes(events, region, start_ns, span_ns)
    shrinks = np.diff(sizes, prepend=sizes[:1]) < 0
    words = RESIZE | np.where(shrinks, FLAG, 0)
    if sizes.max() > MAX_PAGES:
        raise ValueError(f"a region of {sizes.max():,} pages: no more than {MAX_PAGES:,}")
    return Changes(rows, sizes.astype(np.int32), words.astype(np.int16), times)


def _region_sizes(
    events: Events, region: Region, start_ns: int, span_ns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows before which a region gets new sizes, the sizes, and when."""
    rows = np.flatnonzero(events.op == RESIZE_EVENT)
    if rows.size or not region.period_ns:
        rows = np.concatenate([[0], rows])
        times = events.time_ns[rows] if events.time_ns.size else np.zeros(1, dtype=np.int64)
        return rows, np.concatenate([[region.most_pages], events.pfn[rows[1:]]]), times
    half = max(1, region.period_ns // 2)
    times = start_ns + half * np.arange(span_ns // half + 1)
    rows = np.searchsorted(events.time_ns, times, side="left")
    turns = np.arange(times.size) % 2 == 0
    return rows, np.where(turns, region.most_pages, region.least_pages), times
