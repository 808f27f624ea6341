"""Lateness: when a batch has been replayed for too long, by the study or by what others took."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sweep.engine.batching import SLACK, Pace
from sweep.engine.executor import Executor
from sweep.engine.trials import Trial

#: Where a study sets no limit, a trial is told of after so many times what others took, and not
#: before so long; before any other has ended, after so many times as long.
LONG, LONG_S = 10.0, 30.0


class Lateness:
    """Looks for batches that are replayed for too long.

    Parameters
    ----------
    limit_s
        What a trial may take, as the study says; None if it says nothing.
    pace
        What trials take.
    note
        Called with a line, once, where the study sets no limit and a trial takes long.
    """

    def __init__(self, limit_s: float | None, pace: Pace, note: Callable[[str], None]) -> None:
        self._limit_s, self._pace, self._note = limit_s, pace, note
        self._told = False

    def look(self, executor: Executor, batch_of: Callable[[int], Sequence[Trial]]) -> None:
        """Stop what an executor replays for too long, or tell of it.

        Parameters
        ----------
        executor
            What replays.
        batch_of
            Return the trials of a batch of the executor, by its number.
        """
        if self._told:
            return
        for number, seconds in executor.running().items():
            batch = batch_of(number)
            if self._limit_s is None:
                self._tell_if_long(batch, seconds)
            elif seconds > self._limit_s + self._slack_s(batch):
                executor.stop(number)

    def _slack_s(self, batch: Sequence[Trial]) -> float:
        return 0.0 if len(batch) == 1 else SLACK * sum(map(self._pace.of, batch))

    def _tell_if_long(self, batch: Sequence[Trial], seconds: float) -> None:
        typical_s = self._pace.typical_s
        long_s = max(LONG_S, LONG * (LONG_S if typical_s is None else typical_s * len(batch)))
        if seconds < long_s:
            return
        self._told = True
        first = batch[0]
        beside = f" and {len(batch) - 1} others" if len(batch) > 1 else ""
        took = "none has ended yet" if typical_s is None else f"others took {typical_s:.2g} s each"
        self._note(
            f"{first.role} {first.number}{beside} have been replayed for {seconds:.0f} s, and "
            f"{took}; `trial_timeout: 5min` in the study ends a trial that takes longer"
        )
