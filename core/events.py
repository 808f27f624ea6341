"""The mm event table: what the kernel's memory management did, one row an event, in time order."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from core.errors import InputError
from core.jit import entry, kernel, wide
from core.machine import MAX_ORDER

STORE, RESTORE, INVALIDATE, INVALIDATE_INODE, ALLOC, FREE, RESIZE = range(7)
OPS = ("store", "restore", "invalidate", "invalidate_inode", "alloc", "free", "resize")
WORKINGSET, TAGGED, ATOMIC, PINNED, MOVABLE = 1, 2, 4, 8, 16
#: Of a store, restore or invalidate, beside workingset alone: a page of a swap device, of an inode
#: that no file has.
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
METADATA_KEY = b"mm_events"
METADATA_VERSION = 1

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
    """Return the event table of `columns`, checked row by row (unless it is to be repaired).

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
            raise EventsError(
                f"{name}: column {field.name}: of another length, or not {field.type}"
            )
        # One array type everywhere (those from Ray are read-only) is one compiled signature.
        array = array.view()
        array.flags.writeable = False
        arrays[field.name] = array
    events = Events(**arrays, page_size=page_size, data_pages=data_pages, source=source)
    if check:
        check_events(events, data_pages, name)
    return events


def check_events(events: Events, data_pages: int, name: str) -> None:
    """Raise `EventsError` at the first row that a machine of `data_pages` could not have had."""
    row, fault = _find_faults(
        *(events.time_ns, events.op, events.index, events.order, events.pfn, events.flags),
        *(data_pages, np.empty(0, dtype=np.int8)),
    )
    if row >= 0:
        column, what = _FAULTS[fault]
        values = {key: int(array[row]) for key, array in events.columns.items()}
        text = what.format(**values, data_pages=data_pages, max_order=MAX_ORDER)
        raise EventsError(f"{name}: row {row}, column {column}: {text}")


_FAULTS = (
    ("op", "unknown op {op}; ops are 0 to 6"),
    ("time_ns", "time goes backwards to {time_ns}"),
    ("order", "order {order} is above {max_order}, the largest a kernel forms"),
    ("index", "index {index} is not aligned to an order-{order} folio"),
    ("pfn", "frame {pfn} (order {order}) is outside the {data_pages} data pages"),
    ("pfn", "untagged allocation of a frame in {pfn} (order {order}) that is allocated"),
    ("pfn", "free of a frame in {pfn} (order {order}) that is not allocated"),
    ("pfn", "a size of {pfn} pages"),
)


#: What can be wrong with a row, by number, in a few words.
FAULTS = (
    "an unknown op",
    "time going backwards",
    "an order above the largest",
    "an index that is not aligned",
    "a frame outside memory",
    "an untagged allocation of an allocated frame",
    "a free of a frame that is not allocated",
    "a negative size",
)


def faults_of(events: Events) -> NDArray[np.int8]:
    """Return each row's fault, a place in `FAULTS`, or -1; a bad row changes nothing."""
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
    """Return (row, fault) of the first bad row, or (-1, 0); with room in `faults`, note all."""
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
            fault = 1
        if faults.size == 0 and fault >= 0:
            return row, fault
        if faults.size:
            faults[row] = fault
        if fault < 0:
            last_ns = time_ns[row]
            _apply(wide(op[row]), wide(order[row]), wide(pfn[row]), wide(flags[row]), frames)
    return -1, 0


@kernel
def _fault(
    kind: int, order: int, index: int, first: int, flags: int, frames: NDArray[np.uint8]
) -> int:
    """Return what is wrong with a row but for its time, or -1."""
    if kind > RESIZE:
        return 0
    if kind == INVALIDATE_INODE:
        return -1
    if kind == RESIZE:
        return 7 if first < 0 else -1
    if order > MAX_ORDER:
        return 2
    pages = 1 << order
    if kind < INVALIDATE_INODE:
        return 3 if index & (pages - 1) else -1
    if first < 0 or first > frames.size - pages:
        return 4
    for frame in range(first, first + pages):
        if kind == ALLOC and not flags & TAGGED and frames[frame] != FRAME_FREE:
            return 5
        if kind == FREE and frames[frame] == FRAME_FREE:
            return 6
    return -1


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
    """Return which rows are of pages of a swap device.  # [event]"""
    marked: NDArray[np.bool_] = events.flags & ~np.uint8(WORKINGSET) == ANONYMOUS
    return marked & (events.op <= INVALIDATE)


def has_anonymous(events: Events) -> bool:
    """Return whether a table has pages of a swap device."""
    return bool(is_anonymous(events).any())


def without_anonymous(events: Events) -> Events:
    """Return a table without the pages that a swap device holds; its time stays."""
    anonymous = is_anonymous(events)
    if not anonymous.any():
        return events
    keep = ~anonymous
    # The ends stay, as what names no page: the table's time is theirs.
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


def read_events(
    path: str | os.PathLike[str], data_pages: int | None = None, check: bool = True
) -> Events:
    """Return the event table in a Parquet file, checked for a machine of `data_pages`.

    Parameters
    ----------
    path
        A Parquet file with the columns of `SCHEMA` and the metadata key ``mm_events``.
    data_pages
        Memory to hold the frames against; by default what the file's metadata says.
    check
        Whether bad rows are refused; those that are let in are for `core.workload.repair` alone.

    Raises
    ------
    EventsError
        Naming the file, and the row and column where there is one.
    """
    name = os.fspath(path)
    try:
        with parquet.ParquetFile(name) as file:
            found = file.schema_arrow
            page_size, pages, source = _metadata(name, found.metadata)
            _check_schema(name, found)
            table = file.read(columns=SCHEMA.names, use_threads=False)
    except FileNotFoundError:
        raise EventsError(f"{name}: no such file") from None
    except _UNREADABLE as error:
        raise _unreadable(name, error) from None
    columns = {}
    for column in SCHEMA.names:
        values = table.column(column)
        if values.null_count:
            row = next(i for i, value in enumerate(values.is_null()) if value.as_py())
            raise EventsError(f"{name}: row {row}, column {column}: no value")
        columns[column] = values.to_numpy()
    about = {"page_size": page_size, "data_pages": pages}
    events = make_events(columns, **about, source=source, name=name, check=check)
    if data_pages is not None and data_pages < pages:
        check_events(events, data_pages, name)
    return events


def read_machine(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (page_size, data_pages) of the machine that a Parquet file was captured on."""
    name = os.fspath(path)
    try:
        found = parquet.read_schema(name)
    except FileNotFoundError:
        raise EventsError(f"{name}: no such file") from None
    except _UNREADABLE as error:
        raise _unreadable(name, error) from None
    page_size, data_pages, _ = _metadata(name, found.metadata)
    return page_size, data_pages


# A damaged file may even yield text that is no text.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, OverflowError)


def _unreadable(name: str, error: Exception) -> EventsError:
    if os.path.isdir(name):
        return EventsError(f"{name}: a folder, not a Parquet file")
    reason = str(error).splitlines()[0].rstrip(".")
    return EventsError(f"{name}: truncated, corrupt, or not a Parquet file ({reason})")


def _check_schema(name: str, found: pa.Schema) -> None:
    for field in SCHEMA:
        places = found.get_all_field_indices(field.name)
        if not places:
            raise EventsError(f"{name}: column {field.name}: missing")
        if len(places) > 1:
            raise EventsError(f"{name}: column {field.name}: there are {len(places)} of it")
        if found.field(places[0]).type != field.type:
            kind = found.field(places[0]).type
            raise EventsError(f"{name}: column {field.name}: of type {kind}, not {field.type}")


def _metadata(name: str, metadata: dict[bytes, bytes] | None) -> tuple[int, int, str]:
    text = (metadata or {}).get(METADATA_KEY)
    if text is None:
        raise EventsError(f"{name}: no metadata mm_events: not an mm event table")
    try:
        values = json.loads(text)
        version = values["version"]
        page_size, data_pages = values["page_size"], values["data_pages"]
        source = str(values.get("source", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EventsError(f"{name}: metadata mm_events cannot be read ({error!r})") from None
    if version != METADATA_VERSION:
        raise EventsError(f"{name}: metadata mm_events of version {version}, not 1")
    for key, value in (("page_size", page_size), ("data_pages", data_pages)):
        if type(value) is not int or value < 1:
            raise EventsError(f"{name}: metadata mm_events: {key} is {value!r}")
    return page_size, data_pages, source


def write_events(path: str | os.PathLike[str], events: Events) -> None:
    """Write a table as Parquet; the file appears whole or not at all."""
    metadata = {
        "version": METADATA_VERSION,
        "page_size": events.page_size,
        "data_pages": events.data_pages,
        "source": events.source,
    }
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    table = pa.table([pa.array(column) for column in events.columns.values()], schema=schema)
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    parquet.write_table(table, partial, compression="zstd")
    partial.replace(target)
