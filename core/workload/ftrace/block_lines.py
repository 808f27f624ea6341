"""Requests of block devices in ftrace text: the lines of `block_rq_issue` and `block_rq_complete`.

All forms of a line that an import of events reads are read; kernels from 6.13 on print the priority
too, between the sectors and the task. With ``options/fields``, and in raw reports, the fields have
names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload.ftrace.other_heads import other_head, undecorated
from core.workload.text import Progress, TraceError, read_chunks

SECTOR_BYTES = 512
# Searched for by its constant beginning; what stands before it on the line is looked at afterwards.
_EVENT = re.compile(
    rb"block_rq_(?P<what>issue|complete):[ \t]+"
    rb"(?:(?P<major>\d{1,9}),(?P<minor>\d{1,9})[ \t]+(?P<kind>[A-Z]+)[ \t]+(?:\d+[ \t]+)?"
    rb"\([^)\n]*\)[ \t]+(?P<sector>\d{1,20})[ \t]+\+[ \t]+(?P<sectors>\d{1,9})\b"
    rb"|(?P<named>[^\n]*\bnr_sector=[^\n]*))?"
)
_TIME = re.compile(rb"(?<![\d.])(\d{1,10})\.(\d{9}|\d{6}):\s+(?:\(\+[\d.]*\)\s+)?(?:block:)?$")
# A field with a name: in the form ``dev=0x800000 (8388608)`` the number is there twice.
_FIELD = re.compile(rb"\b(dev|sector|nr_sector|rwbs)=(ARRAY\[[^]]*\]|0x[0-9a-f]+|\d+|[A-Z]+\b)")
#: The sector of a request without any, such as a flush.
_NO_SECTOR = -1
# A device's number has 12 bits of major and 20 of minor; a sector is below this (the kernel's
# `sector_t` has 64 bits, but no device is so large).
_MAJORS, _MINORS, _SECTORS = 1 << 12, 1 << 20, 1 << 62


class BlockRequests(NamedTuple):
    """Requests that a device finished, in the order in which they were issued."""

    device: NDArray[np.int64]  # [request] major << 20 | minor
    issued_ns: NDArray[np.int64]  # [request]
    completed_ns: NDArray[np.int64]  # [request]
    sector: NDArray[np.int64]  # [request]
    sectors: NDArray[np.int64]  # [request]
    is_read: NDArray[np.bool_]  # [request]

    def of(self, device: int) -> BlockRequests:
        """Return the requests of one device."""
        mine = self.device == device
        return BlockRequests(*(column[mine] for column in self))


class BlockTrace(NamedTuple):
    """What a trace holds of block devices: the requests, and how many lines are of none."""

    requests: BlockRequests
    lines: int
    unreadable_lines: int
    unpaired_lines: int


def device_name(device: int) -> str:
    """Return ``major:minor`` of a device's number."""
    return f"{device >> 20}:{device & 0xFFFFF}"


class _Line(NamedTuple):
    time_ns: int
    issues: bool
    device: int
    sector: int
    sectors: int
    is_read: bool


def read_block_requests(
    paths: Sequence[str | os.PathLike[str]], progress: Progress | None = None
) -> BlockTrace:
    """Return the requests of block devices in the text of a trace.

    Parameters
    ----------
    paths
        The parts of the trace, in any order, each plain or compressed.
    progress
        Is called with the bytes read so far, and all there are.

    Raises
    ------
    TraceError
        When a file cannot be read, or of its lines of block events none can be used.
    """
    lines: list[_Line] = []
    unreadable = 0
    first_unreadable: tuple[str, int, bytes] | None = None
    file, lines_before = "", 0
    for name, text in read_chunks(paths, progress):
        if name != file:
            file, lines_before = name, 0
        for match in _EVENT.finditer(text):
            line = _line_of(text, match)
            if line is not None:
                lines.append(line)
                continue
            unreadable += 1
            if first_unreadable is None:
                row = lines_before + text.count(b"\n", 0, match.start()) + 1
                first_unreadable = (name, row, _whole_line(text, match))
        lines_before += text.count(b"\n")
    if first_unreadable is not None and not lines:
        file, row, first = first_unreadable
        what = (
            f"this line and {unreadable - 1} more of block events have another form than "
            "`12.345678: block_rq_issue: 254,0 R 4096 () 40208 + 8 [cat]`"
        )
        if other_head(undecorated(first)).why == "counted_times":
            what += ": its time is a count, as of the clock x86-tsc; set trace_clock to mono"
        raise TraceError(what, file=file, line=row)
    lines.sort(key=lambda line: line.time_ns)
    requests = _paired(lines)
    unpaired = len(lines) - 2 * requests.device.size
    return BlockTrace(requests, len(lines) + unreadable, unreadable, unpaired)


def _line_of(text: bytes, match: re.Match[bytes]) -> _Line | None:
    """Return what a line says; None if a part is missing, or too large for what it stands for."""
    start = text.rfind(b"\n", 0, match.start()) + 1
    time = _TIME.search(text, start, match.start())
    if time is None:
        # Its columns are others: the parser of events writes it anew in the usual ones.
        line = other_head(undecorated(_whole_line(text, match))).line
        again = _EVENT.search(line)
        if again is None:
            return None
        match, time = again, _TIME.search(line, 0, again.start())
    request = _request_of(match)
    if time is None or request is None:
        return None
    fraction = time[2].ljust(9, b"0")
    device, kind, sector, sectors = request
    # A flush is issued at sector 0 and completed at the last of 64 bits.
    sector = sector if sectors else _NO_SECTOR
    if sector >= _SECTORS:
        return None
    return _Line(
        int(time[1]) * 1_000_000_000 + int(fraction),
        match["what"] == b"issue",
        device,
        sector,
        sectors,
        b"R" in kind,
    )


def _whole_line(text: bytes, match: re.Match[bytes]) -> bytes:
    return text[text.rfind(b"\n", 0, match.start()) + 1 : text.find(b"\n", match.end())]


def _request_of(match: re.Match[bytes]) -> tuple[int, bytes, int, int] | None:
    """Return (device, kind, sector, sectors) of a line; None where it does not say them."""
    if match["kind"] is not None:
        major, minor = int(match["major"]), int(match["minor"])
        if major >= _MAJORS or minor >= _MINORS:
            return None
        return major << 20 | minor, match["kind"], int(match["sector"]), int(match["sectors"])
    fields = dict(_FIELD.findall(match["named"] or b""))
    kind = fields.pop(b"rwbs", b"")
    if kind.startswith(b"ARRAY"):  # of letters by their numbers in hexadecimal, which a 0 ends
        letters = [int(word, 16) for word in re.findall(rb"\b[0-9a-f]{1,2}\b", kind)]
        kind = bytes(letters).partition(b"\0")[0]
    if len(fields) < 3 or not kind.isalpha():
        return None
    try:
        device, sector, sectors = (
            int(fields[name], 16 if fields[name].startswith(b"0x") else 10)
            for name in (b"dev", b"sector", b"nr_sector")
        )
    except ValueError:
        return None
    return (device, kind, sector, sectors) if device < _MAJORS << 20 else None


def _paired(lines: list[_Line]) -> BlockRequests:
    """Return the requests of which both lines are there, in the order of issue.

    One that is completed in parts is left out: its first part does not tell how long it took.
    """
    waiting: dict[tuple[int, int], _Line] = {}
    rows: list[tuple[int, int, int, int, int, bool]] = []
    for line in lines:
        key = (line.device, line.sector)
        if line.issues:
            waiting[key] = line
            continue
        issue = waiting.pop(key, None)
        if issue is not None and issue.sectors == line.sectors:
            rows.append(
                (line.device, issue.time_ns, line.time_ns, line.sector, line.sectors, issue.is_read)
            )
    rows.sort(key=lambda row: row[1])
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 6)
    device, issued_ns, completed_ns, sector, sectors, is_read = table.T
    return BlockRequests(device, issued_ns, completed_ns, sector, sectors, is_read == 1)
