"""A larger memory: how a workload that has accesses runs where tag storage holds pages too.

It changes what programs' accesses become, so it has a front end of its own, and is counted against
the front end of a machine whose tag storage holds nothing.
"""

from __future__ import annotations

import numpy as np

from core.frontend.run import Fronted
from core.frontend.tag_storage_as_memory import TagMemory
from core.machine import Machine
from core.policy_words import Guests
from core.system.contract import Larger
from core.timeline.guests import first_guest_block
from core.timeline.prepare import Timeline, prepare
from core.timeline.steps import RESIZE


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


def compare(base: Timeline, fronted: Fronted, machine: Machine) -> tuple[Timeline, Larger]:
    """Return the timeline of a larger memory as far as outcomes need it, and what it reads.

    Parameters
    ----------
    base
        The timeline of the same workload where tag storage holds nothing: the restores that are
        saved, the refaults and the pages offered are counted in it.
    fronted
        What the front end of the larger memory did.
    machine
        The machine of both.
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
        # How many blocks were reserved at each moment of the series is written as the sizes of a
        # region, since `series_of` takes the pages that a region lacks as reserved.
        word=np.full(reserved.size, RESIZE, dtype=np.int16),
        argument=(own.slots - reserved * own.block_pages).astype(np.int32),
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
