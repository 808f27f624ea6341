"""Laws of a warm-up: what is replayed first leaves its state, and counts in no outcome.

Zswap and tmem are held to their plain oracles with a warm-up in tests/core/test_zswap.py and
tests/core/test_tmem.py, a larger memory in tests/core/test_migrate_cma.py.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ALLOC, FREE, JOIN, NO_PHASE, PHASE, RESTORE, STORE, TAGGED, WANTED, Event
from streams import (
    Stream,
    as_events,
    by_reference,
    costs,
    lane_columns,
    machines,
    policies,
    policies_read_by,
    samples_counted,
    streams,
    tallies_of,
    with_swap_device,
)
from system_runs import Case, run

from core.backend import replay, view_of
from core.costs import Costs, pack_costs
from core.events import SCHEMA, make_events
from core.lane import CACHED, SERIES_POINTS
from core.machine import Machine
from core.outcomes import measure
from core.policy import Policy
from core.replayed import series_of
from core.system import SYSTEMS
from core.system.cleancache.placement import make_places
from core.system.cleancache.replay import places_of
from core.timeline.marks import parts_of_share
from core.timeline.view import prepare_view
from core.times import parts_of, phases_of, times_of

every_system = pytest.mark.parametrize("system", list(SYSTEMS))
warm_ups = st.integers(0, SERIES_POINTS - 1)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return a workload as mm events, some with a swap device, and another as accesses."""
    machine = draw(machines())
    stream = draw(streams(machine.data_pages))
    if draw(st.booleans()):
        stream = with_swap_device(stream)
    return Case(machine, as_events(stream, machine), draw(st.integers(0, 3)))


@settings(max_examples=300)
@given(st.data())
def test_every_outcome_after_a_warm_up_equals_the_reference(data: st.DataObject) -> None:
    machine: Machine = data.draw(machines())
    stream: Stream = data.draw(streams(machine.data_pages))
    policy: Policy = data.draw(policies())
    if data.draw(st.integers(0, 9)) == 0:
        policy = Policy(system="ideal")
    table: Costs = data.draw(costs)
    parts: int = data.draw(warm_ups)
    outcomes = replay(as_events(stream, machine), machine, policy, warm_up=parts / SERIES_POINTS)
    expected = by_reference(stream, machine, policy, table, warm_up_parts=parts)
    outcome_of = lane_columns(outcomes, table, 0)
    assert set(outcome_of) == set(expected.outcomes)
    # The ideal keeps pages without a store, and what it drops has no name.
    unnamed = {"stored", "skipped", "reclaimed", "copies_in"} if policy.system == "ideal" else set()
    for name, value in expected.outcomes.items():
        if name in unnamed:
            continue
        if isinstance(value, float):
            assert outcome_of[name] == pytest.approx(value, rel=1e-12, abs=1e-15), name
        else:
            assert outcome_of[name] == value, name
    assert outcomes.tallies[0, CACHED] == expected.cached
    if policy.system == "cleancache":
        tallied = {key[:3]: count for key, count in samples_counted(outcomes).items()}
        assert tallied == expected.samples


@settings(max_examples=150)
@given(st.data())
def test_phases_after_a_warm_up_equal_the_reference(data: st.DataObject) -> None:
    machine: Machine = data.draw(machines())
    stream: Stream = data.draw(streams(machine.data_pages))
    policy: Policy = data.draw(policies())
    table: Costs = data.draw(costs)
    parts: int = data.draw(warm_ups)
    outcomes = replay(as_events(stream, machine), machine, policy, warm_up=parts / SERIES_POINTS)
    lane = outcomes.lane(0)
    expected = by_reference(stream, machine, policy, table, warm_up_parts=parts)
    times = times_of(lane, pack_costs(table, 1))
    assert {name: of.tolist()[0] for name, of in parts_of(lane, times).items()} == expected.parts
    phases = phases_of(lane, times)
    waits = (phases.wait_ns[0].tolist(), phases.all_missed_wait_ns[0].tolist())
    assert list(zip(phases.names, *waits, strict=True)) == expected.phases


@every_system
@settings(max_examples=30)
@given(cases(), costs, warm_ups, st.data())
def test_what_is_counted_after_a_warm_up_is_the_whole_less_its_parts(
    system: str, case: Case, table: Costs, parts: int, data: st.DataObject
) -> None:
    policy = data.draw(policies_read_by(system))
    # The ideal alone does other things where it knows that there is a warm-up.
    lengths = (parts, parts) if system == "ideal" else (0, parts)
    whole, warm = (run(case, [policy], length) for length in lengths)
    packed = pack_costs(table, 1)
    of_parts = parts_of(whole.lane(0), times_of(whole.lane(0), packed))
    values = lane_columns(warm, table, 0)
    for name in ("read_ns", "wait_ns", "cpu_ns"):
        assert values[name] == of_parts[name][0, parts:].sum(), name
    missed_read_ns = of_parts["all_missed_read_ns"][0, parts:].sum()
    missed_wait_ns = of_parts["all_missed_wait_ns"][0, parts:].sum()
    assert values["time_saved_ns"] == missed_read_ns - values["read_ns"] - values["cpu_ns"]
    assert values["wait_saved_ns"] == missed_wait_ns - values["wait_ns"]
    # The series, by part or by moment, is that of the whole.
    warm_parts = parts_of(warm.lane(0), times_of(warm.lane(0), packed))
    assert all(np.array_equal(warm_parts[name], of_parts[name]) for name in of_parts)
    series = series_of(warm.lane(0)), series_of(whole.lane(0))
    assert all(np.array_equal(*(of[name] for of in series)) for name in series[0])


@every_system
@settings(max_examples=20)
@given(cases(), costs, st.data())
def test_a_warm_up_takes_from_every_counter_no_more_than_a_longer_one(
    system: str, case: Case, table: Costs, data: st.DataObject
) -> None:
    policy = data.draw(policies_read_by(system))
    lengths = sorted(data.draw(st.lists(warm_ups, min_size=2, max_size=3)))
    runs = [lane_columns(run(case, [policy], parts), table, 0) for parts in lengths]
    names = ["reservations", "releases", "refaults", "peak_reserved", "failed_pinned",
             "failed_atomic", "migrations", "recalled", "lookups", "metadata_bytes"]  # fmt: skip
    for shorter, longer in pairwise(runs):
        for name in names:
            assert shorter[name] >= longer[name] >= 0, name
        shares = [longer[f"{name}_share"] for name in ("reserved", "cached", "empty", "headroom")]
        if None not in shares:
            assert sum(shares) == pytest.approx(1)
            assert min(shares) >= -1e-12


@pytest.mark.parametrize("system", [word for word in SYSTEMS if SYSTEMS[word].replay is not None])
@settings(max_examples=80)
@given(cases(), warm_ups, st.data())
def test_none_whose_pages_take_a_slot_each_beats_the_ideal_after_a_warm_up(
    system: str, case: Case, parts: int, data: st.DataObject
) -> None:
    policy = data.draw(policies_read_by(system))
    outcomes = run(case, [policy], parts)
    bound, restored = outcomes.lane(0).ideal_restored, tallies_of(outcomes)["restored"]
    if system == "ideal":
        assert restored == bound
    elif view_of(policy, case.machine).pages_per_slot == 1:
        assert restored <= bound


def most_restored(stream: Stream, slots: int, after_ns: int) -> int:
    """Return how many pages any cache can restore after a moment, tried one by one.

    `stream` has no tags, and folios of one page. To keep a page from one of its events to the next,
    a restore, takes a slot for all steps between.
    """
    wanted = []
    last: dict[tuple[int, int], int] = {}
    for row, event in enumerate(stream):
        page = (event.inode, event.index)
        if event.op == RESTORE and page in last and event.time_ns > after_ns:
            wanted.append(range(last[page], row))
        last[page] = row

    def kept_from(number: int, used: tuple[int, ...]) -> int:
        if number == len(wanted):
            return 0
        best = kept_from(number + 1, used)
        more = list(used)
        for row in wanted[number]:
            more[row] += 1
        if max(more) <= slots:
            best = max(best, 1 + kept_from(number + 1, tuple(more)))
        return best

    return kept_from(0, (0,) * len(stream))


@settings(max_examples=80)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=13),
    st.integers(1, 2),
    warm_ups,
)
def test_the_ideal_restores_as_much_after_a_warm_up_as_any_choice_can(
    rows: list[tuple[bool, int]], slots: int, parts: int
) -> None:
    machine = Machine(4096, 32 * slots)
    stream = Stream(
        Event(10 * at, RESTORE if restores else STORE, 1, page, 0, 0, 0)
        for at, (restores, page) in enumerate(rows)
    )
    outcomes = replay(as_events(stream, machine), machine, Policy(system="ideal"), parts / 64)
    span_ns = stream[-1].time_ns if stream else 0
    after_ns = span_ns * parts // 64 if parts else -1
    assert tallies_of(outcomes)["restored"] == most_restored(stream, slots, after_ns)


#: Times run from 0 to 64, so that part n ends at n. One slot a block, two blocks.
BY_HAND = Stream(
    [
        Event(0, PHASE, 0, 0, 0, 0, 0),
        Event(0, STORE, 1, 0, 0, 0, 0),
        Event(4, STORE, 1, 1, 0, 0, 0),
        Event(8, RESTORE, 1, 0, 0, 0, WANTED),
        Event(10, ALLOC, 0, 0, 0, 0, TAGGED),  # recalls page 0
        Event(15, RESTORE, 1, 0, 0, 0, WANTED),  # its request ends behind the warm-up
        Event(16, PHASE, 0, 1, 0, 0, 0),
        Event(16, RESTORE, 1, 1, 0, 0, WANTED),  # the last row of part 16
        Event(17, RESTORE, 1, 2, 0, 0, JOIN),
        Event(20, PHASE, 0, NO_PHASE, 0, 0, 0),
        Event(32, FREE, 0, 0, 0, 0, 0),
        Event(40, STORE, 1, 2, 0, 0, 0),
        Event(48, RESTORE, 1, 1, 0, 0, WANTED),
        Event(64, RESTORE, 1, 0, 0, 0, WANTED),
    ],
    requests=True,
    phases=("boot", "launch"),
)
PRICES = {"read_random_ns": 1000, "read_parallel_ns": 100, "read_sequential_ns": 10}


def test_a_warm_up_by_hand() -> None:
    machine = Machine(4096, 64)
    events = as_events(BY_HAND, machine)
    policy = Policy(metadata="compact")
    table = Costs(**PRICES)
    whole = lane_columns(replay(events, machine, policy), table, 0)
    outcomes = replay(events, machine, policy, warm_up=0.25)
    warm = lane_columns(outcomes, table, 0)
    counters = ("stored", "restored", "missed", "recalled", "reservations", "releases", "lookups")
    assert [whole[name] for name in counters] == [3, 3, 3, 1, 1, 1, 6]
    # Page 1 is cached when the warm-up ends, and restored behind it; page 0 is missed.
    assert [warm[name] for name in counters] == [1, 1, 2, 0, 0, 1, 3]
    assert warm["refaults"] == 2  # of pages 1 and 0, which were stored in the warm-up
    # The request of times 16 and 17 is counted at 17, as one that nobody waits for: its wanted page
    # was found. That of time 64 is waited for.
    assert [warm[name] for name in ("read_commands", "waited_requests")] == [2, 1]
    assert warm["read_ns"] == 1 * 900 + 2 * 100
    # Block 0 is reserved up to 32 of the time from 16 to 64. Of two slots one caches page 1 until
    # 40, and both do from then on.
    assert warm["reserved_share"] == pytest.approx(16 / 96)
    assert warm["cached_share"] == pytest.approx((24 + 2 * 24) / 96)
    assert (whole["peak_reserved"], warm["peak_reserved"]) == (1, 1)
    assert (whole["metadata_bytes"], warm["metadata_bytes"]) == (32, 32)
    assert warm["amplification"] == 1
    assert (whole["reservation_max_ns"] is None, warm["reservation_max_ns"]) == (False, None)
    # The ideal, too, has one slot until 32, and can keep page 1 or page 0 from before the warm-up's
    # end to behind it. Without a warm-up it restores page 0 at 8, and page 1 twice.
    assert outcomes.lane(0).ideal_restored == 1
    assert (whole["share_of_ideal"], warm["share_of_ideal"]) == (1, 1)
    phases = phases_of(outcomes.lane(0), times_of(outcomes.lane(0), pack_costs(table, 1)))
    assert phases.names == ["launch"]


def test_the_most_after_a_warm_up_is_no_less_than_what_it_leaves() -> None:
    machine = Machine(4096, 64)
    rows = [Event(0, STORE, 1, page, 0, 0, 0) for page in range(2)]
    rows += [Event(1, ALLOC, 0, 0, 0, 0, TAGGED), Event(40, FREE, 0, 0, 0, 0, 0)]
    rows += [Event(64, RESTORE, 1, 5, 0, 0, 0)]
    policy = Policy(metadata="compact")
    warm = lane_columns(replay(as_events(rows, machine), machine, policy, 0.5), Costs(), 0)
    # Two pages were cached, and one still is at time 32, when a block is reserved.
    assert (warm["metadata_bytes"], warm["peak_reserved"]) == (16, 1)
    assert (warm["reservations"], warm["releases"], warm["stored"]) == (0, 1, 0)
    warm = lane_columns(replay(as_events(rows, machine), machine, policy, 0.75), Costs(), 0)
    assert (warm["peak_reserved"], warm["releases"], warm["amplification"]) == (0, 0, None)


def test_a_table_that_takes_no_time_is_all_warm_up() -> None:
    machine = Machine(4096, 32)
    rows = [Event(7, STORE, 1, 0, 0, 0, 0), Event(7, RESTORE, 1, 0, 0, 0, 0)]
    warm = lane_columns(replay(as_events(rows, machine), machine, Policy(), 1 / 64), Costs(), 0)
    assert (warm["stored"], warm["restored"], warm["read_ns"]) == (0, 0, 0)
    assert warm["cached_share"] is None
    none: list[Event] = []
    warm = lane_columns(replay(as_events(none, machine), machine, Policy(), 0.5), Costs(), 0)
    assert warm["restored"] == 0


def test_a_warm_up_is_a_whole_number_of_parts() -> None:
    assert [parts_of_share(part / 64) for part in range(64)] == list(range(64))
    machine = Machine(4096, 32)
    events = as_events([], machine)
    for share, told in (
        (0.3, "not 0.3: nearest is 0.296875 or 0.3125"),
        (0.99, "not 0.99: nearest is 0.984375"),
        (1.0, "at least 0 and below 1, not 1.0"),
        (-0.25, "at least 0 and below 1, not -0.25"),
        (float("nan"), "at least 0 and below 1, not nan"),
    ):
        with pytest.raises(ValueError, match=told):
            replay(events, machine, Policy(), warm_up=share)


def test_a_warm_up_is_of_the_time_that_a_region_swings_in_too() -> None:
    machine = Machine(4096, 3200)
    rows = [Event(25_000 * i, STORE, 1, i, 0, 0, 0) for i in range(101)]
    events = as_events(rows, machine)
    policy = Policy(system="tmem", tmem_ratio=0.03125, tmem_swing=0.5, tmem_period_ns=1_000_000)
    # Of the time from 1.25 to 2.5 ms the region lacks 50 of 100 pages from 1.5 to 2 ms.
    warm = lane_columns(replay(events, machine, policy, 0.5), Costs(), 0)
    assert warm["reserved_share"] == pytest.approx(0.5 * 0.5 / 1.25)
    still = lane_columns(replay(events, machine, replace(policy, tmem_swing=0.0), 0.5), Costs(), 0)
    assert still["reserved_share"] == 0


@pytest.mark.parametrize("placement", ["spread", "contiguous", "cold_block", "far"])
def test_a_placement_has_room_for_the_blocks_released_in_a_warm_up(placement: str) -> None:
    # Each release gives a block a new key, in the warm-up too: 400 of them, and 8 blocks.
    machine, rows = Machine(4096, 32 * 8), 400
    columns = {name: np.zeros(2 * rows, dtype=np.int64) for name in SCHEMA.names}
    columns["time_ns"] = np.repeat(np.arange(rows), 2)
    columns["op"] = np.tile([ALLOC, FREE], rows)
    columns["flags"] = np.tile([TAGGED, 0], rows)
    columns["pfn"] = np.repeat(np.arange(rows) % 8 * 32, 2)
    columns = {name: columns[name].astype(SCHEMA.field(name).type.to_pandas_dtype())
               for name in SCHEMA.names}  # fmt: skip
    events = make_events(columns, page_size=4096, data_pages=machine.data_pages, source="")
    policy = Policy(placement=placement)  # type: ignore[arg-type]
    counted = [measure(replay(events, machine, [policy], warm_up=share)) for share in (0.0, 0.75)]
    releases, after = (int(columns["releases"][0]) for columns in counted)
    assert releases == rows
    assert 0 < after < rows
    timeline = prepare_view(events, machine, view_of(policy, machine), 48)
    assert places_of(timeline).shape == make_places(8, rows).shape
