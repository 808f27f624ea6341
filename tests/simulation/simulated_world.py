"""The world that a driver runs in, under a seed: its time, its operations, and where they stop."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Operations of one driver at most: one that takes more waits for ever.
MOST_OPERATIONS = 10_000
#: Operations that a failure prints.
LAST_OPERATIONS = 60


class Died(BaseException):
    """The end of the driver's process: nothing that it does from now on reaches the world."""


class LawBroken(AssertionError):
    """A law that does not hold."""


class World:
    """Time, chance, and the operations of one driver after the other.

    Parameters
    ----------
    chance
        What all that happens is drawn from.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now_s = 0.0
        self.operations = 0
        self.dead = False
        #: The moments at which what a driver replays kills it.
        self.deadly_s: list[float] = []
        self.broken = ""
        #: What another process does between two operations of the driver.
        self.others: Callable[[], None] | None = None
        self.log: deque[str] = deque(maxlen=LAST_OPERATIONS)
        #: The executors of the driver that runs.
        self.executors: list[Any] = []
        self._stop: tuple[int, str, bool] | None = None
        self.stopped_by: str | None = None
        #: Whether a file system or a cluster has failed, so that the driver may give up.
        self.has_failed = False
        self.stopped_in = ""

    def boot(self, stop: tuple[int, str, bool] | None = None) -> None:
        """Let another driver run.

        Parameters
        ----------
        stop
            The operation that stops it; what does: ``kill``, ``power`` or ``interrupt``; and
            whether the operation has its effect before that.
        """
        self.log.append(f"--- a driver starts, to be stopped by {stop}")
        self.operations, self.dead, self.deadly_s = 0, False, []
        self._stop, self.stopped_by, self.stopped_in = stop, None, ""
        self.has_failed = False
        self.executors = []

    @contextmanager
    def operation(self, what: str) -> Iterator[None]:
        """Do an operation of the driver, which may be its last."""
        if self.dead:
            raise Died
        self.operations += 1
        self.now_s += 0.0002
        if self.others is not None:
            self.others()
        self.log.append(f"{self.operations:5} {self.now_s:8.3f} s  {what}")
        self.hold(self.operations <= MOST_OPERATIONS, "the driver waits for ever")
        self.die_of_what_is_replayed(what)
        stop = self._stop
        if stop is None or self.operations != stop[0]:
            yield
            return
        _, how, has_effect = stop
        if has_effect:
            yield
        self.stopped_by, self.stopped_in = how, what
        self.log.append(f"      *** {how} {'after' if has_effect else 'before'} it")
        if how == "interrupt":
            raise KeyboardInterrupt
        self.dead = True
        raise Died

    def die_of_what_is_replayed(self, what: str) -> None:
        """End the driver if something that it replays has killed it by now."""
        if self.deadly_s and min(self.deadly_s) <= self.now_s:
            self.stopped_by, self.stopped_in = "poison", what
            self.log.append("      *** killed by what it replays")
            self.dead = True
            raise Died

    def hold(self, holds: bool, otherwise: str) -> None:
        """Hold a law: whoever breaks it does nothing any more, so that the log ends there."""
        if not holds:
            self.broken = self.broken or otherwise
            self.dead = True
            raise LawBroken(otherwise)

    def clock(self) -> float:
        """Return the seconds that have gone by."""
        with self.operation("clock"):
            return self.now_s

    def happens(self, probability: float) -> bool:
        """Return whether something happens."""
        return self.chance.random() < probability
