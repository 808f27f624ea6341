"""When a search ends before its last trial: after some time, or when nothing better was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.study.goals import goals_of
from sweep.study.model import Study

#: What a search is told of a trial: its `objectives` and `violations`, or None of one that failed.
Outcome = Mapping[str, Any] | None
#: Of several goals, a thousandth of the range of one that was seen is no gain: else each finer step
#: along a Pareto front would be one, and there is no end of them.
NO_GAIN = 1e-3


class Stopping:
    """The end of one subspace's search, by what the study says under `stop`.

    Parameters
    ----------
    study
        The study.
    clock
        Returns seconds that only grow, such as `time.monotonic`.
    part
        The part of the time after which this search ends: of two subspaces the first has half.
    """

    def __init__(self, study: Study, clock: Callable[[], float], part: float = 1.0) -> None:
        self._stop, self._part = study.stop, part
        self._clock, self._began = clock, clock()
        self._signs = np.array([goal.sign for goal in goals_of(study)], dtype=float)
        self._without_gain = 0
        self._least_violation = np.inf
        # Losses of the trials that were gains, and the range of all that were seen.
        self._front: NDArray[np.float64] = np.empty((0, self._signs.size))
        self._least = np.full(self._signs.size, np.inf)
        self._most = -self._least

    def tell(self, generation: Sequence[Outcome]) -> None:
        """Tell what became of the trials of a whole generation, in order."""
        for outcome in generation:
            gained = outcome is not None and self._gains(outcome)
            self._without_gain = 0 if gained else self._without_gain + 1

    def reason(self) -> str | None:
        """Return why no other generation is asked for; None where the search goes on."""
        patience, time_s = self._stop.patience, self._stop.time
        if patience is not None and self._without_gain >= patience:
            return f"{self._without_gain} trials without gain (stop.patience: {patience})"
        if time_s is not None and self._clock() - self._began >= time_s * self._part:
            return f"{time_s * self._part:g} s have passed (stop.time)"
        return None

    def _gains(self, outcome: Mapping[str, Any]) -> bool:
        """Return whether a trial is better than all before, or as good in other goals."""
        violation = sum(max(0.0, beyond or 0.0) for beyond in outcome["violations"])
        if violation > 0 or self._least_violation > 0:
            # Until a trial keeps all bounds, the nearest to that is the best.
            gained = violation < self._least_violation
            self._least_violation = min(violation, self._least_violation)
            if violation > 0:
                return gained
        losses = np.array(outcome["objectives"], dtype=float) * self._signs
        self._least = np.minimum(self._least, losses)
        self._most = np.maximum(self._most, losses)
        several = losses.size > 1
        slack = NO_GAIN * (self._most - self._least) if several else 0.0
        if (self._front <= losses + slack).all(axis=1).any():
            return False
        beaten = (losses <= self._front).all(axis=1)
        self._front = np.vstack([self._front[~beaten], losses])
        return True
