"""Virtio-tmem: a hypervisor's region of memory behind the hooks of a cleancache.

It is no tag storage: the hypervisor resizes it at will, and may take pages of it unasked, which
shows when they are looked up (D. Hildenbrand in "arm64 MTE tag storage reuse - alternatives to
MIGRATE_CMA"). Its loop is the cleancache's.
"""

from __future__ import annotations

from math import floor

from core.costs import Int64
from core.machine import Machine
from core.policy import Policy
from core.system.cleancache.replay import (
    CACHE_TALLIES,
    CACHE_UNMOVED,
    loops_of,
    replay_cache,
)
from core.system.contract import (
    SAMPLE_TALLIES,
    Choices,
    CostTable,
    Holding,
    ReplayLoop,
    System,
    Work,
    copies_ns,
    lookups_and_drops_ns,
    upkeep_ns,
)
from core.timeline.changes import Region
from core.timeline.view import View


def _view(policy: Policy, machine: Machine) -> View:
    most = max(1, floor(policy.tmem_ratio * machine.data_pages))
    least = most - floor(policy.tmem_swing * most)
    return View(region=Region(most, least, policy.tmem_period_ns if least < most else 0))


def _pays(work: Work, costs: CostTable) -> Int64:
    """Return the upkeep, and ``stored x tmem_copy_in_ns + restored x tmem_copy_out_ns``."""
    copied = copies_ns(work, costs["tmem_copy_in_ns"], costs["tmem_copy_out_ns"])
    return upkeep_ns(work, costs) + copied


def _waits(work: Work, costs: CostTable) -> Int64:
    """Return what a cleancache waits for, at the costs of the hypervisor's copies."""
    into, out_of = costs["tmem_copy_in_ns"], costs["tmem_copy_out_ns"]
    return lookups_and_drops_ns(work, costs) + copies_ns(work, into, out_of, waited=True)


def _loops(choices: Choices) -> set[ReplayLoop]:
    # A region is resized slot by slot, which the loops that know only the queue cannot.
    return loops_of(choices, always_placed=True)


TMEM = System(
    meaning="a hypervisor's region, which it resizes at will: a cleancache that is no tag storage",
    view=_view,
    replay=replay_cache,
    pays=_pays,
    waits=_waits,
    holding=Holding.AS_COUNTED,
    caches_copies=True,
    beyond="it is a hypervisor's memory, and no tag storage",
    draws=("discard_ratio",),
    counts=CACHE_TALLIES - SAMPLE_TALLIES,
    unmoved=CACHE_UNMOVED,
    loops=_loops,
)
