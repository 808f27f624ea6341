"""The cases of the kernel's own cleancache tests, and others worked by hand."""

from __future__ import annotations

import pytest
from reference import Event
from streams import as_events, tallies_of

from core.backend import replay
from core.events import ALLOC, FREE, INVALIDATE, INVALIDATE_INODE, RESTORE, STORE
from core.machine import Machine
from core.policy import Policy

TWO_SLOTS = Machine(4096, 64)
SIX_SLOTS = Machine(4096, 192)
TAGGED = 2


def run(machine: Machine, rows: list[tuple[int, ...]], **fields: object) -> dict[str, int]:
    """Replay (op, inode, index, order) or (op, frame, order) rows, one nanosecond apart."""
    events = []
    for time_ns, (op, *where) in enumerate(rows):
        if op in (ALLOC, FREE):
            frame, order = where
            events.append(Event(time_ns, op, 0, 0, order, frame, TAGGED if op == ALLOC else 0))
        else:
            inode, index, order = where
            events.append(Event(time_ns, op, inode, index, order, 0, 1))
    outcomes = replay(as_events(events, machine), machine, [Policy(**fields)])
    return tallies_of(outcomes)


def test_store_all_then_restore_all() -> None:
    pages = [(1, index, 0) for index in range(6)]
    counts = run(
        SIX_SLOTS, [(STORE, *page) for page in pages] + [(RESTORE, *page) for page in pages]
    )
    assert (counts["stored"], counts["restored"], counts["missed"]) == (6, 6, 0)


def test_invalidate_a_folio_then_its_inode() -> None:
    pages = [(1, 0, 0), (1, 1, 0), (1, 2, 0), (2, 0, 0)]
    counts = run(
        SIX_SLOTS,
        [(STORE, *page) for page in pages]
        + [(INVALIDATE, 1, 1, 0), (RESTORE, 1, 1, 0), (RESTORE, 1, 0, 0)]
        + [(INVALIDATE_INODE, 1, 0, 0)]
        + [(RESTORE, *page) for page in pages],
    )
    assert (counts["invalidated"], counts["restored"], counts["missed"]) == (3, 2, 4)


@pytest.mark.parametrize("preset", ["fifo", "lru"])
def test_fill_store_one_more_and_exactly_the_oldest_is_gone(preset: str) -> None:
    pages = [(1, index, 0) for index in range(7)]
    counts = run(
        SIX_SLOTS,
        [(STORE, *page) for page in pages] + [(RESTORE, *page) for page in pages],
        eviction=preset,
    )
    assert (counts["reclaimed"], counts["restored"], counts["missed"]) == (1, 6, 1)


def test_take_every_page_back_then_donate_again() -> None:
    pages = [(1, index, 0) for index in range(6)]
    store = [(STORE, *page) for page in pages]
    restore = [(RESTORE, *page) for page in pages]
    take = [(ALLOC, 32 * block, 0) for block in range(6)]
    donate = [(FREE, 32 * block, 0) for block in range(6)]
    counts = run(SIX_SLOTS, store + take + restore + store + donate + store + restore)
    assert counts["recalled"] == 6
    assert counts["skipped"] == 6  # while nothing is donated
    assert (counts["restored"], counts["missed"]) == (6, 6)


def test_a_reservation_drops_the_whole_folio_or_the_page_it_hits() -> None:
    # An order-1 unit lies in slots 0 and 1, of blocks 0 and 1; block 0 is reserved.
    rows = [(STORE, 1, 0, 1), (ALLOC, 5, 0), (RESTORE, 1, 0, 0), (RESTORE, 1, 1, 0)]
    page = run(SIX_SLOTS, rows, folio_order=9, drop="page")
    folio = run(SIX_SLOTS, rows, folio_order=9, drop="folio")
    cut = run(SIX_SLOTS, rows, folio_order=0, drop="folio")
    assert (page["recalled"], page["collateral"], page["restored"]) == (1, 0, 1)
    assert (folio["recalled"], folio["collateral"], folio["restored"]) == (1, 1, 0)
    assert (cut["recalled"], cut["collateral"], cut["restored"]) == (1, 0, 1)


def test_the_sieve_hand_stays_where_it_was() -> None:
    # a b fill; both are touched; c clears both bits and takes a; the hand stands on b: d takes b.
    a, b, c, d = ((1, index, 0) for index in range(4))
    rows = [(STORE, *a), (STORE, *b), (RESTORE, *a), (RESTORE, *b), (STORE, *c), (STORE, *d)]
    counts = run(TWO_SLOTS, [*rows, (RESTORE, *c), (RESTORE, *d)], eviction="sieve")
    assert (counts["reclaimed"], counts["restored"]) == (2, 4)


def test_clock_gives_a_second_chance() -> None:
    a, b, c = ((1, index, 0) for index in range(3))
    rows = [(STORE, *a), (STORE, *b), (RESTORE, *a), (STORE, *c), (RESTORE, *a), (RESTORE, *b)]
    counts = run(TWO_SLOTS, rows, eviction="clock")
    assert (counts["restored"], counts["missed"]) == (2, 1)  # b went, a stayed


def test_a_store_larger_than_the_cache_is_skipped_and_leaves_its_pages() -> None:
    rows = [(STORE, 1, 0, 0), (STORE, 1, 0, 2), (RESTORE, 1, 0, 0)]
    counts = run(TWO_SLOTS, rows, folio_order=9)
    # Page 0 left its own unit before room was sought: overwritten, and not stored again.
    assert (counts["stored"], counts["overwritten"], counts["skipped"]) == (1, 1, 4)
    assert counts["restored"] == 0
