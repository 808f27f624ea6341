"""The tagged tenant: heaps of programs, mapped PROT_MTE, that grow, shrink and die.

In the captures a program's heap grows in runs of 1 to 16 pages, gives some of them back, and goes
as a whole when the program ends, so that consecutive tagged allocations are neighbours in 30 to 65
% of cases and what outlives a large exit lies scattered. A share of it, the bursts, comes within a
few steps and goes at once, as a camera's buffers do.
"""

from __future__ import annotations

import numpy as np

from core.accesses import ANONYMOUS, UNMAP
from core.events import TAGGED
from core.workload.synthetic.asks import Asks, Random, ask

#: Heaps that live at one time, besides the burst.
_HEAPS = 12
#: Steps that a heap lives: at least, and at most. It grows in the first half of its life.
_LIFE_STEPS = (20, 160)
#: Pages of a run that a heap grows by, and the share of runs that it gives back before its end.
_RUN_PAGES = (1, 17)
_GIVEN_BACK = 0.2
#: A burst begins once in so many steps, and is held as long as said.
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

    def grow(self, random: Random, pages: int, flags: int) -> Asks | None:
        """Touch new pages, up to `pages` of them in all."""
        want = min(pages, self.pages) - self.grown
        if want <= 0:
            return None
        sizes = random.integers(*_RUN_PAGES, size=1 + want // 4)
        ends = np.minimum(np.cumsum(sizes), want)
        first = np.concatenate([[0], ends[:-1]])
        first, sizes = first[ends > first] + self.grown, (ends - first)[ends > first]
        self.runs += zip(first.tolist(), sizes.tolist(), strict=True)
        self.grown += int(sizes.sum())
        return ask(random.random(first.size), ANONYMOUS, self.space, first, sizes, flags)

    def shrink(self, random: Random) -> Asks | None:
        """Give some runs back."""
        count = round(len(self.runs) * _GIVEN_BACK / max(1, self.steps // 2))
        if not count:
            return None
        chosen = [self.runs.pop(int(random.integers(len(self.runs)))) for _ in range(count)]
        first, sizes = np.array(chosen).T
        return ask(random.random(count), UNMAP, self.space, first, sizes)

    def touch(self, random: Random, pages: int, flags: int) -> Asks | None:
        """Touch pages that are held."""
        if not self.runs:
            return None
        chosen = random.integers(len(self.runs), size=max(1, pages // 8))
        first, sizes = np.array(self.runs)[chosen].T
        return ask(random.random(first.size), ANONYMOUS, self.space, first, sizes, flags)

    def end(self) -> Asks:
        """Give all back."""
        return ask(0.999, UNMAP, self.space, 0, self.grown)


class Heaps:
    """All heaps of a workload; `tagged_ratio` of memory is what they hold with a burst on."""

    def __init__(
        self, random: Random, data_pages: int, tagged_ratio: float, burstiness: float, space: int
    ) -> None:
        self._random, self._next_space = random, space
        pages = tagged_ratio * data_pages
        self._burst_pages = round(pages * burstiness)
        # Half of its life a heap is as large as it gets, and grows to that before.
        self._mean_pages = pages * (1 - burstiness) / _HEAPS / 0.75
        self._heaps: list[_Heap] = []
        self._burst: _Heap | None = None

    def step(self) -> list[Asks]:
        """Return what the heaps ask for in one step."""
        asks: list[Asks | None] = []
        while len(self._heaps) < _HEAPS and self._mean_pages >= 1:
            self._heaps.append(self._new_heap())
        for heap in self._heaps:
            heap.age += 1
            asks.append(heap.grow(self._random, 2 * heap.age * heap.pages // heap.steps, TAGGED))
            if heap.age > heap.steps // 2:
                asks.append(heap.shrink(self._random))
            asks.append(heap.touch(self._random, _TOUCHED_PAGES // _HEAPS, TAGGED))
            if heap.age >= heap.steps:
                asks.append(heap.end())
        self._heaps = [heap for heap in self._heaps if heap.age < heap.steps]
        asks += self._step_burst()
        return [one for one in asks if one is not None]

    def _new_heap(self) -> _Heap:
        spread = self._random.lognormal(0, 0.8) / np.exp(0.32)
        self._next_space += 1
        pages, steps = round(self._mean_pages * spread), int(self._random.integers(*_LIFE_STEPS))
        return _Heap(self._next_space, pages, steps)

    def _step_burst(self) -> list[Asks | None]:
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
