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

from typing import Any

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
    PHASE,
    TAKE,
    TOUCH,
)
from core.events import ANONYMOUS, ATOMIC, MOVABLE, WANTED
from core.jit import entry, kernel, wide
from core.workload.ftrace.frames import VMEMMAP, flags_of
from core.workload.ftrace.holders import (
    BOOT,
    BOOT_FROM,
    CHUNK_ROWS,
    COLUMNS,
    COPIED,
    DROPS,
    FREE_AT_START,
    FREE_THEN,
    HANDLES,
    IN_USE,
    IN_USE_THEN,
    NOBODY,
    NOT_READ,
    NUMBERS,
    OF_PROGRAM,
    ROWS,
    SWAPPED_OUT,
    Holders,
    change_cache,
    learn_base,
    move,
    page_of,
    put,
)
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
        # [task] 1 + the file of its last read(), and the first and the last page that it asked for;
        # and the frame that it allocated last. Pages of zeros cost nothing until they are written.
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
            asked[pid, 0] = 1 + _number_of(wide(field[DEV]), wide(field[INO]), inode_of)
            asked[pid, 1] = wide(field[OFFSET_BYTES]) >> page_shift
            asked[pid, 2] = wide(field[LAST_BYTES]) >> page_shift
        elif kind in (TASK_EXIT, TASK_EXEC):
            put(holders, now, EXIT, 0, 0, pid, 0)
        elif kind == FAULT:
            of_task[pid] = _task(pid, of_task) | _FAULTS
            inode = _number_of(wide(field[DEV]), wide(field[INO]), inode_of)
            page = inode << 32 | wide(field[OFFSET_BYTES]) >> page_shift
            put(holders, now, MAP, page, 0, pid, 0)
        elif kind in (ADD, DELETE):
            index = wide(field[OFFSET_BYTES]) >> page_shift
            if wide(field[OFFSET_BYTES]) & ((1 << (order + page_shift)) - 1) or index >= 1 << 32:
                continue
            page = _number_of(wide(field[DEV]), wide(field[INO]), inode_of) << 32 | index
            reclaims = by[record] != NO_RECLAIM
            if by[record] == KSWAPD:
                of_task[pid] = _task(pid, of_task) | _IS_KSWAPD
            flags = _insertion_flags(wide(is_[record]), _task(pid, of_task))
            change_cache(holders, kind, now, frame, order, page, flags, reclaims, taken)
            if kind == ADD:
                holders.rows[numbers[CHUNK_ROWS] - 1, 7] = request[record]
        elif kind == RECLAIM_BEGIN:
            of_task[pid] = _task(pid, of_task) | _RECLAIMS
        elif kind == RECLAIM_END:
            of_task[pid] = _task(pid, of_task) & ~_RECLAIMS
        elif kind == NEW_PHASE:
            put(holders, now, PHASE, wide(field[PHASE_NUMBER]), 0, 0, 0)
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
            put(holders, now, TAKE, 0, order, handle, flags)
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
                put(holders, now, GIVE, 0, order, handle, 0)
                if page_in[frame] == OF_PROGRAM and _task(pid, of_task) & (_RECLAIMS | _IS_KSWAPD):
                    holders.rows[numbers[CHUNK_ROWS] - 1, 7] = SWAPPED_OUT
            for page_frame in range(frame, frame + (1 << order)):
                holder[page_frame] = NOBODY
                began[page_frame] = began[page_frame] or IN_USE_THEN
                page_in[page_frame] = -1
        elif kind == COPY_PAGE and numbers[VMEMMAP] == 0:
            learn_base(wide(field[POINTER]), wide(asked[pid, 3]), numbers)
        elif kind == COPY_PAGE:
            page = page_of(holders, wide(field[SOURCE_POINTER]), first_frame)
            if not move(holders, now, field, first_frame) and page >= 0:
                put(holders, now, COPIED, page, 0, pid, 0)
        elif kind == TOUCHED and numbers[VMEMMAP] != 0:
            page = page_of(holders, wide(field[POINTER]), first_frame)
            if page >= 0:
                put(holders, now, TOUCH, page, 0, 0, 0)
                is_read = asked[pid, 0] == 1 + (page >> 32)
                is_read = is_read and asked[pid, 1] <= page & 0xFFFF_FFFF
                if not is_read or page & 0xFFFF_FFFF > asked[pid, 2]:
                    holders.rows[numbers[CHUNK_ROWS] - 1, 7] = NOT_READ
        elif kind in (REFERENCED, FOUND_YOUNG, AGED):
            op, operation, found = look_of(kind, pid, wide(field[RETURNED]), operations)
            page = wide(-1 if op == LOOK else 0)
            if op == LOOK and found != ABSENT and numbers[VMEMMAP] != 0:
                page = page_of(holders, wide(field[POINTER]), first_frame)
            if page >= 0:
                put(holders, now, op, page, 0, operation, found)
        elif kind == MARK and field[SAMPLED_PAGES] >= 0 > field[SAMPLED_GROUPS]:
            # Of /proc/vmstat: free pages, and no groups. Pages that a CPU keeps are free too, and
            # not in its count: the sample that finds fewest of them says most.
            free = wide(field[SAMPLED_PAGES]) + numbers[IN_USE]
            numbers[FREE_AT_START] = max(numbers[FREE_AT_START], free)
