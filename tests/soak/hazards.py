"""Every hazard of `make soak`, in the order of the table."""

from __future__ import annotations

import readers
import schedules
from hazard import Hazard

HAZARDS: tuple[Hazard, ...] = (schedules.HAZARD, readers.HAZARD)
