"""Binary traces of requests: records of one size, and what the operations of libCacheSim mean."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload.requests.collector import ErrorAt
from core.workload.signatures import refuse_known
from core.workload.text import Progress, TraceError, read_pieces

#: How libCacheSim numbers operations; those that read, and those that write.
OPERATIONS = (
    "nop", "get", "gets", "set", "add", "cas", "replace", "append", "prepend", "delete", "incr",
    "decr", "read", "write", "update",
)  # fmt: skip
_READS = ("nop", "get", "gets", "read")
_WITHOUT_PAGES = ("delete",)
#: A record of whole numbers and no padding, by the names of its fields.
Record = np.dtype[np.void]


class Header(NamedTuple):
    """How the records of a file are read, as the file's first bytes say."""

    size_bytes: int  # of what stands before the first record
    record: Record


class Records(NamedTuple):
    """Some records of a file that follow one another."""

    name: str
    first: int  # the number of the first record, from 0
    rows: NDArray[np.void]

    def error_at(self, chosen: NDArray[np.int64] | None = None) -> ErrorAt:
        """Return what makes the error for a record, by its place among those that are chosen."""
        return lambda row, what: TraceError(
            f"record {self.first + int(row if chosen is None else chosen[row])}: {what}",
            file=self.name,
        )


def read_records(
    paths: Sequence[str | os.PathLike[str]],
    header_bytes: int,
    begin: Callable[[str, bytes], Header],
    progress: Progress | None = None,
) -> Iterator[Records]:
    """Yield the records of one file after the other; a file has at least one.

    Parameters
    ----------
    paths
        The parts in the order of time, each plain or compressed.
    header_bytes
        How many of a file's first bytes `begin` needs, if the file is not shorter.
    begin
        Says how the records of a file are read, from its name and first bytes.
    progress
        Called with the bytes read of all files, and their size.

    Raises
    ------
    TraceError
        When a file cannot be read, has no record, or ends within one.
    """
    header: Header | None = None
    first, rest = 0, b""
    for name, piece in read_pieces(paths, progress):
        rest += piece
        if header is None and (len(rest) >= header_bytes or not piece):
            refuse_known(name, rest)
            header = begin(name, rest)
            rest = rest[header.size_bytes :]
        if header is not None:
            size = header.record.itemsize
            count = len(rest) // size
            if count:
                rows = np.frombuffer(rest, dtype=header.record, count=count)
                yield Records(name, first, rows)
                first, rest = first + count, rest[count * size :]
        if piece:
            continue
        if rest and header is not None:
            size = header.record.itemsize
            raise TraceError(f"record {first}: cut off: {len(rest)} bytes of {size}", file=name)
        if not first:
            raise TraceError("holds no record", file=name)
        header, first, rest = None, 0, b""


class Operations:
    """Which requests of a trace read and which write, and how many do neither."""

    def __init__(self) -> None:
        self.unused: Counter[str] = Counter()
        self.not_named = 0

    def sort(self, operations: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return (the places of the requests for pages, whether each of these writes)."""
        known = operations < len(OPERATIONS)
        numbers = np.where(known, operations, 0).astype(np.int64)
        asks = known & ~np.isin(numbers, [OPERATIONS.index(name) for name in _WITHOUT_PAGES])
        for number, count in zip(*np.unique(operations[~asks], return_counts=True), strict=True):
            name = OPERATIONS[number] if number < len(OPERATIONS) else f"operation {number}"
            self.unused[name] += int(count)
        self.not_named += int((numbers[asks] == 0).sum())
        reads = np.isin(numbers, [OPERATIONS.index(name) for name in _READS])
        chosen = np.flatnonzero(asks)
        return chosen, ~reads[chosen]
