"""What Optuna is told of a study: its parameters as distributions, and its trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweep.engine.samplers.generation_sampler import Told
from sweep.study.goals import goals_of
from sweep.study.model import Categorical, IntRange, Parameter, Study

if TYPE_CHECKING:
    import optuna


def quiet_study(
    study: Study, sampler: optuna.samplers.BaseSampler | None = None
) -> optuna.study.Study:
    """Return an empty study of Optuna, in memory, which warns of nothing."""
    import logging
    import warnings

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    directions = [goal.direction for goal in goals_of(study)]
    return optuna.create_study(directions=directions, sampler=sampler)


def distributions_of(study: Study) -> dict[str, Any]:
    """Return Optuna's distribution of each parameter."""
    return {name: _distribution(parameter) for name, parameter in (study.parameters or {}).items()}


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(parameter, Categorical):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, IntRange):
        return IntDistribution(parameter.low, parameter.high, parameter.log, parameter.step)
    return FloatDistribution(parameter.low, parameter.high, parameter.log, parameter.step)


def frozen_trials(
    told: Sequence[Told], distributions: dict[str, Any], first: int
) -> list[optuna.trial.FrozenTrial]:
    """Return complete trials as Optuna's samplers read them, with numbers from `first` on.

    Made by themselves they take 2 us each; added to a study of Optuna, 60 us.
    """
    from optuna.trial import FrozenTrial, TrialState

    trials = []
    for number, each in enumerate(told, first):
        assert each.objectives is not None, "a trial that failed has no values"
        trial = FrozenTrial(
            number=number, trial_id=number, state=TrialState.COMPLETE,
            value=None, values=list(each.objectives),
            datetime_start=None, datetime_complete=None,
            params=each.parameters, distributions=distributions,
            user_attrs={}, system_attrs={}, intermediate_values={},
        )  # fmt: skip
        for name, violation in each.violations.items():
            trial.set_constraint(name, violation)
        trials.append(trial)
    return trials
