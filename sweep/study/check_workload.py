"""What is wrong with the workloads of a study, and with the machine under them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.accesses import read_page_size
from core.events import EventsError, read_machine
from core.frontend.run import SETTINGS, TWO_SWAPS
from core.machine import Machine
from core.workload.synthetic import PARAMETERS
from sweep.study.check_policy import spaces_of
from sweep.study.values import is_size
from sweep.study.workloads import (
    DEFAULT_PAGE_SIZE,
    KINDS,
    WORKLOAD_FIELDS,
    is_random,
    kind_of,
    own_parameters,
    title_of,
)
from sweep.study.yaml_source import Place, Source, suggest

Mapping = dict[str, Any]


def check_workloads(source: Source, data: Mapping, machine: dict[str, int], look: bool) -> None:
    """Note every mistake in the workloads of `data`; `look` for their files too."""
    raw = data.get("workload")
    workloads = [one for one in raw if isinstance(one, dict)] if isinstance(raw, list) else []
    found = [name for space in spaces_of(data) for name in space.searched]
    searched = [name for name in dict.fromkeys(found) if name in WORKLOAD_FIELDS]
    if not workloads or not isinstance(raw, list) or len(workloads) < len(raw):
        return
    for i, workload in enumerate(workloads):
        _check_kind(source, i, workload)
        _check_parameters(source, i, workload, searched)
        if workload in workloads[:i]:
            source.complain(("workload", i), f"{title_of(workload)} is a workload twice")
        elif look:
            _check_file(source, i, workload, machine)
    if all(kind_of(workload) for workload in workloads):
        _check_use(source, data, workloads, searched)
    if "data_memory" in machine and any("synthetic" in workload for workload in workloads):
        size = machine.get("page_size", DEFAULT_PAGE_SIZE)
        _check_machine(source, ("machine", "data_memory"), machine, size, 1)


def _check_kind(source: Source, i: int, workload: Mapping) -> None:
    kinds = [kind for kind in KINDS if kind in workload]
    if len(kinds) != 1:
        what = f"not {' and '.join(kinds)}" if kinds else "one of them"
        message = f"a workload has the key trace, accesses or synthetic, {what}"
        source.complain(("workload", i), message)


def _check_parameters(source: Source, i: int, workload: Mapping, searched: list[str]) -> None:
    kind, own = kind_of(workload), own_parameters(workload)
    if kind is None or (kind == "synthetic" and not own):
        return
    for name in workload:
        place = ("workload", i, name)
        if name in PARAMETERS and name not in own:
            why = f"it has {', '.join(own)}" if own else "it is as it was captured"
            source.complain(place, f"{title_of(workload)} has no {name}: {why}", key=True)
        elif name in searched:
            message = f"{name} is both fixed and searched (parameters.{name})"
            source.complain(place, message, key=True)
        elif name == "seed" and not is_random(workload, searched):
            source.complain(place, f"seed: nothing is random in {title_of(workload)}", key=True)


def _check_use(
    source: Source, data: Mapping, workloads: list[Mapping], searched: list[str]
) -> None:
    """Check that what is fixed or searched of workloads acts on one of them."""
    made = [workload for workload in workloads if kind_of(workload) != "trace"]
    why = "acts on accesses and synthetic workloads; a trace is as it was captured"
    machine = data.get("machine")
    for name in machine if isinstance(machine, dict) else ():
        if name in SETTINGS and not made:
            source.complain(("machine", name), f"{name} {why}", key=True)
    for name in searched:
        place = next(
            (*space.searched_place, name) for space in spaces_of(data) if name in space.searched
        )
        if name in SETTINGS and not made:
            source.complain(place, f"{name} {why}", key=True)
        elif name in PARAMETERS and not any(name in own_parameters(one) for one in made):
            source.complain(place, f"no workload of the study has {name}", key=True)
    _check_swap(source, data)
    times = data.get("replicates")
    if isinstance(times, int) and times > 1 and not any(is_random(o, searched) for o in made):
        source.complain(("replicates",), "nothing is random in these workloads", key=True)


def _check_swap(source: Source, data: Mapping) -> None:
    """Check that swap is one of memory and a device, in each space of the study."""
    machine = data.get("machine")
    fixed = machine if isinstance(machine, dict) else {}
    for space in spaces_of(data):
        places: dict[str, Place] = {
            name: ("machine", name) for name, value in fixed.items() if is_size(value)
        }
        places |= {name: (*space.searched_place, name) for name in space.searched}
        if "zram_size" in places and "swap_size" in places:
            source.complain(places["swap_size"], TWO_SWAPS, key=True)
            return


def _check_file(source: Source, i: int, workload: Mapping, machine: dict[str, int]) -> None:
    kind = kind_of(workload)
    name = workload.get(kind) if kind in ("trace", "accesses") else None
    if not isinstance(name, str) or not name:
        return
    place = source.place_of(("workload", i, str(kind)))
    path = source.path.parent / name
    try:
        captured = read_machine(path) if kind == "trace" else read_page_size(path)
    except EventsError as error:
        source.complain(place, f"{error}{_hint(str(kind), path, str(error))}")
    except ValueError as error:
        source.complain(place, f"{name}: cannot be opened: {error}")
    else:
        _check_machine(source, place, machine, *captured)


def _hint(kind: str, path: Path, error: str) -> str:
    """Return a hint at what was meant: a file of another name, or of the other kind."""
    if "no such file" in error:
        names = sorted(other.name for other in path.parent.glob("*.parquet"))
        return suggest(path.name, names[:20])
    other, reader = {
        "trace": ("accesses", read_page_size),
        "accesses": ("trace", read_machine),
    }[kind]
    try:
        reader(path)
    except (EventsError, ValueError):
        return ""
    return f", did you mean {other}: {path.name}?"


def _check_machine(
    source: Source, place: Place, machine: dict[str, int], page_size: int, data_pages: int
) -> None:
    """Check the machine of a recording, changed as the study says."""
    size = machine.get("page_size", page_size)
    memory = machine.get("data_memory", size * (data_pages or 1))
    if "data_memory" in machine:
        place = ("machine", "data_memory")
    if memory % size:
        source.complain(place, f"data_memory is not a whole number of {size}-byte pages")
        return
    try:
        Machine(size, memory // size)
    except ValueError as error:
        source.complain(place, f"machine: {error}")
