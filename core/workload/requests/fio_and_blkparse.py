"""Imports the text of requests to block devices and files: blkparse's output, and fio's logs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.workload.requests.collector import Collector, ImportedRequests, TextKeys
from core.workload.text import Progress, TraceError, read_chunks

#: The unit of blkparse's offsets and sizes, whatever the device's own sectors are.
SECTOR_BYTES = 512
#: A line of blkparse, ``8,0 3 11 0.009507758 697 Q WS 223490 + 8 [proc]``; a flush has no sector.
BLKPARSE = (
    r"^\s*(?P<file>\d+,\d+)\s+\d+\s+\d+\s+(?P<seconds>\d{1,9})\.(?P<fraction>\d{9})\s+\d+"
    r"\s+(?P<action>[A-Za-z]+)\s+(?P<rwbs>[A-Z]+)"
    r"(?:\s+(?P<offset>\d{1,15})\s+\+\s+(?P<size>\d{1,9}))?"
)
FIO_HEADER = re.compile(rb"fio version ([23]) iolog\s*")
_FIO_LINE = (
    r"(?P<file>\S+)\s+(?P<action>[a-z_]+)"
    r"(?:\s+(?P<offset>\d{1,18})(?:\s+(?P<size>\d{1,18}))?)?\s*$"
)
#: A line of fio's log, by version; a line of version 3 begins with its time.
FIO = {2: rf"^{_FIO_LINE}", 3: rf"^(?P<time>\d{{1,15}})\s+{_FIO_LINE}"}


def import_blkparse(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests that were queued (Q), from the text that blkparse prints by default.

    Each device becomes a file. Discards, and flushes without data, are no requests for pages.

    Parameters
    ----------
    paths
        The parts in the order of time, each plain, gzip or zstd.
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
        When a file cannot be read, or no line of the trace can be used.
    """
    lines = _Lines(page_size, ignore_size)
    for name, text in read_chunks(paths, progress):
        fields = lines.match(name, text, BLKPARSE)
        action, rwbs, size = (fields[key] for key in ("action", "rwbs", "size"))
        one_way = pc.match_substring_regex(rwbs, "[RW]")
        kinds = pc.if_else(one_way, "", "neither reads nor writes")
        kinds = pc.if_else(pc.match_substring_regex(size, "[1-9]"), kinds, "flushes")
        kinds = pc.if_else(pc.match_substring(rwbs, "D"), "discards", kinds)
        others = pc.binary_join_element_wise("action", action, " ")
        used = lines.use(fields, pc.if_else(pc.equal(action, "Q"), kinds, others))
        time_ns = _whole(used["seconds"]) * 1_000_000_000 + _whole(used["fraction"])
        writes = pc.match_substring(used["rwbs"], "W")
        lines.add(used, time_ns, SECTOR_BYTES, writes)
    return lines.finish(source, "that blkparse prints")


def import_fio(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests in a log of fio (``write_iolog``) of version 2 or 3.

    In version 3 each line begins with the microseconds since the log began. In version 2 time
    passes only by ``wait`` lines, which say for how many microseconds.

    Parameters and errors are those of `import_blkparse`.
    """
    lines = _Lines(page_size, ignore_size)
    current, version, waited_us = "", 2, 0
    for name, text in read_chunks(paths, progress):
        if name != current:
            current, waited_us = name, 0
            version, text = _version(name, text)
            lines.begin(name, 2)
        fields = lines.match(name, text, FIO[version])
        action, size = fields["action"], fields["size"]
        kinds = pc.if_else(pc.match_substring_regex(size, "[1-9]"), "", "requests of no bytes")
        is_request = pc.is_in(action, value_set=pa.array(["read", "write"]))
        kinds = pc.if_else(is_request, kinds, action)
        if version == 3:
            used = lines.use(fields, kinds)
            time_us = _whole(used["time"])
        else:
            waits = pc.equal(action, "wait")
            timed = pc.not_equal(fields["offset"], "")
            waiting = waits.to_numpy(zero_copy_only=False)
            wait_us = np.zeros(len(action), dtype=np.int64)
            wait_us[waiting] = _whole(pc.if_else(timed, fields["offset"], "0").filter(waits))
            passed_us = waited_us + np.cumsum(wait_us)
            waited_us = int(passed_us[-1]) if passed_us.size else waited_us
            used = lines.use(fields, pc.if_else(waits, None, kinds))
            time_us = passed_us[lines.used]
        lines.add(used, time_us * 1000, 1, pc.equal(used["action"], "write"))
    return lines.finish(source, "of a fio log")


def _version(name: str, text: bytes) -> tuple[int, bytes]:
    """Return the version of a fio log, and the text after its first line."""
    line, _, rest = text.partition(b"\n")
    header = FIO_HEADER.fullmatch(line)
    if header is None:
        line_text = line[:80].decode(errors="replace")
        raise TraceError(f"{line_text!r} is not 'fio version 2 iolog' (or 3)", file=name, line=1)
    return int(header.group(1)), rest


def _whole(numbers: pa.StringArray) -> NDArray[np.int64]:
    values: NDArray[np.int64] = numbers.cast(pa.int64()).to_numpy()
    return values


class _BadLine(NamedTuple):
    """A line that cannot be used."""

    file: str
    number: int  # from 1
    text: str


class _Lines:
    """The lines of a trace, taken a chunk at a time: which can be used, and why others cannot."""

    def __init__(self, page_size: int, ignore_size: bool) -> None:
        self.used: NDArray[np.bool_]  # [matching line]
        self._collector = Collector(page_size, ignore_size)
        self._keys = TextKeys()
        self._count = 0
        self._first_bad: _BadLine | None = None
        self._name, self._next_line = "", 1

    def begin(self, name: str, line: int) -> None:
        """Note which line of which file the next text begins with."""
        self._name, self._next_line = name, line

    def match(self, name: str, text: bytes, pattern: str) -> dict[str, pa.StringArray]:
        """Return the fields of the lines of `text` that match; an absent field is empty."""
        if name != self._name:
            self.begin(name, 1)
        signs = np.frombuffer(text, dtype=np.uint8)
        ends = np.flatnonzero(signs == ord("\n")) + 1
        self._offsets = np.concatenate([[0], ends]).astype(np.int32)
        self._text, self._line = text, self._next_line
        self._next_line += ends.size
        self._count += ends.size
        buffers = [None, pa.py_buffer(self._offsets), pa.py_buffer(text)]
        lines = pa.Array.from_buffers(pa.binary(), ends.size, buffers)
        matches = pc.extract_regex(lines, pattern)
        self._matching = matches.is_valid().to_numpy(zero_copy_only=False)
        matches = matches.filter(matches.is_valid())
        fields = dict(zip(matches.type.names, matches.flatten(), strict=True))
        # A file's name may be in any encoding; the patterns of the other fields match ASCII only.
        return {
            key: column if key == "file" else column.cast(pa.string())
            for key, column in fields.items()
        }

    def use(
        self, fields: dict[str, pa.StringArray], kinds: pa.StringArray
    ) -> dict[str, pa.StringArray]:
        """Return the fields of the lines that can be used; count the others by kind.

        Parameters
        ----------
        fields
            As `match` returns them.
        kinds
            Why a line cannot be used [matching line]: empty where it can be used, and null where
            it is neither used nor counted.
        """
        counted = {
            entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(kinds)
        }
        used = pc.fill_null(pc.equal(kinds, ""), False)
        self.used = used.to_numpy(zero_copy_only=False)
        matching = np.flatnonzero(self._matching)
        self._place = matching[self.used]
        bad = ~self._matching & (np.diff(self._offsets) > 1)
        counted["lines of another form"] = int(bad.sum())
        self._collector.unused.update({kind: n for kind, n in counted.items() if kind and n})
        bad[matching[~self.used & kinds.is_valid().to_numpy(zero_copy_only=False)]] = True
        if bad.any() and self._first_bad is None:
            at = int(np.argmax(bad))
            line = self._text[self._offsets[at] : self._offsets[at + 1]]
            line_text = line.decode(errors="replace").strip()[:80]
            self._first_bad = _BadLine(self._name, self._line + at, line_text)
        return {key: column.filter(used) for key, column in fields.items()}

    def add(
        self,
        used: dict[str, pa.StringArray],
        time_ns: NDArray[np.int64],
        unit_bytes: int,
        writes: pa.BooleanArray,
    ) -> None:
        """Add the requests of the lines that are used; offsets and sizes are in `unit_bytes`."""
        name, line, place = self._name, self._line, self._place
        self._collector.add(
            time_ns,
            self._keys.keys(used["file"]),
            _whole(used["offset"]) * unit_bytes,
            _whole(used["size"]) * unit_bytes,
            writes.to_numpy(zero_copy_only=False),
            lambda row, what: TraceError(what, file=name, line=line + int(place[row])),
        )

    def finish(self, source: str, what: str) -> ImportedRequests:
        """Return the requests.

        Raises
        ------
        TraceError
            When there are none; `what` ends its message.
        """
        if not self._collector.has_requests:
            what = f"no line is a read or a write {what}"
            if self._first_bad is None:
                raise TraceError(what, file=self._name)
            name, number, line_text = self._first_bad
            raise TraceError(f"{line_text!r}: {what}", file=name, line=number)
        imported = self._collector.finish(source)
        counts: dict[str, Any] = {"lines": self._count} | imported.counts
        return imported._replace(counts=counts)
