"""Frames of a traced kernel: which are tagged, and the rows of mm events that say so.

The functions share four arrays: `rows`, which they write to; `frames` [frame], the state of each
frame; `groups` [frame // 32], how many tagged frames each group has; and `numbers`. A function that
writes rows takes the place of the next row, and returns it as it is after them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events import ALLOC, ATOMIC, FREE, MOVABLE, TAGGED
from core.jit import kernel, wide
from core.workload.ftrace.words import GFP_ATOMIC, GFP_MOVABLE, GFP_TAGGED

STRUCT_PAGE_BYTES = 64
#: No frame has this number or a higher one. An allocation that failed is traced with the frame
#: number -1, of which the parser keeps 63 bits.
NO_FRAME = 1 << 52
# Elements of `numbers`: first the state of the import, then its counts.
(
    VMEMMAP,
    LAST_TIME_NS,
    MOVED_NS,
    TAGGED_NOW,
    GROUPS_NOW,
    ROWS,
    INSERTIONS,
    INSERTED_PAGES,
    RECLAIMED_FOLIOS,
    RECLAIMED_PAGES,
    TRUNCATED_FOLIOS,
    REFAULT_EVENTS,
    UNMATCHED_REFAULTS,
    TAGGED_ALLOCATIONS,
    MOVED_TAGGED,
    FREED_TAGGED,
    UNKNOWN_FREED,
    MISSED_FREES,
    OUTSIDE,
    NO_BASE,
    CLOCK_STEPS,
    LARGEST_STEP_NS,
    FIRST_STEP_LINE,
    JITTERS,
    MISALIGNED,
    SAMPLES,
    EQUAL_SAMPLES,
    LOW_FRAME,
    HIGH_FRAME,
    FAILED,
    NUMBERS,
) = range(31)

# A frame's state.
_UNSEEN, _USED, _TAGGED, _FREED = range(4)
#: Frames of one group share a tag page.
GROUP_SHIFT = 5

# Rows of the output: time_ns, op, inode, index, order, pfn, flags.
COLUMNS = 7


@kernel
def put(
    rows: NDArray[np.int64],
    row: int,
    op: int,
    inode: int,
    index: int,
    order: int,
    pfn: int,
    flags: int,
    numbers: NDArray[np.int64],
) -> int:
    """Write a row of mm events at the time of the event that is read."""
    rows[row, 0] = numbers[LAST_TIME_NS] + numbers[MOVED_NS]
    rows[row, 1] = op
    rows[row, 2] = inode
    rows[row, 3] = index
    rows[row, 4] = order
    rows[row, 5] = pfn
    rows[row, 6] = flags
    return row + 1


@kernel
def _tag(
    frame: int, frames: NDArray[np.uint8], groups: NDArray[np.int32], numbers: NDArray[np.int64]
) -> None:
    frames[frame] = _TAGGED
    numbers[TAGGED_NOW] += 1
    groups[frame >> GROUP_SHIFT] += 1
    if groups[frame >> GROUP_SHIFT] == 1:
        numbers[GROUPS_NOW] += 1


@kernel
def _untag(
    frame: int, frames: NDArray[np.uint8], groups: NDArray[np.int32], numbers: NDArray[np.int64]
) -> None:
    numbers[TAGGED_NOW] -= 1
    groups[frame >> GROUP_SHIFT] -= 1
    if groups[frame >> GROUP_SHIFT] == 0:
        numbers[GROUPS_NOW] -= 1


@kernel
def _count_tagged(frame: int, pages: int, frames: NDArray[np.uint8]) -> int:
    tagged = 0
    for page_frame in range(frame, frame + pages):
        if frames[page_frame] == _TAGGED:
            tagged += 1
    return tagged


@kernel
def allocate(
    frame: int,
    order: int,
    flags: int,
    rows: NDArray[np.int64],
    row: int,
    frames: NDArray[np.uint8],
    groups: NDArray[np.int32],
    numbers: NDArray[np.int64],
) -> int:
    """Note that frames are allocated; those that are still tagged were freed without an event."""
    row = free(frame, order, False, rows, row, frames, groups, numbers)
    if flags & TAGGED:
        numbers[TAGGED_ALLOCATIONS] += 1
        row = put(rows, row, ALLOC, 0, 0, order, frame, flags, numbers)
    for page_frame in range(frame, frame + (1 << order)):
        frames[page_frame] = _USED
        if flags & TAGGED:
            _tag(page_frame, frames, groups, numbers)
    return row


@kernel
def free(
    frame: int,
    order: int,
    seen: bool,
    rows: NDArray[np.int64],
    row: int,
    frames: NDArray[np.uint8],
    groups: NDArray[np.int32],
    numbers: NDArray[np.int64],
) -> int:
    """Note that frames are free, in one row if all of them were tagged, else a row for each.

    `seen` says that the trace has an event of it.
    """
    pages = 1 << order
    tagged = _count_tagged(frame, pages, frames)
    if tagged == pages:
        row = put(rows, row, FREE, 0, 0, order, frame, 0, numbers)
    for page_frame in range(frame, frame + pages):
        if frames[page_frame] == _TAGGED:
            if tagged < pages:
                row = put(rows, row, FREE, 0, 0, 0, page_frame, 0, numbers)
            _untag(page_frame, frames, groups, numbers)
        if seen and frames[page_frame] == _UNSEEN:
            numbers[UNKNOWN_FREED] += 1
        frames[page_frame] = _FREED
    numbers[FREED_TAGGED if seen else MISSED_FREES] += tagged
    return row


@kernel
def frame_of(pointer: int, first_frame: int, numbers: NDArray[np.int64]) -> int:
    """Return the frame of a ``struct page``; `numbers` must have the start of their array."""
    return wide((pointer - numbers[VMEMMAP]) // STRUCT_PAGE_BYTES) - first_frame


@kernel
def flags_of(
    frame: int, order: int, gfp: int, pointer: int, first_frame: int, numbers: NDArray[np.int64]
) -> int:
    """Return the flags of an allocation.

    `pointer` is the ``struct page`` of the page that was cleared just before together with its
    tags, or 0 if there is none.
    """
    flags = 0
    if pointer != 0:
        if numbers[VMEMMAP] == 0 and order == 0 and gfp & GFP_TAGGED:
            numbers[VMEMMAP] = pointer - (frame + first_frame) * STRUCT_PAGE_BYTES
        if numbers[VMEMMAP] != 0:
            cleared = (pointer - numbers[VMEMMAP]) // STRUCT_PAGE_BYTES - first_frame
            if frame <= cleared < frame + (1 << order):
                flags |= TAGGED
    if gfp & GFP_TAGGED:
        flags |= TAGGED
    if gfp & GFP_ATOMIC:
        flags |= ATOMIC
    if gfp & GFP_MOVABLE:
        flags |= MOVABLE
    return flags


@kernel
def map_tagged(
    first: int,
    pages: int,
    rows: NDArray[np.int64],
    row: int,
    frames: NDArray[np.uint8],
    groups: NDArray[np.int32],
    numbers: NDArray[np.int64],
) -> int:
    """Tag frames that a program maps as tagged, unless they are already."""
    for frame in range(first, first + pages):
        if frame < 0 or frame >= frames.size:
            numbers[OUTSIDE] += 1
        elif frames[frame] != _TAGGED:
            row = put(rows, row, ALLOC, 0, 0, 0, frame, TAGGED, numbers)
            _tag(frame, frames, groups, numbers)
    return row


@kernel
def copy_tags(
    source: int,
    frame: int,
    rows: NDArray[np.int64],
    row: int,
    frames: NDArray[np.uint8],
    groups: NDArray[np.int32],
    numbers: NDArray[np.int64],
) -> int:
    """Note that a page is copied to a frame together with its tags."""
    if min(source, frame) < 0 or max(source, frame) >= frames.size:
        numbers[OUTSIDE] += 1
    elif frames[source] == _TAGGED and frames[frame] != _TAGGED:
        row = put(rows, row, ALLOC, 0, 0, 0, frame, TAGGED | MOVABLE, numbers)
        numbers[MOVED_TAGGED] += 1
        _tag(frame, frames, groups, numbers)
    return row
