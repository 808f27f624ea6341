"""What a sampler is that asks for a whole generation at once.

Optuna asks for a trial at a time: random draws take it 0.2 ms, and tpe 5 ms to 0.3 s, most of them
spent on what is alike for all trials of a generation.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweep.engine.samplers.unit_cube import UnitCube
from sweep.results import Row
from sweep.study.model import Study

#: Draws for a trial at most, where a draw repeats an earlier trial; then it is asked for again.
MAX_DRAWS = 16
#: Returns whether parameters are of no earlier trial, and counts them as one from then on.
IsNew = Callable[[Row], bool]


class Told(NamedTuple):
    """A finished trial, as a sampler needs it.

    Parameters
    ----------
    parameters
        What was asked for, by name.
    objectives
        The values of the study's goals; None of a trial that failed.
    violations
        How far it is beyond each bound, by the bound: ``{"stored <= 5.0": 2.0}``.
    """

    parameters: Row
    objectives: Sequence[float] | None
    violations: Mapping[str, float]


class GenerationSampler(ABC):
    """A sampler that asks for a generation at once: all that it knows is the trials it was told.

    Parameters
    ----------
    study
        The study within one subspace.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.cube = UnitCube(study.parameters or {})

    @abstractmethod
    def draw(self, chance: np.random.Generator, count: int) -> Iterator[Row]:
        """Yield the parameters of `count` trials.

        Parameters
        ----------
        chance
            What the generation's draws are from.
        count
            How many trials.
        """

    @abstractmethod
    def tell(self, generation: Sequence[Told]) -> None:
        """Take note of a finished generation."""

    def begin(self, generation: int) -> np.random.Generator:
        """Return what the draws of a generation are from, by the study's seed and its number."""
        digest = hashlib.sha256(f"{self.study.sampler.seed} {generation}".encode()).digest()
        return np.random.default_rng(list(digest))

    def ask(self, generation: int, count: int, is_new: IsNew) -> list[Row]:
        """Return the parameters of the trials of a generation.

        Those that repeat an earlier trial are drawn again, up to `MAX_DRAWS` times; what is still
        missing then are repetitions. A generation is always drawn whole: so one that is cut off by
        the number of trials is the beginning of what it is when that is raised.

        Parameters
        ----------
        generation
            Its number, from 0.
        count
            How many of its trials there are.
        is_new
            Tells what no trial was before.
        """
        chance = self.begin(generation)
        whole = max(count, self.study.generation)
        asked: list[Row] = []
        repeated: list[Row] = []
        for _ in range(MAX_DRAWS):
            for parameters in self.draw(chance, whole - len(asked)):
                (asked if is_new(parameters) else repeated).append(parameters)
            if len(asked) == whole:
                break
        return [*asked, *repeated][:count]


def losses_of(generation: Sequence[Told], signs: Sequence[int]) -> NDArray[Any]:
    """Return objectives of complete trials as losses: smaller is better.  # [trial, goal]"""
    return np.array([told.objectives for told in generation], dtype=float) * signs
