"""Executors: where batches of candidates are replayed. Each runs them and hands results back.

Batches come back in whatever order they end; the order that matters is the runner's. A batch that
fails comes back as the error's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from core.evaluator import Candidate, Evaluator, Workloads
from sweep.engine.rows import Evaluated, evaluate

Result = list[Evaluated] | str


class Executor(Protocol):
    """Where batches run."""

    workers: int

    def run(self, batches: Sequence[Sequence[Candidate]]) -> Iterator[tuple[int, Result]]:
        """Yield (place in `batches`, results or the text of an error) as batches end."""

    def close(self) -> None:
        """Stop all that the executor started."""


class InProcess:
    """The executor that replays in this process: for debugging, and for small studies."""

    workers = 1

    def __init__(self, workloads: Workloads) -> None:
        self._evaluator = Evaluator(workloads)

    def run(self, batches: Sequence[Sequence[Candidate]]) -> Iterator[tuple[int, Result]]:
        """Yield batches in their order."""
        for place, batch in enumerate(batches):
            yield place, evaluated(self._evaluator, batch)

    def close(self) -> None:
        """Do nothing: nothing was started."""


def evaluated(evaluator: Evaluator, batch: Sequence[Candidate]) -> Result:
    """Return what became of a batch, or the text of the error that ended it."""
    try:
        return evaluate(evaluator, batch)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
