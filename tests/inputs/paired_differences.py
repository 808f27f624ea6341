"""Generators of paired differences whose true mean is known, to measure intervals with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sweep.verdict.intervals import Units

Values = NDArray[np.float64]


class Case(NamedTuple):
    """A true mean, and differences that were drawn with it."""

    truth: float
    differences: Values


#: Draws so many differences about a truth of its own.
Draw = Callable[[Generator, int], Case]


def normal(random: Generator, units: int) -> Case:
    """Seeds that differ by a normal noise."""
    truth = random.normal()
    return Case(truth, truth + random.normal(size=units))


def lognormal(random: Generator, units: int) -> Case:
    """Two policies' waits, each lognormal: a seed's own size, and what each makes of it.

    One policy waits a given share more or less than the other. The size of a seed has a standard
    deviation of half its mean, so the differences are skewed.
    """
    share = random.uniform(-0.2, 0.2)
    size = np.exp(0.45 * random.normal(size=units))
    first, second = np.exp(0.15 * random.normal(size=(2, units)))
    mean = float(np.exp((0.45**2 + 0.15**2) / 2))
    return Case(share * mean, (1 + share) * size * first - size * second)


def autoregressive(like: float, skewed: bool = False) -> Draw:
    """Return what draws parts of a time: an AR(1) series, each part as like the last as said."""

    def draw(random: Generator, units: int) -> Case:
        truth = random.normal()
        shocks = random.normal(size=units + 100)
        if skewed:
            shocks = np.exp(0.5 * shocks) - np.exp(0.125)
        series = np.zeros(units + 100)
        for place in range(1, series.size):
            series[place] = like * series[place - 1] + shocks[place]
        return Case(truth, truth + series[100:])

    return draw


#: Generators by name: those whose truths an interval is to hold, and what their units are.
HELD: dict[str, tuple[Draw, Units]] = {
    "normal": (normal, Units.REPLICATES),
    "lognormal": (lognormal, Units.REPLICATES),
    "AR(1) 0": (autoregressive(0.0), Units.PARTS),
    "AR(1) 0.3": (autoregressive(0.3), Units.PARTS),
    "AR(1) 0.6": (autoregressive(0.6), Units.PARTS),
    "AR(1) 0.6, skewed": (autoregressive(0.6, skewed=True), Units.PARTS),
}


def cases(draw: Draw, units: int, number: int, seed: int) -> Iterator[Case]:
    """Yield a number of cases of a generator."""
    random = np.random.default_rng([seed, units])
    for _ in range(number):
        yield draw(random, units)
