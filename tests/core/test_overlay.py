"""A tenant laid over a capture: its pages lie where the capture leaves frames free."""

from __future__ import annotations

import numpy as np
import pytest
from captures import TRACES
from reference import Event
from streams import Stream, as_events, by_reference, compiled, frame_event, lane_columns

from core.backend import replay
from core.costs import Costs
from core.event_files import read_events
from core.events import (
    ALLOC,
    FREE,
    MOVABLE,
    TAGGED,
    Events,
    EventsError,
    check_events,
    make_events,
)
from core.machine import Machine
from core.policy import Policy
from core.policy_words import Drop
from core.workload.overlay import with_tenant_over
from core.workload.survey import survey_events


def laid_over(events: Events, ratio: float = 0.1, seed: int = 1) -> Events:
    return with_tenant_over(events, ratio, 0.5, seed, events.data_pages, "x")


def file_events(rows: int, data_pages: int = 4096) -> Events:
    """Return a table of restores alone, as of a kernel that tells of no allocation."""
    columns = {name: np.zeros(rows, dtype=np.int64) for name in ("inode", "order", "pfn", "flags")}
    numbers = np.arange(rows)
    columns |= {"time_ns": 1000 * numbers, "op": np.ones(rows), "index": numbers}
    return make_events(columns, page_size=4096, data_pages=data_pages, source="files")


@pytest.mark.parametrize("name", ["cache-wr", "cache-db-tags", "launch-mglru-224w"])
def test_a_capture_stays_as_it_was_between_the_rows_of_its_tenant(name: str) -> None:
    events = read_events(TRACES / f"{name}.parquet")
    beside = laid_over(events, 0.05)
    # No row could not have been: a frame of the capture is never the tenant's at that time.
    check_events(beside, events.data_pages, name)
    more = beside.op.size - events.op.size
    assert more > 1000
    changes = np.isin(beside.op, (ALLOC, FREE))
    of_capture = np.isin(events.op, (ALLOC, FREE))
    assert int(changes.sum()) - int(of_capture.sum()) == more
    for column, values in events.columns.items():
        assert np.array_equal(beside.columns[column][~changes], values[~of_capture]), column
    assert beside.about == events.about
    live = np.where(beside.op == ALLOC, 1, np.where(beside.op == FREE, -1, 0))
    assert (np.diff(beside.time_ns) >= 0).all()
    assert (np.cumsum(live * (1 << beside.order.astype(np.int64))) >= 0).all()


@compiled
def test_a_tenant_holds_the_share_of_memory_that_it_is_said_to(tmp_path: object) -> None:
    survey = survey_events(laid_over(file_events(400_000)))
    share = survey.figures["peak_tagged_pages"] / 4096
    assert 0.07 < share < 0.16
    assert survey.tagged_pages[0] > 0.01 * 4096  # its heaps have lived before the table begins
    assert survey.tagged_pages.min() > 0


def test_a_table_of_a_few_rows_has_a_tenant_too() -> None:
    few = laid_over(file_events(3))
    check_events(few, 4096, "few")
    assert 50 < int((few.flags & TAGGED != 0).sum()) < 800
    assert few.op[0] == ALLOC


def test_a_tenant_depends_on_its_seed_alone_and_none_leaves_the_table_as_it_is() -> None:
    events = file_events(20_000)
    first, again, other = (laid_over(events, seed=seed) for seed in (3, 3, 4))
    for column in events.columns:
        assert np.array_equal(first.columns[column], again.columns[column])
    assert first.op.size != other.op.size or not np.array_equal(first.pfn, other.pfn)
    assert laid_over(events, 0.0) is events


def test_pages_for_which_no_frame_is_free_are_refused() -> None:
    events = file_events(20_000, data_pages=1024)
    columns = dict(events.columns)
    taken = {"time_ns": 0, "op": ALLOC, "inode": 0, "index": 0, "order": 9, "pfn": 0, "flags": 0}
    columns = {name: np.insert(values, 0, taken[name]) for name, values in columns.items()}
    full = make_events(columns, page_size=4096, data_pages=1024, source="full")
    check_events(laid_over(full, 0.2), 1024, "laid over")
    with pytest.raises(EventsError, match=r"x: no frame is free for [\d,]+ of [\d,]+ pages of its"):
        laid_over(full, 0.7)


def unmovable(events: Events) -> Events:
    """Return a table of which no page is movable: those of a tenant then are the only ones."""
    flags = np.where(events.op == ALLOC, events.flags & ~np.uint8(MOVABLE), events.flags)
    return events._replace(flags=flags)


def without_its_tenant(events: Events) -> list[tuple[int, ...]]:
    """Return the other rows of a table, after checking that no frame had two pages in it."""
    held: set[int] = set()
    used: set[int] = set()
    others = []
    for row in zip(*(column.tolist() for column in events.columns.values()), strict=True):
        _, op, _, _, order, pfn, flags = row
        frames = set(range(pfn, pfn + (1 << order)))
        if op == ALLOC and flags & MOVABLE:
            assert order == 0
            assert not frames & (held | used), row
            held |= frames
            continue
        if op == FREE and pfn in held:
            held.remove(pfn)
            continue
        if op in (ALLOC, FREE):
            assert not frames & held, row
            used = used | frames if op == ALLOC else used - frames
        others.append(row)
    return others


def churn(seed: int, data_pages: int, rows: int = 1500) -> Stream:
    """Return file events and frames that come and go, of which some are in use at the end."""
    random = np.random.default_rng(seed)
    frames = np.zeros(data_pages // 3, dtype=np.uint8)
    stream = Stream([], mapped=True)
    while len(stream) < rows:
        time_ns = 10 * len(stream)
        if random.random() < 0.3:
            event = frame_event(random, frames, time_ns)
            if event is not None:
                stream.append(Event(*event)._replace(flags=event[-1] & ~MOVABLE))
            continue
        op, index = int(random.choice(3, p=[0.5, 0.45, 0.05])), int(random.integers(0, 60))
        stream.append(Event(time_ns, op, int(random.integers(0, 3)), index, 0, 0, 1))
    return stream


@pytest.mark.parametrize("seed", range(4))
def test_a_table_with_a_tenant_is_replayed_as_the_reference_does(seed: int) -> None:
    machine = Machine(4096, 1536, 4096 * (1 + seed % 2))
    stream = churn(seed, machine.data_pages)
    beside = with_tenant_over(
        as_events(stream, machine), 0.1, 0.3 * (seed % 2), seed, machine.data_pages, "x"
    )
    assert without_its_tenant(beside) == [tuple(event) for event in stream]
    columns = (column.tolist() for column in beside.columns.values())
    rows = Stream((Event(*row) for row in zip(*columns, strict=True)), mapped=True)
    assert len(rows) > len(stream) + 50
    policies = [Policy(eviction="lru", drop=drop, admission="all") for drop in Drop]
    for parts in (0, 16):
        outcomes = replay(beside, machine, policies, warm_up=parts / 64)
        for lane, policy in enumerate(policies):
            expected = by_reference(rows, machine, policy, Costs(), warm_up_parts=parts)
            outcome_of = lane_columns(outcomes, Costs(), lane)
            assert parts or outcome_of["reservations"] > 0
            for name, value in expected.outcomes.items():
                is_exact = not isinstance(value, float)
                close = value if is_exact else pytest.approx(value, rel=1e-12)
                assert outcome_of[name] == close, name


@pytest.mark.parametrize("ratio", [0.02, 0.3])
def test_no_frame_of_a_capture_has_two_pages(ratio: float) -> None:
    events = unmovable(read_events(TRACES / "launch-mglru-224w.parquet"))
    columns = {name: column[:60_000] for name, column in events.columns.items()}
    events = make_events(columns, **events.about | {"checks": ()})
    given = list(zip(*(column.tolist() for column in events.columns.values()), strict=True))
    assert without_its_tenant(laid_over(events, ratio)) == given


def test_a_tenant_has_its_share_of_a_larger_memory_too() -> None:
    events = file_events(300_000)
    share = {}
    for data_pages in (4096, 4 * 4096):
        beside = with_tenant_over(events, 0.2, 0.0, 1, data_pages, "x")
        live = np.cumsum(np.where(beside.op == ALLOC, 1, np.where(beside.op == FREE, -1, 0)))
        share[data_pages] = live[beside.op == 1].mean() / data_pages
        check_events(beside, data_pages, "x")
    assert all(0.15 < value < 0.25 for value in share.values()), share


def test_a_burst_is_the_share_of_memory_that_it_is_said_to_be() -> None:
    beside = with_tenant_over(file_events(400_000), 0.25, 1.0, 2, 4096, "x")
    live = np.cumsum(np.where(beside.op == ALLOC, 1, np.where(beside.op == FREE, -1, 0)))
    assert live.max() == 1024
    assert live.min() == 0


def test_a_tenant_whose_table_is_worked_out_by_hand() -> None:
    """Frames 32 to 127 are taken until row 2000, so that the first pages are in the first 32."""
    events = file_events(4000, data_pages=128)
    taken = [(0, 5, 32), (0, 6, 64), (2000, 5, 32), (2000, 6, 64)]
    columns = dict(events.columns)
    for row, order, pfn in reversed(taken):
        alloc = {"time_ns": 1000 * row, "op": FREE if row else ALLOC, "order": order, "pfn": pfn}
        columns = {
            name: np.insert(values, row, alloc.get(name, 0)) for name, values in columns.items()
        }
    table = make_events(columns, page_size=4096, data_pages=128, source="by hand")
    beside = with_tenant_over(table, 0.1, 0.0, 0, 128, "x")
    tenant = (beside.op == ALLOC) & (beside.flags & TAGGED != 0)
    until_freed = tenant & (np.arange(beside.op.size) < np.flatnonzero(beside.order)[2])
    assert beside.pfn[until_freed].max() < 32
    at_once = np.flatnonzero(tenant & (beside.time_ns == 0))
    assert at_once.size == np.unique(beside.pfn[at_once]).size >= 6
    assert at_once.tolist() == list(range(at_once.size))  # before the table's own first row
