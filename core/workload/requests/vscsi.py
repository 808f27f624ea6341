"""Traces of VMware's virtual disks, as libCacheSim has them: requests in SCSI's words."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.workload.requests.collector import Collector, ImportedRequests
from core.workload.requests.records import Header, Record, read_records
from core.workload.text import Progress, TraceError

#: Blocks are counted in these, whatever the disk's own are.
BLOCK_BYTES = 512
#: The record of each version, which is the upper byte of `version`; times are in microseconds.
RECORDS: dict[int, Record] = {
    2: np.dtype(
        [("command", "<u2"), ("version", "<u2"), ("serial", "<u4"), ("bytes", "<u4"),
         ("pieces", "<u4"), ("block", "<u8"), ("time_us", "<u8"), ("response_us", "<u8")]
    ),
    1: np.dtype(
        [("serial", "<u4"), ("bytes", "<u4"), ("pieces", "<u4"), ("command", "<u2"),
         ("version", "<u2"), ("block", "<u8"), ("time_us", "<u8")]
    ),
}  # fmt: skip
#: The commands of SCSI that read, and those that write, by the bytes of the command.
READS = (0x08, 0x28, 0xA8, 0x88)
WRITES = (0x0A, 0x2A, 0xAA, 0x8A, 0x2E, 0xAE, 0x8E)
_NAMES = {
    0x00: "test unit ready", 0x12: "inquiry", 0x25: "read capacity", 0x2F: "verify",
    0x8F: "verify", 0x35: "synchronize cache", 0x91: "synchronize cache", 0x41: "write same",
    0x93: "write same", 0x42: "unmap",
}  # fmt: skip
# Times are counted from the first one, and no trace is longer: 100 years.
_LONGEST_US = 100 * 366 * 86_400 * 1_000_000
_FURTHEST_BLOCK = 1 << 53
_RECOGNISED_RECORDS = 4096


def vscsi_version(content: bytes) -> int:
    """Return the version of a file's records, or 0 where they are none of vscsi's.

    Parameters
    ----------
    content
        How the file begins, decompressed.
    """
    for version, record in RECORDS.items():
        count = min(len(content) // record.itemsize, _RECOGNISED_RECORDS)
        rows = np.frombuffer(content, dtype=record, count=count)
        fits = (
            (rows["version"] >> 8 == version)
            & (rows["command"] <= 0xFF)
            & (rows["block"] < _FURTHEST_BLOCK)
            & (rows["bytes"] < 1 << 31)
        )
        moves = np.isin(rows["command"], (*READS, *WRITES))
        if count and fits.all() and moves.any():
            return version
    return 0


def import_vscsi(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests of a trace of a virtual disk, which becomes one file.

    Commands that neither read nor write are counted.

    Parameters
    ----------
    paths
        The parts of one disk's trace in the order of time, each plain or compressed.
    page_size
        Bytes of a page.
    ignore_size
        Whether each request is taken as the one page that it begins in.
    source
        What the trace says of itself.
    progress
        Called with the bytes read of all files, and their size.

    Raises
    ------
    TraceError
        When a file cannot be read, ends within a record, or no command reads or writes.
    """
    collector = Collector(page_size, ignore_size)
    begin_us: int | None = None
    name = ""
    for records in read_records(paths, 2 * RECORDS[2].itemsize, _begin, progress):
        name, rows = records.name, records.rows
        command = rows["command"]
        foreign = rows["version"] >> 8 != _version_of(rows)
        if foreign.any():
            row = int(np.argmax(foreign))
            raise records.error_at()(
                row, f"is of version {rows['version'][row] >> 8}, unlike others"
            )
        moves = np.isin(command, (*READS, *WRITES))
        for code, count in zip(*np.unique(command[~moves], return_counts=True), strict=True):
            collector.unused[_NAMES.get(int(code), f"command {code:#04x}")] += int(count)
        chosen = np.flatnonzero(moves)
        rows, error_at = rows[chosen], records.error_at(chosen)
        if not rows.size:
            continue
        begin_us = int(rows["time_us"][0]) if begin_us is None else begin_us
        # The difference of 64-bit numbers wraps around as that of their signed forms does.
        since_us = (rows["time_us"] - np.uint64(begin_us)).view(np.int64)
        for bad, what in (
            (
                (since_us > _LONGEST_US) | (since_us < -_LONGEST_US),
                "is more than 100 years from the first request",
            ),
            (rows["block"] >= _FURTHEST_BLOCK, "lies beyond the end of any disk"),
        ):
            if bad.any():
                raise error_at(int(np.argmax(bad)), what)
        collector.add(
            since_us * 1_000,
            np.zeros(rows.size, dtype=np.int64),
            rows["block"].astype(np.int64) * BLOCK_BYTES,
            rows["bytes"].astype(np.int64),
            np.isin(rows["command"], WRITES),
            error_at,
        )
    if not collector.has_requests:
        seen = ", ".join(f"{what} {count:,}" for what, count in collector.unused.items())
        raise TraceError(f"no command reads or writes ({seen})", file=name)
    return collector.finish(source)


def _version_of(rows: NDArray[np.void]) -> int:
    return next(version for version, record in RECORDS.items() if record == rows.dtype)


def _begin(name: str, content: bytes) -> Header:
    version = vscsi_version(content)
    if not version:
        raise TraceError(
            "record 0: is none of vscsi's: its version is neither 1 nor 2, or its command, block "
            "or size is none of a disk's",
            file=name,
        )
    return Header(0, RECORDS[version])
