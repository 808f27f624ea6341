"""Load: how much a generator accesses, worked out from its parameters without making a row.

What of the reads misses the page cache follows Che's approximation of an LRU ("Hierarchical Web
caching systems"): a page is cached if it was read within the time in which as many pages as the
cache holds are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import NamedTuple

import numpy as np

from core.workload.requests.requests import RUN_ORDER

#: A step of a generator has so many accesses of its main load.
STEP_ACCESSES = 1000
#: Pages of one popularity are worked out together: so many groups, from the most popular page on.
_GROUPS = 48
#: Halvings that find the time in which the cache is filled.
_HALVINGS = 40


class Reads(NamedTuple):
    """Reads of the pages of some files.

    Parameters
    ----------
    page_reads
        Pages that are read, each as often as it is read.
    pages
        The pages of the files.
    skew
        The exponent of the Zipf law that says which; None: all, from end to end and again.
    window
        Pages that come in together where one is missed: faults read around.
    """

    page_reads: float
    pages: float
    skew: float | None
    window: int = 1

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how many windows there are of each popularity, and how often they are read."""
        end = max(self.pages / self.window, 1.0) + 1
        edges = np.geomspace(1.0, end, _GROUPS + 1)
        if self.skew is None:
            below = (edges - 1) / (end - 1)
        elif abs(self.skew - 1) < 1e-6:
            below = np.log(edges) / log(end)
        else:
            below = (edges ** (1 - self.skew) - 1) / (end ** (1 - self.skew) - 1)
        return np.diff(edges), self.page_reads * np.diff(below)


class Load(NamedTuple):
    """What a generator accesses.

    Parameters
    ----------
    rows
        Rows of its access trace, about: within a quarter in tests.
    tagged
        Tagged allocations; each is freed too.
    held_ratio
        The share of data memory that is no page cache.
    reads
        What it reads of files.
    """

    rows: float
    tagged: float
    held_ratio: float
    reads: tuple[Reads, ...]

    def beside(self, rows: float, *reads: Reads) -> Load:
        """Return the load with more rows, and with reads."""
        return self._replace(rows=self.rows + rows, reads=(*self.reads, *reads))

    def events(self, data_pages: int) -> float:
        """Return about how many mm events come of it on a machine: within 2x in tests."""
        cached = max(0.02, 1 - self.held_ratio) * data_pages
        missed = missed_reads(self.reads, cached)
        return 2 * self.tagged + missed + max(0.0, missed - cached)


def missed_reads(reads: Sequence[Reads], cached_pages: float) -> float:
    """Return about how many reads miss a cache that is empty at first."""
    groups = [(each, *each.groups()) for each in reads if each.page_reads > 0]

    def distinct(time: float) -> float:
        return sum(
            min(each.pages, each.page_reads * time)
            if each.skew is None
            else each.window * float((windows * -np.expm1(-counts / windows * time)).sum())
            for each, windows, counts in groups
        )

    if distinct(1.0) <= cached_pages:
        return distinct(1.0)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        half = (low + high) / 2
        low, high = (half, high) if distinct(half) < cached_pages else (low, half)
    rate = sum(
        each.page_reads * (each.page_reads * high < each.pages)
        if each.skew is None
        else each.window * float((counts * np.exp(-counts / windows * high)).sum())
        for each, windows, counts in groups
    )
    return cached_pages + (1 - high) * rate


def rows_of_run(pages: float) -> int:
    """Return the rows of a run of pages from the beginning of a file on: aligned, and few."""
    largest, rest = divmod(max(1, round(pages)), 1 << RUN_ORDER)
    return largest + rest.bit_count()


def steps_in(asks: float) -> float:
    """Return the steps that so many accesses of the main load take."""
    return -(-asks // STEP_ACCESSES)
