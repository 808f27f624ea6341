"""Migrate-CMA: tag storage is movable memory for what is not tagged (RFC v3's way).

"Add support for arm64 MTE dynamic tag storage reuse" (RFC v2 and v3): a reservation migrates what
lies in its block. `restored` counts the reads that this saves: those of the same workload where tag
storage holds nothing, less those that remain.
"""

from __future__ import annotations

from core.costs import Int64
from core.frontend.run import Fronted
from core.lane import (
    CACHED_PAGE_NS,
    FAILED_ATOMIC,
    FAILED_PINNED,
    MIGRATED,
    MISSED,
    MISSED_SEQUENTIAL,
    RESTORED,
    SKIPPED,
)
from core.machine import Machine
from core.policy import Policies, Policy
from core.policy_words import Metadata
from core.system.contract import (
    CostTable,
    Counted,
    Larger,
    Samples,
    System,
    Work,
    nothing_counted,
)
from core.system.larger_memory import tag_memory
from core.timeline.prepare import Timeline
from core.timeline.view import View, guests_view


def _view(policy: Policy, machine: Machine) -> View:
    memory = tag_memory(machine, policy.guests, policy.guest_ratio)._replace(
        pinned_ratio=policy.pinned_ratio,
        pin_duration_ns=policy.pin_duration_ns if policy.pinned_ratio else 0,
        pinned_on_purpose=policy.pinned_on_purpose,
        seed=policy.seed if policy.pinned_ratio else 0,
    )
    return guests_view(policy)._replace(tag_memory=memory)


def _count(timeline: Timeline, larger: Larger, fronted: Fronted, policies: Policies) -> Counted:
    """Return what lanes count, of one policy whatever it costs: the same in each."""
    counted = nothing_counted(timeline, policies.size)
    tallies = counted.tallies
    tallies[:, SKIPPED] = timeline.offered_pages
    tallies[:, RESTORED] = larger.restored
    tallies[:, MISSED] = larger.missed
    tallies[:, MISSED_SEQUENTIAL] = larger.missed_sequential
    tallies[:, MIGRATED] = fronted.counts["migrated_pages"]
    tallies[:, FAILED_PINNED] = fronted.counts["failed_pinned"]
    tallies[:, FAILED_ATOMIC] = fronted.counts["failed_atomic"]
    tallies[:, CACHED_PAGE_NS] = fronted.counts["used_ns"]
    first = {(int(atomic), int(blocks)): int(at) for atomic, blocks, at, _, _ in timeline.classes}
    for (atomic, blocks, moved), count in fronted.samples.items():
        counted.samples[:, first[atomic, blocks] + moved] = count
    counted.series[:] = [used for used, _ in fronted.series]
    return counted


def _sample_ns(samples: Samples, costs: CostTable) -> Int64:
    """Return what each sample takes where what lies in the way is migrated.  # [lane, bin]

    ``reserve_base_ns + blocks x lines x cache_line_ns + migrated x migrate_page_ns``, and
    ``migrate_base_ns`` if anything is.
    """
    taken: Int64 = (
        costs["reserve_base_ns"][:, None]
        + (samples.blocks * samples.block_lines) * costs["cache_line_ns"][:, None]
        + samples.dropped * costs["migrate_page_ns"][:, None]
        + (samples.dropped > 0) * costs["migrate_base_ns"][:, None]
    )
    return taken


def _pays(work: Work, costs: CostTable) -> Int64:
    """Return ``cache lines x cache_line_ns + migrated x migrate_page_ns``, and the base of each.

    A reservation that migrates anything pays ``migrate_base_ns`` besides.
    """
    migrating = (work.samples.counts * (work.samples.dropped > 0)).sum(axis=1)
    paid: Int64 = (
        work.cache_lines * costs["cache_line_ns"]
        + work.counted["migrated"] * costs["migrate_page_ns"]
        + migrating * costs["migrate_base_ns"]
    )
    return paid


MIGRATE_CMA = System(
    meaning="any movable allocation: a reservation migrates what lies in its block",
    view=_view,
    count=_count,
    pays=_pays,
    sample_ns=_sample_ns,
    metadata=Metadata.MEMMAP,
    draws=("pinned_ratio",),
    needs_accesses=(
        "gives programs more memory, and mm events do not say what they would do with it"
    ),
)
