"""The numbers of pages: extents of consecutive pages of a file, or of an address space.

A table of what every row of an access trace names is as small as the trace's own pages, whatever
holes its files have, and neighbours in a file are neighbours in it: readahead needs that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import ANONYMOUS, LARGE_FOLIOS, LOOKUP, TRUNCATE, UNMAP, WRITE, Accesses
from core.jit import entry, wide

#: An extent has whole chunks of 2**order pages: the largest order that does not make the table so
#: many times larger than chunks of a page would. Random accesses find pages to read ahead so.
_CHUNK_ORDERS = (9, 5, 0)
_WASTE = 4
_SMALL = 1 << 20
#: Chunks of all files to their last pages; where there are more, only larger chunks are tried.
_MOST_CHUNKS = 1 << 28


class Extents(NamedTuple):
    """Where the pages that an access trace names are numbered.

    Those of files come first. `page` is the number of the first page of each row that names one,
    `extent` the extent it lies in, for rows that look a page up.
    """

    page: NDArray[np.int32]  # [access]
    extent: NDArray[np.int32]  # [access]
    first: NDArray[np.int64]  # [extent + 1] number of its first page
    end: NDArray[
        np.int64
    ]  # [extent] beyond its last one: where the file ends, or what is named of it
    inode: NDArray[np.uint32]  # [extent]
    index: NDArray[np.uint32]  # type: ignore[assignment]  # [extent] its first page in the file
    pages: int
    first_anonymous: int
    chunk_order: int
    extent_of: NDArray[np.int32]  # [chunk] of `2**chunk_order` pages


def number_pages(accesses: Accesses, largest_folio_order: int) -> Extents:
    """Return the numbers of the pages that `accesses` name; folios lie at multiples of their size.

    `largest_folio_order` is that of folios that a front end makes itself.
    """
    op = accesses.op
    paged = op <= UNMAP
    anonymous = (op == ANONYMOUS) | (op == UNMAP)
    file_inodes = accesses.inode[op <= TRUNCATE]
    spaces = accesses.inode[anonymous]
    inodes = [known(file_inodes), known(spaces)]
    space = np.zeros(op.size, dtype=np.int32)
    space[op <= TRUNCATE] = places(inodes[0], file_inodes)
    space[anonymous] = places(inodes[1], spaces) + inodes[0].size
    folios = paged & (op < LOOKUP)
    least = int(accesses.order[folios].max()) if folios.any() else 0
    asks = (op == LOOKUP) | (op == WRITE)
    if (accesses.flags[asks] & LARGE_FOLIOS).any():
        least = max(least, largest_folio_order)
    last = np.zeros(inodes[0].size + inodes[1].size, dtype=np.int64)
    _ends(paged, space, accesses.index, accesses.order, last)
    order, first_chunk, used = _chunks(accesses, paged, space, last, least)
    number = np.where(used, np.cumsum(used) - 1, -1).astype(np.int32)
    starts, extent_of = _extents(used, first_chunk)
    page = np.zeros(op.size, dtype=np.int32)
    extent = np.zeros(op.size if asks.any() else 0, dtype=np.int32)
    _number(*(paged, space, accesses.index, order, first_chunk, number, extent_of, page, extent))
    owner = np.searchsorted(first_chunk, starts, side="right") - 1
    first = number[starts].astype(np.int64) << order
    pages = int(used.sum()) << order
    index = (starts - first_chunk[owner]) << order
    end = np.minimum(np.append(first[1:], pages), first + last[owner] - index)
    anonymous_extents = np.flatnonzero(owner >= inodes[0].size)
    return Extents(
        page,
        extent,
        np.append(first, pages),
        end,
        np.concatenate(inodes).astype(np.uint32)[owner],
        index.astype(np.uint32),
        pages,
        int(first[anonymous_extents[0]]) if anonymous_extents.size else pages,
        order,
        extent_of[used],
    )


def known(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct numbers, ascending: by a table where they are small, not by sorting."""
    if numbers.size and int(numbers.max()) < 4 * numbers.size + _SMALL:
        there = np.zeros(int(numbers.max()) + 1, dtype=np.bool_)
        there[numbers] = True
        return np.flatnonzero(there).astype(numbers.dtype)
    return np.unique(numbers)


def places(distinct: NDArray[Any], numbers: NDArray[Any]) -> NDArray[np.int32]:
    """Return the places of numbers in those that are known."""
    if distinct.size and int(distinct[-1]) < 4 * numbers.size + _SMALL:
        table = np.zeros(int(distinct[-1]) + 1, dtype=np.int32)
        table[distinct] = np.arange(distinct.size)
        found: NDArray[np.int32] = table[numbers]
        return found
    return np.searchsorted(distinct, numbers).astype(np.int32)


def _chunks(
    accesses: Accesses,
    paged: NDArray[np.bool_],
    space: NDArray[np.int32],
    last: NDArray[np.int64],
    least: int,
) -> tuple[int, NDArray[np.int64], NDArray[np.bool_]]:
    """Return the order of chunks, the first chunk of each file, and which chunks are used."""
    made: list[tuple[int, NDArray[np.int64], NDArray[np.bool_]]] = []
    for order in (*(one for one in _CHUNK_ORDERS if one > least), least):
        chunks = (last + (1 << order) - 1) >> order
        if made and chunks.sum() > _MOST_CHUNKS:
            break
        used = np.zeros(int(chunks.sum()), dtype=np.bool_)
        first_chunk = np.cumsum(chunks) - chunks
        _use(paged, space, accesses.index, accesses.order, order, first_chunk, used)
        made.append((order, first_chunk, used))
    fewest = min(int(used.sum()) << order for order, _, used in made)
    return next(one for one in made if int(one[2].sum()) << one[0] <= _WASTE * fewest + _SMALL)


def _extents(
    used: NDArray[np.bool_], first_chunk: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the first chunk of each extent, a run of used chunks, and each chunk's extent."""
    begins = used.copy()
    begins[1:] &= ~used[:-1]
    files = first_chunk[first_chunk < used.size]
    begins[files] = used[files]
    return np.flatnonzero(begins), (np.cumsum(begins) - 1).astype(np.int32)


@entry
def _ends(
    paged: NDArray[np.bool_],
    space: NDArray[np.int32],
    index: NDArray[np.uint32],
    orders: NDArray[np.uint8],
    last: NDArray[np.int64],
) -> None:
    for row in range(paged.size):
        if paged[row]:
            end = wide(index[row]) + (1 << wide(orders[row]))
            last[space[row]] = max(last[space[row]], end)


@entry
def _use(
    paged: NDArray[np.bool_],
    space: NDArray[np.int32],
    index: NDArray[np.uint32],
    orders: NDArray[np.uint8],
    chunk_order: int,
    first_chunk: NDArray[np.int64],
    used: NDArray[np.bool_],
) -> None:
    for row in range(paged.size):
        if paged[row]:
            chunk = wide(first_chunk[space[row]])
            first = wide(index[row])
            end = first + (1 << wide(orders[row])) - 1
            for one in range(first >> chunk_order, (end >> chunk_order) + 1):
                used[chunk + one] = True


@entry
def _number(
    paged: NDArray[np.bool_],
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
    for row in range(paged.size):
        if paged[row]:
            chunk = wide(first_chunk[space[row]]) + (wide(index[row]) >> chunk_order)
            page[row] = (wide(number[chunk]) << chunk_order) + (wide(index[row]) & inside)
            if extent.size > 0:
                extent[row] = extent_of[chunk]
