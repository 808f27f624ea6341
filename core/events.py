"""The mm event table: what the kernel's memory management did, an event a row, in time order."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.errors import InputError
from core.import_checks import ImportCheck
from core.import_losses import Loss
from core.jit import entry, kernel, wide
from core.machine import MAX_ORDER, MAX_PAGES

STORE, RESTORE, INVALIDATE, INVALIDATE_INODE, ALLOC, FREE, RESIZE, PHASE = range(8)
OPS = ("store", "restore", "invalidate", "invalidate_inode", "alloc", "free", "resize", "phase")
WORKINGSET, TAGGED, ATOMIC, PINNED, MOVABLE = 1, 2, 4, 8, 16
#: Of a store: the file system has marked that the folio's blocks are on disk (PG_mappedtodisk).
MAPPED = 2
#: The page belongs to a swap device, and its inode is no file's: a flag of stores, restores and
#: invalidates, whatever their other flags say.
ANONYMOUS = 32
#: Of a restore: it belongs to the same read request as the restore before it.
JOIN = 64
#: A task waits: of a restore, for this folio; of a store, for this reclaim.
WANTED = 128
#: `index` of a phase row that ends a phase and begins none.
NO_PHASE = 2**32 - 1
#: Times lie nearer to 0 than this, 146 years, so that no time between two of them overflows.
MOST_NS = 2**62
#: The version of the table that this package writes; it reads every version up to this one.
VERSION = 2

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
    """An mm event table in memory; arrays are read-only.  # each [event]

    `requests` says whether `JOIN` and `WANTED` were recorded; else requests are guessed. `phases`
    are the names that phase rows number. `mapped` says whether `MAPPED` was recorded; else every
    store counts as mapped. `workingset_inferred_ratio` is the share of the stores whose
    `WORKINGSET` was inferred by a rule: 0 if all were recorded, NaN if nobody knows. `version` is
    that of the table that was read. `left_out` counts pages of the source that are in no row, by
    name: those of metadata and those that writes made, and how many of each were refaults.
    `cache_counters` are what a cleancache of the traced kernel counted itself, by its own names.
    `checks` are counts of the import beside the traced kernel's own; none where nothing is known.
    `losses` are what the source lacked, or what had to be guessed of it. `sampled` are what samples
    taken during a recording say, by name: ``tagged_pages_mean`` and ``tagged_pages_peak`` are live
    tagged pages of ``sampled_pages`` that were looked at.
    """

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
    requests: bool = False
    phases: tuple[str, ...] = ()
    mapped: bool = False
    workingset_inferred_ratio: float = float("nan")
    version: int = VERSION
    left_out: tuple[tuple[str, int], ...] = ()
    cache_counters: tuple[tuple[str, int], ...] = ()
    checks: tuple[ImportCheck, ...] = ()
    losses: tuple[Loss, ...] = ()
    sampled: tuple[tuple[str, int], ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """What is said of the table beside its columns, by name: arguments of `make_events`."""
        return {name: getattr(self, name) for name in self._fields if name not in SCHEMA.names}

    def import_warnings(self) -> list[str]:
        """Return a sentence for each loss, and for each check that is off by more than allowed."""
        checks = [check.warning for check in self.checks if check.is_beyond]
        return [*(loss.warning for loss in self.losses), *checks]

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
    requests: bool = False,
    phases: tuple[str, ...] = (),
    mapped: bool = False,
    workingset_inferred_ratio: float = float("nan"),
    version: int = VERSION,
    left_out: tuple[tuple[str, int], ...] = (),
    cache_counters: tuple[tuple[str, int], ...] = (),
    checks: tuple[ImportCheck, ...] = (),
    losses: tuple[Loss, ...] = (),
    sampled: tuple[tuple[str, int], ...] = (),
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
    requests, phases, mapped, workingset_inferred_ratio, version, left_out, cache_counters
        What the table holds: see `Events`.
    checks, losses, sampled
        What is known of how true it is, and what samples say: see `Events`.
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
    events = Events(
        **arrays,
        page_size=page_size,
        data_pages=data_pages,
        source=source,
        requests=requests,
        phases=tuple(phases),
        mapped=mapped,
        workingset_inferred_ratio=workingset_inferred_ratio,
        version=version,
        left_out=left_out,
        cache_counters=cache_counters,
        checks=checks,
        losses=losses,
        sampled=sampled,
    )
    if check:
        check_events(events, data_pages, name)
    return events


def check_events(events: Events, data_pages: int, name: str) -> None:
    """Raise `EventsError`, of the file `name`, at the first row that has one of `FAULTS`."""
    row, number = _find_faults(
        *(events.time_ns, events.op, events.index, events.order, events.pfn, events.flags),
        # Zeros made here, and not in compiled code, take no memory before they are written.
        *(np.zeros(data_pages, np.uint8), *_limits(events), np.empty(0, dtype=np.int8)),
    )
    if row >= 0:
        fault = FAULTS[number]
        values = {key: int(array[row]) for key, array in events.columns.items()}
        limits = {"data_pages": data_pages, "max_order": MAX_ORDER, "phases": len(events.phases)}
        text = fault.message.format(**values, **limits, last_op=_limits(events)[0])
        raise EventsError(f"row {row}, column {fault.column}: {text}", file=name)


# What can be wrong with a row: each number is the place of its row in `FAULTS`.
NO_FAULT = -1
UNKNOWN_OP, TIME_BACKWARDS, ORDER_TOO_LARGE, INDEX_NOT_ALIGNED = range(4)
FRAME_OUTSIDE_MEMORY, FRAME_ALREADY_ALLOCATED, FRAME_NOT_ALLOCATED, IMPOSSIBLE_SIZE = range(4, 8)
PHASE_WITHOUT_NAME, JOINS_NOTHING, WAITED_FOR_NO_READ, REQUEST_OF_BOTH_KINDS = range(8, 12)
TIME_BEYOND = 12


class Fault(NamedTuple):
    """A fault that a row can have."""

    number: int
    column: str
    summary: str  # a few words
    message: str  # a format of the row's columns, `data_pages`, `max_order`, `phases`, `last_op`


FAULTS = (
    Fault(UNKNOWN_OP, "op", "an unknown op", "unknown op {op}; ops are 0 to {last_op}"),
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
    Fault(IMPOSSIBLE_SIZE, "pfn", "an impossible size", "a size of {pfn} pages"),
    Fault(PHASE_WITHOUT_NAME, "index", "a phase without a name",
          "phase {index} has no name; the metadata names {phases}"),
    Fault(JOINS_NOTHING, "flags", "a row that joins no request",
          "flags {flags} join a read request, but the row is no restore behind another one"),
    Fault(WAITED_FOR_NO_READ, "flags", "a wanted row that is no store or restore",
          "flags {flags} say that a task waits, but the row is no store and no restore"),
    Fault(REQUEST_OF_BOTH_KINDS, "flags", "a request of file pages and anonymous pages",
          "flags {flags} join a read request of the other kind: files, or anonymous pages"),
    Fault(TIME_BEYOND, "time_ns", "a time beyond all clocks", "a time of {time_ns} ns"),
)  # fmt: skip


def faults_of(events: Events) -> NDArray[np.int8]:
    """Return each row's fault, or `NO_FAULT`; a row with a fault changes nothing for later rows."""
    faults = np.empty(events.op.size, dtype=np.int8)
    _find_faults(
        *(events.time_ns, events.op, events.index, events.order, events.pfn, events.flags),
        *(np.zeros(events.data_pages, np.uint8), *_limits(events), faults),
    )
    return faults


def _limits(events: Events) -> tuple[int, int, bool]:
    """Return the last op of a table's version, its phases, and whether it tells requests."""
    return PHASE if events.version > 1 else RESIZE, len(events.phases), events.requests


@entry
def _find_faults(
    time_ns: NDArray[np.int64],
    op: NDArray[np.uint8],
    index: NDArray[np.uint32],
    order: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    flags: NDArray[np.uint8],
    frames: NDArray[np.uint8],
    last_op: int,
    phases: int,
    tells_requests: bool,
    faults: NDArray[np.int8],
) -> tuple[int, int]:
    """Return (row, fault) of the first row with a fault, or (-1, `NO_FAULT`).

    `frames` are all free. Where `faults` is not empty, it gets the fault of every row instead.
    """
    last_ns = np.int64(-(2**63))
    # What the last good restore was (`ANONYMOUS`, or 0; -1: there is none); and whether the first
    # row of the request that goes on has a fault, so that the next row begins it.
    last_kind, is_headless = wide(-1), False
    for row in range(op.size):
        kind, bits = wide(op[row]), wide(flags[row])
        fault = _fault(kind, wide(order[row]), wide(index[row]), wide(pfn[row]), bits, frames)
        if kind > last_op:
            fault = UNKNOWN_OP
        elif time_ns[row] < last_ns:
            fault = TIME_BACKWARDS
        elif not -MOST_NS < time_ns[row] < MOST_NS:
            fault = TIME_BEYOND
        elif kind == PHASE and index[row] != NO_PHASE and index[row] >= phases:
            fault = PHASE_WITHOUT_NAME
        elif fault == NO_FAULT and tells_requests:
            fault = _request_fault(kind, bits, last_kind, is_headless)
        if faults.size == 0 and fault != NO_FAULT:
            return row, fault
        if faults.size:
            faults[row] = fault
        if fault == NO_FAULT:
            last_ns = time_ns[row]
            _apply(kind, wide(order[row]), wide(pfn[row]), bits, frames)
        if kind == RESTORE and fault == NO_FAULT:
            last_kind, is_headless = bits & ANONYMOUS, False
        elif kind == RESTORE and (bits & JOIN == 0 or last_kind < 0):
            is_headless = True
    return -1, NO_FAULT


@kernel
def _request_fault(kind: int, flags: int, last_kind: int, is_headless: bool) -> int:
    """Return what is wrong with `JOIN` and `WANTED` of a row, or `NO_FAULT`."""
    if flags & WANTED and kind > RESTORE:
        return WAITED_FOR_NO_READ
    if flags & JOIN and kind != RESTORE:
        return JOINS_NOTHING
    if flags & JOIN and not is_headless:
        if last_kind < 0:
            return JOINS_NOTHING
        if flags & ANONYMOUS != last_kind:
            return REQUEST_OF_BOTH_KINDS
    return NO_FAULT


@kernel
def _fault(
    kind: int, order: int, index: int, first: int, flags: int, frames: NDArray[np.uint8]
) -> int:
    """Return the fault of a row by itself, whatever its time and its request are."""
    if kind > RESIZE or kind == INVALIDATE_INODE:
        return NO_FAULT
    if kind == RESIZE:
        return NO_FAULT if 0 <= first <= MAX_PAGES else IMPOSSIBLE_SIZE
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


def clock_of(events: Events) -> tuple[int, int]:
    """Return when a table's time begins and ends: rows of phases move no clock."""
    rows = np.flatnonzero(events.op != PHASE)
    if not rows.size:
        return 0, 0
    return int(events.time_ns[rows[0]]), int(events.time_ns[rows[-1]])


def is_anonymous(events: Events) -> NDArray[np.bool_]:
    """Return, for each row, whether its page belongs to a swap device.  # [event]"""
    marked: NDArray[np.bool_] = events.flags & ANONYMOUS != 0
    return marked & (events.op <= INVALIDATE)


def has_anonymous(events: Events) -> bool:
    """Return whether a table has pages of a swap device."""
    return bool(is_anonymous(events).any())


def without_anonymous(events: Events) -> Events:
    """Return a table without the pages of swap devices."""
    keep = ~is_anonymous(events)
    return events if keep.all() else rows_of(events, keep)


def rows_of(events: Events, keep: NDArray[np.bool_]) -> Events:
    """Return some rows of a table; they must leave no request without its first row."""
    columns: dict[str, Any] = {name: column[keep] for name, column in events.columns.items()}
    for column in columns.values():
        column.flags.writeable = False
    return events._replace(**columns)


def digest_events(events: Events) -> str:
    """Return the content digest of a table: equal for tables that every replay takes as equal."""
    about = (events.page_size, events.data_pages, events.version, events.requests)
    digest = hashlib.sha256(repr((*about, events.phases, events.mapped)).encode())
    for name, column in events.columns.items():
        digest.update(f" {name} {column.size} ".encode())
        digest.update(column.tobytes())
    return digest.hexdigest()
