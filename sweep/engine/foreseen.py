"""Foreseen: what a study can never say, told before it runs.

A metric that has no value on its events is refused, for every trial would fail. One that is the
same for all its policies, and trials that can only repeat others, are warned of.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.events import Events
from core.possible_outcomes import cannot_differ, without_value_on
from core.system import SYSTEMS
from core.system.contract import Choices, Holding
from sweep.engine.inputs import Inputs
from sweep.study.check_metrics import check_metrics, metrics_in
from sweep.study.model import Study
from sweep.study.points import choices_of, distinct_points
from sweep.study.samplers import SAMPLERS
from sweep.study.worlds import World, worlds_of
from sweep.study.yaml_source import Mistake, Place, Source


def check_foreseen(study: Study, source: Source, inputs: Inputs, are_made: bool = True) -> None:
    """Check that the metrics of a study have values, as far as systems and events tell.

    Parameters
    ----------
    study, source
        The study, whose plug-ins are imported if it is to run, and the text that it is in.
    inputs
        Its workloads.
    are_made
        Whether all tables are made; else only systems tell.

    Raises
    ------
    SourceError
        With each metric that has none, at its line.
    """
    mistakes = list(check_metrics(source.data))
    if are_made:
        mistakes += _check_events(study, source, inputs)
    if mistakes:
        raise source.error(mistakes)


def _check_events(study: Study, source: Source, inputs: Inputs) -> Iterator[Mistake]:
    """Yield the metrics that no policy has on the events of a scenario."""
    metrics = dict(metrics_in(source.data))
    for metric in metrics.keys() - without_value_on([]).keys():
        del metrics[metric]
    systems = {str(word) for space in _spaces(study) for word in space["system"]}
    traits = [SYSTEMS.known(word) for word in systems]
    if any(known is None or known.holding is Holding.AS_COUNTED for known in traits):
        # What such a system drops, it does not drop for tags; of a user's own it is not known.
        metrics.pop("collateral_ratio", None)
    for world in worlds_of(study) if metrics else ():
        if world.policy.get("guest_ratio"):
            continue
        reasons = without_value_on(_tables(inputs, world))
        for metric in [metric for metric in metrics if metric in reasons]:
            named = f" in the scenario {world.name}" if study.scenarios else ""
            message = f"{metric} never has a value{named}, so that every trial fails: "
            yield Mistake(metrics.pop(metric), message + reasons[metric])


def _spaces(study: Study) -> list[Choices]:
    return [choices_of(subspace.policy, subspace.parameters) for subspace in study.subspaces]


def _tables(inputs: Inputs, world: World) -> list[Events]:
    values = dict(world.workload)
    return [
        source if isinstance(source, Events) else source.changed(values).events()
        for source in inputs.workloads.sources
    ]


def foreseen_warnings(study: Study, source: Source) -> Iterator[str]:
    """Yield what of a study cannot be found out, though it can be run, by line and column."""
    spaces = _spaces(study)
    told: list[tuple[Place, str]] = []
    for metric, place in metrics_in(source.data):
        if cannot_differ(metric, spaces):
            words = dict.fromkeys(word for space in spaces for word in space["system"])
            under = f"no policy of {' and '.join(words)} that is searched here changes it"
            told.append((place, f"{metric} cannot differ between the trials: {under}"))
    for i, subspace in enumerate(study.subspaces):
        points = distinct_points(subspace)
        if (
            study.n_trials
            and not SAMPLERS[study.sampler.name].enumerates  # then it ends with the last point
            and subspace.parameters
            and points is not None
            and study.n_trials > points
        ):
            where = f" of policies[{i}]" if study.policies else ""
            message = (
                f"n_trials is {study.n_trials}, and there are {points} distinct points{where}: "
                f"{study.n_trials - points} trials or more repeat others"
            )
            told.append((("n_trials",), message))
    for place, message in told:
        yield str(source.error([Mistake(place, message)]))
