"""Carveout: the static carve-out of today. Tag storage holds tags only, all of it, always."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.eviction.queue import MISSED, MISSED_SEQUENTIAL, SKIPPED, TALLIES
from core.timeline import Timeline


def tallies(timeline: Timeline) -> NDArray[np.int64]:
    """Return what a lane counts: every store is skipped, every restore missed.  # [TALLIES]"""
    counted = np.zeros(len(TALLIES), dtype=np.int64)
    counted[SKIPPED] = timeline.offered_pages
    counted[MISSED] = timeline.restore_pages
    counted[MISSED_SEQUENTIAL] = timeline.restore_sequential_pages
    return counted
