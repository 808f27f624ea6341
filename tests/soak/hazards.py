"""Every hazard of `make soak`, in the order of the table."""

from __future__ import annotations

import nodes
import schedules
import workers
from hazard import Hazard

HAZARDS: tuple[Hazard, ...] = (schedules.HAZARD, workers.HAZARD, nodes.HAZARD)
