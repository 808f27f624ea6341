"""A database larger than memory: a B-tree index, a heap of rows, updates, and a scan now and then.

A query walks the index, whose root and inner pages are always hot and whose leaves are skewed. Then
it reads the heap page of its row, which lies elsewhere. An update writes the leaf and this page.
The `database` captures do this with sqlite3: 55 % of their insertions are refaults, and 4 % of
their 68,924 distinct pages are only read ahead. Now and then the whole heap is scanned, as in their
phases SCAN and GREP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.accesses import LARGE_FOLIOS, LOOKUP, WRITE
from core.workload.synthetic.load import Load, Reads, steps_in
from core.workload.synthetic.popularity import scattered, zipf_ranks
from core.workload.synthetic.run_accesses import (
    Generator,
    Random,
    RunAccesses,
    begin_phase,
    run_accesses,
    steps_of,
)
from core.workload.synthetic.tagged_heaps import TaggedHeaps, heaps_load

# The inode of the index; the inode of the first table, which is a part of the heap; and the tables.
_INDEX, _HEAP, _TABLES = 0, 1, 16
#: The share of the database that the index takes.
_INDEX_SHARE = 0.15
#: Leaves of an inner page of the index.
_FAN_OUT = 200
#: Steps from one scan to the next, and pages that a scan reads in a step.
_SCAN_EVERY_STEPS = 150
_SCAN_PAGES = 1024
_READ_PAGES = 32


@dataclass(frozen=True)
class Database(Generator):
    """Point queries through an index, updates, and whole scans."""

    meaning: ClassVar[str] = (
        "a database larger than memory: queries through a B-tree index, updates, and a scan now "
        "and then"
    )

    asks: int = 500_000
    file_ratio: float = 1.2
    skew: float = 0.7
    write_ratio: float = 0.05
    large_folio_ratio: float = 0.0
    tagged_ratio: float = 0.06
    burstiness: float = 0.5

    def phases(self) -> tuple[str, ...]:
        """Return the one phase that has a name: a scan of the whole heap."""
        return ("scan",)

    def load(self, data_pages: int) -> Load:
        """Return how much it accesses."""
        steps = steps_in(self.asks)
        heaps = heaps_load(steps, data_pages, self.tagged_ratio, self.burstiness)
        leaves = max(16, self.file_ratio * data_pages * _INDEX_SHARE)
        table_pages = max(4 * _TABLES, self.file_ratio * data_pages * (1 - _INDEX_SHARE))
        queries, read = self.asks / 4, 1 - self.write_ratio
        scans = steps // _SCAN_EVERY_STEPS
        steps_a_scan = min(_SCAN_EVERY_STEPS, -(-table_pages // _SCAN_PAGES))
        scanned = scans * min(steps_a_scan * _SCAN_PAGES, table_pages)
        return heaps.beside(
            self.asks + scans * steps_a_scan * _SCAN_PAGES / _READ_PAGES,
            Reads(queries * read, leaves, self.skew),
            Reads(queries * read, table_pages, self.skew),
            Reads(scanned, table_pages, None),
        )

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step."""
        heaps = TaggedHeaps(random, data_pages, self.tagged_ratio, self.burstiness, 0)
        leaves = max(16, round(self.file_ratio * data_pages * _INDEX_SHARE))
        table = max(4, round(self.file_ratio * data_pages * (1 - _INDEX_SHARE) / _TABLES))
        rows = table * _TABLES
        inner = -(-leaves // _FAN_OUT)
        large = np.where(random.random(_TABLES) < self.large_folio_ratio, LARGE_FOLIOS, 0)
        scanned = rows
        for number, count in enumerate(steps_of(self.asks)):
            queries = max(1, count // 4)
            rank = zipf_ranks(random, queries, rows, self.skew)
            leaf = scattered(rank * leaves // rows, leaves, 3)
            row = scattered(rank, rows, 7)
            moment = random.random(queries)
            updates = random.random(queries) < self.write_ratio
            op = np.where(updates, WRITE, LOOKUP)
            accesses = [
                run_accesses(moment, LOOKUP, _INDEX, 0),
                run_accesses(moment, LOOKUP, _INDEX, 1 + leaf // _FAN_OUT),
                run_accesses(moment, op, _INDEX, 1 + inner + leaf),
                run_accesses(moment, op, _HEAP + row // table, row % table, 1, large[row // table]),
            ]
            if number % _SCAN_EVERY_STEPS == _SCAN_EVERY_STEPS - 1:
                scanned = 0
                accesses.insert(0, begin_phase(0.0, 0))
            if scanned < rows:
                page = np.arange(scanned, min(rows, scanned + _SCAN_PAGES), _READ_PAGES)
                owner = page // table
                size = np.minimum(_READ_PAGES, table - page % table)
                when = (np.arange(page.size) + 0.5) / page.size
                accesses.append(
                    run_accesses(when, LOOKUP, _HEAP + owner, page % table, size, large[owner])
                )
                scanned += _SCAN_PAGES
                if scanned >= rows:
                    accesses.append(begin_phase(when[-1]))
            yield [*accesses, *heaps.step()]
