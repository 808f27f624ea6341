"""The classic lists keep the rules of Linux 6.12, each by a case worked by hand."""

from __future__ import annotations

from access_rows import Row, as_accesses, read, touch

from core.accesses import EXIT, MAP, METADATA, WRITE
from core.events import STORE, WORKINGSET
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend

CLASSIC = FrontEnd(Reclaim.ACTIVE_INACTIVE)


def run(rows: list[Row], free_pages: int = 20) -> Fronted:
    """Run on a machine where kswapd wakes when less than 2 pages are free, and aims at 4."""
    return run_frontend(as_accesses(rows, free_pages=free_pages), CLASSIC)


def gone(rows: list[Row], free_pages: int = 20) -> list[int]:
    """Return the pages that were evicted, in order."""
    events = run(rows, free_pages).events
    return [int(index) for index in events.index[events.op == STORE]]


def mapped(index: int, task: int = 7) -> Row:
    return (MAP, 0, index, 0, task, 0)


def ended(task: int = 7) -> Row:
    return (EXIT, 0, 0, 0, task, 0)


def test_what_is_accessed_twice_is_activated_and_what_is_accessed_once_is_not() -> None:
    rows = [read(0), touch(0), read(1), touch(1), touch(1), *map(read, range(2, 30))]
    assert gone(rows)[0] == 0
    assert 1 not in gone(rows)
    assert run(rows).counts["promotions"] == 1


def test_metadata_is_accessed_when_it_comes_in() -> None:
    block: Row = (read(0)[0], 1, 0, 0, 0, METADATA)
    access: Row = (touch(0)[0], 1, 0, 0, 0, METADATA)
    assert run([block]).counts["promotions"] == 0
    assert run([block, access]).counts["promotions"] == 1


def test_a_refault_is_activated_if_no_more_pages_aged_than_are_active() -> None:
    # Four pages are active. Evictions and activations age the shadows; page 4 goes first.
    active = [row for i in range(4) for row in (read(i), touch(i), touch(i))]
    activated: dict[int, bool] = {}
    for more in range(30):
        counts = run([*active, *map(read, range(4, 20 + more)), read(4)]).counts
        if counts["refaults"]:
            activated[counts["evicted_pages"]] = counts["activations"] == 1
    assert activated == {aged: aged <= 4 for aged in activated}
    assert set(activated.values()) == {True, False}


def test_a_young_mapping_activates_once_and_not_after_its_task_has_ended() -> None:
    scan = list(map(read, range(1, 30)))
    assert 0 not in gone([mapped(0), *scan])
    assert gone([mapped(0), ended(), *scan])[0] == 0
    # Another task has it mapped still.
    assert 0 not in gone([mapped(0), mapped(0, 8), ended(), *scan])


def test_active_pages_are_deactivated_only_where_there_are_fewer_inactive_ones() -> None:
    def twice(pages: int) -> list[Row]:
        return [row for i in range(pages) for row in (read(i), touch(i), touch(i))]

    few = run([*twice(6), *map(read, range(6, 30))]).counts
    assert few["deactivations"] == 0
    many = run([*twice(14), *map(read, range(14, 30))]).counts
    assert many["deactivations"] > 0


def test_what_was_deactivated_is_workingset_when_it_goes() -> None:
    rows = [row for i in range(18) for row in (read(i), touch(i), touch(i))]
    events = run([*rows, *map(read, range(18, 60))]).events
    stores = events.op == STORE
    was_active = events.index[stores] < 18
    assert was_active.any()
    assert ((events.flags[stores] & WORKINGSET != 0) == was_active).all()


def test_a_young_active_mapping_stays_active() -> None:
    # All eighteen are activated; page 0 is mapped as well, before reclaim first runs.
    rows = [row for i in range(18) for row in (read(i), touch(i), touch(i))]
    scan = list(map(read, range(18, 60)))
    assert 0 in gone([*rows, *scan], free_pages=40)
    assert 0 not in gone([*rows, mapped(0), *scan], free_pages=40)


def test_a_dirty_page_is_kept_until_the_flusher_has_written_it() -> None:
    rows: list[Row] = [(WRITE, 0, 0, 0, 0, 0), *map(read, range(1, 40))]
    assert 0 not in gone(rows)


def test_a_pass_ends_before_reclaim_looks_how_much_is_free() -> None:
    # One page is free too few when the last of 1,000 pages comes. A pass scans 999 >> 12 pages, the
    # next 999 >> 11, then 0, and 1; the fifth, 998 >> 8 = 3, is not cut short after one page.
    assert run(list(map(read, range(1000))), free_pages=1001).counts["evicted_pages"] == 1 + 3
