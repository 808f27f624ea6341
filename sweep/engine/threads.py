"""The executor that replays in threads of this process: compiled loops run side by side."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from time import monotonic

from core.evaluator import Candidate, Evaluator, Workloads
from core.jit import at_compiling
from sweep.engine.executor import Cause, Failure, Result, evaluated, failure_of

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
    processor gains). Nothing can end one that hangs: it is left to itself, and another one takes
    its place.

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
        self.takes = takes
        self._evaluator = Evaluator(workloads, workers)
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, Result]] = SimpleQueue()
        self._most = workers
        #: When each batch that is replayed now was begun, and by which thread.
        self._begun: dict[int, tuple[float, Thread]] = {}
        #: Whether anything is compiled now, and when it last was: nothing is late meanwhile.
        self._compiling, self._compiled_at = False, 0.0
        self._listening = ExitStack()
        self._listening.enter_context(at_compiling(self._compiles, self._has_compiled))
        self._closed = False
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._threads: list[Thread] = []
        for _ in range(workers):
            self._start()

    def _start(self) -> None:
        thread = Thread(target=self._work, daemon=True)
        thread.start()
        self._threads.append(thread)

    @property
    def workers(self) -> int:
        """How many batches run side by side."""
        return min(len(self._threads), self._most)

    @property
    def size(self) -> tuple[int, int]:
        """One node, and its threads."""
        return 1, len(self._threads)

    def limit(self, workers: int | None) -> None:
        """Replay so many batches side by side at most, as far as they are handed over."""
        self._most = len(self._threads) if workers is None else workers

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._closed:
            number, batch = task
            self._begun[number] = (monotonic(), current_thread())
            try:
                result = self.evaluate(batch)
            except BaseException as error:  # a user's own system that leaves (sys.exit)
                result = failure_of(error)
            # Whoever takes a batch off, this thread or `stop`, hands it back: in one step.
            if self._begun.pop(number, None) is None:
                return  # it was given up, and so was this thread
            self._results.put((number, result))

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        """Return what a batch comes to."""
        return evaluated(self._evaluator, batch)

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        """Hand a batch over, which comes back under its number."""
        self._tasks.put((number, candidates))

    def running(self) -> Mapping[int, float]:
        """Return the batches that are replayed now, and for how many seconds each has been."""
        if self._compiling:
            return {}
        now, since = monotonic(), self._compiled_at
        return {number: now - max(began, since) for number, (began, _) in list(self._begun.items())}

    def _compiles(self) -> None:
        self._compiling = True

    def _has_compiled(self) -> None:
        self._compiled_at = monotonic()
        self._compiling = False

    def stop(self, number: int) -> None:
        """Leave a batch to its thread, and start another thread in its place."""
        begun = self._begun.pop(number, None)
        if begun is None:
            return  # it has just ended
        self._threads.remove(begun[1])
        self._start()
        failure = Failure("it took too long", Cause.TIME, socket.gethostname())
        self._results.put((number, failure))

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
        self._listening.close()
        sys.setswitchinterval(self._switch_s)
