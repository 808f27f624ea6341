"""Cleancache: clean page-cache folios that reclaim evicted, kept in unreserved tag pages.

A reservation drops what is cached in its block: no sleep, no failure, fine in atomic context.
"""

from core.costs import Int64
from core.machine import Machine
from core.policy import Policy
from core.policy_words import HeadroomMode, Placement
from core.system.cleancache.replay import (
    CACHE_TALLIES,
    CACHE_UNMOVED,
    loops_of,
    replay_cache,
)
from core.system.contract import (
    Contradiction,
    CostTable,
    System,
    Unmoved,
    Work,
    copies_ns,
    lookups_and_drops_ns,
    upkeep_ns,
)
from core.timeline.view import View, tagged_view


def _view(policy: Policy, machine: Machine) -> View:
    static = policy.headroom_mode is HeadroomMode.STATIC
    view = tagged_view(policy, machine, static_headroom=static)
    return view._replace(every_frame=policy.placement is Placement.FAR)


def _pays(work: Work, costs: CostTable) -> Int64:
    """Return the upkeep, and ``stored x copy_in_ns + restored x copy_out_ns``."""
    return upkeep_ns(work, costs) + copies_ns(work, costs["copy_in_ns"], costs["copy_out_ns"])


def _waits(work: Work, costs: CostTable) -> Int64:
    """Return ``lookups x lookup_ns + restored x copy_out_ns``, and a waited reclaim's part.

    That is ``waited_stored x copy_in_ns + waited_reclaimed x slot_drop_ns``.
    """
    copied = copies_ns(work, costs["copy_in_ns"], costs["copy_out_ns"], waited=True)
    return lookups_and_drops_ns(work, costs) + copied


CLEANCACHE = System(
    meaning="clean page-cache folios that reclaim evicted: a victim cache, dropped for tags",
    view=_view,
    replay=replay_cache,
    pays=_pays,
    waits=_waits,
    caches_copies=True,
    contradictions=(
        Contradiction(
            *("tagged_placement", "headroom_first", "headroom_mode", "dynamic"),
            "headroom_first fills the first blocks: a dynamic headroom has none of its own",
        ),
    ),
    counts=CACHE_TALLIES,
    unmoved=(*CACHE_UNMOVED, Unmoved("waited_reclaimed", (("slot_reclaim", "background"),))),
    loops=loops_of,
)
