"""The search: Optuna asks for parameters and is told values, a generation at a time.

Optuna's study lives in memory. A resumed search reaches the state of an uninterrupted one in either
of two ways: most samplers are asked again from the seed and told what was recorded; tpe and gp,
whose asking is dear, get a seed a generation instead, and the finished trials are added.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from sweep.study.model import Categorical, IntRange, Parameter, Study
from sweep.study.values import SIZE_FIELDS, size_in_bytes

if TYPE_CHECKING:
    import optuna

Row = dict[str, Any]

#: Samplers whose state is the finished trials and a seed: seeded anew each generation.
SEEDED_EACH_GENERATION = ("tpe", "gp")


class SearchError(InputError):
    """A search that cannot go on as it began."""


class Search:
    """One Optuna study: asked and told in trial order, so equal at any number of workers."""

    def __init__(self, study: Study) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._study = study
        self._distributions = {
            name: _distribution(name, parameter)
            for name, parameter in (study.parameters or {}).items()
        }
        self._optuna = optuna.create_study(
            directions=[objective.direction for objective in study.objectives],
            sampler=_sampler(study, 0),
        )
        self._grid = grid_points(study) if study.sampler.name == "grid" else None
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self, generation: int, number: int) -> list[tuple[int, Row]]:
        """Return the numbers and parameters of the next `number` trials."""
        if self._study.sampler.name in SEEDED_EACH_GENERATION:
            self._optuna.sampler = _sampler(self._study, generation)
        asked = []
        for _ in range(number):
            if self._grid is not None:
                self._optuna.enqueue_trial(next(self._grid))
            trial = self._optuna.ask(fixed_distributions=self._distributions)
            self._asked[trial.number] = trial
            asked.append((trial.number, dict(trial.params)))
        return asked

    def tell(self, number: int, outcome: Row | None) -> None:
        """Tell the outcome of a trial: None, or one without a value for an objective, fails it."""
        from optuna.trial import TrialState

        trial = self._asked.pop(number)
        if outcome is None or unusable(self._study, outcome):
            self._optuna.tell(trial, state=TrialState.FAIL)
            return
        for name, violation in violations(self._study, outcome).items():
            trial.set_constraint(name, violation)
        self._optuna.tell(trial, self._values(outcome))

    def replay(self, generation: int, recorded: Sequence[tuple[int, Row, Row | None]]) -> None:
        """Bring a finished generation in: (number, recorded parameters, outcome) in trial order.

        Raises
        ------
        SearchError
            When the sampler no longer asks what it asked then.
        """
        if self._study.sampler.name in SEEDED_EACH_GENERATION:
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
        from optuna.trial import TrialState, create_trial

        if outcome is None or unusable(self._study, outcome):
            trial = create_trial(
                state=TrialState.FAIL, params=parameters, distributions=self._distributions
            )
        else:
            trial = create_trial(
                params=parameters,
                distributions=self._distributions,
                values=self._values(outcome),
                constraints=violations(self._study, outcome),
            )
        self._optuna.add_trial(trial)

    def _values(self, outcome: Row) -> list[float]:
        return [float(outcome[objective.metric]) for objective in self._study.objectives]

    def parameters_of(self, row: Row) -> Row:
        """Return the searched parameters in a recorded row."""
        return {name: row[name] for name in self._distributions}


#: Trials of a subspace below which no parameter is called important: the best tenth is too few.
MIN_TRIALS_OF_IMPORTANCE = 20


def importances(study: Study, metric: str, rows: Sequence[Row]) -> dict[str, float]:
    """Return how far each parameter decides which trials of a subspace are its best tenth.

    By Optuna's PED-ANOVA, which needs no scikit-learn; the shares sum to 1, or are all 0. Where all
    trials are equal none of them is best.

    Parameters
    ----------
    study
        The study within one subspace.
    metric
        One of its objectives.
    rows
        The complete trials: searched parameters and the objective.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    (direction,) = {one.direction for one in study.objectives if one.metric == metric}
    distributions = {
        name: _distribution(name, parameter) for name, parameter in (study.parameters or {}).items()
    }
    finished = [
        optuna.trial.create_trial(
            params={name: row[name] for name in distributions},
            distributions=distributions,
            value=float(row[metric]),
        )
        for row in rows
    ]
    single = optuna.create_study(direction=direction)
    single.add_trials(finished)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = PedAnovaImportanceEvaluator()
        found = get_param_importances(single, evaluator=evaluator, normalize=False)
    # Optuna would call all equally important where none is.
    total = sum(found.values())
    return {name: value / total if total else 0.0 for name, value in found.items()}


def check_sampler(study: Study) -> None:
    """Raise `SearchError` if the study's sampler cannot run here."""
    if study.sampler.name == "gp" and find_spec("torch") is None:
        raise SearchError("sampler gp needs torch: pip install 'tag-storage-sweep[gp]'")


def violations(study: Study, outcome: Row) -> dict[str, float]:
    """Return how far an outcome is beyond each bound: feasible at 0 and below."""
    found = {}
    for constraint in study.constraints:
        value = outcome[constraint.metric]
        if constraint.upper is not None:
            found[f"{constraint.metric} <= {constraint.upper}"] = float(value - constraint.upper)
        if constraint.lower is not None:
            found[f"{constraint.metric} >= {constraint.lower}"] = float(constraint.lower - value)
    return found


def unusable(study: Study, outcome: Row) -> str | None:
    """Return why an outcome can be neither ranked nor judged, or None."""
    wanted = [objective.metric for objective in study.objectives]
    wanted += [constraint.metric for constraint in study.constraints]
    missing = [metric for metric in dict.fromkeys(wanted) if outcome[metric] is None]
    return f"{', '.join(missing)} has no value (NULL)" if missing else None


def feasible(study: Study, outcome: Row) -> bool:
    """Return whether an outcome keeps every constraint that it has a value for."""
    judged = [bound for bound in study.constraints if outcome[bound.metric] is not None]
    limited = study.model_copy(update={"constraints": judged})
    return all(violation <= 0 for violation in violations(limited, outcome).values())


def _values_of(name: str, parameter: Parameter) -> list[Any]:
    """Return the values of a parameter that has finitely many."""
    if isinstance(parameter, Categorical):
        if name in SIZE_FIELDS:
            # What may not be 0 was refused before.
            return [size_in_bytes(choice, least=0) for choice in parameter.choices]
        return list(parameter.choices)
    assert parameter.step is not None  # check_study saw to it
    count = int((parameter.high - parameter.low) / parameter.step + 1e-9) + 1
    return [round(parameter.low + i * parameter.step, 12) for i in range(count)]


def grid_size(study: Study) -> int:
    """Return the number of points of a grid study."""
    sizes = [
        len(_values_of(name, parameter)) for name, parameter in (study.parameters or {}).items()
    ]
    product = 1
    for size in sizes:
        product *= size
    return product


def grid_points(study: Study) -> Any:
    """Return an iterator over the product of all parameters, the last one fastest."""
    values = [_values_of(name, parameter) for name, parameter in (study.parameters or {}).items()]
    for point in itertools.product(*values):
        yield dict(zip(study.parameters or {}, point, strict=True))


def _distribution(name: str, parameter: Parameter) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(parameter, Categorical):
        return CategoricalDistribution(_values_of(name, parameter))
    if isinstance(parameter, IntRange):
        return IntDistribution(parameter.low, parameter.high, parameter.log, parameter.step)
    return FloatDistribution(parameter.low, parameter.high, parameter.log, parameter.step)


def _generation_seed(seed: int, generation: int) -> int:
    digest = hashlib.sha256(f"{seed} {generation}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _sampler(study: Study, generation: int) -> Any:
    from optuna import samplers

    name, seed, population = study.sampler.name, study.sampler.seed, study.generation
    if name == "tpe":
        return samplers.TPESampler(seed=_generation_seed(seed, generation))
    if name == "gp":
        return samplers.GPSampler(seed=_generation_seed(seed, generation))
    if name == "qmc":
        return samplers.QMCSampler(seed=seed, scramble=True)
    if name == "nsga2":
        return samplers.NSGAIISampler(population_size=population, seed=seed)
    if name == "nsga3":
        return samplers.NSGAIIISampler(population_size=population, seed=seed)
    if name == "cmaes":
        return samplers.CmaEsSampler(popsize=population, seed=seed, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=seed)
