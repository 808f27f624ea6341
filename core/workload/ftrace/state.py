"""What a kernel's events did, one after the other: records of ftrace into rows of mm events.

The rules, each seen in captures of Linux 6.12 (a field's meaning is the tracepoint's own):

* A page-cache insertion is a restore. A deletion by kswapd, or within direct reclaim of the same
  task, is a store; any other is truncation, an invalidate.
* Tagged are the frames of a ``__GFP_ZEROTAGS`` (``__GFP_TAGGED``) allocation, those that
  ``mte_sync_tags`` names, and the target of ``copy_highpage`` from a tagged frame: compaction and
  copy-on-write allocate without an event of their own. A free ends it.
* A pointer to a ``struct page`` (64 bytes) becomes a frame once a ``tag_clear_highpage`` came just
  before its ``mm_page_alloc``.
* The workingset bit of an evicted folio is bit 1 of the shadow value that its refault shows; a
  folio that never refaults has it if it refaulted before, in that residency, which the pages of a
  folio that is split inherit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.typed import Dict
from numpy.typing import NDArray

from core.events import INVALIDATE, RESTORE, STORE, WORKINGSET
from core.jit import entry, kernel, wide
from core.workload.ftrace.frames import (
    CLOCK_STEPS,
    COLUMNS,
    EQUAL_SAMPLES,
    FAILED,
    FIRST_STEP_LINE,
    GROUP_SHIFT,
    GROUPS_NOW,
    HIGH_FRAME,
    INSERTED_PAGES,
    INSERTIONS,
    JITTERS,
    LARGEST_STEP_NS,
    LAST_TIME_NS,
    LOW_FRAME,
    MISALIGNED,
    MOVED_NS,
    NO_BASE,
    NO_FRAME,
    NUMBERS,
    OUTSIDE,
    RECLAIMED_FOLIOS,
    RECLAIMED_PAGES,
    REFAULT_EVENTS,
    ROWS,
    SAMPLES,
    TAGGED_NOW,
    TRUNCATED_FOLIOS,
    UNMATCHED_REFAULTS,
    VMEMMAP,
    allocate,
    copy_tags,
    flags_of,
    frame_of,
    free,
    map_tagged,
    put,
)
from core.workload.ftrace.lines import Records
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    COPY_PAGE,
    DELETE,
    DEV,
    FLAGS,
    FRAME,
    INO,
    MARK,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    PLACE,
    RECLAIM_BEGIN,
    RECLAIM_END,
    REFAULT,
    SYNC_TAGS,
    TAG_CLEAR,
)

#: Buffers of several CPUs are merged to within so much; a longer step back is the clock's.
JITTER_NS = 1_000_000


class KernelState:
    """All that is remembered of the traced kernel between two chunks of its trace."""

    def __init__(self, first_frame: int, frames: int, page_size: int) -> None:
        self.first_frame = first_frame
        self.page_shift = page_size.bit_length() - 1
        self.numbers = np.zeros(NUMBERS, dtype=np.int64)
        self.numbers[LOW_FRAME] = 2**62
        self._frames = np.zeros(frames, dtype=np.uint8)
        self._groups = np.zeros((frames >> GROUP_SHIFT) + 1, dtype=np.int32)
        file = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]
        self._inode_of = Dict.empty(file, types.int64)
        self._pages = Dict.empty(types.int64, types.int64)
        self._reclaims = Dict.empty(types.int64, types.int64)
        self._added = Dict.empty(types.int64, types.int64)
        self._cleared = Dict.empty(types.int64, types.int64)

    def advance(self, records: Records) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of the records, and (row, workingset) of stores known only now.

        The times of the records are put right.
        """
        large = np.isin(records.kind, (PAGE_ALLOC, PAGE_FREE)) & (records.fields[:, ORDER] > 0)
        parts = int((1 << records.fields[large, ORDER]).sum())
        synced = records.fields[records.kind == SYNC_TAGS, PLACE]
        parts += int(np.clip(synced, 0, 1 << 13).sum())
        rows = np.zeros((2 * records.kind.size + 2 * parts, COLUMNS), dtype=np.int64)
        known = np.empty((records.kind.size, 2), dtype=np.int64)
        before = int(self.numbers[ROWS])
        found = _advance(
            *records,
            *(self.first_frame, self.page_shift, self.numbers, self._frames, self._groups),
            *(self._inode_of, self._pages, self._reclaims, self._added, self._cleared),
            *(rows, known),
        )
        return rows[: int(self.numbers[ROWS]) - before], known[:found]

    @property
    def files(self) -> int:
        """Distinct files seen."""
        return len(self._inode_of)


@kernel
def _note_time(time_ns: int, line: int, numbers: NDArray[np.int64]) -> None:
    """Keep time from going backwards: a little by standing still, a clock's step by moving on."""
    behind = numbers[LAST_TIME_NS] - time_ns
    if behind <= 0 or numbers[LAST_TIME_NS] == 0:
        numbers[LAST_TIME_NS] = time_ns
    elif behind <= JITTER_NS:
        numbers[JITTERS] += 1
    else:
        if numbers[CLOCK_STEPS] == 0:
            numbers[FIRST_STEP_LINE] = line
        numbers[CLOCK_STEPS] += 1
        numbers[LARGEST_STEP_NS] = max(numbers[LARGEST_STEP_NS], behind)
        numbers[MOVED_NS] += behind
        numbers[LAST_TIME_NS] = time_ns


@entry
def _change_cache(
    kind: int,
    pid: int,
    reclaim: bool,
    page: int,
    order: int,
    rows: NDArray[np.int64],
    row: int,
    first_row: int,
    numbers: NDArray[np.int64],
    pages_of: Any,
    added: Any,
) -> int:
    """A folio enters the page cache, or leaves it; return the next row.

    `pages_of` has for a page 1 + the row of its last store, and whether it refaulted since then.
    """
    inode, index, end = page >> 32, page & 0xFFFF_FFFF, page + (1 << order)
    if kind == ADD:
        numbers[INSERTIONS] += 1
        numbers[INSERTED_PAGES] += 1 << order
        added[pid] = page << 4 | order
        return put(rows, row, RESTORE, inode, index, order, 0, 0, numbers)
    if not reclaim:
        numbers[TRUNCATED_FOLIOS] += 1
        for one in range(page, end):
            if one in pages_of:
                del pages_of[one]
        return put(rows, row, INVALIDATE, inode, index, order, 0, 0, numbers)
    numbers[RECLAIMED_FOLIOS] += 1
    numbers[RECLAIMED_PAGES] += 1 << order
    flags = WORKINGSET if page in pages_of and pages_of[page] & 1 else 0
    for one in range(page, end):
        pages_of[one] = wide((first_row + row + 1) << 1)
    return put(rows, row, STORE, inode, index, order, 0, flags, numbers)


@entry
def _refault(
    page: int, order: int, shadow: int, known: NDArray[np.int64], learnt: int, pages_of: Any
) -> int:
    """A folio that was just inserted refaults: its last store's workingset bit is known now."""
    for one in range(page, page + (1 << order)):
        before = wide(0)
        if one in pages_of:
            before = wide(pages_of[one])
        if one == page and before > 1:
            known[learnt, 0] = (before >> 1) - 1
            known[learnt, 1] = shadow >> 1 & 1
            learnt += 1
        pages_of[one] = before | 1
    return learnt


@entry
def _advance(
    kinds: NDArray[np.uint8],
    times: NDArray[np.int64],
    pids: NDArray[np.int64],
    kswapd: NDArray[np.bool_],
    lines: NDArray[np.int64],
    fields: NDArray[np.int64],
    first_frame: int,
    page_shift: int,
    numbers: NDArray[np.int64],
    frames: NDArray[np.uint8],
    groups: NDArray[np.int32],
    inode_of: Any,
    pages_of: Any,
    reclaims: Any,
    added: Any,
    cleared: Any,
    rows: NDArray[np.int64],
    known: NDArray[np.int64],
) -> int:
    row, learnt, first_row = wide(0), wide(0), wide(numbers[ROWS])
    for record in range(kinds.size):
        kind, pid = wide(kinds[record]), wide(pids[record])
        field = fields[record]
        order = wide(field[ORDER])
        _note_time(wide(times[record]), wide(lines[record]), numbers)
        times[record] = numbers[LAST_TIME_NS] + numbers[MOVED_NS]
        if kind in (RECLAIM_BEGIN, RECLAIM_END):
            reclaims[pid] = wide(kind == RECLAIM_BEGIN)
        elif kind in (ADD, DELETE):
            index = wide(field[PLACE]) >> page_shift
            if index & ((1 << order) - 1) or index >= 1 << 32:
                numbers[MISALIGNED] += 1
                continue
            file = (wide(field[DEV]), wide(field[INO]))
            if file not in inode_of:
                inode_of[file] = wide(len(inode_of))
            page = wide(inode_of[file]) << 32 | index
            reclaim = bool(kswapd[record]) or (pid in reclaims and reclaims[pid] > 0)
            row = _change_cache(
                kind, pid, reclaim, page, order, rows, row, first_row, numbers, pages_of, added
            )
        elif kind == REFAULT:
            numbers[REFAULT_EVENTS] += 1
            page = wide(-1)
            if pid in added:
                page = wide(added[pid]) >> 4
            if page < 0 or page & 0xFFFF_FFFF != field[PLACE]:
                numbers[UNMATCHED_REFAULTS] += 1
                continue
            learnt = _refault(page, wide(added[pid]) & 15, order, known, learnt, pages_of)
        elif kind == TAG_CLEAR:
            cleared[pid] = wide(field[FRAME])
        elif kind in (PAGE_ALLOC, PAGE_FREE):
            frame = wide(field[FRAME]) - first_frame
            if wide(field[FRAME]) >= NO_FRAME:
                numbers[FAILED] += 1
                continue
            end = wide(field[FRAME]) + (1 << order)
            numbers[LOW_FRAME] = min(numbers[LOW_FRAME], wide(field[FRAME]))
            numbers[HIGH_FRAME] = max(numbers[HIGH_FRAME], end)
            if frame < 0 or frame > frames.size - (1 << order):
                numbers[OUTSIDE] += 1
            elif kind == PAGE_FREE:
                row = free(frame, order, True, rows, row, frames, groups, numbers)
            else:
                pointer = wide(0)
                if pid in cleared:
                    pointer = wide(cleared[pid])
                    cleared[pid] = wide(0)
                gfp = max(0, wide(field[FLAGS]))
                flags = flags_of(frame, order, gfp, pointer, first_frame, numbers)
                row = allocate(frame, order, flags, rows, row, frames, groups, numbers)
        elif kind == SYNC_TAGS:
            first = ((wide(field[FRAME]) & 0xFFFF_FFFF_FFFF) >> page_shift) - first_frame
            pages = min(1 << 13, max(1, wide(field[PLACE])))
            row = map_tagged(first, pages, rows, row, frames, groups, numbers)
        elif kind == COPY_PAGE and numbers[VMEMMAP] == 0:
            numbers[NO_BASE] += 1
        elif kind == COPY_PAGE:
            source = frame_of(wide(field[PLACE]), first_frame, numbers)
            frame = frame_of(wide(field[FRAME]), first_frame, numbers)
            row = copy_tags(source, frame, rows, row, frames, groups, numbers)
        elif kind == MARK and field[FRAME] != ABSENT and field[PLACE] != ABSENT:
            numbers[SAMPLES] += 1
            if field[FRAME] == numbers[TAGGED_NOW] and field[PLACE] == numbers[GROUPS_NOW]:
                numbers[EQUAL_SAMPLES] += 1
    numbers[ROWS] += row
    return learnt
