"""What is wrong with a study beyond its single values: its parameters, sampler and objectives.

Checks look at the raw data, so that all mistakes of a study are told at once. They skip a value of
the wrong type: pydantic has told of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import isfinite, prod
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from sweep.study.check_metrics import check_metrics
from sweep.study.check_policy import check_policies
from sweep.study.check_scenarios import check_scenarios, count_goals
from sweep.study.check_workload import check_workloads
from sweep.study.samplers import AUTO, SAMPLERS, SamplerKind
from sweep.study.searchable import (
    SEARCHABLE,
    SEARCHABLE_FRACTIONS,
    SEARCHABLE_WORDS,
)
from sweep.study.space import Space, spaces_of
from sweep.study.values import MAX_TRIALS
from sweep.study.wording import suggest
from sweep.study.worlds import WORLD_FIELDS, field_value
from sweep.study.yaml_source import Mistake, Place, Section

#: Points of a grid that are all tried where a study says neither a sampler nor how many.
MAX_POINTS_UNASKED = 10_000
#: Choices of a parameter that a message repeats.
_EXAMPLES = 8


def check_study(data: Section, sizes: dict[str, int], folder: Path | None) -> Iterator[Mistake]:
    """Yield every mistake that no single value shows.

    Parameters
    ----------
    data
        The raw data of the study, with a list of workloads.
    sizes
        The settings of its machine that are right by themselves; sizes are in bytes.
    folder
        Where the traces are looked for; None to leave them alone.
    """
    yield from _check_name(data)
    yield from _check_sections(data)
    for space in spaces_of(data):
        for name, raw in space.searched.items():
            yield from _check_parameter((*space.searched_place, name), name, raw)
        yield from _check_fixed_and_searched(space)
        yield from _check_sampler(data, space)
    yield from check_scenarios(data)
    yield from check_policies(data)
    yield from _check_constraints(data)
    yield from _check_objectives(data)
    yield from check_metrics(data)
    yield from check_workloads(data, sizes, folder)


def _check_name(data: Section) -> Iterator[Mistake]:
    """Check that a study's lock does not begin as the copy that takes a database's place does."""
    name = data.get("study")
    if isinstance(name, str) and name.lower().startswith("rewrite."):
        yield Mistake(("study",), f"{name} is the name of a database's own file: choose another")


def _check_sections(data: Section) -> Iterator[Mistake]:
    """Check that a study has `parameters`, or `policies` that have them, and not both."""
    if "policies" not in data:
        if "parameters" not in data:
            yield Mistake((), "key parameters is missing (or policies)")
        return
    for name in ("policy", "parameters"):
        if name in data:
            message = f"{name} stands in each of the policies, where there are policies"
            yield Mistake((name,), message, about_key=True)


def _check_parameter(place: Place, name: str, raw: Any) -> Iterator[Mistake]:
    if name in WORLD_FIELDS:
        message = (
            f"{name} is what the world is, not what a designer decides: let it vary under "
            f"scenarios ({_as_scenarios(name, raw)})"
        )
        yield Mistake(place, message, about_key=True)
    elif name not in SEARCHABLE:
        message = f"unknown parameter {name or repr(name)}{suggest(name, SEARCHABLE)}"
        yield Mistake(place, message, about_key=True)
    elif not isinstance(raw, dict):
        return
    elif raw.get("type") == "categorical" and isinstance(raw.get("choices"), list):
        yield from _check_choices((*place, "choices"), name, raw["choices"])
    elif raw.get("type") in ("int", "float"):
        yield from _check_range(place, name, raw)


def _as_scenarios(name: str, raw: Any) -> str:
    """Return how the scenarios of a study would say a parameter: its choices, or its ends."""
    choices = raw.get("choices") if isinstance(raw, dict) else None
    ends = [raw[end] for end in ("low", "high") if end in raw] if isinstance(raw, dict) else []
    values = choices if isinstance(choices, list) else ends
    named = [*map(str, values[:_EXAMPLES])]
    if len(values) > _EXAMPLES or not values:
        named.append("…")
    return f"scenarios: {{{name}: [{', '.join(named)}]}}"


def _check_choices(place: Place, name: str, choices: list[Any]) -> Iterator[Mistake]:
    values: set[Any] = set()
    for i, choice in enumerate(choices):
        if not isinstance(choice, str) and not _is_number(choice, "float"):
            continue
        try:
            value = field_value(name, choice)
        except ValueError as error:
            yield Mistake((*place, i), str(error))
            continue
        if value in values:
            yield Mistake((*place, i), f"{name}: {choice} is a choice twice")
        values.add(value)


def _check_range(place: Place, name: str, raw: Section) -> Iterator[Mistake]:
    if name in SEARCHABLE_WORDS:
        message = f"{name} is a word, not a number: type categorical, with choices"
        yield Mistake((*place, "type"), message)
        return
    number_type = _number_type(name)
    if raw["type"] != number_type:
        what = "a fraction" if number_type == "float" else "a whole number"
        yield Mistake((*place, "type"), f"{name} is {what}: type {number_type}")
        return
    low, high = raw.get("low"), raw.get("high")
    for key, end in (("low", low), ("high", high)):
        if _is_number(end, number_type):
            try:
                field_value(name, end)
            except ValueError as error:
                yield Mistake((*place, key), str(error))
    if not (_is_number(low, number_type) and _is_number(high, number_type)):
        return
    if low > high:
        yield Mistake((*place, "low"), f"{name}: low {low} is above high {high}")
    log = raw.get("log") is True
    if log and low <= 0:
        yield Mistake((*place, "low"), f"{name}: a log range begins above 0, not at {low}")
    if log and "step" in raw and not (number_type == "int" and raw["step"] == 1):
        yield Mistake((*place, "step"), f"{name}: a log range has no step")
    yield from _check_step(place, name, raw)


def _number_type(name: str) -> str:
    """Return the type that a range of a number has."""
    return "float" if name in SEARCHABLE_FRACTIONS else "int"


def _is_number(value: Any, number_type: str) -> TypeGuard[float]:
    """Return whether a value is a finite number; of type int, whether it is a whole one."""
    types = (int, float) if number_type == "float" else (int,)
    return isinstance(value, types) and not isinstance(value, bool) and isfinite(value)


class _Steps(NamedTuple):
    """A range with a step, in decimal as it was written: 0.3 is then three steps of 0.1."""

    low: Decimal
    high: Decimal
    step: Decimal

    @property
    def number_of_values(self) -> int:
        """How many values the range has."""
        return int((self.high - self.low) // self.step) + 1

    @property
    def missed(self) -> Decimal:
        """How far `high` is above the last value."""
        return (self.high - self.low) % self.step


def _steps_of(name: str, raw: Section) -> _Steps | None:
    """Return the steps of a range; None if it has no step, or is no range of the right type."""
    number_type = _number_type(name)
    if name in SEARCHABLE_WORDS or raw.get("type") != number_type:
        return None
    ends = [raw.get("low"), raw.get("high"), raw.get("step", 1 if number_type == "int" else None)]
    if not all(_is_number(end, number_type) for end in ends):
        return None
    steps = _Steps(*(Decimal(str(end)) for end in ends))
    return steps if steps.step > 0 and steps.low <= steps.high else None


def _has_too_many(name: str, steps: _Steps) -> bool:
    """Return whether a fraction has more values than a study may have trials."""
    values = (steps.high - steps.low) / steps.step
    return _number_type(name) == "float" and values > MAX_TRIALS


def _check_step(place: Place, name: str, raw: Section) -> Iterator[Mistake]:
    """Check that the steps of a range end at its high."""
    steps = _steps_of(name, raw)
    if steps is None:
        return
    low, high, step = raw["low"], raw["high"], raw.get("step", 1)
    if _has_too_many(name, steps):
        yield Mistake((*place, "step"), f"{name}: step {step} makes over {MAX_TRIALS} values")
    elif steps.missed and steps.step > steps.high - steps.low:
        message = f"{name}: step {step} is wider than from {low} to {high}"
        yield Mistake((*place, "step"), message)
    elif steps.missed:
        meant = steps.high - steps.missed
        message = f"{name}: steps of {step} from {low} miss {high}, did you mean {meant}?"
        yield Mistake((*place, "high"), message)


def _check_fixed_and_searched(space: Space) -> Iterator[Mistake]:
    """Check that nothing is both fixed and searched."""
    for name in space.fixed:
        if name in space.searched:
            message = f"{name} is both fixed and searched (parameters.{name})"
            yield Mistake((*space.fixed_place, name), message, about_key=True)


def _check_sampler(data: Section, space: Space) -> Iterator[Mistake]:
    """Check that the sampler can search a space."""
    section = data.get("sampler", {})
    name = section.get("name", AUTO) if isinstance(section, dict) else None
    if not space.searched or not isinstance(name, str):
        return
    if name == AUTO:
        yield from _check_auto(data, space)
        return
    kind = SAMPLERS.get(name)
    if kind is not None and kind.enumerates:
        yield from _check_grid(data, space, name)
    elif "n_trials" not in data:
        yield Mistake((), "key n_trials is missing")
    if kind is not None:
        yield from _check_limits(data, space, name, kind)


def _check_auto(data: Section, space: Space) -> Iterator[Mistake]:
    """Check that a study which names no sampler has few points, or says how many trials it has."""
    counts = [_count_values(name, raw) for name, raw in space.searched.items()]
    points = prod(count for count in counts if count is not None)
    if "n_trials" not in data and (None in counts or points > MAX_POINTS_UNASKED):
        yield Mistake((), "key n_trials is missing")


def _check_limits(data: Section, space: Space, name: str, kind: SamplerKind) -> Iterator[Mistake]:
    """Check a study against what a sampler cannot do."""
    place = ("sampler", "name")
    generation = data.get("generation")
    if not kind.takes_several_objectives and count_goals(data) > 1:
        yield Mistake(place, f"{name} takes one objective, did you mean nsga2?")
    if not kind.takes_constraints and data.get("constraints"):
        yield Mistake(place, f"{name} does not see constraints, did you mean tpe?")
    ranges = [
        raw
        for raw in space.searched.values()
        if isinstance(raw, dict) and raw.get("type") in ("int", "float")
    ]
    if kind.needs_two_ranges and sum(raw.get("low") != raw.get("high") for raw in ranges) < 2:
        message = f"{name} needs two parameters of type int or float, did you mean tpe?"
        yield Mistake(place, message)
    # A generation below 2 is refused of every sampler.
    if _is_number(generation, "int") and 2 <= generation < kind.min_generation:
        message = f"{name} needs a generation of at least {kind.min_generation}"
        yield Mistake(("generation",), message)


def _check_grid(data: Section, space: Space, sampler: str) -> Iterator[Mistake]:
    """Check that a grid has an end, and the trials that the study wants."""
    for name, raw in space.searched.items():
        if isinstance(raw, dict) and raw.get("type") == "float" and "step" not in raw:
            message = f"{sampler}: {name} needs a step, or it has points without end"
            yield Mistake((*space.searched_place, name), message)
    counts = [_count_values(name, raw) for name, raw in space.searched.items()]
    known_counts = [count for count in counts if count is not None]
    if len(known_counts) < len(counts):
        return
    points, trials = prod(known_counts), data.get("n_trials")
    if points > MAX_TRIALS:
        message = f"{sampler}: there are more than {MAX_TRIALS} points, did you mean random?"
        yield Mistake(("sampler", "name"), message)
    elif isinstance(trials, int) and trials > points and "policies" not in data:
        yield Mistake(("n_trials",), f"{sampler}: there are {points} points, not {trials}")


def _count_values(name: str, raw: Any) -> int | None:
    """Return how many values a grid has of a parameter, if that is known."""
    if name not in SEARCHABLE or not isinstance(raw, dict):
        return None
    if raw.get("type") == "categorical" and isinstance(raw.get("choices"), list):
        return len(raw["choices"])
    steps = _steps_of(name, raw)
    return None if steps is None or _has_too_many(name, steps) else steps.number_of_values


def _check_constraints(data: Section) -> Iterator[Mistake]:
    constraints = data.get("constraints")
    for i, constraint in enumerate(constraints if isinstance(constraints, list) else ()):
        if not isinstance(constraint, dict):
            continue
        place = ("constraints", i)
        lower, upper = constraint.get("lower"), constraint.get("upper")
        if "lower" not in constraint and "upper" not in constraint:
            yield Mistake(place, "a constraint has the key lower or upper, or both")
        if _is_number(lower, "float") and _is_number(upper, "float") and lower > upper:
            yield Mistake((*place, "lower"), f"lower {lower} is above upper {upper}")


def _check_objectives(data: Section) -> Iterator[Mistake]:
    """Check that no metric is an objective twice."""
    metrics: set[str] = set()
    objectives = data.get("objectives")
    for i, objective in enumerate(objectives if isinstance(objectives, list) else ()):
        metric = objective.get("metric") if isinstance(objective, dict) else None
        if isinstance(metric, str):
            if metric in metrics:
                yield Mistake(("objectives", i, "metric"), f"{metric} is an objective twice")
            metrics.add(metric)
