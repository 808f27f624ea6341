"""Who holds each frame of a traced kernel, and the rows of accesses that tell of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import BOOT_HANDLE, GIVE, MOVE, READ, TAKE, TRUNCATE
from core.events import ANONYMOUS
from core.jit import entry, kernel, wide
from core.workload.ftrace.frames import STRUCT_PAGE_BYTES, VMEMMAP, frame_of
from core.workload.ftrace.words import ADD, POINTER, SOURCE_POINTER

# Rows: time_ns, op, inode, index, order, handle, flags; and more, which told_later.py uses. Of a
# row of read it is the request, or 0; of one that takes memory of a program the task; of one that
# gives it SWAPPED_OUT where reclaim does; and of one of touch NOT_READ where the task did not ask
# for the page by its last read().
COLUMNS = 8
SWAPPED_OUT = -1
NOT_READ = 1
# Ops of rows that are none of an access trace: reclaim evicts a folio; a task (the handle) gets a
# copy of its own of a file's page that it has mapped, or was about to map.
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
    MAY_BE_BASE,
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


@kernel
def put(
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
def change_cache(
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
        put(holders, now, READ, page, order, 0, flags)
        return
    numbers[CACHED] -= pages
    for page_frame in range(frame, frame + pages if inside else frame):
        page_in[page_frame] = -1
    if inside and holder[frame] == BOOT:
        # It was in the page cache when the trace began.
        for page_frame in range(frame, frame + pages):
            holder[page_frame] = CACHE
            began[page_frame] = began[page_frame] or IN_USE_THEN
    put(holders, now, EVICTED if reclaims else TRUNCATE, page, order, 0, 0)


@entry
def take(
    holders: Holders, now: int, frame: int, order: int, flags: int, task: int, taken: Any
) -> None:
    """Take in that a task allocates memory, whose row `taken` notes by its handle."""
    numbers = holders.numbers
    handle = wide(numbers[HANDLES])
    numbers[HANDLES] += 1
    numbers[IN_USE] += 1 << order
    taken[handle] = wide(numbers[ROWS]) + wide(numbers[CHUNK_ROWS])
    for page_frame in range(frame, frame + (1 << order)):
        holders.holder[page_frame] = handle
        holders.page_in[page_frame] = OF_PROGRAM if flags & ANONYMOUS else -1
        holders.began[page_frame] = holders.began[page_frame] or FREE_THEN
    put(holders, now, TAKE, 0, order, handle, flags)
    if flags & ANONYMOUS:
        holders.rows[numbers[CHUNK_ROWS] - 1, 7] = task


@kernel
def give(holders: Holders, now: int, frame: int, order: int, reclaims: bool) -> None:
    """Take in that memory is freed, by reclaim or not."""
    numbers = holders.numbers
    handle = wide(holders.holder[frame])
    if handle != NOBODY:
        numbers[IN_USE] -= 1 << order
    if handle == BOOT:
        handle = BOOT_HANDLE + frame
    elif handle <= BOOT_FROM:
        handle = BOOT_HANDLE + BOOT_FROM - handle
    if handle >= 0:
        put(holders, now, GIVE, 0, order, handle, 0)
        if holders.page_in[frame] == OF_PROGRAM and reclaims:
            holders.rows[numbers[CHUNK_ROWS] - 1, 7] = SWAPPED_OUT
    for page_frame in range(frame, frame + (1 << order)):
        holders.holder[page_frame] = NOBODY
        holders.began[page_frame] = holders.began[page_frame] or IN_USE_THEN
        holders.page_in[page_frame] = -1


@entry
def move(holders: Holders, now: int, field: NDArray[np.int64], first_frame: int) -> bool:
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
        put(holders, now, MOVE, wide(page_in[source]), 0, 0, 0)
    holder[target] = held if held != BOOT else BOOT_FROM - source
    page_in[target] = page_in[source]
    holder[source] = MOVED
    page_in[source] = -1
    return True


@kernel
def learn_base(pointer: int, frame: int, numbers: NDArray[np.int64]) -> None:
    """Locate the array of ``struct page``: a task copies to what it has just allocated.

    A copy of compaction's is to another frame, so that two copies must say the same.
    """
    base = pointer - frame * STRUCT_PAGE_BYTES
    if base == numbers[MAY_BE_BASE]:
        numbers[VMEMMAP] = base
    numbers[MAY_BE_BASE] = base


@kernel
def page_of(holders: Holders, pointer: int, first_frame: int) -> int:
    """Return the file page that the frame of a ``struct page`` caches, or -1."""
    frame = frame_of(pointer, first_frame, holders.numbers)
    if 0 <= frame < holders.holder.size and holders.holder[frame] == CACHE:
        return wide(holders.page_in[frame])
    return wide(-1)
