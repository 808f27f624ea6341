"""Laws of tag storage that is memory: what a front end makes of it, and what it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from access_rows import Row, as_accesses, crowded_rows, read
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_migrate_cma import Oracle
from streams import compiled, lane_columns

from core.accesses import ANONYMOUS, GIVE, MAP, READ, TAKE, UNMAP, WRITE, Accesses
from core.backend import view_of
from core.costs import Costs
from core.events import ALLOC, ATOMIC, RESTORE, STORE, TAGGED, Events
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend
from core.frontend.tag_storage_as_memory import TagMemory
from core.lane import MISSED, RESTORED
from core.machine import Machine
from core.outcomes import measure
from core.policy import Policy, pack
from core.random_bits import bits_of
from core.replayed import Replayed, outcomes_of_groups, series_of
from core.system import SYSTEMS
from core.system.larger_memory import own_timeline
from core.timeline.prepare import Timeline, prepare
from core.workload.synthetic import parameters_of, synthesise

PAGES = 32_768
MACHINE = Machine(4096, PAGES)
FRONT_END = FrontEnd(zram_size=8 << 20)

pytestmark = compiled


@pytest.fixture(scope="module")
def launches() -> Accesses:
    parameters = parameters_of("app_launch") | {"launches": 60, "apps": 12}
    return synthesise("app_launch", parameters, 1, PAGES, 4096)


def run(accesses: Accesses, **changed: Any) -> Fronted:
    memory = TagMemory(MACHINE.tag_blocks, MACHINE.tag_block_pages)
    return run_frontend(accesses, FRONT_END, memory._replace(**changed))


def test_no_tagged_page_lies_in_tag_storage(launches: Accesses) -> None:
    events = run(launches).events
    tagged = (events.op == ALLOC) & (events.flags & TAGGED != 0)
    assert tagged.any()
    assert int(events.pfn[tagged].max()) < PAGES


def test_slots_in_use_are_never_more_than_there_are(launches: Accesses) -> None:
    fronted = run(launches)
    assert len(fronted.series) == 64
    held = fronted.series[:, :2] @ [1, MACHINE.tag_block_pages]
    assert 0 < held.max() <= MACHINE.slots
    span_ns = int(launches.time_ns[-1] - launches.time_ns[0])
    assert fronted.counts["span_ns"] == span_ns
    held_ns = fronted.counts["used_ns"] + fronted.counts["reserved_ns"] * MACHINE.tag_block_pages
    assert 0 < held_ns <= MACHINE.slots * span_ns


@pytest.mark.parametrize("drops_clean", [False, True])
def test_every_page_that_was_in_the_way_is_in_a_sample(
    launches: Accesses, drops_clean: bool
) -> None:
    fronted = run(launches, used_first=True, drops_clean=drops_clean)
    _, _, blocks, dropped, moved = fronted.samples.sum(axis=0).tolist()
    assert moved == fronted.counts["migrated_pages"] > 0
    assert dropped == fronted.counts["dropped_pages"]
    assert (dropped > 0) == drops_clean
    assert blocks == fronted.counts["reservations"]
    assert np.all(np.diff(fronted.samples[:, 0]) >= 0)


def test_what_is_reserved_over_time_is_what_was_counted(launches: Accesses) -> None:
    fronted = run(launches)
    times, blocks = fronted.reserved.T
    assert np.all(np.diff(times) >= 0)
    assert (blocks == 1).sum() == fronted.counts["reservations"]
    assert (blocks == -1).sum() == fronted.counts["releases"] > 0
    held = np.cumsum(blocks)
    assert held.min() >= 0
    assert held.max() == fronted.counts["peak_reserved"]
    start, span = int(launches.time_ns[0]), fronted.counts["span_ns"]
    held_ns = (held * np.diff(times, append=start + span)).sum()
    assert held_ns == fronted.counts["reserved_ns"]
    # A point of the series is what was held when its moment had passed.
    moments = [start + span * (point + 1) // 64 for point in range(64)]
    upto = np.searchsorted(times, moments, side="right")
    assert fronted.series[:, 1].tolist() == np.append(0, held)[upto].tolist()


def test_a_kernel_that_uses_tag_storage_first_meets_more_in_the_way(launches: Accesses) -> None:
    half, first = run(launches), run(launches, used_first=True)
    assert first.counts["migrated_pages"] > 2 * half.counts["migrated_pages"]
    assert first.counts["used_ns"] > half.counts["used_ns"]


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_what_is_clean_is_dropped_and_refaults_while_the_rest_moves(reclaim: Reclaim) -> None:
    # Every slot is filled first: with pages that a write made, of a program, and read of files,
    # one of them mapped. Then the first tagged page wants block 0, of four slots.
    rows: list[Row] = [(WRITE, 0, 0, 0, 0, 0), (ANONYMOUS, 9, 0, 0, 0, 0), read(1)]
    rows += [(READ, 0, 2, 0, 0, 0), (MAP, 0, 2, 0, 7, 0)]
    rows += [read(i) for i in range(3, 31)]
    tagged: Row = (TAKE, 0, 0, 0, 0, TAGGED)
    free = {"free_ranges": ((0, 1000),)}
    memory = TagMemory(8, 4, used_first=True, drops_clean=True)
    accesses = as_accesses([*rows, tagged, read(1)], free_pages=1000, **free)
    fronted = run_frontend(accesses, FrontEnd(reclaim), memory)
    assert fronted.counts["dropped_pages"] == fronted.counts["migrated_pages"] == 2
    assert fronted.samples.tolist() == [[len(rows), 0, 1, 2, 2]]
    stored = fronted.events.op == STORE
    assert fronted.events.index[stored].tolist() == [1, 2]
    assert fronted.counts["refaults"] == 1
    moved = run_frontend(accesses, FrontEnd(reclaim), memory._replace(drops_clean=False))
    assert (moved.counts["dropped_pages"], moved.counts["migrated_pages"]) == (0, 4)
    assert not (moved.events.op == STORE).any()
    # A pinned page, clean or not, is neither dropped nor moved.
    pinned = run_frontend(accesses, FrontEnd(reclaim), memory._replace(pinned_on_purpose=1))
    assert pinned.counts["failed_pinned"] == 1
    assert pinned.counts["reservations"] == pinned.counts["dropped_pages"] == 0


def test_pins_fail_reservations(launches: Accesses) -> None:
    free, pinned = run(launches), run(launches, pinned_ratio=0.5, pin_duration_ns=10**12, seed=1)
    hostile = run(launches, pinned_on_purpose=200)
    assert free.counts["failed_pinned"] == 0
    assert pinned.counts["failed_pinned"] > 0
    assert hostile.counts["failed_pinned"] > 0
    for fronted in (free, pinned, hostile):
        # Blocks count as reserved when they were emptied, not when they were wanted.
        assert fronted.counts["reservations"] == fronted.samples[:, 2].sum()


def test_an_atomic_allocation_migrates_nothing() -> None:
    accesses = synthesise("kasan", parameters_of("kasan") | {"asks": 150_000}, 1, PAGES, 4096)
    fronted = run(accesses)
    assert fronted.counts["failed_atomic"] > 0
    assert not fronted.samples[fronted.samples[:, 1] == 1, 3:].any()


def test_migration_is_paid_and_counted_against_the_memory_without_it(launches: Accesses) -> None:
    base = prepare(run_frontend(launches, FRONT_END).events, MACHINE)
    policy = Policy(system="migrate_cma")
    assert view_of(policy, MACHINE).tag_memory == TagMemory(1024, 1, drops_clean=True)
    fronted = run(launches)
    own = own_timeline(fronted, MACHINE, base)
    policies = pack([policy, policy])
    timeline, counted = SYSTEMS["migrate_cma"].count(own, base, fronted, policies)
    run_of_both = Replayed("migrate_cma", policies, counted, 100, timeline, MACHINE)
    prices = {"migrate_base_ns": 0, "migrate_page_ns": 1000}
    tables = [Costs(migrate_base_ns=0, migrate_page_ns=0), Costs(**prices)]
    columns = measure(outcomes_of_groups([(np.arange(2), run_of_both)], 2), tables)
    cheap, dear = columns["time_saved_ns"].tolist()
    assert cheap - dear == 1000 * fronted.counts["migrated_pages"]
    assert columns["migrations"].tolist() == [fronted.counts["migrated_pages"]] * 2
    assert columns["metadata_bytes"].tolist() == [1024 * 64] * 2
    tallies = run_of_both.totals[0]
    assert tallies[RESTORED] + tallies[MISSED] == base.restore_pages
    assert columns["share_of_ideal"].tolist() == [tallies[RESTORED] / 100] * 2
    series = series_of(run_of_both)
    whole = sum(series[f"series_{name}_pages"][0] for name in ("reserved", "cached", "empty"))
    assert np.all(whole == MACHINE.slots)
    assert min(int(values.min()) for values in series.values()) >= 0
    shares = [columns[f"{name}_share"].tolist()[0] for name in ("reserved", "cached", "empty")]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0


def test_an_allocation_that_fails_is_counted_once_however_many_pages_it_has() -> None:
    # One slot a block; the page cache fills all of them, and an order-5 allocation needs one.
    order = 5
    rows = [(READ, page, 0, 0) for page in range(1100)]
    rows += [(TAKE, 0, order, TAGGED | ATOMIC)] * 20
    op, page, orders, flags = (np.array(column) for column in zip(*rows, strict=True))
    size = op.size
    accesses = Accesses(
        np.arange(size, dtype=np.int64),
        op.astype(np.uint8),
        np.zeros(size, dtype=np.uint32),
        page.astype(np.uint32),
        orders.astype(np.uint8),
        np.arange(size, dtype=np.int64),
        flags.astype(np.uint8),
        *(4096, 1024, 1000, 8, 16, "by hand"),
    )
    fronted = run_frontend(accesses, FrontEnd(), TagMemory(32, 1))
    failed = fronted.counts["failed_atomic"]
    # Some found no block of frames at all.
    allocated = int((fronted.events.op == ALLOC).sum())
    assert failed + fronted.counts["reservations"] == allocated > 10
    assert failed > 0


def test_an_empty_trace_has_nothing_to_hold() -> None:
    none = [np.empty(0, dtype=kind) for kind in ("i8", "u1", "u4", "u4", "u1", "i8", "u1")]
    accesses = Accesses(*none, *(4096, 1024, 1000, 8, 16, "empty"))
    fronted = run_frontend(accesses, FrontEnd(), TagMemory(32, 1))
    assert fronted.events.op.size == 0
    assert fronted.series.tolist() == [[0, 0, 0, 0]] * 64
    assert fronted.samples.shape == (0, 5)


def test_guests_take_their_blocks_at_once_or_by_and_by(launches: Accesses) -> None:
    blocks = MACHINE.tag_blocks // 2
    kvm = run(launches, guest_blocks=blocks)
    pkvm = run(launches, guest_blocks=blocks, guests_fill=True)
    assert kvm.series[:, 1].min() >= blocks
    assert pkvm.series[0, 1] < blocks // 8
    assert pkvm.series[-1, 1] >= blocks
    assert kvm.counts["reserved_ns"] > pkvm.counts["reserved_ns"]
    policy = Policy(system="migrate_cma", guests="pkvm", guest_ratio=0.5)
    memory = view_of(policy, MACHINE).tag_memory
    assert memory is not None
    assert (memory.guest_blocks, memory.guests_fill) == (blocks, True)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    reclaim=st.sampled_from(list(Reclaim)),
    block=st.sampled_from([1, 2, 4]),
    free_pages=st.integers(1000, 1024),
    first=st.booleans(),
    drops=st.booleans(),
    pinned_ratio=st.sampled_from([0.0, 0.0, 0.3]),
    adversary=st.sampled_from([0, 0, 3]),
    warm_up_parts=st.integers(0, 63),
)
def test_tag_memory_equals_the_reference(
    seed: int, reclaim: Reclaim, block: int, free_pages: int, first: bool, drops: bool,
    pinned_ratio: float, adversary: int, warm_up_parts: int,
) -> None:  # fmt: skip
    data_pages = 1024
    rows = crowded_rows(np.random.default_rng(seed), 600)
    typed = [np.array(column).astype(kind) for column, kind in zip(
        zip(*rows, strict=True), ("u1", "u4", "u4", "u1", "i8", "u1"), strict=True)]  # fmt: skip
    times = 10 * np.arange(len(rows), dtype=np.int64)
    accesses = Accesses(times, *typed, *(4096, data_pages, free_pages, 8, 16, "random"))
    blocks = data_pages // 32 // block
    memory = TagMemory(blocks, block, pinned_ratio, 2000, adversary, 7, first, drops)
    fronted = run_frontend(accesses, FrontEnd(reclaim), memory, every_frame=True)
    oracle = Oracle(
        free_pages,
        blocks,
        block,
        first=first,
        drops=drops,
        pinned=lambda draw: bits_of(7, draw) < pinned_ratio * 2**32,
        pin_ns=2000,
        adversary=adversary,
    )
    columns = fronted.events.columns
    events = [reference.Event(*row) for row in zip(
        *(columns[name].tolist() for name in reference.Event._fields), strict=True)]  # fmt: skip
    # What was in use before the trace is told first.
    events = events[data_pages - free_pages :]
    got = {(event.time_ns, event.order) for event in events if event.op == ALLOC}
    there: set[int] = set()
    arrivals: dict[int, reference.Page] = {}
    gone: dict[int, reference.Page] = {}
    unplaced: dict[int, int] = {}
    without_frames: set[int] = set()
    for ns, (op, _, index, order, handle, _) in zip(times.tolist(), rows, strict=True):
        if op == ANONYMOUS and index not in there:
            arrivals[ns] = (-1, index)
            there.add(index)
        elif op == UNMAP:
            gone[ns] = (-1, index)
            there.discard(index)
        elif op == TAKE and (ns, order) not in got:
            unplaced[ns] = 1 << order
            without_frames.add(handle)
        elif op == GIVE and handle in without_frames:
            unplaced[ns] = -(1 << order)
    oracle.run(events, arrivals, gone, unplaced, int(times[-1]))
    assert {name: fronted.counts[name] for name in oracle.n} == oracle.n
    assert [tuple(sample) for sample in fronted.samples.tolist()] == oracle.samples
    assert [tuple(change) for change in fronted.reserved.tolist()] == oracle.reserved_at
    machine = Machine(4096, data_pages, 4096 * block)
    plain = run_frontend(accesses, FrontEnd(reclaim)).events
    base = prepare(plain, machine, warm_up_parts=warm_up_parts)
    columns_after = outcomes_after(machine, base, fronted)
    # Counters are divided over the time of the plain table, what is held over that of accesses.
    part = warm_up_parts if warm_up_parts else -64
    counted_ns = base.start_ns + base.span_ns * part // 64
    held_ns = int(times[0]) + fronted.counts["span_ns"] * part // 64
    after = oracle.after(counted_ns, held_ns)
    for name, counted in (("reservations", "reservations"), ("releases", "releases"),
                          ("peak_reserved", "peak_reserved"), ("recalled", "dropped_pages"),
                          ("migrations", "migrated_pages"), ("failed_pinned", "failed_pinned"),
                          ("failed_atomic", "failed_atomic")):  # fmt: skip
        assert columns_after[name] == after[counted], name
    left_ns = fronted.counts["span_ns"] - max(0, fronted.counts["span_ns"] * part // 64)
    for share, ns in (("cached", after["used_ns"]), ("reserved", after["reserved_ns"] * block)):
        assert columns_after[f"{share}_share"] == pytest.approx(ns / (machine.slots * left_ns))
    reads = [
        sum(1 << order for ns, op, order in rows_of(of) if op == RESTORE and ns > counted_ns)
        for of in (plain, fronted.events)
    ]
    assert columns_after["restored"] == reads[0] - reads[1]
    assert columns_after["missed"] == reads[1]
    waits = [sample_ns(sample, block) for sample in oracle.samples if sample[0] > counted_ns]
    assert columns_after["reservation_max_ns"] == max(waits, default=None)
    mean = sum(waits) / len(waits) if waits else None
    assert columns_after["reservation_mean_ns"] == (mean if mean is None else pytest.approx(mean))


def rows_of(events: Events) -> list[tuple[int, int, int]]:
    """Return the time, the op and the order of each row."""
    columns = (events.time_ns.tolist(), events.op.tolist(), events.order.tolist())
    return list(zip(*columns, strict=True))


def outcomes_after(machine: Machine, base: Timeline, fronted: Fronted) -> dict[str, Any]:
    """Return the outcomes of a larger memory after the warm-up of `base`."""
    own, policies = own_timeline(fronted, machine, base), pack([Policy(system="migrate_cma")])
    timeline, counted = SYSTEMS["migrate_cma"].count(own, base, fronted, policies)
    lane = Replayed("migrate_cma", policies, counted, 0, timeline, machine)
    return lane_columns(outcomes_of_groups([(np.arange(1), lane)], 1), Costs(), 0)


def sample_ns(sample: tuple[int, int, int, int, int], block: int) -> int:
    """Return what a sample of blocks, dropped and migrated pages takes."""
    _, _, blocks, dropped, migrated = sample
    costs = Costs()
    lines = blocks * block * 4096 // 64
    taken = costs.reserve_base_ns + lines * costs.cache_line_ns + dropped * costs.slot_drop_ns
    base_ns = costs.migrate_base_ns if migrated else 0
    return int(taken + migrated * costs.migrate_page_ns + base_ns)
