"""Turns records of ftrace into rows of mm events: what the traced kernel did, event by event.

The rules, each seen in captures of Linux 6.12 (a field's meaning is the tracepoint's own):

* A page-cache insertion is a restore. A deletion by reclaim, as tasks.py tells it, is a store; any
  other is truncation, an invalidate.
* Tagged are the frames of a ``__GFP_ZEROTAGS`` (``__GFP_TAGGED``) allocation, those that
  ``mte_sync_tags`` names, and the target of ``copy_highpage`` from a tagged frame: compaction and
  copy-on-write allocate without an event of their own. A free ends the tags.
* A pointer to a ``struct page`` (64 bytes) tells its frame as soon as the array of these structures
  is located: by the first ``tag_clear_highpage`` that comes just before its ``mm_page_alloc``.
* page_cache.py has what is known of folios, requests.py what is read together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import PHASE
from core.jit import entry, kernel, wide
from core.machine import MAX_ORDER
from core.workload.ftrace.frames import (
    ALLOCATED_PAGES,
    BEFORE_FIRST,
    CHUNK_ROWS,
    CLOCK_STEPS,
    COLUMNS,
    EQUAL_SAMPLES,
    FAILED,
    FIRST_STEP_LINE,
    FIRST_TIME_NS,
    FREED_PAGES,
    GROUP_SHIFT,
    GROUPS_AT_SAMPLES,
    GROUPS_NOW,
    GROUPS_SAMPLED,
    HIGH_FRAME,
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
    ROWS,
    SAMPLES,
    TAGGED_AT_SAMPLES,
    TAGGED_NOW,
    TAGGED_SAMPLED,
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
from core.workload.ftrace.page_cache import (
    CLEARED,
    TASK_COLUMNS,
    Names,
    evict,
    forget_inode,
    insert,
    new_names,
    note_eviction,
    number_of,
    refault,
    touch,
    truncate,
)
from core.workload.ftrace.page_flags import PageFlags
from core.workload.ftrace.requests import TASK_ROWS, Insertions
from core.workload.ftrace.tasks import NOBODY, WAITING_TASK
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    COPY_PAGE,
    DELETE,
    DEV,
    EVICTION,
    FLAGS,
    FRAME,
    INO,
    INODE_GONE,
    MARK,
    NEW_PHASE,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    PHASE_NUMBER,
    POINTER,
    PTE,
    PTES,
    REFAULT,
    SAMPLED_GROUPS,
    SAMPLED_PAGES,
    SOURCE_POINTER,
    SYNC_TAGS,
    TAG_CLEAR,
    TOUCHED,
)

#: The buffers of several CPUs are merged with an error of so much; a longer step back is the
#: clock's.
JITTER_NS = 1_000_000
#: Times that are moved on by so much, 73 years, are of no clock.
MOST_MOVED_NS = 1 << 61
#: The most pages that one mte_sync_tags is taken to name.
_MOST_SYNCED_PAGES = 1 << MAX_ORDER
#: Kinds of records of which it matters whether the trace has them.
_TELLING = (TOUCHED, EVICTION)


class Learnt(NamedTuple):
    """What the refaults among some records tell of stores before them."""

    row: NDArray[np.int64]  # [store] its row, counted from the first row of the trace
    workingset: NDArray[np.int64]  # [store] 1 if the folio was workingset


class KernelState:
    """The state of the traced kernel between two chunks of its trace."""

    def __init__(self, first_frame: int, frames: int, page_size: int, bits: PageFlags) -> None:
        self.first_frame = first_frame
        self.page_shift = page_size.bit_length() - 1
        self.numbers = np.zeros(NUMBERS, dtype=np.int64)
        self.numbers[LOW_FRAME] = 2**62
        self._bits = bits
        self._frames = np.zeros(frames, dtype=np.uint8)
        self._groups = np.zeros((frames >> GROUP_SHIFT) + 1, dtype=np.int32)
        # Pages of zeros cost nothing until they are written to.
        self._tasks = np.zeros((TASK_ROWS, TASK_COLUMNS), dtype=np.int64)
        self._names = new_names()
        self._seen = dict.fromkeys(_TELLING, False)

    def advance(
        self, records: Records, insertions: Insertions, by: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], Learnt]:
        """Return the rows of the records, and what they tell of stores before them.

        The times of the records are changed in place so that time never goes backwards.

        Parameters
        ----------
        records, insertions
            The records, and what is known of the insertions among them.
        by
            Who deletes, as `core.workload.ftrace.tasks.TaskState.advance` tells it.
        """
        for kind in _TELLING:
            self._seen[kind] = self._seen[kind] or bool((records.kind == kind).any())
        large = np.isin(records.kind, (PAGE_ALLOC, PAGE_FREE)) & (records.fields[:, ORDER] > 0)
        parts = int((1 << records.fields[large, ORDER]).sum())
        synced = records.fields[records.kind == SYNC_TAGS, PTES]
        parts += int(np.clip(synced, 0, _MOST_SYNCED_PAGES).sum())
        rows = np.empty((2 * records.kind.size + 2 * parts, COLUMNS), dtype=np.int64)
        known = np.empty((records.kind.size, 2), dtype=np.int64)
        state = FrameState(rows, self._frames, self._groups, self.numbers)
        tells_touches = self._seen[TOUCHED] and not self._seen[EVICTION]
        learnt = _advance(
            records,
            insertions,
            by,
            self.first_frame,
            self.page_shift,
            state,
            self._tasks,
            self._names,
            self._bits,
            tells_touches,
            known,
        )
        return rows[: int(self.numbers[CHUNK_ROWS])], Learnt(*known[:learnt].T.copy())


@kernel
def _note_time(time_ns: int, line: int, numbers: NDArray[np.int64]) -> None:
    """Take in an event's time without letting time go backwards.

    An event that is a little older than the one before it gets that one's time. After a longer step
    back, which is the clock's, all times are moved on by as much.
    """
    behind = numbers[LAST_TIME_NS] - time_ns
    if numbers[LAST_TIME_NS] == 0:
        numbers[LAST_TIME_NS], numbers[FIRST_TIME_NS] = time_ns, time_ns
    elif behind <= 0:
        numbers[LAST_TIME_NS] = time_ns
    elif behind <= JITTER_NS:
        numbers[JITTERS] += 1
        numbers[BEFORE_FIRST] += wide(time_ns <= numbers[FIRST_TIME_NS])
    else:
        if numbers[CLOCK_STEPS] == 0:
            numbers[FIRST_STEP_LINE] = line
        numbers[CLOCK_STEPS] += 1
        numbers[LARGEST_STEP_NS] = max(numbers[LARGEST_STEP_NS], behind)
        numbers[MOVED_NS] = min(numbers[MOVED_NS] + min(behind, MOST_MOVED_NS), MOST_MOVED_NS)
        numbers[LAST_TIME_NS] = time_ns


@kernel
def _note_frames(frame: int, pages: int, first_frame: int, state: FrameState) -> None:
    """Note where the frames lie that the trace names, of those that can be memory."""
    numbers, end = state.numbers, frame + pages
    if first_frame <= frame and end - first_frame <= state.frames.size:
        numbers[LOW_FRAME] = min(numbers[LOW_FRAME], frame)
        numbers[HIGH_FRAME] = max(numbers[HIGH_FRAME], end)


@kernel
def _allocate_or_free(
    state: FrameState,
    task: NDArray[np.int64],
    kind: int,
    field: NDArray[np.int64],
    first_frame: int,
) -> None:
    numbers = state.numbers
    frame, order = wide(field[FRAME]) - first_frame, wide(field[ORDER])
    if wide(field[FRAME]) >= NO_FRAME:
        numbers[FAILED] += 1
        return
    _note_frames(wide(field[FRAME]), 1 << order, first_frame, state)
    numbers[FREED_PAGES if kind == PAGE_FREE else ALLOCATED_PAGES] += 1 << order
    if frame < 0 or frame > state.frames.size - (1 << order):
        numbers[OUTSIDE] += 1
    elif kind == PAGE_FREE:
        free(state, frame, order, True)
    else:
        pointer = wide(task[CLEARED])
        task[CLEARED] = 0
        flags = flags_of(frame, order, max(0, wide(field[FLAGS])), pointer, first_frame, numbers)
        allocate(state, frame, order, flags)


@kernel
def _sample(tagged: int, groups: int, numbers: NDArray[np.int64]) -> None:
    """Take in a sample of the live tagged pages, and of the groups of frames that have one."""
    numbers[SAMPLES] += 1
    numbers[TAGGED_SAMPLED] += tagged
    numbers[GROUPS_SAMPLED] += groups
    numbers[TAGGED_AT_SAMPLES] += numbers[TAGGED_NOW]
    numbers[GROUPS_AT_SAMPLES] += numbers[GROUPS_NOW]
    if tagged == numbers[TAGGED_NOW] and groups == numbers[GROUPS_NOW]:
        numbers[EQUAL_SAMPLES] += 1


@entry
def _advance(
    records: Records,
    insertions: Insertions,
    by: NDArray[np.uint8],
    first_frame: int,
    page_shift: int,
    state: FrameState,
    tasks: NDArray[np.int64],
    names: Names,
    bits: PageFlags,
    tells_touches: bool,
    known: NDArray[np.int64],
) -> int:
    kinds, times, pids = records.kind, records.time_ns, records.pid
    lines, fields = records.line, records.fields
    request, is_ = insertions.request, insertions.is_
    numbers, learnt = state.numbers, wide(0)
    numbers[ROWS] += numbers[CHUNK_ROWS]
    numbers[CHUNK_ROWS] = 0
    for record in range(kinds.size):
        kind = wide(kinds[record])
        pid = wide(pids[record])
        field = fields[record]
        order = wide(field[ORDER])
        _note_time(wide(times[record]), wide(lines[record]), numbers)
        times[record] = numbers[LAST_TIME_NS] + numbers[MOVED_NS]
        if kind in (ADD, DELETE):
            offset = wide(field[OFFSET_BYTES])
            index = offset >> page_shift
            if offset & ((1 << (order + page_shift)) - 1) or index >= 1 << 32:
                numbers[MISALIGNED] += 1
                continue
            _note_frames(wide(field[FRAME]), 1 << order, first_frame, state)
            inode = wide(field[INO])
            page = number_of(wide(field[DEV]), inode, names) << 32 | index
            if kind == ADD:
                asked, what = wide(request[record]), wide(is_[record])
                insert(state, tasks[pid], inode, page, order, what, asked, tells_touches, names)
            elif by[record] != NOBODY:
                waits = by[record] == WAITING_TASK
                evict(state, tasks[pid], inode, page, order, waits, bits, tells_touches, names)
            else:
                truncate(state, page, order, names)
        elif kind == EVICTION:
            note_eviction(tasks[pid], field, bits)
        elif kind == REFAULT:
            learnt = refault(numbers, tasks[pid], field, known, learnt, names)
        elif kind == TOUCHED:
            if tells_touches:
                touch(field, names)
        elif kind == INODE_GONE:
            forget_inode(state, field, names)
        elif kind == NEW_PHASE:
            put(state, PHASE, 0, wide(field[PHASE_NUMBER]), 0, 0, 0)
        elif kind == TAG_CLEAR:
            tasks[pid, CLEARED] = field[POINTER]
        elif kind in (PAGE_ALLOC, PAGE_FREE):
            _allocate_or_free(state, tasks[pid], kind, field, first_frame)
        elif kind == SYNC_TAGS:
            first = ((wide(field[PTE]) & 0xFFFF_FFFF_FFFF) >> page_shift) - first_frame
            pages = min(_MOST_SYNCED_PAGES, max(1, wide(field[PTES])))
            map_tagged(state, first, pages)
        elif kind == COPY_PAGE and numbers[VMEMMAP] == 0:
            # While no page is known to be tagged, no copy of one is either.
            numbers[NO_BASE] += wide(numbers[TAGGED_NOW] > 0)
        elif kind == COPY_PAGE:
            source = frame_of(wide(field[SOURCE_POINTER]), first_frame, numbers)
            frame = frame_of(wide(field[POINTER]), first_frame, numbers)
            copy_tags(state, source, frame)
        elif kind == MARK and field[SAMPLED_PAGES] != ABSENT and field[SAMPLED_GROUPS] != ABSENT:
            _sample(wide(field[SAMPLED_PAGES]), wide(field[SAMPLED_GROUPS]), numbers)
    return learnt
