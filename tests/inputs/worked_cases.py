"""Small tables, policies, and what they count and spend, worked by hand.

A table's times are the numbers of its rows. With `COSTS`, Q requests that a task waits for, R
commands and M missed pages take 900 Q + 100 R + 10 (M - R) ns to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from reference import (
    ALLOC,
    ANONYMOUS,
    FREE,
    INVALIDATE,
    JOIN,
    MAPPED,
    NO_PHASE,
    PHASE,
    RESIZE,
    RESTORE,
    STORE,
    TAGGED,
    WANTED,
    WORKINGSET,
    Event,
)

COSTS = {
    "read_random_ns": 1000,
    "read_parallel_ns": 100,
    "read_sequential_ns": 10,
    "lookup_ns": 1,
    "copy_in_ns": 5,
    "copy_out_ns": 3,
    "slot_drop_ns": 7,
    "reserve_base_ns": 50,
    "cache_line_ns": 2,
    "tmem_copy_in_ns": 11,
    "tmem_copy_out_ns": 13,
}


class Machine(NamedTuple):
    """A machine of tests; its tag blocks are of one page."""

    page_size: int
    data_pages: int
    tag_block_pages: int = 1


@dataclass(frozen=True)
class Case:
    """A table, a policy, and what comes out."""

    name: str
    rows: Sequence[Event]
    expected: Mapping[str, int | Fraction | None]
    slots: int = 8
    policy: Mapping[str, str | int | float] = field(default_factory=dict)
    requests: bool = True
    phases: Sequence[str] = ()
    mapped: bool = False

    def events(self) -> list[Event]:
        return [row._replace(time_ns=number) for number, row in enumerate(self.rows)]

    def machine(self) -> Machine:
        return Machine(4096, 32 * self.slots)


def store(index: int, flags: int = 0, *, order: int = 0, inode: int = 1) -> Event:
    return Event(0, STORE, inode, index, order, 0, flags)


def restore(index: int, flags: int = 0, *, order: int = 0, inode: int = 1) -> Event:
    return Event(0, RESTORE, inode, index, order, 0, flags)


def invalidate(index: int, *, order: int = 0) -> Event:
    return Event(0, INVALIDATE, 1, index, order, 0, 0)


def alloc(pfn: int) -> Event:
    return Event(0, ALLOC, 0, 0, 0, pfn, TAGGED)


def free(pfn: int) -> Event:
    return Event(0, FREE, 0, 0, 0, pfn, 0)


def resize(pages: int) -> Event:
    return Event(0, RESIZE, 0, 0, 0, pages, 0)


def phase(number: int) -> Event:
    return Event(0, PHASE, 0, number, 0, 0, 0)


HOLE = [store(1), restore(0, WANTED), restore(1, JOIN), restore(2, JOIN)]
WANTED_BEHIND = [store(1), restore(0), restore(1, JOIN | WANTED)]
REFUSED = [
    store(1), store(2), store(4), restore(1, WANTED), restore(2, JOIN, order=1), restore(4, JOIN),
]  # fmt: skip
BACK_AND_FORTH = [
    restore(5, WANTED), restore(6, JOIN), restore(6, JOIN), restore(4, JOIN), restore(5, JOIN),
]  # fmt: skip
UNMAPPED = [store(0, MAPPED), store(0), restore(0, WANTED)]
FULL = [store(page, WANTED) for page in range(4)]

OF_REQUESTS = [
    # Pages 0 and 2 are missed, each a command: 900 + 2 x 100. All missed: one command of three
    # pages, 900 + 100 + 2 x 10 = 1020. Waiting: 1100, 3 lookups, one copy of 3. Processor: a copy
    # in, 5, and the same 6. So a hole costs more than it saves.
    Case("a_hole_in_a_window", HOLE, {
        "stored": 1, "restored": 1, "missed": 2, "refaults": 1, "lookups": 3, "bypassed": 0,
        "read_commands": 2, "waited_requests": 1, "waited_commands": 2, "waited_pages": 2,
        "read_ns": 1100, "wait_ns": 1106, "cpu_ns": 11, "time_saved_ns": 1020 - 1100 - 11,
        "time_saved_ratio": Fraction(-91, 1020), "wait_saved_ns": 1020 - 1106,
        "wait_saved_ratio": Fraction(-86, 1020), "hit_ratio": Fraction(1, 3), "cached": 1,
    }),
    # The run stops at page 0: one lookup; page 1 is read with the rest, in one command.
    Case("a_hole_is_filled_under_prefix", HOLE, {
        "restored": 0, "missed": 3, "refaults": 1, "lookups": 1, "bypassed": 1,
        "read_commands": 1, "waited_requests": 1, "waited_commands": 1, "waited_pages": 3,
        "read_ns": 1020, "wait_ns": 1021, "cpu_ns": 6, "time_saved_ns": -6, "wait_saved_ns": -1,
        "cached": 1,
    }, policy={"lookup": "prefix"}),
    # Nothing is read. Waiting: 3 lookups, 3 copies of 3. Processor: 3 copies in of 5 besides.
    Case("a_window_restored_whole", [
        store(0), store(1), store(2), restore(0, WANTED), restore(1, JOIN), restore(2, JOIN),
    ], {
        "restored": 3, "missed": 0, "lookups": 3, "read_commands": 0, "waited_requests": 0,
        "waited_commands": 0, "waited_pages": 0, "read_ns": 0, "wait_ns": 12, "cpu_ns": 27,
        "time_saved_ns": 993, "time_saved_ratio": Fraction(993, 1020), "wait_saved_ns": 1008,
        "wait_saved_ratio": Fraction(1008, 1020),
    }, policy={"lookup": "prefix"}),
    # Two requests of two pages: 2 x 900 + 2 x 100 + 2 x 10; 4 lookups. The store lies between.
    Case("rows_moved_behind_their_request", [
        restore(0, WANTED), store(90), restore(1, JOIN),
        restore(7, WANTED, inode=2), restore(8, JOIN, inode=2),
    ], {
        "missed": 4, "read_commands": 2, "waited_requests": 2, "waited_commands": 2,
        "waited_pages": 4, "read_ns": 2020, "wait_ns": 2024, "cpu_ns": 9, "time_saved_ns": -9,
    }),
    # The same as it was recorded, had nothing been moved: the last two are requests that nobody
    # waits for. 2 x 900 + 4 x 100, of which tasks wait for 2 x 900 + 2 x 100.
    Case("rows_that_stay_begin_requests", [
        restore(0, WANTED), restore(7, WANTED, inode=2), restore(1), restore(8, inode=2),
    ], {
        "missed": 4, "read_commands": 4, "waited_requests": 2, "waited_commands": 2,
        "waited_pages": 2, "read_ns": 2200, "wait_ns": 2004, "cpu_ns": 4,
    }),
    # Page 1 is cached, wanted, and read: the run has missed page 0. One command of two pages.
    Case("a_wanted_page_behind_a_miss_is_bypassed", WANTED_BEHIND, {
        "restored": 0, "missed": 2, "lookups": 1, "bypassed": 1, "read_commands": 1,
        "waited_requests": 1, "waited_commands": 1, "waited_pages": 2, "read_ns": 1010,
        "wait_ns": 1011, "cpu_ns": 6, "time_saved_ns": -6, "wait_saved_ns": -1,
    }, policy={"lookup": "prefix"}),
    # Looked up each, page 1 is restored; page 0 is read, and nobody waits for that: 100.
    Case("a_wanted_page_behind_a_miss_is_found_by_each", WANTED_BEHIND, {
        "restored": 1, "missed": 1, "lookups": 2, "bypassed": 0, "read_commands": 1,
        "waited_requests": 0, "read_ns": 100, "wait_ns": 5, "cpu_ns": 10, "time_saved_ns": 900,
        "wait_saved_ns": 1005,
    }),
    # Page 1 is restored. Pages 2 and 3 are a large folio: missed, no lookups, not bypassed though
    # 2 is cached. Page 4 is behind them. One command of three pages that nobody waits for, 120.
    # All missed: 900 + 100 + 30. Processor: 3 copies in, a copy out, a lookup.
    Case("a_refused_folio_stops_a_run", REFUSED, {
        "stored": 3, "restored": 1, "missed": 3, "lookups": 1, "bypassed": 1, "read_commands": 1,
        "waited_requests": 0, "waited_pages": 0, "read_ns": 120, "wait_ns": 4, "cpu_ns": 19,
        "time_saved_ns": 1030 - 120 - 19, "wait_saved_ns": 1026, "cached": 3,
    }, policy={"lookup": "prefix", "large_folios": "refuse"}),
    # Under `each` page 4 is restored too, and the folio still is not looked up.
    Case("a_refused_folio_is_never_looked_up", REFUSED, {
        "restored": 2, "missed": 2, "lookups": 2, "bypassed": 0, "read_commands": 1,
        "read_ns": 110, "wait_ns": 8, "cpu_ns": 23, "time_saved_ns": 1030 - 110 - 23,
    }, policy={"large_folios": "refuse"}),
    # boot: a copy in that a task waits for, 5, and a lookup. launch: page 1, 1 + 3, page 2, 1, and
    # the whole request, 2 commands with latency, 1100. After both, 1000 + 1.
    Case("a_phase_mark_ends_no_request", [
        phase(0), store(1), store(9, WANTED), restore(0, WANTED),
        phase(1), restore(1, JOIN), restore(2, JOIN), phase(NO_PHASE), restore(50, WANTED),
    ], {
        "boot.wait_ns": 6, "boot.all_missed_wait_ns": 0, "launch.wait_ns": 1105,
        "launch.all_missed_wait_ns": 1020, "read_ns": 2100, "wait_ns": 2112, "cpu_ns": 17,
        "waited_stored": 1, "time_saved_ns": 2020 - 2100 - 17, "wait_saved_ns": 2020 - 2112,
    }, phases=("boot", "launch")),
    # Commands 5 6, 6, 4 5: 900 + 3 x 100 + 2 x 10. Every page is looked up.
    Case("repeats_and_steps_back_begin_commands", BACK_AND_FORTH, {
        "missed": 5, "lookups": 5, "read_commands": 3, "waited_requests": 1, "waited_commands": 3,
        "waited_pages": 5, "read_ns": 1220, "wait_ns": 1225, "cpu_ns": 5, "time_saved_ns": -5,
    }),
    # They begin runs too: the first of each is looked up.
    Case("repeats_and_steps_back_begin_runs", BACK_AND_FORTH, {
        "missed": 5, "lookups": 3, "bypassed": 0, "read_commands": 3, "read_ns": 1220,
        "wait_ns": 1223, "cpu_ns": 3,
    }, policy={"lookup": "prefix"}),
    # The first takes the copy out, so the second reads: 100, as its row is not wanted. All missed:
    # 900 + 2 x 100.
    Case("a_repeat_misses_what_an_exclusive_restore_took", [
        store(6), restore(6, WANTED), restore(6, JOIN),
    ], {
        "restored": 1, "missed": 1, "refaults": 2, "lookups": 2, "read_commands": 1,
        "waited_requests": 0, "read_ns": 100, "wait_ns": 5, "cpu_ns": 10,
        "time_saved_ns": 1100 - 100 - 10, "wait_saved_ns": 1095, "cached": 0,
    }, policy={"restore": "exclusive"}),
    # A file a run and a command: 900 + 2 x 100 + 2 x 10; pages 0 of file 1 and 2 of file 2 are
    # looked up. Page 3 of file 2 is bypassed.
    Case("a_request_of_several_files", [
        store(3, inode=2), restore(0, WANTED), restore(1, JOIN),
        restore(2, JOIN, inode=2), restore(3, JOIN, inode=2),
    ], {
        "missed": 4, "lookups": 2, "bypassed": 1, "read_commands": 2, "waited_requests": 1,
        "waited_commands": 2, "waited_pages": 4, "read_ns": 1120, "wait_ns": 1122, "cpu_ns": 7,
    }, policy={"lookup": "prefix"}),
    # No latency: 2 x 100 + 10. Its lookups hold the reading task up nevertheless.
    Case("readahead_that_nobody_waits_for", [restore(0), restore(1, JOIN), restore(3, JOIN)], {
        "missed": 3, "read_commands": 2, "waited_requests": 0, "waited_commands": 0,
        "waited_pages": 0, "read_ns": 210, "wait_ns": 3, "cpu_ns": 3, "time_saved_ns": -3,
        "wait_saved_ns": -3, "wait_saved_ratio": None,
    }),
    # A page that goes between its row and the one before: the lookup comes at its own row.
    Case("a_page_is_looked_up_at_its_own_row", [
        store(0), store(1), restore(0, WANTED), invalidate(1), restore(1, JOIN),
    ], {
        "restored": 1, "missed": 1, "refaults": 1, "invalidated": 1, "lookups": 2,
        "read_commands": 1, "waited_requests": 0, "read_ns": 100, "wait_ns": 5, "cpu_ns": 15,
    }, policy={"lookup": "prefix"}),
]  # fmt: skip

GUESSED = [
    # 32 and 32 pages of file 1, 32 and 1 of file 2: 4 x 900 + 4 x 100 + 93 x 10, whatever bits 6
    # and 7 say. No store is waited for. Processor: a copy in and 97 lookups.
    Case("guessed_requests_have_32_pages_at_most", [
        store(99, WANTED), *(restore(page, JOIN * (page % 2)) for page in range(64)),
        *(restore(page, WANTED * (page % 2), inode=2) for page in range(33)),
    ], {
        "read_commands": 4, "waited_requests": 4, "waited_commands": 4, "waited_pages": 97,
        "waited_stored": 0, "read_ns": 4930, "wait_ns": 5027, "cpu_ns": 102,
    }, requests=False),
    # 63, 64 to 127, 128: 3 x 900 + 3 x 100 + 63 x 10, and 66 lookups.
    Case("a_guessed_request_of_a_larger_row", [restore(63), restore(64, order=6), restore(128)], {
        "missed": 66, "read_commands": 3, "waited_requests": 3, "read_ns": 3630, "wait_ns": 3696,
    }, requests=False),
    # Each is alone: the row before the last is of another file.
    Case("another_file_ends_a_guessed_request", [restore(0), restore(0, inode=2), restore(1)], {
        "read_commands": 3, "waited_requests": 3, "read_ns": 3000, "wait_ns": 3003,
    }, requests=False),
    # Requests are made before anonymous rows are left out; these change no counter.
    Case("an_anonymous_row_ends_a_guessed_request", [
        store(7, ANONYMOUS, inode=9), restore(0), restore(7, ANONYMOUS, inode=9), restore(1),
    ], {
        "stored": 0, "skipped": 0, "missed": 2, "refaults": 0, "read_commands": 2,
        "waited_requests": 2, "read_ns": 2000, "wait_ns": 2002, "cpu_ns": 2,
    }, requests=False),
]  # fmt: skip

OF_STORES = [
    # The second store of page 0 is an invalidate, and skipped; the restore refaults all the same.
    Case("what_is_not_mapped_is_invalidated_and_skipped", UNMAPPED, {
        "stored": 1, "invalidated": 1, "skipped": 1, "missed": 1, "refaults": 1, "lookups": 1,
        "read_ns": 1000, "wait_ns": 1001, "cpu_ns": 6, "cached": 0,
    }, policy={"offer": "mapped"}, mapped=True),
    # Where no table records it, every store counts as mapped: 2 copies in, one out, a lookup.
    Case("mapped_is_every_store_where_it_is_not_recorded", UNMAPPED, {
        "stored": 2, "overwritten": 1, "invalidated": 0, "skipped": 0, "restored": 1,
        "read_ns": 0, "wait_ns": 4, "cpu_ns": 14, "time_saved_ns": 986, "cached": 1,
    }, policy={"offer": "mapped"}),
    # Two slots: the last two stores reclaim one each. 4 copies in and 2 drops, waited for and paid.
    Case("a_direct_reclaim_is_waited_for", FULL, {
        "stored": 4, "reclaimed": 2, "waited_stored": 4, "waited_reclaimed": 2, "read_ns": 0,
        "wait_ns": 34, "cpu_ns": 34, "time_saved_ns": -34, "time_saved_ratio": None,
    }, slots=2),
    # The third is skipped and makes room for the fourth. 3 copies in; the drop is paid alone.
    Case("a_reclaim_in_the_background_is_not_waited_for", FULL, {
        "stored": 3, "skipped": 1, "reclaimed": 1, "waited_stored": 3, "waited_reclaimed": 0,
        "wait_ns": 15, "cpu_ns": 22, "cached": 2,
    }, slots=2, policy={"slot_reclaim": "background", "slot_reclaim_batch": 1}),
    # Three slots. The reservation takes that of page 0: 50 + 64 lines x 2 + a drop of 7. The second
    # store finds no slot for it: both pages are skipped, and the oldest unit, this one, with page 1
    # left, is reclaimed. Page 5 is restored: 1 + 3. Processor: 3 copies in, 2 drops, 50 + 128, the
    # same 4, and 2 tag lines of the freed page, 4.
    Case("a_reclaim_in_the_background_takes_the_stored_unit_too", [
        store(0, order=1), store(5), alloc(0), store(0, order=1), restore(5, WANTED), free(0),
    ], {
        "stored": 3, "skipped": 2, "recalled": 1, "reclaimed": 1, "restored": 1, "reservations": 1,
        "releases": 1, "reservation_max_ns": 185, "read_ns": 0, "wait_ns": 189, "cpu_ns": 215,
        "cached": 1,
    }, slots=3, policy={
        "eviction": "fifo", "folio_order": 1, "slot_reclaim": "background", "slot_reclaim_batch": 1,
    }),
    # Without the bit a copy goes stale, and a page without one is skipped.
    Case("what_is_not_admitted_goes_stale", [
        store(0, WORKINGSET), store(0), store(1), restore(0, WANTED),
    ], {
        "stored": 1, "stale": 1, "skipped": 1, "missed": 1, "refaults": 1, "read_ns": 1000,
        "wait_ns": 1001, "cpu_ns": 6, "time_saved_ns": -6, "cached": 0,
    }, policy={"admission": "workingset"}),
]  # fmt: skip

OF_SYSTEMS = [
    # A region of floor(0.05 x 64) = 3 pages that shrinks to 1: of 1, 2 and 0, the least recently
    # used two go, 50 + 2 x 7 = 64. The tagged page does nothing. Waiting: a lookup, 13 out, 11 in,
    # 64. Processor: 3 x 11, 13, 1, 2 x 7, 50.
    Case("a_tmem_pays_copies_of_its_own", [
        store(0, WANTED), store(1), store(2), alloc(0), restore(0, WANTED), resize(1),
    ], {
        "stored": 3, "restored": 1, "recalled": 2, "reservations": 0, "reservation_max_ns": 64,
        "waited_stored": 1, "read_ns": 0, "wait_ns": 89, "cpu_ns": 111, "time_saved_ns": 889,
        "wait_saved_ns": 911, "cached": 1,
    }, slots=2, policy={"system": "tmem", "tmem_ratio": 0.05}),
    # Everything is read, and nothing else done.
    Case("a_carveout_saves_nothing", [
        store(0, WANTED), alloc(0), restore(0, WANTED), restore(1, JOIN),
    ], {
        "stored": 0, "skipped": 1, "missed": 2, "refaults": 1, "lookups": 0, "bypassed": 0,
        "waited_stored": 0, "reservations": 0, "read_commands": 1, "waited_requests": 1,
        "read_ns": 1010, "wait_ns": 1010, "cpu_ns": 0, "time_saved_ns": 0, "wait_saved_ns": 0,
        "time_saved_ratio": 0, "reservation_max_ns": None,
    }, policy={"system": "carveout"}),
    # Page 0 is wanted and kept, so that nobody waits for page 1: 100.
    Case("an_ideal_pays_nothing", [store(0), restore(0, WANTED), restore(1, JOIN)], {
        "restored": 1, "missed": 1, "lookups": 0, "read_commands": 1, "waited_requests": 0,
        "read_ns": 100, "wait_ns": 0, "cpu_ns": 0, "time_saved_ns": 910, "wait_saved_ns": 1010,
        "share_of_ideal": 1,
    }, slots=1, policy={"system": "ideal"}),
]  # fmt: skip

CASES = [*OF_REQUESTS, *GUESSED, *OF_STORES, *OF_SYSTEMS]
