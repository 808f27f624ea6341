"""Laws of the systems beside the cleancache, of their bound, and of where tagged pages lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_zswap import replay_zswap
from streams import (
    EXACT_EVICTIONS,
    as_events,
    by_reference,
    compiled,
    costs,
    lane_columns,
    machines,
    policies,
    streams,
)
from test_laws import belady_misses, plain_requests

from core.backend import replay, replay_timeline, view_of
from core.costs import Costs
from core.events import (
    ALLOC,
    ANONYMOUS,
    FREE,
    INVALIDATE,
    INVALIDATE_INODE,
    RESTORE,
    STORE,
    TAGGED,
    Events,
    read_events,
    without_anonymous,
)
from core.eviction import EVICTIONS
from core.lane import TALLIES
from core.machine import Machine
from core.outcomes import UNITS, measure
from core.policy import (
    Admission,
    Anonymous,
    Guests,
    Packing,
    Placement,
    Policy,
    Restore,
    TaggedPlacement,
    pack,
    reads,
)
from core.replayed import samples_of
from core.system.zswap.replay import compressed_sizes
from core.timeline.changes import Region
from core.timeline.occupancy import occupy
from core.timeline.tagged_placement import place_tagged
from core.timeline.view import View, prepare_view


def restored(outcomes: object) -> int:
    return int(outcomes.tallies[0, TALLIES.index("restored")])  # type: ignore[attr-defined]


@settings(max_examples=300)
@given(st.data())
def test_no_cleancache_restores_more_than_the_ideal(data: st.DataObject) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    policy = data.draw(policies(list(EVICTIONS)))
    outcomes = replay(events, machine, [policy])
    assert restored(outcomes) <= outcomes.lane(0).ideal_restored
    assert restored(replay(events, machine, [Policy(system="ideal")])) == (
        outcomes.lane(0).ideal_restored
    )


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), max_size=150), st.integers(1, 8))
def test_the_ideal_is_clairvoyant_eviction_at_zero_tags(requests: list[int], slots: int) -> None:
    machine, stream = plain_requests(requests, slots)
    outcomes = replay(as_events(stream, machine), machine, [Policy(system="ideal")])
    assert len(requests) - restored(outcomes) == belady_misses(requests, slots)


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
    assert restored(outcomes) == 1
    columns = measure(outcomes)
    assert columns["share_of_ideal"].tolist() == [1.0]
    assert columns["copies_in"].tolist() == columns["metadata_bytes"].tolist() == [0]
    # Of the three restores one is saved, in whole: nothing is paid.
    assert columns["time_saved_ns"].tolist() == [Costs().read_random_ns]


@st.composite
def resized_streams(draw: st.DrawFn, machine: Machine) -> list[reference.Event]:
    """Return a stream in which a hypervisor resizes a region now and then."""
    stream = draw(streams(machine.data_pages))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    found: list[reference.Event] = []
    for event in stream:
        if rng.random() < 0.1:
            size = int(rng.integers(0, 12))
            found.append(reference.Event(event.time_ns, 6, 0, 0, 0, size, 0))
        found.append(event)
    return found


@settings(max_examples=200)
@given(st.data())
def test_a_region_of_a_hypervisor_equals_the_reference(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(resized_streams(machine))
    drawn = data.draw(policies())
    fields = {name: getattr(drawn, name) for name in reads("tmem") if hasattr(drawn, name)}
    ratio = data.draw(st.sampled_from([0.01, 0.05, 0.3]))
    policy = Policy(**(fields | {"system": "tmem", "tmem_ratio": ratio}))
    outcomes = replay(as_events(stream, machine), machine, policy)
    region = max(1, int(ratio * machine.data_pages))
    expected = by_reference(stream, machine, policy, Costs(), region)
    found = lane_columns(outcomes, Costs(), 0)
    for name in ("stored", "skipped", "stale", "restored", "missed", "reclaimed", "recalled",
                 "overwritten", "invalidated", "read_ns", "reservation_max_ns",
                 "reservation_mean_ns"):  # fmt: skip
        assert found[name] == expected.outcomes[name], name
    assert found["reservations"] == 0
    assert restored(outcomes) <= outcomes.lane(0).ideal_restored


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
        assert least <= restored(replay(events, machine, policy)) <= most


def tagged_frames(events: Events) -> list[set[int]]:
    """Return the tagged frames after each alloc and free, folded over split rows."""
    tagged: set[int] = set()
    found = []
    for op, order, pfn, flags in zip(
        events.op.tolist(), events.order.tolist(), events.pfn.tolist(), events.flags.tolist(),
        strict=True,
    ):  # fmt: skip
        frames = set(range(pfn, pfn + (1 << order)))
        if op == ALLOC:
            tagged = tagged | frames if flags & TAGGED else tagged - frames
        elif op == FREE:
            tagged = tagged - frames
        found.append(tagged)
    return found


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
    assert [len(one) for one in before] == [len(after[row]) for row in last]


@compiled
@pytest.mark.parametrize("name", ["database-mglru", "database-xfs"])
def test_an_allocator_that_knows_reserves_fewer_blocks(traces: Path, name: str) -> None:
    events = read_events(traces / f"{name}.parquet")
    machine = Machine(events.page_size, events.data_pages)
    recorded = occupy(events, machine)
    placed = occupy(place_tagged(events, machine, 0), machine)
    assert placed.reservations < recorded.reservations
    assert placed.amplification_ns < recorded.amplification_ns / 1.5
    first = occupy(place_tagged(events, machine, 200), machine)
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


@settings(max_examples=100)
@given(st.data())
def test_a_field_that_a_system_does_not_read_changes_nothing(data: st.DataObject) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    kinds = ["carveout", "ideal", "tmem", "zswap"]
    system = data.draw(st.sampled_from(kinds))
    drawn = data.draw(policies(EXACT_EVICTIONS))
    table = data.draw(costs)
    unread = {
        name: value
        for name, value in vars(drawn).items()
        if name not in reads(system) and name != "system"
    }
    plain, changed = Policy(system=system), Policy(**(unread | {"system": system}))
    assert view_of(plain, machine) == view_of(changed, machine)
    found = [replay(events, machine, one) for one in (plain, changed)]
    columns = [lane_columns(one, table, 0) for one in found]
    assert columns[0] == columns[1]
    assert list(columns[0]) == list(UNITS)
    assert np.array_equal(samples_of(found[0].lane(0)).counts, samples_of(found[1].lane(0)).counts)


@settings(max_examples=200)
@given(st.data())
def test_compressed_pages_equal_the_reference(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    if data.draw(st.booleans()):
        stream = swapped(stream)
    policy = Policy(
        system="zswap",
        anonymous=data.draw(st.sampled_from(Anonymous)),
        admission=data.draw(st.sampled_from(Admission)),
        restore=data.draw(st.sampled_from(Restore)),
        headroom=data.draw(st.sampled_from([0.0, 0.0, 0.3])),
        packing=data.draw(st.sampled_from(Packing)),
        compression_ratio=data.draw(st.sampled_from([1.0, 1.5, 3.0, 8.0])),
        seed=data.draw(st.integers(0, 3)),
    )
    events = as_events(stream, machine)
    timeline = prepare_view(events, machine, view_of(policy, machine))
    sizes = compressed_sizes(timeline.page_keys, policy.compression_ratio, policy.seed).tolist()
    pages = [(int(key >> np.uint64(32)), int(key & np.uint64(0xFFFFFFFF)))
             for key in timeline.page_keys]  # fmt: skip
    expected, samples = replay_zswap(
        stream,
        machine.data_pages,
        machine.tag_block_pages,
        dict(zip(pages, sizes, strict=True)).__getitem__,
        workingset=policy.admission is Admission.WORKINGSET,
        exclusive=policy.restore is Restore.EXCLUSIVE,
        in_pairs=policy.packing is Packing.ZBUD,
        headroom=policy.headroom,
        anonymous=policy.anonymous.value,
    )
    outcomes = replay(events, machine, policy)
    found = dict(zip(TALLIES, outcomes.tallies[0].tolist(), strict=True))
    assert {name: found[name] for name in expected} == expected
    columns = lane_columns(outcomes, Costs(), 0)
    assert 0 <= (columns["cached_share"] or 0) <= 1
    seen = samples_of(outcomes.lane(0))
    keys = zip(*(column.tolist() for column in seen[:4]), strict=True)
    counts = dict(zip(keys, seen.counts[0].tolist(), strict=True))
    assert counts == samples


@given(st.data())
def test_pages_of_a_swap_device_are_nothing_to_who_does_not_compress_them(
    data: st.DataObject,
) -> None:
    machine = data.draw(machines())
    stream = swapped(data.draw(streams(machine.data_pages)))
    # The time of a table is that of its ends.
    ends = [reference.Event(time_ns, INVALIDATE_INODE, 9, 0, 0, 0, 0)
            for time_ns in (0, stream[-1].time_ns if stream else 0)]  # fmt: skip
    stream = [ends[0], *stream, ends[1]]
    plain = [one for one in stream if not (one.op <= INVALIDATE and one.flags & ANONYMOUS)]
    policy = data.draw(policies(EXACT_EVICTIONS))
    system = data.draw(st.sampled_from([policy.system, "zswap", "tmem", "ideal"]))
    policy = replace(policy, system=system)
    table = data.draw(costs)
    found = [lane_columns(replay(as_events(one, machine), machine, policy), table, 0)
             for one in (stream, plain)]  # fmt: skip
    assert found[0] == found[1]


def test_the_ends_of_a_table_keep_its_time_without_their_pages() -> None:
    rows = [(3, STORE, ANONYMOUS), (4, STORE, 0), (9, RESTORE, ANONYMOUS)]
    stream = [reference.Event(ns, op, 5 if flags else 1, 0, 0, 0, flags) for ns, op, flags in rows]
    events = without_anonymous(as_events(stream, Machine(4096, 32)))
    assert events.time_ns.tolist() == [3, 4, 9]
    assert events.op.tolist() == [INVALIDATE_INODE, STORE, INVALIDATE_INODE]
    # Other bits of file events mean nothing, this one beside them neither.
    odd = as_events([one._replace(flags=0xFE) for one in stream], Machine(4096, 32))
    assert without_anonymous(odd) is odd


def swapped(stream: list[reference.Event]) -> list[reference.Event]:
    """Return a stream whose inode 2 is an address space, with a swap device."""
    return [
        one._replace(flags=one.flags | ANONYMOUS) if one.op <= INVALIDATE and one.inode == 2
        else one
        for one in stream
        if not (one.op == INVALIDATE_INODE and one.inode == 2)
    ]  # fmt: skip


def test_only_a_zswap_is_replayed_with_the_pages_of_a_swap_device() -> None:
    machine = Machine(4096, 32)
    view = View(pages_per_slot=16, with_swap=True)
    timeline = prepare_view(as_events([], machine), machine, view)
    with pytest.raises(ValueError, match="leaves anonymous pages out"):
        replay_timeline(timeline, machine, pack([Policy()]))


def test_pages_compress_as_far_as_the_ratio_says() -> None:
    keys = np.arange(100_000, dtype=np.uint64) * np.uint64((1 << 32) + 7)
    for ratio in (2.0, 3.0, 5.0):
        sixteenths = compressed_sizes(keys, ratio, 1)
        # Half a sixteenth more on average: sizes are rounded up; those of 16 are cut off.
        assert np.minimum(sixteenths, 16).mean() == pytest.approx(16 / ratio + 0.5, rel=0.03)


@settings(max_examples=200)
@given(st.data())
def test_far_placement_equals_the_reference(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    policy = replace(data.draw(policies()), placement=Placement.FAR, system="cleancache")
    expected = by_reference(stream, machine, policy, Costs())
    found = lane_columns(replay(as_events(stream, machine), machine, policy), Costs(), 0)
    for name in ("stored", "skipped", "restored", "missed", "reclaimed", "recalled", "collateral",
                 "reservations", "reservation_mean_ns", "headroom_share"):  # fmt: skip
        value = expected.outcomes[name]
        assert found[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_the_block_released_last_is_taken_first() -> None:
    # A page of block 3 is tagged in place, and freed; then one is allocated tagged in block 1.
    rows = [(ALLOC, 96, 0), (ALLOC, 96, TAGGED), (FREE, 96, 0), (ALLOC, 40, TAGGED)]
    machine = Machine(4096, 128)
    stream = [
        reference.Event(time_ns, op, 0, 0, 0, pfn, flags)
        for time_ns, (op, pfn, flags) in enumerate(rows)
    ]
    assert place_tagged(as_events(stream, machine), machine, 0).pfn.tolist() == [96, 96, 96, 96]


def test_what_a_refused_restore_does_not_look_at_is_not_discarded() -> None:
    machine = Machine(4096, 32 * 64)
    stream = [reference.Event(0, STORE, 1, 0, 0, 0, 0), reference.Event(1, RESTORE, 1, 0, 1, 0, 0)]
    policy = Policy(system="tmem", large_folios="refuse", discard_ratio=1.0)  # type: ignore[arg-type]
    outcomes = replay(as_events(stream, machine), machine, policy)
    assert outcomes.tallies[0, TALLIES.index("recalled")] == 0


def test_a_timeline_that_a_system_cannot_be_replayed_on_is_refused() -> None:
    machine = Machine(4096, 32)
    timeline = prepare_view(as_events([], machine), machine, View())
    for word, why in (("zswap", "a view of its own"), ("migrate_cma", "a front end of its own")):
        with pytest.raises(ValueError, match=why):
            replay_timeline(timeline, machine, pack([Policy(system=word)]))
