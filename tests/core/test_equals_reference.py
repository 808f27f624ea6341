"""The simulator equals the plain oracle, counter for counter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Event
from streams import (
    EXACT_EVICTIONS,
    as_events,
    by_reference,
    costs,
    frame_event,
    lane_columns,
    machines,
    policies,
    samples_counted,
    streams,
)

from core.backend import replay
from core.costs import Costs, pack_costs
from core.lane import CACHED
from core.machine import Machine
from core.outcomes import UNITS
from core.policy import Policy
from core.policy_words import Drop
from core.times import parts_of, phases_of, times_of


def long_stream(seed: int, data_pages: int) -> list[Event]:
    """Return 1,200 events of mixed orders under high tag churn, the same for a seed every day."""
    rng = np.random.default_rng(seed)
    frames = np.zeros(data_pages, dtype=np.uint8)
    events: list[Event] = []
    for time_ns in range(1200):
        if rng.random() < 0.25:
            event = frame_event(rng, frames, time_ns)
            if event is not None:
                events.append(Event(*event))
            continue
        op = int(rng.choice(4, p=[0.6, 0.33, 0.06, 0.01]))
        order = int(rng.choice([0, 1, 2, 3], p=[0.3, 0.2, 0.3, 0.2]))
        index = int(rng.integers(0, 40)) >> order << order
        events.append(Event(time_ns, op, int(rng.integers(0, 2)), index, order, 0, 1))
    return events


@pytest.mark.parametrize("seed", range(6))
def test_long_streams_of_mixed_orders_equal_the_reference(seed: int) -> None:
    machine = Machine(4096, 96 * (4 + 3 * seed), 4096 * 3)
    stream = long_stream(seed, machine.data_pages)
    batch = [
        Policy(eviction=eviction, drop=drop, folio_order=9, headroom=0.1 * (seed % 2))
        for eviction in EXACT_EVICTIONS
        for drop in Drop
    ]
    outcomes = replay(as_events(stream, machine), machine, batch)
    for lane, policy in enumerate(batch):
        expected = by_reference(stream, machine, policy, Costs())
        assert outcomes.tallies[lane, CACHED] == expected.cached
        outcome_of = lane_columns(outcomes, Costs(), lane)
        for name in ("stored", "skipped", "restored", "missed", "reclaimed", "recalled",
                     "collateral", "overwritten", "read_ns", "reservation_p99_ns"):  # fmt: skip
            assert outcome_of[name] == expected.outcomes[name], (policy, name)


@settings(max_examples=300)
@given(st.data())
def test_every_outcome_equals_the_reference(data: st.DataObject) -> None:
    machine: Machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    batch: list[Policy] = data.draw(st.lists(policies(), min_size=1, max_size=4))
    table: Costs = data.draw(costs)
    outcomes = replay(as_events(stream, machine), machine, batch)
    for lane, policy in enumerate(batch):
        expected = by_reference(stream, machine, policy, table)
        outcome_of = lane_columns(outcomes, table, lane)
        assert list(outcome_of) == list(UNITS)
        assert set(outcome_of) == set(expected.outcomes)
        for name, value in expected.outcomes.items():
            if isinstance(value, float):
                assert outcome_of[name] == pytest.approx(value, rel=1e-12, abs=1e-15), name
            else:
                assert outcome_of[name] == value, name
        assert outcomes.tallies[lane, CACHED] == expected.cached
        tallied = {key[:3]: count for key, count in samples_counted(outcomes, lane).items()}
        assert tallied == (expected.samples if policy.system == "cleancache" else {})


@settings(max_examples=150)
@given(st.data())
def test_times_of_parts_and_phases_equal_the_reference(data: st.DataObject) -> None:
    machine: Machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    policy: Policy = data.draw(policies())
    table: Costs = data.draw(costs)
    run = replay(as_events(stream, machine), machine, policy).lane(0)
    expected = by_reference(stream, machine, policy, table)
    times = times_of(run, pack_costs(table, 1))
    assert {name: of.tolist()[0] for name, of in parts_of(run, times).items()} == expected.parts
    phases = phases_of(run, times)
    waits = (phases.wait_ns[0].tolist(), phases.all_missed_wait_ns[0].tolist())
    assert list(zip(phases.names, *waits, strict=True)) == expected.phases
