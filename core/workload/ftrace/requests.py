"""Read requests of a trace: which insertions one task asked the disk for together, and awaits.

A request belongs to a task and a file. It ends at the task's next ``mm_filemap_get_pages`` (which
comes after the insertions that it caused), ``mm_filemap_fault`` (which comes before them),
``mm_filemap_map_pages``, exec or exit, and at an insertion into another file. The task waits for
the folios that overlap the range of the get_pages, or hold the page that faulted.

Without get_pages, a request also ends where the task begins another readahead
(``page_cache_sync_ra``, ``_async_ra``, ``_ra_order``, ``_ra_unbounded``) or, without these, where
its reads are issued to the device (``block_rq_issue``). Then the task waits for what the readahead
was asked for, for nothing of an asynchronous one, and for all where nothing tells. Beside these it
waits for each folio whose frame was allocated without ``__GFP_NORETRY``: the kernel allocates with
it whatever it reads ahead, so such a folio was asked for by itself.

Where a trace has none of these, its requests are guessed: faults and mappings end some, but a task
that calls read() again and again would have one without end.

Two kinds of insertions belong to no request. A block device's own mapping is metadata of a file
system: it ends no request either. A folio whose frame was allocated with ``__GFP_WRITE`` is brought
into being by a write, and nothing is read for it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, kernel, wide
from core.workload.ftrace.lines import Records
from core.workload.ftrace.words import (
    ADD,
    ASYNC_READAHEAD,
    BLOCK_ISSUE,
    DEV,
    FAULT,
    FLAGS,
    FRAME,
    GET_PAGES,
    GFP_NORETRY,
    GFP_WRITE,
    INDEX,
    INO,
    KINDS,
    LAST_BYTES,
    MAP_PAGES,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGES,
    READAHEAD,
    SYNC_READAHEAD,
    TASK_EXEC,
    TASK_EXIT,
)

#: Tasks of a kernel have lower numbers than this (PID_MAX_LIMIT).
TASKS = 1 << 22
#: The number of all tasks of which a trace does not tell the number.
UNKNOWN_TASK = TASKS
#: Rows of a table of tasks; those above `UNKNOWN_TASK` are for numbers that no kernel gives.
TASK_ROWS = TASKS + 1 + (1 << 16)
# What an insertion is, beside its request.
IS_WANTED, IS_WRITE, IS_METADATA = 1, 2, 4
# Columns of `tasks`: the open request, or 0, its file, and the end of its last folio; then the file
# and the range of pages that the task was last seen to ask for. `ASKED` says whether there is one.
_REQUEST, _DEV, _INO, _END, _ASKED, _ASKED_DEV, _ASKED_INO, _ASKED_FIRST, _ASKED_END = range(9)
# What tells where requests end.
_LOOKUPS, _READAHEADS, _COMMANDS = range(3)
_USED = np.zeros(KINDS, dtype=np.bool_)
_USED[[PAGE_ALLOC, ADD, GET_PAGES, FAULT, MAP_PAGES, TASK_EXEC, TASK_EXIT]] = True
_USED[[SYNC_READAHEAD, ASYNC_READAHEAD, READAHEAD, BLOCK_ISSUE]] = True
# Bits of a frame: how its allocation was asked for, if it was seen.
_SEEN, _WRITTEN, _READ_AHEAD = 1, 2, 4


class Insertions(NamedTuple):
    """What is known of the insertions among some records, beside their fields."""

    # [record] number of the read request, from 1; 0: none. Of metadata, which lies in none, minus
    # the number of its task's: the file system looks up where the pages of that one lie.
    request: NDArray[np.int64]
    is_: NDArray[np.uint8]  # [record] IS_WANTED, IS_WRITE, IS_METADATA


class RequestState:
    """The requests that the traced kernel's tasks have open between two chunks of its trace."""

    def __init__(self, first_frame: int, frames: int, page_size: int) -> None:
        self.requests = 0
        #: Records of each kind that were read.
        self.seen = np.zeros(KINDS, dtype=np.int64)
        self._first_frame = first_frame
        self._page_shift = page_size.bit_length() - 1
        self._frames = np.zeros(frames, dtype=np.uint8)
        # Pages of zeros cost nothing until they are written to.
        self._tasks = np.zeros((TASK_ROWS, _ASKED_END + 1), dtype=np.int64)
        self._waits: list[NDArray[np.int64]] = []

    @property
    def tells_requests(self) -> bool:
        """Whether the trace has any event that says where the requests of read() end."""
        return bool(self.seen[list(_TELLING)].any())

    def advance(self, records: Records) -> Insertions:
        """Return what is known of the insertions among the records."""
        count = records.kind.size
        self.seen += np.bincount(records.kind, minlength=KINDS)
        told_by = _LOOKUPS
        if not self.seen[GET_PAGES]:
            if self.seen[[SYNC_READAHEAD, ASYNC_READAHEAD, READAHEAD]].any():
                told_by = _READAHEADS
            elif self.seen[BLOCK_ISSUE]:
                told_by = _COMMANDS
        insertions = Insertions(np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.uint8))
        waits = np.empty((count, 3), dtype=np.int64)
        self.requests, awaited = _advance(
            records,
            *(self._first_frame, self._page_shift, told_by, self.requests),
            self._frames,
            self._tasks,
            insertions,
            waits,
        )
        self._waits.append(waits[:awaited].copy())
        return insertions

    def is_by_read(self, request: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether requests are of read(), as a get_pages after them tells, and of no fault.

        Parameters
        ----------
        request
            The number of each, or 0.
        """
        by_read = np.zeros(self.requests + 1, dtype=np.bool_)
        for waits in self._waits:
            by_read[waits[:, 0]] = True
        return by_read[request]

    def is_awaited(
        self, request: NDArray[np.int32], index: NDArray[np.int64], order: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return whether folios overlap what a get_pages after their insertion asked for.

        Parameters
        ----------
        request
            The request of each folio, or 0.
        index, order
            Its first page, and the binary logarithm of its size in pages.
        """
        first = np.zeros(self.requests + 1, dtype=np.int64)
        last = np.full(self.requests + 1, -1, dtype=np.int64)
        waits = np.concatenate([np.empty((0, 3), dtype=np.int64), *self._waits])
        first[waits[:, 0]], last[waits[:, 0]] = waits[:, 1], waits[:, 2]
        overlaps: NDArray[np.bool_] = (index <= last[request]) & (
            index + (1 << order) > first[request]
        )
        return overlaps


# Faults and mappings say nothing of what read() asks for.
_TELLING = (GET_PAGES, SYNC_READAHEAD, ASYNC_READAHEAD, READAHEAD, BLOCK_ISSUE)


@kernel
def is_metadata(device: int, inode: int) -> bool:
    """Return whether a file is a block device's own mapping, which holds metadata.

    Its inode has the number of the block device. Its own device is that of the kernel's internal
    file system for block devices, which is made at boot and is one of the first without a disk.
    """
    return inode == device or (device < 16 and inode >> 20 > 0)


@kernel
def _end(task: NDArray[np.int64]) -> None:
    """End a task's request, and forget what it asked for."""
    task[_REQUEST] = 0
    task[_ASKED] = 0


@kernel
def _ask(task: NDArray[np.int64], field: NDArray[np.int64], first: int, end: int) -> None:
    """Note that a task asks for some pages of a file; its request has ended."""
    task[_REQUEST] = 0
    task[_ASKED] = 1
    task[_ASKED_DEV], task[_ASKED_INO] = field[DEV], field[INO]
    task[_ASKED_FIRST], task[_ASKED_END] = first, end


@kernel
def _read_ahead(task: NDArray[np.int64], kind: int, field: NDArray[np.int64]) -> None:
    """Take in that a readahead begins, of a trace without get_pages."""
    first = wide(field[INDEX])
    if kind == SYNC_READAHEAD:
        _ask(task, field, first, first + max(1, wide(field[PAGES])))
    elif kind == ASYNC_READAHEAD:
        _ask(task, field, 0, 0)
    elif task[_REQUEST] != 0:
        # It goes on where a readahead of large folios gave up, or it is another one.
        asked = wide(task[_ASKED]) if task[_END] == first else wide(0)
        _end(task)
        task[_ASKED] = asked


@kernel
def _insert(
    task: NDArray[np.int64],
    field: NDArray[np.int64],
    index: int,
    frame_bits: int,
    told_by: int,
    requests: int,
) -> tuple[int, int]:
    """Return (request, whether it is known that the task waits) of an insertion that reads."""
    end = index + (1 << wide(field[ORDER]))
    device, inode = wide(field[DEV]), wide(field[INO])
    if task[_REQUEST] == 0 or task[_DEV] != device or task[_INO] != inode:
        task[_REQUEST] = requests + 1
        task[_DEV], task[_INO] = device, inode
    task[_END] = end
    is_asked = task[_ASKED] != 0 and task[_ASKED_DEV] == device and task[_ASKED_INO] == inode
    wanted = is_asked and index < task[_ASKED_END] and end > task[_ASKED_FIRST]
    if told_by != _LOOKUPS:
        alone = frame_bits & _SEEN != 0 and frame_bits & _READ_AHEAD == 0
        wanted = wanted or alone or not is_asked
    return wide(task[_REQUEST]), wide(1 if wanted else 0)


@entry
def _advance(
    records: Records,
    first_frame: int,
    page_shift: int,
    told_by: int,
    requests: int,
    frames: NDArray[np.uint8],
    tasks: NDArray[np.int64],
    insertions: Insertions,
    waits: NDArray[np.int64],
) -> tuple[int, int]:
    """Return the number of requests so far, and of those in `waits`: (request, first, last)."""
    awaited = wide(0)
    kinds, pids, fields = records.kind, records.pid, records.fields
    request, is_ = insertions.request, insertions.is_
    is_used = _USED
    for record in range(kinds.size):
        kind = wide(kinds[record])
        if not is_used[kind]:
            continue
        field = fields[record]
        frame = wide(field[FRAME]) - first_frame
        if kind == PAGE_ALLOC:
            end = min(frame, frames.size) + (1 << wide(field[ORDER]))
            gfp = max(0, wide(field[FLAGS]))
            bits = _SEEN
            bits |= _WRITTEN if gfp & GFP_WRITE else 0
            bits |= _READ_AHEAD if gfp & GFP_NORETRY else 0
            for page_frame in range(frame, end if frame >= 0 and end <= frames.size else frame):
                frames[page_frame] = bits
            continue
        task = tasks[wide(pids[record])]
        if kind == ADD:
            bits = wide(frames[frame]) if 0 <= frame < frames.size else wide(0)
            device, inode = wide(field[DEV]), wide(field[INO])
            if is_metadata(device, inode):
                is_[record] = IS_METADATA
                request[record] = -wide(task[_REQUEST])
            elif bits & _WRITTEN:
                is_[record] = IS_WRITE
                if task[_DEV] != device or task[_INO] != inode:
                    task[_REQUEST] = 0
            else:
                index = wide(field[OFFSET_BYTES]) >> page_shift
                number, wanted = _insert(task, field, index, bits, told_by, requests)
                requests = max(requests, number)
                request[record] = number
                is_[record] = IS_WANTED if wanted else 0
        elif kind == GET_PAGES:
            same_file = task[_DEV] == field[DEV] and task[_INO] == field[INO]
            if task[_REQUEST] != 0 and same_file and field[OFFSET_BYTES] >= 0:
                waits[awaited, 0] = task[_REQUEST]
                waits[awaited, 1] = wide(field[OFFSET_BYTES]) >> page_shift
                waits[awaited, 2] = wide(field[LAST_BYTES]) >> page_shift
                awaited += 1
            _end(task)
        elif kind == FAULT:
            index = wide(field[OFFSET_BYTES]) >> page_shift
            _ask(task, field, index, index + 1)
        elif kind in (MAP_PAGES, TASK_EXEC, TASK_EXIT):
            _end(task)
        elif kind in (SYNC_READAHEAD, ASYNC_READAHEAD, READAHEAD):
            if told_by == _READAHEADS:
                _read_ahead(task, kind, field)
        elif kind == BLOCK_ISSUE and told_by == _COMMANDS:
            _end(task)
    return requests, awaited
