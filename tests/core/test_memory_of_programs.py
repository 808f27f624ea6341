"""Memory that programs take and give is swapped where the recorded machine had zram."""

from __future__ import annotations

import numpy as np
import pytest
from access_rows import Row, as_accesses, read

from core.accesses import GIVE, TAKE
from core.events import ALLOC, ANONYMOUS, FREE, MOVABLE, TAGGED, digest_events
from core.frontend.numbered_accesses import number_programs
from core.frontend.run import FrontEnd, Reclaim, run_frontend

WAYS = pytest.mark.parametrize("reclaim", list(Reclaim))
ZRAM = {"free_pages": 64, "zram_size": 4096 * 1000}
OF_PROGRAM = ANONYMOUS | MOVABLE


def takes(handles: range, flags: int = OF_PROGRAM) -> list[Row]:
    return [(TAKE, 0, 0, 0, handle, flags) for handle in handles]


def gives(handles: range) -> list[Row]:
    return [(GIVE, 0, 0, 0, handle, 0) for handle in handles]


@WAYS
def test_it_is_swapped_out_where_the_recording_had_zram(reclaim: Reclaim) -> None:
    # 100 pages do not fit into 64; zram packs three into one.
    rows = takes(range(100))
    counts = run_frontend(as_accesses(rows, **ZRAM), FrontEnd(reclaim)).counts
    assert counts["swapped_out_pages"] > 100 - 64
    assert counts["swapped_in_pages"] == counts["evictions"] == 0


@WAYS
def test_what_is_given_leaves_zram_and_makes_room_there(reclaim: Reclaim) -> None:
    # zram takes 50 pages. All of it is used again and again, as what lies in it is given.
    turns = [range(100 * turn, 100 * turn + 80) for turn in range(10)]
    rows = [row for turn in turns for row in (*takes(turn), *gives(turn))]
    accesses = as_accesses(rows, free_pages=64, zram_size=4096 * 50)
    fronted = run_frontend(accesses, FrontEnd(reclaim), every_frame=True)
    assert fronted.counts["swapped_out_pages"] > 50
    # All 64 frames are free in the end, those of zram too; the other 960 were in use before.
    op = fronted.events.op
    assert int((op == ALLOC).sum()) - int((op == FREE).sum()) == 1024 - 64


@WAYS
@pytest.mark.parametrize("swap", [{"zram_size": 0}, {"swap_size": 4096 * 100}])
def test_without_zram_it_is_memory_like_any_other(reclaim: Reclaim, swap: dict[str, int]) -> None:
    rows = [*takes(range(20)), *map(read, range(60)), *gives(range(20)), *map(read, range(60))]
    plain = [(*row[:5], row[5] & ~ANONYMOUS) if row[0] == TAKE else row for row in rows]
    machine = {"free_pages": 64, "low": 4, "high": 8}
    settings = FrontEnd(reclaim, **swap)
    of_programs = run_frontend(as_accesses(rows, **machine), settings)
    of_others = run_frontend(as_accesses(plain, **machine), settings)
    assert of_programs.counts == of_others.counts
    assert of_programs.counts["swapped_out_pages"] == 0 < of_programs.counts["evictions"]
    assert digest_events(of_programs.events) == digest_events(of_others.events)
    # A recording that tells of no zram is a machine without.
    recorded, without = (
        run_frontend(as_accesses(rows, **machine), FrontEnd(reclaim, zram_size=size)).counts
        for size in (None, 0)
    )
    assert recorded == without


@WAYS
def test_tagged_memory_gives_its_frame_up_when_it_is_swapped(reclaim: Reclaim) -> None:
    rows = takes(range(100), OF_PROGRAM | TAGGED)
    events = run_frontend(
        as_accesses([*rows, *gives(range(100))], **ZRAM), FrontEnd(reclaim)
    ).events
    assert int((events.op == ALLOC).sum()) == int((events.op == FREE).sum()) == 100
    # No more than 64 frames are tagged at a time.
    held = np.cumsum(np.where(events.op == ALLOC, 1, -1))
    assert held.max() <= 64
    assert held[-1] == 0


def test_it_is_young_once_after_it_was_taken() -> None:
    # The pages of a program are the first to go on the classic lists if they were not young: they
    # come to the old end first. Looked at once, each stays; so files go before them.
    rows = [*takes(range(20)), *(read(4 * number, order=2) for number in range(20))]
    classic = FrontEnd(Reclaim.ACTIVE_INACTIVE, swappiness=100)
    fronted = run_frontend(as_accesses(rows, **ZRAM), classic)
    assert fronted.counts["evicted_pages"] > 0
    assert fronted.counts["swapped_out_pages"] == 0


def test_a_page_that_was_given_is_taken_again() -> None:
    columns = [*takes(range(2)), *gives(range(1)), *takes(range(2, 4)), *gives(range(1, 4))]
    op, flags, handle = (
        np.array([row[place] for row in columns], dtype=kind)
        for place, kind in ((0, np.uint8), (5, np.uint8), (4, np.int32))
    )
    page = np.full(op.size, -1, dtype=np.int32)
    held = np.full(4, -1, dtype=np.int32)
    assert number_programs(op, flags, handle, held, 10, page) == 3
    # Handle 0 has page 10 and gives it; 2 takes it again, and 3 a third one.
    assert page.tolist() == [10, 11, 10, 10, 12, 11, 10, 12]
