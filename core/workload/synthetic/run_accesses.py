"""What a generator accesses in a step: runs of pages, which then become rows of an access trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.accesses import PHASE, UNMAP, Accesses
from core.events import NO_PHASE
from core.workload.ftrace.memory import Memory
from core.workload.requests.requests import split_runs
from core.workload.synthetic.load import STEP_ACCESSES, Load

#: A step of a generator takes so much time.
STEP_NS = 10_000_000
#: The share of memory that the kernel and its services use when a workload begins.
BOOT_RATIO = 0.15

Random = np.random.Generator


class RunAccesses(NamedTuple):
    """Accesses to runs of pages, and allocations and frees of other memory.  # each [access]

    Parameters
    ----------
    moment
        When in its step an access comes: 0 is the step's beginning, and 1 its end.
    op, inode, flags
        As in an access trace.
    page, pages
        The first page of a run, and its length. A take or give has no first page, and its pages
        are a power of two. The page of a phase is the number of its name.
    handle
        What names the memory of a take or give.
    """

    moment: NDArray[np.float64]
    op: NDArray[np.uint8]
    inode: NDArray[np.int64]
    page: NDArray[np.int64]
    pages: NDArray[np.int64]
    flags: NDArray[np.uint8]
    handle: NDArray[np.int64]


class Generator(Protocol):
    """A synthetic workload: a frozen dataclass of its parameters.

    Attributes
    ----------
    meaning
        One line: what it is.
    """

    meaning: ClassVar[str]

    def phases(self) -> tuple[str, ...]:
        """Return the names of its phases, which its rows of phase number."""
        return ()

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step."""

    def load(self, data_pages: int) -> Load:
        """Return how much it accesses, without making a row."""


def begin_phase(moment: float, number: int = NO_PHASE) -> RunAccesses:
    """Return what begins a phase by the number of its name; without one it ends the last phase."""
    return run_accesses(moment, PHASE, 0, number)


def run_accesses(
    moment: ArrayLike,
    op: ArrayLike,
    inode: ArrayLike,
    page: ArrayLike,
    pages: ArrayLike = 1,
    flags: ArrayLike = 0,
    handle: ArrayLike = 0,
) -> RunAccesses:
    """Return the accesses that have these columns, which are broadcast together.

    Parameters
    ----------
    moment, op, inode, page, pages, flags, handle
        The fields of `RunAccesses`: an array [access], or a number for all of them.
    """
    arrays = np.broadcast_arrays(moment, op, inode, page, pages, flags, handle)
    kinds = (np.float64, np.uint8, np.int64, np.int64, np.int64, np.uint8, np.int64)
    pairs: Any = zip(arrays, kinds, strict=True)
    columns: Any = [np.atleast_1d(array).astype(kind) for array, kind in pairs]
    return RunAccesses(*columns)


def accesses_of_steps(
    steps: Iterable[Iterable[RunAccesses]],
    data_pages: int,
    page_size: int,
    source: str,
    phases: tuple[str, ...] = (),
    progress: Callable[[int], None] | None = None,
) -> Accesses:
    """Return the access trace of a generator's steps, on a machine that has just been started.

    Parameters
    ----------
    steps
        The accesses of each step.
    data_pages, page_size
        The machine: its pages of data memory, and the bytes of a page.
    source
        Where the trace comes from, in words.
    phases
        The names that rows of phase number.
    progress
        Called with the rows so far.
    """
    low, high = Memory(0, data_pages, page_size).watermarks()
    parts, rows = [], 0
    for number, accesses in enumerate(steps):
        parts.append(rows_of(accesses, number * STEP_NS, STEP_NS))
        rows += parts[-1]["op"].size
        if progress is not None:
            progress(rows)
    columns: Any = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Accesses(
        **columns,
        page_size=page_size,
        data_pages=data_pages,
        free_pages=max(1, data_pages - round(data_pages * BOOT_RATIO)),
        low_pages=low,
        high_pages=high,
        source=source,
        phases=phases,
    )


def rows_of(batches: Iterable[RunAccesses], begin_ns: int, span_ns: int) -> dict[str, NDArray[Any]]:
    """Return the columns of an access trace with the accesses of one step, in the order of time.

    Parameters
    ----------
    batches
        The accesses of the step, in any order.
    begin_ns, span_ns
        When the step begins, and how long it takes.

    Returns
    -------
    dict of str to ndarray
        Columns [row] by name. A run of pages becomes as few aligned rows as there can be.
    """
    together: Any = [np.concatenate(column) for column in zip(*batches, strict=True)]
    order = np.argsort(together[0], kind="stable")
    accesses = RunAccesses(*[column[order] for column in together])
    runs = split_runs(accesses.page, np.where(accesses.op <= UNMAP, accesses.pages, 1))
    row = np.repeat(np.arange(accesses.op.size), runs.counts)
    paged = accesses.op[row] <= UNMAP
    numbered = paged | (accesses.op[row] == PHASE)
    # Rows of take and give have no run: their order tells their pages.
    orders = np.where(paged, runs.order, np.log2(accesses.pages[row]))
    return {
        "time_ns": (begin_ns + accesses.moment[row] * span_ns).astype(np.int64),
        "op": accesses.op[row],
        "inode": accesses.inode[row].astype(np.uint32),
        "index": np.where(numbered, runs.index, 0).astype(np.uint32),
        "order": orders.astype(np.uint8),
        "handle": np.where(paged, runs.left, accesses.handle[row]),
        "flags": accesses.flags[row],
    }


def steps_of(count: int) -> Iterator[int]:
    """Yield the number of accesses of each step, of `count` accesses in all."""
    for first in range(0, count, STEP_ACCESSES):
        yield min(STEP_ACCESSES, count - first)
