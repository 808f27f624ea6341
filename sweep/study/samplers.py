"""The samplers that a study can name: how each is made, and what it cannot do.

A sampler is added by a row of `SAMPLERS`. Nothing here imports Optuna: a row names a class, which
the search imports when it needs it. Those that are used most are our own, since Optuna takes from
0.2 to 300 ms to ask for a trial; they are in sweep/engine/samplers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SamplerKind:
    """A row of the table: one of the samplers.

    Attributes
    ----------
    summary
        One line of what it is.
    implementation
        ``module:Class``: a subclass of `optuna.samplers.BaseSampler`, which is asked for one trial
        after the other, or a `GenerationSampler`, which is asked for a generation at once.
    arguments
        Returns the keyword arguments of a class of Optuna from a seed and the trials of a
        generation; one of our own is made of the study.
    asks_ahead
        Whether what it asks for does not depend on what it is told, so that a generation may be
        asked for before the one before is told.
    seeded_each_generation
        Whether it is made anew for each generation, with another seed, so that all it knows is the
        finished trials. A resumed study then adds those and need not ask for them again: that is
        for samplers that take long to ask.
    enumerates
        Whether it visits each point of a grid once. Each range then needs a step, and the study
        needs no `n_trials`.
    package, extra
        A Python package that it needs beside Optuna, and the extra of this project that has it.
    takes_several_objectives
        Whether it takes several objectives.
    takes_constraints
        Whether it takes constraints.
    needs_two_ranges
        Whether it needs two parameters of type int or float whose ends differ.
    min_generation
        The least trials of a generation.
    """

    summary: str
    implementation: str
    arguments: Callable[[int, int], dict[str, Any]] = lambda seed, _: {"seed": seed}
    asks_ahead: bool = False
    seeded_each_generation: bool = False
    enumerates: bool = False
    package: str | None = None
    extra: str | None = None
    takes_several_objectives: bool = True
    takes_constraints: bool = True
    needs_two_ranges: bool = False
    min_generation: int = 2


#: In place of a sampler's name: one that suits the study, which sweep/study/pick.py picks.
AUTO = "auto"
ABOUT_AUTO = "one of the others, by the points, goals and trials of the study; it is told which"

SAMPLERS: dict[str, SamplerKind] = {
    "grid": SamplerKind(
        "every point of the grid of all parameters, once",
        "sweep.engine.samplers.grid:Grid",
        enumerates=True,
        asks_ahead=True,
    ),
    "random": SamplerKind(
        "independent draws", "sweep.engine.samplers.draws:Random", asks_ahead=True
    ),
    "qmc": SamplerKind(
        "a scrambled Sobol sequence, more even than random draws",
        "sweep.engine.samplers.draws:Sobol",
        asks_ahead=True,
    ),
    "tpe": SamplerKind(
        "a tree-structured Parzen estimator: Bayesian, of any parameters",
        "sweep.engine.samplers.tpe:TPE",
        seeded_each_generation=True,
    ),
    "nsga2": SamplerKind(
        "the genetic algorithm NSGA-II, for several objectives",
        "sweep.engine.samplers.genetic:NSGAII",
    ),
    "nsga3": SamplerKind(
        "the genetic algorithm NSGA-III, for many objectives",
        "sweep.engine.samplers.genetic:NSGAIII",
    ),
    "cmaes": SamplerKind(
        "CMA-ES, an evolution strategy over ranges",
        "optuna.samplers:CmaEsSampler",
        lambda seed, generation: {
            "seed": seed,
            "popsize": generation,
            "warn_independent_sampling": False,
        },
        takes_several_objectives=False,
        takes_constraints=False,
        needs_two_ranges=True,
        min_generation=4,
    ),
    "gp": SamplerKind(
        "a Gaussian process: Bayesian, for few and expensive trials",
        "optuna.samplers:GPSampler",
        seeded_each_generation=True,
        package="torch",
        extra="gp",
    ),
}
