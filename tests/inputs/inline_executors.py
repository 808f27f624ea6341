"""Executors that replay in the test's own thread, as a test wants them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from core.evaluator import Candidate, Evaluator
from sweep.engine.executor import Result, evaluated


class Inline:
    """An executor that replays a batch when it is asked what is finished."""

    isolates = False
    workers = 1
    size = (1, 1)

    def __init__(self, workloads: Any) -> None:
        self._evaluator = Evaluator(workloads)
        self._tasks: list[tuple[int, Sequence[Candidate]]] = []

    def takes(self, candidate: Candidate) -> bool:
        return True

    def limit(self, workers: int | None) -> None:
        """Do nothing: it has one worker."""

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        self._tasks.append((number, candidates))

    def running(self) -> dict[int, float]:
        return {}

    def stop(self, number: int) -> None:
        """Do nothing: what it replays has ended when it is asked."""

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        return evaluated(self._evaluator, batch)

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        number, batch = self._tasks.pop(0)
        return [(number, self.evaluate(batch))]

    def close(self) -> None:
        self._tasks.clear()


class Shuffled(Inline):
    """The same with the batches of three workers, which end in any order, some together."""

    workers = 3

    def __init__(self, workloads: Any) -> None:
        super().__init__(workloads)
        self._chance = random.Random(3)

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        self._chance.shuffle(self._tasks)
        together = self._chance.randint(1, len(self._tasks))
        return [super(Shuffled, self).finished(timeout_s)[0] for _ in range(together)]


class Interrupted(Inline):
    """One that Ctrl-C stops after so many batches."""

    def __init__(self, workloads: Any, batches: int) -> None:
        super().__init__(workloads)
        self.left = batches

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().finished(timeout_s)


class Counting(Inline):
    """One that keeps what it is asked to replay."""

    def __init__(self, workloads: Any) -> None:
        super().__init__(workloads)
        self.asked: list[Candidate] = []

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        self.asked += candidates
        super().submit(number, candidates, alone)


def nobody(workloads: object) -> Inline:
    """Start no executor: all is known."""
    raise AssertionError("a known policy was replayed")
