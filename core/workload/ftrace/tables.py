"""The rows of all chunks of a trace, put together as an mm event table and an access trace."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import (
    BOOT_HANDLE,
    FROM_BEFORE,
    GIVE,
    IN_FAULT,
    MAP,
    METADATA,
    READ,
    TOUCH,
    TRUNCATE,
    USE,
    Accesses,
)
from core.accesses import SCHEMA as ACCESS_SCHEMA
from core.events import (
    INVALIDATE,
    INVALIDATE_INODE,
    JOIN,
    RESTORE,
    SCHEMA,
    STORE,
    WANTED,
    WORKINGSET,
)
from core.workload.ftrace.accesses import AccessState
from core.workload.ftrace.holders import FREE_AT_START, FREE_THEN
from core.workload.ftrace.interleaving import FILE, NOTHING, PAGES, bring_together
from core.workload.ftrace.looks import with_uses
from core.workload.ftrace.memory import Memory
from core.workload.ftrace.requests import RequestState
from core.workload.ftrace.state import Learnt
from core.workload.ftrace.told_later import with_what_is_told_later

#: Accesses to pages of files.
_OF_FILES = (READ, TOUCH, MAP, USE, TRUNCATE)


class EventRows:
    """The rows of mm events of the chunks that were read."""

    def __init__(self) -> None:
        self._columns: dict[str, list[NDArray[Any]]] = {name: [] for name in SCHEMA.names}
        self._request: list[NDArray[np.int32]] = []
        self._learnt: list[Learnt] = []

    def add(self, rows: NDArray[np.int64], learnt: Learnt) -> None:
        """Take in what `KernelState.advance` returns for a chunk."""
        for number, field in enumerate(SCHEMA):
            self._columns[field.name].append(rows[:, number].astype(field.type.to_pandas_dtype()))
        self._request.append(rows[:, len(SCHEMA)].astype(np.int32))
        self._learnt.append(learnt)

    def finish(self, requests: RequestState) -> FinishedRows:
        """Return the columns of all rows; nothing else can be added then."""
        columns = {name: np.concatenate(self._columns.pop(name)) for name in SCHEMA.names}
        request = np.concatenate(self._request)
        stores, restores = columns["op"] == STORE, columns["op"] == RESTORE
        recorded = stores & (request > 0)
        row = np.concatenate([learnt.row for learnt in self._learnt])
        workingset = np.concatenate([learnt.workingset for learnt in self._learnt])
        flags = columns["flags"]
        was_recorded = recorded[row]
        contradicted = (flags[row] & WORKINGSET != workingset) & was_recorded
        row, workingset = row[~was_recorded], workingset[~was_recorded]
        flags[row] = flags[row] & ~np.uint8(WORKINGSET) | workingset.astype(np.uint8)
        known = recorded
        known[row] = True
        inferred = int((stores & ~known).sum())
        request[~restores] = 0
        if requests.tells_requests:
            columns = _together(columns, request, requests, restores, _touched_by_events(columns))
        else:
            flags[stores | restores] &= ~np.uint8(JOIN | WANTED)
        return FinishedRows(columns, inferred, int(contradicted.sum()))


class FinishedRows(NamedTuple):
    """The columns of an mm event table, and what is to be said of them."""

    columns: dict[str, NDArray[Any]]
    inferred_stores: int  # stores whose workingset bit a rule gave
    contradicted_flags: int  # stores whose flags say other than the shadow of their refault


def _touched_by_events(columns: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    touches = np.where(columns["op"] <= INVALIDATE, np.uint8(PAGES), np.uint8(NOTHING))
    touches[columns["op"] == INVALIDATE_INODE] = FILE
    return touches


def _together(
    columns: dict[str, NDArray[Any]],
    request: NDArray[np.int32],
    requests: RequestState,
    reads: NDArray[np.bool_],
    touches: NDArray[np.uint8],
) -> dict[str, NDArray[Any]]:
    """Return the rows in the order of their requests, with JOIN and WANTED."""
    of_requests = np.flatnonzero(request)
    awaited = requests.is_awaited(
        request[of_requests],
        columns["index"][of_requests].astype(np.int64),
        columns["order"][of_requests].astype(np.int64),
    )
    columns["flags"][of_requests[awaited]] |= np.uint8(WANTED)
    together = bring_together(columns, request, reads, touches)
    ordered = {name: column[together.row] for name, column in columns.items()}
    ordered["flags"][together.joins] |= np.uint8(JOIN)
    ordered["time_ns"] = together.time_ns
    return ordered


def access_table(
    access_state: AccessState,
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    requests: RequestState,
    memory: Memory,
    shift: int,
    source: str,
    phases: tuple[str, ...],
) -> Accesses:
    """Return the access trace: the rows of all chunks but those of allocations of page cache.

    Parameters
    ----------
    access_state
        What the rows were made with.
    parts
        The rows and the dropped rows of each chunk, as `AccessState.advance` returns them.
    requests
        The read requests of the trace.
    memory
        The traced machine's memory.
    shift
        The number of its first frame, counted from the first frame of `access_state`.
    source, phases
        Where the trace comes from, in words, and the names of its phases.
    """
    rows = np.concatenate([rows for rows, _ in parts])
    keep = np.ones(rows.shape[0], dtype=np.bool_)
    keep[np.concatenate([dropped for _, dropped in parts])] = False
    rows = rows[keep]
    metadata = np.isin(rows[:, 2], access_state.metadata_inodes)
    _leave_faults(rows, metadata, requests)
    rows, accessed_bits = with_uses(with_what_is_told_later(rows, bool(memory.zram_size)))
    columns: dict[str, Any] = {
        field.name: rows[:, number].astype(field.type.to_pandas_dtype())
        for number, field in enumerate(ACCESS_SCHEMA)
    }
    request = np.where(rows[:, 1] == READ, rows[:, len(ACCESS_SCHEMA)], 0).astype(np.int32)
    op, flags = columns["op"], columns["flags"]
    of_files = np.isin(op, _OF_FILES)
    if requests.tells_requests:
        touches = np.where(of_files, np.uint8(PAGES), np.uint8(NOTHING))
        columns = _together(columns, request, requests, op == READ, touches)
        op, flags = columns["op"], columns["flags"]
        of_files = np.isin(op, _OF_FILES)
    else:
        flags[op == READ] &= ~np.uint8(JOIN | WANTED)
    metadata = of_files & np.isin(columns["inode"], access_state.metadata_inodes)
    flags[metadata] = flags[metadata] & (IN_FAULT | FROM_BEFORE) | METADATA
    low, high = memory.watermarks()
    free_pages = int(access_state.numbers[FREE_AT_START]) or memory.free_pages or memory.frames
    free_pages = min(free_pages, memory.frames)
    given = (op == GIVE) & (columns["handle"] >= BOOT_HANDLE)
    columns["handle"][given] -= shift
    return Accesses(
        **columns,
        page_size=memory.page_size,
        data_pages=memory.frames,
        free_pages=free_pages,
        low_pages=low,
        high_pages=high,
        source=source,
        managed_pages=memory.managed_pages,
        zram_size=memory.zram_size,
        free_ranges=_free_ranges(access_state.began[shift : shift + memory.frames], free_pages),
        requests=requests.tells_requests,
        phases=phases,
        accessed_bits=accessed_bits,
    )


def _leave_faults(
    rows: NDArray[np.int64], metadata: NDArray[np.bool_], requests: RequestState
) -> None:
    """Leave IN_FAULT to the reads that a fault asks for, in rows of accesses.

    The insertions of a read() come before the get_pages that tells of it, so that the task's last
    lookup may have been a fault. Metadata is read in a fault if the task's request is a fault's; it
    is of no request then.

    Parameters
    ----------
    rows
        The rows, whose flags are changed.
    metadata
        Which of them are of metadata.
    requests
        The read requests of the trace.
    """
    reads = np.flatnonzero(rows[:, 1] == READ)
    request = rows[reads, len(ACCESS_SCHEMA)]
    number = np.abs(request)
    by_fault = np.zeros(requests.requests + 1, dtype=np.bool_)
    by_fault[number[rows[reads, 6] & WANTED != 0]] = True
    by_read = requests.is_by_read(number) & ~by_fault[number]
    rows[reads[by_read | (metadata[reads] & (request == 0))], 6] &= ~IN_FAULT
    rows[reads[metadata[reads]], len(ACCESS_SCHEMA)] = 0


def _free_ranges(began: NDArray[np.uint8], free_pages: int) -> tuple[tuple[int, int], ...]:
    """Return the ranges (first, end) of the frames that were free when a trace began.

    `began` says it for the frames that the trace names. Of the other frames, as many of the last
    ones are taken as free as `free_pages` needs.
    """
    free = np.zeros(began.size + 2, dtype=np.int8)
    free[1:-1] = began == FREE_THEN
    lacking = free_pages - int(free.sum())
    if lacking > 0:
        unnamed = np.flatnonzero(began == 0)
        free[1 + unnamed[-lacking:]] = 1
    edges = np.flatnonzero(np.diff(free))
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
