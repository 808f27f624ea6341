"""Carveout: the static carve-out of today. Tag storage holds tags only, all of it, always."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.eviction.queue import MISSED, MISSED_SEQUENTIAL, SKIPPED, TALLIES
from core.timeline import OFFERED, RESTORE_PAGES, RESTORE_SEQUENTIAL, Timeline


def tallies(timeline: Timeline) -> NDArray[np.int64]:
    """Return what a lane counts: every store is skipped, every restore missed.  # [TALLIES]"""
    counted = np.zeros(len(TALLIES), dtype=np.int64)
    counted[SKIPPED] = timeline.facts[OFFERED]
    counted[MISSED] = timeline.facts[RESTORE_PAGES]
    counted[MISSED_SEQUENTIAL] = timeline.facts[RESTORE_SEQUENTIAL]
    return counted
