"""The ideal is the bound that it is said to be."""

from __future__ import annotations

import reference
from cache_traces import as_stream, belady_misses
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import (
    as_events,
    tallies_of,
)

from core.backend import replay
from core.costs import Costs
from core.events import ALLOC, FREE, RESTORE, STORE, TAGGED
from core.machine import Machine
from core.outcomes import measure
from core.policy import (
    Policy,
)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), max_size=150), st.integers(1, 8))
def test_the_ideal_is_clairvoyant_eviction_at_zero_tags(requests: list[int], slots: int) -> None:
    machine, stream = as_stream(requests, slots)
    outcomes = replay(as_events(stream, machine), machine, [Policy(system="ideal")])
    assert len(requests) - tallies_of(outcomes)["restored"] == belady_misses(requests, slots)


def test_the_ideal_by_hand() -> None:
    # One block of one slot. a and b are stored, b comes back first; c is tagged memory's.
    machine = Machine(4096, 32)
    rows = [(0, STORE, 1), (1, STORE, 2), (2, RESTORE, 2), (3, STORE, 2), (4, ALLOC, 0),
            (5, FREE, 0), (6, RESTORE, 2), (7, RESTORE, 1)]  # fmt: skip
    stream = [
        reference.Event(time_ns, op, 1, page, 0, 0, TAGGED if op == ALLOC else 0)
        for time_ns, op, page in rows
    ]
    outcomes = replay(as_events(stream, machine), machine, [Policy(system="ideal")])
    # b once; the reservation takes the slot, and nothing is stored after it.
    assert tallies_of(outcomes)["restored"] == 1
    columns = measure(outcomes)
    assert columns["share_of_ideal"].tolist() == [1.0]
    assert columns["copies_in"].tolist() == columns["metadata_bytes"].tolist() == [0]
    # Of the three restores one is saved, in whole: nothing is paid.
    assert columns["time_saved_ns"].tolist() == [Costs().read_random_ns]
