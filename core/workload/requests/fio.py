"""Imports the logs of fio (``write_iolog``): requests of files and devices."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.workload.requests.collector import Collector, ImportedRequests, TextKeys
from core.workload.requests.text_lines import (
    OTHER_FORM,
    Beginning,
    Matches,
    UnusedLines,
    places,
    read_matches,
    whole,
)
from core.workload.text import Progress, TraceError

FIO_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?\s*fio version (\d+) iolog\s*")
#: The actions of a log; `_MOVES` move the bytes of pages.
_MOVES = ("read", "write")
_ACTIONS = (
    *_MOVES, "add", "open", "close", "unlink", "wait", "sync", "datasync", "sync_file_range",
    "syncfs", "trim",
)  # fmt: skip
# The name of a file is all that stands before the action: it may have spaces, which few have.
_NAME, _NAME_WITH_SPACES = r"\S+", r"\S(?:.*\S)?"
_TIMES = {2: r"^\s*", 3: r"^\s*(?P<time>\d{1,15})\s+"}
_ACTION = (
    rf"\s+(?P<action>{'|'.join(_ACTIONS)})(?:\s+(?P<offset>\d{{1,18}})"
    r"(?:\s+(?P<size>\d{1,18}))?)?\s*$"
)
#: No log waits for longer: 100 years.
MOST_WAIT_US = 100 * 366 * 86_400 * 1_000_000


def _pattern(version: int, name: str) -> str:
    """Return the pattern of a line of a version; a line of version 3 begins with its time."""
    return f"{_TIMES[version]}(?P<file>{name}){_ACTION}"


def import_fio(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests in a log of fio of version 2 or 3.

    In version 3 each line begins with the microseconds since the log began. In version 2 time
    passes only by ``wait`` lines, which say for how many microseconds; a log without them, as fio
    writes it, has all requests at time 0, in their order.

    Parameters and errors are those of `core.workload.requests.blkparse.import_blkparse`.
    """
    unused, keys = UnusedLines(), TextKeys()
    collector = Collector(page_size, ignore_size)
    current, waited_us, has_times, requests = "", 0, False, 0
    for matches in read_matches(paths, _begin, progress):
        if matches.name != current:
            current, waited_us = matches.name, 0
        fields = matches.fields
        kinds = _kinds(fields)
        if "time" in fields:
            time_us = whole(fields["time"])
            has_times |= bool(time_us.any())
        else:
            waits_us = _waits_us(fields)
            has_times |= bool(waits_us.any())
            time_us = waited_us + np.cumsum(waits_us)
            waited_us = _waited_us(matches, waits_us, time_us, waited_us)
            # A wait is used for its time.
            kinds = pc.if_else(pc.equal(fields["action"], "wait"), None, kinds)
        unused.add(matches, kinds, matches.others)
        rows = places(pc.equal(kinds, ""))
        requests += rows.size
        _add(collector, keys, matches, rows, time_us[rows])
    if not collector.has_requests:
        raise unused.error("no line is a read or a write of a fio log")
    without_time = 0 if has_times or requests == 1 else requests
    collector.losses["requests_without_time"] = (without_time, "all are at 0, in their order")
    collector.losses["garbage_lines"] = unused.of_another_form
    imported = collector.finish(source)
    counts = {"lines": unused.lines} | imported.counts
    return imported._replace(counts=counts, unused=dict(+unused.counts))


def _begin(name: str, text: bytes) -> Beginning:
    """Return how a log is read, as its first line says."""
    line, _, rest = text.partition(b"\n")
    header = FIO_HEADER.fullmatch(line)
    version = int(header.group(1)) if header is not None else 0
    if version not in _TIMES:
        shown = line[:80].decode(errors="replace")
        what = f"{shown!r} is not 'fio version 2 iolog' (or 3)"
        if re.fullmatch(rb"\s*[01]\s*,\s*\d+\s*,\s*\d+\s*", line):
            what += ": version 1 (rw, offset, length) has neither times nor files"
        raise TraceError(what, file=name, line=1)
    slow = _pattern(version, _NAME_WITH_SPACES)
    return Beginning(_pattern(version, _NAME), rest, 2, slow)


def _kinds(fields: dict[str, pa.Array]) -> pa.StringArray:
    """Return why each line asks for no page: its action where that moves no data."""
    action, size = fields["action"], fields["size"]
    kinds = pc.if_else(pc.match_substring_regex(size, "[1-9]"), "", "requests of no bytes")
    kinds = pc.if_else(pc.equal(size, ""), OTHER_FORM, kinds)
    return pc.if_else(pc.is_in(action, value_set=pa.array(_MOVES)), kinds, action)


def _waits_us(fields: dict[str, pa.Array]) -> NDArray[np.int64]:
    """Return for how long each line waits: 0 unless it is a wait."""
    waits = pc.and_(pc.equal(fields["action"], "wait"), pc.not_equal(fields["offset"], ""))
    return whole(pc.if_else(waits, fields["offset"], "0"))


def _waited_us(
    matches: Matches, waits_us: NDArray[np.int64], time_us: NDArray[np.int64], before_us: int
) -> int:
    """Return how long a log has waited at the end of a chunk, if 64 bits can count it in ns."""
    far = (waits_us > MOST_WAIT_US) | (time_us > MOST_WAIT_US) | (time_us < 0)
    if far.any():
        at = np.flatnonzero(far)
        raise matches.error_at(at)(0, "waits for more than 100 years")
    return int(time_us[-1]) if time_us.size else before_us


def _add(
    collector: Collector,
    keys: TextKeys,
    matches: Matches,
    rows: NDArray[np.int64],
    time_us: NDArray[np.int64],
) -> None:
    """Add the requests of some of the lines that match."""
    chosen = pa.array(rows)
    fields = {key: matches.fields[key].take(chosen) for key in ("file", "action", "offset", "size")}
    collector.add(
        time_us * 1000,
        keys.keys(fields["file"]),
        whole(fields["offset"]),
        whole(fields["size"]),
        pc.equal(fields["action"], "write").to_numpy(zero_copy_only=False),
        matches.error_at(rows),
    )
