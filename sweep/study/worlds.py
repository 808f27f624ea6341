"""Worlds: what a study's policies are tried in, one for each of its scenarios.

What a designer decides is searched. What the world is (costs, memory sizes, how much of it is
tagged) is no decision: it is fixed, or it varies over `scenarios`, and every policy runs in each.
"""

from __future__ import annotations

import itertools
from functools import cache
from math import prod
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from core.cost_presets import COST_PRESETS
from core.costs import COST_FIELDS, DECLARED_COSTS, Costs
from core.declaration import Declaration
from core.policy import DECISIONS, DECLARED, POLICY_FIELDS
from sweep.study.model import SECTION_KEYS, Baseline, Study
from sweep.study.values import CostPreset, PageSize, Size, TagBlockSize, type_of
from sweep.study.wording import explain
from sweep.study.workloads import DECLARED_WORKLOAD, WORKLOAD_FIELDS
from sweep.study.yaml_source import Place, Section

#: Bytes of a tag block, unless a study says otherwise.
DEFAULT_TAG_BLOCK_BYTES = 4096
#: The name of the only scenario of a study that names none.
AS_GIVEN = "as given"
#: Scenarios of a study at most.
MAX_SCENARIOS = 1000

#: Fields of `Policy` that are what the world is, whichever policy it has.
POLICY_WORLD: tuple[str, ...] = tuple(name for name in POLICY_FIELDS if name not in DECISIONS)
#: Sizes of the machine that tables are made for, or of its hardware.
MACHINE_WORLD = ("page_size", "data_memory", "tag_block_size")
#: A whole table of costs, by the name of its preset.
PRESET = "costs"
#: What may vary over scenarios.
WORLD_FIELDS: tuple[str, ...] = (
    *(PRESET, *MACHINE_WORLD, *WORKLOAD_FIELDS, *POLICY_WORLD, *COST_FIELDS),
)
_DECLARED: dict[str, Declaration] = {**DECLARED, **DECLARED_COSTS, **DECLARED_WORKLOAD}
_TYPES: dict[str, Any] = {
    PRESET: CostPreset,
    "page_size": PageSize,
    "data_memory": Size,
    "tag_block_size": TagBlockSize,
}

#: (name, value) of workload parameters, settings of the kernel, and sizes of the machine.
Values = tuple[tuple[str, Any], ...]


class World(NamedTuple):
    """What one scenario of a study holds for all its policies.

    Parameters
    ----------
    name
        The scenario's name.
    policy
        What the world is among the fields of a policy, by name.
    tag_block_size
        Bytes of the machine's tag blocks.
    costs
        What outcomes are worked out under.
    workload
        What makes event tables otherwise than the study's machine and workloads say.
    """

    name: str
    policy: dict[str, Any]
    tag_block_size: int
    costs: Costs
    workload: Values


def field_value(name: str, raw: Any) -> Any:
    """Return `raw` as a value of a decision or a world, in the simulator's units.

    Raises
    ------
    ValueError
        With what is wrong, in a line.
    """
    try:
        return _type_of(name).validate_python(raw)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0] | {"loc": (name,)}
        raise ValueError(explain(problem, SECTION_KEYS).message) from None


@cache
def _type_of(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[name] if name in _TYPES else type_of(_DECLARED[name]))


def scenario_count(raw: Any) -> int:
    """Return how many scenarios there are, given those of a study's raw data."""
    if isinstance(raw, list):
        return max(1, len(raw))
    if isinstance(raw, dict):
        return prod(max(1, len(axis)) for axis in raw.values() if isinstance(axis, list))
    return 1


def scenarios_of(raw: Any) -> list[tuple[str, Section]]:
    """Return the name of each scenario and its values, as the study writes them.

    ``{swappiness: [60, 100], zram_size: 64MiB}`` is two scenarios, named ``swappiness 60`` and
    ``swappiness 100``.
    """
    if isinstance(raw, list) and raw:
        return [
            (entry["name"], {name: entry[name] for name in entry if name != "name"})
            for entry in raw
        ]
    axes = raw if isinstance(raw, dict) else {}
    values = [axis if isinstance(axis, list) else [axis] for axis in axes.values()]
    scenarios = []
    for point in itertools.product(*values):
        given = dict(zip(axes, point, strict=True))
        named = [f"{name} {given[name]}" for name, axis in zip(axes, values, strict=True)
                 if len(axis) > 1]  # fmt: skip
        scenarios.append((", ".join(named) or AS_GIVEN, given))
    return scenarios


def varied_in(data: Section) -> dict[str, list[tuple[Any, Place]]]:
    """Return what varies over the scenarios of a study's raw data: each value and its place."""
    raw = data.get("scenarios")
    varied: dict[str, list[tuple[Any, Place]]] = {}
    if isinstance(raw, dict):
        for name, axis in raw.items():
            values = [(value, ("scenarios", name, i)) for i, value in enumerate(axis)] if (
                isinstance(axis, list)
            ) else [(axis, ("scenarios", name))]  # fmt: skip
            varied[str(name)] = list(values)
    for i, entry in enumerate(raw if isinstance(raw, list) else ()):
        for name in entry if isinstance(entry, dict) else ():
            if name != "name":
                varied.setdefault(str(name), []).append((entry[name], ("scenarios", i, name)))
    return varied


def varied_by(study: Study) -> tuple[str, ...]:
    """Return the names of what varies over the scenarios of a study."""
    return tuple(varied_in({"scenarios": study.scenarios}))


def worlds_of(study: Study) -> list[World]:
    """Return the worlds that every policy of a study is tried in, in the order of its scenarios."""
    return [_world(study, name, given) for name, given in scenarios_of(study.scenarios)]


def _world(study: Study, name: str, given: Section) -> World:
    values = {field: field_value(field, given[field]) for field in given}
    size = study.machine.tag_block_size or DEFAULT_TAG_BLOCK_BYTES
    made = [field for field in values if field in (*WORKLOAD_FIELDS, "page_size", "data_memory")]
    return World(
        name,
        _fixed_world(study) | {field: values[field] for field in POLICY_WORLD if field in values},
        values.get("tag_block_size", size),
        Costs(**costs_in(study, values)),
        tuple((field, values[field]) for field in made),
    )


def costs_in(study: Study, values: Section) -> dict[str, int]:
    """Return the costs of a study where a scenario gives some `values`; they may contradict."""
    costs = study.costs_by_name()
    if PRESET in values:
        costs = dict(vars(COST_PRESETS[values[PRESET]]))
    return costs | {name: values[name] for name in COST_FIELDS if name in values}


def _fixed_world(study: Study) -> dict[str, Any]:
    """Return what any policy of a study says of the world: it is so for all of them."""
    fixed: dict[str, Any] = {}
    sections: list[Baseline] = [subspace.policy for subspace in study.subspaces]
    for section in (*sections, *study.baselines):
        given = section.model_dump(exclude_unset=True)
        fixed |= {name: given[name] for name in POLICY_WORLD if name in given}
    return fixed
