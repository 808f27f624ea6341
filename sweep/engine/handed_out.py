"""What is handed out: the executors of a run, each started when it is first needed, and batches.

The usual executor replays all that nobody suspects. A child of this process replays trials one by
one that may kill or hang what replays them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sweep.engine.executor import Executor
from sweep.engine.in_flight import InFlight
from sweep.engine.trials import Trial

#: Batches that are out for each worker: one it works on, and one so that it never waits.
IN_FLIGHT = 2


class Starting:
    """What starts the executors of a run, each when it is first needed."""

    def __init__(self, executor: Callable[[], Executor], alone: Callable[[], Executor]) -> None:
        self.executor, self.alone = executor, alone


class Out(NamedTuple):
    """A batch that an executor has.

    Parameters
    ----------
    executor, batch
        Which, and its trials.
    alone
        Whether the process that replays it has nothing else in hand.
    solo
        Whether nothing else is replayed anywhere meanwhile.
    """

    executor: Executor
    batch: list[Trial]
    alone: bool
    solo: bool


class HandedOut:
    """The executors of a run, and the batches that they have.

    Parameters
    ----------
    starting
        Starts the executors.
    in_flight
        Is told of what a death of an executor would end this process with.
    """

    def __init__(self, starting: Starting, in_flight: InFlight) -> None:
        self._starting, self._in_flight = starting, in_flight
        self._usual: Executor | None = None
        self._alone: Executor | None = None
        self._out: dict[int, Out] = {}  # by number
        self._batches = 0

    def __bool__(self) -> bool:
        return bool(self._out)

    @property
    def usual(self) -> Executor:
        """The executor of all that nobody suspects."""
        if self._usual is None:
            self._usual = self._starting.executor()
        return self._usual

    @property
    def alone(self) -> Executor:
        """The executor of trials whose deaths are to harm nothing."""
        if self._alone is None:
            self._alone = self._starting.alone()
        return self._alone

    @property
    def started(self) -> list[Executor]:
        """The executors that were needed so far, in that order."""
        return [each for each in (self._usual, self._alone) if each is not None]

    @property
    def workers(self) -> int:
        """How many batches the usual executor replays side by side; 1 as long as there is none."""
        return self._usual.workers if self._usual is not None else 1

    @property
    def at_work(self) -> list[Executor]:
        """The executors to ask what has ended: those that have batches, or else the usual one.

        One that has nothing is not asked where another has: 120 trials that are tried alone took
        7.6 s so, in place of 2.2.
        """
        have = list(dict.fromkeys(out.executor for out in self._out.values()))
        return have or self.started[:1]

    @property
    def has_solo(self) -> bool:
        """Whether a batch is out beside which nothing else is to be replayed."""
        return any(out.solo for out in self._out.values())

    def has_room(self, executor: Executor) -> bool:
        """Return whether an executor takes a batch."""
        out = sum(each.executor is executor for each in self._out.values())
        return out < IN_FLIGHT * executor.workers

    def submit(
        self, executor: Executor, batch: list[Trial], alone: bool = False, solo: bool = False
    ) -> None:
        """Hand a batch to an executor; parameters as of `Out`."""
        self._batches += 1
        self._out[self._batches] = Out(executor, batch, alone, solo)
        if not executor.isolates:
            self._in_flight.begin(self._batches, [trial.key for trial in batch])
        candidates = [each for trial in batch for each in trial.candidates]
        executor.submit(self._batches, candidates, alone)

    def batch(self, number: int) -> list[Trial]:
        """Return the trials of a batch that is out."""
        return self._out[number].batch

    def take_back(self, number: int) -> Out:
        """Return a batch that is out no more."""
        self._in_flight.end(number)
        return self._out.pop(number)
