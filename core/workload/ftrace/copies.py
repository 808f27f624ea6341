"""Faults after which nothing of a file stays mapped: copy-on-write.

A write to a private mapping of a file gives its task a copy of the page, and ends its mapping of
the file's page, if the fault made one at all (do_cow_fault, wp_page_copy). The copy is seen by
``copy_highpage``, from a frame of the page cache to one that was allocated. What such a fault
leaves behind no look of reclaim finds young.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.typed import Dict
from numpy.typing import NDArray

from core.accesses import COPIED, MAP
from core.jit import entry, wide

#: A row beside those of accesses, until `with_copies` takes it away: the task that is its handle
#: copies a page of a file into one of its own.
COPY = 66
# Columns of the rows of core.workload.ftrace.accesses.
_OP, _INODE, _INDEX, _HANDLE, _FLAGS = 1, 2, 3, 5, 6


def with_copies(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows of accesses in which faults say that the page was copied, without copies.

    Parameters
    ----------
    rows
        Rows of `core.workload.ftrace.accesses`, in the order of time. They are changed.
    """
    copies = rows[:, _OP] == COPY
    if not copies.any():
        return rows
    key = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]
    _mark(rows, Dict.empty(key, types.int64))
    kept: NDArray[np.int64] = rows[~copies]
    return kept


@entry
def _mark(rows: NDArray[np.int64], last_map: Any) -> None:
    """Mark the last fault of the task at the page of each copy; `last_map` is filled."""
    for row in range(rows.shape[0]):
        if rows[row, _OP] not in (MAP, COPY):
            continue
        page = wide(rows[row, _INODE]) << 32 | wide(rows[row, _INDEX])
        who = (page, wide(rows[row, _HANDLE]))
        if rows[row, _OP] == MAP:
            last_map[who] = wide(row)
        elif who in last_map:
            rows[wide(last_map[who]), _FLAGS] |= COPIED
