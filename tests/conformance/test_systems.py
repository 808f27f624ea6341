"""Laws of every system; a new line of `SYSTEMS` is under them at once."""

from __future__ import annotations

from dataclasses import replace

import fixed_streams
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import INVALIDATE, RESTORE, STORE, Event
from streams import (
    as_events,
    compiled,
    costs,
    lane_columns,
    machines,
    policies_read_by,
    samples_counted,
    streams,
    tallies_of,
    with_swap_device,
)
from system_runs import Case, run

from core.backend import replay, view_of
from core.costs import COST_FIELDS, Costs, pack_costs
from core.events import ANONYMOUS, Events, without_anonymous
from core.lane import TALLIES
from core.machine import Machine
from core.outcomes import SAVED, UNITS, is_double, measure, saved_by_cost
from core.policy import DECLARED, POLICY_FIELDS, Policy, reads
from core.replayed import series_of
from core.system import SYSTEMS
from core.system.contract import Reserving, Work

every_system = pytest.mark.parametrize("system", list(SYSTEMS))
#: Systems that replay mm events; the others have a front end of their own.
REPLAYED = [word for word in SYSTEMS if SYSTEMS[word].replay is not None]
#: A system may lose time, and one that a swap device writes less under pays less than nothing.
MAY_BE_NEGATIVE = {
    *("time_saved_ns", "time_saved_ratio", "wait_saved_ns", "wait_saved_ratio"),
    *("cpu_ns", "share_of_ideal"),
}
RATIOS_OF_RESTORED = ("hit_ratio", "refault_hit_ratio")
SHARES = ("reserved_share", "cached_share", "empty_share", "headroom_share")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return a workload as mm events, some with a swap device, and another as accesses."""
    machine = draw(machines())
    stream = draw(streams(machine.data_pages))
    if draw(st.booleans()):
        stream = with_swap_device(stream)
    return Case(machine, as_events(stream, machine), draw(st.integers(0, 9)))


def taken_by(policy: Policy, case: Case) -> Events:
    """Return the events that a policy takes: those of a swap device, or all but those."""
    has_swap = view_of(policy, case.machine).with_swap
    return case.events if has_swap else without_anonymous(case.events)


@pytest.mark.parametrize("system", [word for word in SYSTEMS if word not in REPLAYED])
def test_one_with_a_front_end_of_its_own_refuses_mm_events(system: str) -> None:
    machine = Machine(4096, 1024)
    with pytest.raises(ValueError, match="a front end of its own"):
        replay(as_events([], machine), machine, Policy(system=system))


@every_system
def test_its_traits_name_what_there_is(system: str) -> None:
    traits = SYSTEMS[system]
    assert traits.meaning
    assert "\n" not in traits.meaning
    assert (traits.replay is None) != (traits.count is None)
    assert bool(traits.needs_accesses) == (traits.replay is None)
    assert set(traits.reads) <= set(POLICY_FIELDS)
    assert set(traits.draws or ()) <= reads(system)
    for field, word, other, other_word, why in traits.contradictions:
        assert {field, other} <= reads(system)
        for name, value in ((field, word), (other, other_word)):
            assert value in list(DECLARED[name].words or ())
        assert why


@every_system
@settings(max_examples=25)
@given(cases(), costs, st.data())
def test_outcomes_are_complete_and_in_their_bounds(
    system: str, case: Case, table: Costs, data: st.DataObject
) -> None:
    outcomes = run(case, [data.draw(policies_read_by(system))])
    values = lane_columns(outcomes, table, 0)
    assert list(values) == list(UNITS)
    for name, value in values.items():
        assert value is None or isinstance(value, float if is_double(name) else int), name
        # A larger memory may read more than a smaller one.
        reads_otherwise = system not in REPLAYED and name in ("restored", *RATIOS_OF_RESTORED)
        if name not in MAY_BE_NEGATIVE and not reads_otherwise and value is not None:
            assert value >= 0, name
    shares = [values[name] for name in SHARES]
    if None not in shares:
        assert sum(shares) == pytest.approx(1)
    lane = outcomes.lane(0)
    series = series_of(lane)
    held = sum(series[f"series_{name}_pages"] for name in ("reserved", "cached", "empty"))
    assert np.all(held == lane.timeline.slots)
    assert min(int(points.min()) for points in series.values()) >= 0


@every_system
@settings(max_examples=15)
@given(cases(), st.tuples(costs, costs), st.data())
def test_what_it_saves_is_a_sum_of_costs_whatever_they_are(
    system: str, case: Case, tables: tuple[Costs, Costs], data: st.DataObject
) -> None:
    policies = [data.draw(policies_read_by(system)) for _ in range(2)]
    runs = [run(case, policies), run(case._replace(accesses_seed=case.accesses_seed + 1), policies)]
    times = saved_by_cost(runs)
    assert list(times) == list(SAVED)
    for table in tables:
        measured = measure(runs, [table] * 2)
        for saving, by_cost in times.items():
            assert list(by_cost) == list(COST_FIELDS)
            summed = sum(getattr(table, cost) * by_cost[cost] for cost in COST_FIELDS)
            assert np.array_equal(summed, measured[saving])


@pytest.mark.parametrize("system", REPLAYED)
@settings(max_examples=40)
@given(cases(), st.data())
def test_pages_of_stores_and_restores_are_conserved(
    system: str, case: Case, data: st.DataObject
) -> None:
    policy = data.draw(policies_read_by(system))
    counts = tallies_of(replay(case.events, case.machine, policy))
    events = taken_by(policy, case)
    pages = 1 << events.order.astype(np.int64)
    stored_pages, restored_pages = (int(pages[events.op == op].sum()) for op in (STORE, RESTORE))
    assert counts["stored"] + counts["skipped"] + counts["stale"] == stored_pages
    assert counts["restored"] + counts["missed"] == restored_pages


@pytest.mark.parametrize("system", REPLAYED)
@settings(max_examples=40)
@given(cases(), st.data())
def test_none_whose_pages_take_a_slot_each_restores_more_than_the_ideal(
    system: str, case: Case, data: st.DataObject
) -> None:
    policy = data.draw(policies_read_by(system))
    outcomes = replay(case.events, case.machine, policy)
    bound = outcomes.lane(0).ideal_restored
    restored = tallies_of(outcomes)["restored"]
    if view_of(policy, case.machine).pages_per_slot == 1:
        assert restored <= bound


@every_system
@settings(max_examples=25)
@given(cases(), costs, st.data())
def test_a_field_that_it_does_not_read_changes_nothing(
    system: str, case: Case, table: Costs, data: st.DataObject
) -> None:
    policy = data.draw(policies_read_by(system))
    other = data.draw(policies_read_by(data.draw(st.sampled_from(list(SYSTEMS)))))
    unread = set(POLICY_FIELDS) - reads(system) - {"system"}
    changed = replace(policy, **{name: getattr(other, name) for name in unread})
    assert view_of(policy, case.machine) == view_of(changed, case.machine)
    runs = [run(case, [candidate]) for candidate in (policy, changed)]
    values = [lane_columns(outcomes, table, 0) for outcomes in runs]
    assert values[0] == values[1]
    assert samples_counted(runs[0]) == samples_counted(runs[1])


@pytest.mark.parametrize("system", [word for word in SYSTEMS if SYSTEMS[word].draws is not None])
@settings(max_examples=25)
@given(cases(), st.lists(st.integers(0, 2**31 - 1), min_size=2, max_size=3), st.data())
def test_a_seed_changes_nothing_where_nothing_is_drawn(
    system: str, case: Case, seeds: list[int], data: st.DataObject
) -> None:
    policy = data.draw(policies_read_by(system))
    not_drawn = {name: getattr(Policy, name) for name in SYSTEMS[system].draws}
    still = replace(policy, eviction="lru", **not_drawn)
    lanes = run(case, [replace(still, seed=seed) for seed in seeds])
    assert len(np.unique(lanes.tallies, axis=0)) == 1


@every_system
@settings(max_examples=20)
@given(cases(), st.data())
def test_a_lane_ignores_its_neighbours(system: str, case: Case, data: st.DataObject) -> None:
    batch = data.draw(st.lists(policies_read_by(system), min_size=2, max_size=4))
    together = run(case, batch)
    for lane, policy in enumerate(batch):
        alone = run(case, [policy])
        assert tallies_of(together, lane) == tallies_of(alone)
        assert samples_counted(together, lane) == samples_counted(alone)
        counted = together.lane(lane).counted, alone.lane(0).counted
        assert np.array_equal(*(of.series for of in counted))
        assert np.array_equal(*(of.tallies for of in counted))


@pytest.mark.parametrize("system", REPLAYED)
@settings(max_examples=20)
@given(cases(), costs, st.data())
def test_systems_in_a_batch_are_measured_as_alone(
    system: str, case: Case, table: Costs, data: st.DataObject
) -> None:
    others = data.draw(st.lists(st.sampled_from(REPLAYED), min_size=1, max_size=3))
    batch = [data.draw(policies_read_by(word)) for word in (*others, system)]
    together = replay(case.events, case.machine, batch)
    alone = replay(case.events, case.machine, batch[-1])
    assert lane_columns(together, table, len(others)) == lane_columns(alone, table, 0)


@every_system
@settings(max_examples=20)
@given(costs, st.integers(0, 3))
def test_nothing_is_paid_where_nothing_was_done(system: str, table: Costs, lanes: int) -> None:
    nothing = np.zeros((lanes, 1), dtype=np.int64)
    counted = dict.fromkeys(TALLIES, nothing)
    reserving = Reserving(*(nothing for _ in Reserving._fields))
    work = Work(counted, dict.fromkeys(TALLIES, nothing[:1, 0]), reserving, nothing[:1, 0])
    by_lane = {name: values[:, None] for name, values in pack_costs(table, lanes).items()}
    assert not SYSTEMS[system].pays(work, by_lane).any()
    assert not SYSTEMS[system].waits(work, by_lane).any()


@every_system
@settings(max_examples=25)
@given(cases(), costs, st.data())
def test_nothing_is_gained_where_no_page_is_restored(
    system: str, case: Case, table: Costs, data: st.DataObject
) -> None:
    # What a system pays is not negative, but for what it spares a swap device: there is none here.
    policy = data.draw(policies_read_by(system))
    events = without_anonymous(case.events)
    keep = events.op != RESTORE
    columns = {name: column[keep] for name, column in events.columns.items()}
    case = case._replace(events=events._replace(**columns))
    values = lane_columns(run(case, [policy]), table, 0)
    if values["restored"] == 0:
        for name in ("time_saved_ns", "wait_saved_ns"):
            saved_ns = values[name]
            assert saved_ns is not None
            assert saved_ns <= 0


@pytest.mark.parametrize("system", REPLAYED)
@settings(max_examples=25)
@given(st.data())
def test_pages_of_a_swap_device_are_nothing_to_who_does_not_take_them(
    system: str, data: st.DataObject
) -> None:
    machine = data.draw(machines())
    policy = replace(data.draw(policies_read_by(system)), anonymous="none")
    stream = with_swap_device(data.draw(streams(machine.data_pages)))
    # Where requests are guessed, rows that are left out part those around them.
    stream.requests = True
    # The time of a table is that of its ends.
    ends = [Event(ns, STORE, 9, 0, 0, 0, 0) for ns in (0, stream[-1].time_ns if stream else 0)]
    stream = stream.changed([ends[0], *stream, ends[1]])
    plain = stream.changed(
        row for row in stream if row.op > INVALIDATE or not row.flags & ANONYMOUS
    )
    values = [
        lane_columns(replay(as_events(rows, machine), machine, policy), Costs(), 0)
        for rows in (stream, plain)
    ]
    assert values[0] == values[1]


@pytest.fixture(scope="module")
def modes() -> fixed_streams.Modes:
    return fixed_streams.counts_by_mode("counts_of_systems")


@compiled
@every_system
def test_compiled_code_equals_plain_python(system: str, modes: fixed_streams.Modes) -> None:
    assert len(modes.plain[system]) > 20
    assert modes.compiled[system] == modes.plain[system]
