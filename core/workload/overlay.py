"""A tenant with tagged memory, laid over a table of mm events: a capture, most of all.

The heaps are those that are laid over access traces (`core.workload.synthetic.tagged_heaps`), with
a step for each 1000 rows. They hold frames that the capture leaves free, page by page:

* The machine has been running: the heaps have lived for `WARM_STEPS` steps where the table begins,
  and what they hold by then is allocated at its first row.
* A page takes the next frame after the one that was taken before it, `NEIGHBOURS` of the times, and
  else any frame. With tenths of memory tagged, blocks of a page are then amplified 4 to 6.5 times;
  the tagged pages of the captures themselves 3.5 to 6.7 times.
* A frame can be taken for a page if nothing is in it, and the table allocates nothing in it for as
  long as the heap holds the page.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.accesses import ANONYMOUS
from core.events import ALLOC, FREE, MOVABLE, TAGGED, Events, EventsError
from core.jit import entry, kernel, wide
from core.random_bits import bits_of
from core.workload.synthetic.load import STEP_ACCESSES
from core.workload.synthetic.run_accesses import rows_of
from core.workload.synthetic.tagged_heaps import TaggedHeaps

#: Steps that the heaps have lived where a table begins: the longest life of one.
WARM_STEPS = 160
#: The share of pages whose frame is the next one after that of the page before.
NEIGHBOURS = 0.8
#: Frames that are drawn for a page before all are looked through.
_DRAWS = 32
#: A page that is still held where the table ends.
_NEVER = np.iinfo(np.int64).max


def with_tenant_over(
    events: Events, tagged_ratio: float, burstiness: float, seed: int, data_pages: int, name: str
) -> Events:
    """Return a table with the allocations and frees of tagged heaps among its rows.

    Parameters
    ----------
    events
        A table of mm events; without heaps, it is what is returned.
    tagged_ratio
        The share of data memory that the heaps take on average while a burst is on; 0 for no heaps.
    burstiness
        The share of it that comes in bursts.
    seed
        Of what is random in them.
    data_pages
        Pages of data memory of the machine, at least the table's own.
    name
        What the table is called in an error.

    Raises
    ------
    EventsError
        When there is a page of a heap for which no frame is free.
    """
    rows = events.op.size
    if tagged_ratio <= 0 or rows == 0:
        return events
    heaps = _page_changes(rows, data_pages, tagged_ratio, burstiness, seed)
    place, ends, is_alloc, page = heaps
    frame_of_page, homeless = _place(events, data_pages, place, ends, is_alloc, page, seed)
    if homeless:
        raise EventsError(
            f"{name}: no frame is free for {homeless:,} of {int(is_alloc.sum()):,} pages of its "
            "tenant: less tagged_ratio, or more data_memory"
        )
    time_ns = events.time_ns[np.maximum(place - 1, 0)]
    tenant: dict[str, NDArray[Any]] = {
        "time_ns": time_ns,
        "op": np.where(is_alloc, ALLOC, FREE),
        "pfn": frame_of_page[page],
        "flags": np.where(is_alloc, TAGGED | MOVABLE, 0),
    }
    columns: dict[str, Any] = {}
    for column, values in events.columns.items():
        of_tenant = tenant.get(column, np.zeros(place.size)).astype(values.dtype)
        columns[column] = np.insert(values, place, of_tenant)
        columns[column].flags.writeable = False
    return events._replace(**columns)


def _page_changes(
    rows: int, data_pages: int, tagged_ratio: float, burstiness: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return when heaps get and give back pages, in the order of time.  # each [change]

    Returns
    -------
    place
        The row of the table before which it is.
    ends
        Of a page that is got, the place where it is given back; `_NEVER` if it is kept.
    is_alloc
        Whether it is got.
    page
        The number of the page; a page that is got again has a new one.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    heaps = TaggedHeaps(random, data_pages, tagged_ratio, burstiness, 0)
    held: dict[int, int] = {}
    places: list[int] = []
    allocs: list[bool] = []
    pages: list[int] = []
    got = 0
    for step in range(-WARM_STEPS, -(-rows // STEP_ACCESSES)):
        batches = heaps.step()
        if not batches:
            continue
        accesses = rows_of(batches, 0, STEP_ACCESSES)
        first = step * STEP_ACCESSES
        for moment, op, space, index, order in zip(
            *(accesses[name].tolist() for name in ("time_ns", "op", "inode", "index", "order")),
            strict=True,
        ):
            place = min(rows, max(0, first + moment))
            for key in range(space << 32 | index, (space << 32 | index) + (1 << order)):
                if op == ANONYMOUS and key not in held:
                    held[key] = got
                    got += 1
                elif op == ANONYMOUS or key not in held:
                    continue
                places.append(place)
                allocs.append(op == ANONYMOUS)
                pages.append(held[key] if op == ANONYMOUS else held.pop(key))
    place, page = np.array(places, dtype=np.int64), np.array(pages, dtype=np.int64)
    is_alloc = np.array(allocs, dtype=np.bool_)
    gone = np.full(got, _NEVER, dtype=np.int64)
    gone[page[~is_alloc]] = place[~is_alloc]
    # What came and went before the table begins is not in it.
    seen = gone[page] > 0
    ends = gone[page]
    return place[seen], ends[seen], is_alloc[seen], page[seen]


def _place(
    events: Events,
    data_pages: int,
    place: NDArray[np.int64],
    ends: NDArray[np.int64],
    is_alloc: NDArray[np.bool_],
    page: NDArray[np.int64],
    seed: int,
) -> tuple[NDArray[np.int64], int]:
    """Return the frame of each page of the heaps, and for how many pages there is none."""
    changes = np.flatnonzero((events.op == ALLOC) | (events.op == FREE))
    sizes = 1 << events.order[changes].astype(np.int64)
    row = np.repeat(changes, sizes)
    frame = events.pfn[row] + np.arange(row.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    by_frame = np.argsort(frame, kind="stable")
    row, frame = row[by_frame], frame[by_frame]
    first = np.searchsorted(frame, np.arange(data_pages + 1))
    frames = np.full(int(page.max(initial=0)) + 1, -1, dtype=np.int64)
    homeless = _take_frames(
        *(place, ends, is_alloc, page, first, row, events.op[row] == ALLOC),
        *(seed, round(NEIGHBOURS * 2**32), frames),
    )
    return frames, int(homeless)


@kernel
def _is_left_free(
    frame: int,
    place: int,
    end: int,
    first: NDArray[np.int64],
    row: NDArray[np.int64],
    allocates: NDArray[np.bool_],
) -> bool:
    """Return whether a table leaves a frame free from before row `place` to before row `end`."""
    low, high = wide(first[frame]), wide(first[frame + 1])
    begin = low
    while low < high:  # the first change of the frame that comes at or after `place`
        middle = (low + high) // 2
        if row[middle] < place:
            low = middle + 1
        else:
            high = middle
    if low > begin and allocates[low - 1]:
        return False
    return low == first[frame + 1] or wide(row[low]) >= end


@entry
def _take_frames(
    place: NDArray[np.int64],
    ends: NDArray[np.int64],
    is_alloc: NDArray[np.bool_],
    page: NDArray[np.int64],
    first: NDArray[np.int64],
    row: NDArray[np.int64],
    allocates: NDArray[np.bool_],
    seed: int,
    neighbours: int,
    frames: NDArray[np.int64],
) -> int:
    """Give each page of the heaps a frame in `frames`; return for how many there is none."""
    data_pages = first.size - 1
    taken = np.zeros(data_pages, dtype=np.bool_)
    draws, last, homeless = wide(0), wide(-1), wide(0)
    for change in range(place.size):
        number = wide(page[change])
        if not is_alloc[change]:
            if frames[number] >= 0:
                taken[frames[number]] = False
            continue
        at, end = wide(place[change]), wide(ends[change])
        frame = wide(last + 1)
        draws += 1
        if bits_of(seed, draws) >= neighbours:
            frame = wide(data_pages)
        found = wide(-1)
        for _ in range(_DRAWS):
            if (
                frame < data_pages
                and not taken[frame]
                and _is_left_free(frame, at, end, first, row, allocates)
            ):
                found = frame
                break
            draws += 1
            frame = wide(bits_of(seed, draws) * data_pages >> 32)
        if found < 0:
            for step in range(data_pages):
                other = (frame + step) % data_pages
                if not taken[other] and _is_left_free(other, at, end, first, row, allocates):
                    found = wide(other)
                    break
        if found < 0:
            homeless += 1
            continue
        taken[found] = True
        frames[number] = found
        last = found
    return homeless
