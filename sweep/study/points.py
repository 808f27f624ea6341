"""Points: the distinct policies of what a study searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

from core.distinct import deciding
from core.policy import POLICY_FIELDS, PRESETS, Policy, reads
from core.system.contract import Choices
from sweep.study.model import Categorical, FixedPolicy, Parameter, Study, Subspace

#: Points up to which those that are one are counted one by one: 5 us each.
MOST_COUNTED = 20_000


def value_count(parameter: Parameter) -> int | None:
    """Return how many values a parameter has; None of a range of fractions without a step."""
    if isinstance(parameter, Categorical):
        return len(parameter.choices)
    if parameter.step is None:
        return 1 if parameter.low == parameter.high else None
    return int((parameter.high - parameter.low) / parameter.step + 1e-9) + 1


def choices_of(policy: FixedPolicy, searched: Mapping[str, Parameter]) -> Choices:
    """Return the values that each policy field may have; of a range, its two ends.

    Parameters
    ----------
    policy
        What is held fixed.
    searched
        What is searched beside it.
    """
    base = vars(PRESETS[policy.preset]) if policy.preset else {}
    said = policy.model_dump(exclude_unset=True)
    choices: dict[str, list[Any]] = {}
    for name in POLICY_FIELDS:
        parameter = searched.get(name)
        if parameter is None:
            choices[name] = [said.get(name, base.get(name, getattr(Policy, name)))]
        elif isinstance(parameter, Categorical):
            choices[name] = list(parameter.choices)
        else:
            choices[name] = [parameter.low, parameter.high]
    return choices


def fields_of(policy: FixedPolicy) -> dict[str, Any]:
    """Return all fields of a policy by name: what is said, the preset's, and the defaults."""
    base: dict[str, Any] = vars(PRESETS[policy.preset] if policy.preset else Policy())
    said: dict[str, Any] = policy.model_dump(
        exclude_unset=True, exclude={"preset", "tag_block_size"}
    )
    return base | said


def points_by_system(subspace: Subspace) -> dict[str, int | None]:
    """Return how many distinct policies of each system a subspace has; of many, at most.

    Two policies are one if they differ in what their system does not read, or in what does nothing
    beside the rest. None is without end.
    """
    sizes = [value_count(parameter) for parameter in subspace.parameters.values()]
    if None not in sizes and prod(size for size in sizes if size) <= MOST_COUNTED:
        fixed, seen = fields_of(subspace.policy), set()
        points: dict[str, int | None] = dict.fromkeys(
            choices_of(subspace.policy, subspace.parameters)["system"], 0
        )
        for point in points_of(subspace.parameters):
            policy = fixed | point
            if (key := deciding(policy)) not in seen:
                seen.add(key)
                points[policy["system"]] = (points[policy["system"]] or 0) + 1
        return points
    return _most_by_system(subspace)


def _most_by_system(subspace: Subspace) -> dict[str, int | None]:
    """Return how many policies of each system there are, by what the system reads alone."""
    points: dict[str, int | None] = {}
    for system in choices_of(subspace.policy, subspace.parameters)["system"]:
        read = reads(system)
        counts = [value_count(of) for name, of in subspace.parameters.items() if name in read]
        known = [count for count in counts if count is not None]
        points[system] = prod(known) if len(known) == len(counts) else None
    return points


def distinct_points(subspace: Subspace) -> int | None:
    """Return how many distinct policies a subspace has; None of one without end."""
    counts = list(points_by_system(subspace).values())
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def values_of(parameter: Parameter) -> list[Any]:
    """Return the values of a parameter that has finitely many, in order."""
    if isinstance(parameter, Categorical):
        return list(parameter.choices)
    assert parameter.step is not None, "a range of fractions without a step has no end of values"
    count = value_count(parameter) or 0
    return [round(parameter.low + i * parameter.step, 12) for i in range(count)]


def grid_size(study: Study) -> int:
    """Return the number of points of a grid."""
    return prod(value_count(parameter) or 0 for parameter in (study.parameters or {}).values())


def grid_points(study: Study) -> Iterator[dict[str, Any]]:
    """Yield the points of a grid; the last parameter changes fastest."""
    yield from points_of(study.parameters or {})


def points_of(parameters: Mapping[str, Parameter]) -> Iterator[dict[str, Any]]:
    """Yield every choice of values of some parameters, each of which has finitely many."""
    values = [values_of(parameter) for parameter in parameters.values()]
    for point in product(*values):
        yield dict(zip(parameters, point, strict=True))
