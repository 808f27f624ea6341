"""When a page counts as accessed through its mappings, and where compaction puts what it moves.

Of a mapping a trace shows the first access, its fault. A look of reclaim clears accessed bits; so
what was mapped before a look is young no more, and a task that ends marks as accessed what it has
mapped since (zap_present_folio_ptes).
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from access_rows import Row, as_accesses, read, touch

from core.accesses import EXIT, MAP, MOVE, TRUNCATE
from core.events import STORE, WORKINGSET
from core.frontend import active_inactive, mglru
from core.frontend.lists import (
    ABSENT,
    AT,
    FILE,
    FIRST_ANONYMOUS,
    PROMOTIONS,
    REGISTERS,
    YOUNG,
    PageRecords,
    Register,
    enter,
    look,
    make_pages,
    oldest,
)
from core.frontend.mglru import GENERATIONS
from core.frontend.run import FrontEnd, Reclaim, run_frontend

WAYS = pytest.mark.parametrize("hooks", [mglru, active_inactive])
CLASSIC = FrontEnd(Reclaim.ACTIVE_INACTIVE)


def maps(index: int, task: int = 7) -> Row:
    return (MAP, 0, index, 0, task, 0)


def ends(task: int = 7) -> Row:
    return (EXIT, 0, 0, 0, task, 0)


def gone(rows: list[Row], front_end: FrontEnd = CLASSIC, free_pages: int = 40) -> list[int]:
    """Return the pages that are evicted, in order."""
    events = run_frontend(as_accesses(rows, free_pages=free_pages), front_end).events
    return [int(index) for index in events.index[events.op == STORE]]


def empty(hooks: ModuleType, pages: int = 8) -> tuple[PageRecords, Register]:
    records, register = make_pages(pages), np.zeros(REGISTERS, dtype=np.int64)
    register[FIRST_ANONYMOUS] = pages
    hooks.begin(records, register)
    return records, register


@pytest.mark.parametrize(("mappings", "bits"), [(1, 0), (2, 0), (0, YOUNG), (3, YOUNG)])
def test_a_page_is_young_at_the_first_look_and_not_at_the_second(mappings: int, bits: int) -> None:
    pages, register = empty(mglru)
    pages[5].maps, pages[5].bits = mappings, bits
    assert [look(pages, register, 5) for _ in range(3)] == [True, False, False]


@WAYS
def test_a_mapped_page_goes_the_second_time_around_if_it_was_not_accessed_again(
    hooks: ModuleType,
) -> None:
    pages, register = empty(hooks)
    hooks.insert(pages, register, 0, 0, True)

    def scanned(count: int, is_accessed: bool) -> int:
        """Return which page is given up in so many looks at most."""
        for turn in range(count):
            register[AT] = turn
            if is_accessed or turn == 0:
                pages[0].maps = 1
            folio = int(hooks.scan(pages, register))
            if folio != ABSENT:
                return folio
        return ABSENT

    hooks.begin_run(pages, register, 1)
    assert scanned(2000, is_accessed=True) == ABSENT
    assert scanned(2000, is_accessed=False) == 0
    if hooks is active_inactive:
        assert register[PROMOTIONS] >= 1


def counted(rows: list[Row]) -> dict[str, int]:
    return run_frontend(as_accesses(rows, free_pages=900), CLASSIC).counts


@pytest.mark.parametrize(
    ("rows", "activated"),
    [
        ([maps(0), touch(0), ends()], 1),  # the second access activates
        ([maps(0), ends(), touch(0)], 1),
        ([maps(0), ends()], 0),
        ([maps(0), touch(0)], 0),
        ([maps(0), touch(0), ends(8)], 0),  # another task
        ([maps(0), touch(0), ends(), ends()], 1),
        ([maps(0), maps(0, 8), ends(), ends(8)], 1),  # each of two tasks marks it
        ([maps(0), maps(1), touch(0), touch(1), ends()], 2),
    ],
)
def test_a_task_that_ends_marks_as_accessed_what_it_has_mapped(
    rows: list[Row], activated: int
) -> None:
    assert counted(rows)["promotions"] == activated


@pytest.mark.parametrize(
    ("before", "after", "is_marked"),
    [
        ([touch(0), ends()], [], True),  # reclaim has not looked when the task ends
        ([], [touch(0), ends()], False),  # it has
        ([], [touch(0), maps(0), ends()], True),  # and the page was mapped again since
        ([touch(0)], [maps(0), ends()], True),
        ([], [touch(0), touch(0)], True),  # as if it were read
        ([], [touch(0)], False),
    ],
)
def test_it_does_not_mark_what_reclaim_has_looked_at_since(
    before: list[Row], after: list[Row], is_marked: bool
) -> None:
    # A page that was accessed twice is workingset when it goes. Most pages are mapped, so that the
    # run amid the reads adds a generation, which looks at each mapped page; page 0 goes later.
    others, more = ([maps(page, 9) for page in pages] for pages in (range(1, 250), range(550, 800)))
    reads = list(map(read, range(250, 400)))
    rows = [read(999), maps(0), *before, *others, *reads, *after, *more]
    accesses = as_accesses(rows, free_pages=400)
    events = run_frontend(accesses, FrontEnd(Reclaim.MGLRU)).events
    stores = events.op == STORE
    of_page = stores & (events.index == 0)
    first_run_ns = int(events.time_ns[stores][0])
    assert len(before) + len(others) < first_run_ns < rows.index(reads[-1])
    assert int(events.time_ns[of_page][0]) > rows.index(more[0])
    assert bool(events.flags[of_page][0] & WORKINGSET) == is_marked


def test_a_page_that_was_truncated_since_is_mapped_by_its_new_tasks_alone() -> None:
    again: list[Row] = [maps(0), (TRUNCATE, 0, 0, 0, 0, 0), read(0), maps(0, 8), ends()]
    scan = list(map(read, range(1, 60)))
    assert 0 not in gone([read(99), *again, *scan], free_pages=20)
    assert counted([*again, touch(0)])["promotions"] == 0


def test_compaction_puts_what_is_in_the_two_youngest_generations_into_the_youngest() -> None:
    pages, register = empty(mglru)
    # Generations 0 to 3: pages 0 and 1 in each of them in turn, the oldest first.
    lists = [FILE * GENERATIONS + generation for generation in range(GENERATIONS)]
    for generation, which in enumerate(lists):
        for page in (2 * generation, 2 * generation + 1):
            enter(pages, register, page, which, True)
    for page in (6, 4, 2, 0):
        mglru.move(pages, register, page)
    # 7 is the oldest of the youngest ones now. The others go to the second oldest generation, as
    # pages do that are read.
    assert [int(pages[page].list) - lists[0] for page in range(8)] == [1, 0, 1, 1, 3, 2, 3, 3]
    assert [oldest(pages, which) for which in lists] == [1, 3, 5, 7]
    newest = [int(pages[pages.shape[0] - 8 + which].next) for which in lists]
    assert newest == [1, 0, 5, 4]


def test_compaction_puts_a_folio_to_the_new_end_of_its_classic_list() -> None:
    pages, register = empty(active_inactive)
    for page, which in ((0, 2), (1, 2), (2, 3), (3, 3)):
        enter(pages, register, page, which, True)
    active_inactive.move(pages, register, 0)
    active_inactive.move(pages, register, 2)
    assert [int(pages[page].list) for page in range(4)] == [2, 2, 3, 3]
    assert (oldest(pages, 2), oldest(pages, 3)) == (1, 3)


@WAYS
def test_what_is_on_no_list_is_not_moved(hooks: ModuleType) -> None:
    pages, register = empty(hooks)
    hooks.move(pages, register, 0)
    assert pages[0].list == ABSENT


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_a_page_that_compaction_moved_goes_after_those_read_with_it(reclaim: Reclaim) -> None:
    rows: list[Row] = [*map(read, range(30)), (MOVE, 0, 0, 0, 0, 0), (MOVE, 0, 500, 0, 0, 0)]
    rows += map(read, range(30, 60))
    order = gone(rows, FrontEnd(reclaim))
    assert order[0] == 1
    assert 0 not in order or order.index(0) > order.index(29)
