"""The lists of folios that reclaim works on: a record for each page, and registers.

A folio is on a list by the record of its first page. After the records of all pages come the heads
of the lists. A list runs from the `next` of its head (the newest folio) to the `prev` of its head
(the oldest). File pages are numbered first and anonymous pages after them; the number of a folio's
first page is a multiple of the folio's size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide

#: Lists: four for anonymous pages, four for file pages.
HEADS = 8
#: Kinds of pages, as in mm/vmscan.c.
ANON, FILE = 0, 1
#: The largest vm.swappiness.
MOST_SWAPPINESS = 200

#: The record of a page, 24 bytes: all in one, so that a move on a list touches few cache lines.
#: `place` is the page's frame while it is in memory, and else its shadow entry, or 0 if it has
#: none. `looked` is the access at which reclaim last looked whether the page is young; `maps`
#: counts the mappings by live tasks that were made since. `list` is ABSENT while it is on no list.
PAGE = np.dtype(
    [
        *(("prev", "i4"), ("next", "i4"), ("place", "i4"), ("looked", "i4"), ("maps", "i2")),
        *(("list", "i1"), ("order", "i1"), ("refs", "u1"), ("bits", "u1")),
    ],
    align=True,
)
ABSENT = -1
# Bits of `refs`: how many accesses followed the first (0 to 4), and flags. Reclaim has met a folio
# that goes next while it was dirty, and evicts it when it is clean (PG_reclaim).
COUNT, REFERENCED, WORKINGSET, GOES_NEXT = 7, 8, 16, 32
# Bits of `bits`. A young page was accessed through a mapping since reclaim last looked at it.
# A page of metadata is of a block device's own mapping, which reaches no hook of a cleancache.
PRESENT, YOUNG, DIRTY, READAHEAD, TAGGED_PAGE, SWAPPED, METADATA_PAGE = 1, 2, 4, 8, 16, 32, 64

# Elements of `register`. First come the counts that `run_frontend` returns, by these names.
COUNTED = (
    *("insertions", "inserted_pages", "evictions", "evicted_pages", "refaults", "activations"),
    *("restored_workingset", "promotions", "deactivations", "protections", "agings"),
    *("kswapd_runs", "written_pages", "swapped_out_pages", "swapped_in_pages"),
    # Of the pages above, those of metadata; those that a write brought into being, which are no
    # refaults; and of the latter, those that had been evicted before.
    *("inserted_metadata_pages", "evicted_metadata_pages", "refaults_metadata_pages"),
    *("inserted_write_pages", "rewritten_pages", "resident_pages"),
    # Those that were in memory before the trace.
    "pages_from_before",
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
    WRITTEN,
    SWAPPED_OUT,
    SWAPPED_IN,
    INSERTED_METADATA,
    EVICTED_METADATA,
    METADATA_REFAULTS,
    INSERTED_BY_WRITE,
    REWRITTEN,
    RESIDENT,
    FROM_BEFORE_PAGES,
    DIRTY_PAGES,
    # The access that is being read.
    AT,
    # Settings: the first anonymous page, how many pages swap can still take, and vm.swappiness.
    FIRST_ANONYMOUS,
    SWAP_FREE,
    SWAPPINESS,
) = range(27)
SIZES = 27  # of each list, in pages
#: The elements from here on belong to the way of reclaim, which names them beside its code.
RECLAIM_REGISTERS = SIZES + HEADS
REGISTERS = RECLAIM_REGISTERS + 48

PageRecords = np.recarray
Register = NDArray[np.int64]


def make_pages(pages: int) -> PageRecords:
    """Return the records of `pages` pages, none of them in memory, and empty lists."""
    table = np.zeros(pages + HEADS, dtype=PAGE)
    table["list"] = ABSENT
    table["looked"] = -1  # before the first access
    table["prev"][pages:] = table["next"][pages:] = np.arange(pages, pages + HEADS)
    return table.view(np.recarray)


@kernel
def kind_of(register: Register, page: int) -> int:
    """Return the kind of a page: ANON or FILE."""
    return ANON if page >= register[FIRST_ANONYMOUS] else FILE


@kernel
def size_of(pages: PageRecords, folio: int) -> int:
    """Return how many pages a folio has."""
    return 1 << wide(pages[folio].order)


@kernel
def folio_of(pages: PageRecords, page: int) -> int:
    """Return the first page of the folio that a page in memory belongs to."""
    order = wide(pages[page].order)
    return page >> order << order


@kernel
def is_present(pages: PageRecords, page: int) -> bool:
    """Return whether a page is in memory."""
    return bool(wide(pages[page].bits) & PRESENT)


@kernel
def is_in_use(pages: PageRecords, folio: int) -> bool:
    """Return whether a folio was accessed through a mapping since reclaim last looked at it."""
    return bool(pages[folio].maps > 0 or wide(pages[folio].bits) & YOUNG != 0)


@kernel
def can_swap(register: Register) -> bool:
    """Return whether anonymous pages can be reclaimed."""
    return bool(register[SWAP_FREE] > 0 and register[SWAPPINESS] > 0)


@kernel
def oldest(pages: PageRecords, which: int) -> int:
    """Return the oldest folio of a list, or ABSENT if it is empty."""
    head = wide(pages.shape[0]) - HEADS + which
    last = wide(pages[head].prev)
    return ABSENT if last == head else last


@kernel
def leave(pages: PageRecords, register: Register, folio: int) -> None:
    """Take a folio off its list."""
    before, after = wide(pages[folio].prev), wide(pages[folio].next)
    pages[before].next = after
    pages[after].prev = before
    register[SIZES + pages[folio].list] -= size_of(pages, folio)
    pages[folio].list = ABSENT


@kernel
def enter(pages: PageRecords, register: Register, folio: int, which: int, new: bool) -> None:
    """Put a folio at the new end of a list, or at its old end.

    Parameters
    ----------
    pages, register
        The records of all pages, and the registers, which count the pages of each list.
    folio
        The first page of a folio that is on no list.
    which
        The list, from 0 to ``HEADS - 1``.
    new
        Whether it goes to the new end.
    """
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
def clear(pages: PageRecords, folio: int, bit: int) -> None:
    """Clear one of the `bits` of a folio."""
    pages[folio].bits = wide(pages[folio].bits) & ~bit


@kernel
def look(pages: PageRecords, register: Register, folio: int) -> bool:
    """Return whether a folio was accessed through a mapping since the last look, and forget it."""
    pages[folio].looked = register[AT]
    young = is_in_use(pages, folio)
    pages[folio].maps = 0
    clear(pages, folio, YOUNG)
    return young


@kernel
def clean(pages: PageRecords, register: Register, folio: int) -> None:
    """Write a dirty folio to its file."""
    clear(pages, folio, DIRTY)
    register[WRITTEN] += size_of(pages, folio)
    register[DIRTY_PAGES] -= size_of(pages, folio)
