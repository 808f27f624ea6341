"""Repair: a table without the rows that no kernel could have produced."""

from __future__ import annotations

import numpy as np

from core.events import FAULTS, NO_FAULT, Events, faults_of, make_events


def repair(events: Events) -> tuple[Events, dict[str, int]]:
    """Return the table without its bad rows, and how many were dropped, by what was wrong.

    `events` is as `read_events` with ``check=False`` gives it. A dropped row changes nothing: a
    free of an allocation that was dropped is dropped too.
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
