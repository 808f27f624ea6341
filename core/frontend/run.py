"""Running a front end: an access trace in, mm events and counts out."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import EXIT, MAP, TAKE, TRUNCATE, Accesses
from core.events import INVALIDATE, SCHEMA, Events, make_events
from core.frontend import mglru
from core.frontend.allocator import NONE, Frames, make_zone, release
from core.frontend.kernel import (
    FREE_PAGES,
    HIGH,
    LOW,
    ROWS,
    Output,
    read_active_inactive,
    read_mglru,
)
from core.frontend.lists import COUNTED, make_state
from core.jit import entry
from core.timeline import folio_pages

#: Rows of output that are written before they are collected.
_ROOM = 1 << 20


class Reclaim(StrEnum):
    """How folios are chosen when memory is short."""

    MGLRU = "mglru"
    ACTIVE_INACTIVE = "active_inactive"


class Fronted(NamedTuple):
    """The events of a front end, and what it counted."""

    events: Events
    counts: dict[str, int]
    resident_pages: NDArray[np.int64]  # [access] in the page cache after it


_ENTRIES: dict[Reclaim, Callable[..., int]] = {
    Reclaim.MGLRU: read_mglru,
    Reclaim.ACTIVE_INACTIVE: read_active_inactive,
}


def run_frontend(accesses: Accesses, reclaim: Reclaim) -> Fronted:
    """Return the mm events that `accesses` cause on their machine under a way of reclaim."""
    file = accesses.op <= TRUNCATE
    keys = accesses.inode.astype(np.uint64) << np.uint64(32) | accesses.index
    known = folio_pages(keys[file], accesses.order[file])
    page_of = np.searchsorted(known, keys).astype(np.int32)
    tasks = (accesses.op == MAP) | (accesses.op == EXIT)
    names = np.where(tasks, accesses.handle + (1 << 50), accesses.handle)
    held = (accesses.op >= TAKE) | tasks
    held_by, dense = np.unique(names[held], return_inverse=True)
    handles = np.zeros(accesses.op.size, dtype=np.int64)
    handles[held] = dense
    # Boot memory is accounted for, but has no frame.
    holder = np.where(held_by >= 1 << 50, -1, 0).astype(np.int32)
    state = make_state(int(known.size))
    zone = make_zone(accesses.data_pages)
    memory = np.zeros(6, dtype=np.int64)
    memory[[FREE_PAGES, LOW, HIGH]] = accesses.free_pages, accesses.low_pages, accesses.high_pages
    _free_all(*zone[:2], accesses.data_pages - accesses.free_pages, accesses.data_pages)
    if reclaim is Reclaim.MGLRU:
        mglru.begin(*state)
    frame_of = np.full(max(1, known.size), NONE, dtype=np.int32)
    resident = np.zeros(accesses.op.size, dtype=np.int64)
    next_map = np.full(accesses.op.size, -1, dtype=np.int32)
    rows = np.empty((_ROOM + 2 * accesses.data_pages, 6), dtype=np.int64)
    parts = []
    at = 0
    while at < accesses.op.size:
        memory[ROWS] = 0
        at = _ENTRIES[reclaim](
            *(accesses.op, page_of, accesses.order, handles, accesses.flags, holder, next_map),
            *state,
            memory,
            *zone,
            *(frame_of, rows, resident, at),
        )
        parts.append(rows[: int(memory[ROWS])].copy())
    events = _events(accesses, known, parts)
    counts = dict(zip(COUNTED, state.register.tolist(), strict=False))
    return Fronted(events, counts, resident)


def _events(accesses: Accesses, known: NDArray[np.uint64], parts: list[Output]) -> Events:
    together = np.concatenate(parts) if parts else np.zeros((0, 6), dtype=np.int64)
    file = together[:, 1] <= INVALIDATE
    key = np.zeros(together.shape[0], dtype=np.uint64)
    key[file] = known[together[file, 2]]
    columns = {
        "time_ns": accesses.time_ns[together[:, 0]],
        "op": together[:, 1],
        "inode": key >> np.uint64(32),
        "index": key & np.uint64(0xFFFF_FFFF),
        "order": together[:, 3],
        "pfn": together[:, 4],
        "flags": together[:, 5],
    }
    return make_events(
        {name: columns[name] for name in SCHEMA.names},
        page_size=accesses.page_size,
        data_pages=accesses.data_pages,
        source=accesses.source,
    )


@entry
def _free_all(frames: Frames, kinds: NDArray[np.uint8], first: int, end: int) -> None:
    """Free the frames that nothing used when the trace began: those at the top of memory."""
    for frame in range(first, end):
        release(frames, kinds, frame, 0)
