"""Batches: how many policies are replayed together, by what replaying such ones took."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from core.evaluator import Candidate
from sweep.engine.trials import Trial

#: What a batch takes at most, in seconds: so long a run that is stopped waits for it.
MOST_S = 2.0
#: And at least, where there are enough policies: below, handing it over is felt.
LEAST_S = 0.02
#: What a trial is taken for of which nothing is known yet.
UNKNOWN_S = 0.1
#: Trials of a batch at most.
MOST_TRIALS = 256
#: How much the newest batch counts in what trials take.
_NEWEST = 0.3


class Pace:
    """What trials take, by what decides that most: their system and eviction."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, str], float] = {}

    def of(self, trial: Trial) -> float:
        """Return what a trial will take, in seconds of one processor."""
        known = self._seconds.get(_kind(trial))
        return UNKNOWN_S if known is None else known

    def learn(self, batch: Sequence[Trial], seconds: float) -> None:
        """Take in what a batch took: so much more or less than it was taken for, each of it."""
        expected = sum(self._seconds.get(_kind(trial), 0.0) for trial in batch)
        unknown = sum(_kind(trial) not in self._seconds for trial in batch)
        kinds = {_kind(trial) for trial in batch}
        for kind in kinds:
            before = self._seconds.get(kind)
            if before is None:
                self._seconds[kind] = max(seconds - expected, seconds / len(batch) / 2) / max(
                    unknown, 1
                )
            elif expected and not unknown:
                self._seconds[kind] = before * (1 + _NEWEST * (seconds / expected - 1))


def _kind(trial: Trial) -> tuple[str, str]:
    policy = trial.candidates[0].policy
    return policy.system, policy.eviction


def next_batch(
    waiting: deque[Trial], pace: Pace, workers: int, takes: Callable[[Candidate], bool]
) -> list[Trial]:
    """Take the next batch off what waits: a share of it, so that workers end at about one time.

    Of what waits each of W workers gets half its share at once, and batches become smaller towards
    the end (Polychronopoulos and Kuck 1987, guided self-scheduling).

    Parameters
    ----------
    waiting
        The trials that wait, of which some are taken, in their order.
    pace
        What they take.
    workers
        How many batches run side by side.
    takes
        Return whether a candidate can be replayed at once: a trial of which it cannot waits on.
    """
    left = sum(map(pace.of, waiting))
    room = min(MOST_S, max(LEAST_S, left / (2 * workers)))
    batch: list[Trial] = []
    passed: list[Trial] = []
    while waiting and len(batch) < MOST_TRIALS:
        trial = waiting.popleft()
        if not takes(trial.candidates[0]):
            passed.append(trial)
            continue
        room -= pace.of(trial)
        if batch and room < 0:
            waiting.appendleft(trial)
            break
        batch.append(trial)
    waiting.extendleft(reversed(passed))
    return batch


def enough(waiting: deque[Trial], pace: Pace, workers: int) -> bool:
    """Return whether what waits fills so many batches that all workers have two of them."""
    batches = 2 * workers
    return len(waiting) >= batches * MOST_TRIALS or (sum(map(pace.of, waiting)) >= batches * MOST_S)
