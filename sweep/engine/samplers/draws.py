"""Samplers whose draws hang on nothing that was told: random, and a scrambled Sobol sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sweep.engine.samplers.generation_sampler import GenerationSampler, Told
from sweep.results import Row
from sweep.study.model import Study


class Random(GenerationSampler):
    """Independent draws."""

    def draw(self, chance: np.random.Generator, count: int) -> Iterator[Row]:
        """Yield draws."""
        yield from self.cube.rows(chance.random((count, len(self.cube.parameters))))

    def tell(self, generation: Sequence[Told]) -> None:
        """Do nothing: what was told changes no draw."""


class Sobol(Random):
    """A scrambled Sobol sequence, whose points are more even than random ones.

    A draw that repeats an earlier trial is left out, and the sequence goes on behind it.
    """

    def __init__(self, study: Study) -> None:
        from scipy.stats.qmc import Sobol as Sequence_

        super().__init__(study)
        seed = np.random.default_rng(study.sampler.seed)
        self._sequence = Sequence_(len(self.cube.parameters), scramble=True, rng=seed)

    def draw(self, chance: np.random.Generator, count: int) -> Iterator[Row]:
        """Yield the next points of the sequence."""
        import warnings

        with warnings.catch_warnings():
            # That only powers of two are quite even is so of every generation but the whole.
            warnings.simplefilter("ignore", UserWarning)
            points = self._sequence.random(count)
        yield from self.cube.rows(np.minimum(points, np.nextafter(1, 0)))
