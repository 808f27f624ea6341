"""A trace in libCacheSim's format oracleGeneral: requests for whole objects, 24 bytes each."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from core.workload.requests.collector import Collector, ImportedRequests
from core.workload.signatures import refuse_known
from core.workload.text import Progress, TraceError, read_pieces

#: One request. `next`, the place of the next request for the same object, is not used.
RECORD = np.dtype([("time_s", "<u4"), ("object", "<u8"), ("bytes", "<u4"), ("next", "<i8")])

#: A request that is the last for its object says so with one of these; else it numbers a request.
_NEVER = (-1, 2**63 - 1)
_MOST_REQUESTS = 2**40


def looks_like_oracle_general(content: bytes) -> bool:
    """Return whether bytes are records in which time goes on, and every number may be one."""
    count = len(content) // RECORD.itemsize
    if not count or b"\0" not in content:
        return False
    records = np.frombuffer(content, dtype=RECORD, count=count)
    following = records["next"]
    is_known = np.isin(following, _NEVER) | ((following >= 0) & (following < _MOST_REQUESTS))
    return bool(
        is_known.all()
        and (np.diff(records["time_s"].astype(np.int64)) >= 0).all()
        and (records["bytes"] < 2**31).all()
        and (records["object"] != 0).any()
    )


def import_oracle_general(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests of an oracleGeneral trace, in one file or in several parts.

    Each object becomes a file. A request reads the file from its first page on, as many pages as
    the object's size in that request needs, and at least one.

    Parameters
    ----------
    paths
        The parts in the order of time, each plain, gzip or zstd.
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
    collector = Collector(page_size, ignore_size)
    record, last_s, rest = 0, 0, b""
    for name, piece in read_pieces(paths, progress):
        if not piece:
            if rest:
                raise TraceError(
                    f"record {record}: cut off: {len(rest)} bytes of {RECORD.itemsize}", file=name
                )
            if not record:
                raise TraceError("holds no record", file=name)
            record = 0
            continue
        if not record and not rest:
            refuse_known(name, piece)
        whole = rest + piece
        end = len(whole) // RECORD.itemsize * RECORD.itemsize
        rest = whole[end:]
        records = np.frombuffer(whole, dtype=RECORD, count=end // RECORD.itemsize)
        if not records.size:
            continue
        time_s = records["time_s"].astype(np.int64)
        back = np.diff(time_s, prepend=last_s) < 0
        if back.any():
            row = int(np.argmax(back))
            before = time_s[row - 1] if row else last_s
            raise TraceError(
                f"record {record + row}: time goes back from {before} to {time_s[row]} s",
                file=name,
            )
        last_s = int(time_s[-1])
        _add(collector, name, record, time_s, records)
        record += records.size
    return collector.finish(source)


def _add(
    collector: Collector,
    name: str,
    first_record: int,
    time_s: np.ndarray[tuple[int], np.dtype[np.int64]],
    records: np.ndarray[tuple[int], np.dtype[np.void]],
) -> None:
    collector.add(
        time_s * 1_000_000_000,
        records["object"].astype(np.uint64).view(np.int64),
        np.zeros(records.size, dtype=np.int64),
        records["bytes"].astype(np.int64),
        np.zeros(records.size, dtype=np.bool_),
        lambda row, what: TraceError(f"record {first_record + row}: {what}", file=name),
    )
