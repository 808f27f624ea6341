"""Turns lines of ftrace text into records of numbers: an event's kind, time, task and fields.

Three forms of text are read at once: tracefs's `trace` and `trace_pipe`, ``trace-cmd report``, and
``perf script``. A line of each is ``task-pid [cpu] … seconds.fraction: [system:]event: fields``;
they differ in what stands between the CPU and the time. All other lines are odd ones:
other_lines.py makes this form of them, or counts what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.jit import entry, kernel, wide
from core.machine import MAX_ORDER
from core.workload.ftrace.fields import (
    SPACE,
    TAB,
    failed,
    fill,
    find,
    reads_data,
)
from core.workload.ftrace.frames import NO_FRAME
from core.workload.ftrace.gfp import GfpFlags, version_of
from core.workload.ftrace.heads import (
    UNKNOWN_PID,
    event_name,
    find_mark,
    find_stamp,
    nanoseconds,
    task_end_of,
    task_name,
    task_pid,
)
from core.workload.ftrace.other_heads import without_decoration
from core.workload.ftrace.other_lines import OtherLines
from core.workload.ftrace.shared_pids import SharedPids
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    BLOCK_ISSUE,
    COLUMN_TABLE,
    DELETE,
    EVENT_TABLE,
    FIELDS,
    FLAG_TABLE,
    FRAME,
    KEY_TABLE,
    MARK,
    NEEDED_TABLE,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    SYNC_TAGS,
    TAG_CLEAR,
    TEXT_FIRST,
)

_NEWLINE = ord("\n")
_OPEN_BRACKET, _OPEN_BRACE, _QUOTE = ord("["), ord("{"), ord('"')

#: The first kernel that prints the order of folios.
_LARGE_FOLIOS = (5, 16)
#: So many events that an import does not use are counted by name.
OTHERS = 256
# Elements of `counts`. ODD_LINES are those of the chunk that was read last.
LINES, INCOMPLETE, FIRST_INCOMPLETE, OTHER_NAMES, SKIPPED, ODD_LINES, LATE_TIMES = range(7)
FOLIO_EVENTS, WITHOUT_ORDER, COUNTS = range(7, 10)


class Records(NamedTuple):
    """Events that an import uses, in the order of their lines."""

    kind: NDArray[np.uint8]  # [record]
    time_ns: NDArray[np.int64]  # [record]
    pid: NDArray[np.int64]  # [record] the thread's number; UNKNOWN_PID where nothing tells it
    kswapd: NDArray[np.bool_]  # [record] whether the task has the name of a kswapd
    line: NDArray[np.int64]  # [record] of the file, from 1
    fields: NDArray[np.int64]  # [record, FIELDS]
    named: NDArray[np.bool_]  # [record] whether the task's name is known


def joined(parts: Sequence[Records]) -> Records:
    """Return records in one, the second part behind the first and so on."""
    if not parts:
        number, yes = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
        fields = np.empty((0, FIELDS), dtype=np.int64)
        return Records(np.empty(0, dtype=np.uint8), number, number, yes, number, fields, yes)
    if len(parts) == 1:
        return parts[0]
    return Records(*map(np.concatenate, zip(*parts, strict=True)))


def some_of(records: Records, which: slice | NDArray[np.int64]) -> Records:
    """Return some of the records."""
    return Records(*(column[which] for column in records))  # type: ignore[arg-type]


class LineParser:
    """Turns lines into records, and counts what could not be used.

    Parameters
    ----------
    kernel
        What says the version of the traced kernel; empty where only its text may.
    page_size
        The size of its pages in bytes: some lines tell places in files by pages.
    """

    def __init__(self, kernel: str = "", page_size: int = 4096) -> None:
        self.counts = np.zeros(COUNTS, dtype=np.int64)
        #: The text of the records that were parsed last: places of text count in it.
        self.text = b""
        self.other_lines = OtherLines()
        self._gfp = GfpFlags(kernel)
        self._page_shift = page_size.bit_length() - 1
        self._hashes = np.zeros(OTHERS, dtype=np.int64)
        self._numbers = np.zeros(OTHERS, dtype=np.int64)
        self._names: list[str] = []
        self._is_decorated: bool | None = None
        self._tells_tags = False
        self._unknown_tasks = 0
        self._shared_pids = SharedPids()

    @property
    def others(self) -> dict[str, int]:
        """How many events an import does not use, by name."""
        others = dict(zip(self._names, self._numbers.tolist(), strict=False))
        if self.counts[SKIPPED]:
            others["events of further names"] = int(self.counts[SKIPPED])
        for name, count in self.other_lines.unused.items():
            others[name] = others.get(name, 0) + count
        return others

    def parse(self, text: bytes) -> Records:
        """Return the records in whole lines of text."""
        if not text.endswith(b"\n"):
            text += b"\n"  # compiled code looks for the end of every line
        if self._is_decorated is None:  # to look in every chunk would take a third of the time
            self._is_decorated = without_decoration(text) != text
        self.text = without_decoration(text) if self._is_decorated else text
        self._shared_pids.look(self.text)
        before = (self.counts.copy(), self._hashes.copy(), self._numbers.copy())
        records, odd, places = self._read()
        if odd.size:
            rewritten = self.other_lines.rewrite(self.text, odd)
            if rewritten is not None:
                self.counts, self._hashes, self._numbers = before
                self.text = rewritten
                records, _, places = self._read()
            if not self._gfp.kernel:
                self._gfp.kernel = self.other_lines.kernel
        for number in range(len(self._names), int(self.counts[OTHER_NAMES])):
            first, end = places[number]
            self._names.append(self.text[first:end].decode(errors="replace"))
        self._gfp.decode(records.kind, records.fields)
        self._tells_tags |= bool(np.isin(records.kind, (TAG_CLEAR, SYNC_TAGS)).any())
        self._unknown_tasks += int((records.pid == UNKNOWN_PID).sum())
        return records

    def _read(self) -> tuple[Records, NDArray[np.int64], NDArray[np.int64]]:
        """Return the records of the text, its odd lines, and the places of names in it."""
        signs = np.frombuffer(self.text, dtype=np.uint8)
        # Half the time that bytes.count takes, which was 7 % of an import.
        most = int(np.count_nonzero(signs == _NEWLINE))
        kind = np.empty(most, dtype=np.uint8)
        time_ns, pid, line = (np.empty(most, dtype=np.int64) for _ in range(3))
        kswapd, named = (np.empty(most, dtype=np.bool_) for _ in range(2))
        fields = np.empty((most, FIELDS), dtype=np.int64)
        places = np.zeros((OTHERS, 2), dtype=np.int64)
        odd = np.empty((most, 4), dtype=np.int64)
        self.counts[ODD_LINES] = 0
        count = _parse(
            signs,
            self._page_shift,
            *(EVENT_TABLE, KEY_TABLE, COLUMN_TABLE, FLAG_TABLE, NEEDED_TABLE),
            kind,
            time_ns,
            pid,
            kswapd,
            line,
            fields,
            named,
            *(self.counts, self._hashes, self._numbers, places, odd),
        )
        read = Records(kind, time_ns, pid, kswapd, line, fields, named)
        return some_of(read, slice(count)), odd[: int(self.counts[ODD_LINES])], places

    def losses(self, place: Callable[[int], str] = "line {}".format) -> tuple[Loss, ...]:
        """Return what was lost in the text, and what of it is not understood.

        Parameters
        ----------
        place
            Says where a line is, in words.
        """
        counts = self.counts
        missing, unknown = int(counts[WITHOUT_ORDER]), 0
        if missing == counts[FOLIO_EVENTS]:
            version = version_of(self._gfp.kernel) or _LARGE_FOLIOS
            missing, unknown = 0, missing if version >= _LARGE_FOLIOS else 0
        own = {
            "incomplete_events": (
                counts[INCOMPLETE],
                f"the first is {place(int(counts[FIRST_INCOMPLETE]))}",
            ),
            "missing_events": (self.other_lines.missing(int(counts[LINES])), ""),
            "missing_orders": (missing, ""),
            "unknown_orders": (unknown, ""),
            "late_times": (counts[LATE_TIMES], ""),
            "unknown_tasks": (self._unknown_tasks, ""),
        }
        return (
            *self.other_lines.losses(place),
            *losses_of({name: (int(count), where) for name, (count, where) in own.items()}),
            *self._gfp.losses(self._tells_tags),
            *self._shared_pids.losses(),
        )


@kernel
def _note_other(
    value: int,
    first: int,
    end: int,
    counts: NDArray[np.int64],
    hashes: NDArray[np.int64],
    numbers: NDArray[np.int64],
    places: NDArray[np.int64],
) -> None:
    for row in range(counts[OTHER_NAMES]):
        if hashes[row] == value:
            numbers[row] += 1
            return
    row = counts[OTHER_NAMES]
    if row == OTHERS:
        counts[SKIPPED] += 1
        return
    counts[OTHER_NAMES] += 1
    hashes[row] = value
    numbers[row] = 1
    places[row, 0] = first
    places[row, 1] = end


@kernel
def _read_fields(
    signs: NDArray[np.uint8],
    first: int,
    end: int,
    kind: int,
    page_shift: int,
    keys: NDArray[np.int64],
    columns: NDArray[np.int64],
    flags: NDArray[np.int64],
    needed: NDArray[np.bool_],
    field: NDArray[np.int64],
) -> tuple[bool, bool]:
    """Return whether an event has all fields that it needs, and whether it prints its order."""
    field[:] = ABSENT
    if kind != MARK:
        fill(signs, first, end, kind, page_shift, keys, columns, flags, field)
    elif not find_mark(signs, first, end, field):
        fill(signs, first, end, kind, page_shift, keys, columns, flags, field)
        field[TEXT_FIRST] = ABSENT  # whatever key of the text has its column
    has_order = field[ORDER] != ABSENT
    if kind in (ADD, DELETE) and not has_order:
        field[ORDER] = 0  # kernels before large folios
    if kind == PAGE_ALLOC and field[FRAME] <= 0 and failed(signs, first, end):
        field[FRAME] = NO_FRAME
    complete = True
    if kind in (ADD, DELETE, PAGE_ALLOC, PAGE_FREE):
        field[FRAME] = min(wide(field[FRAME]), wide(NO_FRAME))
        complete = field[ORDER] <= MAX_ORDER
    for place in range(FIELDS):
        complete = complete and (not needed[kind, place] or field[place] != ABSENT)
    return complete, has_order


@kernel
def _note_odd(
    first: int, end: int, is_event: bool, counts: NDArray[np.int64], odd: NDArray[np.int64]
) -> None:
    row = wide(counts[ODD_LINES])
    odd[row, 0], odd[row, 1], odd[row, 2] = first, end, counts[LINES]
    odd[row, 3] = wide(1 if is_event else 0)
    counts[ODD_LINES] = row + 1


@entry
def _parse(
    signs: NDArray[np.uint8],
    page_shift: int,
    events: NDArray[np.int64],
    keys: NDArray[np.int64],
    columns: NDArray[np.int64],
    flags: NDArray[np.int64],
    needed: NDArray[np.bool_],
    kinds: NDArray[np.uint8],
    times: NDArray[np.int64],
    pids: NDArray[np.int64],
    kswapd: NDArray[np.bool_],
    lines: NDArray[np.int64],
    fields: NDArray[np.int64],
    named: NDArray[np.bool_],
    counts: NDArray[np.int64],
    hashes: NDArray[np.int64],
    numbers: NDArray[np.int64],
    places: NDArray[np.int64],
    odd: NDArray[np.int64],
) -> int:
    record = 0
    first = 0
    while first < signs.size:
        end = first
        while wide(signs[end]) != _NEWLINE:
            end += 1
        start, first = first, end + 1
        counts[LINES] += 1
        while start < end and wide(signs[start]) in (SPACE, TAB):
            start += 1
        if start == end:
            continue
        stamp, colon = find_stamp(signs, start, end)
        task_end = wide(ABSENT)
        if colon != ABSENT and wide(signs[start]) not in (_QUOTE, _OPEN_BRACKET, _OPEN_BRACE):
            task_end = task_end_of(signs, start, stamp)
        if task_end == ABSENT:
            _note_odd(start, end, False, counts, odd)
            continue
        pid, name_end = task_pid(signs, start, task_end)
        name, at, value = event_name(signs, colon, end)
        if name_end == ABSENT or name == ABSENT:
            _note_odd(start, end, False, counts, odd)
            continue
        kind = find(events, value)
        if kind == ABSENT:
            _note_other(value, name, at, counts, hashes, numbers, places)
            continue
        if kind == BLOCK_ISSUE and not reads_data(signs, at + 1, end):
            continue
        field = fields[record]
        complete, has_order = _read_fields(
            signs, at + 1, end, kind, page_shift, keys, columns, flags, needed, field
        )
        if not complete:
            counts[INCOMPLETE] += 1
            if counts[FIRST_INCOMPLETE] == 0:
                counts[FIRST_INCOMPLETE] = counts[LINES]
            _note_odd(start, end, True, counts, odd)
            continue
        time_ns = nanoseconds(signs, stamp, colon)
        if time_ns == ABSENT:
            counts[LATE_TIMES] += 1
            continue
        if kind in (ADD, DELETE):
            counts[FOLIO_EVENTS] += 1
            counts[WITHOUT_ORDER] += 0 if has_order else 1
        kinds[record], times[record], pids[record] = kind, time_ns, pid
        named[record], kswapd[record] = task_name(signs, start, name_end)
        lines[record] = counts[LINES]
        record += 1
    return record
