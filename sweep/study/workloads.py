"""What can be read off a study's workloads: their titles, parameters, settings, and randomness."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import asdict
from typing import Any

from core.declaration import Declaration
from core.frontend.run import SETTINGS, FrontEnd, Reclaim
from core.workload.synthetic import GENERATORS, PARAMETERS, parameters_of
from sweep.study.values import SAMPLED
from sweep.study.yaml_source import Section

#: The page size of synthetic workloads, in bytes.
DEFAULT_PAGE_SIZE = 4096
#: A workload is a trace of mm events, or accesses or a synthetic workload from which the front end
#: makes mm events.
KINDS = ("trace", "accesses", "synthetic")
#: The parameters of a tagged tenant, which may be laid over a recording, and their defaults.
TENANT: dict[str, float] = {"tagged_ratio": 0.0, "burstiness": 0.3}


#: The parameters of workloads and the settings of the kernel under them.
WORKLOAD_FIELDS: tuple[str, ...] = (*PARAMETERS, *SETTINGS)
#: What is declared of each.
DECLARED_WORKLOAD: dict[str, Declaration] = {**PARAMETERS, **SETTINGS}


def kind_of(workload: Section) -> str | None:
    """Return which of `KINDS` a workload is; None of a mapping with none of the keys, or two."""
    kinds = [kind for kind in KINDS if workload.get(kind) is not None]
    return kinds[0] if len(kinds) == 1 else None


def own_parameters(workload: Section) -> dict[str, Any]:
    """Return the parameters that a workload has, with its own values or else the defaults.

    A trace has those of a tenant if it names one of them.
    """
    kind = kind_of(workload)
    name = workload.get("synthetic")
    if kind == "synthetic" and isinstance(name, str) and name in GENERATORS:
        known: dict[str, Any] = dict(parameters_of(name))
    else:
        names_tenant = any(workload.get(key) is not None for key in TENANT)
        known = dict(TENANT) if kind == "accesses" or (kind == "trace" and names_tenant) else {}
    return known | {name: workload[name] for name in known if workload.get(name) is not None}


def settings(machine: Section) -> FrontEnd:
    """Return the settings of the kernel that a study's `machine` gives."""
    given = {name: machine[name] for name in SETTINGS if machine.get(name) is not None}
    if "reclaim" in given:
        given["reclaim"] = Reclaim(given["reclaim"])
    return FrontEnd(**given)


def common_values(
    workloads: list[Section], machine: Section, varied: Container[str] = ()
) -> dict[str, Any]:
    """Return the parameters and settings that have one value in all workloads that have them.

    There are no settings if all workloads are traces of mm events. A share that was sampled is
    known to the trace alone.

    Parameters
    ----------
    workloads
        The workloads of a study.
    machine
        Its machine, with the settings of the kernel.
    varied
        The names of what varies over its scenarios.
    """
    made = [
        (TENANT if has_tenant(workload, varied) else {}) | own_parameters(workload)
        for workload in workloads
    ]
    has_kernel = any(kind_of(workload) in KINDS[1:] for workload in workloads)
    values = asdict(settings(machine)) if has_kernel else {}
    for name in PARAMETERS:
        different = {parameters[name] for parameters in made if name in parameters}
        if len(different) == 1 and different != {SAMPLED}:
            (values[name],) = different
    return values


def has_tenant(workload: Section, varied: Container[str]) -> bool:
    """Return whether a recording has a tenant laid over it, given the names of what varies."""
    tenant = own_parameters(workload).get("tagged_ratio", 0) or "tagged_ratio" in varied
    return kind_of(workload) in ("accesses", "trace") and bool(tenant)


def is_random(workload: Section, varied: Container[str]) -> bool:
    """Return whether a seed changes a workload, given the names of what varies."""
    return kind_of(workload) == "synthetic" or has_tenant(workload, varied)


def title_of(workload: Section) -> str:
    """Return what a workload is called: its file or generator, or ? if it is of no kind."""
    kind = kind_of(workload)
    return str(workload[kind]) if kind else "?"


def titles(workloads: list[Section]) -> list[str]:
    """Return what each workload is called in tables: of two named zipf, zipf and zipf 2."""
    times: dict[str, int] = {}
    numbered = []
    for workload in workloads:
        title = title_of(workload)
        times[title] = times.get(title, 0) + 1
        numbered.append(title if times[title] == 1 else f"{title} {times[title]}")
    return numbered
