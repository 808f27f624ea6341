"""What lanes counted in a replay, before costs: of one system together, and of a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.costs import Int64
from core.lane import STANDINGS, TALLIES
from core.machine import Machine
from core.policy import Policies
from core.system import SYSTEMS
from core.system.contract import CACHE_LINE_BYTES, Counted, Holding, Samples, System
from core.timeline.prepare import Timeline


class Replayed(NamedTuple):
    """What the lanes of one system counted on one timeline, before costs."""

    system: str
    policies: Policies  # [lane] as the system reads them
    counted: Counted
    ideal_restored: int  # pages, by the bound
    timeline: Timeline
    machine: Machine

    @property
    def traits(self) -> System:
        """What the system is."""
        traits: System = SYSTEMS[self.system]
        return traits

    @property
    def lanes(self) -> int:
        """Number of lanes."""
        return int(self.policies.size)

    @property
    def block_lines(self) -> int:
        """Data cache lines of a tag block."""
        return self.machine.tag_block_pages * self.machine.page_size // CACHE_LINE_BYTES

    @property
    def totals(self) -> Int64:
        """What lanes counted in all, after the warm-up.  # [lane, tally]"""
        tallies = self.counted.tallies
        at_the_end: Int64 = tallies[:, -1]
        if not self.timeline.warm_up_marks:
            return at_the_end
        totals = at_the_end - tallies[:, self.timeline.warm_up_marks - 1]
        totals[:, STANDINGS] = at_the_end[:, STANDINGS]
        return totals

    def of(self, lanes: NDArray[np.int64]) -> Replayed:
        """Return what some of the lanes counted."""
        counted = Counted(*(array[lanes] for array in self.counted))
        return self._replace(policies=self.policies[lanes], counted=counted)


class Outcomes(NamedTuple):
    """What B policies counted on one workload: lanes of one system on one timeline together.

    Lane `i` of the batch is lane `place_of[i]` of ``groups[group_of[i]]``.
    """

    groups: tuple[Replayed, ...]
    group_of: NDArray[np.int64]  # [lane]
    place_of: NDArray[np.int64]  # [lane]

    @property
    def tallies(self) -> Int64:
        """What every lane counted, in the order of `core.lane.TALLIES`.  # [lane, tally]"""
        tallies = np.zeros((self.group_of.size, len(TALLIES)), dtype=np.int64)
        for number, group in enumerate(self.groups):
            mine = self.group_of == number
            tallies[mine] = group.totals[self.place_of[mine]]
        return tallies

    def of(self, lanes: Sequence[int]) -> Outcomes:
        """Return what some lanes counted, each as often as it is named."""
        return self._replace(
            group_of=self.group_of[lanes],
            place_of=self.place_of[lanes],
        )

    def lane(self, lane: int) -> Replayed:
        """Return what one lane counted."""
        group: Replayed = self.groups[self.group_of[lane]]
        return group.of(self.place_of[[lane]])


def outcomes_of_groups(parts: Sequence[tuple[NDArray[np.int64], Replayed]], lanes: int) -> Outcomes:
    """Return the outcomes of `lanes` lanes from (lanes of the batch, what they counted)."""
    group_of, place_of = np.zeros(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64)
    for number, (mine, _) in enumerate(parts):
        group_of[mine], place_of[mine] = number, np.arange(mine.size)
    return Outcomes(tuple(group for _, group in parts), group_of, place_of)


def samples_of(run: Replayed) -> Samples:
    """Return the latency tallies of every lane, without the bins that all lanes left empty."""
    classes = run.timeline.classes
    bins = classes[:, 3]
    used = np.flatnonzero(run.counted.samples.any(axis=0))
    dropped = np.arange(int(bins.sum()), dtype=np.int64) - np.repeat(classes[:, 2], bins)
    return Samples(
        atomic=np.repeat(classes[:, 0] == 1, bins)[used],
        blocks=np.repeat(classes[:, 1], bins)[used],
        dropped=dropped[used],
        written=np.repeat(classes[:, 4], bins)[used],
        migrated=np.repeat(classes[:, 5], bins)[used],
        block_lines=np.full(used.size, run.block_lines, dtype=np.int64),
        counts=run.counted.samples[:, used],
    )


#: What a series tells of each of its moments: time since the first event, and pages of tag storage.
SERIES = (
    "series_time_ns",
    "series_reserved_pages",
    "series_cached_pages",
    "series_empty_pages",
)


def series_of(run: Replayed) -> dict[str, Int64]:
    """Return what tag storage holds over time.  # each [lane, point]

    Headroom that is not reserved counts as empty, and the pages that a region lacks as reserved.
    """
    timeline, cached = run.timeline, run.counted.series
    held = np.broadcast_to(timeline.reserved_series, cached.shape)
    if run.traits.holding is Holding.ALWAYS:
        held = np.full(cached.shape, timeline.slots)
    points = cached.shape[1]
    times = np.array([timeline.span_ns * (point + 1) // points for point in range(points)])
    return {
        "series_time_ns": np.broadcast_to(times, cached.shape),
        "series_reserved_pages": held,
        "series_cached_pages": cached,
        "series_empty_pages": timeline.slots - held - cached,
    }
