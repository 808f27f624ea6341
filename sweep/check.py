"""What a study's parts must be together: the mistakes that no single value shows.

Every check looks at the raw data and bears with whatever is wrong elsewhere, so that all mistakes
of a file are told at once.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.costs import COST_FIELDS
from core.events import EventsError, read_machine
from core.policy import POLICY_FIELDS
from sweep.source import Source, suggest
from sweep.study import (
    Baseline,
    Categorical,
    FloatRange,
    IntRange,
    Nanoseconds,
    Parameter,
    Size,
    _explain,
)

#: What may be searched: policy fields, the tag block size, and costs.
SEARCHABLE: tuple[str, ...] = (*POLICY_FIELDS, "tag_block_size", *COST_FIELDS)
_PARAMETER: TypeAdapter[Any] = TypeAdapter(Parameter)


def _domain(name: str) -> TypeAdapter[Any]:
    if name == "tag_block_size":
        return TypeAdapter(Size)
    if name in COST_FIELDS:
        return TypeAdapter(Nanoseconds)
    field = Baseline.model_fields[name]
    return TypeAdapter(field.rebuild_annotation())


def _kind(name: str) -> str:
    """Return the range type that fits a searchable name, or categorical."""
    if name == "headroom":
        return "float"
    whole = ("folio_order", "seed", "tag_block_size", *COST_FIELDS)
    return "int" if name in whole else "categorical"


def check_study(source: Source, data: dict[str, Any], look: bool) -> None:
    """Note every mistake of `data` that is not one of a single value; `look` for traces too."""
    parameters = data.get("parameters")
    sizes: list[int | None] = []
    numeric = 0
    if isinstance(parameters, dict):
        for name, raw in parameters.items():
            size = _check_parameter(source, name, raw)
            sizes.append(size)
            numeric += isinstance(raw, dict) and raw.get("type") in ("int", "float")
        _check_twice(source, data, parameters)
        _check_policy(source, data, parameters)
    _check_sampler(source, data, sizes, numeric)
    _check_constraints(source, data)
    _check_metrics(source, data)
    if look:
        _check_traces(source, data)


def _check_parameter(source: Source, name: str, raw: Any) -> int | None:
    """Check one parameter; return how many values a grid has of it, if it has an end."""
    place = ("parameters", name)
    if name not in SEARCHABLE:
        message = f"unknown parameter {name}{suggest(name, SEARCHABLE)}"
        source.complain(place, message, key=True)
        return None
    try:
        parameter = _PARAMETER.validate_python(raw)
    except ValidationError:
        return None
    if isinstance(parameter, Categorical):
        for i, choice in enumerate(parameter.choices):
            _check_value(source, (*place, "choices", i), name, choice)
        if len(set(parameter.choices)) < len(parameter.choices):
            source.complain((*place, "choices"), f"{name}: a choice stands there twice")
        return len(parameter.choices)
    return _check_range(source, place, name, parameter)


def _check_range(
    source: Source, place: tuple[str, ...], name: str, parameter: IntRange | FloatRange
) -> int | None:
    fitting = _kind(name)
    if fitting == "categorical":
        source.complain((*place, "type"), f"{name} is a word: type categorical, with choices")
        return None
    if fitting == "int" and isinstance(parameter, FloatRange):
        source.complain((*place, "type"), f"{name} is a whole number: type int")
        return None
    if isinstance(parameter, IntRange) and fitting == "float":
        source.complain((*place, "type"), f"{name} is a fraction: type float")
        return None
    for end in ("low", "high"):
        _check_value(source, (*place, end), name, getattr(parameter, end))
    if parameter.low > parameter.high:
        source.complain((*place, "low"), f"{name}: low {parameter.low} is above {parameter.high}")
    if parameter.log and parameter.low <= 0:
        source.complain((*place, "log"), f"{name}: a log range begins above 0")
    if parameter.log and parameter.step not in (None, 1):
        source.complain((*place, "step"), f"{name}: a log range has no step")
    if parameter.step is None:
        return None
    return int((parameter.high - parameter.low) / parameter.step + 1e-9) + 1


def _check_value(source: Source, place: tuple[str | int, ...], name: str, value: Any) -> None:
    try:
        _domain(name).validate_python(value)
    except ValidationError as error:
        _, message, _ = _explain(error.errors(include_url=False)[0] | {"loc": (name,)})
        source.complain(place, f"outside the domain of {name}: {message}")


def _check_twice(source: Source, data: dict[str, Any], parameters: dict[str, Any]) -> None:
    for section in ("policy", "machine", "costs"):
        fixed = data.get(section)
        for name in fixed if isinstance(fixed, dict) else ():
            if name in parameters:
                message = f"{name} is both fixed and searched (parameters.{name})"
                source.complain((section, name), message, key=True)


def _check_policy(source: Source, data: dict[str, Any], parameters: dict[str, Any]) -> None:
    policy = data.get("policy")
    fixed = policy if isinstance(policy, dict) else {}
    searched = [name for name in parameters if name in POLICY_FIELDS]
    if fixed.get("system") == "carveout":
        for name in searched:
            message = f"a carveout caches nothing: {name} would change nothing"
            source.complain(("parameters", name), message, key=True)
    eviction = fixed.get("eviction")
    random = "eviction" in parameters or eviction == "random"
    for section, keys in (("policy", fixed), ("parameters", parameters)):
        if "seed" in keys and not random:
            message = "seed is read by eviction: random alone"
            source.complain((section, "seed"), message, key=True)


def _check_sampler(
    source: Source, data: dict[str, Any], sizes: list[int | None], numeric: int
) -> None:
    sampler = data.get("sampler")
    name = sampler.get("name") if isinstance(sampler, dict) else None
    objectives = data.get("objectives")
    trials = data.get("n_trials")
    if name == "grid":
        parameters = data.get("parameters", {})
        for (parameter, raw), size in zip(parameters.items(), sizes, strict=True):
            endless = size is None and isinstance(raw, dict) and raw.get("type") == "float"
            if endless:
                source.complain(("parameters", parameter), f"grid: {parameter} needs a step")
        points = prod(size for size in sizes if size)
        if isinstance(trials, int) and None not in sizes and trials > points:
            source.complain(("n_trials",), f"grid: there are {points} points, not {trials}")
    elif name is not None and trials is None:
        source.complain((), "key n_trials is missing")
    if name == "cmaes":
        if isinstance(objectives, list) and len(objectives) > 1:
            message = "cmaes takes one objective, did you mean nsga2?"
            source.complain(("sampler", "name"), message)
        if data.get("constraints"):
            message = "cmaes does not see constraints, did you mean tpe?"
            source.complain(("sampler", "name"), message)
        if sizes and numeric < 2:
            message = "cmaes needs two parameters of type int or float, did you mean tpe?"
            source.complain(("sampler", "name"), message)


def _check_constraints(source: Source, data: dict[str, Any]) -> None:
    constraints = data.get("constraints")
    for i, bound in enumerate(constraints if isinstance(constraints, list) else ()):
        if not isinstance(bound, dict):
            continue
        lower, upper = bound.get("lower"), bound.get("upper")
        if lower is None and upper is None:
            source.complain(("constraints", i), "a constraint has a lower or an upper bound")
        if isinstance(lower, int | float) and isinstance(upper, int | float) and lower > upper:
            source.complain(("constraints", i, "lower"), f"lower {lower} is above upper {upper}")


def _check_metrics(source: Source, data: dict[str, Any]) -> None:
    seen: set[str] = set()
    objectives = data.get("objectives")
    for i, objective in enumerate(objectives if isinstance(objectives, list) else ()):
        metric = objective.get("metric") if isinstance(objective, dict) else None
        if isinstance(metric, str):
            if metric in seen:
                source.complain(("objectives", i, "metric"), f"{metric} is an objective twice")
            seen.add(metric)


def _check_traces(source: Source, data: dict[str, Any]) -> None:
    workloads = data.get("workload")
    alone = isinstance(workloads, dict)
    listed = [workloads] if alone else workloads if isinstance(workloads, list) else []
    seen: set[str] = set()
    for i, workload in enumerate(listed):
        trace = workload.get("trace") if isinstance(workload, dict) else None
        if not isinstance(trace, str):
            continue
        place = ("workload", "trace") if alone else ("workload", i, "trace")
        if trace in seen:
            source.complain(place, f"{trace} is a workload twice")
        seen.add(trace)
        try:
            read_machine(trace_path(source.path, trace))
        except EventsError as error:
            hint = ""
            folder = trace_path(source.path, trace).parent
            if "no such file" in str(error) and folder.is_dir():
                names = [path.name for path in folder.glob("*.parquet")]
                hint = suggest(Path(trace).name, names) if names else ""
            source.complain(place, f"{error}{hint}")


def trace_path(study_path: Path, trace: str) -> Path:
    """Return where a study's trace is: relative to the study's folder."""
    return study_path.parent / trace
