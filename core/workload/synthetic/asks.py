"""Asks: what a generator asks of memory in a stretch of time, before pages become rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.accesses import UNMAP, Accesses
from core.workload.ftrace.memory import Memory
from core.workload.requests.requests import split_runs

#: A step of a generator: so many asks of the main load, in so much time.
STEP_ASKS = 1000
STEP_NS = 10_000_000
#: What the kernel and its services have taken when a workload begins.
BOOT_RATIO = 0.15

Random = np.random.Generator


class Asks(NamedTuple):
    """Requests for runs of pages, for other memory, and for its end.  # each [ask]

    `page` is the first of `pages` pages; of a take or give, `pages` is 2**order and `handle` names
    it. `place` is when in its step an ask comes, 0 to 1.
    """

    place: NDArray[np.float64]
    op: NDArray[np.uint8]
    inode: NDArray[np.int64]
    page: NDArray[np.int64]
    pages: NDArray[np.int64]
    flags: NDArray[np.uint8]
    handle: NDArray[np.int64]


def ask(
    place: ArrayLike,
    op: ArrayLike,
    inode: ArrayLike,
    page: ArrayLike,
    pages: ArrayLike = 1,
    flags: ArrayLike = 0,
    handle: ArrayLike = 0,
) -> Asks:
    """Return asks of columns that are broadcast together."""
    arrays = np.broadcast_arrays(place, op, inode, page, pages, flags, handle)
    kinds = (np.float64, np.uint8, np.int64, np.int64, np.int64, np.uint8, np.int64)
    pairs: Any = zip(arrays, kinds, strict=True)
    columns: Any = [np.atleast_1d(array).astype(kind) for array, kind in pairs]
    return Asks(*columns)


def accesses_of_steps(
    steps: Iterable[Iterable[Asks]], data_pages: int, page_size: int, source: str
) -> Accesses:
    """Return the access trace of steps, on a machine that has just been started."""
    low, high = Memory(0, data_pages, page_size).watermarks()
    parts = [rows_of(asks, number * STEP_NS, STEP_NS) for number, asks in enumerate(steps)]
    columns: Any = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Accesses(
        **columns,
        page_size=page_size,
        data_pages=data_pages,
        free_pages=max(1, data_pages - round(data_pages * BOOT_RATIO)),
        low_pages=low,
        high_pages=high,
        source=source,
    )


def rows_of(several: Iterable[Asks], begin_ns: int, span_ns: int) -> dict[str, NDArray[Any]]:
    """Return the rows of the asks of one step, in the order of time."""
    together: Any = [np.concatenate(column) for column in zip(*several, strict=True)]
    order = np.argsort(together[0], kind="stable")
    asks = Asks(*[column[order] for column in together])
    runs = split_runs(asks.page, np.where(asks.op <= UNMAP, asks.pages, 1))
    row = np.repeat(np.arange(asks.op.size), runs.counts)
    paged = asks.op[row] <= UNMAP
    # Of a take or give, the pages are its order.
    orders = np.where(paged, runs.order, np.log2(asks.pages[row]))
    return {
        "time_ns": (begin_ns + asks.place[row] * span_ns).astype(np.int64),
        "op": asks.op[row],
        "inode": asks.inode[row].astype(np.uint32),
        "index": np.where(paged, runs.index, 0).astype(np.uint32),
        "order": orders.astype(np.uint8),
        "handle": np.where(paged, runs.left, asks.handle[row]),
        "flags": asks.flags[row],
    }


def zipf_ranks(random: Random, count: int, items: int, skew: float) -> NDArray[np.int64]:
    """Return `count` ranks out of `items`, each drawn with probability 1 / (rank + 1)**skew.

    By inversion of the continuous distribution, which is within a few percent of the discrete one
    beyond the first ranks, and takes no table of `items`.
    """
    uniform = random.random(count)
    if abs(skew - 1) < 1e-6:
        ranks = np.exp(uniform * np.log(items + 1.0))
    else:
        end = (items + 1.0) ** (1 - skew)
        ranks = (uniform * (end - 1) + 1) ** (1 / (1 - skew))
    found: NDArray[np.int64] = np.clip(ranks.astype(np.int64) - 1, 0, items - 1)
    return found


def scattered(rank: NDArray[np.int64], items: int, salt: int) -> NDArray[np.int64]:
    """Return the places of ranks: a fixed permutation of `items`, so that hot ones lie apart."""
    step = _coprime(items, 0x9E3779B1 + 2 * salt)
    return (rank * step + salt) % items


def _coprime(items: int, near: int) -> int:
    step = near % items or 1
    while np.gcd(step, items) != 1:
        step += 1
    return step


def steps_of(asks: int) -> Iterator[int]:
    """Yield the number of asks of each step."""
    for first in range(0, asks, STEP_ASKS):
        yield min(STEP_ASKS, asks - first)
