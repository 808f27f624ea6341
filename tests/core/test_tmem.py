"""A region of a hypervisor equals the plain oracle, and does what the hypervisor says."""

from __future__ import annotations

import numpy as np
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import (
    Stream,
    as_events,
    by_reference,
    lane_columns,
    machines,
    policies,
    streams,
    tallies_of,
)

from core.backend import replay
from core.costs import Costs
from core.events import RESTORE, STORE
from core.lane import TALLIES
from core.machine import Machine
from core.policy import (
    Policy,
    reads,
)
from core.timeline.changes import Region
from core.timeline.view import View, prepare_view


@st.composite
def resized_streams(draw: st.DrawFn, machine: Machine) -> Stream:
    """Return a stream in which a hypervisor resizes a region now and then."""
    stream = draw(streams(machine.data_pages))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    resized: list[reference.Event] = []
    for event in stream:
        if rng.random() < 0.1:
            size = int(rng.integers(0, 12))
            resized.append(reference.Event(event.time_ns, 6, 0, 0, 0, size, 0))
        resized.append(event)
    return stream.changed(resized)


@settings(max_examples=200)
@given(st.data())
def test_a_region_of_a_hypervisor_equals_the_reference(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(resized_streams(machine))
    drawn = data.draw(policies())
    fields = {name: getattr(drawn, name) for name in reads("tmem") if hasattr(drawn, name)}
    ratio = data.draw(st.sampled_from([0.01, 0.05, 0.3]))
    policy = Policy(**(fields | {"system": "tmem", "tmem_ratio": ratio}))
    warm_up = data.draw(st.integers(0, 63))
    outcomes = replay(as_events(stream, machine), machine, policy, warm_up=warm_up / 64)
    region = max(1, int(ratio * machine.data_pages))
    expected = by_reference(stream, machine, policy, Costs(), region, warm_up)
    outcome_of = lane_columns(outcomes, Costs(), 0)
    for name in ("stored", "skipped", "stale", "restored", "missed", "reclaimed", "recalled",
                 "overwritten", "invalidated", "lookups", "bypassed", "read_commands",
                 "waited_stored", "waited_reclaimed", "read_ns", "wait_ns", "cpu_ns",
                 "reservation_max_ns", "reservation_mean_ns"):  # fmt: skip
        assert outcome_of[name] == expected.outcomes[name], name
    assert outcome_of["reservations"] == 0
    assert tallies_of(outcomes)["restored"] <= outcomes.lane(0).ideal_restored


def test_a_region_swings_between_its_sizes() -> None:
    machine = Machine(4096, 3200)
    stream = [reference.Event(10 * i, STORE, 1, i, 0, 0, 0) for i in range(101)]
    events = as_events(stream, machine)
    region = Region(most_pages=100, least_pages=50, period_ns=400)
    timeline = prepare_view(events, machine, View(region=region))
    resized = timeline.word & 7 == 6
    assert timeline.argument[resized].tolist() == [100, 50, 100, 50, 100, 50]
    assert (1000 - timeline.remaining_ns[resized]).tolist() == [0, 200, 400, 600, 800, 1000]


def test_what_the_hypervisor_discards_is_missed() -> None:
    machine = Machine(4096, 32 * 64)
    rows = [(STORE, page) for page in range(50)] + [(RESTORE, page) for page in range(50)]
    stream = [reference.Event(i, op, 1, page, 0, 0, 0) for i, (op, page) in enumerate(rows)]
    events = as_events(stream, machine)
    for ratio, least, most in ((0.0, 50, 50), (0.5, 10, 40), (1.0, 0, 0)):
        policy = Policy(system="tmem", discard_ratio=ratio, seed=3)
        assert least <= tallies_of(replay(events, machine, policy))["restored"] <= most


def test_what_a_refused_restore_does_not_look_at_is_not_discarded() -> None:
    machine = Machine(4096, 32 * 64)
    stream = [reference.Event(0, STORE, 1, 0, 0, 0, 0), reference.Event(1, RESTORE, 1, 0, 1, 0, 0)]
    policy = Policy(system="tmem", large_folios="refuse", discard_ratio=1.0)
    outcomes = replay(as_events(stream, machine), machine, policy)
    assert outcomes.tallies[0, TALLIES.index("recalled")] == 0
