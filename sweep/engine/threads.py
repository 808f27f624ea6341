"""The executor that replays in threads of this process: compiled loops run side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread

from core.evaluator import Candidate, Evaluator, Workloads
from sweep.engine.executor import Failure, Result, evaluated

Task = tuple[int, Sequence[Candidate]]
#: How long `close` waits for threads; a batch takes 2 s at most.
CLOSING_S = 3.0
#: How long a thread whose loop has ended waits for the interpreter while another makes rows. With
#: Python's own 5 ms, two threads took 1.66 s, and not 1.56, for 640 trials of the quickstart.
SWITCH_S = 0.0005


def default_workers() -> int:
    """Return the workers of this machine by default: one for each processor that it may use."""
    return len(os.sched_getaffinity(0))


def _all(candidate: Candidate) -> bool:
    return True


class Threads:
    """Threads that share one evaluator, and so the timelines.

    They stay for all of a run (threads made anew for each batch cost a quarter of what a second
    processor gains).

    Parameters
    ----------
    workloads
        What is replayed.
    workers
        Number of threads.
    takes
        Return whether a candidate can be replayed at once.
    """

    isolates = False

    def __init__(
        self, workloads: Workloads, workers: int = 1, takes: Callable[[Candidate], bool] = _all
    ) -> None:
        self.workers = workers
        self.takes = takes
        self._evaluator = Evaluator(workloads, workers)
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, Result]] = SimpleQueue()
        self._closed = False
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._closed:
            number, batch = task
            try:
                result = self.evaluate(batch)
            except BaseException as error:  # a user's own system that leaves (sys.exit)
                result = Failure(f"{type(error).__name__}: {error}")
            self._results.put((number, result))

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        """Return what a batch comes to."""
        return evaluated(self._evaluator, batch)

    def submit(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Hand a batch over, which comes back under its number."""
        self._tasks.put((number, candidates))

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        """Return batches that ended; wait for the first of them for so long at most."""
        ended = []
        try:
            ended.append(self._results.get(timeout=timeout_s))
            while True:
                ended.append(self._results.get_nowait())
        except Empty:
            return ended

    def close(self) -> None:
        """Stop the threads; what is queued is not replayed."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(CLOSING_S / len(self._threads))
        sys.setswitchinterval(self._switch_s)
