"""Laws that hold for every policy on every stream; a new enum member is under them at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import as_events, compiled, machines, policies, streams

from core.backend import replay
from core.events import RESTORE, STORE, read_events
from core.eviction import EVICTIONS
from core.lane import CACHED, PEAK_CACHED, TALLIES
from core.machine import Machine
from core.outcomes import measure
from core.policy import Drop, Policy
from core.replayed import Outcomes

ANY = list(EVICTIONS)


def counted(outcomes: Outcomes, lane: int = 0) -> dict[str, int]:
    return dict(zip(TALLIES, outcomes.tallies[lane].tolist(), strict=True))


def pages_of(stream: list, op: int) -> int:
    return sum(1 << event.order for event in stream if event.op == op)


@settings(max_examples=200)
@given(st.data())
def test_pages_are_conserved(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    policy = data.draw(policies(ANY))
    found = counted(replay(as_events(stream, machine), machine, [policy]))
    assert found["stored"] + found["skipped"] + found["stale"] == pages_of(stream, STORE)
    assert found["restored"] + found["missed"] == pages_of(stream, RESTORE)
    gone = ("reclaimed", "recalled", "collateral", "invalidated", "stale", "overwritten", "cached")
    left = sum(found[name] for name in gone)
    if policy.restore == "exclusive":
        left += found["restored"]
    assert found["stored"] == left


@settings(max_examples=200)
@given(st.data())
def test_no_more_pages_are_cached_than_slots_lie_outside_the_headroom(
    data: st.DataObject,
) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    policy = data.draw(policies(ANY))
    outcomes = replay(as_events(stream, machine), machine, [policy])
    headroom = int(policy.headroom * machine.tag_blocks) * machine.tag_block_pages
    assert outcomes.tallies[0, PEAK_CACHED] <= machine.slots - headroom
    columns = measure(outcomes)
    shares = [
        columns[name].tolist()[0]
        for name in ("reserved_share", "cached_share", "empty_share", "headroom_share")
    ]
    if None not in shares:
        assert sum(shares) == pytest.approx(1.0)
        assert min(shares) >= 0.0


@settings(max_examples=100)
@given(st.data())
def test_a_lane_ignores_its_neighbours(data: st.DataObject) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    batch = data.draw(st.lists(policies(ANY), min_size=2, max_size=6))
    together = replay(events, machine, batch)
    for lane, policy in enumerate(batch):
        alone = replay(events, machine, [policy])
        assert np.array_equal(together.tallies[lane], alone.tallies[0])
        both = together.lane(lane).counted, alone.lane(0).counted
        assert np.array_equal(both[0].samples, both[1].samples)


def belady_misses(requests: list[int], slots: int) -> int:
    """Return the misses of clairvoyant eviction that may also refuse to store."""
    never = len(requests)
    following = [never] * len(requests)
    seen: dict[int, int] = {}
    for i in reversed(range(len(requests))):
        following[i] = seen.get(requests[i], never)
        seen[requests[i]] = i
    cached: dict[int, int] = {}
    misses = 0
    for i, page in enumerate(requests):
        misses += page not in cached
        cached[page] = following[i]
        if len(cached) > slots:
            del cached[max(cached, key=cached.__getitem__)]
    return misses


def plain_requests(requests: list[int], slots: int) -> tuple[Machine, list]:
    """Return a cache trace as events: a restore and a store each, and no tags."""
    machine = Machine(4096, 32 * slots)
    stream = [
        reference.Event(i, op, 1, page, 0, 0, 1)
        for i, page in enumerate(requests)
        for op in (RESTORE, STORE)
    ]
    return machine, stream


def test_clairvoyant_eviction_by_hand() -> None:
    # 2 slots; a b c a b: c is never used again and is not kept.
    assert belady_misses([1, 2, 3, 1, 2], 2) == 3
    assert belady_misses([1, 2, 1, 2], 2) == 2
    assert belady_misses([1, 2, 3, 2, 1, 3], 1) == 5  # 2 is kept past 3; nothing else helps


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), max_size=150), st.integers(1, 8), st.data())
def test_no_policy_beats_clairvoyant_eviction_at_zero_tags(
    requests: list[int], slots: int, data: st.DataObject
) -> None:
    machine, stream = plain_requests(requests, slots)
    policy = data.draw(policies(ANY))
    found = counted(replay(as_events(stream, machine), machine, [policy]))
    assert found["missed"] >= belady_misses(requests, slots)


@pytest.mark.parametrize("eviction", ANY)
def test_an_unbounded_cache_misses_each_page_once(eviction: str) -> None:
    rng = np.random.default_rng(5)
    requests = rng.zipf(1.3, 400).clip(max=60).tolist()
    machine, stream = plain_requests(requests, 1000)
    policy = Policy(eviction=eviction)
    found = counted(replay(as_events(stream, machine), machine, [policy]))
    assert found["missed"] == len(set(requests))
    assert found["reclaimed"] == 0


@settings(max_examples=50)
@given(st.data())
def test_dropping_pages_has_no_collateral(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    policy = data.draw(policies(ANY))
    found = counted(replay(as_events(stream, machine), machine, [policy]))
    if policy.drop is Drop.PAGE or policy.folio_order == 0:
        assert found["collateral"] == 0
    if policy.system == "carveout":
        assert found["stored"] == found["restored"] == found["cached"] == 0


@settings(max_examples=50)
@given(st.data())
def test_nothing_stays_cached_when_every_frame_is_tagged(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    end = stream[-1].time_ns if stream else 0
    everything = [reference.Event(end, 4, 0, 0, 0, frame, 2) for frame in range(machine.data_pages)]
    policy = data.draw(policies(ANY))
    outcomes = replay(as_events([*stream, *everything], machine), machine, [policy])
    assert outcomes.tallies[0, CACHED] == 0


def test_random_eviction_takes_every_unit_about_as_often() -> None:
    # 8 pages fill 8 slots; a ninth is stored: who of the eight is missed then?
    machine = Machine(4096, 32 * 8)
    stream = [reference.Event(0, STORE, 1, page, 0, 0, 1) for page in range(9)]
    seeds = 2000
    gone = np.zeros(8)
    for page in range(8):
        probe = [*stream, reference.Event(0, RESTORE, 1, page, 0, 0, 0)]
        batch = [Policy(eviction="random", seed=seed) for seed in range(seeds)]
        gone[page] = replay(as_events(probe, machine), machine, batch).tallies[:, 4].sum()
    assert gone.sum() == seeds
    # Chi-square with 7 degrees of freedom: below 24.3 in 999 of 1000.
    assert ((gone - seeds / 8) ** 2 / (seeds / 8)).sum() < 24.3


@compiled
@pytest.mark.parametrize(("pages", "reservations"), [(1, 2_714), (2, 1_735), (4, 1_128), (8, 729)])
def test_a_capture_has_the_refaults_and_reservations_that_the_kernel_counted(
    traces: Path, pages: int, reservations: int
) -> None:
    # studies/traces/README.md: insertions after a deletion by reclaim; tag blocks taken from 0.
    events = read_events(traces / "database-mglru.parquet")
    machine = Machine(events.page_size, events.data_pages, 4096 * pages)
    columns = measure(replay(events, machine, [Policy()]))
    assert columns["refaults"].tolist() == [84_807]
    assert columns["reservations"].tolist() == [reservations]


@compiled
def test_a_large_folio_refaults_page_by_page(traces: Path) -> None:
    # The kernel counts 81,686 on this capture: all pages of a folio whose first one refaults.
    events = read_events(traces / "database-xfs.parquet")
    machine = Machine(events.page_size, events.data_pages)
    columns = measure(replay(events, machine, [Policy()]))
    assert columns["refaults"].tolist() == [81_137]


@compiled
@pytest.mark.parametrize(
    ("policy", "restored"),
    [
        (Policy(), 147),
        (Policy(admission="workingset"), 1_662),  # type: ignore[arg-type]
        (Policy(eviction="none"), 2_708),
        (Policy(eviction="none", restore="exclusive"), 4_650),  # type: ignore[arg-type]
    ],
)
def test_pages_restored_on_the_database_capture(
    traces: Path, policy: Policy, restored: int
) -> None:
    events = read_events(traces / "database-mglru.parquet")
    machine = Machine(events.page_size, events.data_pages)
    assert counted(replay(events, machine, [policy]))["restored"] == restored


@compiled
@pytest.mark.parametrize(
    ("policy", "figures"),
    [
        ({"eviction": "none", "restore": "exclusive", "folio_order": 4}, (2_433, 2_027, 0)),
        (
            {"eviction": "none", "restore": "exclusive", "folio_order": 4, "drop": "folio"},
            (2_141, 1_842, 1_370),
        ),
    ],
)
def test_pages_restored_recalled_and_collateral_on_the_large_folio_capture(
    traces: Path, policy: dict, figures: tuple[int, int, int]
) -> None:
    events = read_events(traces / "database-xfs.parquet")
    machine = Machine(events.page_size, events.data_pages)
    found = counted(replay(events, machine, [Policy(**policy)]))
    assert (found["restored"], found["recalled"], found["collateral"]) == figures
