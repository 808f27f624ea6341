"""Numbers the pages of an access trace, by extents of consecutive pages of a file.

A page's number is its place in the tables of the front end. Holes in files have no numbers, so the
tables are about as large as the pages that the trace names. Neighbours in a file have neighbouring
numbers, which readahead needs. Address spaces of anonymous memory are numbered like files.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import (
    ACCESSES,
    ANONYMOUS,
    LARGE_FOLIOS,
    LOOKUP,
    MOVE,
    TRUNCATE,
    UNMAP,
    USE,
    WRITE,
    Accesses,
)
from core.available_memory import available_bytes
from core.events import EventsError
from core.frontend.dense_numbers import NAMELESS, number_names
from core.jit import entry, wide

#: An extent is made of whole chunks of 2**order pages. Of these orders the largest is chosen that
#: gives no more than `_MOST_GROWTH` times the pages that the smallest gives, plus `_SPARE_PAGES`:
#: with large chunks random accesses, too, have neighbours that can be read ahead.
_CHUNK_ORDERS = (9, 5, 0)
_MOST_GROWTH = 4
_SPARE_PAGES = 1 << 20
#: An order is tried only if all files together have no more chunks of it, up to their last pages.
_MOST_CHUNKS = 1 << 28
#: What a chunk takes at most, used or not: whether it is used and whether an extent begins with it
#: (1 byte each), its number and its extent (4 each), and what that is summed up from (4).
_CHUNK_BYTES = 1 + 1 + 4 + 4 + 4
# Files and address spaces are numbered apart.
_GROUP_OF = np.full(len(ACCESSES), NAMELESS, dtype=np.uint8)
_GROUP_OF[: TRUNCATE + 1] = 0
_GROUP_OF[[USE, MOVE]] = 0
_GROUP_OF[[ANONYMOUS, UNMAP]] = 1


class Extents(NamedTuple):
    """The numbers of the pages that an access trace names; those of files come first."""

    page: NDArray[np.int32]  # [access] number of its first page, if it names one
    extent: NDArray[np.int32]  # [access] extent of this page; empty if nothing is looked up
    first: NDArray[np.int64]  # [extent + 1] number of its first page
    # [extent] number of the page after its last one, or after the last one that the trace names
    end: NDArray[np.int64]
    inode: NDArray[np.uint32]  # [extent]
    index: NDArray[np.uint32]  # type: ignore[assignment]  # [extent] its first page in the file
    pages: int  # numbers given
    first_anonymous: int  # number of the first page of an address space
    chunk_order: int
    extent_of: NDArray[np.int32]  # [chunk] of `2**chunk_order` pages


def number_pages(accesses: Accesses, largest_folio_order: int) -> Extents:
    """Return the numbers of the pages that `accesses` name.

    The first page of a folio gets a multiple of the folio's size as its number, both for the folios
    that the trace names and for those that the front end makes, of up to `largest_folio_order`.
    """
    op = accesses.op
    looks_up = bool(((op == LOOKUP) | (op == WRITE)).any())
    space, (inodes, spaces) = number_names(op, _GROUP_OF, accesses.inode, 2)
    last = np.zeros(inodes.size + spaces.size, dtype=np.int64)
    least, makes_large = _ends(op, space, accesses.index, accesses.order, accesses.flags, last)
    if makes_large:
        least = max(least, largest_folio_order)
    order, first_chunk, used = _chunks(accesses, space, last, least)
    number = np.cumsum(used, dtype=np.int32) - 1
    starts, extent_of = _extents(used, first_chunk)
    page = np.zeros(op.size, dtype=np.int32)
    extent = np.zeros(op.size if looks_up else 0, dtype=np.int32)
    _number(*(op, space, accesses.index, order, first_chunk, number, extent_of, page, extent))
    owner = np.searchsorted(first_chunk, starts, side="right") - 1
    first = number[starts].astype(np.int64) << order
    pages = int(used.sum()) << order
    index = (starts - first_chunk[owner]) << order
    end = np.minimum(np.append(first[1:], pages), first + last[owner] - index)
    anonymous_extents = np.flatnonzero(owner >= inodes.size)
    return Extents(
        page,
        extent,
        np.append(first, pages),
        end,
        np.concatenate((inodes, _free_inodes(inodes, spaces.size))).astype(np.uint32)[owner],
        index.astype(np.uint32),
        pages,
        int(first[anonymous_extents[0]]) if anonymous_extents.size else pages,
        order,
        extent_of[used],
    )


def with_programs(extents: Extents, pages: int) -> Extents:
    """Return extents with one more, of `pages` pages of programs, which come after all others."""
    chunks = -(-pages >> extents.chunk_order)
    inode = _free_inodes(np.unique(extents.inode).astype(np.int64), 1).astype(np.uint32)
    end = extents.pages + (chunks << extents.chunk_order)
    number = np.full(chunks, extents.inode.size, dtype=np.int32)
    return extents._replace(
        first=np.append(extents.first, end),
        end=np.append(extents.end, end),
        inode=np.append(extents.inode, inode),
        index=np.append(extents.index, np.uint32(0)),
        pages=end,
        extent_of=np.append(extents.extent_of, number),
    )


def _free_inodes(inodes: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Return inodes that no file has: in mm events they stand for address spaces."""
    candidates = np.arange(inodes.size + wanted, dtype=np.int64)
    return np.setdiff1d(candidates, inodes, assume_unique=True)[:wanted]


def _chunks(
    accesses: Accesses, space: NDArray[np.int32], last: NDArray[np.int64], least: int
) -> tuple[int, NDArray[np.int64], NDArray[np.bool_]]:
    """Return the order of chunks, the first chunk of each file, and which chunks are used."""
    orders = [*(order for order in _CHUNK_ORDERS if order > least), least]
    chunks = [(last + (1 << order) - 1) >> order for order in orders]
    while len(orders) > 1 and chunks[-1].sum() > _MOST_CHUNKS:
        orders.pop()
        chunks.pop()
    wanted = int(chunks[-1].sum()) * _CHUNK_BYTES
    if wanted > (free := available_bytes()):
        raise EventsError(
            f"{last.size:,} files and address spaces reach {int(last.sum()):,} pages far, which to "
            f"number takes {wanted:,} bytes of memory, and {free:,} are free",
            file=accesses.source,
        )
    used = [np.zeros(int(counts.sum()), dtype=np.bool_) for counts in chunks]
    first_chunk = [np.cumsum(counts) - counts for counts in chunks]
    _use(accesses.op, space, accesses.index, accesses.order, orders[-1], first_chunk[-1], used[-1])
    for coarse in range(len(orders) - 2, -1, -1):
        fine = coarse + 1
        shift = orders[coarse] - orders[fine]
        _coarsen(
            chunks[fine], first_chunk[fine], used[fine], shift, first_chunk[coarse], used[coarse]
        )
    pages = [int(marks.sum()) << order for marks, order in zip(used, orders, strict=True)]
    best = next(
        place
        for place, count in enumerate(pages)
        if count <= _MOST_GROWTH * min(pages) + _SPARE_PAGES
    )
    return orders[best], first_chunk[best], used[best]


def _extents(
    used: NDArray[np.bool_], first_chunk: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the first chunk of each extent, and the extent of each chunk.

    An extent is a run of used chunks of one file.
    """
    begins = used.copy()
    begins[1:] &= ~used[:-1]
    files = first_chunk[first_chunk < used.size]
    begins[files] = used[files]
    return np.flatnonzero(begins), np.cumsum(begins, dtype=np.int32) - 1


@entry
def _ends(
    op: NDArray[np.uint8],
    space: NDArray[np.int32],
    index: NDArray[np.uint32],
    orders: NDArray[np.uint8],
    flags: NDArray[np.uint8],
    last: NDArray[np.int64],
) -> tuple[int, bool]:
    """Write where files end; return the largest order of the trace's folios.

    Also return whether the front end may make larger ones.
    """
    largest, makes_large = wide(0), False
    for row in range(op.size):
        if op[row] <= UNMAP or op[row] >= USE:
            order = wide(orders[row])
            end = wide(index[row]) + (1 << order)
            last[space[row]] = max(last[space[row]], end)
            if op[row] < LOOKUP:
                largest = max(largest, order)
            elif op[row] <= WRITE and flags[row] & LARGE_FOLIOS:
                makes_large = True
    return largest, makes_large


@entry
def _use(
    op: NDArray[np.uint8],
    space: NDArray[np.int32],
    index: NDArray[np.uint32],
    orders: NDArray[np.uint8],
    chunk_order: int,
    first_chunk: NDArray[np.int64],
    used: NDArray[np.bool_],
) -> None:
    for row in range(op.size):
        if op[row] <= UNMAP or op[row] >= USE:
            chunk = wide(first_chunk[space[row]])
            first = wide(index[row])
            end = first + (1 << wide(orders[row])) - 1
            for place in range(first >> chunk_order, (end >> chunk_order) + 1):
                used[chunk + place] = True


@entry
def _coarsen(
    chunks: NDArray[np.int64],
    first_chunk: NDArray[np.int64],
    used: NDArray[np.bool_],
    shift: int,
    first_coarse: NDArray[np.int64],
    used_coarse: NDArray[np.bool_],
) -> None:
    for space in range(chunks.size):
        first, coarse = first_chunk[space], first_coarse[space]
        for chunk in range(chunks[space]):
            if used[first + chunk]:
                used_coarse[coarse + (chunk >> shift)] = True


@entry
def _number(
    op: NDArray[np.uint8],
    space: NDArray[np.int32],
    index: NDArray[np.uint32],
    chunk_order: int,
    first_chunk: NDArray[np.int64],
    number: NDArray[np.int32],
    extent_of: NDArray[np.int32],
    page: NDArray[np.int32],
    extent: NDArray[np.int32],
) -> None:
    inside = (1 << chunk_order) - 1
    for row in range(op.size):
        if op[row] <= UNMAP or op[row] >= USE:
            chunk = wide(first_chunk[space[row]]) + (wide(index[row]) >> chunk_order)
            page[row] = (wide(number[chunk]) << chunk_order) + (wide(index[row]) & inside)
            if extent.size > 0:
                extent[row] = extent_of[chunk]
