"""Refaults: the pages that come back after a store offered them, the same under every policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE_INODE, RESTORE, STORE, Events
from core.jit import entry, wide


def count_refaults(
    events: Events,
    first_page: NDArray[np.int32],
    inode_pages: NDArray[np.int32],
    pages: int,
    warm_up_rows: int,
) -> int:
    """Return the restored pages that a store offered before, with no invalidate since.

    Parameters
    ----------
    events
        The table.
    first_page
        The number of each row's first page; of an invalidate_inode, its row of `inode_pages`.
    inode_pages
        The pages of each invalidate_inode, (first, end).
    pages
        Distinct file pages.
    warm_up_rows
        Rows at the start that do not count.
    """
    return int(_count(events.op, events.order, first_page, inode_pages, pages, warm_up_rows))


@entry
def _count(
    op: NDArray[np.uint8],
    order: NDArray[np.uint8],
    first_page: NDArray[np.int32],
    inode_pages: NDArray[np.int32],
    pages: int,
    warm_up_rows: int,
) -> int:
    offered = np.zeros(pages, dtype=np.uint8)
    refaults = 0
    for row in range(op.size):
        kind = wide(op[row])
        if kind > INVALIDATE_INODE:
            continue
        first = wide(first_page[row])
        if kind == INVALIDATE_INODE:
            for page in range(inode_pages[first, 0], inode_pages[first, 1]):
                offered[page] = 0
            continue
        for page in range(first, first + (1 << wide(order[row]))):
            if kind == RESTORE:
                refaults += wide(offered[page]) if row >= warm_up_rows else 0
            else:
                offered[page] = 1 if kind == STORE else 0
    return refaults
