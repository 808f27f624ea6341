"""The front end keeps the laws of a page cache, and chooses as the kernel where it is plain."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from access_rows import Row, as_accesses, read, skewed_rows, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.accesses import (
    ANONYMOUS,
    BOOT_HANDLE,
    COPIED_AT_ONCE,
    EXIT,
    GIVE,
    IN_FAULT,
    LARGE_FOLIOS,
    LOOKUP,
    MAP,
    READ,
    TAKE,
    TOUCH,
    TRUNCATE,
    UNMAP,
    USE,
)
from core.events import (
    ALLOC,
    FREE,
    INVALIDATE,
    RESTORE,
    STORE,
    TAGGED,
    WANTED,
    Events,
    check_events,
    digest_events,
    without_anonymous,
)
from core.events import ANONYMOUS as SWAP
from core.frontend.run import FrontEnd, Reclaim, run_frontend

RECORDED = [READ, READ, TOUCH, TOUCH, MAP, USE, TRUNCATE, TAKE, GIVE, EXIT]
ASKED = [LOOKUP, LOOKUP, ANONYMOUS, UNMAP, TRUNCATE]


@st.composite
def access_rows(draw: st.DrawFn, ops: Sequence[int]) -> list[Row]:
    rows: list[Row] = []
    handles, held = 0, []
    for _ in range(draw(st.integers(1, 150))):
        op = draw(st.sampled_from(ops))
        large = op not in (TOUCH, MAP, USE, GIVE, EXIT)
        order = draw(st.sampled_from([0, 0, 0, 1, 2])) if large else 0
        index = draw(st.integers(0, 40)) >> order << order
        inode, flags = draw(st.integers(0, 1)), draw(st.sampled_from([0, TAGGED]))
        if op == TAKE:
            if len(held) > 5:
                continue
            rows.append((TAKE, 0, 0, order, handles, flags))
            held.append((handles, order))
            handles += 1
        elif op == GIVE:
            if held:
                handle, order = held.pop(draw(st.integers(0, len(held) - 1)))
                rows.append((GIVE, 0, 0, order, handle, 0))
        elif op in (MAP, EXIT):
            rows.append((op, inode, index, 0, draw(st.integers(0, 2)), 0))
        elif op == LOOKUP:
            bits = draw(st.sampled_from([0, IN_FAULT, LARGE_FOLIOS]))
            rows.append((op, inode, index, order, 0, bits))
        else:
            kept = flags if op == ANONYMOUS else flags & 1 if op == READ else 0
            rows.append((op, inode, index, order, 0, kept))
    return rows


def replay_pages(events: object) -> tuple[set[tuple[int, int]], int]:
    """Return the pages in the page cache after events, and the most there were at once."""
    there: set[tuple[int, int]] = set()
    most = 0
    columns = events.columns
    for op, inode, index, order in zip(
        *(columns[name].tolist() for name in ("op", "inode", "index", "order")), strict=True
    ):
        pages = {(inode, index + i) for i in range(1 << order)}
        if op == RESTORE:
            assert not pages & there, "a page is brought in that is in memory"
            there |= pages
        elif op == STORE:
            assert pages <= there, "a page is evicted that is not in memory"
            there -= pages
        elif op == INVALIDATE:
            there -= pages
        most = max(most, len(there))
    return there, most


def check_frames(events: Events) -> int:
    """Check the table, and that no frame is allocated twice; return how many tagged pages stay."""
    check_events(events, events.data_pages, "front end")
    frames: set[int] = set()
    for op, pfn, order in zip(
        *(events.columns[name].tolist() for name in ("op", "pfn", "order")), strict=True
    ):
        pages = set(range(pfn, pfn + (1 << order)))
        if op == ALLOC:
            assert not pages & frames
            frames |= pages
        elif op == FREE:
            assert pages <= frames
            frames -= pages
    return len(frames)


@settings(max_examples=60, deadline=None)
@given(access_rows(RECORDED), st.sampled_from(list(Reclaim)))
def test_every_page_is_brought_in_before_it_goes_and_memory_is_kept(
    rows: list[Row], reclaim: Reclaim
) -> None:
    fronted = run_frontend(
        as_accesses(rows, free_pages=64, low=4, high=8), FrontEnd(reclaim=reclaim)
    )
    there, most = replay_pages(fronted.events)
    assert most <= 64
    assert fronted.counts["resident_pages"] == len(there)
    check_frames(fronted.events)


@settings(max_examples=60, deadline=None)
@given(
    access_rows(ASKED),
    st.sampled_from(list(Reclaim)),
    st.sampled_from([0, 30, 1000]),
    st.booleans(),
)
def test_readahead_and_swap_keep_the_memory(
    rows: list[Row], reclaim: Reclaim, swap_pages: int, to_device: bool
) -> None:
    size = {"swap_size" if to_device else "zram_size": 4096 * swap_pages}
    settings = FrontEnd(reclaim, **size, readahead_size=8 * 4096, page_cache_order=2)
    fronted = run_frontend(as_accesses(rows, free_pages=64, low=4, high=8), settings)
    there, most = replay_pages(without_anonymous(fronted.events))
    assert most <= 64
    assert fronted.counts["resident_pages"] == len(there)
    tagged = check_frames(fronted.events)
    # What is unmapped leaves swap without coming in.
    unmapped = sum(1 << order for op, _, _, order, _, _ in rows if op == UNMAP)
    swapped = fronted.counts["swapped_out_pages"] - fronted.counts["swapped_in_pages"]
    assert swapped <= swap_pages + unmapped
    everything = [(UNMAP, inode, 0, 6, 0, 0) for inode in (0, 1)]
    gone = run_frontend(as_accesses([*rows, *everything], free_pages=64, low=4, high=8), settings)
    assert check_frames(gone.events) == 0 <= tagged


def test_a_file_read_in_sequence_is_read_ahead_as_linux_does() -> None:
    # One page at a time: windows of 4, 8, 16 and 32 pages, each begun at the mark before it.
    for pages, read_pages in ((1, 4), (2, 12), (4, 12), (5, 28), (12, 28), (13, 60), (29, 92)):
        rows = [(LOOKUP, 0, i, 0, 0, 0) for i in range(pages)] + [(LOOKUP, 0, 199, 0, 0, 0)]
        fronted = run_frontend(as_accesses(rows, free_pages=900), FrontEnd())
        assert fronted.counts["inserted_pages"] == read_pages + 1, pages


def test_random_reads_are_not_read_ahead() -> None:
    asked: list[Row] = [(LOOKUP, 0, i, 2, 4, 0) for i in (60, 20, 180, 100)]
    fronted = run_frontend(
        as_accesses([*asked, (LOOKUP, 0, 199, 0, 0, 0)], free_pages=900), FrontEnd()
    )
    assert fronted.counts["inserted_pages"] == 17


def test_large_folios_grow_with_the_window() -> None:
    rows: list[Row] = [(LOOKUP, 0, i, 0, 0, LARGE_FOLIOS) for i in range(200)]
    orders = run_frontend(as_accesses(rows, free_pages=900), FrontEnd()).events.order.tolist()
    # Windows 0-3, 4-11, 12-27 and 28-59; a folio lies at a multiple of its size.
    assert orders[:10] == [2, 2, 2, 2, 3, 2, 2, 4, 3, 2]
    capped = run_frontend(as_accesses(rows, free_pages=900), FrontEnd(page_cache_order=3)).events
    assert capped.order.max() == 3


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_tagged_heaps_are_swapped_and_come_back_tagged(reclaim: Reclaim) -> None:
    heap: list[Row] = [(ANONYMOUS, 0, i, 0, 0, TAGGED) for i in range(40)]
    swapping = FrontEnd(reclaim, zram_size=4096 * 64, zram_ratio=4)
    fronted = run_frontend(as_accesses([*heap, heap[0]], free_pages=32), swapping)
    assert fronted.counts["swapped_out_pages"] >= 12
    assert fronted.counts["swapped_in_pages"] == 1
    assert fronted.events.op.tolist().count(ALLOC) == 41
    # Each page is in a frame or in zram.
    in_zram = fronted.counts["swapped_out_pages"] - fronted.counts["swapped_in_pages"]
    assert check_frames(fronted.events) == 40 - in_zram


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_a_swap_device_is_told_of_what_goes_and_comes_and_takes_no_memory(
    reclaim: Reclaim,
) -> None:
    # Address space 1, whose pages lie beside those of a file 1.
    heap: list[Row] = [(ANONYMOUS, 1, i, 0, 0, TAGGED) for i in range(40)]
    gone: list[Row] = [(UNMAP, 1, i, 0, 0, 0) for i in range(40)]
    rows = [*(read(i) for i in range(8)), *heap, heap[0], heap[1], *gone]
    swapping = FrontEnd(reclaim, swap_size=4096 * 64)
    fronted = run_frontend(as_accesses(rows, free_pages=32), swapping)
    events, counts = fronted.events, fronted.counts
    of_swap = events.flags & SWAP != 0
    files = events.inode[(events.op <= INVALIDATE) & ~of_swap]
    assert not set(events.inode[of_swap].tolist()) & set(files.tolist())
    out: set[int] = set()
    told = [0, 0, 0]
    for op, index in zip(events.op[of_swap].tolist(), events.index[of_swap].tolist(), strict=True):
        # It is there when it comes back or is forgotten, and is not when it goes.
        assert (index in out) == (op != STORE)
        out ^= {index}
        told[op] += 1
    assert told[STORE] == counts["swapped_out_pages"] >= 12
    assert told[RESTORE] == counts["swapped_in_pages"] == 2
    assert not out
    # Each page of the heap is in a frame or on the device.
    held = run_frontend(as_accesses(rows[:-40], free_pages=32), swapping)
    on_device = held.counts["swapped_out_pages"] - held.counts["swapped_in_pages"]
    assert check_frames(held.events) == 40 - on_device


def test_classic_lists_keep_what_is_used_twice() -> None:
    rows = [read(0), touch(0), touch(0), *(read(i) for i in range(1, 40))]
    evicted = run_frontend(as_accesses(rows), FrontEnd(reclaim=Reclaim.ACTIVE_INACTIVE)).events
    stores = evicted.index[evicted.op == STORE].tolist()
    assert stores[:5] == [1, 2, 3, 4, 5]
    assert 0 not in stores


def test_generations_evict_in_the_order_of_reading() -> None:
    rows = [read(0), touch(0), touch(0), *(read(i) for i in range(1, 40))]
    evicted = run_frontend(as_accesses(rows), FrontEnd(reclaim=Reclaim.MGLRU)).events
    assert evicted.index[evicted.op == STORE].tolist()[:4] == [0, 1, 2, 3]


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_what_a_fault_maps_outlives_what_is_read_with_it_unless_its_task_ends(
    reclaim: Reclaim,
) -> None:
    mapped: Row = (MAP, 0, 0, 0, 7, 0)
    scan = [read(i) for i in range(1, 60)]
    orders = []
    for rows in ([mapped, *scan], [mapped, (EXIT, 0, 0, 0, 7, 0), *scan]):
        events = run_frontend(as_accesses(rows), FrontEnd(reclaim=reclaim)).events
        orders.append(events.index[events.op == STORE].tolist())
    assert orders[0][0] == 1
    # A fault puts it into the youngest generation, the classic inactive list knows no fault.
    assert orders[1][0] == (0 if reclaim is Reclaim.ACTIVE_INACTIVE else 1)


MAPS_7: Row = (MAP, 0, 0, 0, 7, 0)
MAPS_8: Row = (MAP, 0, 0, 0, 8, 0)
EXIT_7: Row = (EXIT, 0, 0, 0, 7, 0)
EXIT_8: Row = (EXIT, 0, 0, 0, 8, 0)
USED: Row = (USE, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("rows", "is_young"),
    [
        ([MAPS_7], True),
        ([MAPS_7, EXIT_7], False),
        ([(MAP, 0, 0, 0, 7, COPIED_AT_ONCE)], False),
        ([MAPS_8, (MAP, 0, 0, 0, 7, COPIED_AT_ONCE), EXIT_7], True),
        ([MAPS_7, MAPS_8, EXIT_7], True),
        ([MAPS_7, MAPS_8, EXIT_8], True),
        ([MAPS_7, MAPS_8, EXIT_8, EXIT_7], False),
        ([MAPS_7, MAPS_8, EXIT_7, EXIT_8], False),
        ([MAPS_7, MAPS_7, EXIT_7], False),
        ([MAPS_7, EXIT_7, MAPS_8], True),
        ([MAPS_7, EXIT_7, MAPS_8, EXIT_7], True),
        ([MAPS_7, EXIT_7, MAPS_7, EXIT_7], False),
        ([read(0), USED], True),
        ([MAPS_7, USED, EXIT_7], True),
        ([MAPS_7, EXIT_7, USED], True),
        ([USED], True),
    ],
)
def test_a_page_is_young_while_a_task_that_accessed_it_maps_it(
    rows: list[Row], is_young: bool
) -> None:
    # It is the oldest page, and so the first to go. The generations keep it only if it is young; on
    # the classic lists the marks of two tasks that end activate it.
    scan = [read(i) for i in range(1, 60)]
    events = run_frontend(as_accesses([read(0), *rows, *scan]), FrontEnd()).events
    assert (events.index[events.op == STORE][0] != 0) == is_young


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_a_use_of_a_page_that_was_evicted_is_a_fault(reclaim: Reclaim) -> None:
    scan = [read(i) for i in range(1, 60)]
    rows = [read(0), *scan, USED]
    fronted = run_frontend(as_accesses(rows, requests=True), FrontEnd(reclaim=reclaim))
    last = fronted.events.op.size - 1
    while fronted.events.op[last] != RESTORE:
        last -= 1
    assert fronted.events.index[last] == 0
    assert fronted.events.flags[last] & WANTED
    assert fronted.counts["refaults"] == 1


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_other_memory_takes_from_the_page_cache(reclaim: Reclaim) -> None:
    rows: list[Row] = [read(i) for i in range(10)]
    rows += [(TAKE, 0, 0, 0, i, TAGGED) for i in range(8)]
    rows += [(GIVE, 0, 0, 0, i, 0) for i in range(8)]
    rows += [(GIVE, 0, 0, 2, BOOT_HANDLE, 0)]
    fronted = run_frontend(as_accesses(rows), FrontEnd(reclaim=reclaim))
    assert fronted.counts["evicted_pages"] > 0
    assert int((fronted.events.op == ALLOC).sum()) == int((fronted.events.op == FREE).sum()) == 8
    refaulting = run_frontend(
        as_accesses([*rows, *(read(i) for i in range(10))]), FrontEnd(reclaim=reclaim)
    )
    assert refaulting.counts["refaults"] == fronted.counts["evicted_pages"]


def test_refault_within_the_active_list_is_activated() -> None:
    rows = [read(i) for i in range(8)]
    rows += [touch(i) for i in range(8)] * 2  # eight active pages
    rows += [read(i) for i in range(8, 22)]
    fronted = run_frontend(as_accesses(rows), FrontEnd(reclaim=Reclaim.ACTIVE_INACTIVE))
    gone = fronted.events.index[fronted.events.op == STORE].tolist()
    again = run_frontend(
        as_accesses([*rows, read(gone[-1])]), FrontEnd(reclaim=Reclaim.ACTIVE_INACTIVE)
    )
    assert again.counts["activations"] == 1
    assert again.counts["refaults"] == 1


@pytest.mark.parametrize(
    ("reclaim", "digest"),
    [(Reclaim.MGLRU, "b8359c61add53dd0"), (Reclaim.ACTIVE_INACTIVE, "f9914957a6df3b9c")],
)
def test_compiled_and_plain_python_give_the_same_events(reclaim: Reclaim, digest: str) -> None:
    fronted = run_frontend(
        as_accesses(skewed_rows(), free_pages=200, low=8, high=16), FrontEnd(reclaim=reclaim)
    )
    assert fronted.counts["evictions"] > 100
    assert digest_events(fronted.events)[:16] == digest
