"""Batches: how many policies are replayed together, by what replaying such ones took."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median

from core.evaluator import Candidate
from sweep.engine.trials import Trial

#: What a batch takes at most, in seconds: so long a run that is stopped waits for it.
MOST_S = 2.0
#: To make the rows of a batch takes so long, however few they are, and threads do it one at a time.
ROWS_S = 0.008
#: And at least, but in a last round: below, rows take too much of the time.
LEAST_S = 0.05
#: The share of what waits that a round of batches takes, one for each worker.
ROUND_SHARE = 0.6
#: What a trial is taken for of which nothing is known yet.
UNKNOWN_S = 0.1
#: A batch of several trials may take so many times what it was taken for, beside the time of one.
SLACK = 10.0
#: Trials of a batch at most.
MOST_TRIALS = 256
#: How much the newest batch counts in what trials take.
_NEWEST = 0.3
#: What is typical is the median of so many batches.
_TYPICAL_OF = 64


class Pace:
    """What trials take, by what decides that most: their system and eviction.

    Parameters
    ----------
    limit_s
        What a trial may take, if that is limited. As long as nothing is known, a trial is taken for
        so much of it that a batch may take what all its trials may.
    """

    def __init__(self, limit_s: float | None = None) -> None:
        self._seconds: dict[tuple[str, str], float] = {}
        self._unknown_s = max(UNKNOWN_S, (limit_s or 0.0) / SLACK)
        self._newest: deque[float] = deque(maxlen=_TYPICAL_OF)

    def of(self, trial: Trial) -> float:
        """Return what a trial will take, in seconds of one processor."""
        known = self._seconds.get(_kind(trial))
        return self._unknown_s if known is None else known

    @property
    def typical_s(self) -> float | None:
        """What a trial took in the median of the newest batches; None before the first."""
        return median(self._newest) if self._newest else None

    def learn(self, batch: Sequence[Trial], seconds: float) -> None:
        """Take in what a batch took: so much more or less than it was taken for, each of it."""
        self._newest.append(seconds / len(batch))
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


def next_batches(
    waiting: deque[Trial],
    pace: Pace,
    workers: int,
    takes: Callable[[Candidate], bool],
    most_trials: int = MOST_TRIALS,
) -> list[list[Trial]]:
    """Take the next batches off what waits, one for each worker.

    Each round takes a share of what waits, so that batches become smaller towards the end, and what
    earlier ones took otherwise than expected is made up for (Hummel, Schonberg and Flynn 1992,
    factoring). The last round takes all, so that workers end at about one time.

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
    most_trials
        Trials of a batch at most.
    """
    left = sum(map(pace.of, waiting))
    count, each, apart = workers, ROUND_SHARE * left / workers, ROWS_S
    if each < LEAST_S:
        count, apart = max(1, min(workers, int(left / ROWS_S))), 0.0
        each = left / count
    batches: list[list[Trial]] = []
    passed: list[Trial] = []
    room = 0.0
    while waiting and len(batches) < count:
        # Those of a round end one after the other, so that threads do not wait to make their rows.
        room += min(MOST_S, each + (len(batches) - (count - 1) / 2) * min(apart, each / count))
        batch: list[Trial] = []
        while waiting and len(batch) < most_trials:
            trial = waiting[0]
            if takes(trial.candidates[0]):
                # Half a trial more or less: the next batch makes up for it.
                if batch and room < pace.of(trial) / 2:
                    break
                room -= pace.of(trial)
                batch.append(trial)
            else:
                passed.append(trial)
            waiting.popleft()
        if batch:
            batches.append(batch)
    waiting.extendleft(reversed(passed))
    return batches


def enough(waiting: deque[Trial], pace: Pace, workers: int) -> bool:
    """Return whether what waits fills so many batches that all workers have two of them."""
    batches = 2 * workers
    return len(waiting) >= batches * MOST_TRIALS or (sum(map(pace.of, waiting)) >= batches * MOST_S)
