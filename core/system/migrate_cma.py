"""Migrate-CMA: tag storage is movable memory for what is not tagged (RFC v3's way).

It changes what programs' accesses become, so it has a front end of its own, and is counted against
the one of a machine whose tag storage holds nothing: `restored` are pages that were read there and
not here. The ideal of a workload that has accesses may be such a machine too, emptied at no cost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.eviction.queue import (
    CACHED_PAGE_NS,
    FAILED_ATOMIC,
    FAILED_PINNED,
    MIGRATED,
    MISSED,
    MISSED_SEQUENTIAL,
    RESTORED,
    SKIPPED,
)
from core.frontend.run import Fronted
from core.frontend.tag_storage_as_memory import TagMemory
from core.machine import Machine
from core.policy import Guests, Policies, Policy, System
from core.system.counted import Counted, nothing_counted
from core.timeline.guests import first_guest_block
from core.timeline.prepare import RESIZE, Timeline, prepare


class Larger(NamedTuple):
    """What a larger memory reads, in place of what the workload's own does."""

    restored: int
    missed: int
    missed_sequential: int


def tag_memory_of(policy: Policy, machine: Machine) -> TagMemory:
    """Return the tag storage that holds pages under a policy: migrate-CMA's, or the ideal."""
    memory = TagMemory(
        machine.tag_blocks,
        machine.tag_block_pages,
        guest_blocks=machine.tag_blocks - first_guest_block(machine, policy.guest_ratio),
        guests_fill=policy.guest_ratio > 0 and policy.guests is Guests.PKVM,
    )
    if policy.system is System.IDEAL:
        return memory._replace(is_ideal=True)
    return memory._replace(
        pinned_ratio=policy.pinned_ratio,
        pin_duration_ns=policy.pin_duration_ns if policy.pinned_ratio else 0,
        pinned_on_purpose=policy.pinned_on_purpose,
        seed=policy.seed if policy.pinned_ratio else 0,
    )


def compare(base: Timeline, fronted: Fronted, machine: Machine) -> tuple[Timeline, Larger]:
    """Return the timeline of a larger memory as far as outcomes need it, and what it reads.

    What would be read without it, and what that is compared with, are the base's.
    """
    own = prepare(fronted.events, machine)
    pairs = sorted({(atomic, blocks) for atomic, blocks, _ in fronted.samples})
    bins = [
        1 + max(moved for atomic, blocks, moved in fronted.samples if (atomic, blocks) == pair)
        for pair in pairs
    ]
    first = np.cumsum(bins, dtype=np.int64) - bins
    classes = [(*pair, at, most, 0) for pair, at, most in zip(pairs, first, bins, strict=True)]
    counts = fronted.counts
    reserved = np.array([blocks for _, blocks in fronted.series], dtype=np.int64)
    seen = own._replace(
        # What was reserved is what was emptied, over the time of the accesses; told as the sizes of
        # a region, whose other pages are reserved.
        word=np.full(reserved.size, RESIZE, dtype=np.int16),
        page=(own.slots - reserved * own.block_pages).astype(np.int32),
        series_steps=np.arange(reserved.size + 1),
        span_ns=counts["span_ns"],
        occupancy=own.occupancy._replace(
            reservations=counts["reservations"],
            releases=counts["releases"],
            peak_reserved=counts["peak_reserved"],
            block_reserved_ns=np.array([counts["reserved_ns"]]),
        ),
        classes=np.array(classes, dtype=np.int64).reshape(-1, 5),
        sample_bins=np.empty(0, dtype=np.int32),
        bins=sum(bins),
        refaults=base.refaults,
        offered_pages=base.offered_pages,
        restore_pages=base.restore_pages,
        restore_sequential_pages=base.restore_sequential_pages,
    )
    saved = base.restore_pages - own.restore_pages
    return seen, Larger(saved, own.restore_pages, own.restore_sequential_pages)


def count_migrate_cma(
    timeline: Timeline, larger: Larger, fronted: Fronted, policies: Policies
) -> Counted:
    """Return what lanes count, of one policy whatever it costs: the same in each."""
    counted = nothing_counted(timeline, policies.lanes)
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
