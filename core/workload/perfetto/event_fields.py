"""Reads the fields of ftrace events in packets: with numbers, or with names."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide
from core.machine import MAX_ORDER
from core.workload.ftrace.words import (
    ABSENT,
    EVENT_TABLE,
    FIELDS,
    HASH_BITS,
    HASH_FACTOR,
    MARK,
    NEEDED_TABLE,
    ORDER,
    REFAULT,
    TEXT_END,
    TEXT_FIRST,
)
from core.workload.perfetto.signature import BYTES, VARINT
from core.workload.perfetto.slots import (
    COMMAND,
    DEVICE,
    GENERIC,
    KPROBE,
    LAST_PAGE,
    OTHER,
    PAGE_INDEX,
    TEXT,
    Tables,
)
from core.workload.perfetto.wire import (
    BROKEN,
    length,
    positive,
    skip,
    varint,
)

# Elements of the counts of `read_bundles`.
SEEN, GARBLED, UNDESCRIBED, UNKNOWN_ORDERS, INCOMPLETE, OTHER_NAMES, COUNTS = range(7)
#: So many generic events and probes that are not used are counted by name.
MOST_OTHERS = 256
_LETTER_M, _LETTER_R, _LETTER_P = ord("M"), ord("R"), ord("P")
_BAR, _SPACE = ord("|"), ord(" ")
_ASYNCHRONOUS, _SYNCHRONOUS = (ord("S"), ord("F")), (ord("B"), ord("E"))
_LAUNCH, _EQUALS = (np.frombuffer(word, dtype=np.uint8) for word in (b"launching: ", b"="))


class Room(NamedTuple):
    """Where `read_bundles` writes records; each [record]."""

    kind: NDArray[np.uint8]
    time_ns: NDArray[np.int64]
    pid: NDArray[np.int64]
    fields: NDArray[np.int64]  # [record, FIELDS]


class Counted(NamedTuple):
    """What `read_bundles` counts."""

    counts: NDArray[np.int64]  # [COUNTS]
    of_slot: NDArray[np.int64]  # [slot] events seen
    hashes: NDArray[np.int64]  # [MOST_OTHERS] of generic events and probes that are not used
    others: NDArray[np.int64]  # [MOST_OTHERS] how many
    places: NDArray[np.int64]  # [MOST_OTHERS, 2] where the name lies in the bytes read


@kernel
def _hash(signs: NDArray[np.uint8], first: int, end: int) -> int:
    value = wide(0)
    for at in range(first, end):
        value = value * HASH_FACTOR + wide(signs[at]) & HASH_BITS
    return value


@kernel
def _put(
    signs: NDArray[np.uint8],
    value: int,
    end: int,
    column: int,
    how: int,
    page_shift: int,
    row: NDArray[np.int64],
) -> None:
    """Put a field's value into its column; of bytes, `value` is where they begin."""
    if how == TEXT:
        row[TEXT_FIRST], row[TEXT_END] = value, end
    elif how == COMMAND:
        reads, of_metadata = wide(0), wide(0)
        for at in range(value, end):
            reads |= wide(signs[at]) == _LETTER_R
            of_metadata |= wide(signs[at]) == _LETTER_M
        row[column] = reads & (1 - of_metadata)
    elif how == DEVICE:
        major = (value >> 8 & 0xFFF) | (value >> 32 & 0xFFFF_F000)
        minor = (value & 0xFF) | (value >> 12 & 0xFFFF_FF00)
        row[column] = positive(major << 20 | minor)
    elif how == PAGE_INDEX:
        row[column] = positive(value << page_shift)
    elif how == LAST_PAGE:
        row[column] = positive((value + 1 << page_shift) - 1)
    else:
        row[column] = positive(value)


@kernel
def known_fields(
    signs: NDArray[np.uint8],
    at: int,
    end: int,
    slot: int,
    tables: Tables,
    page_shift: int,
    row: NDArray[np.int64],
) -> bool:
    """Read the fields of an event whose fields have numbers; return whether they can be read."""
    while at < end:
        tag, at = varint(signs, at, end)
        number, wire = tag >> 3, tag & 7
        if at == BROKEN or number <= 0:
            return False
        column = wide(ABSENT)
        if number < tables.column.shape[1]:
            column = wide(tables.column[slot, number])
        if column == ABSENT or wire not in (VARINT, BYTES):
            at = skip(signs, at, end, wire)
            if at == BROKEN:
                return False
            continue
        how = wide(tables.how[slot, number])
        if wire == VARINT:
            value, at = varint(signs, at, end)
        else:
            value, at = length(signs, at, end)
        if at == BROKEN:
            return False
        if (wire == BYTES) == (how in (TEXT, COMMAND)):
            _put(signs, value, at, column, how, page_shift, row)
    return True


@kernel
def _named_field(
    signs: NDArray[np.uint8],
    at: int,
    end: int,
    kind: int,
    tables: Tables,
    page_shift: int,
    row: NDArray[np.int64],
) -> bool:
    """Read a field that says its own name; return whether it can be read."""
    name, value, last, is_text = wide(0), wide(0), wide(0), False
    while at < end:
        tag, at = varint(signs, at, end)
        number, wire = tag >> 3, tag & 7
        if at == BROKEN or number <= 0:
            return False
        if wire == BYTES:
            first, at = length(signs, at, end)
            if at == BROKEN:
                return False
            if number == 1:
                name = _hash(signs, first, at)
            elif number == 3:
                value, last, is_text = first, at, True
        elif wire == VARINT:
            number_value, at = varint(signs, at, end)
            if at == BROKEN:
                return False
            value, is_text = number_value, False
        else:
            at = skip(signs, at, end, wire)
            if at == BROKEN:
                return False
    for place in range(tables.words.shape[1]):
        word = tables.words[kind, place]
        if word[0] == 0:
            break
        how = wide(word[2])
        if word[0] == name and is_text == (how in (TEXT, COMMAND)):
            _put(signs, value, last, wide(word[1]), how, page_shift, row)
    return True


@kernel
def _note_other(signs: NDArray[np.uint8], first: int, end: int, counted: Counted) -> None:
    """Count a generic event or a probe that is not used by its name."""
    name = _hash(signs, first, end)
    names = wide(counted.counts[OTHER_NAMES])
    for row in range(names):
        if counted.hashes[row] == name:
            counted.others[row] += 1
            return
    if names < counted.hashes.size:
        counted.counts[OTHER_NAMES] += 1
        counted.hashes[names], counted.others[names] = name, 1
        counted.places[names, 0], counted.places[names, 1] = first, end


@kernel
def generic_fields(
    signs: NDArray[np.uint8],
    begin: int,
    end: int,
    slot_kind: int,
    tables: Tables,
    page_shift: int,
    row: NDArray[np.int64],
    counted: Counted,
) -> int:
    """Read an event that says its own name; return its kind, OTHER, or GENERIC if broken."""
    kind, first, last, at = wide(OTHER), wide(begin), wide(begin), wide(begin)
    while at < end:  # the name may come after the fields
        tag, at = varint(signs, at, end)
        if at == BROKEN:
            return wide(GENERIC)
        if tag == 1 << 3 | BYTES:
            first, at = length(signs, at, end)
            last = at
        else:
            at = skip(signs, at, end, tag & 7)
        if at == BROKEN:
            return wide(GENERIC)
    name = _hash(signs, first, last)
    for place in range(EVENT_TABLE.shape[0]):
        if EVENT_TABLE[place, 0] == name:
            kind = wide(EVENT_TABLE[place, 1])
    if kind == OTHER or slot_kind == KPROBE:
        _note_other(signs, first, last, counted)
        return wide(OTHER)
    at = wide(begin)
    while at < end:
        tag, at = varint(signs, at, end)
        if tag == 2 << 3 | BYTES:
            first, at = length(signs, at, end)
            if not _named_field(signs, first, at, kind, tables, page_shift, row):
                return wide(GENERIC)
        else:
            at = skip(signs, at, end, tag & 7)
    return kind


@kernel
def _has_word(signs: NDArray[np.uint8], at: int, end: int, word: NDArray[np.uint8]) -> bool:
    for first in range(at, end - word.size + 1):
        same = 0
        while same < word.size and signs[first + same] == word[same]:
            same += 1
        if same == word.size:
            return True
    return False


@kernel
def is_mark(signs: NDArray[np.uint8], row: NDArray[np.int64], has_launches: bool) -> bool:
    """Return whether a mark may be of a phase, a launch or a sample.

    Beginnings and ends of other synchronous spans count only where launches are synchronous too.
    """
    at, end = wide(row[TEXT_FIRST]), wide(row[TEXT_END])
    while at < end and wide(signs[at]) == _SPACE:
        at += 1
    if at + 1 >= end or at < 0:
        return False
    if wide(signs[at + 1]) == _BAR:
        if wide(signs[at]) in _SYNCHRONOUS:
            return has_launches
        if wide(signs[at]) in _ASYNCHRONOUS:
            return _has_word(signs, at, end, _LAUNCH)
    return wide(signs[at]) == _LETTER_P or _has_word(signs, at, end, _EQUALS)


@kernel
def is_complete(kind: int, row: NDArray[np.int64]) -> bool:
    """Return whether an event has all the fields without which it cannot be used."""
    complete = row[ORDER] <= MAX_ORDER or kind in (REFAULT, MARK)
    for field in range(FIELDS):
        complete = complete and (not NEEDED_TABLE[kind, field] or row[field] != ABSENT)
    return complete
