"""Requests for pages of files, and the access trace or the mm events that they become.

Most traces of caches are requests for bytes of files; importers turn the bytes into pages.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import LOOKUP, WRITE, Accesses
from core.events import JOIN, RESTORE, STORE, WANTED, Events, make_events
from core.import_losses import Loss
from core.jit import entry, kernel, wide
from core.workload.text import TraceError

#: The most pages of a file: as many as the 32 bits of an index can count.
MOST_PAGES = 2**32 - 1
#: The most rows of a table: 27 GB of memory.
MOST_ROWS = 1 << 30
#: The longest run of pages that becomes one row has 2**order pages.
RUN_ORDER = 9


class Requests(NamedTuple):
    """Requests in the order of time, which begins at 0.  # each [request]"""

    time_ns: NDArray[np.int64]
    inode: NDArray[np.uint32]
    first_page: NDArray[np.uint32]
    pages: NDArray[np.uint32]  # at least 1
    writes: NDArray[np.bool_]
    source: str


class Runs(NamedTuple):
    """Aligned runs of 2**order pages, as few as there can be up to `RUN_ORDER`."""

    counts: NDArray[np.int64]  # [request] how many runs it has
    order: NDArray[np.uint8]  # [run], like the next ones
    index: NDArray[np.uint32]  # type: ignore[assignment]  # hides tuple.index
    left: NDArray[np.int64]  # pages of the request from this run on


def split_runs(first: NDArray[Any], pages: NDArray[Any]) -> Runs:
    """Return the runs of requests, each of which is for `pages` pages from `first` on.

    Both arrays are [request]; the runs of a request follow one another.
    """
    counts = np.empty(first.size, dtype=np.int64)
    first, pages = first.astype(np.uint32, copy=False), pages.astype(np.uint32, copy=False)
    _count_runs(first, pages, counts)
    rows = int(counts.sum())
    index = np.empty(rows, dtype=np.uint32)
    order = np.empty(rows, dtype=np.uint8)
    left = np.empty(rows, dtype=np.int64)
    _fill_runs(first, pages, index, order, left)
    return Runs(counts, order, index, left)


def accesses_of(requests: Requests, page_size: int, losses: tuple[Loss, ...] = ()) -> Accesses:
    """Return an access trace that looks up (or writes) the pages of each request in turn.

    Each row is an aligned run of 2**order pages. A request has as few of these as there can be with
    orders up to 9. `handle` says how many pages of the request are left from the row on, since the
    kernel reads ahead for the request as a whole. `data_pages` is 0: the trace is of no machine.
    `losses` are what the requests lack, or what was guessed of them.

    Raises
    ------
    TraceError
        When there would be more than `MOST_ROWS` rows.
    """
    _check_rows(int(np.ceil(requests.pages / (1 << RUN_ORDER)).sum()), requests.source)
    runs = split_runs(requests.first_page, requests.pages)
    rows = runs.index.size
    _check_rows(rows, requests.source)
    op = np.where(requests.writes, np.uint8(WRITE), np.uint8(LOOKUP))
    return Accesses(
        time_ns=np.repeat(requests.time_ns, runs.counts),
        op=np.repeat(op, runs.counts),
        inode=np.repeat(requests.inode, runs.counts),
        index=runs.index,
        order=runs.order,
        handle=runs.left,
        flags=np.zeros(rows, dtype=np.uint8),
        page_size=page_size,
        data_pages=0,
        free_pages=0,
        low_pages=0,
        high_pages=0,
        source=requests.source,
        losses=losses,
    )


def plain_events(
    requests: Requests, page_size: int, data_pages: int, losses: tuple[Loss, ...] = ()
) -> Events:
    """Return mm events with a restore and a store for each page of each request in turn.

    The restore and the store make a replay count in `missed` the misses of the textbook cache, in
    which reads and writes are alike. Each request of the trace is one read request that is waited
    for. The machine has `data_pages` pages of `page_size` bytes. `losses` are as of `accesses_of`.

    Raises
    ------
    TraceError
        When there would be more than `MOST_ROWS` rows.
    """
    pages = requests.pages.astype(np.int64)
    total = int(pages.sum())
    _check_rows(2 * total, requests.source)
    within = np.arange(total) - np.repeat(np.cumsum(pages) - pages, pages)
    index = (np.repeat(requests.first_page, pages) + within).astype(np.uint32)
    columns: dict[str, NDArray[np.generic]] = {
        "time_ns": np.repeat(requests.time_ns, 2 * pages),
        "op": np.tile(np.array([RESTORE, STORE], dtype=np.uint8), total),
        "inode": np.repeat(requests.inode, 2 * pages),
        "index": np.repeat(index, 2),
        "order": np.zeros(2 * total, dtype=np.uint8),
        "pfn": np.zeros(2 * total, dtype=np.int64),
        "flags": np.zeros(2 * total, dtype=np.uint8),
    }
    columns["flags"][::2] = np.where(within > 0, WANTED | JOIN, WANTED)
    return make_events(
        columns,
        page_size=page_size,
        data_pages=data_pages,
        source=requests.source,
        requests=True,
        losses=losses,
    )


def _check_rows(rows: int, source: str) -> None:
    if rows > MOST_ROWS:
        raise TraceError(f"would be {rows:,} rows, more than {MOST_ROWS:,}", file=source)


@kernel
def _run_order(first: int, pages: int) -> int:
    """Return the order of the longest aligned run that begins at a page and fits `pages`."""
    order = 0
    while order < RUN_ORDER and 2 << order <= pages and first & ((2 << order) - 1) == 0:
        order += 1
    return order


@entry
def _count_runs(
    first: NDArray[np.uint32], pages: NDArray[np.uint32], runs: NDArray[np.int64]
) -> None:
    for row in range(first.size):
        at, left = wide(first[row]), wide(pages[row])
        count = 0
        while left > 0:
            length = 1 << _run_order(at, left)
            at += length
            left -= length
            count += 1
        runs[row] = count


@entry
def _fill_runs(
    first: NDArray[np.uint32],
    pages: NDArray[np.uint32],
    index: NDArray[np.uint32],
    orders: NDArray[np.uint8],
    lefts: NDArray[np.int64],
) -> None:
    run = 0
    for row in range(first.size):
        at, left = wide(first[row]), wide(pages[row])
        while left > 0:
            order = _run_order(at, left)
            index[run] = at
            orders[run] = order
            lefts[run] = left
            at += 1 << order
            left -= 1 << order
            run += 1
