"""Independent reads of single pages by a Zipf law: the textbook's load of a cache.

Only its skew is realistic: block and key-value traces show 0.6 to 1.0 (Breslau and others, "Web
caching and Zipf-like distributions"; Yang and others, "A large-scale analysis of hundreds of
in-memory key-value cache clusters"). It has no scans and no phases, so it favours policies that
keep what was used often. Use it to see the effect of one thing at a time.
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
    run_accesses,
    steps_of,
)
from core.workload.synthetic.tagged_heaps import TaggedHeaps, heaps_load


@dataclass(frozen=True)
class Zipf(Generator):
    """Reads, and some writes, of single pages by a Zipf law."""

    meaning: ClassVar[str] = (
        "independent reads, and some writes, of single pages by a Zipf law: a cache's textbook load"
    )

    asks: int = 500_000
    file_ratio: float = 1.5
    skew: float = 0.8
    write_ratio: float = 0.0
    large_folio_ratio: float = 0.0
    tagged_ratio: float = 0.08
    burstiness: float = 0.3

    def load(self, data_pages: int) -> Load:
        """Return how much it accesses."""
        heaps = heaps_load(steps_in(self.asks), data_pages, self.tagged_ratio, self.burstiness)
        pages = max(16, self.file_ratio * data_pages)
        reads = Reads(self.asks * (1 - self.write_ratio), pages, self.skew)
        return heaps.beside(self.asks, reads)

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step."""
        heaps = TaggedHeaps(random, data_pages, self.tagged_ratio, self.burstiness, 0)
        pages = max(16, round(self.file_ratio * data_pages))
        large = random.random(64) < self.large_folio_ratio
        for count in steps_of(self.asks):
            page = scattered(zipf_ranks(random, count, pages, self.skew), pages, 1)
            # The pages are in 64 files of one size, so that a share of them can have large folios.
            inode = page % 64
            op = np.where(random.random(count) < self.write_ratio, WRITE, LOOKUP)
            flags = np.where(large[inode], LARGE_FOLIOS, 0)
            yield [
                run_accesses(random.random(count), op, inode, page // 64, 1, flags),
                *heaps.step(),
            ]
