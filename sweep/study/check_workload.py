"""What is wrong with the workloads of a study, and with the machine under them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.accesses import read_page_size
from core.event_files import read_machine
from core.events import EventsError
from core.frontend.run import SETTINGS, TWO_SWAPS
from core.machine import Machine
from core.workload.synthetic import PARAMETERS
from sweep.study.not_a_table import import_advice
from sweep.study.values import SAMPLED, is_size
from sweep.study.wording import suggest
from sweep.study.workloads import (
    DEFAULT_PAGE_SIZE,
    KINDS,
    TENANT,
    WORKLOAD_FIELDS,
    is_random,
    kind_of,
    own_parameters,
    title_of,
)
from sweep.study.worlds import scenario_count, scenarios_of, varied_in
from sweep.study.yaml_source import Mistake, Place, Section

#: Tables of events that a study may have: one for each workload, replicate, and scenario that
#: changes workloads.
MAX_TABLES = 10_000


def check_workloads(data: Section, sizes: dict[str, int], folder: Path | None) -> Iterator[Mistake]:
    """Yield what is wrong with the workloads of a study.

    Parameters
    ----------
    data
        The raw data of the study, with a list of workloads.
    sizes
        The settings of its machine that are right by themselves; sizes are in bytes.
    folder
        Where the traces are looked for; None to leave them alone.
    """
    section = data.get("workload")
    if not isinstance(section, list) or not section:
        return
    workloads = [workload for workload in section if isinstance(workload, dict)]
    if len(workloads) < len(section):
        return
    if _number_of_tables(data, len(workloads)) > MAX_TABLES:
        message = (
            f"there are more than {MAX_TABLES:,} tables of events: workloads, times replicates, "
            "times scenarios that change them"
        )
        yield Mistake(("workload",), message)
        return
    varied = [name for name in varied_in(data) if name in WORKLOAD_FIELDS]
    # One scenario of a list says what differs from what is fixed.
    said_by_all = varied if isinstance(data.get("scenarios"), dict) else []
    seen: set[str] = set()
    for i, workload in enumerate(workloads):
        yield from _check_kind(i, workload)
        yield from _check_parameters(i, workload, varied, said_by_all)
        written = repr(sorted(workload.items(), key=lambda pair: pair[0]))
        if written in seen:
            yield Mistake(("workload", i), f"{title_of(workload)} is a workload twice")
        elif folder is not None:
            yield from _check_file(i, workload, sizes, folder)
        seen.add(written)
    if all(kind_of(workload) for workload in workloads):
        yield from _check_use(data, workloads, varied)
    if "data_memory" in sizes and any("synthetic" in workload for workload in workloads):
        page_size = sizes.get("page_size", DEFAULT_PAGE_SIZE)
        yield from _check_machine(("machine", "data_memory"), sizes, page_size, 1)


def _number_of_tables(data: Section, workloads: int) -> int:
    replicates = data.get("replicates")
    made_otherwise = {*WORKLOAD_FIELDS, "page_size", "data_memory"} & varied_in(data).keys()
    scenarios = scenario_count(data.get("scenarios")) if made_otherwise else 1
    return workloads * scenarios * (replicates if isinstance(replicates, int) else 1)


def _check_kind(i: int, workload: Section) -> Iterator[Mistake]:
    kinds = [kind for kind in KINDS if kind in workload]
    if len(kinds) != 1:
        what = f"not {' and '.join(kinds)}" if kinds else "one of them"
        message = f"a workload has the key trace, accesses or synthetic, {what}"
        yield Mistake(("workload", i), message)


def _check_parameters(
    i: int, workload: Section, varied: list[str], said_by_all: list[str]
) -> Iterator[Mistake]:
    kind, own = kind_of(workload), own_parameters(workload)
    if kind is None or (kind == "synthetic" and not own):
        return
    for name in workload:
        place = ("workload", i, name)
        if name in PARAMETERS and name not in own:
            why = f"it has {', '.join(own)}" if own else "it is as it was captured"
            message = f"{title_of(workload)} has no {name}: {why}"
        elif workload[name] == SAMPLED and kind != "trace":
            message = (
                f"{name}: {SAMPLED}: of a trace alone, whose recording counted tagged pages; "
                f"{title_of(workload)} needs a number"
            )
        elif name in said_by_all:
            message = f"{name} is both fixed and varied (scenarios.{name})"
        elif name == "seed" and not is_random(workload, varied):
            message = f"seed: nothing is random in {title_of(workload)}"
        else:
            continue
        yield Mistake(place, message, about_key=True)


def _check_use(data: Section, workloads: list[Section], varied: list[str]) -> Iterator[Mistake]:
    """Check that what is fixed or varied of workloads acts on one of them."""
    made = [workload for workload in workloads if kind_of(workload) != "trace"]
    why = "acts on accesses and synthetic workloads; a trace is as it was captured"
    tenants = any(
        kind_of(workload) == "trace" and ("tagged_ratio" in varied or own_parameters(workload))
        for workload in workloads
    )
    machine = data.get("machine")
    for name in machine if isinstance(machine, dict) else ():
        if name in SETTINGS and not made:
            yield Mistake(("machine", name), f"{name} {why}", about_key=True)
    places = {name: values[0][1] for name, values in varied_in(data).items() if values}
    for name in varied:
        if name in SETTINGS and not made:
            yield Mistake(places[name], f"{name} {why}")
        elif name in TENANT and tenants:
            continue
        elif name in PARAMETERS and not any(name in own_parameters(workload) for workload in made):
            yield Mistake(places[name], f"no workload of the study has {name}")
    yield from _check_swap(data)
    replicates = data.get("replicates")
    random = any(is_random(workload, varied) for workload in workloads)
    if isinstance(replicates, int) and replicates > 1 and not random:
        yield Mistake(("replicates",), "nothing is random in these workloads", about_key=True)


def _check_swap(data: Section) -> Iterator[Mistake]:
    """Check that pages are swapped to memory or to a device, not to both, in each scenario."""
    machine = data.get("machine")
    fixed = machine if isinstance(machine, dict) else {}
    for _, given in scenarios_of(data.get("scenarios")):
        sizes = fixed | given
        if is_size(sizes.get("zram_size")) and is_size(sizes.get("swap_size")):
            place: Place = ("machine", "swap_size")
            if "swap_size" in given or "zram_size" in given:
                place = ("scenarios",)
            yield Mistake(place, TWO_SWAPS, about_key=True)
            return


def _check_file(
    i: int, workload: Section, sizes: dict[str, int], folder: Path
) -> Iterator[Mistake]:
    """Check that a recording is there, and that the study's machine can replay it."""
    kind = kind_of(workload)
    name = workload.get(kind) if kind in ("trace", "accesses") else None
    if not isinstance(name, str) or not name or not name.isprintable():
        return
    place, path = ("workload", i, str(kind)), folder / name
    try:
        page_size, data_pages = read_machine(path) if kind == "trace" else read_page_size(path)
    except EventsError as error:
        advice = import_advice(path, str(kind))
        told = f"{path}: {advice}" if advice else f"{error}{_hint(str(kind), path, str(error))}"
        yield Mistake(place, told)
    except ValueError as error:
        yield Mistake(place, f"{name}: cannot be opened: {error}")
    else:
        yield from _check_machine(place, sizes, page_size, data_pages)


def _hint(kind: str, path: Path, error: str) -> str:
    """Return a hint at what was meant: a file of another name, or of the other kind."""
    if "no such file" in error:
        names = sorted(other.name for other in path.parent.glob("*.parquet"))
        return suggest(path.name, names[:20])
    other_kind, reader = {
        "trace": ("accesses", read_page_size),
        "accesses": ("trace", read_machine),
    }[kind]
    try:
        reader(path)
    except (EventsError, ValueError):
        return ""
    return f", did you mean {other_kind}: {path.name}?"


def _check_machine(
    place: Place, sizes: dict[str, int], page_size: int, data_pages: int
) -> Iterator[Mistake]:
    """Check the machine of a recording, changed as the study says.

    Parameters
    ----------
    place
        Where the recording is named: there a mistake is told, unless the study has a data_memory.
    sizes
        The machine of the study, in bytes.
    page_size
        That of the recording, in bytes.
    data_pages
        Those of the recording; 0 of one that was made on no machine.
    """
    size = sizes.get("page_size", page_size)
    memory = sizes.get("data_memory", size * (data_pages or 1))
    if "data_memory" in sizes:
        place = ("machine", "data_memory")
    if memory % size:
        yield Mistake(place, f"data_memory is not a whole number of {size}-byte pages")
        return
    try:
        Machine(size, memory // size)
    except ValueError as error:
        yield Mistake(place, f"machine: {error}")
