"""Migrate-CMA: tag storage is movable memory for what is not tagged (RFC v3's way).

"Add support for arm64 MTE dynamic tag storage reuse" (RFC v2 and v3): a reservation empties its
block. What is clean page cache is dropped there, as mainline does, or migrated with the rest.
`restored` counts the reads that the memory saves: those of the same workload where tag storage
holds nothing, less those that remain.
"""

from __future__ import annotations

from core.costs import Int64
from core.machine import Machine
from core.policy import Policy
from core.policy_words import Clean, Metadata, Use
from core.system.contract import (
    FAILURE_TALLIES,
    MIGRATION_TALLIES,
    READ_TALLIES,
    SAMPLE_TALLIES,
    CostTable,
    System,
    Unmoved,
    Work,
)
from core.system.larger_memory import NEEDS_ACCESSES, count_larger, tag_memory
from core.timeline.view import View, guests_view


def _view(policy: Policy, machine: Machine) -> View:
    memory = tag_memory(machine, policy.guests, policy.guest_ratio)._replace(
        used_first=policy.use is Use.FIRST,
        drops_clean=policy.clean is Clean.DROP,
        pinned_ratio=policy.pinned_ratio,
        pin_duration_ns=policy.pin_duration_ns if policy.pinned_ratio else 0,
        pinned_on_purpose=policy.pinned_on_purpose,
        seed=policy.seed if policy.pinned_ratio else 0,
    )
    return guests_view(policy)._replace(tag_memory=memory)


def _pays(work: Work, costs: CostTable) -> Int64:
    """Return ``recalled x slot_drop_ns + migrated x migrate_page_ns``, and what reservations take.

    That is ``samples x reserve_base_ns + cache lines x cache_line_ns``, and ``migrate_base_ns`` of
    each that migrates anything.
    """
    counted = work.counted
    paid: Int64 = (
        counted["recalled"] * costs["slot_drop_ns"]
        + counted["migrated"] * costs["migrate_page_ns"]
        + counted["sampled"] * costs["reserve_base_ns"]
        + counted["sampled_migrating"] * costs["migrate_base_ns"]
        + work.cache_lines * costs["cache_line_ns"]
    )
    return paid


MIGRATE_CMA = System(
    meaning="any movable allocation: a reservation drops or migrates what lies in its block",
    view=_view,
    count=count_larger,
    pays=_pays,
    metadata=Metadata.MEMMAP,
    draws=("pinned_ratio",),
    counts=READ_TALLIES
    | MIGRATION_TALLIES
    | FAILURE_TALLIES
    | (SAMPLE_TALLIES - {"sampled_written"})
    | {"recalled", "cached_page_ns"},
    unmoved=(Unmoved("recalled", (("clean", "migrate"),)),),
    needs_accesses=NEEDS_ACCESSES,
)
