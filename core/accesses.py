"""The access trace: what programs asked of the kernel's memory management, in time order.

The front end turns an access trace into mm events, for a machine and a way of reclaim. A row says
what would have happened on any machine, such as a read of a file page. What depends on how much
memory there is (evictions, misses, frames) is not in it.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.events import MOST_NS, NO_PHASE, EventsError
from core.import_losses import Loss, losses_of
from core.machine import MAX_ORDER, MAX_PAGES
from core.table_files import TableForm, read_metadata, read_table, write_table

# What a recorded kernel was seen to do:
#   read         a folio is brought in if it is not there, by readahead or after a miss
#   touch        a page is accessed by a read or write of its file
#   map          a task's fault maps a page, which is young then until reclaim looks at it
#   use          a page is accessed through a mapping, as its accessed bit showed later
#   move         compaction moves a folio to another frame, and to the new end of its list
# What programs ask for, where the front end simulates readahead itself:
#   lookup       2**order file pages are read in turn
#   write        2**order file pages are written in turn
# And of either source:
#   truncate     file pages go
#   anonymous    2**order pages of an address space (its number is `inode`) are touched
#   unmap        2**order pages of an address space go
#   take         memory of another kind is allocated, and is known by its handle
#   give         memory of another kind is freed, by its handle
#   exit         a task ends or execs, and its mappings with it
#   phase        a phase of the workload begins, as in mm events: `index` is the number of its name
READ, TOUCH, MAP, LOOKUP, WRITE, TRUNCATE, ANONYMOUS, UNMAP = range(8)
TAKE, GIVE, EXIT, PHASE, USE, MOVE = range(8, 14)
ACCESSES = (
    *("read", "touch", "map", "lookup", "write", "truncate"),
    *("anonymous", "unmap", "take", "give", "exit", "phase", "use", "move"),
)

#: Memory that was in use before the trace began is given and never taken. Its handle is the sum
#: of this constant and its frame.
BOOT_HANDLE = 1 << 40
#: All handles are less than this, so that the sum of one and some pages does not overflow.
_MOST_HANDLE = 2**62

# Flags. Rows of take and anonymous have the flags of mm events (tagged, atomic, pinned, movable);
# rows of take have ANONYMOUS where a program takes a page that reclaim can swap out.
# Rows of read and lookup have IN_FAULT where a fault or a mapping asks. Rows of lookup and write
# have LARGE_FOLIOS where the file may have large folios.
IN_FAULT = 1
LARGE_FOLIOS = 32
# Rows of read have FROM_BEFORE where the folio was in memory when the trace began, so that nothing
# is read. These come first, and among them what was evicted first.
FROM_BEFORE = 2
# Rows of map have COPIED_AT_ONCE where the task got a copy of the page, and no mapping of it.
COPIED_AT_ONCE = 2
# Rows of read have BY_WRITE where a write made the folio, so that nothing was read; and every row
# of a file that is a block device's own mapping (file system metadata) has METADATA.
BY_WRITE = 8
METADATA = 16
# A row of read has JOIN where its folio belongs to the same read request as the row of read before
# it, and WANTED where the task that asks waits for the folio, as in mm events. Without either, in a
# trace that does not tell requests, each run of neighbours is guessed to be one.

SCHEMA = pa.schema(
    [
        ("time_ns", pa.int64()),
        ("op", pa.uint8()),
        ("inode", pa.uint32()),
        ("index", pa.uint32()),
        ("order", pa.uint8()),
        ("handle", pa.int64()),
        ("flags", pa.uint8()),
    ]
)
FORM = TableForm("access trace", SCHEMA, b"accesses")
METADATA_VERSION = 2
#: Numbers of pages that the metadata says of the machine beside those of its memory.
_PAGES = ("free_pages", "low_pages", "high_pages", "managed_pages")


class Accesses(NamedTuple):
    """An access trace in memory.  # each [access]

    `handle` names memory of another kind in rows of take and give, and a task in rows of map and
    exit. In a row of lookup or write it counts the pages of the request from this row on; 0 stands
    for the pages of the row alone. For example, a request for 12 pages is two rows: one of order 3
    with the handle 12, and one of order 2 with the handle 4.

    The other fields describe the machine that the trace was recorded on. `free_pages` pages were
    free when the trace began: the frames of `free_ranges` (first, end), or the last frames of
    memory if `free_ranges` is empty. The page allocator has `managed_pages` in all, or 0 where that
    is not known; `zram_size` is the bytes of pages that its zram takes. `data_pages` is 0 for a
    trace that was recorded on no machine.
    `requests` says whether rows of read tell read requests; `phases` are the names that rows of
    phase number; `losses` are what its source lacked, or what had to be guessed of it.
    `accessed_bits` says whether what reclaim saw of accessed bits was recorded, so that rows of use
    tell accesses through mappings; without it, only first touches (rows of map) are told.
    """

    time_ns: NDArray[np.int64]
    op: NDArray[np.uint8]
    inode: NDArray[np.uint32]
    index: NDArray[np.uint32]  # type: ignore[assignment]  # hides tuple.index
    order: NDArray[np.uint8]
    handle: NDArray[np.int64]
    flags: NDArray[np.uint8]
    page_size: int
    data_pages: int
    free_pages: int
    low_pages: int
    high_pages: int
    source: str
    free_ranges: tuple[tuple[int, int], ...] = ()
    managed_pages: int = 0
    zram_size: int = 0
    requests: bool = False
    phases: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    accessed_bits: bool = False

    @property
    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The columns by name."""
        return {name: getattr(self, name) for name in SCHEMA.names}


def told_bits(accesses: Accesses) -> str | None:
    """Return whether accessed bits are recorded or modelled; None where no fault maps a page."""
    if not (accesses.op == MAP).any():
        return None
    return "recorded" if accesses.accessed_bits else "modelled"


def modelled_bits(accesses: Accesses) -> tuple[Loss, ...]:
    """Return the loss that says that accessed bits are modelled, if they are."""
    maps = int((accesses.op == MAP).sum())
    return losses_of({"modelled_accessed_bits": (0 if accesses.accessed_bits else maps, "")})


def check_accesses(accesses: Accesses, name: str) -> None:
    """Raise `EventsError`, of the file `name`, at the first row that no access trace can have."""
    op, order = accesses.op, accesses.order.astype(np.int64)
    paged = (op <= UNMAP) | (op >= USE)
    beyond = accesses.index.astype(np.int64) & ((1 << np.minimum(order, MAX_ORDER)) - 1)
    faults = (
        ("op", op >= len(ACCESSES), "unknown op"),
        ("order", order > MAX_ORDER, f"an order above {MAX_ORDER}"),
        ("time_ns", np.diff(accesses.time_ns, prepend=accesses.time_ns[:1]) < 0, "time goes back"),
        ("index", paged & (beyond != 0), "not aligned to its folio"),
        ("index", (op == PHASE) & _is_nameless(accesses), "a phase without a name"),
        ("time_ns", accesses.time_ns <= -MOST_NS, "a time beyond all clocks"),
        ("time_ns", accesses.time_ns >= MOST_NS, "a time beyond all clocks"),
        ("handle", (op != LOOKUP) & (accesses.handle < 0), "a negative handle"),
        ("handle", accesses.handle >= _MOST_HANDLE, "a handle beyond all handles"),
        ("handle", _is_outside(accesses), "memory of before the trace in a frame outside memory"),
    )
    for column, bad, what in faults:
        if bad.any():
            raise EventsError(f"row {int(np.argmax(bad))}, column {column}: {what}", file=name)
    edges = [edge for frames in accesses.free_ranges for edge in frames]
    if edges != sorted(set(edges)) or (
        edges and not 0 <= edges[0] < edges[-1] <= accesses.data_pages
    ):
        raise EventsError("the frames that were free are no ranges of its memory", file=name)
    if not 0 <= accesses.free_pages <= accesses.data_pages:
        raise EventsError("more pages were free than there are", file=name)


def _is_nameless(accesses: Accesses) -> NDArray[np.bool_]:
    named = (accesses.index < len(accesses.phases)) | (accesses.index == NO_PHASE)
    nameless: NDArray[np.bool_] = ~named
    return nameless


def _is_outside(accesses: Accesses) -> NDArray[np.bool_]:
    frame = accesses.handle - BOOT_HANDLE
    end = frame + (1 << np.minimum(accesses.order, MAX_ORDER).astype(np.int64))
    outside: NDArray[np.bool_] = (accesses.op == GIVE) & (frame >= 0) & (end > accesses.data_pages)
    return outside


def write_accesses(path: str | os.PathLike[str], accesses: Accesses) -> None:
    """Write an access trace as Parquet; the file appears whole or not at all."""
    about = {name: getattr(accesses, name) for name in Accesses._fields if name not in SCHEMA.names}
    about["losses"] = [loss._asdict() for loss in accesses.losses]
    write_table(path, FORM, accesses.columns, {"version": METADATA_VERSION, **about})


def digest_accesses(accesses: Accesses) -> str:
    """Return what tells an access trace and its machine from others, wherever its file is."""
    columns = accesses.columns
    told = {*columns, "source", "losses"}
    machine = {name: value for name, value in accesses._asdict().items() if name not in told}
    digest = hashlib.sha256(repr(machine).encode())
    for column in columns.values():
        digest.update(column.tobytes())
    return digest.hexdigest()[:32]


def read_page_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (page_size, data_pages) of the machine that an access trace was recorded on.

    `data_pages` is 0 for a trace that was recorded on no machine.

    Raises
    ------
    EventsError
        When the file is missing or is no access trace.
    """
    metadata = read_metadata(path, FORM)
    metadata.version(METADATA_VERSION)
    return metadata.machine(least_pages=0)


def read_accesses(path: str | os.PathLike[str]) -> Accesses:
    """Return the access trace in a Parquet file.

    Raises
    ------
    EventsError
        Naming the file, and the row and column where there is one.
    """
    name = os.fspath(path)
    metadata, columns = read_table(name, FORM)
    metadata.version(METADATA_VERSION)
    page_size, data_pages = metadata.machine(least_pages=0)
    pages = {key: metadata.number(key, 0, most=MAX_PAGES) for key in _PAGES}
    about: dict[str, Any] = {**columns, **pages}
    accesses = Accesses(
        **about,
        zram_size=metadata.number("zram_size", 0),
        page_size=page_size,
        data_pages=data_pages,
        source=metadata.text("source"),
        free_ranges=metadata.ranges("free_ranges"),
        requests=metadata.says("requests", True),
        phases=metadata.names("phases"),
        losses=metadata.losses(),
        accessed_bits=metadata.says("accessed_bits", True),
    )
    if "accessed_bits" not in metadata:  # a file of an earlier version
        accesses = accesses._replace(losses=(*accesses.losses, *modelled_bits(accesses)))
    check_accesses(accesses, name)
    return accesses
