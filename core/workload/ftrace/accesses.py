"""Turns records of ftrace into rows of an access trace: what the traced kernel was asked to do.

* An insertion is a *read* of its folio: a program needed it then, or the kernel read it ahead.
* ``folio_mark_accessed`` is a *touch* of the file page in that frame: reads and writes by file
  descriptor show there, page by page. A fault is a *map* of a page by its task.
* Unlike in mm events, insertions of metadata and those that a write makes are rows: they take up
  memory.
* An allocation that does not become page cache is a *take*, and its free is a *give*. It is memory
  of a program (ANONYMOUS) if it is one movable page that nobody allocates in haste. Compaction
  copies a page to a frame that was never allocated, and frees the frame it came from; the page
  keeps its handle. The number of pages in use therefore follows the kernel's own count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.typed import Dict
from numpy.typing import NDArray

from core.accesses import (
    BOOT_HANDLE,
    BY_WRITE,
    EXIT,
    GIVE,
    IN_FAULT,
    MAP,
    MOVE,
    PHASE,
    READ,
    TAKE,
    TOUCH,
    TRUNCATE,
)
from core.events import ANONYMOUS, ATOMIC, MOVABLE, WANTED
from core.jit import entry, kernel, wide
from core.workload.ftrace.frames import STRUCT_PAGE_BYTES, VMEMMAP, flags_of, frame_of
from core.workload.ftrace.lines import Records
from core.workload.ftrace.looks import LOOK, look_of
from core.workload.ftrace.requests import (
    IS_WANTED,
    IS_WRITE,
    TASK_ROWS,
    Insertions,
    is_metadata,
)
from core.workload.ftrace.tasks import KSWAPD
from core.workload.ftrace.tasks import NOBODY as NO_RECLAIM
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    AGED,
    COPY_PAGE,
    DELETE,
    DEV,
    FAULT,
    FLAGS,
    FOUND_YOUNG,
    FRAME,
    GET_PAGES,
    GFP_NORETRY,
    GFP_WRITE,
    INO,
    LAST_BYTES,
    MARK,
    NEW_PHASE,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    PHASE_NUMBER,
    POINTER,
    RECLAIM_BEGIN,
    RECLAIM_END,
    REFERENCED,
    RETURNED,
    SAMPLED_GROUPS,
    SAMPLED_PAGES,
    SOURCE_POINTER,
    TAG_CLEAR,
    TASK_EXEC,
    TASK_EXIT,
    TOUCHED,
)

# Rows: time_ns, op, inode, index, order, handle, flags; and more, which told_later.py uses: of a row
# of read its request, or 0; of one that takes memory of a program the task; of one that gives it
# SWAPPED_OUT where reclaim does; and of one of touch NOT_READ where its task did not ask for the
# page by its last read().
COLUMNS = 8
SWAPPED_OUT = -1
NOT_READ = 1
# Ops of rows that are none of an access trace: reclaim evicts a folio; a task (handle) gets a copy of
# its own of a file's page that it has mapped, or was about to map.
EVICTED, COPIED = 255, 254
# Who holds a frame, if it is not the memory of a handle: something from before the trace, or nobody
# (the trace does not tell); the page cache; nobody since compaction moved the page away; nobody.
BOOT, CACHE, MOVED, NOBODY = -1, -2, -3, -4
#: This minus a frame is memory from before the trace that compaction moved from that frame.
BOOT_FROM = -16
#: What `page_in` says of memory of a program.
OF_PROGRAM = -2
# Whether a frame was free or in use when the trace began; 0 where nothing tells.
FREE_THEN, IN_USE_THEN = 1, 2
# Elements of `numbers`, beside VMEMMAP, which `flags_of` sets: first the rows of the chunk of the
# trace that is read, those of the chunks before it, and the rows that this chunk drops.
(
    CHUNK_ROWS,
    ROWS,
    DROPS,
    HANDLES,
    IN_USE,
    CACHED,
    FREE_AT_START,
    _MAY_BE_BASE,
    NUMBERS,
) = range(VMEMMAP + 1, VMEMMAP + 10)


class Holders(NamedTuple):
    """Who holds each frame of the traced kernel, and the rows of the chunk that is read."""

    rows: NDArray[np.int64]  # [row, COLUMNS]
    dropped: NDArray[np.int64]  # [drop] a row, counted from the first row of the trace
    holder: NDArray[np.int64]  # [frame] the handle of its memory, or BOOT, CACHE, …
    page_in: NDArray[np.int64]  # [frame] the file page that it caches, or -1, or OF_PROGRAM
    began: NDArray[np.uint8]  # [frame] FREE_THEN or IN_USE_THEN, or 0 where nothing tells
    numbers: NDArray[np.int64]  # [NUMBERS]


class AccessState:
    """What of the traced kernel's state accesses need, between two chunks of its trace."""

    def __init__(self, first_frame: int, frames: int, page_size: int) -> None:
        self.numbers = np.zeros(NUMBERS, dtype=np.int64)
        self._first_frame = first_frame
        self._page_shift = page_size.bit_length() - 1
        # Each frame's holder, and the file page that it caches.
        self._holder = np.full(frames, BOOT, dtype=np.int64)
        self._page = np.zeros(frames, dtype=np.int64)
        #: Whether each frame was free or in use when the trace began, where the trace shows it.
        self.began = np.zeros(frames, dtype=np.uint8)
        self._inode_of = Dict.empty(
            types.UniTuple(types.int64, 2),  # type: ignore[no-untyped-call]
            types.int64,
        )
        self._of_task = Dict.empty(types.int64, types.int64)
        # [task] the file of its last read(), and the first and the last page that it asked for; and
        # the frame that it allocated last. Pages of zeros cost nothing until they are written to.
        self._asked = np.zeros((TASK_ROWS, 4), dtype=np.int64)
        self._taken = Dict.empty(types.int64, types.int64)
        self._operation_of = Dict.empty(types.int64, types.int64)

    @property
    def metadata_inodes(self) -> list[int]:
        """The numbers of the files that are block devices' own mappings."""
        return [number for file, number in self._inode_of.items() if is_metadata(*file)]

    def advance(
        self, records: Records, insertions: Insertions, by: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of the records, and the rows that are dropped.

        A row is dropped when its allocation turns out to be of a page of the page cache. Dropped
        rows are counted from the first row of the trace; rows before these records can be dropped.
        `by` says who deletes, as `core.workload.ftrace.tasks.TaskState.advance` tells it.
        """
        rows = np.zeros((2 * records.kind.size, COLUMNS), dtype=np.int64)
        dropped = np.empty(records.kind.size, dtype=np.int64)
        holders = Holders(rows, dropped, self._holder, self._page, self.began, self.numbers)
        _advance(
            records,
            insertions,
            by,
            self._first_frame,
            self._page_shift,
            holders,
            *(self._inode_of, self._of_task, self._asked, self._taken),
            self._operation_of,
        )
        return rows[: int(self.numbers[CHUNK_ROWS])], dropped[: int(self.numbers[DROPS])]


@kernel
def _put(
    holders: Holders, time_ns: int, op: int, page: int, order: int, handle: int, flags: int
) -> None:
    """Write a row of an access trace; `page` is inode << 32 | index."""
    rows = holders.rows
    row = wide(holders.numbers[CHUNK_ROWS])
    rows[row, 0] = time_ns
    rows[row, 1] = op
    rows[row, 2] = page >> 32
    rows[row, 3] = page & 0xFFFF_FFFF
    rows[row, 4] = order
    rows[row, 5] = handle
    rows[row, 6] = flags
    rows[row, 7] = 0
    holders.numbers[CHUNK_ROWS] = row + 1


@entry
def _number_of(device: int, inode: int, inode_of: Any) -> int:
    file = (device, inode)
    if file not in inode_of:
        inode_of[file] = wide(len(inode_of))
    return wide(inode_of[file])


# Bits of a task: its last lookup was a fault; it is in reclaim; it is a kswapd.
_FAULTS, _RECLAIMS, _IS_KSWAPD = 1, 2, 4


@entry
def _task(pid: int, of_task: Any) -> int:
    return wide(of_task[pid]) if pid in of_task else wide(0)


@entry
def _change_cache(
    holders: Holders,
    kind: int,
    now: int,
    frame: int,
    order: int,
    page: int,
    flags: int,
    reclaims: bool,
    taken: Any,
) -> None:
    """Take in that a folio enters or leaves the page cache, with the flags of its row.

    Its allocation has become a row by then, `taken`, which is dropped.
    """
    holder, page_in, numbers = holders.holder, holders.page_in, holders.numbers
    began = holders.began
    pages = 1 << order
    inside = 0 <= frame <= holder.size - pages
    if kind == ADD:
        if inside and holder[frame] >= 0:
            holders.dropped[numbers[DROPS]] = taken[wide(holder[frame])]
            numbers[DROPS] += 1
        for page_frame in range(frame, frame + pages if inside else frame):
            holder[page_frame] = CACHE
            page_in[page_frame] = page + page_frame - frame
        numbers[CACHED] += pages
        _put(holders, now, READ, page, order, 0, flags)
        return
    numbers[CACHED] -= pages
    for page_frame in range(frame, frame + pages if inside else frame):
        page_in[page_frame] = -1
    if inside and holder[frame] == BOOT:
        # It was in the page cache when the trace began.
        for page_frame in range(frame, frame + pages):
            holder[page_frame] = CACHE
            began[page_frame] = began[page_frame] or IN_USE_THEN
    _put(holders, now, EVICTED if reclaims else TRUNCATE, page, order, 0, 0)


@entry
def _move(holders: Holders, now: int, field: NDArray[np.int64], first_frame: int) -> bool:
    """Take in a copy, and return whether it is compaction's: to a frame that is not allocated."""
    holder, page_in, began = holders.holder, holders.page_in, holders.began
    numbers = holders.numbers
    target = frame_of(wide(field[POINTER]), first_frame, numbers)
    source = frame_of(wide(field[SOURCE_POINTER]), first_frame, numbers)
    if not (0 <= target < holder.size and 0 <= source < holder.size):
        return False
    if holder[target] not in (BOOT, NOBODY):
        return False
    numbers[IN_USE] += 1
    began[target] = began[target] or FREE_THEN
    began[source] = began[source] or IN_USE_THEN
    held = wide(holder[source])
    if held == CACHE and page_in[source] >= 0:
        _put(holders, now, MOVE, wide(page_in[source]), 0, 0, 0)
    holder[target] = held if held != BOOT else BOOT_FROM - source
    page_in[target] = page_in[source]
    holder[source] = MOVED
    page_in[source] = -1
    return True


@kernel
def _learn_base(pointer: int, frame: int, numbers: NDArray[np.int64]) -> None:
    """Locate the array of ``struct page``: a task copies to what it has just allocated.

    A copy of compaction's is to another frame, so that two copies must say the same.
    """
    base = pointer - frame * STRUCT_PAGE_BYTES
    if base == numbers[_MAY_BE_BASE]:
        numbers[VMEMMAP] = base
    numbers[_MAY_BE_BASE] = base


@kernel
def _page_of(holders: Holders, pointer: int, first_frame: int) -> int:
    """Return the file page that the frame of a ``struct page`` caches, or -1."""
    frame = frame_of(pointer, first_frame, holders.numbers)
    if 0 <= frame < holders.holder.size and holders.holder[frame] == CACHE:
        return wide(holders.page_in[frame])
    return wide(-1)


@kernel
def _insertion_flags(is_: int, task: int) -> int:
    """Return the flags of a read: whether a fault asks, a task waits, or a write makes it."""
    if is_ & IS_WRITE:
        return BY_WRITE
    return (IN_FAULT if task & _FAULTS else 0) | (WANTED if is_ & IS_WANTED else 0)


@kernel
def _program_flags(order: int, gfp: int, flags: int) -> int:
    """Return ANONYMOUS if an allocation is of a page of a program, else 0.

    Reclaim and zram allocate in haste; page cache that is written or read ahead says so.
    """
    is_movable = flags & MOVABLE and not flags & ATOMIC
    return ANONYMOUS if is_movable and order == 0 and not gfp & (GFP_NORETRY | GFP_WRITE) else 0


@entry
def _advance(
    records: Records,
    insertions: Insertions,
    by: NDArray[np.uint8],
    first_frame: int,
    page_shift: int,
    holders: Holders,
    inode_of: Any,
    of_task: Any,
    asked: NDArray[np.int64],
    taken: Any,
    operations: Any,
) -> None:
    kinds, times, pids = records.kind, records.time_ns, records.pid
    fields, request, is_ = records.fields, insertions.request, insertions.is_
    holder, page_in, began = holders.holder, holders.page_in, holders.began
    numbers = holders.numbers
    numbers[ROWS] += numbers[CHUNK_ROWS]
    numbers[CHUNK_ROWS] = 0
    numbers[DROPS] = 0
    pointer = wide(0)
    for record in range(kinds.size):
        kind, pid, now = wide(kinds[record]), wide(pids[record]), wide(times[record])
        field = fields[record]
        frame, order = wide(field[FRAME]) - first_frame, wide(field[ORDER])
        if kind == GET_PAGES:
            of_task[pid] = _task(pid, of_task) & ~_FAULTS
            asked[pid, 0] = _number_of(wide(field[DEV]), wide(field[INO]), inode_of)
            asked[pid, 1] = wide(field[OFFSET_BYTES]) >> page_shift
            asked[pid, 2] = wide(field[LAST_BYTES]) >> page_shift
        elif kind in (TASK_EXIT, TASK_EXEC):
            _put(holders, now, EXIT, 0, 0, pid, 0)
        elif kind == FAULT:
            of_task[pid] = _task(pid, of_task) | _FAULTS
            inode = _number_of(wide(field[DEV]), wide(field[INO]), inode_of)
            page = inode << 32 | wide(field[OFFSET_BYTES]) >> page_shift
            _put(holders, now, MAP, page, 0, pid, 0)
        elif kind in (ADD, DELETE):
            index = wide(field[OFFSET_BYTES]) >> page_shift
            if wide(field[OFFSET_BYTES]) & ((1 << (order + page_shift)) - 1) or index >= 1 << 32:
                continue
            page = _number_of(wide(field[DEV]), wide(field[INO]), inode_of) << 32 | index
            reclaims = by[record] != NO_RECLAIM
            if by[record] == KSWAPD:
                of_task[pid] = _task(pid, of_task) | _IS_KSWAPD
            flags = _insertion_flags(wide(is_[record]), _task(pid, of_task))
            _change_cache(holders, kind, now, frame, order, page, flags, reclaims, taken)
            if kind == ADD:
                holders.rows[numbers[CHUNK_ROWS] - 1, 7] = request[record]
        elif kind == RECLAIM_BEGIN:
            of_task[pid] = _task(pid, of_task) | _RECLAIMS
        elif kind == RECLAIM_END:
            of_task[pid] = _task(pid, of_task) & ~_RECLAIMS
        elif kind == NEW_PHASE:
            _put(holders, now, PHASE, wide(field[PHASE_NUMBER]), 0, 0, 0)
        elif kind == TAG_CLEAR:
            pointer = wide(field[POINTER])
        elif kind == PAGE_ALLOC and 0 <= frame <= holder.size - (1 << order):
            gfp = max(0, wide(field[FLAGS]))
            flags = flags_of(frame, order, gfp, pointer, first_frame, numbers)
            flags |= _program_flags(order, gfp, flags)
            asked[pid, 3] = field[FRAME]
            pointer = wide(0)
            handle = wide(numbers[HANDLES])
            numbers[HANDLES] += 1
            numbers[IN_USE] += 1 << order
            taken[handle] = wide(numbers[ROWS]) + wide(numbers[CHUNK_ROWS])
            for page_frame in range(frame, frame + (1 << order)):
                holder[page_frame] = handle
                page_in[page_frame] = OF_PROGRAM if flags & ANONYMOUS else -1
                began[page_frame] = began[page_frame] or FREE_THEN
            _put(holders, now, TAKE, 0, order, handle, flags)
            if flags & ANONYMOUS:
                holders.rows[numbers[CHUNK_ROWS] - 1, 7] = pid
        elif kind == PAGE_FREE and 0 <= frame <= holder.size - (1 << order):
            handle = wide(holder[frame])
            if handle != NOBODY:
                numbers[IN_USE] -= 1 << order
            if handle == BOOT:
                handle = BOOT_HANDLE + frame
            elif handle <= BOOT_FROM:
                handle = BOOT_HANDLE + BOOT_FROM - handle
            if handle >= 0:
                _put(holders, now, GIVE, 0, order, handle, 0)
                if page_in[frame] == OF_PROGRAM and _task(pid, of_task) & (_RECLAIMS | _IS_KSWAPD):
                    holders.rows[numbers[CHUNK_ROWS] - 1, 7] = SWAPPED_OUT
            for page_frame in range(frame, frame + (1 << order)):
                holder[page_frame] = NOBODY
                began[page_frame] = began[page_frame] or IN_USE_THEN
                page_in[page_frame] = -1
        elif kind == COPY_PAGE and numbers[VMEMMAP] == 0:
            _learn_base(wide(field[POINTER]), wide(asked[pid, 3]), numbers)
        elif kind == COPY_PAGE:
            source = frame_of(wide(field[SOURCE_POINTER]), first_frame, numbers)
            if not _move(holders, now, field, first_frame) and 0 <= source < holder.size:
                if holder[source] == CACHE and page_in[source] >= 0:
                    _put(holders, now, COPIED, wide(page_in[source]), 0, pid, 0)
        elif kind == TOUCHED and numbers[VMEMMAP] != 0:
            page = _page_of(holders, wide(field[POINTER]), first_frame)
            if page >= 0:
                _put(holders, now, TOUCH, page, 0, 0, 0)
                is_read = asked[pid, 0] == page >> 32 and asked[pid, 1] <= page & 0xFFFF_FFFF
                if not is_read or page & 0xFFFF_FFFF > asked[pid, 2]:
                    holders.rows[numbers[CHUNK_ROWS] - 1, 7] = NOT_READ
        elif kind in (REFERENCED, FOUND_YOUNG, AGED):
            op, operation, found = look_of(kind, pid, wide(field[RETURNED]), operations)
            page = wide(-1 if op == LOOK else 0)
            if op == LOOK and found != ABSENT and numbers[VMEMMAP] != 0:
                page = _page_of(holders, wide(field[POINTER]), first_frame)
            if page >= 0:
                _put(holders, now, op, page, 0, operation, found)
        elif kind == MARK and field[SAMPLED_PAGES] >= 0 > field[SAMPLED_GROUPS]:
            # Of /proc/vmstat: free pages, and no groups. Pages that a CPU keeps are free too, and
            # not in its count: the sample that finds fewest of them says most.
            free = wide(field[SAMPLED_PAGES]) + numbers[IN_USE]
            numbers[FREE_AT_START] = max(numbers[FREE_AT_START], free)
