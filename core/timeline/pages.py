"""Pages: the file pages that a table names, each by one number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE_INODE, Events


def distinct_pages(events: Events) -> NDArray[np.uint64]:
    """Return every file page that an event names as ``inode << 32 | index``, ascending.

    A folio's pages are consecutive in it, and its order is that of model.md: a page's place in
    this array is its number in a replay.
    """
    folios = events.op < INVALIDATE_INODE
    return folio_pages(page_keys(events)[folios], events.order[folios])


def folio_pages(keys: NDArray[np.uint64], orders: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return every page of some folios, ascending and once each.

    Parameters
    ----------
    keys, orders
        The first page of each folio as ``inode << 32 | index``, and its order.  # each [folio]
    """
    parts = []
    for order in np.flatnonzero(np.bincount(orders)):
        first = _distinct(keys[orders == order])
        offsets = np.arange(1 << int(order), dtype=np.uint64)
        parts.append((first[:, None] + offsets).ravel())
    return _distinct(np.concatenate(parts)) if parts else np.empty(0, dtype=np.uint64)


def _distinct(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return keys ascending and once each.

    `np.unique` fills a hash table, and holds the GIL (10 M keys, 6.3 M distinct: 6.6 s; this: 0.1).
    """
    keys = np.sort(keys)
    is_first = np.ones(keys.size, dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return keys[is_first]


def page_keys(events: Events) -> NDArray[np.uint64]:
    """Return the first page that each row names as ``inode << 32 | index``.  # [event]"""
    return (events.inode.astype(np.uint64) << np.uint64(32)) | events.index
