"""Folios that were in memory before the trace: no row tells that they came, but that they go."""

from __future__ import annotations

import pytest
from access_rows import Row, as_accesses, read, touch

from core.accesses import FROM_BEFORE, IN_FAULT, METADATA, READ, TRUNCATE
from core.events import INVALIDATE, RESTORE, STORE
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend

WAYS = pytest.mark.parametrize("reclaim", list(Reclaim))


def before(index: int, order: int = 0, flags: int = 0) -> Row:
    return (READ, 0, index, order, 0, FROM_BEFORE | flags)


def run(rows: list[Row], reclaim: Reclaim, free_pages: int = 40) -> Fronted:
    return run_frontend(as_accesses(rows, free_pages=free_pages), FrontEnd(reclaim))


def indexes(fronted: Fronted, op: int) -> list[int]:
    events = fronted.events
    return [int(index) for index in events.index[events.op == op]]


@WAYS
@pytest.mark.parametrize("flags", [0, IN_FAULT])
def test_it_is_in_no_row_and_in_no_count_but_its_own(reclaim: Reclaim, flags: int) -> None:
    fronted = run([before(0, 2, flags), before(9, 0, flags), touch(9)], reclaim)
    assert fronted.events.op.size == 0
    counts = {name: count for name, count in fronted.counts.items() if count}
    assert counts == {"pages_from_before": 5, "resident_pages": 5}


@WAYS
def test_its_frames_were_in_use_already(reclaim: Reclaim) -> None:
    # 30 pages of before leave all 40 free pages: nine folios of 4 pages do not need reclaim.
    rows = [*map(before, range(100, 130)), *(read(4 * number, order=2) for number in range(9))]
    assert run(rows, reclaim).counts["kswapd_runs"] == 0


@WAYS
def test_its_eviction_is_a_store_which_frees_a_page_and_its_return_a_refault(
    reclaim: Reclaim,
) -> None:
    rows = [before(99), *map(read, range(60))]
    gone = run(rows, reclaim)
    assert indexes(gone, STORE)[0] == 99  # it is the oldest
    assert gone.counts["insertions"] == 60
    assert gone.counts["refaults"] == 0
    back = run([*rows, read(99)], reclaim)
    assert back.counts["refaults"] == 1
    assert indexes(back, RESTORE)[-1] == 99
    # Memory has one page more than it had.
    in_memory = back.counts["resident_pages"]
    assert in_memory <= 40 + 1


@WAYS
def test_it_is_found_and_not_read_by_the_first_read(reclaim: Reclaim) -> None:
    assert indexes(run([before(3), read(3), read(4)], reclaim), RESTORE) == [4]


@WAYS
def test_its_truncation_is_an_invalidation(reclaim: Reclaim) -> None:
    fronted = run([before(3), (TRUNCATE, 0, 3, 0, 0, 0), read(3)], reclaim)
    assert fronted.events.op.tolist() == [INVALIDATE, RESTORE]
    # A page that was truncated has no shadow.
    assert fronted.counts["refaults"] == 0


@WAYS
def test_metadata_of_before_is_in_no_row_at_all(reclaim: Reclaim) -> None:
    fronted = run([before(99, flags=METADATA), *map(read, range(60))], reclaim)
    assert 99 not in indexes(fronted, STORE)
    assert fronted.counts["evicted_metadata_pages"] == 1
    assert fronted.counts["inserted_metadata_pages"] == 0


def test_what_came_by_a_fault_is_in_the_youngest_generation() -> None:
    # Of two pages of before the one that came by a fault goes after all that was read.
    rows = [before(98, flags=IN_FAULT), before(99), *map(read, range(38))]
    order = indexes(run([*rows, *map(read, range(38, 60))], Reclaim.MGLRU), STORE)
    assert order[:20] == [99, *range(19)]
