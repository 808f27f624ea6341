"""Executors: where batches of candidates are replayed. Each takes batches and hands results back.

Batches come back in whatever order they end; the order that matters is the driver's.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from enum import StrEnum
from time import thread_time
from typing import NamedTuple, Protocol

from core.evaluator import Candidate, Evaluator
from sweep.engine.rows import Evaluated, evaluate


class Cause(StrEnum):
    """What a batch came to nothing by."""

    EXCEPTION = "exception"
    SIGNAL = "signal"  # which killed the process that replayed it
    EXIT = "exit"  # of the process that replayed it
    MEMORY = "memory"  # that there was too little of
    TIME = "time"  # more than the study allows
    LOST = "lost"  # with where it was replayed, through no fault of the batch

    @property
    def is_death(self) -> bool:
        """Whether the process that replayed the batch is dead, by what it replayed or by others."""
        return self in (Cause.SIGNAL, Cause.EXIT)


class Replays(NamedTuple):
    """What a batch came to.

    Parameters
    ----------
    evaluated
        What became of its candidates.
    seconds
        What it took of one processor.
    host
        The machine that replayed it; "" if nobody knows.
    """

    evaluated: Evaluated
    seconds: float
    host: str = ""


class Failure(NamedTuple):
    """Why a batch came to nothing.

    Parameters
    ----------
    error
        What the user is told; of what was late or lost, that is told otherwise or not at all.
    cause
        What kind of failure it is.
    host, node
        Where it failed: the machine, and the node of the cluster; "" if nobody knows.
    """

    error: str
    cause: Cause = Cause.EXCEPTION
    host: str = ""
    node: str = ""


Result = Replays | Failure


class Executor(Protocol):
    """Where batches run."""

    #: Whether a batch that kills the process that replays it leaves this one alive.
    isolates: bool

    @property
    def workers(self) -> int:
        """How many batches run side by side now."""

    @property
    def size(self) -> tuple[int, int]:
        """How many nodes and workers there were at one time, at most."""

    def limit(self, workers: int | None) -> None:
        """Replay so many batches side by side at most from now on; None: as many as it can."""

    def takes(self, candidate: Candidate) -> bool:
        """Return whether a candidate can be replayed at once: what it needs is compiled."""

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        """Hand a batch over, which comes back under its number; this never waits.

        Where `isolates`, the process that replays it has nothing else in hand if it is `alone`: so
        a death of that process is the batch's, or comes from outside.
        """

    def running(self) -> Mapping[int, float]:
        """Return the batches that are replayed now, and for how many seconds each has been."""

    def stop(self, number: int) -> None:
        """Give a batch up that is replayed now: it comes back as a failure by `Cause.TIME`."""

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        """Return batches that ended; wait for the first of them for so long at most."""

    def close(self) -> None:
        """Stop all that the executor started, and forget what it has not replayed."""


def evaluated(evaluator: Evaluator, batch: Sequence[Candidate]) -> Result:
    """Return what a batch comes to in this process, or the error that ended it."""
    start = thread_time()
    try:
        return Replays(evaluate(evaluator, batch), thread_time() - start, socket.gethostname())
    except Exception as error:
        return failure_of(error)


def failure_of(error: BaseException) -> Failure:
    """Return the failure that an exception of a replay is, in one line."""
    told = " ".join(str(error).split())
    cause = Cause.MEMORY if isinstance(error, MemoryError) else Cause.EXCEPTION
    name = type(error).__name__
    return Failure(f"{name}: {told}" if told else name, cause, socket.gethostname())
