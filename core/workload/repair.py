"""Repairs an event table: drops the rows that no kernel could have produced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events import FAULTS, JOIN, NO_FAULT, RESTORE, Events, faults_of, make_events
from core.import_losses import losses_of


def repair(events: Events) -> tuple[Events, dict[str, int]]:
    """Return the table without its bad rows, and how many rows were dropped by fault.

    `events` is a table that `read_events` returned with ``check=False``. Other rows are checked as
    if a dropped row were not there, so a free is dropped too when its allocation was dropped. That
    rows were dropped is a loss of the table.
    """
    faults = faults_of(events)
    good = faults == NO_FAULT
    columns = {name: column[good] for name, column in events.columns.items()}
    if events.requests:
        columns["flags"] = _begun_anew(events, good)
    counts = np.bincount(faults[~good], minlength=len(FAULTS)).tolist()
    dropped = {fault.summary: count for fault, count in zip(FAULTS, counts, strict=True) if count}
    where = ", ".join(f"{count:,}: {what}" for what, count in dropped.items())
    losses = (*events.losses, *losses_of({"dropped_rows": (sum(counts), where)}))
    return make_events(columns, **events.about | {"losses": losses}), dropped


def _begun_anew(events: Events, good: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the flags of the good rows; the first of what is left of a request begins it."""
    restores = events.op == RESTORE
    joins = events.flags & JOIN != 0
    request = np.cumsum(restores & ~joins)
    flags = events.flags.copy()
    kept = np.flatnonzero(good & restores)
    first = np.diff(request[kept], prepend=-1) != 0
    flags[kept[first]] &= np.uint8(~JOIN & 0xFF)
    return flags[good]
