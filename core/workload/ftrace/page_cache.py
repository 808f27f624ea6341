"""The page cache of a traced kernel: folios that come, go, and come back, and their rows.

``workingset_eviction`` with ``folio->flags`` tells whether an evicted folio is workingset and
mapped to disk (MAPPED). Without it, the workingset bit is bit 1 of the shadow value that the
folio's refault shows; the shadow of a large folio is that of the last of its pages that has one.
Where a folio never refaults, it is taken as workingset if it was marked as accessed twice while it
was in memory or, in a trace without ``folio_mark_accessed``, if it came by a refault.

What a write brings into being and metadata (requests.py) is no row, but is counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.typed import Dict
from numpy.typing import NDArray

from core.events import INVALIDATE, INVALIDATE_INODE, MAPPED, RESTORE, STORE, WANTED, WORKINGSET
from core.jit import entry, kernel, wide
from core.workload.ftrace.frames import (
    CHUNK_ROWS,
    FLAGGED_STORES,
    INODES_GONE,
    INSERTED_PAGES,
    INSERTIONS,
    METADATA_INSERTIONS,
    METADATA_PAGES,
    METADATA_REFAULTS,
    METADATA_RETURNED,
    RECLAIMED_FOLIOS,
    RECLAIMED_PAGES,
    REFAULT_EVENTS,
    RETURNED_PAGES,
    ROW_REFAULTS,
    ROWS,
    STORES,
    TRUNCATED_FOLIOS,
    UNMATCHED_REFAULTS,
    WRITE_INSERTIONS,
    WRITE_PAGES,
    WRITE_REFAULTS,
    WRITE_RETURNED,
    FrameState,
    put,
)
from core.workload.ftrace.page_flags import PageFlags
from core.workload.ftrace.requests import IS_METADATA, IS_WANTED, IS_WRITE, is_metadata
from core.workload.ftrace.words import ABSENT, DEV, FOLIO_FLAGS, INDEX, INO, SHADOW

# Columns of `tasks`: the page, order and kind of the task's last insertion; the structure of the
# page that it cleared last; and the folio that it evicts, whose deletion comes next, if `_EVICTED`
# says so.
_ADDED, _ADDED_ORDER, _ADDED_IS, CLEARED = range(4)
_EVICTED, _EVICTED_INO, _EVICTED_INDEX, _EVICTED_FLAGS, TASK_COLUMNS = range(4, 9)
# What is known of a page, in bits: whether it came by a refault; how often it was marked as
# accessed since it came (2: twice or more often); whether it was evicted since; and above them 1 +
# the row of its last store, or 0.
_REFAULTED, _TOUCH, _TOUCHES, _EVICTED_SINCE, _ROW_SHIFT = 1, 2, 6, 8, 4
_TWO_TOUCHES = 2 * _TOUCH
# Files of metadata have numbers from here on: no row names them.
_FIRST_METADATA = 1 << 29
_INDEX = 0xFFFF_FFFF


class Names(NamedTuple):
    """What is known by the names that files and pages have in the trace."""

    inode_of: Any  # (device, inode) of a file: its number
    metadata_of: Any  # the same of block devices' own mappings
    named: Any  # inode: the number of the file of that name whose folio came last
    gone: Any  # number of a file: 1 + the last row before its inode went
    pages: Any  # number << 32 | index of a page: what is known of it


def new_names() -> Names:
    """Return the names of a trace that is not read yet."""
    file = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]
    keys = (file, file, types.int64, types.int64, types.int64)
    return Names(*(Dict.empty(key, types.int64) for key in keys))


@entry
def number_of(device: int, inode: int, names: Names) -> int:
    """Return the number of a file."""
    file = (device, inode)
    numbers, first = names.inode_of, wide(0)
    if is_metadata(device, inode):
        numbers, first = names.metadata_of, wide(_FIRST_METADATA)
    if file not in numbers:
        numbers[file] = wide(len(numbers)) + first
    return wide(numbers[file])


@entry
def _known(numbers: Any, name: int) -> int:
    """Return the number that a name has, or 0."""
    # Numba makes an optional number of what get returns, and a number again of what is added to it.
    return wide(numbers.get(name, wide(0)) + wide(0))


@entry
def insert(
    state: FrameState,
    task: NDArray[np.int64],
    inode: int,
    page: int,
    order: int,
    is_: int,
    request: int,
    tells_touches: bool,
    names: Names,
) -> None:
    """Take in that a folio enters the page cache: a restore, if something is read for it.

    Parameters
    ----------
    state, task, names
        What is known of the kernel, of the task that inserts it, and of files.
    inode
        The inode of its file, as the trace names it.
    page, order
        Its first page, as number << 32 | index, and its size.
    is_, request
        What `core.workload.ftrace.requests.Insertions` says of it.
    tells_touches
        Whether the trace has ``folio_mark_accessed``, and needs it.
    """
    numbers = state.numbers
    if tells_touches:
        names.named[inode] = page >> 32
    pages, returned = 1 << order, wide(0)
    went = _known(names.gone, page >> 32) if len(names.gone) else wide(0)
    for folio_page in range(page, page + pages):
        known = _known(names.pages, folio_page)
        if known != 0:
            row = known >> _ROW_SHIFT
            if known & _EVICTED_SINCE and (row == 0 or row > went):
                returned += 1
            names.pages[folio_page] = wide(row << _ROW_SHIFT)
    numbers[INSERTIONS] += 1
    numbers[INSERTED_PAGES] += pages
    numbers[RETURNED_PAGES] += returned
    task[_ADDED], task[_ADDED_ORDER], task[_ADDED_IS] = page + 1, order, is_
    if is_ & IS_METADATA:
        numbers[METADATA_INSERTIONS] += 1
        numbers[METADATA_PAGES] += pages
        numbers[METADATA_RETURNED] += returned
    elif is_ & IS_WRITE:
        numbers[WRITE_INSERTIONS] += 1
        numbers[WRITE_PAGES] += pages
        numbers[WRITE_RETURNED] += returned
    else:
        put(state, RESTORE, page >> 32, page & _INDEX, order, 0, WANTED if is_ & IS_WANTED else 0)
        state.rows[numbers[CHUNK_ROWS] - 1, 7] = request


@entry
def truncate(state: FrameState, page: int, order: int, names: Names) -> None:
    """Take in that a folio leaves the page cache, but not by reclaim: an invalidate."""
    state.numbers[TRUNCATED_FOLIOS] += 1
    for folio_page in range(page, page + (1 << order)):
        if folio_page in names.pages:
            del names.pages[folio_page]
    if page >> 32 < _FIRST_METADATA:
        put(state, INVALIDATE, page >> 32, page & _INDEX, order, 0, 0)


@kernel
def note_eviction(task: NDArray[np.int64], field: NDArray[np.int64], bits: PageFlags) -> None:
    """Take in the flags of a folio that a task is about to evict, unless it is anonymous."""
    flags = wide(field[FOLIO_FLAGS])
    task[_EVICTED] = 1 - (flags >> bits.swapbacked & 1)
    task[_EVICTED_FLAGS] = flags
    task[_EVICTED_INO], task[_EVICTED_INDEX] = field[INO], field[INDEX]


@entry
def evict(
    state: FrameState,
    task: NDArray[np.int64],
    inode: int,
    page: int,
    order: int,
    waits: bool,
    bits: PageFlags,
    tells_touches: bool,
    names: Names,
) -> None:
    """Take in that reclaim takes a folio from the page cache: a store.

    Parameters
    ----------
    state, task, names
        What is known of the kernel, of the task that reclaims, and of files.
    inode
        The inode of the folio's file, as the trace names it.
    page, order
        Its first page, as number << 32 | index, and its size.
    waits
        Whether the task waits for this reclaim.
    bits
        Where in ``folio->flags`` is what.
    tells_touches
        Whether the trace has ``folio_mark_accessed``, and needs it.
    """
    numbers = state.numbers
    numbers[RECLAIMED_FOLIOS] += 1
    numbers[RECLAIMED_PAGES] += 1 << order
    is_noted = task[_EVICTED] != 0 and task[_EVICTED_INO] == inode
    is_noted = is_noted and task[_EVICTED_INDEX] == page & _INDEX
    task[_EVICTED] = 0
    if is_noted:
        is_workingset = task[_EVICTED_FLAGS] >> bits.workingset & 1 != 0
    else:
        known = _known(names.pages, page)
        is_workingset = known & _REFAULTED != 0
        if tells_touches:
            is_workingset = known & _TOUCHES >= _TWO_TOUCHES
    is_row = page >> 32 < _FIRST_METADATA
    row = wide(numbers[ROWS]) + wide(numbers[CHUNK_ROWS]) + 1 if is_row else wide(0)
    for folio_page in range(page, page + (1 << order)):
        names.pages[folio_page] = wide(row << _ROW_SHIFT | _EVICTED_SINCE)
    if not is_row:
        return
    flags = WANTED if waits else 0
    flags |= WORKINGSET if is_workingset else 0
    if is_noted and task[_EVICTED_FLAGS] >> bits.mappedtodisk & 1:
        flags |= MAPPED
    put(state, STORE, page >> 32, page & _INDEX, order, 0, flags)
    numbers[STORES] += 1
    if is_noted:
        numbers[FLAGGED_STORES] += 1
        state.rows[numbers[CHUNK_ROWS] - 1, 7] = 1


@entry
def refault(
    numbers: NDArray[np.int64],
    task: NDArray[np.int64],
    field: NDArray[np.int64],
    known: NDArray[np.int64],
    learnt: int,
    names: Names,
) -> int:
    """Take in that the folio just inserted refaults: its shadow tells of its last store.

    Parameters
    ----------
    numbers, task, names
        The counts of the import, and what is known of the task and of files.
    field
        The fields of the event.
    known, learnt
        Rows of stores and their workingset bits, and how many of them there are.

    Returns
    -------
    learnt
        How many there are then.
    """
    numbers[REFAULT_EVENTS] += 1
    page = wide(task[_ADDED]) - 1
    if page < 0 or page & _INDEX != field[INDEX]:
        numbers[UNMATCHED_REFAULTS] += 1
        return learnt
    pages, is_ = 1 << wide(task[_ADDED_ORDER]), wide(task[_ADDED_IS])
    if is_ & IS_METADATA:
        numbers[METADATA_REFAULTS] += pages
    elif is_ & IS_WRITE:
        numbers[WRITE_REFAULTS] += pages
    else:
        numbers[ROW_REFAULTS] += pages
    last_row = wide(0)
    for folio_page in range(page, page + pages):
        before = _known(names.pages, folio_page)
        if before >> _ROW_SHIFT > 0:
            last_row = before >> _ROW_SHIFT
        names.pages[folio_page] = before | _REFAULTED
    if last_row == 0:
        return learnt
    known[learnt, 0] = last_row - 1
    known[learnt, 1] = wide(field[SHADOW]) >> 1 & 1
    return learnt + 1


@entry
def touch(field: NDArray[np.int64], names: Names) -> None:
    """Take in that a folio is marked as accessed; the event names no device."""
    inode = wide(field[INO])
    if inode not in names.named:
        return
    page = wide(names.named[inode]) << 32 | wide(field[INDEX]) & _INDEX
    known = _known(names.pages, page)
    if known & _TOUCHES < _TWO_TOUCHES:
        names.pages[page] = known + _TOUCH


@entry
def forget_inode(state: FrameState, field: NDArray[np.int64], names: Names) -> None:
    """Take in that an inode goes, and with it what was evicted of its file: invalidate_inode."""
    device, inode = wide(field[DEV]), wide(field[INO])
    number = wide(-1)
    if device != ABSENT:
        if (device, inode) in names.inode_of:
            number = wide(names.inode_of[(device, inode)])
    elif inode in names.named and names.named[inode] < _FIRST_METADATA:
        number = wide(names.named[inode])
    if number < 0:
        return
    state.numbers[INODES_GONE] += 1
    put(state, INVALIDATE_INODE, number, 0, 0, 0, 0)
    names.gone[number] = wide(state.numbers[ROWS]) + wide(state.numbers[CHUNK_ROWS])
