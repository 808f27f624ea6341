"""A larger memory: how a workload that has accesses runs where tag storage holds pages too.

It changes what programs' accesses become, so it has a front end of its own, and is counted against
the front end of a machine whose tag storage holds nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.frontend.run import Fronted
from core.frontend.tag_storage_as_memory import TagMemory
from core.lane import (
    CACHED_PAGE_NS,
    FAILED_ATOMIC,
    FAILED_PINNED,
    MIGRATED,
    MISSED,
    RECALLED,
    RESTORED,
    SAMPLED,
    SAMPLED_BLOCKS,
    SAMPLED_DROPPED,
    SAMPLED_MIGRATED,
    SAMPLED_MIGRATING,
    SKIPPED,
)
from core.machine import Machine
from core.policy import Policies
from core.policy_words import Guests
from core.system.contract import Counted, nothing_counted
from core.timeline.guests import first_guest_block
from core.timeline.prepare import Timeline, prepare

#: Why mm events do not do for a system whose tag storage is memory.
NEEDS_ACCESSES = "gives programs more memory, and mm events do not say what they would do with it"


def tag_memory(machine: Machine, guests: Guests, guest_ratio: float) -> TagMemory:
    """Return a machine's tag storage as memory, without the blocks that cover guests' memory.

    Parameters
    ----------
    machine
        The machine.
    guests, guest_ratio
        When guests' memory is tagged, and the share of the tag blocks that covers it.
    """
    return TagMemory(
        machine.tag_blocks,
        machine.tag_block_pages,
        guest_blocks=machine.tag_blocks - first_guest_block(machine, guest_ratio),
        guests_fill=guest_ratio > 0 and guests is Guests.PKVM,
    )


def own_timeline(fronted: Fronted, machine: Machine, base: Timeline) -> Timeline:
    """Return the timeline of a larger memory, over the time of `base`, as far as it is needed.

    It has the warm-up of `base`. Slots and blocks over time are of the time of the accesses, and
    leave out as many parts of that.

    Parameters
    ----------
    fronted
        What the front end of the larger memory did.
    machine
        The machine.
    base
        The timeline of the same workload where tag storage holds nothing: its time is divided, and
        the restores that are saved, the refaults and the pages offered are counted in it.
    """
    clock = (base.start_ns, base.start_ns + base.span_ns)
    own = prepare(fronted.events, machine, clock=clock, warm_up_parts=base.warm_up_parts)
    kinds, kind_of, bins = _classes(fronted.samples)
    first = np.cumsum(bins) - bins
    changes = fronted.reserved[:, 1]
    upto = own.marks.before(fronted.reserved[:, 0])
    before = int(own.counted_in_warm_up(upto))
    held = np.concatenate([[0], np.cumsum(changes)])
    reserved_before_ns = _before(own, fronted, 3)
    nothing = np.zeros_like(first)
    return own._replace(
        reserved_series=fronted.series[:, 1] * own.block_pages,
        reservations=np.concatenate([[0], np.cumsum(changes > 0)])[upto],
        span_ns=fronted.counts["span_ns"],
        occupancy=own.occupancy._replace(
            reservations=int((changes[before:] > 0).sum()),
            releases=int((changes[before:] < 0).sum()),
            peak_reserved=int(held[before:].max()),
            block_reserved_ns=np.array([fronted.counts["reserved_ns"] - reserved_before_ns]),
        ),
        classes=np.column_stack([kinds[:, :2], first, bins, nothing, kinds[:, 2]]),
        sample_bins=first[kind_of].astype(np.int32),
        bins=int(bins.sum()),
        refaults=base.refaults,
    )


def _before(own: Timeline, fronted: Fronted, column: int) -> int:
    """Return what a column of a larger memory's series adds up to before the warm-up ends."""
    parts = own.warm_up_parts
    return int(fronted.series[parts - 1, column]) if parts else 0


def _classes(
    samples: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the (atomic, blocks, migrated) that differ, which each sample has, and their bins."""
    kinds, kind_of = np.unique(samples[:, [1, 2, 4]], axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    bins = np.zeros(kinds.shape[0], dtype=np.int64)
    np.maximum.at(bins, kind_of, samples[:, 3] + 1)
    return kinds, kind_of, bins


def count_larger(
    own: Timeline, base: Timeline, fronted: Fronted, policies: Policies
) -> tuple[Timeline, Counted]:
    """Return what lanes count whose tag storage is memory: the same in each, whatever it costs.

    `restored` counts the reads that this saves: those of `base`, less those that remain.
    """
    counted = nothing_counted(own, policies.size)
    missed = base.marks.moved_to(own.marks, base.all_missed)
    tallies = own.all_missed.copy()
    tallies[:, SKIPPED] = missed[:, SKIPPED]
    tallies[:, RESTORED] = missed[:, MISSED] - own.all_missed[:, MISSED]
    tallies[-1, CACHED_PAGE_NS] = fronted.counts["used_ns"] - _before(own, fronted, 2)
    _add_samples(own, fronted, tallies)
    counted.tallies[:] = tallies
    first = int(own.counted_in_warm_up(tallies[:, SAMPLED]))
    places = (own.sample_bins + fronted.samples[:, 3])[first:]
    counted.samples[:] = np.bincount(places, minlength=own.bins)
    counted.series[:] = fronted.series[:, 0]
    return own._replace(all_missed=missed), counted


def _add_samples(own: Timeline, fronted: Fronted, tallies: NDArray[np.int64]) -> None:
    """Add the samples of latency, and failures, up to each mark to the tallies.  # [mark, tally]"""
    time_ns, _, blocks, dropped, migrated = fronted.samples.T
    failed_ns, pinned, atomic = fronted.failed.T
    for tally, at_ns, values in (
        (SAMPLED, time_ns, np.ones_like(time_ns)),
        (SAMPLED_BLOCKS, time_ns, blocks),
        (SAMPLED_DROPPED, time_ns, dropped),
        (SAMPLED_MIGRATED, time_ns, migrated),
        (SAMPLED_MIGRATING, time_ns, migrated > 0),
        (RECALLED, time_ns, dropped),
        (MIGRATED, time_ns, migrated),
        (FAILED_PINNED, failed_ns, pinned),
        (FAILED_ATOMIC, failed_ns, atomic),
    ):
        tallies[:, tally] = np.concatenate([[0], np.cumsum(values)])[own.marks.before(at_ns)]
