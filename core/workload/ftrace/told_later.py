"""What later events of a trace tell of earlier rows of its accesses.

* A page that is evicted before it is read was in memory when the trace began.
* A task that gets a copy of a page of a file right after its fault did not map the page.
* When a task exits or execs, the kernel marks as accessed what it has mapped, where the accessed
  bit is set. What that is depends on when reclaim last looked, so that on another machine it is
  something else: the front end finds it, and what was recorded of it is left out.
* What reclaim put into zram, its program holds until it exits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.accesses import (
    COPIED_AT_ONCE,
    EXIT,
    FROM_BEFORE,
    GIVE,
    IN_FAULT,
    MAP,
    READ,
    TAKE,
    TOUCH,
    TRUNCATE,
)
from core.events import ANONYMOUS
from core.jit import entry
from core.workload.ftrace.holders import COPIED, EVICTED, NOT_READ, SWAPPED_OUT

# Columns of rows.
_TIME, _OP, _INODE, _INDEX, _ORDER, _HANDLE, _FLAGS, _MORE = range(8)

Rows = NDArray[np.int64]


def with_what_is_told_later(rows: Rows, has_zram: bool) -> Rows:
    """Return rows of accesses in which is what later ones tell, without those that only tell.

    Parameters
    ----------
    rows
        As `core.workload.ftrace.accesses.AccessState.advance` returns them.
    has_zram
        Whether it is known that the machine had zram. If not, what reclaim freed counts as given.
    """
    if has_zram:
        rows = _with_swapped(rows)
    _mark_copied(rows)
    rows = rows[~_are_marked_at_exit(rows)]
    rows = _with_those_before(rows)
    return rows[rows[:, _OP] < COPIED]


def _pages(rows: Rows) -> NDArray[np.int64]:
    return rows[:, _INODE] << 32 | rows[:, _INDEX]


def _mark_copied(rows: Rows) -> None:
    """Mark the faults whose task got a copy of the page, and no mapping of it."""
    maps, copies = (np.flatnonzero(rows[:, _OP] == op) for op in (MAP, COPIED))
    # The fault that a copy is of is the last one of its task before it.
    maps = maps[np.argsort(rows[maps, _HANDLE], kind="stable")]
    key = rows[maps, _HANDLE] * rows.shape[0] + maps
    last = np.searchsorted(key, rows[copies, _HANDLE] * rows.shape[0] + copies) - 1
    of, copies = maps[last[last >= 0]], copies[last >= 0]
    same = (rows[of, _HANDLE] == rows[copies, _HANDLE]) & (_pages(rows[of]) == _pages(rows[copies]))
    rows[of[same], _FLAGS] |= COPIED_AT_ONCE


def _are_marked_at_exit(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows are touches of mapped pages that their task did not read."""
    op = rows[:, _OP]
    used = np.flatnonzero(np.isin(op, (READ, TOUCH, MAP, EVICTED, TRUNCATE)))
    _, page = np.unique(_pages(rows[used]), return_inverse=True)
    marked = np.zeros(rows.shape[0], dtype=np.bool_)
    maps = (op == MAP) & (rows[:, _FLAGS] & COPIED_AT_ONCE == 0)
    touches = (op == TOUCH) & (rows[:, _MORE] == NOT_READ)
    marked[used] = _find_marked(page, maps[used], touches[used], op[used] == TOUCH)
    return marked


@entry
def _find_marked(
    page: NDArray[np.int64],
    maps: NDArray[np.bool_],
    touches: NDArray[np.bool_],
    is_touch: NDArray[np.bool_],
) -> Any:
    """Return which touches are of pages that were mapped since they came into memory."""
    is_mapped = np.zeros(page.size, dtype=np.bool_)
    marked = np.zeros(page.size, dtype=np.bool_)
    for row in range(page.size):
        if maps[row]:
            is_mapped[page[row]] = True
        elif touches[row]:
            marked[row] = is_mapped[page[row]]
        elif not is_touch[row]:
            is_mapped[page[row]] = False
    return marked


def _with_those_before(rows: Rows) -> Rows:
    """Return the rows of accesses with reads of what was in the page cache before the trace.

    A page was there if it is evicted or truncated before it is read, or if it is mapped and never
    read. Those of which nothing is seen in the trace are not known.
    """
    op, page = rows[:, _OP], _pages(rows)
    moves = np.flatnonzero(np.isin(op, (READ, EVICTED, TRUNCATE)))
    # A large folio has several pages, each of which it brings in or takes away.
    sizes = 1 << rows[moves, _ORDER]
    row = np.repeat(moves, sizes)
    within = np.arange(row.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    moved, first = np.unique(page[row] + within, return_index=True)
    gone = np.zeros(rows.shape[0], dtype=np.bool_)
    gone[row[first[op[row[first]] != READ]]] = True
    maps = np.flatnonzero(op == MAP)
    mapped, first_map = np.unique(page[maps], return_index=True)
    stays = maps[np.sort(first_map[~np.isin(mapped, moved)])]
    before = rows[np.concatenate([np.flatnonzero(gone), stays])]
    # What reclaim evicts before anything that was read in the trace is older than that. What it
    # evicts later, or never, counts as brought in by faults, like most of what is in use.
    evictions = np.flatnonzero(op == EVICTED)
    of_trace = evictions[np.isin(page[evictions], moved[op[row[first]] == READ])]
    turn = of_trace[0] if of_trace.size else rows.shape[0]
    young = np.concatenate([np.flatnonzero(gone) > turn, np.ones(stays.size, dtype=np.bool_)])
    before[:, _TIME], before[:, _OP] = rows[:1, _TIME], READ
    before[:, [_HANDLE, _MORE]] = 0
    before[:, _FLAGS] = FROM_BEFORE | np.where(young, IN_FAULT, 0)
    return np.concatenate([before, rows])


def _with_swapped(rows: Rows) -> Rows:
    """Return the rows of accesses with memory of programs given when they are done with it.

    What reclaim put into zram, its program holds until it exits or execs. No event of the page
    tells that.
    """
    taken = np.flatnonzero((rows[:, _OP] == TAKE) & (rows[:, _FLAGS] & ANONYMOUS != 0))
    swapped = np.flatnonzero((rows[:, _OP] == GIVE) & (rows[:, _MORE] == SWAPPED_OUT))
    # Handles are given in the order of rows.
    of_handle = taken[np.searchsorted(rows[taken, _HANDLE], rows[swapped, _HANDLE])]
    task = rows[of_handle, _MORE]
    exits = np.flatnonzero(rows[:, _OP] == EXIT)
    exits = exits[np.argsort(rows[exits, _HANDLE], kind="stable")]
    # The next exit of the task: the first of its exits that comes after the row.
    key = rows[exits, _HANDLE] * rows.shape[0] + exits
    following = np.searchsorted(key, task * rows.shape[0] + swapped)
    ends = following < exits.size
    ends[ends] = rows[exits[following[ends]], _HANDLE] == task[ends]
    place = np.arange(rows.shape[0], dtype=np.int64)
    place[swapped[ends]] = exits[following[ends]]
    rows[swapped[ends], _TIME] = rows[place[swapped[ends]], _TIME]
    place[swapped[~ends]] = rows.shape[0]
    order = np.argsort(place, kind="stable")
    return rows[order[: rows.shape[0] - int((~ends).sum())]]
