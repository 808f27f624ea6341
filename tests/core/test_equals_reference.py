"""The simulator equals the plain oracle, counter for counter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import as_events, by_reference, costs, lane_columns, machines, policies, streams

from core.costs import Costs
from core.eviction.queue import CACHED
from core.machine import Machine
from core.outcomes import UNITS, samples_of
from core.policy import Policy, pack
from core.replay import replay


@settings(max_examples=300)
@given(st.data())
def test_every_outcome_equals_the_reference(data: st.DataObject) -> None:
    machine: Machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    batch: list[Policy] = data.draw(st.lists(policies(), min_size=1, max_size=4))
    table: Costs = data.draw(costs)
    outcomes = replay(as_events(stream, machine), machine, pack(batch))
    samples = samples_of(outcomes)
    for lane, policy in enumerate(batch):
        expected = by_reference(stream, machine, policy, table)
        found = lane_columns(outcomes, table, lane)
        assert list(found) == list(UNITS)
        assert set(found) == set(expected.outcomes)
        for name, value in expected.outcomes.items():
            if isinstance(value, float):
                assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-15), name
            else:
                assert found[name] == value, name
        assert outcomes.tallies[lane, CACHED] == expected.cached
        tallied = {
            (bool(atomic), int(blocks), int(dropped)): int(count)
            for atomic, blocks, dropped, count in zip(
                samples.atomic, samples.blocks, samples.dropped, samples.counts[lane], strict=True
            )
            if count
        }
        assert tallied == (expected.samples if policy.system == "cleancache" else {})
