"""What a study reads: its event tables, checked for the machine it names."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from core.events import EventsError, digest_events, read_events
from core.machine import Machine
from sweep.batch import Workloads
from sweep.study import Study


class Inputs(NamedTuple):
    """The workloads of a study, their names and digests, and what the user should know."""

    workloads: Workloads
    names: list[str]
    digests: list[str]
    warnings: list[str]


def load_inputs(study: Study, study_path: Path) -> Inputs:
    """Return the event tables of a study.

    Raises
    ------
    EventsError
        When a table cannot be replayed on the machine that the study names.
    """
    tables, page_sizes, data_pages, names, digests, warnings = [], [], [], [], [], []
    for workload in study.workload:
        path = study_path.parent / workload.trace
        page_size = study.machine.page_size
        events = read_events(path)
        size = page_size or events.page_size
        memory = study.machine.data_memory
        pages = memory // size if memory else events.data_pages
        if memory and memory % size:
            raise EventsError(
                f"{study_path}: data_memory is not a whole number of {size}-byte pages"
            )
        if size != events.page_size:
            warnings.append(f"{path}: captured with {events.page_size}-byte pages, not {size}")
        if pages != events.data_pages:
            warnings.append(
                f"{path}: captured with {events.data_pages} data pages, replayed with {pages}"
            )
            read_events(path, pages)
        try:
            Machine(size, pages)
        except ValueError as error:
            raise EventsError(f"{study_path}: machine: {error}") from None
        tables.append(events)
        page_sizes.append(size)
        data_pages.append(pages)
        names.append(workload.trace)
        digests.append(f"{digest_events(events)} {size} {pages}")
    workloads = Workloads(tuple(tables), tuple(page_sizes), tuple(data_pages))
    return Inputs(workloads, names, digests, warnings)
