"""Repairs an event table: drops the rows that no kernel could have produced."""

from __future__ import annotations

import numpy as np

from core.events import FAULTS, NO_FAULT, Events, faults_of, make_events


def repair(events: Events) -> tuple[Events, dict[str, int]]:
    """Return the table without its bad rows, and how many rows were dropped by fault.

    `events` is a table that `read_events` returned with ``check=False``. Other rows are checked as
    if a dropped row were not there, so a free is dropped too when its allocation was dropped.
    """
    faults = faults_of(events)
    good = faults == NO_FAULT
    columns = {name: column[good] for name, column in events.columns.items()}
    kept = make_events(
        columns, page_size=events.page_size, data_pages=events.data_pages, source=events.source
    )
    dropped = np.bincount(faults[~good], minlength=len(FAULTS))
    return kept, {
        fault.summary: int(count) for fault, count in zip(FAULTS, dropped, strict=True) if count
    }
