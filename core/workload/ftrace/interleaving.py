"""Puts the rows of each read request together, where those of several tasks interleave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, wide

#: What a row touches: no page of a file, its pages, or its file as a whole.
NOTHING, PAGES, FILE = 0, 1, 2


class Together(NamedTuple):
    """Rows in an order in which those of a request follow each other."""

    row: NDArray[np.int64]  # [place] the row that stands here
    joins: NDArray[np.bool_]  # [place] whether it belongs to the request of the reading before it
    time_ns: NDArray[np.int64]  # [place] a row that moved has the time of the row it stands behind


def bring_together(
    columns: dict[str, NDArray[np.generic]],
    request: NDArray[np.int32],
    reads: NDArray[np.bool_],
    touches: NDArray[np.uint8],
) -> Together:
    """Return the rows in an order in which those of a request follow each other.

    A row moves up to just behind the last row of its request, unless a row in between touches one
    of its own pages, or its file as a whole: then it stays and begins a request.

    Parameters
    ----------
    columns
        Of mm events or of accesses.
    request
        The number of each row's read request, or 0.
    reads
        Which rows are readings: a row joins the request of the reading before it.
    touches
        What each row touches: NOTHING, PAGES or FILE.
    """
    joins = np.zeros(request.size, dtype=np.bool_)
    order = np.minimum(columns["order"], np.uint8(32)).astype(np.int64)
    first = columns["inode"].astype(np.int64) << 32 | columns["index"].astype(np.int64)
    time_ns = columns["time_ns"].astype(np.int64, copy=False)
    end = first + (1 << order)
    row, time_ns = _bring_together(request, reads, touches, first, end, time_ns, joins)
    return Together(row, joins[row], time_ns)


@entry
def _bring_together(
    request: NDArray[np.int32],
    reads: NDArray[np.bool_],
    touches: NDArray[np.uint8],
    first: NDArray[np.int64],
    end: NDArray[np.int64],
    time_ns: NDArray[np.int64],
    joins: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and their times, place by place; `joins` is filled in row by row.

    `first` and `end` are inode << 32 | index of each row's pages.
    """
    count = request.size
    last_of = np.full(request.max() + 1 if count else 1, -1, dtype=np.int64)
    # A list of the rows in the order of their places: the first one is that of the row `count`.
    following = np.full(count + 1, -1, dtype=np.int64)
    moved = np.zeros(count, dtype=np.bool_)
    last, last_reading = wide(count), wide(-1)
    for row in range(count):
        number = wide(request[row])
        before = wide(last_of[number]) if number > 0 else wide(-1)
        if number > 0:
            last_of[number] = row
        if before >= 0 and before != last_reading:
            between = wide(following[before])
            while between >= 0:
                if touches[between] == FILE and first[between] >> 32 == first[row] >> 32:
                    break
                overlaps = first[between] < end[row] and first[row] < end[between]
                if touches[between] == PAGES and overlaps:
                    break
                between = wide(following[between])
            if between < 0:
                joins[row], moved[row] = True, True
                following[row], following[before] = following[before], row
                continue
        elif before >= 0:
            joins[row] = True
        following[last] = row
        last = wide(row)
        if reads[row]:
            last_reading = last
    order = np.empty(count, dtype=np.int64)
    times = np.empty(count, dtype=np.int64)
    row = wide(following[count])
    for place in range(count):
        order[place] = row
        times[place] = times[place - 1] if moved[row] else time_ns[row]
        row = wide(following[row])
    return order, times
