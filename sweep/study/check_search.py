"""What is wrong with a study, in the words of its writer.

`explain` puts pydantic's errors plainly. `check_study` finds what no single value shows: it looks
at the raw data and bears with whatever is wrong elsewhere, so that all mistakes are told at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite, prod
from typing import Any, TypeGuard

from core.costs import COST_FIELDS
from core.policy import NUMBERS, POLICY_FIELDS, WHOLE_NUMBERS, WORDS
from sweep.study.check_policy import Space, check_policies, spaces_of
from sweep.study.check_workload import check_workloads
from sweep.study.workloads import WHOLE_FIELDS, WORD_FIELDS, WORKLOAD_FIELDS
from sweep.study.yaml_source import Place, Source, name_of, suggest

#: What may be searched: policy fields, the tag block size, costs, and what workloads are made of.
SEARCHABLE: tuple[str, ...] = (*POLICY_FIELDS, "tag_block_size", *COST_FIELDS, *WORKLOAD_FIELDS)
#: Of them the words, and the fractions; the rest are whole numbers.
_WORDS = (*WORDS, *WORD_FIELDS)
_FRACTIONS = (
    *(name for name in NUMBERS if name not in WHOLE_NUMBERS),
    *(name for name in WORKLOAD_FIELDS if name not in (*WHOLE_FIELDS, *WORD_FIELDS)),
)
#: Trials of a study, and points of a grid.
MAX_TRIALS = 10_000_000

#: The keys of each section; those of the study itself under "", of a parameter under its type.
Fields = Mapping[str, list[str]]
#: Return a value of something searchable as the simulator takes it, or raise ValueError.
Domain = Callable[[str, Any], Any]

_SIZES = ("page_size", "data_memory", "tag_block_size", "zram_size", "swap_size", "readahead_size")
_TYPES = ("categorical", "int", "float")
_WORDING = {
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
    "greater_than_equal": "should be at least {ge}",
    "greater_than": "should be above {gt}",
    "less_than_equal": "should be at most {le}",
    "less_than": "should be below {lt}",
    "too_short": "should have an entry or more",
    "string_too_short": "should not be empty",
    "string_too_long": "should have at most {max_length} characters",
    "string_pattern_mismatch": "should be of letters, digits, '.', '_' and '-', and begin with a "
    "letter or a digit",
}


def explain(problem: Any, fields: Fields) -> tuple[Place, str, bool]:
    """Return (place, message, whether it is about the key) of an error of pydantic."""
    place: Place = tuple(problem["loc"])
    kind, given, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    name = name_of(place)
    if kind == "extra_forbidden":
        return place, _unknown_key(place, fields), True
    if kind == "missing":
        return place[:-1], f"key {name} is missing", False
    if kind == "union_tag_not_found":
        return place, f"{name}: key type is missing{suggest('', _TYPES)}", False
    if kind == "union_tag_invalid":
        found = given.get("type") if isinstance(given, dict) else given
        return (*place, "type"), f"unknown type {_say(found)}{suggest(str(found), _TYPES)}", False
    if kind in ("enum", "literal_error"):
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return place, f"{name} cannot be {_say(given)}{suggest(str(given), words)}", False
    if kind == "value_error":
        error = str(context.get("error"))
        return place, error if name in error else f"{name}: {error}", False
    if len(place) > 5 and place[3] == "choices":
        # One error for each type that a choice may have.
        name = name_of(place[:5])
        return place[:5], f"{name} should be text or a number, not {_say(given)}", False
    context = {key: f"{x:g}" if isinstance(x, float) else x for key, x in context.items()}
    what = _WORDING[kind].format(**context) if kind in _WORDING else str(problem["msg"])
    if kind == "int_type" and name in _SIZES:
        what = "should be a size such as 4KiB"
    return place, f"{name} {what}{_hint(place, what, given, fields)}, not {_say(given)}", False


def _hint(place: Place, what: str, given: Any, fields: Fields) -> str:
    if what.endswith("mapping"):
        if place[0] != "parameters":
            return f" with the keys {', '.join(_fields_at((*place, ''), fields))}"
        one = "{type: categorical, choices: […]}"
        return f" such as {one if len(place) > 1 else '{eviction: ' + one + '}'}"
    if what.endswith("whole number") and "tag_block_size" in place:
        return " of bytes"
    if what.endswith("text") and isinstance(given, bool | int | float):
        return " (in quotes)"
    return ""


def _unknown_key(place: Place, fields: Fields) -> str:
    key = str(place[-1])
    homes = [section or "the study itself" for section in fields if key in fields[section]]
    homes = [home for home in homes if home not in _TYPES]
    if homes:
        return f"unknown key {key}; it is a key of {', '.join(homes)}"
    return f"unknown key {key or repr(key)}{suggest(key, _fields_at(place, fields))}"


def _fields_at(place: Place, fields: Fields) -> list[str]:
    section = str(place[0]) if len(place) > 1 else ""
    if section == "policies" and len(place) > 3:
        # What stands in one of the policies is what stands in a study without any.
        return _fields_at(place[2:], fields)
    if section == "parameters" and len(place) > 2:
        section = str(place[2])
    return fields.get(section, [])


def _say(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def check_study(
    source: Source, data: dict[str, Any], machine: dict[str, int], domain: Domain, look: bool
) -> None:
    """Note every mistake of `data` that is not one of a single value.

    `machine` has the sizes that are right in themselves, in bytes; `look` for traces too.
    """
    _check_sections(source, data)
    for space in spaces_of(data):
        place, parameters = space.searched_place, space.searched
        sizes = [
            _check_parameter(source, (*place, name), name, raw, domain)
            for name, raw in parameters.items()
        ]
        _check_twice(source, data, space)
        _check_sampler(source, data, space, sizes)
    check_policies(source, data)
    _check_constraints(source, data)
    _check_metrics(source, data)
    check_workloads(source, data, machine, look)


def _check_sections(source: Source, data: dict[str, Any]) -> None:
    """Check that a study says what it searches, once."""
    if "policies" not in data:
        if "parameters" not in data:
            source.complain((), "key parameters is missing (or policies)")
        return
    for name in ("policy", "parameters"):
        if name in data:
            message = f"{name} stands in each of the policies, where there are policies"
            source.complain((name,), message, key=True)


def _check_parameter(
    source: Source, place: Place, name: str, raw: Any, domain: Domain
) -> int | None:
    """Check one parameter; return how many values a grid has of it, if that is known."""
    if name not in SEARCHABLE:
        message = f"unknown parameter {name or repr(name)}{suggest(name, SEARCHABLE)}"
        source.complain(place, message, key=True)
        return None
    if not isinstance(raw, dict):
        return None
    if raw.get("type") == "categorical" and isinstance(raw.get("choices"), list):
        return _check_choices(source, (*place, "choices"), name, raw["choices"], domain)
    if raw.get("type") in ("int", "float"):
        return _check_range(source, place, name, raw, domain)
    return None


def _check_choices(
    source: Source, place: Place, name: str, choices: list[Any], domain: Domain
) -> int:
    seen = []
    for i, choice in enumerate(choices):
        if not isinstance(choice, str) and not _number(choice, (int, float)):
            continue
        value = _value(source, (*place, i), name, choice, domain)
        if value is not None and value in seen:
            source.complain((*place, i), f"{name}: {choice} is a choice twice")
        seen.append(value)
    return len(choices)


def _check_range(
    source: Source, place: Place, name: str, raw: dict[str, Any], domain: Domain
) -> int | None:
    fits = "float" if name in _FRACTIONS else "int"
    if name in _WORDS:
        message = f"{name} is a word, not a number: type categorical, with choices"
        source.complain((*place, "type"), message)
        return None
    if raw["type"] != fits:
        what = "a fraction" if fits == "float" else "a whole number"
        source.complain((*place, "type"), f"{name} is {what}: type {fits}")
        return None
    kinds = int if fits == "int" else (int, float)
    low, high, step = (raw.get(key) for key in ("low", "high", "step"))
    for key, end in (("low", low), ("high", high)):
        if _number(end, kinds):
            _value(source, (*place, key), name, end, domain)
    if not (_number(low, kinds) and _number(high, kinds)):
        return None
    if low > high:
        source.complain((*place, "low"), f"{name}: low {low} is above high {high}")
    log = raw.get("log") is True
    if log and low <= 0:
        source.complain((*place, "low"), f"{name}: a log range begins above 0, not at {low}")
    if log and "step" in raw and not (fits == "int" and step == 1):
        source.complain((*place, "step"), f"{name}: a log range has no step")
    if step is None and fits == "int" and "step" not in raw:
        step = 1
    if not _number(step, kinds) or step <= 0 or low > high:
        return None
    return _check_step(source, place, name, (low, high, step), fits)


def _check_step(
    source: Source, place: Place, name: str, ends: tuple[float, float, float], fits: str
) -> int | None:
    """Return how many values a range has; its high is one of them, as it says."""
    # In decimal, as it was written: 0.3 is three steps of 0.1.
    low, high, step = (Decimal(str(end)) for end in ends)
    if fits == "float" and (high - low) / step > MAX_TRIALS:
        source.complain((*place, "step"), f"{name}: step {ends[2]} makes over {MAX_TRIALS} values")
        return None
    missed = (high - low) % step
    if missed and step > high - low:
        message = f"{name}: step {ends[2]} is wider than from {ends[0]} to {ends[1]}"
        source.complain((*place, "step"), message)
    elif missed:
        message = f"{name}: steps of {ends[2]} from {ends[0]} miss {ends[1]}"
        source.complain((*place, "high"), f"{message}, did you mean {high - missed}?")
    return int((high - low) // step) + 1


def _number(value: Any, kinds: Any) -> TypeGuard[float]:
    return isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value)


def _value(source: Source, place: Place, name: str, raw: Any, domain: Domain) -> Any:
    """Return `raw` as a value of `name`, or complain at `place` and return None."""
    try:
        return domain(name, raw)
    except ValueError as error:
        source.complain(place, str(error))
        return None


def _check_twice(source: Source, data: dict[str, Any], space: Space) -> None:
    sections: list[tuple[Place, Any]] = [(space.place, space.fixed)]
    sections += [((name,), data.get(name)) for name in ("machine", "costs")]
    for place, fixed in sections:
        for name in fixed if isinstance(fixed, dict) else ():
            if name in space.searched:
                message = f"{name} is both fixed and searched (parameters.{name})"
                source.complain((*place, name), message, key=True)


def _check_sampler(
    source: Source, data: dict[str, Any], space: Space, sizes: list[int | None]
) -> None:
    if not space.searched:
        return
    sampler = data.get("sampler")
    name = sampler.get("name") if isinstance(sampler, dict) else None
    if name == "grid":
        _check_grid(source, data, space, sizes)
    elif isinstance(name, str) and "n_trials" not in data:
        source.complain((), "key n_trials is missing")
    if name == "cmaes":
        _check_cmaes(source, data, space.searched)


def _check_cmaes(source: Source, data: dict[str, Any], parameters: dict[str, Any]) -> None:
    place = ("sampler", "name")
    objectives, generation = data.get("objectives"), data.get("generation")
    if isinstance(objectives, list) and len(objectives) > 1:
        source.complain(place, "cmaes takes one objective, did you mean nsga2?")
    if data.get("constraints"):
        source.complain(place, "cmaes does not see constraints, did you mean tpe?")
    ranges = [raw for raw in parameters.values() if isinstance(raw, dict)]
    ranges = [raw for raw in ranges if raw.get("type") in ("int", "float")]
    if parameters and sum(raw.get("low") != raw.get("high") for raw in ranges) < 2:
        message = "cmaes needs two parameters of type int or float, did you mean tpe?"
        source.complain(place, message)
    if _number(generation, int) and 2 <= generation < 4:
        source.complain(("generation",), "cmaes needs a generation of at least 4")


def _check_grid(
    source: Source, data: dict[str, Any], space: Space, sizes: list[int | None]
) -> None:
    trials = data.get("n_trials")
    for name, raw in space.searched.items():
        if isinstance(raw, dict) and raw.get("type") == "float" and "step" not in raw:
            message = f"grid: {name} needs a step, or it has points without end"
            source.complain((*space.searched_place, name), message)
    if not sizes or None in sizes:
        return
    points = prod(size for size in sizes if size is not None)
    if points > MAX_TRIALS:
        message = f"grid: there are more than {MAX_TRIALS} points, did you mean random?"
        source.complain(("sampler", "name"), message)
    elif isinstance(trials, int) and trials > points and "policies" not in data:
        source.complain(("n_trials",), f"grid: there are {points} points, not {trials}")


def _check_constraints(source: Source, data: dict[str, Any]) -> None:
    constraints = data.get("constraints")
    for i, bound in enumerate(constraints if isinstance(constraints, list) else ()):
        if not isinstance(bound, dict):
            continue
        place = ("constraints", i)
        lower, upper = bound.get("lower"), bound.get("upper")
        if "lower" not in bound and "upper" not in bound:
            source.complain(place, "a constraint has the key lower or upper, or both")
        if _number(lower, (int, float)) and _number(upper, (int, float)) and lower > upper:
            source.complain((*place, "lower"), f"lower {lower} is above upper {upper}")


def _check_metrics(source: Source, data: dict[str, Any]) -> None:
    seen: set[str] = set()
    objectives = data.get("objectives")
    for i, objective in enumerate(objectives if isinstance(objectives, list) else ()):
        metric = objective.get("metric") if isinstance(objective, dict) else None
        if isinstance(metric, str):
            if metric in seen:
                source.complain(("objectives", i, "metric"), f"{metric} is an objective twice")
            seen.add(metric)
