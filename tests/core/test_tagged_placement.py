"""Where tagged pages lie: other frames for those of a table, slots far from them, and guests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import (
    as_events,
    by_reference,
    compiled,
    lane_columns,
    machines,
    policies,
    streams,
)

from core.backend import replay
from core.costs import Costs
from core.event_files import read_events
from core.events import ALLOC, FREE, STORE, TAGGED, Events
from core.machine import Machine
from core.policy_words import Guests, Placement, TaggedPlacement
from core.timeline.prepare import prepare
from core.timeline.tagged_placement import place_tagged
from core.timeline.view import View, prepare_view


def tagged_frames(events: Events) -> list[set[int]]:
    """Return the tagged frames after each alloc and free, folded over split rows."""
    tagged: set[int] = set()
    after_each = []
    for op, order, pfn, flags in zip(
        events.op.tolist(), events.order.tolist(), events.pfn.tolist(), events.flags.tolist(),
        strict=True,
    ):  # fmt: skip
        frames = set(range(pfn, pfn + (1 << order)))
        if op == ALLOC:
            tagged = tagged | frames if flags & TAGGED else tagged - frames
        elif op == FREE:
            tagged = tagged - frames
        after_each.append(tagged)
    return after_each


@settings(max_examples=100)
@given(st.data())
def test_placed_tagged_pages_are_as_many_and_break_no_rule(data: st.DataObject) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    headroom = data.draw(st.integers(0, machine.tag_blocks))
    # `make_events` checks that no frame is allocated or freed twice.
    placed = place_tagged(events, machine, headroom)
    sizes = np.where(events.op // 2 == 2, 1 << events.order.astype(np.int64), 1)
    last = np.cumsum(sizes) - 1
    before, after = tagged_frames(events), tagged_frames(placed)
    assert [len(frames) for frames in before] == [len(after[row]) for row in last]


@compiled
@pytest.mark.parametrize("name", ["database-mglru-256w", "database-xfs-256w"])
def test_an_allocator_that_knows_reserves_fewer_blocks(traces: Path, name: str) -> None:
    events = read_events(traces / f"{name}.parquet")
    machine = Machine(events.page_size, events.data_pages)
    recorded = prepare(events, machine).occupancy
    placed = prepare(place_tagged(events, machine, 0), machine).occupancy
    assert placed.reservations < recorded.reservations
    assert placed.amplification_ns < recorded.amplification_ns / 1.5
    first = prepare(place_tagged(events, machine, 200), machine).occupancy
    assert int(first.block_reserved_ns[200:].sum()) < int(placed.block_reserved_ns[200:].sum())


@settings(max_examples=60)
@given(st.data())
def test_guests_hold_the_tag_storage_of_their_whole_memory(data: st.DataObject) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    ratio = data.draw(st.sampled_from([0.2, 0.5, 0.9]))
    view = View(guests=Guests.KVM, guest_ratio=ratio)
    timeline = prepare_view(events, machine, view)
    assert timeline.span_ns == prepare_view(events, machine, View()).span_ns
    guests = int(np.ceil(ratio * machine.tag_blocks))
    for block in range(machine.tag_blocks - guests, machine.tag_blocks):
        assert timeline.occupancy.block_reserved_ns[block] == timeline.span_ns
    for placement in TaggedPlacement:
        # Wherever the host's tagged pages lie, the guests' stay where they are.
        placed = prepare_view(events, machine, view._replace(tagged_placement=placement))
        held = placed.occupancy.block_reserved_ns[machine.tag_blocks - guests :]
        assert set(held.tolist()) == {timeline.span_ns}


def test_guests_of_pkvm_take_tag_storage_by_and_by() -> None:
    machine = Machine(4096, 32 * 10)
    stream = [reference.Event(time_ns, STORE, 1, time_ns, 0, 0, 0) for time_ns in range(101)]
    events = as_events(stream, machine)
    view = View(guests=Guests.PKVM, guest_ratio=0.5)
    held = prepare_view(events, machine, view).occupancy.block_reserved_ns
    assert held.tolist() == [0, 0, 0, 0, 0, 100, 80, 60, 40, 20]


@settings(max_examples=200)
@given(st.data())
def test_far_placement_equals_the_reference(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    policy = replace(data.draw(policies()), placement=Placement.FAR, system="cleancache")
    expected = by_reference(stream, machine, policy, Costs())
    outcome_of = lane_columns(replay(as_events(stream, machine), machine, policy), Costs(), 0)
    for name in ("stored", "skipped", "restored", "missed", "reclaimed", "recalled", "collateral",
                 "reservations", "reservation_mean_ns", "headroom_share"):  # fmt: skip
        value = expected.outcomes[name]
        assert outcome_of[name] == (pytest.approx(value) if isinstance(value, float) else value), (
            name
        )


def test_the_block_released_last_is_taken_first() -> None:
    # A page of block 3 is tagged in place, and freed; then one is allocated tagged in block 1.
    rows = [(ALLOC, 96, 0), (ALLOC, 96, TAGGED), (FREE, 96, 0), (ALLOC, 40, TAGGED)]
    machine = Machine(4096, 128)
    stream = [
        reference.Event(time_ns, op, 0, 0, 0, pfn, flags)
        for time_ns, (op, pfn, flags) in enumerate(rows)
    ]
    assert place_tagged(as_events(stream, machine), machine, 0).pfn.tolist() == [96, 96, 96, 96]
