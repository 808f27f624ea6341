"""What the front end tells of read requests, writes, metadata and phases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from access_rows import Row, as_accesses, read, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.accesses import (
    ANONYMOUS,
    BY_WRITE,
    IN_FAULT,
    LARGE_FOLIOS,
    LOOKUP,
    MAP,
    METADATA,
    PHASE,
    READ,
    TOUCH,
    TRUNCATE,
    UNMAP,
    WRITE,
)
from core.events import ANONYMOUS as SWAP
from core.events import (
    INVALIDATE,
    JOIN,
    NO_PHASE,
    RESTORE,
    STORE,
    WANTED,
    Events,
    check_events,
)
from core.events import PHASE as PHASE_ROW
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend

SETTINGS = FrontEnd(swap_size=4096 * 1000, readahead_size=8 * 4096, page_cache_order=2)
OPS = [READ, READ, READ, TOUCH, MAP, LOOKUP, LOOKUP, WRITE, TRUNCATE, ANONYMOUS, ANONYMOUS, UNMAP]


@st.composite
def mixed_rows(draw: st.DrawFn) -> list[Row]:
    """Draw accesses of every kind; their recorded reads tell requests."""
    rows: list[Row] = []
    has_read = False
    for _ in range(draw(st.integers(1, 120))):
        op = draw(st.sampled_from(OPS))
        order = draw(st.sampled_from([0, 0, 1, 2])) if op not in (TOUCH, MAP) else 0
        index, inode = draw(st.integers(0, 60)) >> order << order, draw(st.integers(0, 1))
        flags = 0
        if op == READ:
            flags = draw(st.sampled_from([0, WANTED, BY_WRITE, IN_FAULT | WANTED]))
            flags |= draw(st.sampled_from([0, JOIN])) if has_read else 0
            has_read = True
        elif op == LOOKUP:
            flags = draw(st.sampled_from([0, IN_FAULT, LARGE_FOLIOS]))
        rows.append((op, inode, index, order, 0, flags))
    return rows


def requests_of(events: Events) -> list[list[tuple[int, bool]]]:
    """Return the requests of a table: of each row its first page, and whether it is wanted."""
    requests: list[list[tuple[int, bool]]] = []
    restores = events.op == RESTORE
    for index, flags in zip(
        events.index[restores].tolist(), events.flags[restores].tolist(), strict=True
    ):
        if not flags & JOIN:
            requests.append([])
        requests[-1].append((index, flags & WANTED != 0))
    return requests


def run(rows: list[Row], **about: object) -> Fronted:
    accesses = as_accesses(rows, free_pages=900, **about)
    return run_frontend(accesses, FrontEnd())


def asked(index: int, pages: int = 1, order: int = 0, flags: int = 0) -> Row:
    return (LOOKUP, 0, index, order, pages, flags)


#: Makes a file long enough for the windows of a test; the page is its last.
LAST = asked(199)


@settings(max_examples=80, deadline=None)
@given(mixed_rows(), st.sampled_from(list(Reclaim)), st.booleans())
def test_a_request_is_one_that_a_table_may_tell(
    rows: list[Row], reclaim: Reclaim, tells: bool
) -> None:
    accesses = as_accesses(rows, free_pages=64, low=4, high=8, requests=tells)
    events = run_frontend(accesses, replace(SETTINGS, reclaim=reclaim)).events
    check_events(events, events.data_pages, "front end")
    assert events.requests == (tells or READ not in [row[0] for row in rows])
    if not events.requests:
        assert not (events.flags & (JOIN | WANTED)).any()
    assert not (events.flags[events.op == STORE] & WANTED).any()
    swapped = (events.op == RESTORE) & (events.flags & SWAP != 0)
    if events.requests:
        # Each page that is swapped in is a request of its own, which a fault waits for.
        assert (events.flags[swapped] & (JOIN | WANTED) == WANTED).all()


@settings(max_examples=60, deadline=None)
@given(mixed_rows(), st.sampled_from(list(Reclaim)))
def test_a_row_is_wanted_where_it_holds_what_the_access_asks_for(
    rows: list[Row], reclaim: Reclaim
) -> None:
    rows = [row for row in rows if row[0] != READ]
    if not rows:
        return
    accesses = as_accesses(rows, free_pages=64, low=4, high=8)
    events = run_frontend(accesses, replace(SETTINGS, reclaim=reclaim)).events
    for at in np.flatnonzero((events.op == RESTORE) & (events.flags & SWAP == 0)).tolist():
        op, inode, first, order, _, flags = rows[int(events.time_ns[at])]
        assert inode == events.inode[at]
        begin = int(events.index[at])
        end = begin + (1 << int(events.order[at]))
        is_wanted = bool(events.flags[at] & WANTED)
        overlaps = begin < first + (1 << order) and end > first
        if op in (TOUCH, MAP):
            assert is_wanted
        elif flags & IN_FAULT:
            # Each page of the row is a fault, which waits for it alone.
            assert overlaps or not is_wanted
        else:
            assert is_wanted == overlaps


@settings(max_examples=40, deadline=None)
@given(mixed_rows(), st.sampled_from(list(Reclaim)))
def test_what_a_write_makes_is_no_row(rows: list[Row], reclaim: Reclaim) -> None:
    accesses = as_accesses(rows, free_pages=64, low=4, high=8, requests=True)
    fronted = run_frontend(accesses, replace(SETTINGS, reclaim=reclaim))
    events = fronted.events
    written = np.array([row[0] == WRITE or row[5] & BY_WRITE != 0 for row in rows])
    ops = events.op[written[events.time_ns]]
    assert not np.isin(ops, (RESTORE, INVALIDATE)).any()
    files = events.flags & SWAP == 0
    restored = int((1 << events.order[(events.op == RESTORE) & files].astype(int)).sum())
    made = fronted.counts["inserted_write_pages"]
    assert restored + made == fronted.counts["inserted_pages"]


@settings(max_examples=40, deadline=None)
@given(mixed_rows(), st.sampled_from(list(Reclaim)))
def test_metadata_takes_memory_as_a_file_does_and_has_no_row(
    rows: list[Row], reclaim: Reclaim
) -> None:
    marked = [
        (*row[:5], row[5] | (METADATA if row[1] and row[0] <= TRUNCATE else 0)) for row in rows
    ]
    fronted = run_frontend(
        as_accesses(marked, free_pages=64, low=4, high=8), replace(SETTINGS, reclaim=reclaim)
    )
    events, counts = fronted.events, fronted.counts
    is_file = (events.op <= INVALIDATE) & (events.flags & SWAP == 0)
    assert not (is_file & (events.inode == 1)).any()
    for what, op in (("inserted", RESTORE), ("evicted", STORE)):
        pages = int((1 << events.order[is_file & (events.op == op)].astype(int)).sum())
        # What a write makes is no row either.
        made = counts["inserted_write_pages"] if what == "inserted" else 0
        assert 0 <= counts[f"{what}_pages"] - counts[f"{what}_metadata_pages"] - pages <= made
    assert counts["refaults_metadata_pages"] <= counts["refaults"]


def test_a_miss_waits_for_what_it_asked_and_not_for_its_readahead() -> None:
    assert requests_of(run([asked(0), LAST]).events)[0] == [
        (0, True), (1, False), (2, False), (3, False),
    ]  # fmt: skip
    # Three pages in a row of order 1 and one of order 0.
    two = [asked(0, 3, order=1), asked(2), LAST]
    wanted = [page for page, is_wanted in requests_of(run(two).events)[0] if is_wanted]
    assert wanted == [0, 1, 2]


def test_readahead_behind_a_mark_is_waited_for_only_where_it_is_asked_for() -> None:
    plain = requests_of(run([asked(0), asked(1), LAST]).events)
    assert plain[1] == [(page, False) for page in range(4, 12)]
    # The request goes on into the window: pages 1 to 5.
    longer = requests_of(run([asked(0), asked(1, 5), LAST]).events)
    assert longer[1] == [(page, page < 6) for page in range(4, 12)]


def test_a_small_random_read_is_one_request_and_all_of_it_is_wanted() -> None:
    rows = [asked(60, 4, order=2), asked(20, 2, order=1), LAST]
    assert requests_of(run(rows).events)[:2] == [
        [(60, True), (61, True), (62, True), (63, True)],
        [(20, True), (21, True)],
    ]


def test_a_fault_waits_for_its_page_alone() -> None:
    fault = asked(40, 8, order=3, flags=IN_FAULT)
    requests = requests_of(run([fault, LAST]).events)
    assert requests[0] == [(page, page == 40) for page in range(24, 56)]


def test_a_page_that_readahead_leaves_out_is_a_request_of_its_own() -> None:
    # After a hundred faults that missed, faults read no more around them.
    far = [asked(200 * i, flags=IN_FAULT) for i in range(120)]
    requests = requests_of(run_frontend(as_accesses(far, free_pages=1000), FrontEnd()).events)
    assert requests[-1] == [(200 * 119, True)]
    assert len(requests[0]) > 1


def test_a_recorded_request_begins_with_its_first_page_that_is_not_in_memory() -> None:
    def row(index: int, flags: int) -> Row:
        return (READ, 0, index, 0, 0, flags)

    rows = [read(0), row(0, WANTED), row(1, JOIN | WANTED), row(2, JOIN)]
    assert requests_of(run(rows, requests=True).events) == [[(0, False)], [(1, True), (2, False)]]
    # What is no read, and metadata, end no request.
    between = [(READ, 1, 0, 0, 0, METADATA), (TOUCH, 1, 8, 0, 0, METADATA), row(9, BY_WRITE)]
    rows = [row(0, WANTED), *between, row(1, JOIN)]
    assert requests_of(run(rows, requests=True).events) == [[(0, True), (1, False)]]
    # A page that another access brings in stands between: what follows can join nothing.
    rows = [row(0, WANTED), touch(50), row(1, JOIN)]
    assert requests_of(run(rows, requests=True).events) == [[(0, True)], [(50, True)], [(1, False)]]


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_a_write_over_a_shadow_is_no_refault(reclaim: Reclaim) -> None:
    scan = [read(i) for i in range(40)]
    counts = [
        run_frontend(as_accesses([*scan, row]), FrontEnd(reclaim)).counts
        for row in ((READ, 0, 0, 0, 0, BY_WRITE), (WRITE, 0, 0, 0, 0, 0), read(0))
    ]
    assert [count["refaults"] for count in counts] == [0, 0, 1]
    assert [count["rewritten_pages"] for count in counts] == [1, 1, 0]
    assert [count["inserted_write_pages"] for count in counts] == [1, 1, 0]


@pytest.mark.parametrize("recent", [8, 9])
def test_the_shadow_of_a_large_folio_is_that_of_its_last_page(recent: int) -> None:
    long_ago = 17 - recent
    rows = [read(i) for i in range(8)]
    rows += [touch(i) for i in range(8)] * 2  # eight active pages: so far may a refault reach
    rows += [read(long_ago), *(read(i) for i in range(20, 60)), read(recent)]
    classic = FrontEnd(Reclaim.ACTIVE_INACTIVE)
    for filler in range(60, 100):
        events = run_frontend(as_accesses(rows), classic).events
        gone = events.index[events.op == STORE].tolist()
        if recent in gone:
            break
        rows.append(read(filler))
    assert long_ago in gone
    refaulting = run_frontend(as_accesses([*rows, read(8, order=1)]), classic)
    assert refaulting.counts["refaults"] == 2
    assert refaulting.counts["activations"] == (2 if recent == 9 else 0)


def test_phases_are_passed_on_with_their_names() -> None:
    rows: list[Row] = [read(0), (PHASE, 0, 1, 0, 0, 0), read(1), (PHASE, 0, NO_PHASE, 0, 0, 0)]
    fronted = run(rows, phases=("first", "second"))
    events = fronted.events
    check_events(events, events.data_pages, "front end")
    assert events.phases == ("first", "second")
    begins = events.op == PHASE_ROW
    assert events.index[begins].tolist() == [1, NO_PHASE]
    assert events.time_ns[begins].tolist() == [1, 3]


def test_the_simulated_kernel_knows_its_workingset_and_no_file_system() -> None:
    events = run([read(0)]).events
    assert events.workingset_inferred_ratio == 0.0
    assert not events.mapped
