"""Runs the front end: an access trace goes in, and mm events and counts come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import BY_WRITE, READ, WRITE, Accesses
from core.available_memory import available_bytes
from core.declaration import Declaration, Word, world
from core.events import ALLOC, ATOMIC, Events, EventsError
from core.frontend.allocator import free_frames
from core.frontend.extents import Extents, number_pages, with_programs
from core.frontend.lists import COUNTED, MOST_SWAPPINESS, SWAP_FREE, SWAPPINESS
from core.frontend.loop import entry_over
from core.frontend.made_events import events_of
from core.frontend.node import (
    FOLIO_ORDER,
    READAHEAD_PAGES,
    RESERVED_NS_BEFORE,
    ROWS,
    TELLS_FRAMES,
    TELLS_SWAP,
    USED_NS_BEFORE,
    WHOLE_PAGE,
    ZRAM_SHARE,
    Node,
    make_node,
)
from core.frontend.numbered_accesses import (
    NumberedAccesses,
    number_accesses,
    number_programs,
)
from core.frontend.out_of_memory import begin_call, check_memory, set_free_pages
from core.frontend.tag_storage_as_memory import (
    ATOMIC_FAILURES,
    DROPPED,
    HELD_BY_ATOMIC,
    HELD_BY_PIN,
    MIGRATED,
    PINNED_FAILURES,
    POINT,
    RELEASES,
    RESERVATION,
    RESERVATIONS,
    RESERVED,
    RESERVED_NS,
    RESERVED_PEAK,
    SAMPLE,
    SLOTS_USED,
    USED_NS,
    USED_SINCE_NS,
    TagMemory,
    begin,
    make_slots,
    pass_time,
)
from core.frontend.zone import NOW_NS, begin_zone
from core.lane import SERIES_POINTS

#: A call of the loop reads no more accesses: 0.1 s of cache misses. Between calls Python answers
#: signals, and tells how far it is.
_MOST_ACCESSES = 1 << 20
#: What each page of the machine takes: the tables of frames and of who holds them.
_FRAME_BYTES = 12
#: A step of the loop has room for the rows of a window of so many pages.
_MOST_READAHEAD_PAGES = 4096
TWO_SWAPS = "swap goes to memory or to a device: zram_size or swap_size"


class Reclaim(Word):
    """The ways to choose folios to evict when memory is short."""

    # Each is the name of a module of this folder, which has its hooks.
    MGLRU = "mglru", "the multi-generational LRU, of Android and current distributions"
    ACTIVE_INACTIVE = "active_inactive", "the classic active and inactive lists"


def hooks_of(reclaim: Reclaim) -> ModuleType:
    """Return the module of a way of reclaim."""
    return import_module(f"core.frontend.{reclaim}")


@dataclass(frozen=True)
class FrontEnd:
    """The settings of the kernel that an access trace runs on.

    Parameters
    ----------
    reclaim
        MGLRU (Android and current distributions) or the classic lists.
    zram_size
        Bytes of pages that swap to zram can take; 0: there is no zram; None: as the machine has it
        that the trace was recorded on. Without any swap, anonymous memory is not reclaimed.
    swap_size
        Bytes of a swap device, in place of zram; 0: there is none. Pages that go there and come
        back are stores and restores of anonymous pages in the mm events.
    zram_ratio
        Pages that zram packs into one page of memory.
    swappiness
        As ``vm.swappiness``, 0 to 200.
    readahead_size
        Bytes of the largest readahead window, as ``read_ahead_kb``.
    page_cache_order
        The order of the largest folio of the page cache, in files that may have large folios.

    Raises
    ------
    ValueError
        When there is both zram and a swap device.
    """

    reclaim: Reclaim = Reclaim.MGLRU
    zram_size: int | None = None
    swap_size: int = 0
    zram_ratio: float = 3.0
    swappiness: int = 60
    readahead_size: int = 128 * 1024
    page_cache_order: int = 9

    def __post_init__(self) -> None:
        if self.zram_size and self.swap_size:
            raise ValueError(TWO_SWAPS)


#: What is declared of each setting.
SETTINGS: dict[str, Declaration] = {
    "reclaim": world("how folios are chosen when memory is short", words=Reclaim),
    "zram_size": world(
        "bytes of pages that swap to zram can take; 0: no zram", bounds=(0, 1 << 44), unit="bytes"
    ),
    "swap_size": world(
        "bytes of a swap device, in place of zram; 0: none", bounds=(0, 1 << 44), unit="bytes"
    ),
    "zram_ratio": world("pages that zram packs into one", bounds=(1.0, 100.0), unit="ratio"),
    "swappiness": world("as vm.swappiness", bounds=(0, MOST_SWAPPINESS)),
    "readahead_size": world(
        "bytes of the largest readahead window", bounds=(0, 1 << 24), unit="bytes"
    ),
    "page_cache_order": world("order of the page cache's largest folio", bounds=(0, 9)),
}


class Fronted(NamedTuple):
    """The mm events that a front end made, and what it counted.

    The fields after these are of tag storage that is memory. `samples` are the allocations that
    waited until blocks were emptied; an atomic one has a 1. `failed` are those that got not all of
    their blocks, with a 1 for each reason. `reserved` says when a block was reserved (1) or
    released (-1). `series` has the slots in use and the blocks reserved at equally spaced moments,
    and both added up over the time before.
    """

    events: Events
    counts: dict[str, int]
    # [sample, (time_ns, atomic, blocks, dropped pages, migrated pages)], in the order of time
    samples: NDArray[np.int64] = np.empty((0, 5), dtype=np.int64)
    failed: NDArray[np.int64] = np.empty((0, 3), dtype=np.int64)  # [(time_ns, pinned, atomic)]
    reserved: NDArray[np.int64] = np.empty((0, 2), dtype=np.int64)  # [change, (time_ns, blocks)]
    # [point, (slots, blocks, time of slots, time of blocks)]
    series: NDArray[np.int64] = np.empty((0, 4), dtype=np.int64)


#: The counts of tag storage as memory, by name.
_TAG_COUNTS = {
    "dropped_pages": DROPPED,
    "migrated_pages": MIGRATED,
    "failed_pinned": PINNED_FAILURES,
    "failed_atomic": ATOMIC_FAILURES,
    "used_ns": USED_NS,
    "reserved_ns": RESERVED_NS,
    "peak_reserved": RESERVED_PEAK,
    "reservations": RESERVATIONS,
    "releases": RELEASES,
}


def run_frontend(
    accesses: Accesses,
    front_end: FrontEnd,
    tag_memory: TagMemory | None = None,
    every_frame: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Fronted:
    """Return the mm events that `accesses` cause on their machine, and counts.

    Parameters
    ----------
    accesses
        An access trace of a machine: its `data_pages` is not 0.
    front_end
        The settings of the kernel.
    tag_memory
        Tag storage that is memory too, if there is any.
    every_frame
        Whether the mm events have untagged allocations as well. They then begin with the frames
        that were in use before the trace.
    progress
        Called with the accesses read so far, and with how many there are.

    Raises
    ------
    OutOfMemory
        When the machine is too small.
    EventsError
        When it is so large that simulating it takes more memory than there is.
    """
    wanted = accesses.data_pages * _FRAME_BYTES
    if wanted > (free := available_bytes()):
        raise EventsError(
            f"to simulate {accesses.data_pages:,} pages of memory takes {wanted:,} bytes, and "
            f"{free:,} are free",
            file=accesses.source,
        )
    # All columns are read-only, as those from Parquet: the loop is compiled for one type of array.
    columns = {name: _frozen(column) for name, column in accesses.columns.items()}
    accesses = accesses._replace(**columns)
    extents = number_pages(accesses, front_end.page_cache_order)
    numbered = number_accesses(accesses, extents)
    front_end = _as_recorded(front_end, accesses)
    if front_end.zram_size:
        extents = _number_programs(numbered, extents)
    hooks = hooks_of(front_end.reclaim)
    read = entry_over(hooks)
    node = _node(accesses, extents, front_end, tag_memory)
    hooks.begin(node.pages, node.register)
    node.register[TELLS_FRAMES] = every_frame
    parts = [_in_use(accesses)] if every_frame and accesses.op.size else []
    at = 0
    while at < accesses.op.size:
        begin_call(node.register)
        at = read(numbered, node, at, min(at + _MOST_ACCESSES, accesses.op.size))
        check_memory(node, accesses)
        parts.append(node.rows[: int(node.register[ROWS])].copy())
        if progress is not None:
            progress(at, accesses.op.size)
    register = node.register
    counts = dict(zip(COUNTED, register.tolist(), strict=False))
    if tag_memory is None:
        return Fronted(events_of(accesses, extents, parts), counts)
    pass_time(register)
    counts |= {name: int(register[place]) for name, place in _TAG_COUNTS.items()}
    counts["span_ns"] = int(accesses.time_ns[-1] - accesses.time_ns[0]) if accesses.op.size else 0
    notes = np.concatenate([node.rows[:0], *(part[part[:, 1] >= SAMPLE] for part in parts)])
    parts = [part[part[:, 1] < SAMPLE] for part in parts]
    return Fronted(
        events_of(accesses, extents, parts),
        counts,
        *_samples(notes[notes[:, 1] == SAMPLE], accesses.time_ns),
        _reserved(notes[notes[:, 1] == RESERVATION], accesses.time_ns),
        _series(notes[notes[:, 1] == POINT], register),
    )


def _as_recorded(front_end: FrontEnd, accesses: Accesses) -> FrontEnd:
    """Return the settings with the zram of the recorded machine, where they say nothing of swap."""
    if front_end.zram_size is not None:
        return front_end
    return replace(front_end, zram_size=0 if front_end.swap_size else accesses.zram_size)


def _number_programs(numbered: NumberedAccesses, extents: Extents) -> Extents:
    """Number the pages of programs whose memory is taken and given; return the extents with them.

    Without swap such memory is never reclaimed, so it needs no pages. Nor has it any with a swap
    device: of its pages that come back from there a trace shows only new ones.
    """
    held = np.full(numbered.holder.size, -1, dtype=np.int32)
    named = (numbered.op, numbered.flags, numbered.handle, held)
    pages = number_programs(*named, extents.pages, numbered.page)
    return with_programs(extents, pages) if pages else extents


def _samples(
    rows: NDArray[np.int32], time_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the allocations that reserved blocks, and those that got not all of theirs."""
    at, _, blocks, dropped, migrated, flags = rows.astype(np.int64).T
    is_atomic, pinned, atomic = (
        (flags & bit != 0).astype(np.int64) for bit in (ATOMIC, HELD_BY_PIN, HELD_BY_ATOMIC)
    )
    samples = np.stack((time_ns[at], is_atomic, blocks, dropped, migrated), axis=1)
    failed = np.stack((time_ns[at], pinned, atomic), axis=1)
    return samples[blocks > 0], failed[pinned + atomic > 0]


def _series(points: NDArray[np.int32], register: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the series; the points that no access came after are of the end."""
    at_the_end = register[[SLOTS_USED, RESERVED, USED_NS, RESERVED_NS]]
    series = np.full((SERIES_POINTS, at_the_end.size), at_the_end)
    passed = points.shape[0]
    series[:passed, :2] = points[:, [2, 4]]
    for column, first in ((2, USED_NS_BEFORE), (3, RESERVED_NS_BEFORE)):
        series[:passed, column] = register[first : first + passed]
    return series


def _reserved(rows: NDArray[np.int32], time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    at, _, blocks, *_ = rows.astype(np.int64).T
    return np.stack((time_ns[at], blocks), axis=1)


def _frozen(column: NDArray[Any]) -> Any:
    view = column.view()
    view.flags.writeable = False
    return view


def _node(
    accesses: Accesses, extents: Extents, front_end: FrontEnd, tag_memory: TagMemory | None
) -> Node:
    by_write = (accesses.op == READ) & (accesses.flags & BY_WRITE != 0)
    writes = accesses.order[(accesses.op == WRITE) | by_write]
    sizes = np.bincount(writes) if writes.size else np.zeros(1, dtype=np.int64)
    dirtyings = int((sizes << np.arange(sizes.size)).sum())
    swap_size = front_end.swap_size or front_end.zram_size or 0
    swap_pages = swap_size // accesses.page_size if front_end.swappiness else 0
    node = make_node(extents, accesses.data_pages, dirtyings, make_slots(tag_memory))
    register = node.register
    set_free_pages(register, accesses)
    begin_zone(register, accesses.managed_pages or accesses.data_pages)
    register[TELLS_SWAP] = front_end.swap_size > 0
    register[ZRAM_SHARE] = 0 if front_end.swap_size else round(WHOLE_PAGE / front_end.zram_ratio)
    register[READAHEAD_PAGES] = min(
        front_end.readahead_size // accesses.page_size, _MOST_READAHEAD_PAGES
    )
    register[FOLIO_ORDER] = front_end.page_cache_order
    register[SWAP_FREE] = swap_pages
    register[SWAPPINESS] = front_end.swappiness if swap_pages else 0
    if tag_memory and accesses.op.size:
        start, end = int(accesses.time_ns[0]), int(accesses.time_ns[-1])
        begin(node, tag_memory, accesses.data_pages, start, end - start)
        register[[NOW_NS, USED_SINCE_NS]] = start
    for first, end in _free(accesses):
        free_frames(node.frames, first, end)
    return node


def _in_use(accesses: Accesses) -> NDArray[np.int32]:
    """Return rows that allocate the frames that were in use when the trace began."""
    used = np.ones(accesses.data_pages, dtype=np.bool_)
    for first, end in _free(accesses):
        used[first:end] = False
    frames = np.flatnonzero(used)
    rows = np.zeros((frames.size, 6), dtype=np.int32)
    rows[:, 1] = ALLOC
    rows[:, 4] = frames
    return rows


def _free(accesses: Accesses) -> tuple[tuple[int, int], ...]:
    """Return the ranges of frames that were free; where they are not known, the last frames."""
    top = (accesses.data_pages - accesses.free_pages, accesses.data_pages)
    return accesses.free_ranges or (top,)
