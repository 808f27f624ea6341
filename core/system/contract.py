"""What a system is: all that the simulator and a study ask of what holds the unused tag storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.costs import Int64
from core.frontend.run import Fronted
from core.lane import SERIES_POINTS, TALLIES
from core.machine import Machine
from core.policy import Policies, Policy
from core.policy_words import Metadata
from core.timeline.prepare import Timeline
from core.timeline.view import View

CACHE_LINE_BYTES = 64


class Counted(NamedTuple):
    """The tallies of lanes, their samples of latency, and pages cached over time."""

    tallies: Int64  # [lane, tally of core.lane.TALLIES]
    samples: Int64  # [lane, bin] reserving allocations, by class and pages dropped
    series: Int64  # [lane, point] pages cached


def nothing_counted(timeline: Timeline, lanes: int) -> Counted:
    """Return room for what lanes count, all zero."""
    return Counted(
        np.zeros((lanes, len(TALLIES)), dtype=np.int64),
        np.zeros((lanes, timeline.bins), dtype=np.int64),
        np.zeros((lanes, SERIES_POINTS), dtype=np.int64),
    )


class Larger(NamedTuple):
    """What a memory that is larger by the tag storage makes of a workload's reads, in pages."""

    restored: int  # reads that it saves
    missed: int  # reads that remain
    missed_sequential: int  # of these, the sequential ones


class Samples(NamedTuple):
    """Tallies of reservation latency: how often a triple (blocks, dropped, written) occurred."""

    atomic: NDArray[np.bool_]  # [bin]
    blocks: Int64  # [bin]
    dropped: Int64  # [bin]
    written: Int64  # [bin] of those dropped, pages written to the swap device
    block_lines: Int64  # [bin] data cache lines of a block
    counts: Int64  # [lane, bin]


class Work(NamedTuple):
    """What lanes of one system did, over all workloads, for the system to say what that costs."""

    counted: Mapping[str, Int64]  # of each tally  # [lane]
    samples: Samples
    cache_lines: int  # invalidated, by reservations and by freed tagged pages
    offered_to_swap_pages: int


CostTable = Mapping[str, Int64]


class Holding(StrEnum):
    """How long a system's tag storage holds something else than what it caches."""

    AS_TAGGED = "as_tagged"  # a block is reserved while it covers a tagged page
    ALWAYS = "always"  # all of it, all the time
    AS_COUNTED = "as_counted"  # as the lane counted: a region that a hypervisor resizes


class Contradiction(NamedTuple):
    """Two words of a policy that cannot both be meant, and why."""

    field: str
    word: str
    other: str
    other_word: str
    why: str


class ReplayLoop(NamedTuple):
    """A loop over lanes that is compiled when it is first called: by eviction and form."""

    eviction: str
    form: str


#: Of each field of a policy the values that a study may give it.
Choices = Mapping[str, list[Any]]


def no_loops(choices: Choices) -> set[ReplayLoop]:
    """Return the loops of a system that has none to be compiled by eviction."""
    return set()


def reservation_ns(samples: Samples, costs: CostTable) -> Int64:
    """Return what each sample takes where what lies in the way is dropped.  # [lane, bin]

    ``reserve_base_ns + blocks x lines x cache_line_ns + dropped x slot_drop_ns``, and
    ``swap_write_ns`` for each page that is written back.
    """
    taken: Int64 = (
        costs["reserve_base_ns"][:, None]
        + (samples.blocks * samples.block_lines) * costs["cache_line_ns"][:, None]
        + samples.dropped * costs["slot_drop_ns"][:, None]
        + samples.written * costs["swap_write_ns"][:, None]
    )
    return taken


def nothing_paid(work: Work, costs: CostTable) -> Int64:
    """Return what a system pays that does nothing, or a bound at no cost.  # [lane]"""
    return np.zeros_like(work.counted["stored"])


def upkeep_ns(work: Work, costs: CostTable) -> Int64:
    """Return what every system pays that drops pages for tags.  # [lane]

    ``(restored + missed) x lookup_ns + (reclaimed + recalled + collateral) x slot_drop_ns +
    cache lines x cache_line_ns``.
    """
    counted = work.counted
    dropped = counted["reclaimed"] + counted["recalled"] + counted["collateral"]
    return (
        (counted["restored"] + counted["missed"]) * costs["lookup_ns"]
        + dropped * costs["slot_drop_ns"]
        + work.cache_lines * costs["cache_line_ns"]
    )


@dataclass(frozen=True)
class System:
    """A system: what holds the unused tag storage, and all that is asked of it.

    Parameters
    ----------
    meaning
        One line: what it is.
    view
        Return the view of a policy on a machine: what timeline it replays.
    replay
        Return what the lanes of its policies count on a timeline; the third argument is what a
        larger memory reads, where that is known. None of a system that has a front end of its own.
    count
        Of a system with a front end of its own, what its lanes count.
    pays
        Return the nanoseconds that lanes pay beside reads.
    sample_ns
        Return the nanoseconds of each sample of reservation latency.
    reads
        Policy fields that it reads, beside those whose declaration names it.
    holding
        How long its tag storage holds something else than what it caches.
    caches_copies
        Whether `stored` and `restored` are copies into and out of tag storage.
    metadata
        What describes its tag pages, whatever the policy says; None: as the policy says.
    draws
        The fields of which one must be given for `seed` to change anything, unless the eviction
        draws; None of a system that always draws.
    needs_accesses
        Why it needs accesses and cannot replay mm events; "" if it can.
    contradictions
        Words of a policy that cannot both be meant.
    loops
        Return the loops that policies of some choices call, so that they are compiled in time.
    is_bound
        Whether it is a bound to quote others against, and never the answer.
    """

    meaning: str
    view: Callable[[Policy, Machine], View]
    pays: Callable[[Work, CostTable], Int64]
    replay: Callable[[Timeline, Policies, Larger | None], tuple[Timeline, Counted]] | None = None
    count: Callable[[Timeline, Larger, Fronted, Policies], Counted] | None = None
    sample_ns: Callable[[Samples, CostTable], Int64] = reservation_ns
    reads: tuple[str, ...] = ()
    holding: Holding = Holding.AS_TAGGED
    caches_copies: bool = False
    metadata: Metadata | None = None
    draws: tuple[str, ...] | None = ()
    needs_accesses: str = ""
    contradictions: tuple[Contradiction, ...] = ()
    loops: Callable[[Choices], set[ReplayLoop]] = no_loops
    is_bound: bool = False
