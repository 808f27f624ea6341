"""A database larger than memory: a B-tree index, a heap of rows, updates, and a scan now and then.

A query walks the index (its root and inner pages are always hot, leaves are skewed), then reads the
heap page of its row, which lies elsewhere; an update writes both. The `database` captures do this
with sqlite3: 55 % of their insertions are refaults, of 68,924 distinct pages 4 % are only read
ahead. A scan of the whole heap comes between phases, as their SCAN and GREP steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.accesses import LARGE_FOLIOS, LOOKUP, WRITE
from core.workload.synthetic.asks import Asks, Random, ask, scattered, steps_of, zipf_ranks
from core.workload.synthetic.heaps import Heaps

# The index is a file, the heap a few: tables.
_INDEX, _HEAP, _TABLES = 0, 1, 16
#: Of the database, what the index takes; leaves of an inner page.
_INDEX_SHARE = 0.15
_FAN_OUT = 200
#: Steps from one scan to the next, and pages that a scan reads in a step.
_SCAN_EVERY_STEPS = 150
_SCAN_PAGES = 1024
_READ_PAGES = 32


@dataclass(frozen=True)
class Database:
    """Point queries through an index, updates, and whole scans."""

    asks: int = 500_000
    file_ratio: float = 1.2
    skew: float = 0.7
    write_ratio: float = 0.05
    large_folio_ratio: float = 0.0
    tagged_ratio: float = 0.06
    burstiness: float = 0.5

    def steps(self, random: Random, data_pages: int) -> Iterator[list[Asks]]:
        """Yield what each step asks for."""
        heaps = Heaps(random, data_pages, self.tagged_ratio, self.burstiness, 0)
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
            place = random.random(queries)
            updates = random.random(queries) < self.write_ratio
            op = np.where(updates, WRITE, LOOKUP)
            asks = [
                ask(place, LOOKUP, _INDEX, 0),
                ask(place, LOOKUP, _INDEX, 1 + leaf // _FAN_OUT),
                ask(place, op, _INDEX, 1 + inner + leaf),
                ask(place, op, _HEAP + row // table, row % table, 1, large[row // table]),
            ]
            if number % _SCAN_EVERY_STEPS == _SCAN_EVERY_STEPS - 1:
                scanned = 0
            if scanned < rows:
                page = np.arange(scanned, min(rows, scanned + _SCAN_PAGES), _READ_PAGES)
                of = page // table
                size = np.minimum(_READ_PAGES, table - page % table)
                when = (np.arange(page.size) + 0.5) / page.size
                asks.append(ask(when, LOOKUP, _HEAP + of, page % table, size, large[of]))
                scanned += _SCAN_PAGES
            yield [*asks, *heaps.step()]
