"""What is wrong with the scenarios of a study, and where the world stands among decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.cost_presets import COST_PRESETS
from core.policy import DECISIONS, DECLARED
from sweep.study.goals import MAX_GOALS
from sweep.study.model import SECTION_KEYS, Study
from sweep.study.space import Space, baseline_spaces_of, spaces_of, systems_of
from sweep.study.wording import suggest
from sweep.study.workloads import kind_of, title_of
from sweep.study.worlds import (
    MACHINE_WORLD,
    MAX_SCENARIOS,
    POLICY_WORLD,
    PRESET,
    WORLD_FIELDS,
    costs_in,
    field_value,
    scenario_count,
    scenarios_of,
    varied_in,
)
from sweep.study.yaml_source import Mistake, Place, Section

#: Characters of a scenario's name at most.
_MAX_NAME = 200
_FORMS = (
    "scenarios are a mapping of lists such as {read_random_ns: [52000, 250000]}, or a list of "
    "named ones such as [{name: slow, read_random_ns: 250000}]"
)


def check_form(data: Section) -> Iterator[Mistake]:
    """Yield what keeps the scenarios of a study's raw data from being read."""
    raw = data.get("scenarios", {})
    if not isinstance(raw, dict | list) or (isinstance(raw, list) and not raw):
        yield Mistake(("scenarios",), _FORMS)
        return
    if isinstance(raw, list):
        yield from _check_names(raw)
    if scenario_count(raw) > MAX_SCENARIOS:
        yield Mistake(("scenarios",), f"there are more than {MAX_SCENARIOS} scenarios")
    for name, values in varied_in(data).items():
        if not values:
            yield Mistake(("scenarios", name), f"{name} should have a value or more")
        seen: set[Any] = set()
        for value, place in values:
            if name not in WORLD_FIELDS:
                yield Mistake(place[:-1] if isinstance(raw, dict) and len(place) > 2 else place,
                              _no_world(name), about_key=True)  # fmt: skip
                break
            try:
                known = field_value(name, value)
            except ValueError as error:
                yield Mistake(place, str(error))
                continue
            if isinstance(raw, dict) and known in seen:
                yield Mistake(place, f"{name}: {value} is a value twice")
            seen.add(known)


def _check_names(raw: list[Any]) -> Iterator[Mistake]:
    names: set[str] = set()
    for i, entry in enumerate(raw):
        if not isinstance(entry, dict):
            yield Mistake(("scenarios", i), _FORMS)
            continue
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            what = "a scenario of a list has a name: {name: slow, read_random_ns: 250000}"
            yield Mistake(("scenarios", i, "name") if "name" in entry else ("scenarios", i), what)
        elif len(name) > _MAX_NAME:
            what = f"a name has at most {_MAX_NAME} characters, not {len(name)}"
            yield Mistake(("scenarios", i, "name"), what)
        elif name in names:
            yield Mistake(("scenarios", i, "name"), f"{name} is the name of two scenarios")
        else:
            names.add(name)


def _no_world(name: str) -> str:
    if name in DECISIONS:
        return f"{name} is what a designer decides: it stands under policy, or under parameters"
    if name == "measured" or name in COST_PRESETS:
        return f"{name} cannot vary: scenarios take costs: a preset, and single costs"
    return f"unknown field {name or repr(name)}{suggest(name, WORLD_FIELDS)}"


def check_scenarios(data: Section) -> Iterator[Mistake]:
    """Yield what contradicts itself in the worlds of a study's raw data."""
    varied = varied_in(data)
    yield from _check_fixed_twice(data, varied)
    yield from _check_one_world(data, varied)
    yield from _check_read(data, varied)
    yield from _check_machine(data, varied)
    yield from _check_goals(data)


def _check_fixed_twice(data: Section, varied: dict[str, Any]) -> Iterator[Mistake]:
    """Check that what every scenario says is not fixed too."""
    for section in ("machine", "costs"):
        fixed = data.get(section)
        for name in fixed if isinstance(fixed, dict) else ():
            if name in varied and _says_all(data):
                message = f"{name} is both fixed and varied (scenarios.{name})"
            elif section == "costs" and name != "preset" and PRESET in varied:
                message = (
                    f"{name} would be lost: the scenarios vary all costs by the name of a preset "
                    "(scenarios.costs); say single costs there too"
                )
            else:
                continue
            yield Mistake((section, name), message, about_key=True)


def _says_all(data: Section) -> bool:
    """Return whether every scenario says all that varies; one of a list says what differs."""
    return isinstance(data.get("scenarios"), dict)


def _check_one_world(data: Section, varied: dict[str, Any]) -> Iterator[Mistake]:
    """Check that all policies of a study live in one world, and baselines too."""
    said: dict[str, Any] = {}
    for space in (*spaces_of(data), *baseline_spaces_of(data)):
        for name in space.fixed:
            place = (*space.fixed_place, name)
            if name == "tag_block_size" and name in SECTION_KEYS[str(space.fixed_place[0])]:
                message = "tag_block_size is the hardware's: it stands under machine, or scenarios"
                yield Mistake(place, message, about_key=True)
            elif name in POLICY_WORLD and name in varied and _says_all(data):
                message = f"{name} is both fixed and varied (scenarios.{name})"
                yield Mistake(place, message, about_key=True)
            elif (
                name in POLICY_WORLD
                and said.setdefault(name, space.fixed[name]) != (space.fixed[name])
            ):
                message = (
                    f"{name} is {said[name]} in another policy: it is what the world is, the same "
                    f"for all policies, unless it varies (scenarios.{name})"
                )
                yield Mistake(place, message)


def _check_read(data: Section, varied: dict[str, list[tuple[Any, Place]]]) -> Iterator[Mistake]:
    """Check that a policy reads what varies, and that what it needs is there."""
    spaces = [*spaces_of(data), *baseline_spaces_of(data)]
    read = {name for space in spaces for name in _read_in(space)}
    given = {name for space in spaces for name in (*space.fixed, *space.searched)} | set(varied)
    for name in (name for name in varied if name in POLICY_WORLD):
        place = varied[name][0][1]
        if name not in read:
            readers = ", ".join(DECLARED[name].read_by)
            message = f"{name} is read by {readers} alone: it would change nothing here"
            yield Mistake(place, message)
        for other, why, value in DECLARED[name].needs:
            if value is None and other not in given:
                yield Mistake(place, f"{name} needs {other}: {why}")


def _read_in(space: Space) -> set[str]:
    from core.policy import reads

    return {name for system in systems_of(space) for name in reads(system)}


def _check_machine(data: Section, varied: dict[str, list[tuple[Any, Place]]]) -> Iterator[Mistake]:
    """Check that workloads can be had on the machines of all scenarios."""
    section = data.get("workload")
    workloads = section if isinstance(section, list) else []
    workloads = [workload for workload in workloads if isinstance(workload, dict)]
    for name in MACHINE_WORLD[:2]:
        for workload in workloads if name in varied else ():
            kind = kind_of(workload)
            if kind == "trace":
                message = (
                    f"{name} cannot vary over {title_of(workload)}: what its kernel evicted was "
                    "decided by the memory that it was captured with; take its accesses "
                    "(sweep trace import --accesses), and each memory has a front end of its own"
                )
            elif kind == "accesses" and name == "page_size":
                message = f"page_size cannot vary over {title_of(workload)}: it is as recorded"
            else:
                continue
            yield Mistake(varied[name][0][1][:2], message, about_key=True)
            break


def _check_goals(data: Section) -> Iterator[Mistake]:
    """Check that there are few enough goals to tell policies apart by."""
    goals, scenarios = count_goals(data), scenario_count(data.get("scenarios"))
    if goals > MAX_GOALS:
        message = f"there are {goals} objectives, {MAX_GOALS} at most"
        if scenarios > 1:
            message = (
                f"there are {goals} objectives over {scenarios} scenarios, {MAX_GOALS} at most: "
                "over: worst, or over: mean"
            )
        yield Mistake(("objectives",), message)


def count_goals(data: Section) -> int:
    """Return how many goals a study has, given its raw data."""
    section, scenarios = data.get("objectives"), scenario_count(data.get("scenarios"))
    objectives = section if isinstance(section, list) else []
    objectives = [objective for objective in objectives if isinstance(objective, dict)]
    return sum(scenarios if each.get("over") == "each" else 1 for each in objectives)


def check_costs(study: Study, data: Section) -> Iterator[Mistake]:
    """Yield the first world whose reads in parallel are slower than the first read."""
    varied = varied_in(data)
    for scenario, given in scenarios_of(study.scenarios):
        values = {name: field_value(name, given[name]) for name in given}
        world = costs_in(study, values)
        first, parallel = world["read_random_ns"], world["read_parallel_ns"]
        if parallel <= first:
            continue
        costs = data.get("costs")
        names = ("read_parallel_ns", "read_random_ns")
        said = [cost for cost in names if isinstance(costs, dict) and cost in costs]
        moved = [cost for cost in names if cost in varied]
        place: Place = ("costs", said[0]) if said else ("costs",)
        if moved or (PRESET in varied and not said):
            place = ("scenarios",)
        several = f" in the scenario {scenario}" if study.scenarios else ""
        yield Mistake(
            place,
            f"read_parallel_ns is {parallel}{several}, above read_random_ns {first}; a command in "
            f"parallel is no slower than the first: let read_parallel_ns be {first} at most",
        )
        return
