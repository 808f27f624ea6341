"""A tenant laid over a capture: its pages lie where the capture leaves frames free."""

from __future__ import annotations

import numpy as np
import pytest
from captures import TRACES
from streams import compiled

from core.event_files import read_events
from core.events import ALLOC, FREE, TAGGED, Events, EventsError, check_events, make_events
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
