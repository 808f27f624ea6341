"""TPE: a tree-structured Parzen estimator, fitted a few times for all trials of a generation.

Optuna fits it anew for each trial and parameter: at 10,000 trials that takes 0.3 s. Here the split
of the finished trials and the density of the better ones are made once for a generation. The
density of the others is made anew for every few of them, since, as in Optuna, what the generation
has asked for already is among them: so its trials keep away from each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import (
    _split_trials,
    default_gamma,
    default_gamma_multiobjective,
    default_weights,
)
from optuna.trial import FrozenTrial

from sweep.engine.samplers.generation_sampler import GenerationSampler, Told
from sweep.engine.samplers.optuna_space import distributions_of, frozen_trials, quiet_study
from sweep.engine.samplers.parzen import ParzenEstimator
from sweep.results import Row
from sweep.study.model import Study

#: Draws from the better trials that a trial takes the best of, and complete trials before which all
#: draws are random: Optuna's defaults.
CANDIDATES = 24
STARTUP_TRIALS = 10
#: Of so many finished trials one more changes a density by little: of 64 trials each has a fit of
#: its own as in Optuna, of 10,000 50 share one. That is what keeps asking at some 250 trials a
#: second there (benchmarks/search.py).
TRIALS_OF_A_FIT = 200


#: Draws by parameter, and the logarithm of a density at each.
_Pool = tuple[dict[str, Any], NDArray[np.float64]]


class _Split(NamedTuple):
    """The finished trials: the better ones, as densities, and the places of the others.

    Parameters
    ----------
    below
        The densities of the better trials, of each group of parameters.
    above
        The places of the others among the complete trials.
    """

    below: list[ParzenEstimator]
    above: NDArray[np.int64]


class TPE(GenerationSampler):
    """Draws from where the better trials are dense and the others are not.

    Of one objective all parameters are drawn together, of several each is drawn alone: both are
    Optuna's defaults.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self._optuna = quiet_study(study)
        self._distributions = distributions_of(study)
        self._complete: list[FrozenTrial] = []
        # As Optuna's estimators take them: of a choice its place.
        self._observed: dict[str, list[float]] = {name: [] for name in self._distributions}
        self._asked: dict[str, list[float]] = {name: [] for name in self._distributions}
        searched = [name for name, each in self._distributions.items() if not each.single()]
        self._has_several = len(self._optuna.directions) > 1
        self._groups = [[name] for name in searched] if self._has_several else [searched]
        self._settings = TPESampler()._parzen_estimator_parameters
        self._split: _Split | None = None

    def tell(self, generation: Sequence[Told]) -> None:
        """Add the complete trials of a generation."""
        complete = [told for told in generation if told.objectives is not None]
        self._complete += frozen_trials(complete, self._distributions, len(self._complete))
        for name, distribution in self._distributions.items():
            self._observed[name] += [
                distribution.to_internal_repr(told.parameters[name]) for told in complete
            ]
            self._asked[name] = []
        self._split = None

    def draw(self, chance: np.random.Generator, count: int) -> Iterator[Row]:
        """Yield draws; at first they are random."""
        anew = self.cube.rows(chance.random((count, len(self._distributions))))
        if len(self._complete) < STARTUP_TRIALS or self._groups == [[]]:
            yield from anew
            return
        self._split = self._split or self._split_finished()
        seed = np.random.RandomState(chance.integers(2**32))
        pools = [_pool(below, seed, count) for below in self._split.below]
        together = -(-len(self._complete) // TRIALS_OF_A_FIT)
        for first in range(0, count, together):
            rows = anew[first : first + together]
            best = self._best(pools, self._split.above, range(first, first + len(rows)))
            for place, row in enumerate(rows):
                yield row | {
                    name: self._distributions[name].to_external_repr(values[place])
                    for name, values in best.items()
                }

    def _split_finished(self) -> _Split:
        gamma = default_gamma_multiobjective if self._has_several else default_gamma
        number = len(self._complete)
        split = _split_trials(self._optuna, self._complete, gamma(number))
        below, above = (np.array([trial.number for trial in part], dtype=int) for part in split)
        weigh = np.ones if self._has_several else default_weights
        observed = {name: np.array(values) for name, values in self._observed.items()}
        densities = [
            self._density(
                {name: observed[name][below] for name in group}, np.asarray(weigh(below.size))
            )
            for group in self._groups
        ]
        return _Split(densities, above)

    def _density(self, observed: dict[str, Any], weights: Any) -> ParzenEstimator:
        space = {name: self._distributions[name] for name in observed}
        return ParzenEstimator(observed, space, self._settings, weights)

    def _best(
        self, pools: list[_Pool], others: NDArray[np.int64], trials: range
    ) -> dict[str, list[Any]]:
        """Return the best draws of some trials by parameter, as Optuna's estimators have them."""
        best: dict[str, list[Any]] = {}
        mine = slice(trials.start * CANDIDATES, trials.stop * CANDIDATES)
        for group, (draws, below) in zip(self._groups, pools, strict=True):
            observed = {
                name: np.append(np.array(self._observed[name])[others], self._asked[name])
                for name in group
            }
            above = self._density(observed, default_weights(observed[group[0]].size))
            here = {name: values[mine] for name, values in draws.items()}
            gain = (below[mine] - above.log_pdf(here)).reshape(len(trials), CANDIDATES)
            chosen = np.argmax(gain, axis=1) + np.arange(len(trials)) * CANDIDATES
            best |= {name: here[name][chosen].tolist() for name in group}
        for name, values in best.items():
            self._asked[name] += values
        return best


def _pool(below: ParzenEstimator, seed: np.random.RandomState, count: int) -> _Pool:
    """Return the draws of so many trials, and how dense the better trials are there."""
    draws = below.sample(seed, count * CANDIDATES)
    return draws, below.log_pdf(draws)
