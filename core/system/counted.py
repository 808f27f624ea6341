"""What lanes count: the outcome of a replay before anything is worked out of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.eviction.queue import TALLIES
from core.timeline.prepare import SERIES_POINTS, Timeline


class Counted(NamedTuple):
    """The tallies of lanes, their samples of latency, and pages cached over time."""

    tallies: NDArray[np.int64]  # [lane, TALLIES]
    samples: NDArray[np.int64]  # [lane, bin] reserving allocations, by class and pages dropped
    series: NDArray[np.int64]  # [lane, point] pages cached


def nothing_counted(timeline: Timeline, lanes: int) -> Counted:
    """Return room for what lanes count, all zero."""
    return Counted(
        np.zeros((lanes, len(TALLIES)), dtype=np.int64),
        np.zeros((lanes, timeline.bins), dtype=np.int64),
        np.zeros((lanes, SERIES_POINTS), dtype=np.int64),
    )
