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
from core.lane import MISSED, RESTORED, SERIES_POINTS, TALLIES
from core.machine import Machine
from core.policy import Policies, Policy
from core.policy_words import Metadata
from core.timeline.prepare import Timeline
from core.timeline.view import View

CACHE_LINE_BYTES = 64


class Counted(NamedTuple):
    """What lanes counted up to each mark, their samples of latency, and pages cached over time.

    Of a timeline with a warm-up (`Timeline.warm_up_marks`) the tallies and the series are of all
    its time, and the samples of what follows the warm-up; behind the mark that ends it,
    ``peak_cached`` begins anew with the pages that are cached then.
    """

    tallies: Int64  # [lane, mark, tally of core.lane.TALLIES]
    samples: Int64  # [lane, bin] reserving allocations, by class and pages dropped
    series: Int64  # [lane, point] pages cached


def nothing_counted(timeline: Timeline, lanes: int) -> Counted:
    """Return room for what lanes count, all zero."""
    return Counted(
        np.zeros((lanes, timeline.mark_steps.size - 1, len(TALLIES)), dtype=np.int64),
        np.zeros((lanes, timeline.bins), dtype=np.int64),
        np.zeros((lanes, SERIES_POINTS), dtype=np.int64),
    )


def count_missed(timeline: Timeline, counted: Counted) -> None:
    """Fill in what lanes missed: all pages that restores name, but for those restored."""
    missed = timeline.all_missed[:, MISSED] - counted.tallies[:, :, RESTORED]
    counted.tallies[:, :, MISSED] = missed


class Samples(NamedTuple):
    """Tallies of reservation latency: how often one occurred that had so much to do."""

    atomic: NDArray[np.bool_]  # [bin]
    blocks: Int64  # [bin]
    dropped: Int64  # [bin]
    written: Int64  # [bin] of those dropped, pages written to the swap device
    migrated: Int64  # [bin]
    block_lines: Int64  # [bin] data cache lines of a block
    counts: Int64  # [lane, bin]


class Reserving(NamedTuple):
    """What samples of reservation latency had to do: one of them, or several together."""

    samples: Int64
    cache_lines: Int64
    dropped: Int64
    written: Int64
    migrated: Int64
    migrating: Int64  # samples that migrated anything


class Work(NamedTuple):
    """What lanes of one system did up to each mark, for the system to say what that costs."""

    counted: Mapping[str, Int64]  # of each tally  # [lane, mark]
    all_missed: Mapping[str, Int64]  # the same if every restore misses  # [mark]
    reserving: Reserving  # each [lane, mark]
    cache_lines: Int64  # [mark] invalidated, by reservations and by freed tagged pages


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


class Unmoved(NamedTuple):
    """A tally that is the same for all policies of a system that have some values.

    Parameters
    ----------
    tally
        The tally.
    values
        (field, value) of those values: ``("drop", "page")`` of a system that then drops no page
        beside those that a reservation hits.
    """

    tally: str
    values: tuple[tuple[str, Any], ...]


#: All tallies: what a system may count of which nothing else is known.
ALL_TALLIES = frozenset(TALLIES)
#: Those of what is read, which are others as soon as a read is saved.
READ_TALLIES = frozenset(
    (
        *("restored", "missed", "read_commands", "read_pages"),
        *("waited_requests", "waited_commands", "waited_pages"),
    )
)
#: Those of samples of reservation latency.
SAMPLE_TALLIES = frozenset(tally for tally in TALLIES if tally.startswith("sampled"))
#: Those that only a system counts which moves pages, compresses them, or cannot always reserve.
MIGRATION_TALLIES = frozenset(("migrated", "sampled_migrated", "sampled_migrating"))
COMPRESSION_TALLIES = frozenset(("compressed", "decompressed", "written", "sampled_written"))
FAILURE_TALLIES = frozenset(("failed_pinned", "failed_atomic"))

#: Of each field of a policy the values that a study may give it.
Choices = Mapping[str, list[Any]]


def no_loops(choices: Choices) -> set[ReplayLoop]:
    """Return the loops of a system that has none to be compiled by eviction."""
    return set()


def reservation_ns(reserving: Reserving, costs: CostTable) -> Int64:
    """Return what reservations take, whatever they had to do.

    ``samples x reserve_base_ns + cache lines x cache_line_ns + dropped x slot_drop_ns``, where
    pages are written back ``+ written x swap_write_ns``, and where they move ``+ migrated x
    migrate_page_ns + samples that migrate any x migrate_base_ns``.
    """
    taken: Int64 = (
        reserving.samples * costs["reserve_base_ns"]
        + reserving.cache_lines * costs["cache_line_ns"]
        + reserving.dropped * costs["slot_drop_ns"]
        + reserving.written * costs["swap_write_ns"]
        + reserving.migrated * costs["migrate_page_ns"]
        + reserving.migrating * costs["migrate_base_ns"]
    )
    return taken


def nothing_paid(work: Work, costs: CostTable) -> Int64:
    """Return what a system pays that does nothing, or a bound at no cost.  # [lane, mark]"""
    return np.zeros_like(work.counted["stored"])


def upkeep_ns(work: Work, costs: CostTable) -> Int64:
    """Return what every system pays that drops pages for tags.  # [lane, mark]

    ``lookups x lookup_ns + (reclaimed + recalled + collateral) x slot_drop_ns + samples x
    reserve_base_ns + cache lines x cache_line_ns``.
    """
    counted = work.counted
    dropped = counted["reclaimed"] + counted["recalled"] + counted["collateral"]
    upkeep: Int64 = (
        counted["lookups"] * costs["lookup_ns"]
        + dropped * costs["slot_drop_ns"]
        + counted["sampled"] * costs["reserve_base_ns"]
        + work.cache_lines * costs["cache_line_ns"]
    )
    return upkeep


def copies_ns(work: Work, in_ns: Int64, out_ns: Int64, waited: bool = False) -> Int64:
    """Return what copies into and out of a cache take: all, or those that a task waits for.

    ``stored x in + restored x out``; a task waits for every copy out, and for the copies in of a
    reclaim that it waits for.
    """
    copies_in = work.counted["waited_stored" if waited else "stored"]
    taken: Int64 = copies_in * in_ns + work.counted["restored"] * out_ns
    return taken


def lookups_and_drops_ns(work: Work, costs: CostTable) -> Int64:
    """Return what tasks wait for beside copies, reads and reservations.  # [lane, mark]

    ``lookups x lookup_ns + waited_reclaimed x slot_drop_ns``.
    """
    waited: Int64 = (
        work.counted["lookups"] * costs["lookup_ns"]
        + work.counted["waited_reclaimed"] * costs["slot_drop_ns"]
    )
    return waited


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
        Return what the lanes of its policies count on a timeline. None of a system that has a front
        end of its own.
    count
        Of a system with a front end of its own: return what its lanes count, from the timeline of
        its own front end, that of a machine where tag storage holds nothing, and what its own front
        end did.
    pays
        Return the nanoseconds that lanes pay beside reads: `cpu_ns`.  # [lane, mark]
        Costs come as [lane, 1], or as [table, 1, 1] to price lanes under several tables at once, so
        that it is a sum of products, element by element.
    waits
        Return those that tasks wait for beside reads and reservations.  # [lane, mark]
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
    counts
        The tallies that it may count; any other is what it is where every restore misses. By
        default all: so nothing is said of what its outcomes cannot be.
    unmoved
        Tallies that policies of some values have in common.
    loops
        Return the loops that policies of some choices call, so that they are compiled in time.
    beyond
        Why it is never the answer: a bound to quote others against, or other hardware; "" of what a
        machine with tag storage can have.
    """

    meaning: str
    view: Callable[[Policy, Machine], View]
    pays: Callable[[Work, CostTable], Int64]
    waits: Callable[[Work, CostTable], Int64] = nothing_paid
    replay: Callable[[Timeline, Policies], tuple[Timeline, Counted]] | None = None
    count: Callable[[Timeline, Timeline, Fronted, Policies], tuple[Timeline, Counted]] | None = None
    reads: tuple[str, ...] = ()
    holding: Holding = Holding.AS_TAGGED
    caches_copies: bool = False
    metadata: Metadata | None = None
    draws: tuple[str, ...] | None = ()
    needs_accesses: str = ""
    contradictions: tuple[Contradiction, ...] = ()
    counts: frozenset[str] = ALL_TALLIES
    unmoved: tuple[Unmoved, ...] = ()
    loops: Callable[[Choices], set[ReplayLoop]] = no_loops
    beyond: str = ""


class _Asked(dict[str, Int64]):
    """Costs of zero that remember which of them were asked for."""

    def __missing__(self, name: str) -> Int64:
        return self.setdefault(name, np.zeros((1, 1), dtype=np.int64))


def costs_paid(system: System) -> dict[str, tuple[str, ...]]:
    """Return the costs in a system's own part of `cpu_ns`, and those in its part of `wait_ns`.

    They are found by asking it what no work at all costs. Reads, and the samples of reservation
    latency that tasks wait for, are no system's own.
    """
    nothing = np.zeros((1, 1), dtype=np.int64)
    tallies = dict.fromkeys(TALLIES, nothing)
    work = Work(tallies, tallies, Reserving(*(nothing,) * len(Reserving._fields)), nothing)
    paid, waited = _Asked(), _Asked()
    system.pays(work, paid)
    system.waits(work, waited)
    return {"cpu_ns": tuple(paid), "wait_ns": tuple(waited)}
