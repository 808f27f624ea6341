"""Turns records of ftrace into rows of mm events: what the traced kernel did, event by event.

The rules, each seen in captures of Linux 6.12 (a field's meaning is the tracepoint's own):

* A page-cache insertion is a restore. A deletion by kswapd, or within direct reclaim of the same
  task, is a store; any other is truncation, an invalidate.
* Tagged are the frames of a ``__GFP_ZEROTAGS`` (``__GFP_TAGGED``) allocation, those that
  ``mte_sync_tags`` names, and the target of ``copy_highpage`` from a tagged frame: compaction and
  copy-on-write allocate without an event of their own. A free ends the tags.
* A pointer to a ``struct page`` (64 bytes) tells its frame as soon as the array of these structures
  is located: by the first ``tag_clear_highpage`` that comes just before its ``mm_page_alloc``.
* The workingset bit of an evicted folio is bit 1 of the shadow value that its refault shows. Where
  an evicted folio never refaults, the bit is set if the folio came into memory by a refault; the
  pages of a folio that is split inherit this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.typed import Dict
from numpy.typing import NDArray

from core.events import INVALIDATE, RESTORE, STORE, WORKINGSET
from core.jit import entry, kernel, wide
from core.machine import MAX_ORDER
from core.workload.ftrace.frames import (
    CHUNK_ROWS,
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
    FrameState,
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
    INDEX,
    INO,
    MARK,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    POINTER,
    PTE,
    PTES,
    RECLAIM_BEGIN,
    RECLAIM_END,
    REFAULT,
    SAMPLED_GROUPS,
    SAMPLED_PAGES,
    SHADOW,
    SOURCE_POINTER,
    SYNC_TAGS,
    TAG_CLEAR,
)

#: The buffers of several CPUs are merged with an error of so much; a longer step back is the
#: clock's.
JITTER_NS = 1_000_000
#: The most pages that one mte_sync_tags is taken to name.
_MOST_SYNCED_PAGES = 1 << MAX_ORDER


class KernelState:
    """The state of the traced kernel between two chunks of its trace."""

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
        """Return the rows of the records, and (row, workingset) of earlier stores.

        Only these records show whether the folios of those stores were workingset. The times of
        the records are changed in place so that time never goes backwards.
        """
        large = np.isin(records.kind, (PAGE_ALLOC, PAGE_FREE)) & (records.fields[:, ORDER] > 0)
        parts = int((1 << records.fields[large, ORDER]).sum())
        synced = records.fields[records.kind == SYNC_TAGS, PTES]
        parts += int(np.clip(synced, 0, _MOST_SYNCED_PAGES).sum())
        rows = np.zeros((2 * records.kind.size + 2 * parts, COLUMNS), dtype=np.int64)
        known = np.empty((records.kind.size, 2), dtype=np.int64)
        state = FrameState(rows, self._frames, self._groups, self.numbers)
        learnt = _advance(
            *records,
            *(self.first_frame, self.page_shift, state),
            *(self._inode_of, self._pages, self._reclaims, self._added, self._cleared),
            known,
        )
        return rows[: int(self.numbers[CHUNK_ROWS])], known[:learnt]


@kernel
def _note_time(time_ns: int, line: int, numbers: NDArray[np.int64]) -> None:
    """Take in an event's time without letting time go backwards.

    An event that is a little older than the one before it gets that one's time. After a longer step
    back, which is the clock's, all times are moved on by as much.
    """
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
    state: FrameState,
    kind: int,
    pid: int,
    reclaim: bool,
    page: int,
    order: int,
    pages_of: Any,
    added: Any,
) -> None:
    """Take in that a folio enters or leaves the page cache.

    `pages_of` holds two numbers for a page: in bit 0 whether it refaulted since its last store, and
    above it 1 + the row of that store.
    """
    numbers = state.numbers
    inode, index, end = page >> 32, page & 0xFFFF_FFFF, page + (1 << order)
    if kind == ADD:
        numbers[INSERTIONS] += 1
        numbers[INSERTED_PAGES] += 1 << order
        added[pid] = page << 4 | order
        put(state, RESTORE, inode, index, order, 0, 0)
        return
    if not reclaim:
        numbers[TRUNCATED_FOLIOS] += 1
        for folio_page in range(page, end):
            if folio_page in pages_of:
                del pages_of[folio_page]
        put(state, INVALIDATE, inode, index, order, 0, 0)
        return
    numbers[RECLAIMED_FOLIOS] += 1
    numbers[RECLAIMED_PAGES] += 1 << order
    flags = WORKINGSET if page in pages_of and pages_of[page] & 1 else 0
    row = wide(numbers[ROWS]) + wide(numbers[CHUNK_ROWS])
    for folio_page in range(page, end):
        pages_of[folio_page] = wide((row + 1) << 1)
    put(state, STORE, inode, index, order, 0, flags)


@entry
def _refault(
    page: int, order: int, shadow: int, known: NDArray[np.int64], learnt: int, pages_of: Any
) -> int:
    """Note that the folio just inserted refaults, which tells its last store's workingset bit."""
    for folio_page in range(page, page + (1 << order)):
        before = wide(0)
        if folio_page in pages_of:
            before = wide(pages_of[folio_page])
        if folio_page == page and before > 1:
            known[learnt, 0] = (before >> 1) - 1
            known[learnt, 1] = shadow >> 1 & 1
            learnt += 1
        pages_of[folio_page] = before | 1
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
    state: FrameState,
    inode_of: Any,
    pages_of: Any,
    reclaims: Any,
    added: Any,
    cleared: Any,
    known: NDArray[np.int64],
) -> int:
    numbers, learnt = state.numbers, wide(0)
    numbers[ROWS] += numbers[CHUNK_ROWS]
    numbers[CHUNK_ROWS] = 0
    for record in range(kinds.size):
        kind, pid = wide(kinds[record]), wide(pids[record])
        field = fields[record]
        order = wide(field[ORDER])
        _note_time(wide(times[record]), wide(lines[record]), numbers)
        times[record] = numbers[LAST_TIME_NS] + numbers[MOVED_NS]
        if kind in (RECLAIM_BEGIN, RECLAIM_END):
            reclaims[pid] = wide(kind == RECLAIM_BEGIN)
        elif kind in (ADD, DELETE):
            index = wide(field[OFFSET_BYTES]) >> page_shift
            if index & ((1 << order) - 1) or index >= 1 << 32:
                numbers[MISALIGNED] += 1
                continue
            file = (wide(field[DEV]), wide(field[INO]))
            if file not in inode_of:
                inode_of[file] = wide(len(inode_of))
            page = wide(inode_of[file]) << 32 | index
            reclaim = bool(kswapd[record]) or (pid in reclaims and reclaims[pid] > 0)
            _change_cache(state, kind, pid, reclaim, page, order, pages_of, added)
        elif kind == REFAULT:
            numbers[REFAULT_EVENTS] += 1
            page = wide(-1)
            if pid in added:
                page = wide(added[pid]) >> 4
            if page < 0 or page & 0xFFFF_FFFF != field[INDEX]:
                numbers[UNMATCHED_REFAULTS] += 1
                continue
            folio_order, shadow = wide(added[pid]) & 15, wide(field[SHADOW])
            learnt = _refault(page, folio_order, shadow, known, learnt, pages_of)
        elif kind == TAG_CLEAR:
            cleared[pid] = wide(field[POINTER])
        elif kind in (PAGE_ALLOC, PAGE_FREE):
            frame = wide(field[FRAME]) - first_frame
            if wide(field[FRAME]) >= NO_FRAME:
                numbers[FAILED] += 1
                continue
            end = wide(field[FRAME]) + (1 << order)
            numbers[LOW_FRAME] = min(numbers[LOW_FRAME], wide(field[FRAME]))
            numbers[HIGH_FRAME] = max(numbers[HIGH_FRAME], end)
            if frame < 0 or frame > state.frames.size - (1 << order):
                numbers[OUTSIDE] += 1
            elif kind == PAGE_FREE:
                free(state, frame, order, True)
            else:
                pointer = wide(0)
                if pid in cleared:
                    pointer = wide(cleared[pid])
                    cleared[pid] = wide(0)
                gfp = max(0, wide(field[FLAGS]))
                flags = flags_of(frame, order, gfp, pointer, first_frame, numbers)
                allocate(state, frame, order, flags)
        elif kind == SYNC_TAGS:
            first = ((wide(field[PTE]) & 0xFFFF_FFFF_FFFF) >> page_shift) - first_frame
            pages = min(_MOST_SYNCED_PAGES, max(1, wide(field[PTES])))
            map_tagged(state, first, pages)
        elif kind == COPY_PAGE and numbers[VMEMMAP] == 0:
            numbers[NO_BASE] += 1
        elif kind == COPY_PAGE:
            source = frame_of(wide(field[SOURCE_POINTER]), first_frame, numbers)
            frame = frame_of(wide(field[POINTER]), first_frame, numbers)
            copy_tags(state, source, frame)
        elif kind == MARK and field[SAMPLED_PAGES] != ABSENT and field[SAMPLED_GROUPS] != ABSENT:
            numbers[SAMPLES] += 1
            if field[SAMPLED_PAGES] == numbers[TAGGED_NOW]:
                numbers[EQUAL_SAMPLES] += field[SAMPLED_GROUPS] == numbers[GROUPS_NOW]
    return learnt
