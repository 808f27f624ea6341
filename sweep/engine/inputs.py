"""What a study reads: its event tables and recipes for them, checked for the machine it names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from core.accesses import Accesses, read_accesses
from core.events import (
    ALLOC,
    TAGGED,
    Events,
    EventsError,
    digest_events,
    has_anonymous,
    read_events,
)
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine
from core.policy import Anonymous, Placement
from core.workload.recipe import Recipe
from sweep.engine.candidates import Workloads
from sweep.study.model import Categorical, Study
from sweep.study.model import Workload as Said
from sweep.study.values import size_in_bytes
from sweep.study.workloads import (
    DEFAULT_PAGE_SIZE,
    WORKLOAD_FIELDS,
    is_random,
    own_parameters,
    settings,
    titles,
)

#: The memory of synthetic workloads and of access traces that were recorded on none, in bytes.
DEFAULT_MEMORY = 512 * 2**20


class Inputs(NamedTuple):
    """The workloads of a study, each once a replicate, and what the user should know.

    `digests` are of the events, or of what makes them where nothing is searched of that.
    """

    workloads: Workloads
    names: list[str]
    replicates: list[int]
    digests: list[str]
    warnings: list[str]

    def digests_of(self, values: dict[str, Any]) -> list[str]:
        """Return the digests under values of workload parameters and settings."""
        return [
            source.changed(values).digest() if isinstance(source, Recipe) else digest
            for source, digest in zip(self.workloads.sources, self.digests, strict=True)
        ]


def load_inputs(study: Study, study_path: Path) -> Inputs:
    """Return the event tables of a study, and the recipes of those that are to be made.

    Raises
    ------
    EventsError
        When a workload cannot be replayed on the machine that the study names.
    """
    found: list[tuple[Events | Recipe, int, int, str, int, str]] = []
    warnings: list[str] = []
    said = [workload.said for workload in study.workload]
    for workload, values, name in zip(study.workload, said, titles(said), strict=True):
        if workload.trace is not None:
            events, size, pages = _trace(study, study_path, workload.trace, warnings)
            found.append((events, size, pages, name, 0, f"{digest_events(events)} {size} {pages}"))
            continue
        times = study.replicates if is_random(values, study.searched) else 1
        for replicate in range(times):
            one = _recipe(study, study_path, workload, name, replicate)
            found.append((one, one.page_size, one.data_pages, name, replicate, one.digest()))
    sources, page_sizes, data_pages, names, replicates, digests = zip(*found, strict=True)
    workloads = Workloads(sources, page_sizes, data_pages)
    _check_anonymous(study, study_path, sources)
    _check_blocks(
        study,
        study_path,
        min(size * pages for size, pages in zip(page_sizes, data_pages, strict=True)),
    )
    return Inputs(workloads, list(names), list(replicates), list(digests), warnings)


def _check_anonymous(study: Study, study_path: Path, sources: Sequence[Events | Recipe]) -> None:
    """Refuse to compress what goes to a swap device, if nothing does in any workload."""
    if not _said(study, "anonymous") - {Anonymous.NONE}:
        return
    for one in sources:
        if has_anonymous(one) if isinstance(one, Events) else one.front_end.swap_size:
            return
    if "swap_size" not in study.searched:
        raise EventsError(
            f"{study_path}: anonymous would change nothing: no workload has pages that were "
            "swapped to a device"
        )


def _check_blocks(study: Study, study_path: Path, memory_bytes: int) -> None:
    """Refuse a tag block that is larger than all tag storage: the last one counts whole."""
    sizes = [study.machine.tag_block_size, *(one.tag_block_size for one in study.baselines)]
    searched = study.searched.get("tag_block_size")
    if isinstance(searched, Categorical):
        sizes += [size_in_bytes(choice) for choice in searched.choices]
    elif searched is not None:
        sizes.append(int(searched.high))
    largest = max((size for size in sizes if size is not None), default=0)
    storage_bytes = memory_bytes // DATA_PAGES_PER_TAG_PAGE
    if largest > storage_bytes > 4096:
        raise EventsError(
            f"{study_path}: a tag block of {largest} bytes is larger than the tag storage of a "
            f"workload's machine, {storage_bytes} bytes"
        )


def _trace(
    study: Study, study_path: Path, trace: str, warnings: list[str]
) -> tuple[Events, int, int]:
    """Return a table of events, and the page size and data pages that it is replayed on."""
    path = study_path.parent / trace
    events = read_events(path)
    if (
        Placement.FAR in _said(study, "placement")
        and not ((events.op == ALLOC) & (events.flags & TAGGED == 0)).any()
    ):
        raise EventsError(
            f"{path}: placement far looks for frames that are free, and the table has tagged "
            "allocations alone: take its accesses (sweep trace import --accesses)"
        )
    size = study.machine.page_size or events.page_size
    pages = _data_pages(study, study_path, size, events.data_pages)
    if size != events.page_size:
        warnings.append(f"{path}: captured with {events.page_size}-byte pages, not {size}")
    if pages != events.data_pages:
        warnings.append(
            f"{path}: captured with {events.data_pages} data pages, replayed with {pages}"
        )
        read_events(path, pages)
    return events, size, pages


def _said(study: Study, field: str) -> set[str]:
    """Return the words that a field of policies may have in a study."""
    words = {getattr(one.policy, field) for one in study.subspaces}
    words |= {getattr(one, field) for one in study.baselines}
    for subspace in study.subspaces:
        words |= set(getattr(subspace.parameters.get(field), "choices", []))
    return words


def _recipe(study: Study, study_path: Path, workload: Said, name: str, replicate: int) -> Recipe:
    accesses, digest = None, ""
    size = study.machine.page_size or DEFAULT_PAGE_SIZE
    recorded_pages = 0
    if workload.accesses is not None:
        path = study_path.parent / workload.accesses
        accesses = read_accesses(path)
        digest = _digest(accesses)
        recorded_pages = accesses.data_pages
        if study.machine.page_size not in (None, accesses.page_size):
            raise EventsError(f"{path}: recorded with {accesses.page_size}-byte pages, not {size}")
        size = accesses.page_size
    pages = _data_pages(study, study_path, size, recorded_pages or DEFAULT_MEMORY // size)
    return Recipe(
        name=name,
        parameters=tuple(own_parameters(workload.said).items()),
        seed=workload.seed + replicate,
        data_pages=pages,
        page_size=size,
        front_end=settings(study.machine.model_dump()),
        generator=workload.synthetic,
        accesses=accesses,
        accesses_digest=digest,
    )


def _data_pages(study: Study, study_path: Path, page_size: int, default: int) -> int:
    memory = study.machine.data_memory
    if memory and memory % page_size:
        raise EventsError(
            f"{study_path}: data_memory is not a whole number of {page_size}-byte pages"
        )
    pages = memory // page_size if memory else default
    try:
        Machine(page_size, pages)
    except ValueError as error:
        raise EventsError(f"{study_path}: machine: {error}") from None
    return pages


def _digest(accesses: Accesses) -> str:
    columns = accesses.columns
    machine = {name: value for name, value in accesses._asdict().items() if name not in columns}
    machine.pop("source")
    digest = hashlib.sha256(repr(machine).encode())
    for column in columns.values():
        digest.update(column.tobytes())
    return digest.hexdigest()[:32]


def make_events(study: Study, inputs: Inputs) -> None:
    """Make the tables that every trial reads, where none of what makes them is searched.

    Raises
    ------
    EventsError
        When the machine's memory does not do for one.
    """
    if any(name in WORKLOAD_FIELDS for name in study.searched):
        return
    for source in inputs.workloads.sources:
        if isinstance(source, Recipe):
            source.events()
