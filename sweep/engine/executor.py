"""Executors: where batches of candidates are replayed. Each takes batches and hands results back.

Batches come back in whatever order they end; the order that matters is the driver's.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import thread_time
from typing import NamedTuple, Protocol

from core.evaluator import Candidate, Evaluator
from sweep.engine.rows import Evaluated, evaluate


class Replays(NamedTuple):
    """What a batch came to.

    Parameters
    ----------
    evaluated
        What became of its candidates.
    seconds
        What it took of one processor.
    """

    evaluated: Evaluated
    seconds: float


class Failure(NamedTuple):
    """Why a batch came to nothing.

    Parameters
    ----------
    error
        What the user is told.
    died
        Whether the process that replayed it died.
    lost
        Whether where it was replayed is gone, through no fault of the batch.
    """

    error: str
    died: bool = False
    lost: bool = False


Result = Replays | Failure


class Executor(Protocol):
    """Where batches run."""

    #: Whether a batch that kills the process that replays it leaves this one alive.
    isolates: bool

    @property
    def workers(self) -> int:
        """How many batches run side by side now."""

    def takes(self, candidate: Candidate) -> bool:
        """Return whether a candidate can be replayed at once: what it needs is compiled."""

    def submit(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Hand a batch over, which comes back under its number; this never waits."""

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        """Return batches that ended; wait for the first of them for so long at most."""

    def close(self) -> None:
        """Stop all that the executor started, and forget what it has not replayed."""


def evaluated(evaluator: Evaluator, batch: Sequence[Candidate]) -> Result:
    """Return what a batch comes to in this process, or the error that ended it."""
    start = thread_time()
    try:
        return Replays(evaluate(evaluator, batch), thread_time() - start)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")
