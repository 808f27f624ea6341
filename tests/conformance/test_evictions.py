"""Laws of every eviction; a new line of `EVICTIONS` is under them at once."""

from __future__ import annotations

from dataclasses import replace

import fixed_streams
import numpy as np
import pytest
from cache_traces import as_stream, belady_misses, pages_of_units
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ALLOC, INVALIDATE, RESTORE, STORE, TAGGED, Event
from streams import (
    as_events,
    compiled,
    machines,
    pages_of,
    policies,
    samples_counted,
    streams,
    tallies_of,
)

from core.backend import replay
from core.eviction import EVICTIONS
from core.lane import CACHED, PEAK_CACHED
from core.machine import Machine
from core.policy import Policy
from core.policy_words import Drop, Restore

every_eviction = pytest.mark.parametrize("eviction", list(EVICTIONS))
THAT_EVICT = [word for word in EVICTIONS if EVICTIONS[word].evicts]


def policies_of(eviction: str) -> st.SearchStrategy[Policy]:
    """Return policies of a cleancache with an eviction."""
    return policies([eviction]).map(lambda policy: replace(policy, system="cleancache"))


def skewed_units(count: int = 400, units: int = 60) -> list[int]:
    """Return requests most of which are for a few units, the same every day."""
    return np.random.default_rng(5).zipf(1.3, count).clip(max=units).tolist()


@every_eviction
@settings(max_examples=30)
@given(st.data())
def test_pages_are_conserved(eviction: str, data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    policy = data.draw(policies_of(eviction))
    counts = tallies_of(replay(as_events(stream, machine), machine, policy))
    assert counts["stored"] + counts["skipped"] + counts["stale"] == pages_of(stream, STORE)
    assert counts["restored"] + counts["missed"] == pages_of(stream, RESTORE)
    gone = ("reclaimed", "recalled", "collateral", "invalidated", "stale", "overwritten", "cached")
    left = sum(counts[name] for name in gone)
    if policy.restore is Restore.EXCLUSIVE:
        left += counts["restored"]
    assert counts["stored"] == left


@every_eviction
@settings(max_examples=30)
@given(st.data())
def test_no_more_pages_are_cached_than_slots_lie_outside_the_headroom(
    eviction: str, data: st.DataObject
) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    policy = data.draw(policies_of(eviction))
    outcomes = replay(events, machine, policy)
    headroom_pages = int(policy.headroom * machine.tag_blocks) * machine.tag_block_pages
    assert outcomes.tallies[0, PEAK_CACHED] <= machine.slots - headroom_pages


@every_eviction
@settings(max_examples=15)
@given(st.data())
def test_a_lane_ignores_its_neighbours(eviction: str, data: st.DataObject) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    policy = data.draw(policies_of(eviction))
    neighbours = data.draw(st.lists(policies(list(EVICTIONS)), min_size=1, max_size=4))
    place = data.draw(st.integers(0, len(neighbours)))
    batch = [*neighbours[:place], policy, *neighbours[place:]]
    together, alone = replay(events, machine, batch), replay(events, machine, policy)
    assert tallies_of(together, place) == tallies_of(alone)
    assert samples_counted(together, place) == samples_counted(alone)


@every_eviction
@settings(max_examples=20)
@given(st.lists(st.integers(0, 12), max_size=150), st.integers(1, 8), st.integers(0, 3), st.data())
def test_none_beats_clairvoyant_eviction_at_zero_tags(
    eviction: str, units: list[int], slots: int, order: int, data: st.DataObject
) -> None:
    machine, stream = as_stream(units, slots, order)
    policy = data.draw(policies_of(eviction))
    counts = tallies_of(replay(as_events(stream, machine), machine, policy))
    assert counts["missed"] >= belady_misses(pages_of_units(units, order), slots)


@pytest.mark.parametrize("order", [0, 3])
@every_eviction
def test_an_unbounded_cache_misses_each_page_once(eviction: str, order: int) -> None:
    units = skewed_units()
    machine, stream = as_stream(units, 1000, order)
    policy = Policy(eviction=eviction, folio_order=order)
    counts = tallies_of(replay(as_events(stream, machine), machine, policy))
    assert counts["missed"] == len(set(units)) << order
    assert counts["reclaimed"] == 0


@pytest.mark.parametrize("eviction", THAT_EVICT)
@settings(max_examples=40)
@given(st.data())
def test_no_victim_is_the_unit_that_is_being_stored(eviction: str, data: st.DataObject) -> None:
    # A unit loses pages, which others take: no slot is free when it is stored in whole again.
    order = data.draw(st.integers(1, 3))
    size = 1 << order
    others = list(range(data.draw(st.integers(1, 12))))
    lost = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=min(size, len(others))))
    before = data.draw(st.integers(0, len(others) - len(lost)))
    touched = data.draw(st.lists(st.sampled_from(others), max_size=6))
    unit = Event(0, STORE, 1, 0, order, 0, 1)
    stream = [
        *(Event(0, STORE, 2, page, 0, 0, 1) for page in others[:before]),
        unit,
        *(Event(0, INVALIDATE, 1, page, 0, 0, 0) for page in lost),
        *(Event(0, STORE, 2, page, 0, 0, 1) for page in others[before:]),
        *(Event(0, RESTORE, 2, page, 0, 0, 0) for page in touched),
        *([unit._replace(op=RESTORE)] if data.draw(st.booleans()) else []),
    ]
    machine = Machine(4096, 32 * (size - len(lost) + len(others)))
    policy = Policy(eviction=eviction, folio_order=order)
    full = tallies_of(replay(as_events(stream, machine), machine, policy))
    assert (full["cached"], full["reclaimed"]) == (machine.slots, 0)
    stream += [unit, unit._replace(op=RESTORE)]
    counts = tallies_of(replay(as_events(stream, machine), machine, policy))
    assert counts["restored"] == full["restored"] + size


@every_eviction
def test_what_does_not_evict_reclaims_nothing_and_what_does_skips_nothing(eviction: str) -> None:
    machine, stream = as_stream(skewed_units(), 20)
    counts = tallies_of(replay(as_events(stream, machine), machine, Policy(eviction=eviction)))
    assert (counts["reclaimed"] > 0) == EVICTIONS[eviction].evicts
    assert (counts["skipped"] > 0) == (not EVICTIONS[eviction].evicts)


@pytest.mark.parametrize("order", [0, 2])
@every_eviction
def test_a_seed_changes_something_where_the_eviction_draws_and_only_there(
    eviction: str, order: int
) -> None:
    machine, stream = as_stream(skewed_units(), 20, order)
    batch = [Policy(eviction=eviction, folio_order=order, seed=seed) for seed in range(8)]
    tallies = replay(as_events(stream, machine), machine, batch).tallies
    assert (len(np.unique(tallies, axis=0)) > 1) == EVICTIONS[eviction].draws


@every_eviction
@settings(max_examples=10)
@given(st.data())
def test_dropping_pages_has_no_collateral(eviction: str, data: st.DataObject) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    policy = data.draw(policies_of(eviction))
    if policy.drop is Drop.FOLIO:
        policy = replace(policy, folio_order=0)
    assert tallies_of(replay(events, machine, policy))["collateral"] == 0


@every_eviction
@settings(max_examples=10)
@given(st.data())
def test_nothing_stays_cached_when_every_frame_is_tagged(
    eviction: str, data: st.DataObject
) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    end_ns = stream[-1].time_ns if stream else 0
    stream += [Event(end_ns, ALLOC, 0, 0, 0, frame, TAGGED) for frame in range(machine.data_pages)]
    policy = data.draw(policies_of(eviction))
    outcomes = replay(as_events(stream, machine), machine, policy)
    assert outcomes.tallies[0, CACHED] == 0


@pytest.fixture(scope="module")
def modes() -> fixed_streams.Modes:
    return fixed_streams.counts_by_mode("counts_of_evictions")


@compiled
@every_eviction
def test_compiled_code_equals_plain_python(eviction: str, modes: fixed_streams.Modes) -> None:
    assert len(modes.plain[eviction]) > 20
    assert modes.compiled[eviction] == modes.plain[eviction]


def test_clairvoyant_eviction_by_hand() -> None:
    # 2 slots; a b c a b: c is never used again and is not kept.
    assert belady_misses([1, 2, 3, 1, 2], 2) == 3
    assert belady_misses([1, 2, 1, 2], 2) == 2
    assert belady_misses([1, 2, 3, 2, 1, 3], 1) == 5  # 2 is kept past 3; nothing else helps


def test_pages_of_units_are_those_of_the_stream() -> None:
    machine, stream = as_stream([2, 0], 4, order=1)
    assert machine == Machine(4096, 128)
    assert [(event.op, event.index, event.order) for event in stream] == [
        (RESTORE, 4, 1), (STORE, 4, 1), (RESTORE, 0, 1), (STORE, 0, 1),
    ]  # fmt: skip
    assert pages_of_units([2, 0], 1) == [4, 5, 0, 1]
