"""Traces in libCacheSim's own format, lcs: a header, and requests for whole objects."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

import numpy as np

from core.workload.requests.collector import Collector, ImportedRequests
from core.workload.requests.oracle_general import RECORD, finish
from core.workload.requests.records import Header, Operations, Record, read_records
from core.workload.text import Progress, TraceError

#: The header begins and ends with it.
MAGIC = 0x123456789ABCDEF0
HEADER_BYTES = 8192
# Early traces have a shorter header, with the same beginning.
_HEADERS_BYTES = (1024, HEADER_BYTES)
# The magic, the version of the records, the version of the statistics, and how many requests.
_BEGINNING = struct.Struct("<QQqq")
_MAGIC = struct.Struct("<Q")
# Only the shorter header says what unit the times are in; elsewhere it is the second.
_TIME_UNIT, _TIME_UNIT_AT = struct.Struct("<i"), 124
_UNITS_NS = {1: 1_000_000_000, 2: 1_000_000, 3: 1_000, 4: 1}
_WITH_OPERATION: list[tuple[str, str]] = [
    ("time_s", "<u4"), ("object", "<u8"), ("bytes", "<u4"), ("op", "<u4"), ("next", "<i8")
]  # fmt: skip
_WITH_TIME_TO_LIVE: list[tuple[str, str]] = [
    ("time_s", "<u4"), ("object", "<u8"), ("bytes", "<i8"), ("op", "<u4"),
    ("time_to_live_s", "<u4"), ("next", "<i8"),
]  # fmt: skip
#: How many features follow a record, by the version; they are not used.
_FEATURES = {4: 1, 5: 2, 6: 4, 7: 8, 8: 16}
#: The record of each version. The operation has 8 bits, and the tenant the 24 bits above these.
RECORDS: dict[int, Record] = {
    1: RECORD,
    2: np.dtype(_WITH_OPERATION),
    3: np.dtype(_WITH_TIME_TO_LIVE),
} | {
    version: np.dtype([*_WITH_TIME_TO_LIVE, ("features", "<u4", (count,))])
    for version, count in _FEATURES.items()
}


def is_lcs(content: bytes) -> bool:
    """Return whether a file begins as a trace in the format lcs does."""
    return content[:8] == _MAGIC.pack(MAGIC)


def import_lcs(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests of a trace in the format lcs, of version 1 to 8.

    Each object becomes a file, as in an oracleGeneral trace; times are in whole seconds. From
    version 2 on the trace says what reads, what writes and what deletes.

    Parameters and errors are those of
    `core.workload.requests.oracle_general.import_oracle_general`; times that go back are sorted.
    """
    collector, operations = Collector(page_size, ignore_size), Operations()
    told: list[int] = []  # how many requests the header of each file counts, and how many it has
    read: list[int] = []
    unit_ns, name = 1, ""

    def begin(file: str, content: bytes) -> Header:
        nonlocal unit_ns
        header, requests, unit_ns = _header(file, content)
        told.append(requests)
        read.append(0)
        return header

    for records in read_records(paths, HEADER_BYTES, begin, progress):
        name = records.name
        read[-1] += records.rows.size
        chosen = np.arange(records.rows.size)
        writes = np.zeros(chosen.size, dtype=np.bool_)
        if "op" in (records.rows.dtype.names or ()):
            chosen, writes = operations.sort(records.rows["op"] & 0xFF)
        rows = records.rows[chosen]
        size_bytes = rows["bytes"].astype(np.int64)
        if (size_bytes < 0).any():
            row = int(np.argmax(size_bytes < 0))
            raise records.error_at(chosen)(row, f"an object of {size_bytes[row]} bytes")
        collector.add(
            rows["time_s"].astype(np.int64) * unit_ns,
            rows["object"].astype(np.uint64).view(np.int64),
            np.zeros(rows.size, dtype=np.int64),
            size_bytes,
            writes,
            records.error_at(chosen),
        )
    missing = sum(max(count - has, 0) for count, has in zip(told, read, strict=True))
    collector.losses["missing_requests"] = (missing, "")
    return finish(collector, operations, source, name)


def _header(name: str, content: bytes) -> tuple[Header, int, int]:
    """Return how a file's records are read, how many it counts, and the unit of its times in ns."""
    if not is_lcs(content) or len(content) < _HEADERS_BYTES[0]:
        raise TraceError("does not begin with the header of libCacheSim's format lcs", file=name)
    sizes = [size for size in _HEADERS_BYTES if is_lcs(content[size - _MAGIC.size : size])]
    _, version, _, requests = _BEGINNING.unpack_from(content)
    if not sizes or version not in RECORDS:
        what = f"version {version}" if sizes else "a header that does not end as it begins"
        raise TraceError(
            f"lcs: {what}: versions {min(RECORDS)} to {max(RECORDS)} with a header of "
            f"{HEADER_BYTES} bytes are read; libCacheSim's traceConv writes them",
            file=name,
        )
    unit_ns = 1_000_000_000
    if sizes[-1] < HEADER_BYTES:
        (unit,) = _TIME_UNIT.unpack_from(content, _TIME_UNIT_AT)
        unit_ns = _UNITS_NS.get(unit, unit_ns)
    return Header(sizes[-1], RECORDS[version]), max(requests, 0), unit_ns
