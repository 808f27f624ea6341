"""Carveout: the static carve-out of today. Tag storage holds tags only, all of it, always."""

from __future__ import annotations

from core.machine import Machine
from core.policy import Policies, Policy
from core.policy_words import Metadata
from core.system.contract import Counted, Holding, System, nothing_counted, nothing_paid
from core.timeline.prepare import Timeline
from core.timeline.view import View


def _view(policy: Policy, machine: Machine) -> View:
    return View()


def _replay(timeline: Timeline, policies: Policies) -> tuple[Timeline, Counted]:
    """Return what lanes count: every store is skipped, every restore missed."""
    counted = nothing_counted(timeline, policies.size)
    counted.tallies[:] = timeline.all_missed
    return timeline, counted


CARVEOUT = System(
    meaning="nobody: the static carve-out of today, whose tag storage holds tags alone",
    view=_view,
    replay=_replay,
    pays=nothing_paid,
    counts=frozenset(),
    holding=Holding.ALWAYS,
    metadata=Metadata.NONE,
)
