"""The mm event table: what the kernel's memory management did, an event a row, in time order."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.errors import InputError
from core.jit import entry, kernel, wide
from core.machine import MAX_ORDER

STORE, RESTORE, INVALIDATE, INVALIDATE_INODE, ALLOC, FREE, RESIZE = range(7)
OPS = ("store", "restore", "invalidate", "invalidate_inode", "alloc", "free", "resize")
WORKINGSET, TAGGED, ATOMIC, PINNED, MOVABLE = 1, 2, 4, 8, 16
#: The page belongs to a swap device, and its inode is no file's: a flag of stores, restores and
#: invalidates, which may have `WORKINGSET` beside it and no other flag.
ANONYMOUS = 32

SCHEMA = pa.schema(
    [
        ("time_ns", pa.int64()),
        ("op", pa.uint8()),
        ("inode", pa.uint32()),
        ("index", pa.uint32()),
        ("order", pa.uint8()),
        ("pfn", pa.int64()),
        ("flags", pa.uint8()),
    ]
)

FRAME_FREE, FRAME_UNTAGGED, FRAME_TAGGED = 0, 1, 2


class EventsError(InputError):
    """A table that cannot be replayed: which file, row and column, and why."""


class Events(NamedTuple):
    """An mm event table in memory; arrays are read-only.  # each [event]"""

    time_ns: NDArray[np.int64]
    op: NDArray[np.uint8]
    inode: NDArray[np.uint32]
    index: NDArray[np.uint32]  # type: ignore[assignment]  # hides tuple.index
    order: NDArray[np.uint8]
    pfn: NDArray[np.int64]
    flags: NDArray[np.uint8]
    page_size: int
    data_pages: int
    source: str

    @property
    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The columns by name."""
        return {name: getattr(self, name) for name in SCHEMA.names}


def make_events(
    columns: dict[str, NDArray[np.generic]],
    *,
    page_size: int,
    data_pages: int,
    source: str,
    name: str = "events",
    check: bool = True,
) -> Events:
    """Return the event table of `columns`, checked row by row.

    Parameters
    ----------
    columns
        The columns of `SCHEMA` by name, all of one length.
    page_size
        Bytes of a page.
    data_pages
        Pages of data memory, in which all frames lie.
    source
        Where the table comes from, in words.
    name
        The file that an error names.
    check
        Whether rows are checked; not for a table that is to be repaired, or is known to be good.

    Raises
    ------
    EventsError
        At the first row that no kernel could have produced; the message starts with `name`.
    """
    arrays = {}
    for field in SCHEMA:
        given = np.asarray(columns[field.name])
        array = np.ascontiguousarray(given, dtype=field.type.to_pandas_dtype())
        if array.shape != (len(columns["op"]),) or (array != given).any():
            what = f"column {field.name}: of another length, or not {field.type}"
            raise EventsError(what, file=name)
        # Arrays from Ray are read-only. All are made so: each loop is then compiled once.
        array = array.view()
        array.flags.writeable = False
        arrays[field.name] = array
    events = Events(**arrays, page_size=page_size, data_pages=data_pages, source=source)
    if check:
        check_events(events, data_pages, name)
    return events


def check_events(events: Events, data_pages: int, name: str) -> None:
    """Raise `EventsError`, of the file `name`, at the first row that has one of `FAULTS`."""
    row, number = _find_faults(
        *(events.time_ns, events.op, events.index, events.order, events.pfn, events.flags),
        *(data_pages, np.empty(0, dtype=np.int8)),
    )
    if row >= 0:
        fault = FAULTS[number]
        values = {key: int(array[row]) for key, array in events.columns.items()}
        text = fault.message.format(**values, data_pages=data_pages, max_order=MAX_ORDER)
        raise EventsError(f"row {row}, column {fault.column}: {text}", file=name)


# What can be wrong with a row: each number is the place of its row in `FAULTS`.
NO_FAULT = -1
UNKNOWN_OP, TIME_BACKWARDS, ORDER_TOO_LARGE, INDEX_NOT_ALIGNED = range(4)
FRAME_OUTSIDE_MEMORY, FRAME_ALREADY_ALLOCATED, FRAME_NOT_ALLOCATED, NEGATIVE_SIZE = range(4, 8)


class Fault(NamedTuple):
    """A fault that a row can have."""

    number: int
    column: str
    summary: str  # a few words
    message: str  # a format of the row's columns, `data_pages` and `max_order`


FAULTS = (
    Fault(UNKNOWN_OP, "op", "an unknown op", "unknown op {op}; ops are 0 to 6"),
    Fault(TIME_BACKWARDS, "time_ns", "time going backwards", "time goes backwards to {time_ns}"),
    Fault(ORDER_TOO_LARGE, "order", "an order above the largest",
          "order {order} is above {max_order}, the largest a kernel forms"),
    Fault(INDEX_NOT_ALIGNED, "index", "an index that is not aligned",
          "index {index} is not aligned to an order-{order} folio"),
    Fault(FRAME_OUTSIDE_MEMORY, "pfn", "a frame outside memory",
          "frame {pfn} (order {order}) is outside the {data_pages} data pages"),
    Fault(FRAME_ALREADY_ALLOCATED, "pfn", "an untagged allocation of an allocated frame",
          "untagged allocation of a frame in {pfn} (order {order}) that is allocated"),
    Fault(FRAME_NOT_ALLOCATED, "pfn", "a free of a frame that is not allocated",
          "free of a frame in {pfn} (order {order}) that is not allocated"),
    Fault(NEGATIVE_SIZE, "pfn", "a negative size", "a size of {pfn} pages"),
)  # fmt: skip


def faults_of(events: Events) -> NDArray[np.int8]:
    """Return each row's fault, or `NO_FAULT`; a row with a fault changes nothing for later rows."""
    faults = np.empty(events.op.size, dtype=np.int8)
    _find_faults(
        *(events.time_ns, events.op, events.index, events.order, events.pfn, events.flags),
        *(events.data_pages, faults),
    )
    return faults


@entry
def _find_faults(
    time_ns: NDArray[np.int64],
    op: NDArray[np.uint8],
    index: NDArray[np.uint32],
    order: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    flags: NDArray[np.uint8],
    data_pages: int,
    faults: NDArray[np.int8],
) -> tuple[int, int]:
    """Return (row, fault) of the first row with a fault, or (-1, `NO_FAULT`).

    Where `faults` is not empty, it gets the fault of every row instead.
    """
    frames = np.zeros(data_pages, dtype=np.uint8)
    last_ns = np.int64(-(2**63))
    for row in range(op.size):
        fault = _fault(
            wide(op[row]),
            wide(order[row]),
            wide(index[row]),
            wide(pfn[row]),
            wide(flags[row]),
            frames,
        )
        if wide(op[row]) <= RESIZE and time_ns[row] < last_ns:
            fault = TIME_BACKWARDS
        if faults.size == 0 and fault != NO_FAULT:
            return row, fault
        if faults.size:
            faults[row] = fault
        if fault == NO_FAULT:
            last_ns = time_ns[row]
            _apply(wide(op[row]), wide(order[row]), wide(pfn[row]), wide(flags[row]), frames)
    return -1, NO_FAULT


@kernel
def _fault(
    kind: int, order: int, index: int, first: int, flags: int, frames: NDArray[np.uint8]
) -> int:
    """Return the fault of a row, whatever its time is, or `NO_FAULT`."""
    if kind > RESIZE:
        return UNKNOWN_OP
    if kind == INVALIDATE_INODE:
        return NO_FAULT
    if kind == RESIZE:
        return NEGATIVE_SIZE if first < 0 else NO_FAULT
    if order > MAX_ORDER:
        return ORDER_TOO_LARGE
    pages = 1 << order
    if kind < INVALIDATE_INODE:
        return INDEX_NOT_ALIGNED if index & (pages - 1) else NO_FAULT
    if first < 0 or first > frames.size - pages:
        return FRAME_OUTSIDE_MEMORY
    for frame in range(first, first + pages):
        if kind == ALLOC and not flags & TAGGED and frames[frame] != FRAME_FREE:
            return FRAME_ALREADY_ALLOCATED
        if kind == FREE and frames[frame] == FRAME_FREE:
            return FRAME_NOT_ALLOCATED
    return NO_FAULT


@kernel
def _apply(kind: int, order: int, first: int, flags: int, frames: NDArray[np.uint8]) -> None:
    if kind not in (ALLOC, FREE):
        return
    for frame in range(first, first + (1 << order)):
        if kind == FREE:
            frames[frame] = FRAME_FREE
        elif flags & TAGGED:
            frames[frame] = FRAME_TAGGED
        else:
            frames[frame] = FRAME_UNTAGGED


def is_anonymous(events: Events) -> NDArray[np.bool_]:
    """Return, for each row, whether its page belongs to a swap device.  # [event]"""
    marked: NDArray[np.bool_] = events.flags & ~np.uint8(WORKINGSET) == ANONYMOUS
    return marked & (events.op <= INVALIDATE)


def has_anonymous(events: Events) -> bool:
    """Return whether a table has pages of a swap device."""
    return bool(is_anonymous(events).any())


def without_anonymous(events: Events) -> Events:
    """Return a table without the pages of swap devices; it begins and ends at the same times."""
    anonymous = is_anonymous(events)
    if not anonymous.any():
        return events
    keep = ~anonymous
    # The first and the last row stay, as rows that name no page: they say how long the table is.
    keep[[0, -1]] = True
    columns: dict[str, Any] = {name: column[keep] for name, column in events.columns.items()}
    columns["op"] = np.where(anonymous, INVALIDATE_INODE, events.op).astype(np.uint8)[keep]
    for column in columns.values():
        column.flags.writeable = False
    return events._replace(**columns)


def digest_events(events: Events) -> str:
    """Return the content digest of a table: equal for equal rows, page size and data pages."""
    digest = hashlib.sha256(f"{events.page_size} {events.data_pages}".encode())
    for name, column in events.columns.items():
        digest.update(f" {name} {column.size} ".encode())
        digest.update(column.tobytes())
    return digest.hexdigest()
