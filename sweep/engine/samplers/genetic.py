"""The genetic algorithms: the selection is Optuna's, the children of a generation come at once.

Optuna makes a child at a time, which takes it 1 ms; all 64 of a generation take 1 ms here, by the
same rules: binary tournaments, uniform crossover, and a mutation that draws a value anew.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweep.engine.samplers.generation_sampler import GenerationSampler, Told, losses_of
from sweep.engine.samplers.optuna_space import distributions_of, frozen_trials, quiet_study
from sweep.results import Row
from sweep.study.goals import goals_of
from sweep.study.model import Study

if TYPE_CHECKING:
    import optuna

#: How often a child has two parents, and how often each of its parameters is the second one's.
CROSSOVER = 0.9
SWAPPING = 0.5


class _Genetic(GenerationSampler):
    """Children of the best of all trials so far, as many as a generation has."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self._optuna = quiet_study(study)
        self._distributions = distributions_of(study)
        self._signs = [goal.sign for goal in goals_of(study)]
        self._parents: list[optuna.trial.FrozenTrial] = []
        self._told: dict[int, Told] = {}
        self._generations = self._trials = 0

    @abstractmethod
    def select(self, population: list[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
        """Return the best of a population, as many as a generation has trials."""

    def tell(self, generation: Sequence[Told]) -> None:
        """Select parents from the last ones and a generation."""
        complete = [told for told in generation if told.objectives is not None]
        born = frozen_trials(complete, self._distributions, self._trials)
        self._told |= {trial.number: told for trial, told in zip(born, complete, strict=True)}
        self._trials += len(generation)
        self._generations += 1
        if born:
            self._parents = self.select(born + self._parents)
            self._told = {trial.number: self._told[trial.number] for trial in self._parents}

    def draw(self, chance: np.random.Generator, count: int) -> Iterator[Row]:
        """Yield children; where there are no parents, random draws."""
        names = list(self.cube.parameters)
        anew = self.cube.rows(chance.random((count, len(names))))
        if len(self._parents) < 2:
            yield from anew
            return
        first, second = self._pick(chance, count), self._pick(chance, count)
        crossed = chance.random(count) < CROSSOVER
        swapped = (chance.random((count, len(names))) < SWAPPING) & crossed[:, None]
        mutated = chance.random((count, len(names))) < 1 / len(names)
        parents = [trial.params for trial in self._parents]
        for child, row in enumerate(anew):
            father, mother = parents[first[child]], parents[second[child]]
            yield {
                name: row[name] if mutates else mother[name] if swaps else father[name]
                for name, mutates, swaps in zip(
                    names, mutated[child].tolist(), swapped[child].tolist(), strict=True
                )
            }  # fmt: skip

    def _pick(self, chance: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Return parents: of two at random the one that dominates the other, or else the second."""
        told = [self._told[trial.number] for trial in self._parents]
        losses = losses_of(told, self._signs)
        beyond = np.array([sum(max(0.0, each) for each in one.violations.values()) for one in told])
        one, other = chance.integers(len(told), size=(2, count))
        dominates = (losses[one] <= losses[other]).all(1) & (losses[one] < losses[other]).any(1)
        both_keep = (beyond[one] == 0) & (beyond[other] == 0)
        wins = (beyond[one] < beyond[other]) | (both_keep & dominates)
        winners: NDArray[np.int64] = np.where(wins, one, other)
        return winners


class NSGAII(_Genetic):
    """NSGA-II: of trials that none dominates those stay that lie far from the others."""

    def select(self, population: list[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
        """Return the best of a population by rank and crowding distance."""
        from optuna.samplers import NSGAIISampler

        sampler = NSGAIISampler(population_size=self.study.generation)
        return _best(sampler, self._optuna, population)


class NSGAIII(_Genetic):
    """NSGA-III: of trials that none dominates those stay that lie near reference points."""

    def select(self, population: list[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
        """Return the best of a population by rank and reference points."""
        from optuna.samplers import NSGAIIISampler

        # Ties are drawn, by a seed of the generation: so a resumed search draws the same.
        seed = int(self.begin(self._generations).integers(2**32))
        sampler = NSGAIIISampler(population_size=self.study.generation, seed=seed)
        return _best(sampler, self._optuna, population)


def _best(sampler: Any, study: optuna.study.Study, population: list[Any]) -> list[Any]:
    """Return what a genetic sampler of Optuna selects of a population."""
    selected: list[Any] = sampler._elite_population_selection_strategy(study, population)
    return selected
