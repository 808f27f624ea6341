"""Files that are read from end to end, again and again: a backup, a scanner, an analytics job.

Where the files are larger than memory, a list that evicts the oldest page evicts every page just
before it is read again. A victim cache that keeps any part of the loop has hits (Belady 1966; see
the phases SCAN and GREP of the `database` captures). Beside the loop a small hot set is read by a
Zipf law; a policy that does not resist scans loses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.accesses import LARGE_FOLIOS, LOOKUP
from core.workload.synthetic.load import Load, Reads, steps_in
from core.workload.synthetic.popularity import scattered, zipf_ranks
from core.workload.synthetic.run_accesses import (
    Generator,
    Random,
    RunAccesses,
    run_accesses,
    steps_of,
)
from core.workload.synthetic.tagged_heaps import TaggedHeaps, heaps_load

_FILES = 16
#: Pages of a read: 128 KiB, what grep, tar and cp ask for.
_READ_PAGES = 32
#: Accesses to the hot set for each access of the scan.
_HOT_ACCESSES = 4


@dataclass(frozen=True)
class ScanLoop(Generator):
    """A loop over files, with a hot set of 5 % of memory beside it."""

    meaning: ClassVar[str] = (
        "files that are read from end to end, again and again, beside a small hot set"
    )

    asks: int = 200_000
    file_ratio: float = 1.3
    skew: float = 0.8
    large_folio_ratio: float = 0.0
    tagged_ratio: float = 0.08
    burstiness: float = 0.3

    def load(self, data_pages: int) -> Load:
        """Return how much it accesses."""
        heaps = heaps_load(steps_in(self.asks), data_pages, self.tagged_ratio, self.burstiness)
        length = max(_READ_PAGES, self.file_ratio * data_pages / _FILES)
        scans = self.asks / (1 + _HOT_ACCESSES)
        scanned = scans * length / -(-length // _READ_PAGES)
        hot = Reads(self.asks - scans, max(1, data_pages // 20), self.skew)
        return heaps.beside(self.asks, Reads(scanned, _FILES * length, None), hot)

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step."""
        heaps = TaggedHeaps(random, data_pages, self.tagged_ratio, self.burstiness, 0)
        length = max(_READ_PAGES, round(self.file_ratio * data_pages / _FILES))
        reads = -(-length // _READ_PAGES)
        large = random.random(_FILES) < self.large_folio_ratio
        hot = max(1, data_pages // 20)
        at = 0
        for count in steps_of(self.asks):
            scans = max(1, count // (1 + _HOT_ACCESSES))
            number = (at + np.arange(scans)) % (_FILES * reads)
            at += scans
            inode, page = number // reads, number % reads * _READ_PAGES
            size = np.minimum(_READ_PAGES, length - page)
            flags = np.where(large[inode], LARGE_FOLIOS, 0)
            moment = (np.arange(scans) + random.random()) / scans
            rank = scattered(zipf_ranks(random, count - scans, hot, self.skew), hot, 1)
            yield [
                run_accesses(moment, LOOKUP, inode, page, size, flags),
                run_accesses(random.random(count - scans), LOOKUP, _FILES, rank),
                *heaps.step(),
            ]
