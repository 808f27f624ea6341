"""Every hazard of `make soak`, in the order of the table."""

from __future__ import annotations

import schedules
from hazard import Hazard

import studies

HAZARDS: tuple[Hazard, ...] = (schedules.HAZARD, studies.HAZARD)
