"""Frames of a traced kernel: which are tagged, and the rows of mm events that say so."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import ALLOC, ATOMIC, FREE, MOVABLE, TAGGED
from core.jit import kernel, wide
from core.workload.ftrace.words import GFP_ATOMIC, GFP_MOVABLE, GFP_TAGGED

STRUCT_PAGE_BYTES = 64
#: No frame has this number or a higher one. An allocation that failed is traced with the frame
#: number -1, of which the parser keeps 63 bits.
NO_FRAME = 1 << 52
# Elements of `numbers`: first the state of the import, then its counts. VMEMMAP is the address of
# the array of ``struct page``, or 0 while it is not known. CHUNK_ROWS counts the rows of the chunk
# of the trace that is read, and ROWS those of the chunks before it. TAGGED_SAMPLED and
# GROUPS_SAMPLED add up what the samples of a trace say, TAGGED_AT_SAMPLES and GROUPS_AT_SAMPLES
# what TAGGED_NOW and GROUPS_NOW are at each of them.
(
    VMEMMAP,
    LAST_TIME_NS,
    MOVED_NS,
    TAGGED_NOW,
    GROUPS_NOW,
    ROWS,
    CHUNK_ROWS,
    INSERTIONS,
    INSERTED_PAGES,
    RECLAIMED_FOLIOS,
    RECLAIMED_PAGES,
    TRUNCATED_FOLIOS,
    REFAULT_EVENTS,
    UNMATCHED_REFAULTS,
    RETURNED_PAGES,
    ROW_REFAULTS,
    METADATA_INSERTIONS,
    METADATA_PAGES,
    METADATA_REFAULTS,
    METADATA_RETURNED,
    WRITE_INSERTIONS,
    WRITE_PAGES,
    WRITE_RETURNED,
    WRITE_REFAULTS,
    INODES_GONE,
    STORES,
    FLAGGED_STORES,
    ALLOCATED_PAGES,
    FREED_PAGES,
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
    TAGGED_SAMPLED,
    GROUPS_SAMPLED,
    TAGGED_AT_SAMPLES,
    GROUPS_AT_SAMPLES,
    RESERVED_GROUPS,
    RELEASED_GROUPS,
    LOW_FRAME,
    HIGH_FRAME,
    FAILED,
    FIRST_TIME_NS,
    BEFORE_FIRST,
    NUMBERS,
) = range(55)

# A frame's state.
_UNSEEN, _USED, _TAGGED, _FREED = range(4)
#: Frames of one group share a tag page.
GROUP_SHIFT = 5

# Rows of the output: time_ns, op, inode, index, order, pfn, flags; and the read request, or 0.
COLUMNS = 8


class FrameState(NamedTuple):
    """What is known of the traced kernel's frames, and the rows of the chunk that is read."""

    rows: NDArray[np.int64]  # [row, COLUMNS]
    frames: NDArray[np.uint8]  # [frame] its state
    groups: NDArray[np.int32]  # [frame >> GROUP_SHIFT] tagged frames
    numbers: NDArray[np.int64]  # [NUMBERS]


@kernel
def put(
    state: FrameState, op: int, inode: int, index: int, order: int, pfn: int, flags: int
) -> None:
    """Write a row of mm events at the time of the event that is read.

    Parameters
    ----------
    state
        What is known of the frames.
    op, inode, index, order, pfn, flags
        The columns of the row; those that an `op` does not have are 0.
    """
    rows, numbers = state.rows, state.numbers
    row = wide(numbers[CHUNK_ROWS])
    rows[row, 0] = numbers[LAST_TIME_NS] + numbers[MOVED_NS]
    rows[row, 1] = op
    rows[row, 2] = inode
    rows[row, 3] = index
    rows[row, 4] = order
    rows[row, 5] = pfn
    rows[row, 6] = flags
    rows[row, 7] = 0
    numbers[CHUNK_ROWS] = row + 1


@kernel
def _tag(state: FrameState, frame: int) -> None:
    groups, numbers = state.groups, state.numbers
    state.frames[frame] = _TAGGED
    numbers[TAGGED_NOW] += 1
    groups[frame >> GROUP_SHIFT] += 1
    if groups[frame >> GROUP_SHIFT] == 1:
        numbers[GROUPS_NOW] += 1
        numbers[RESERVED_GROUPS] += 1


@kernel
def _untag(state: FrameState, frame: int) -> None:
    groups, numbers = state.groups, state.numbers
    numbers[TAGGED_NOW] -= 1
    groups[frame >> GROUP_SHIFT] -= 1
    if groups[frame >> GROUP_SHIFT] == 0:
        numbers[GROUPS_NOW] -= 1
        numbers[RELEASED_GROUPS] += 1


@kernel
def allocate(state: FrameState, frame: int, order: int, flags: int) -> None:
    """Take in an allocation; of its frames, those still tagged were freed without an event.

    Parameters
    ----------
    state
        What is known of the frames; a tagged allocation becomes a row.
    frame, order
        The first of 2**order frames, all of them within the memory.
    flags
        As `flags_of` returns them.
    """
    free(state, frame, order, False)
    if flags & TAGGED:
        state.numbers[TAGGED_ALLOCATIONS] += 1
        put(state, ALLOC, 0, 0, order, frame, flags)
    for page_frame in range(frame, frame + (1 << order)):
        state.frames[page_frame] = _USED
        if flags & TAGGED:
            _tag(state, page_frame)


@kernel
def free(state: FrameState, frame: int, order: int, seen: bool) -> None:
    """Take in that frames are free: one row if all of them were tagged, else a row for each.

    Parameters
    ----------
    state
        What is known of the frames.
    frame, order
        The first of 2**order frames, all of them within the memory.
    seen
        Whether the trace has an event of it.
    """
    frames, numbers = state.frames, state.numbers
    pages, tagged = 1 << order, 0
    for page_frame in range(frame, frame + pages):
        tagged += 1 if frames[page_frame] == _TAGGED else 0
    if tagged == pages:
        put(state, FREE, 0, 0, order, frame, 0)
    for page_frame in range(frame, frame + pages):
        if frames[page_frame] == _TAGGED:
            if tagged < pages:
                put(state, FREE, 0, 0, 0, page_frame, 0)
            _untag(state, page_frame)
        if seen and frames[page_frame] == _UNSEEN:
            numbers[UNKNOWN_FREED] += 1
        frames[page_frame] = _FREED
    numbers[FREED_TAGGED if seen else MISSED_FREES] += tagged


@kernel
def frame_of(pointer: int, first_frame: int, numbers: NDArray[np.int64]) -> int:
    """Return the frame that a ``struct page`` stands for, counted from the memory's first.

    Parameters
    ----------
    pointer
        The address of the ``struct page``.
    first_frame
        The number of the memory's first frame.
    numbers
        Its element VMEMMAP is the address of the array of these structures, which must be known.
    """
    return wide((pointer - numbers[VMEMMAP]) // STRUCT_PAGE_BYTES) - first_frame


@kernel
def flags_of(
    frame: int, order: int, gfp: int, pointer: int, first_frame: int, numbers: NDArray[np.int64]
) -> int:
    """Return the flags of an allocation: TAGGED, ATOMIC and MOVABLE of `core.events`.

    Parameters
    ----------
    frame, order
        The first of 2**order frames, counted from the memory's first.
    gfp
        Its GFP flags, as bits of `core.workload.ftrace.words`.
    pointer
        The address of the ``struct page`` of the page that was cleared just before together with
        its tags, or 0 if there is none.
    first_frame
        The number of the memory's first frame.
    numbers
        Its element VMEMMAP is set if this allocation tells it.
    """
    flags = 0
    if pointer != 0:
        if numbers[VMEMMAP] == 0 and order == 0 and gfp & GFP_TAGGED:
            numbers[VMEMMAP] = pointer - (frame + first_frame) * STRUCT_PAGE_BYTES
        if numbers[VMEMMAP] != 0:
            cleared = frame_of(pointer, first_frame, numbers)
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
def map_tagged(state: FrameState, first: int, pages: int) -> None:
    """Tag `pages` frames from `first` on, which a program maps as tagged; some may be already."""
    for frame in range(first, first + pages):
        if frame < 0 or frame >= state.frames.size:
            state.numbers[OUTSIDE] += 1
        elif state.frames[frame] != _TAGGED:
            put(state, ALLOC, 0, 0, 0, frame, TAGGED)
            _tag(state, frame)


@kernel
def copy_tags(state: FrameState, source: int, frame: int) -> None:
    """Take in that the page in the frame `source` is copied to `frame` together with its tags."""
    frames, numbers = state.frames, state.numbers
    if min(source, frame) < 0 or max(source, frame) >= frames.size:
        numbers[OUTSIDE] += 1
    elif frames[source] == _TAGGED and frames[frame] != _TAGGED:
        put(state, ALLOC, 0, 0, 0, frame, TAGGED | MOVABLE)
        numbers[MOVED_TAGGED] += 1
        _tag(state, frame)
