"""The sampler that visits every point of a grid once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from sweep.engine.samplers.generation_sampler import GenerationSampler, IsNew, Told
from sweep.results import Row
from sweep.study.model import Study
from sweep.study.points import grid_points


class Grid(GenerationSampler):
    """The points of a grid in their order, those too whose policies are one."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self._points = grid_points(study)

    def ask(self, generation: int, count: int, is_new: IsNew) -> list[Row]:
        """Return the next points."""
        return list(islice(self._points, count))

    def draw(self, chance: np.random.Generator, count: int) -> Iterator[Row]:
        """Yield the next points."""
        yield from islice(self._points, count)

    def tell(self, generation: Sequence[Told]) -> None:
        """Do nothing: what was told changes no point."""
