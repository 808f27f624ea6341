"""HW KASAN: the kernel's own allocations are tagged, many of them in atomic context.

Packets and other short-lived buffers come in bursts and live for a moment. Dentries, inodes and
slabs live long, and some of them are freed earlier than others, which leaves blocks with one tagged
page. A reservation for an allocation in atomic context may neither sleep nor fail. Beside these
allocations, reads of a file by a Zipf law keep memory full. Allocations have orders 0 to 3, as in
SLUB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.accesses import GIVE, LOOKUP, TAKE
from core.events import ATOMIC, TAGGED
from core.workload.synthetic.load import Load, Reads, steps_in
from core.workload.synthetic.popularity import scattered, zipf_ranks
from core.workload.synthetic.run_accesses import (
    BOOT_RATIO,
    Generator,
    Random,
    RunAccesses,
    run_accesses,
    steps_of,
)

#: The share of tagged memory that lives for a moment.
_BRIEF_SHARE = 0.2
#: Steps that the rest lives on average.
_LIFE_STEPS = 120
#: Probabilities of orders 0 to 3.
_ORDERS = (0.7, 0.15, 0.1, 0.05)
_PAGES_AN_ALLOCATION = sum(share * (1 << order) for order, share in enumerate(_ORDERS))


@dataclass(frozen=True)
class Kasan(Generator):
    """Tagged kernel allocations; `atomic_ratio` of those that are brief come in atomic context."""

    meaning: ClassVar[str] = (
        "HW KASAN: the kernel's own allocations are tagged, many of them in atomic context, beside "
        "reads of a file"
    )

    asks: int = 300_000
    file_ratio: float = 1.2
    skew: float = 0.8
    tagged_ratio: float = 0.1
    atomic_ratio: float = 0.7
    burstiness: float = 0.5

    def load(self, data_pages: int) -> Load:
        """Return how much it accesses."""
        live = self.tagged_ratio * data_pages / _PAGES_AN_ALLOCATION
        each_step = live * (_BRIEF_SHARE + (1 - _BRIEF_SHARE) / _LIFE_STEPS)
        taken = steps_in(self.asks) * each_step + live * (1 - _BRIEF_SHARE)
        reads = Reads(self.asks, max(16, self.file_ratio * data_pages), self.skew)
        return Load(self.asks + 2 * taken, taken, BOOT_RATIO + self.tagged_ratio, (reads,))

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step."""
        pages = max(16, round(self.file_ratio * data_pages))
        allocations = self.tagged_ratio * data_pages / _PAGES_AN_ALLOCATION
        brief = allocations * _BRIEF_SHARE
        lasting = allocations * (1 - _BRIEF_SHARE)
        live = np.zeros((0, 2), dtype=np.int64)  # [allocation, (handle, pages)]
        handle = 0
        for count in steps_of(self.asks):
            rank = scattered(zipf_ranks(random, count, pages, self.skew), pages, 1)
            # A burst has several times the usual rate, and steps between have less.
            calm = 1 - self.burstiness
            rate = calm + (self.burstiness / 0.1 if random.random() < 0.1 else 0)
            now = _allocate(random, round(brief * rate), handle)
            handle += now.shape[0]
            grown = lasting / _LIFE_STEPS if handle > now.shape[0] else lasting
            new = _allocate(random, round(grown), handle)
            handle += new.shape[0]
            gone = random.random(live.shape[0]) < 1 / _LIFE_STEPS
            atomic = np.where(random.random(now.shape[0]) < self.atomic_ratio, ATOMIC, 0)
            came = random.random(now.shape[0]) * 0.9
            yield [
                run_accesses(random.random(count), LOOKUP, 0, rank),
                run_accesses(came, TAKE, 0, 0, now[:, 1], TAGGED | atomic, now[:, 0]),
                run_accesses(came + 0.09, GIVE, 0, 0, now[:, 1], 0, now[:, 0]),
                run_accesses(random.random(new.shape[0]), TAKE, 0, 0, new[:, 1], TAGGED, new[:, 0]),
                run_accesses(
                    random.random(int(gone.sum())), GIVE, 0, 0, live[gone, 1], 0, live[gone, 0]
                ),
            ]
            live = np.concatenate([live[~gone], new])


def _allocate(random: Random, count: int, first_handle: int) -> np.ndarray:
    order = np.searchsorted(np.cumsum(_ORDERS)[:-1], random.random(count), side="right")
    return np.column_stack([first_handle + np.arange(count), 1 << order])
