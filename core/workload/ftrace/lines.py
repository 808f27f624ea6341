"""Turns lines of ftrace text into records of numbers: an event's kind, time, task and fields.

Three forms of text are read: tracefs's `trace` and `trace_pipe`, ``trace-cmd report``, and
``perf script``. A line of each is ``task-pid [cpu] … seconds.fraction: [system:]event: fields``;
they differ in what stands between the CPU and the time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, kernel, wide
from core.machine import MAX_ORDER
from core.workload.ftrace.fields import (
    SPACE,
    TAB,
    fill,
    find,
    find_mark,
    is_digit,
    reads_data,
    starts,
)
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    BLOCK_ISSUE,
    DELETE,
    EVENT_TABLE,
    FIELDS,
    FLAG_TABLE,
    HASH_BITS,
    HASH_FACTOR,
    KEY_TABLE,
    KSWAPD_WORD,
    LOST_WORD,
    MARK,
    NEEDED_TABLE,
    ORDER,
    REFAULT,
    TEXT_FIRST,
)

_NEWLINE = ord("\n")
_ZERO, _COLON, _DOT = (ord(sign) for sign in "0:.")
_OPEN_BRACKET, _OPEN_PARENTHESIS, _CLOSE_PARENTHESIS, _HASH_SIGN = (ord(sign) for sign in "[()#")
_HYPHEN, _LESS = ord("-"), ord("<")

#: So many events that an import does not use are counted by name.
OTHERS = 256
# Elements of `counts`.
LINES, GARBAGE, FIRST_GARBAGE, INCOMPLETE, FIRST_INCOMPLETE, LOST_EVENTS, OTHER_NAMES, SKIPPED = (
    range(8)
)


class Records(NamedTuple):
    """Events that an import uses, in the order of their lines."""

    kind: NDArray[np.uint8]  # [record]
    time_ns: NDArray[np.int64]  # [record]
    pid: NDArray[np.int64]  # [record]
    kswapd: NDArray[np.bool_]  # [record]
    line: NDArray[np.int64]  # [record] of the file, from 1
    fields: NDArray[np.int64]  # [record, FIELDS]
    named: NDArray[np.bool_] | None = None  # [record] whether the task's name is known; None: all


class LineParser:
    """Turns lines into records, and counts what could not be used."""

    def __init__(self) -> None:
        self.others: dict[str, int] = {}
        self.counts = np.zeros(8, dtype=np.int64)
        self._hashes = np.zeros(OTHERS, dtype=np.int64)
        self._numbers = np.zeros(OTHERS, dtype=np.int64)
        self._names: list[str] = []

    def parse(self, text: bytes) -> Records:
        """Return the records in whole lines of text."""
        signs = np.frombuffer(text, dtype=np.uint8)
        most = text.count(b"\n")
        kind = np.empty(most, dtype=np.uint8)
        time_ns, pid, line = (np.empty(most, dtype=np.int64) for _ in range(3))
        kswapd, named = (np.empty(most, dtype=np.bool_) for _ in range(2))
        fields = np.empty((most, FIELDS), dtype=np.int64)
        places = np.zeros((OTHERS, 2), dtype=np.int64)
        record_count = _parse(
            signs,
            *(EVENT_TABLE, KEY_TABLE, FLAG_TABLE, NEEDED_TABLE),
            kind,
            time_ns,
            pid,
            kswapd,
            named,
            line,
            fields,
            *(self.counts, self._hashes, self._numbers, places),
        )
        for number in range(len(self._names), int(self.counts[OTHER_NAMES])):
            first, end = places[number]
            self._names.append(text[first:end].decode(errors="replace"))
        self.others = dict(zip(self._names, self._numbers.tolist(), strict=False))
        end = slice(record_count)
        task = pid[end], kswapd[end]
        return Records(kind[end], time_ns[end], *task, line[end], fields[end], named[end])


@kernel
def _stamp(signs: NDArray[np.uint8], first: int, end: int) -> int:
    """Return the place of the colon after the line's time, or ABSENT."""
    for at in range(first + 8, end - 1):
        if wide(signs[at]) != _COLON or wide(signs[at + 1]) != SPACE:
            continue
        digits = 0
        while digits < 9 and is_digit(wide(signs[at - 1 - digits])):
            digits += 1
        dot = at - 1 - digits
        if digits in (6, 9) and dot > first and wide(signs[dot]) == _DOT:
            before = dot - 1
            while before > first and is_digit(wide(signs[before])):
                before -= 1
            if before < dot - 1 and wide(signs[before]) in (SPACE, TAB):
                return at
    return ABSENT


@kernel
def _nanoseconds(signs: NDArray[np.uint8], colon: int) -> int:
    dot = colon - 1
    while wide(signs[dot]) != _DOT:
        dot -= 1
    value = 0
    unit = 1
    for at in range(colon - 1, dot, -1):
        value += (wide(signs[at]) - _ZERO) * unit
        unit *= 10
    if unit == 1_000_000:
        value *= 1000
    unit = 1_000_000_000
    at = dot - 1
    while at >= 0 and is_digit(wide(signs[at])) and dot - at < 10:
        value += (wide(signs[at]) - _ZERO) * unit
        unit *= 10
        at -= 1
    return value


@kernel
def _pid(signs: NDArray[np.uint8], first: int, colon: int) -> int:
    """Return the task's number, which stands before the last ``[cpu]`` and any ``(tgid)``."""
    at = colon
    while at > first and wide(signs[at]) != _OPEN_BRACKET:
        at -= 1
    at -= 1
    while at > first and wide(signs[at]) in (SPACE, TAB):
        at -= 1
    if wide(signs[at]) == _CLOSE_PARENTHESIS:
        while at > first and wide(signs[at]) != _OPEN_PARENTHESIS:
            at -= 1
        at -= 1
        while at > first and wide(signs[at]) in (SPACE, TAB):
            at -= 1
    value = 0
    unit = 1
    while at > first and is_digit(wide(signs[at])) and unit < 10**10:
        value += (wide(signs[at]) - _ZERO) * unit
        unit *= 10
        at -= 1
    return value


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
def _note_no_event(
    signs: NDArray[np.uint8], first: int, end: int, counts: NDArray[np.int64]
) -> None:
    """Count a line without a time: a comment, a note of lost events, a blank line, or garbage."""
    for at in range(first, end):
        if starts(signs, at, end, LOST_WORD):
            number = wide(0)
            for place in range(at + 4, end):
                if is_digit(wide(signs[place])):
                    number = number * 10 + wide(signs[place]) - _ZERO
                elif number > 0:
                    break
            counts[LOST_EVENTS] += max(1, number)
            return
    if first == end or wide(signs[first]) == _HASH_SIGN:
        return
    counts[GARBAGE] += 1
    if counts[FIRST_GARBAGE] == 0:
        counts[FIRST_GARBAGE] = counts[LINES]


@entry
def _parse(
    signs: NDArray[np.uint8],
    events: NDArray[np.int64],
    keys: NDArray[np.int64],
    flags: NDArray[np.int64],
    needed: NDArray[np.bool_],
    kinds: NDArray[np.uint8],
    times: NDArray[np.int64],
    pids: NDArray[np.int64],
    kswapd: NDArray[np.bool_],
    named: NDArray[np.bool_],
    lines: NDArray[np.int64],
    fields: NDArray[np.int64],
    counts: NDArray[np.int64],
    hashes: NDArray[np.int64],
    numbers: NDArray[np.int64],
    places: NDArray[np.int64],
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
        colon = _stamp(signs, start, end)
        if colon == ABSENT:
            _note_no_event(signs, start, end, counts)
            continue
        at = colon + 1
        while at < end and wide(signs[at]) in (SPACE, TAB):
            at += 1
        name = at
        value = wide(0)
        while at < end and not (wide(signs[at]) == _COLON and wide(signs[at - 1]) != _COLON):
            value = value * HASH_FACTOR + wide(signs[at]) & HASH_BITS
            at += 1
        if at + 1 < end and wide(signs[at + 1]) not in (SPACE, TAB):  # perf's system:event
            at += 1
            name = at
            value = wide(0)
            while at < end and wide(signs[at]) != _COLON:
                value = value * HASH_FACTOR + wide(signs[at]) & HASH_BITS
                at += 1
        kind = find(events, value)
        if kind == ABSENT:
            _note_other(value, name, min(at, end), counts, hashes, numbers, places)
            continue
        if kind == BLOCK_ISSUE and not reads_data(signs, at + 1, end):
            continue
        fields[record, :] = ABSENT
        if kind != MARK:
            fill(signs, at + 1, end, kind, keys, flags, fields[record])
        elif not find_mark(signs, at + 1, end, fields[record]):
            fill(signs, at + 1, end, kind, keys, flags, fields[record])
            fields[record, TEXT_FIRST] = ABSENT  # whatever key of the text has its column
        if kind in (ADD, DELETE) and fields[record, ORDER] == ABSENT:
            fields[record, ORDER] = 0  # kernels before large folios
        complete = fields[record, ORDER] <= MAX_ORDER or kind in (REFAULT, MARK)
        for field in range(FIELDS):
            complete = complete and (not needed[kind, field] or fields[record, field] != ABSENT)
        if not complete:
            counts[INCOMPLETE] += 1
            if counts[FIRST_INCOMPLETE] == 0:
                counts[FIRST_INCOMPLETE] = counts[LINES]
            continue
        kinds[record] = kind
        times[record] = _nanoseconds(signs, colon)
        pids[record] = _pid(signs, start, colon)
        kswapd[record] = starts(signs, start, end, KSWAPD_WORD)
        # The kernel knows no name: <...>-97, or none at all.
        sign = wide(signs[start])
        named[record] = sign != _HYPHEN and not (sign == _LESS and wide(signs[start + 1]) == _DOT)
        lines[record] = counts[LINES]
        record += 1
    return record
