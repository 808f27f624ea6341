"""Every hazard of `make soak`, in the order of the table."""

from __future__ import annotations

import sys
import time

import failing_calls
import kills
import lost_syncs
import machine
import nodes
import operations
import readers
import schedules
import signals
import traces
import workers
from hazard import Counts, Hazard, Until

import studies

HAZARDS: tuple[Hazard, ...] = (
    schedules.HAZARD,
    operations.HAZARD,
    lost_syncs.HAZARD,
    failing_calls.HAZARD,
    machine.HAZARD,
    kills.HAZARD,
    workers.HAZARD,
    nodes.HAZARD,
    signals.HAZARD,
    readers.HAZARD,
    studies.HAZARD,
    traces.HAZARD,
)


def tried(name: str, first: int, seconds: float) -> tuple[Counts, float]:
    """Try the hazard of a name for so long, from a seed on; return what came, and the time."""
    (hazard,) = (each for each in HAZARDS if each.name == name)
    counts, start = Counts(), time.monotonic()
    hazard.run(first, sys.maxsize, Until(seconds), counts)
    return counts, time.monotonic() - start
