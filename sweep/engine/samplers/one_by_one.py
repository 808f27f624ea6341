"""Any sampler of Optuna, asked for one trial after the other."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from sweep.engine.samplers.generation_sampler import MAX_DRAWS, IsNew, Told
from sweep.engine.samplers.optuna_space import distributions_of, quiet_study
from sweep.results import Row
from sweep.study.model import Study
from sweep.study.samplers import SAMPLERS


class OneByOne:
    """A study of Optuna, asked and told in trial order.

    Parameters
    ----------
    study
        The study within one subspace.
    sampler
        The class of its sampler.
    """

    def __init__(self, study: Study, sampler: type[optuna.samplers.BaseSampler]) -> None:
        self._study, self._class = study, sampler
        self._kind = SAMPLERS[study.sampler.name]
        self._distributions = distributions_of(study)
        self._optuna = quiet_study(study)
        self._optuna.sampler = self._make(study.sampler.seed)
        self._waiting: deque[optuna.Trial] = deque()

    def _make(self, seed: int) -> optuna.samplers.BaseSampler:
        return self._class(**self._kind.arguments(seed, self._study.generation))

    def ask(self, generation: int, count: int, is_new: IsNew) -> list[Row]:
        """Return the parameters of the trials of a generation, as a `GenerationSampler` does.

        What repeats an earlier trial fails in Optuna's study, and another is asked for.
        """
        if self._kind.seeded_each_generation:
            self._optuna.sampler = self._make(_seed_of(self._study.sampler.seed, generation))
        asked = []
        for _ in range(count):
            trial = self._optuna.ask(self._distributions)
            draws = 1
            # Each draw is shown to `is_new`, also the last: a resumed search shows what was asked.
            while not is_new(trial.params) and draws < MAX_DRAWS:
                self._optuna.tell(trial, state=TrialState.FAIL)
                trial = self._optuna.ask(self._distributions)
                draws += 1
            self._waiting.append(trial)
            asked.append(dict(trial.params))
        return asked

    def tell(self, generation: Sequence[Told]) -> None:
        """Tell what became of trials, in the order in which they were asked for.

        Of those that were not asked for in this process, parameters and outcomes are added.
        """
        for told in generation:
            if not self._waiting:
                self._optuna.add_trial(self._finished(told))
                continue
            trial = self._waiting.popleft()
            if told.objectives is None:
                self._optuna.tell(trial, state=TrialState.FAIL)
                continue
            for name, violation in told.violations.items():
                trial.set_constraint(name, violation)
            self._optuna.tell(trial, list(told.objectives))

    def _finished(self, told: Told) -> optuna.trial.FrozenTrial:
        known: dict[str, Any] = {"params": told.parameters, "distributions": self._distributions}
        if told.objectives is None:
            return create_trial(state=TrialState.FAIL, **known)
        return create_trial(
            values=list(told.objectives), constraints=dict(told.violations), **known
        )


def _seed_of(seed: int, generation: int) -> int:
    """Return the seed of one generation of a study."""
    digest = hashlib.sha256(f"{seed} {generation}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
