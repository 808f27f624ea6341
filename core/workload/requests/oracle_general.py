"""Traces in libCacheSim's format oracleGeneral and its relatives: requests for whole objects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.workload.requests.collector import Collector, ImportedRequests
from core.workload.requests.records import OPERATIONS, Header, Operations, Record, read_records
from core.workload.text import Progress, TraceError

#: One request. `next`, the place of the next request for the same object, is not used.
RECORD = np.dtype([("time_s", "<u4"), ("object", "<u8"), ("bytes", "<u4"), ("next", "<i8")])
#: One request of oracleGeneralOpNS, which names the operation and a name space.
RECORD_OP_NS = np.dtype(
    [("time_s", "<u4"), ("object", "<u8"), ("bytes", "<u4"), ("op", "u1"), ("name_space", "<u2"),
     ("next", "<i8")]
)  # fmt: skip
#: One request of oracleSysTwrNS: a key and a value of a cache at Twitter.
RECORD_SYS_TWR_NS = np.dtype(
    [("time_s", "<u4"), ("object", "<u8"), ("key_bytes", "<u2"), ("value_bytes", "<u4"),
     ("op", "<u2"), ("name_space", "<u2"), ("time_to_live_s", "<i4"), ("next", "<i8")]
)  # fmt: skip
#: The record of each format, the likeliest first.
RECORDS: dict[str, Record] = {
    "oracle_general": RECORD,
    "oracle_general_op_ns": RECORD_OP_NS,
    "oracle_sys_twr_ns": RECORD_SYS_TWR_NS,
}
# A file is recognised by so many of its first records; one with few has no part of a record more.
_RECOGNISED_RECORDS, _FEW_RECORDS = 4096, 16
# No trace that is recognised is longer: 10 years.
_LONGEST_S = 10 * 366 * 86_400
# No trace has as many requests.
_MOST_REQUESTS = 1 << 40


def oracle_format(file_name: str, content: bytes) -> str:
    """Return which of `RECORDS` a file is, by its name or its content; empty if it is none.

    Parameters
    ----------
    file_name
        Its name, without folders.
    content
        How it begins, decompressed.
    """
    if b"\0" not in content:  # text
        return ""
    plain = file_name.lower()
    named = [name for name in RECORDS if name.replace("_", "") in plain]
    if named:
        return max(named, key=len)
    return next((name for name in RECORDS if has_records(content, RECORDS[name])), "")


def has_records(content: bytes, record: Record) -> bool:
    """Return whether a file's first records make sense as requests for objects."""
    count = min(len(content) // record.itemsize, _RECOGNISED_RECORDS)
    if count < 1 or (count < _FEW_RECORDS and len(content) % record.itemsize):
        return False
    rows = np.frombuffer(content, dtype=record, count=count)
    time_s, following, sizes = rows["time_s"].astype(np.int64), rows["next"], _object_bytes(rows)
    # The place of an object's next request is after its own; an object without one has -1 or -2
    # or the largest number.
    is_none = (following == -1) | (following == -2) | (following == np.iinfo(np.int64).max)
    good = is_none | ((following > 0) & (following < _MOST_REQUESTS))
    good &= np.diff(time_s, prepend=time_s[0]) >= 0
    if "op" in (rows.dtype.names or ()):
        good &= rows["op"] < len(OPERATIONS)
    later = is_none | (following > np.arange(count))
    return bool(
        good.all()
        and time_s[-1] - time_s[0] <= _LONGEST_S
        and 2 * np.count_nonzero(sizes) >= count
        and 2 * np.count_nonzero(later) >= count
    )


def import_objects(
    record: Record,
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests in a trace of one of `RECORDS`, in one file or in several parts.

    Each object becomes a file. A request reads or writes the file from its first page on, as many
    pages as the object's size in that request needs, and at least one.

    Parameters
    ----------
    record
        What a request is in it.
    paths
        The parts in the order of time, each plain or compressed.
    page_size
        Bytes of a page.
    ignore_size
        Whether every object is one page.
    source
        What the trace says of itself.
    progress
        Called with the bytes read of all files, and their size.

    Raises
    ------
    TraceError
        When a file cannot be read or ends within a record, or time goes back.
    """
    collector, operations = Collector(page_size, ignore_size), Operations()
    last_s, name = 0, ""
    header = Header(0, record)
    for records in read_records(paths, 0, lambda name, content: header, progress):
        name = records.name
        time_s = records.rows["time_s"].astype(np.int64)
        back = np.diff(time_s, prepend=last_s) < 0
        if back.any():
            row = int(np.argmax(back))
            before = time_s[row - 1] if row else last_s
            raise records.error_at()(row, f"time goes back from {before} to {time_s[row]} s")
        last_s = int(time_s[-1])
        rows, chosen = records.rows, None
        writes = np.zeros(rows.size, dtype=np.bool_)
        if "op" in (record.names or ()):
            chosen, writes = operations.sort(rows["op"])
            rows, time_s = rows[chosen], time_s[chosen]
        collector.add(
            time_s * 1_000_000_000,
            rows["object"].astype(np.uint64).view(np.int64),
            np.zeros(rows.size, dtype=np.int64),
            _object_bytes(rows),
            writes,
            records.error_at(chosen),
        )
    return finish(collector, operations, source, name)


#: The importers of the formats; of oracleGeneral all requests are reads.
import_oracle_general = partial(import_objects, RECORD)
import_oracle_general_op_ns = partial(import_objects, RECORD_OP_NS)
import_oracle_sys_twr_ns = partial(import_objects, RECORD_SYS_TWR_NS)


def finish(
    collector: Collector, operations: Operations, source: str, name: str
) -> ImportedRequests:
    """Return the requests for objects, and what is said of their operations.

    Raises
    ------
    TraceError
        When none asks for pages; `name` is the file that it names.
    """
    if not collector.has_requests:
        seen = ", ".join(f"{name} {count:,}" for name, count in operations.unused.items())
        raise TraceError(f"no request reads or writes ({seen})", file=name)
    collector.unused.update(operations.unused)
    collector.losses["operations_not_named"] = (operations.not_named, "")
    return collector.finish(source)


def _object_bytes(rows: NDArray[np.void]) -> NDArray[np.int64]:
    parts = [name for name in rows.dtype.names or () if name.endswith("bytes")]
    size_bytes: NDArray[np.int64] = np.zeros(rows.size, dtype=np.int64)
    for name in parts:
        size_bytes += rows[name]
    return size_bytes
