"""What a format of text in columns is: what a row of its table says, and the words all share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

#: What a row can say of a request. A column called ``count`` says how often it is repeated.
PLAIN_COLUMNS = ("time", "file", "offset", "size", "op", "count")
#: Decimal digits of a time's unit in nanoseconds.
TIME_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0, "100ns": 2}
#: The requests of a trace without times are so far apart.
STEP_NS = 1_000_000

#: What a header may call a plain column: for suggestions, which the user has to confirm.
USUAL_NAMES = {
    "time": (
        "time", "timestamp", "ts", "t", "clock_time", "op_time", "datetime", "date",
        "arrival", "arrival_time", "issue_time", "start", "start_time", "epoch", "sec", "seconds",
    ),
    "file": (
        "file", "path", "filename", "file_name", "name", "inode", "ino", "key", "obj", "object",
        "obj_id", "object_id", "objid", "id", "device", "device_id", "dev", "disk", "disk_id",
        "volume", "volumeid", "volume_id", "lun", "asu", "url", "uri",
    ),
    "offset": (
        "offset", "off", "pos", "position", "lba", "lbn", "blkno", "block", "sector", "address",
        "addr", "start_block", "byte_offset", "page", "pgoff", "lpn", "slba",
    ),
    "size": (
        "size", "length", "len", "bytes", "nbytes", "obj_size", "object_size", "io_size", "iosize",
        "request_size", "value_size", "value size", "sectors", "blocks", "pages", "count",
        "nsectors", "nr_sectors", "nblocks", "nr_blocks", "npages", "nr_pages", "nr_bytes", "nlb",
    ),
    "op": (
        "op", "opcode", "operation", "type", "iotype", "io_type", "rw", "rwbs", "action", "cmd",
        "command", "method", "is_write", "write",
    ),
    "count": ("op_count",),
}  # fmt: skip

#: The words for reads and writes that need no option; capitals do not matter.
READS = frozenset(
    (
        "read", "r", "rd", "ra", "rs", "rm", "ram", "rsm", "ras", "get", "gets", "get_lease",
        "mget", "load", "ld", "l", "fetch", "lookup", "diskread", "pread", "rest.get.object",
    )
)  # fmt: skip
WRITES = frozenset(
    (
        "write", "w", "wr", "wa", "ws", "wm", "wsm", "was", "wsa", "wf", "wfs", "fw", "fwf", "fws",
        "set", "set_lease", "mset", "put", "store", "st", "add", "replace", "cas", "append",
        "prepend", "insert", "update", "incr", "decr", "diskwrite", "pwrite", "rest.put.object",
    )
)  # fmt: skip


class DelimitedFormat(NamedTuple):
    """A format of requests that is text in columns.

    Parameters
    ----------
    name
        What ``--format`` calls it.
    title
        What it is.
    columns
        Names of its columns in their order, for lines without a header.
    places
        The names of each plain column, of which the header has one; a file that several columns
        name together has them joined by a plus sign.
    time_unit
        One of `TIME_DIGITS`; ``-`` where a trace has no times; empty where no one says, so that
        the size of the first time has to tell.
    meaning
        What the columns hold, and in which unit.
    example
        The first lines of such a trace.
    told_by
        The columns that a header of this format has, all of them; empty where it has no header.
    line
        What every line without a header looks like; empty where it always has one.
    delimiter
        What separates its columns; a space stands for any number of spaces and tabs.
    offset_unit, size_unit
        Bytes of a unit of offsets and sizes.
    reads, writes
        Its words for reads and writes; where both are empty, the usual ones.
    more_columns
        Whether a line without a header may have further columns.
    finer_unit
        The unit of times that are beyond any date in seconds, where no one says the unit.
    looks_like
        Another format whose lines are the same, so that the content alone does not decide.
    source
        Who describes it, and where.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]]
    time_unit: str
    meaning: str
    example: str
    told_by: tuple[str, ...] = ()
    line: str = ""
    delimiter: str = ","
    offset_unit: int = 1
    size_unit: int = 1
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    more_columns: bool = False
    finer_unit: str = ""
    looks_like: str = ""
    source: str = ""

    def matches(self, line: bytes) -> bool:
        """Return whether a line without a header is one of this format."""
        return bool(self.line) and re.fullmatch(self.line.encode(), line.strip()) is not None

    @property
    def recognised(self) -> str:
        """How a trace of this format is recognised, in words."""
        ways = []
        if self.told_by:
            ways.append(f"a header with {', '.join(self.told_by)}")
        if self.line:
            more = " or more" if self.more_columns else ""
            ways.append(f"lines of {len(self.columns)}{more} columns: {', '.join(self.columns)}")
        return "; or ".join(ways) or "a header with time and file or offset"
