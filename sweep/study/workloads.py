"""What a study says of its workloads: their names, parameters and settings, and what is random."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from core.frontend.run import SETTINGS, FrontEnd, Reclaim
from core.workload.synthetic import GENERATORS, PARAMETERS, parameters_of

#: The page size of what was recorded on no machine, in bytes.
DEFAULT_PAGE_SIZE = 4096
#: A workload is one of these; the others make its events when they are wanted.
KINDS = ("trace", "accesses", "synthetic")
#: What may be laid over an access trace: a tagged tenant.
TENANT: dict[str, float] = {"tagged_ratio": 0.0, "burstiness": 0.3}

#: Every parameter of a workload and setting of the kernel under it, which a study can search.
WORKLOAD_FIELDS: tuple[str, ...] = (*PARAMETERS, *SETTINGS)
_BOUNDS: dict[str, tuple[float, float] | None] = {**PARAMETERS, **SETTINGS}
#: Of them, those that are whole numbers, and those that are numbers at all.
WHOLE_FIELDS = tuple(
    name for name, bounds in _BOUNDS.items() if bounds is not None and isinstance(bounds[0], int)
)
WORD_FIELDS = tuple(name for name, bounds in _BOUNDS.items() if bounds is None)

Values = dict[str, Any]


def bounds_of(name: str) -> tuple[float, float]:
    """Return the least and the most that a number may be."""
    found = _BOUNDS[name]
    assert found is not None, f"{name} is a word"
    return found


def kind_of(workload: Values) -> str | None:
    """Return which kind of workload a mapping is, if it is one."""
    found = [kind for kind in KINDS if workload.get(kind) is not None]
    return found[0] if len(found) == 1 else None


def own_parameters(workload: Values) -> Values:
    """Return the parameters that a workload has, at what it says or at their defaults."""
    kind = kind_of(workload)
    name = workload.get("synthetic")
    if kind == "synthetic" and isinstance(name, str) and name in GENERATORS:
        known: Values = dict(parameters_of(name))
    else:
        known = dict(TENANT) if kind == "accesses" else {}
    return known | {name: workload[name] for name in known if workload.get(name) is not None}


def settings(machine: Values) -> FrontEnd:
    """Return the kernel's settings under a study's machine."""
    given = {name: machine[name] for name in SETTINGS if machine.get(name) is not None}
    if "reclaim" in given:
        given["reclaim"] = Reclaim(given["reclaim"])
    return FrontEnd(**given)


def common_values(workloads: list[Values], machine: Values) -> Values:
    """Return what all workloads that have a parameter agree on; nothing, if all are traces."""
    made = [own_parameters(one) for one in workloads if kind_of(one) in KINDS[1:]]
    if not made:
        return {}
    values: Values = dict(asdict(settings(machine)))
    for name in PARAMETERS:
        found = {own[name] for own in made if name in own}
        if len(found) == 1:
            (values[name],) = found
    return values


def is_random(workload: Values, searched: Any) -> bool:
    """Return whether a seed changes a workload."""
    kind = kind_of(workload)
    tenant = own_parameters(workload).get("tagged_ratio", 0) or "tagged_ratio" in searched
    return kind == "synthetic" or (kind == "accesses" and bool(tenant))


def title_of(workload: Values) -> str:
    """Return what a workload is called in tables, before its likes are numbered."""
    kind = kind_of(workload)
    return str(workload[kind]) if kind else "?"


def titles(workloads: list[Values]) -> list[str]:
    """Return what each workload is called; the second of a name has its number."""
    seen: dict[str, int] = {}
    found = []
    for workload in workloads:
        title = title_of(workload)
        seen[title] = seen.get(title, 0) + 1
        found.append(title if seen[title] == 1 else f"{title} {seen[title]}")
    return found
