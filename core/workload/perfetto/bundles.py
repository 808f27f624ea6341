"""Turns bundles of ftrace events into records: an event's kind, time, task and fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, kernel, wide
from core.workload.ftrace.frames import NO_FRAME
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    BLOCK_ISSUE,
    DELETE,
    DEV,
    FIELDS,
    FRAME,
    MARK,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
)
from core.workload.perfetto.event_fields import (
    GARBLED,
    INCOMPLETE,
    SEEN,
    UNDESCRIBED,
    UNKNOWN_ORDERS,
    Counted,
    Room,
    generic_fields,
    is_complete,
    is_mark,
    known_fields,
)
from core.workload.perfetto.signature import BYTES, VARINT
from core.workload.perfetto.slots import (
    FIRST_DESCRIBED,
    GENERIC,
    KPROBE,
    MOST_DESCRIBED,
    MOST_EVENT,
    OTHER,
    Tables,
)
from core.workload.perfetto.survey_bundles import EVENT
from core.workload.perfetto.wire import (
    BODY,
    BODY_END,
    BROKEN,
    length,
    positive,
    skip,
    varint,
)

_OF_FRAMES = (PAGE_ALLOC, PAGE_FREE, ADD, DELETE)


@kernel
def _event(
    signs: NDArray[np.uint8],
    at: int,
    end: int,
    offset_ns: int,
    page_shift: int,
    has_launches: bool,
    tables: Tables,
    record: int,
    room: Room,
    counted: Counted,
) -> bool:
    """Read an event into a record; return whether it is one that is used."""
    counts = counted.counts
    counts[SEEN] += 1
    time_ns, pid, event, first, last = wide(0), wide(0), wide(0), wide(0), wide(0)
    while at < end:
        tag, at = varint(signs, at, end)
        number, wire = tag >> 3, tag & 7
        if at == BROKEN or number <= 0:
            counts[GARBLED] += 1
            return False
        if wire == VARINT:
            value, at = varint(signs, at, end)
            if number == 1:
                time_ns = positive(value)
            elif number == 2:
                pid = value & 0xFFFF_FFFF
        elif wire == BYTES:
            event = number
            first, at = length(signs, at, end)
            last = at
        else:
            at = skip(signs, at, end, wire)
        if at == BROKEN:
            counts[GARBLED] += 1
            return False
    place = event
    if event >= FIRST_DESCRIBED:
        place = min(event - FIRST_DESCRIBED, MOST_DESCRIBED) + MOST_EVENT
    if event == 0 or place >= tables.of_number.size or (MOST_EVENT <= event < FIRST_DESCRIBED):
        slot = wide(ABSENT)
    else:
        slot = wide(tables.of_number[place])
    if slot == ABSENT:
        counts[UNDESCRIBED] += 1
        return False
    counted.of_slot[slot] += 1
    kind = wide(tables.kind[slot])
    if kind == OTHER:
        return False
    row = room.fields[record]
    for field in range(FIELDS):
        row[field] = ABSENT
    if kind in (GENERIC, KPROBE):
        kind = generic_fields(signs, first, last, kind, tables, page_shift, row, counted)
        if kind == OTHER:
            return False
    elif not known_fields(signs, first, last, slot, tables, page_shift, row):
        kind = wide(GENERIC)
    if kind == GENERIC:
        counts[GARBLED] += 1
        return False
    if kind in _OF_FRAMES:
        row[FRAME] = min(row[FRAME], NO_FRAME)
    if kind == BLOCK_ISSUE:
        if row[DEV] != 1:
            return False
        row[DEV] = ABSENT
    elif kind == MARK and not is_mark(signs, row, has_launches):
        return False
    elif kind in (ADD, DELETE) and row[ORDER] == ABSENT:
        counts[UNKNOWN_ORDERS] += 1
        row[ORDER] = 0
    if not is_complete(kind, row):
        counts[INCOMPLETE] += 1
        return False
    room.kind[record], room.time_ns[record], room.pid[record] = kind, time_ns + offset_ns, pid
    return True


@entry
def read_bundles(
    signs: NDArray[np.uint8],
    spans: NDArray[np.int64],
    offsets_ns: NDArray[np.int64],
    page_shift: int,
    has_launches: bool,
    tables: Tables,
    room: Room,
    counted: Counted,
) -> int:
    """Read the events of some bundles; return how many records there are.

    Parameters
    ----------
    signs, spans
        Bytes of a trace, and the bundles in them, as `find_packets` found them.
    offsets_ns
        What to add to the times of each bundle.
    page_shift
        The binary logarithm of a page's bytes.
    has_launches
        Whether synchronous spans of the trace are launches.
    tables
        What the numbers in the events mean.
    room, counted
        Get the records, in the order of the bytes, and what is counted.
    """
    record = wide(0)
    for bundle in range(spans.shape[0]):
        at, end = wide(spans[bundle, BODY]), wide(spans[bundle, BODY_END])
        while at < end:
            tag, at = varint(signs, at, end)
            # Here the survey stopped counting, and the records that there is room for end.
            if at == BROKEN or tag >> 3 <= 0:
                break
            if tag != EVENT << 3 | BYTES:
                at = skip(signs, at, end, tag & 7)
                if at == BROKEN:
                    break
                continue
            first, at = length(signs, at, end)
            if at == BROKEN:
                break
            about = (wide(offsets_ns[bundle]), page_shift, has_launches)
            if _event(signs, first, at, *about, tables, record, room, counted):
                record += 1
    return record
