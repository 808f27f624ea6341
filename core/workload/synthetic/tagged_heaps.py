"""Tagged heaps of programs, mapped with PROT_MTE, which grow, shrink and die.

In the captures, a program's heap grows in runs of 1 to 16 pages, gives some of them back, and goes
as a whole when the program ends. Consecutive tagged allocations are therefore neighbours in 30 to
65 % of cases, and the pages that remain after a large program has ended lie scattered. A share of
tagged memory comes in bursts: within a few steps, and gone at once, like the buffers of a camera.
"""

from __future__ import annotations

import numpy as np

from core.accesses import ANONYMOUS, UNMAP
from core.events import TAGGED
from core.workload.synthetic.load import Load
from core.workload.synthetic.run_accesses import BOOT_RATIO, Random, RunAccesses, run_accesses

#: Heaps that live at one time, beside the burst.
_HEAPS = 12
#: Steps that a heap lives, at least and at most. It grows in the first half of its life.
_LIFE_STEPS = (20, 160)
#: Pages of the runs that a heap grows by: 1 to 16.
_RUN_PAGES = (1, 17)
#: The size that a heap has on average over its life, as a share of its full size.
_MEAN_SIZE = 0.75
#: The share of runs that a heap gives back before its end.
_GIVEN_BACK = 0.2
#: A burst begins once in so many steps on average, and is held for at least and at most so many.
_BURST_EVERY_STEPS = 80
_BURST_STEPS = (10, 40)
#: Pages of live heaps that are touched in a step.
_TOUCHED_PAGES = 64


class _Heap:
    """One address space, and the runs of pages that it holds."""

    def __init__(self, space: int, pages: int, steps: int) -> None:
        self.space, self.pages, self.steps = space, max(1, pages), steps
        self.grown, self.age = 0, 0
        self.runs: list[tuple[int, int]] = []

    def grow(self, random: Random, pages: int, flags: int) -> RunAccesses | None:
        """Touch new pages until the heap has `pages`; return None if it has them."""
        want = min(pages, self.pages) - self.grown
        if want <= 0:
            return None
        sizes = random.integers(*_RUN_PAGES, size=1 + want // 4)
        ends = np.minimum(np.cumsum(sizes), want)
        first = np.concatenate([[0], ends[:-1]])
        first, sizes = first[ends > first] + self.grown, (ends - first)[ends > first]
        self.runs += zip(first.tolist(), sizes.tolist(), strict=True)
        self.grown += int(sizes.sum())
        return run_accesses(random.random(first.size), ANONYMOUS, self.space, first, sizes, flags)

    def shrink(self, random: Random) -> RunAccesses | None:
        """Give some runs back, if it is time for that."""
        count = round(len(self.runs) * _GIVEN_BACK / max(1, self.steps // 2))
        if not count:
            return None
        chosen = [self.runs.pop(int(random.integers(len(self.runs)))) for _ in range(count)]
        first, sizes = np.array(chosen).T
        return run_accesses(random.random(count), UNMAP, self.space, first, sizes)

    def touch(self, random: Random, pages: int, flags: int) -> RunAccesses | None:
        """Touch some of the pages that the heap holds."""
        if not self.runs:
            return None
        chosen = random.integers(len(self.runs), size=max(1, pages // 8))
        first, sizes = np.array(self.runs)[chosen].T
        return run_accesses(random.random(first.size), ANONYMOUS, self.space, first, sizes, flags)

    def end(self) -> RunAccesses:
        """Give the whole heap back."""
        return run_accesses(0.999, UNMAP, self.space, 0, self.grown)


class TaggedHeaps:
    """All tagged heaps of a workload, step by step.

    Parameters
    ----------
    random
        Source of what is random in them.
    data_pages
        Pages of data memory.
    tagged_ratio
        The share of data memory that the heaps hold while a burst is on.
    burstiness
        The share of their memory that comes in bursts.
    space
        Their address spaces are numbered from the one after this.
    """

    def __init__(
        self, random: Random, data_pages: int, tagged_ratio: float, burstiness: float, space: int
    ) -> None:
        self._random, self._next_space = random, space
        pages = tagged_ratio * data_pages
        self._burst_pages = round(pages * burstiness)
        self._mean_pages = pages * (1 - burstiness) / _HEAPS / _MEAN_SIZE
        self._heaps: list[_Heap] = []
        self._burst: _Heap | None = None

    def step(self) -> list[RunAccesses]:
        """Return the accesses of the heaps in one step."""
        accesses: list[RunAccesses | None] = []
        while len(self._heaps) < _HEAPS and self._mean_pages >= 1:
            self._heaps.append(self._new_heap())
        for heap in self._heaps:
            heap.age += 1
            accesses.append(
                heap.grow(self._random, 2 * heap.age * heap.pages // heap.steps, TAGGED)
            )
            if heap.age > heap.steps // 2:
                accesses.append(heap.shrink(self._random))
            accesses.append(heap.touch(self._random, _TOUCHED_PAGES // _HEAPS, TAGGED))
            if heap.age >= heap.steps:
                accesses.append(heap.end())
        self._heaps = [heap for heap in self._heaps if heap.age < heap.steps]
        accesses += self._step_burst()
        return [batch for batch in accesses if batch is not None]

    def _new_heap(self) -> _Heap:
        spread = self._random.lognormal(0, 0.8) / np.exp(0.32)
        self._next_space += 1
        pages, steps = round(self._mean_pages * spread), int(self._random.integers(*_LIFE_STEPS))
        return _Heap(self._next_space, pages, steps)

    def _step_burst(self) -> list[RunAccesses | None]:
        burst = self._burst
        if burst is None:
            if self._burst_pages and self._random.random() < 1 / _BURST_EVERY_STEPS:
                self._next_space += 1
                steps = int(self._random.integers(*_BURST_STEPS))
                self._burst = _Heap(self._next_space, self._burst_pages, steps)
            return []
        burst.age += 1
        grown = burst.grow(self._random, burst.age * burst.pages // 3, TAGGED)
        if burst.age < burst.steps:
            return [grown]
        self._burst = None
        return [burst.end()] if grown is None else [grown, burst.end()]


def heaps_load(steps: float, data_pages: int, tagged_ratio: float, burstiness: float) -> Load:
    """Return how much the tagged heaps access in so many steps; parameters as for the heaps."""
    pages, life = tagged_ratio * data_pages, sum(_LIFE_STEPS) / 2
    # The first heaps have grown to the full when half of their life is over.
    lives = steps / life + min(1.0, 2 * steps / life) / 2
    # Where no burst is on, one begins with a chance of 1 / _BURST_EVERY_STEPS.
    bursts = steps / (_BURST_EVERY_STEPS + sum(_BURST_STEPS) / 2)
    grown = pages * ((1 - burstiness) / _MEAN_SIZE * lives + burstiness * bursts)
    # A run is about 3 aligned rows. Some runs are given back, and some touched again.
    mean_run = (_RUN_PAGES[0] + _RUN_PAGES[1] - 1) / 2
    rows = 3 / mean_run * grown * (1 + _GIVEN_BACK) + 3 * _HEAPS * steps * (burstiness < 1)
    return Load(rows, grown, BOOT_RATIO + tagged_ratio, ())
