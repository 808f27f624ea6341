"""Carveout: the static carve-out of today. Tag storage holds tags only, all of it, always."""

from __future__ import annotations

from core.eviction.queue import MISSED, MISSED_SEQUENTIAL, SKIPPED
from core.policy import Policies
from core.system.counted import Counted, nothing_counted
from core.timeline.prepare import Timeline


def replay_carveout(timeline: Timeline, policies: Policies) -> Counted:
    """Return what lanes count: every store is skipped, every restore missed."""
    counted = nothing_counted(timeline, policies.lanes)
    counted.tallies[:, SKIPPED] = timeline.offered_pages
    counted.tallies[:, MISSED] = timeline.restore_pages
    counted.tallies[:, MISSED_SEQUENTIAL] = timeline.restore_sequential_pages
    return counted
