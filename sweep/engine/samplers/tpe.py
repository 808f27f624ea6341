"""TPE: a tree-structured Parzen estimator, fitted once for all trials of a generation.

Optuna fits it anew for each trial: at 10,000 trials 300 ms each. Here a generation shares the two
densities, of the better trials and of the others, and each of its trials takes the best of draws of
its own from the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.engine.samplers.generation_sampler import GenerationSampler, IsNew, Told
from sweep.engine.samplers.optuna_space import distributions_of, frozen_trials, quiet_study
from sweep.results import Row
from sweep.study.model import Study

if TYPE_CHECKING:
    import optuna

CANDIDATES = 24
STARTUP_TRIALS = 10
SLOW=False


class TPE(GenerationSampler):
    def __init__(self, study: Study) -> None:
        from optuna.samplers import TPESampler

        super().__init__(study)
        self._optuna = quiet_study(study)
        self._distributions = distributions_of(study)
        self._complete: list[optuna.trial.FrozenTrial] = []
        self._sampler = TPESampler(multivariate=True, constant_liar=False)
        self._fitted: Any = None
        from sweep.engine.samplers.parzen import ParzenEstimator
        if not SLOW: self._sampler._parzen_estimator_cls = ParzenEstimator

    def tell(self, generation: Sequence[Told]) -> None:
        complete = [told for told in generation if told.objectives is not None]
        self._complete += frozen_trials(complete, self._distributions, len(self._complete))
        self._fitted = None

    def _fit(self) -> Any:
        from optuna.samplers._tpe.sampler import (
            _split_trials,
            default_gamma,
            default_gamma_multiobjective,
        )

        gamma = default_gamma_multiobjective if len(self._optuna.directions) > 1 else default_gamma
        below, above = _split_trials(self._optuna, self._complete, gamma(len(self._complete)))
        build = self._sampler._build_parzen_estimator
        return (
            build(self._optuna, self._distributions, below, handle_below=True),
            build(self._optuna, self._distributions, above, handle_below=False),
        )

    def draw(self, chance: np.random.Generator, count: int) -> Iterator[Sequence[Row]]:
        if len(self._complete) < STARTUP_TRIALS:
            for row in self.cube.rows(chance.random((count, len(self._distributions)))):
                yield [row]
            return
        if self._fitted is None:
            self._fitted = self._fit()
        below, above = self._fitted
        state = np.random.RandomState(chance.integers(2**32))
        samples = below.sample(state, count * CANDIDATES)
        gain = below.log_pdf(samples) - above.log_pdf(samples)
        names = list(self._distributions)
        rows = [
            {n: d.to_external_repr(v) for (n, d), v in zip(self._distributions.items(), row)}
            for row in zip(*[samples[n].tolist() for n in names])
        ]
        for k in range(count):
            order = k * CANDIDATES + np.argsort(-gain[k * CANDIDATES : (k + 1) * CANDIDATES], kind="stable")
            yield [rows[i] for i in order]
