"""Every hazard of `make soak`, in the order of the table."""

from __future__ import annotations

import kills
import lost_syncs
import machine
import operations
import readers
import schedules
from hazard import Hazard

HAZARDS: tuple[Hazard, ...] = (
    schedules.HAZARD,
    operations.HAZARD,
    lost_syncs.HAZARD,
    machine.HAZARD,
    kills.HAZARD,
    readers.HAZARD,
)
