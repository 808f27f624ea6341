"""Every hazard of `make soak`, in the order of the table."""

from __future__ import annotations

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
from hazard import Hazard

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
