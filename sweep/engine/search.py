"""The search: Optuna asks for parameters and is told values, a generation at a time.

Optuna's study lives in memory. A resumed search reaches the state of an uninterrupted one in one of
two ways. Most samplers are asked again from the seed and told what was recorded. Those whose asking
is dear (`SamplerKind.seeded_each_generation`) get a seed for each generation instead, and the
finished trials are added.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from math import prod
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from sweep.engine.over_scenarios import bounds_of
from sweep.results import Row
from sweep.study.goals import goals_of
from sweep.study.model import Categorical, IntRange, Parameter, Study
from sweep.study.samplers import SAMPLERS

if TYPE_CHECKING:
    import optuna

#: Trials of a subspace below which no parameter is called important: their best tenth is too few.
MIN_TRIALS_OF_IMPORTANCE = 20


class SearchError(InputError):
    """A search that cannot go on as it began."""


class Search:
    """One Optuna study, asked and told in trial order: it is the same with any number of workers.

    Parameters
    ----------
    study
        The study within one subspace.
    """

    def __init__(self, study: Study) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._study = study
        self._sampler = SAMPLERS[study.sampler.name]
        self._distributions = _distributions(study)
        self._optuna = optuna.create_study(
            directions=[goal.direction for goal in goals_of(study)],
            sampler=_make_sampler(study, 0),
        )
        self._grid = grid_points(study) if self._sampler.enumerates else None
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self, generation: int, number: int) -> list[tuple[int, Row]]:
        """Return the numbers and parameters of the next trials, in order.

        Parameters
        ----------
        generation
            The number of the generation that they are, from 0.
        number
            How many trials it has.
        """
        if self._sampler.seeded_each_generation:
            self._optuna.sampler = _make_sampler(self._study, generation)
        asked = []
        for _ in range(number):
            if self._grid is not None:
                self._optuna.enqueue_trial(next(self._grid))
            trial = self._optuna.ask(fixed_distributions=self._distributions)
            self._asked[trial.number] = trial
            asked.append((trial.number, dict(trial.params)))
        return asked

    def tell(self, number: int, outcome: Row | None) -> None:
        """Tell the outcome of a trial that was asked for.

        Parameters
        ----------
        number
            The trial's number, as `ask` returned it.
        outcome
            Its `objectives` and `violations`; None if it has none, and fails in Optuna's study.
        """
        from optuna.trial import TrialState

        trial = self._asked.pop(number)
        if outcome is None:
            self._optuna.tell(trial, state=TrialState.FAIL)
            return
        for name, violation in self._violations(outcome).items():
            trial.set_constraint(name, violation)
        self._optuna.tell(trial, outcome["objectives"])

    def replay(self, generation: int, recorded: Sequence[tuple[int, Row, Row | None]]) -> None:
        """Bring in a generation that was finished before.

        Parameters
        ----------
        generation
            Its number, from 0.
        recorded
            (number, parameters, outcome) of each trial, in order.

        Raises
        ------
        SearchError
            When the sampler asks for other parameters than are recorded.
        """
        if self._sampler.seeded_each_generation:
            for _, parameters, outcome in recorded:
                self._add(parameters, outcome)
            return
        for (number, asked), (_, parameters, _) in zip(
            self.ask(generation, len(recorded)), recorded, strict=True
        ):
            if asked != parameters:
                raise SearchError(
                    f"trial {number}: the sampler asks for {asked} now, and asked for {parameters} "
                    "when the study was run: another version of optuna? --new starts afresh"
                )
        for number, _, outcome in recorded:
            self.tell(number, outcome)

    def _add(self, parameters: Row, outcome: Row | None) -> None:
        """Add a finished trial that was not asked for in this process."""
        from optuna.trial import TrialState, create_trial

        if outcome is None:
            trial = create_trial(
                state=TrialState.FAIL, params=parameters, distributions=self._distributions
            )
        else:
            trial = create_trial(
                params=parameters,
                distributions=self._distributions,
                values=outcome["objectives"],
                constraints=self._violations(outcome),
            )
        self._optuna.add_trial(trial)

    def _violations(self, outcome: Row) -> dict[str, float]:
        """Return how far a trial is beyond each bound: ``{"stored <= 5.0": 2.0}``."""
        names = [f"{metric} {sign} {bound}" for metric, sign, bound in bounds_of(self._study)]
        return dict(zip(names, outcome["violations"], strict=True))


def importances(study: Study, goal: int, rows: Sequence[Row]) -> dict[str, float]:
    """Return how far each parameter decides which trials of a subspace are its best tenth.

    The shares sum to 1; they are all 0 where all trials are equal, so that none is best. They come
    from Optuna's PED-ANOVA, which unlike its other evaluators needs no scikit-learn.

    Parameters
    ----------
    study
        The study within one subspace.
    goal
        The place of one of its goals.
    rows
        The complete trials: what was asked, and their objectives.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = _distributions(study)
    finished = [
        optuna.trial.create_trial(
            params={name: row["asked"][name] for name in distributions},
            distributions=distributions,
            value=row["objectives"][goal],
        )
        for row in rows
    ]
    single = optuna.create_study(direction=goals_of(study)[goal].direction)
    single.add_trials(finished)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = PedAnovaImportanceEvaluator()
        weights = get_param_importances(single, evaluator=evaluator, normalize=False)
    # Normalized by Optuna, all would be equally important where none is.
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


def check_sampler(study: Study) -> None:
    """Raise `SearchError` if the study's sampler cannot run here."""
    name = study.sampler.name
    package, extra = SAMPLERS[name].package, SAMPLERS[name].extra
    if package is not None and find_spec(package) is None:
        install = f"'tag-storage-sweep[{extra}]'" if extra else package
        raise SearchError(f"sampler {name} needs {package}: pip install {install}")


def _values_of(parameter: Parameter) -> list[Any]:
    """Return the values of a parameter that has finitely many."""
    if isinstance(parameter, Categorical):
        return list(parameter.choices)
    assert parameter.step is not None, "check_study refuses a grid without steps"
    count = int((parameter.high - parameter.low) / parameter.step + 1e-9) + 1
    return [round(parameter.low + i * parameter.step, 12) for i in range(count)]


def grid_size(study: Study) -> int:
    """Return the number of points of a grid."""
    parameters = study.parameters or {}
    return prod(len(_values_of(parameter)) for parameter in parameters.values())


def grid_points(study: Study) -> Iterator[Row]:
    """Yield the points of a grid; the last parameter changes fastest."""
    parameters = study.parameters or {}
    values = [_values_of(parameter) for parameter in parameters.values()]
    for point in itertools.product(*values):
        yield dict(zip(parameters, point, strict=True))


def _distributions(study: Study) -> dict[str, Any]:
    """Return Optuna's distribution of each parameter."""
    return {name: _distribution(parameter) for name, parameter in (study.parameters or {}).items()}


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(parameter, Categorical):
        return CategoricalDistribution(_values_of(parameter))
    if isinstance(parameter, IntRange):
        return IntDistribution(parameter.low, parameter.high, parameter.log, parameter.step)
    return FloatDistribution(parameter.low, parameter.high, parameter.log, parameter.step)


def _generation_seed(seed: int, generation: int) -> int:
    """Return the seed of one generation of a study."""
    digest = hashlib.sha256(f"{seed} {generation}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _make_sampler(study: Study, generation: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of a study, as it is at the beginning of a generation."""
    kind, seed = SAMPLERS[study.sampler.name], study.sampler.seed
    if kind.seeded_each_generation:
        seed = _generation_seed(seed, generation)
    module, _, class_name = kind.implementation.partition(":")
    sampler: optuna.samplers.BaseSampler = getattr(import_module(module), class_name)(
        **kind.arguments(seed, study.generation)
    )
    return sampler
