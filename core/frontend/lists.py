"""The state of a front end's lists: a record for each page, and registers.

A node of the lists is a folio's first page; the last nodes are the heads. A list runs from its
head's `next` (newest) to its head's `prev` (oldest). File pages are numbered first, then anonymous
ones; a folio lies at a multiple of its size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide

#: Lists: four for anonymous pages, four for file pages.
HEADS = 8
#: Kinds of pages, as in mm/vmscan.c.
ANON, FILE = 0, 1

#: A page, 20 bytes: in one record, so that a move on a list touches few cache lines.
#: `place`: its frame while it is in memory, else its shadow entry (0: none). `list` is off by
#: none: ABSENT. `maps`: mappings by tasks that live.
PAGE = np.dtype(
    [
        *(("prev", "i4"), ("next", "i4"), ("place", "i4"), ("maps", "i2")),
        *(("list", "i1"), ("order", "i1"), ("refs", "u1"), ("bits", "u1")),
    ],
    align=True,
)
ABSENT = -1
# refs: accesses beyond the first (0-4), and flags.
COUNT, REFERENCED, WORKINGSET = 7, 8, 16
# bits. A young page was accessed through a mapping since reclaim looked.
PRESENT, YOUNG, DIRTY, READAHEAD, TAGGED_PAGE, SWAPPED = 1, 2, 4, 8, 16, 32

# Elements of `register`: what a front end counts comes first.
COUNTED = (
    *("insertions", "inserted_pages", "evictions", "evicted_pages", "refaults", "activations"),
    *("restored_workingset", "promotions", "deactivations", "protections", "agings"),
    *("kswapd_runs", "failures", "written_pages", "swapped_out_pages", "swapped_in_pages"),
    *("resident_pages",),
)
(
    INSERTIONS,
    INSERTED,
    EVICTIONS,
    EVICTED,
    REFAULTS,
    ACTIVATIONS,
    RESTORES,
    PROMOTIONS,
    DEACTIVATIONS,
    PROTECTIONS,
    AGINGS,
    RUNS,
    FAILURES,
    WRITTEN,
    SWAPPED_OUT,
    SWAPPED_IN,
    RESIDENT,
    DIRTY_PAGES,
    # What reclaim is told: the first anonymous page, pages that swap can take, and its leaning.
    FIRST_ANONYMOUS,
    SWAP_FREE,
    SWAPPINESS,
    # The multi-generational LRU.
    MAX_SEQ,
    BATCH,
    TIER,
    SCANNED_KIND,
    # The classic lists.
    AGE,
    PRIORITY,
    SCANNED,
    TURN,
    TARGET,
    MIN_SEQ,  # of each kind, as the next three
) = range(31)
COST = MIN_SEQ + 2
ACTIVATED = COST + 2
LAST_ACTIVATED = ACTIVATED + 2
SIZES = LAST_ACTIVATED + 2  # of the lists, in pages
LEFT = SIZES + HEADS  # of each list, what is left to scan
AVERAGE_REFAULTED = LEFT + HEADS  # [kind, tier], as the rest
AVERAGE_TOTAL = AVERAGE_REFAULTED + 8
NOW_REFAULTED = AVERAGE_TOTAL + 8
NOW_EVICTED = NOW_REFAULTED + 8
NOW_PROTECTED = NOW_EVICTED + 8
REGISTERS = NOW_PROTECTED + 8

Pages = np.recarray
Register = NDArray[np.int64]


def make_pages(pages: int) -> Pages:
    """Return empty lists of a memory that knows so many distinct pages."""
    table = np.zeros(pages + HEADS, dtype=PAGE)
    table["list"] = ABSENT
    table["prev"][pages:] = table["next"][pages:] = np.arange(pages, pages + HEADS)
    return table.view(np.recarray)


@kernel
def kind_of(register: Register, page: int) -> int:
    """Return whether a page is anonymous or of a file."""
    return ANON if page >= register[FIRST_ANONYMOUS] else FILE


@kernel
def size_of(pages: Pages, folio: int) -> int:
    """Return the pages of a folio."""
    return 1 << wide(pages[folio].order)


@kernel
def folio_of(pages: Pages, page: int) -> int:
    """Return the first page of the folio that a page in memory belongs to."""
    order = wide(pages[page].order)
    return page >> order << order


@kernel
def is_present(pages: Pages, page: int) -> bool:
    """Return whether a page is in memory."""
    return bool(wide(pages[page].bits) & PRESENT)


@kernel
def is_in_use(pages: Pages, folio: int) -> bool:
    """Return whether a folio is mapped by a live task, or was accessed through a mapping."""
    return bool(pages[folio].maps > 0 or wide(pages[folio].bits) & YOUNG != 0)


@kernel
def can_swap(register: Register) -> bool:
    """Return whether anonymous pages can be reclaimed."""
    return bool(register[SWAP_FREE] > 0 and register[SWAPPINESS] > 0)


@kernel
def oldest(pages: Pages, which: int) -> int:
    """Return the oldest folio of a list, or ABSENT if it is empty."""
    head = wide(pages.shape[0]) - HEADS + which
    last = wide(pages[head].prev)
    return ABSENT if last == head else last


@kernel
def leave(pages: Pages, register: Register, folio: int) -> None:
    """Take a folio off its list."""
    before, after = wide(pages[folio].prev), wide(pages[folio].next)
    pages[before].next = after
    pages[after].prev = before
    register[SIZES + pages[folio].list] -= size_of(pages, folio)
    pages[folio].list = ABSENT


@kernel
def enter(pages: Pages, register: Register, folio: int, which: int, new: bool) -> None:
    """Put a folio at the new end of a list, or at its old end."""
    head = wide(pages.shape[0]) - HEADS + which
    if new:
        before, after = head, wide(pages[head].next)
    else:
        before, after = wide(pages[head].prev), head
    pages[folio].prev = before
    pages[folio].next = after
    pages[before].next = folio
    pages[after].prev = folio
    pages[folio].list = which
    register[SIZES + which] += size_of(pages, folio)


@kernel
def clear(pages: Pages, folio: int, bit: int) -> None:
    """Clear a bit of a folio."""
    pages[folio].bits = wide(pages[folio].bits) & ~bit


@kernel
def clean(pages: Pages, register: Register, folio: int) -> None:
    """Write a dirty folio to its file."""
    clear(pages, folio, DIRTY)
    register[WRITTEN] += size_of(pages, folio)
    register[DIRTY_PAGES] -= size_of(pages, folio)
