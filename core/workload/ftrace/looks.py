"""What reclaim saw of accessed bits, and the accesses through mappings that follow from it.

An access through a mapping sets the accessed bit of the page's entry in a page table, and no event
tells it. Where reclaim looks at the bit it also clears it, and probes show what it saw:

* the return of ``folio_referenced``: how many mappings have accessed a folio since the look before;
* ``folio_update_gen``: a walk of page tables, or a look around a referenced page, found it young;
* the return of ``try_to_inc_max_seq``: an aging, whose walk found nothing young but what it told.

A bit that a look finds set was set after the look before. If a fault mapped the page in between,
its row of map says so; else a row of use does. When it was set is not known: the row stands in the
middle between the two looks, which is never farther from the truth than half of what lies between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.typed import Dict
from numpy.typing import NDArray

from core.accesses import COPIED_AT_ONCE, MAP, READ, USE
from core.jit import entry, wide
from core.workload.ftrace.words import AGED, FOUND_YOUNG

#: Rows beside those of accesses, until `with_uses` replaces them, with the number of an operation
#: as their handle: it looks at a page, which had been accessed if the flags are FOUND; and it was a
#: walk of page tables, which has ended an aging if the flags are FOUND.
LOOK, WALK = 64, 65
FOUND = 1
#: No task has this number.
_COUNT = -2
# Columns of the rows of core.workload.ftrace.accesses.
_TIME, _OP, _INODE, _INDEX, _ORDER, _OPERATION, _FLAGS = range(7)


@entry
def look_of(kind: int, pid: int, returned: int, operations: Any) -> tuple[int, int, int]:
    """Return the row of an event: its op, the number of the operation, and FOUND or not.

    An operation is a look at a folio and around it, or a walk of page tables. A task's next event
    after the return of either is of another one.

    Parameters
    ----------
    kind, pid, returned
        The event, its task, and what the function returned, or ABSENT if it gave up.
    operations
        The number of each task's operation, and at `_COUNT` how many numbers are given.
    """
    count = wide(operations[_COUNT]) if _COUNT in operations else wide(0)
    if pid not in operations:
        count += 1
        operations[pid] = count
    operation = wide(operations[pid])
    if kind != FOUND_YOUNG:
        count += 1
        operations[pid] = count
    operations[_COUNT] = count
    if kind == AGED:
        return wide(WALK), operation, wide(FOUND if returned > 0 else 0)
    if kind == FOUND_YOUNG:
        return wide(LOOK), operation, wide(FOUND)
    return wide(LOOK), operation, wide(min(returned, FOUND))


def with_uses(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
    """Return rows of accesses with uses in place of looks, and whether there were looks.

    Parameters
    ----------
    rows
        Rows of `core.workload.ftrace.accesses`, in the order of time.
    """
    other = rows[:, _OP] < LOOK
    if other.all():
        return rows, False
    found, since = _found(rows, _looks_of(rows))
    uses = rows[found]
    uses[:, _OP] = USE
    uses[:, [_OPERATION, _FLAGS]] = 0
    uses[:, _TIME] -= (uses[:, _TIME] - since) // 2
    together = np.concatenate([rows[other], uses])
    in_order = np.argsort(together[:, _TIME], kind="stable")
    return together[in_order], bool((rows[:, _OP] == LOOK).any())


def _looks_of(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the look that each operation is a part of: [operation] its number.

    Several tasks may walk page tables for one aging, which ends when there is nothing left to begin
    with. Each takes other address spaces, and meets the pages that these share: all walks that
    begin between two ends are one look.
    """
    rows = rows[rows[:, _OP] >= LOOK]
    operation, is_walk = rows[:, _OPERATION], rows[:, _OP] == WALK
    agings = np.cumsum(is_walk & (rows[:, _FLAGS] == FOUND))
    begun, first = np.unique(operation, return_index=True)
    look_of = np.arange(1 + operation.max())
    walks = np.isin(begun, operation[is_walk])
    look_of[begun[walks]] = -1 - agings[first[walks]]
    return look_of


def _found(
    rows: NDArray[np.int64], look_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the looks that found what no other row tells, and the times of the looks before."""
    looks = int((rows[:, _OP] == LOOK).sum())
    found, since = np.empty(looks, dtype=np.int64), np.empty(looks, dtype=np.int64)
    tables = (Dict.empty(types.int64, types.int64) for _ in range(4))
    count = _find(rows, look_of, found, since, *tables)
    return found[:count], since[:count]


@entry
def _find(
    rows: NDArray[np.int64],
    look_of: NDArray[np.int64],
    found: NDArray[np.int64],
    since: NDArray[np.int64],
    folio_of: Any,
    looked_ns: Any,
    looked_by: Any,
    mapped: Any,
) -> int:
    """Write the looks that found what no other row tells; return how many they are.

    Parameters
    ----------
    rows, look_of
        Rows in the order of time, and the look that each operation is a part of.
    found, since
        Written: the number of the row, and when the page was looked at before, or came.
    folio_of
        Filled: the first page of the large folio that a page belongs to.
    looked_ns, looked_by
        Filled: when the folio of a page was last looked at, and by which look; a page that came
        since has the time of that, and no look.
    mapped
        Filled: the folios that a fault mapped since they were looked at.
    """
    count = 0
    first_ns = wide(rows[0, _TIME])
    aged_ns = first_ns
    for row in range(rows.shape[0]):
        op, now = rows[row, _OP], wide(rows[row, _TIME])
        page = wide(rows[row, _INODE]) << 32 | wide(rows[row, _INDEX])
        if op == WALK and rows[row, _FLAGS] == FOUND:
            aged_ns = now
        elif op == READ:
            pages = 1 << wide(rows[row, _ORDER])
            looked_ns[page] = now
            looked_by[page] = wide(0)
            for folio_page in range(page, page + pages):
                if pages > 1 or folio_page in folio_of:
                    folio_of[folio_page] = page
        elif op == MAP and not rows[row, _FLAGS] & COPIED_AT_ONCE:
            mapped[wide(folio_of[page]) if page in folio_of else page] = wide(1)
        elif op == LOOK:
            look = wide(look_of[rows[row, _OPERATION]])
            if page in looked_by and looked_by[page] == look:
                continue
            if rows[row, _FLAGS] == FOUND and page not in mapped:
                before = wide(looked_ns[page]) if page in looked_ns else first_ns
                found[count] = row
                since[count] = max(before, aged_ns)
                count += 1
            looked_ns[page] = now
            looked_by[page] = look
            if page in mapped:
                del mapped[page]
    return count
