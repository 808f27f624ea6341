"""Reads the fields of an event in its line of text: numbers, devices, flags, and marks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide
from core.workload.ftrace.words import (
    ABSENT,
    DEV,
    EVICTION,
    FLAGS,
    GET_PAGES,
    HASH_BITS,
    HASH_FACTOR,
    INO,
    INODE_GONE,
    LAST_BYTES,
    MARK_WORD,
    OFFSET_BYTES,
    PAGE_ALLOC,
    PHASE_WORD,
    REFAULT,
    TEXT_END,
    TEXT_FIRST,
    TOUCHED,
)

SPACE, TAB = ord(" "), ord("\t")
_ZERO, _NINE, _COLON, _EQUALS, _BAR = (ord(sign) for sign in "09:=|")
_LETTER_A, _LETTER_F, _LETTER_X, _HYPHEN = (ord(sign) for sign in "afx-")
_LETTER_M, _LETTER_R = ord("M"), ord("R")
#: Beginnings and ends of the spans that programs of Android mark.
_SPAN_SIGNS = tuple(ord(sign) for sign in "SFBE")


@kernel
def find(table: NDArray[np.int64], value: int) -> int:
    """Return the number that a table of words has for a hash, or ABSENT."""
    for row in range(table.shape[0]):
        if table[row, 0] == value:
            return int(table[row, 1])
    return ABSENT


@kernel
def is_digit(sign: int) -> bool:
    """Return whether a sign is one of 0 to 9."""
    return _ZERO <= sign <= _NINE


@kernel
def starts(signs: NDArray[np.uint8], at: int, end: int, word: NDArray[np.uint8]) -> bool:
    """Return whether a word stands at a place of the text."""
    if at + word.size > end:
        return False
    same = 0
    while same < word.size and signs[at + same] == word[same]:
        same += 1
    return same == word.size


@kernel
def _number(signs: NDArray[np.uint8], first: int, end: int, hexadecimal: bool) -> int:
    """Return a number, which is hexadecimal if it begins with 0x too, or ABSENT if it is none."""
    at = first
    base = 16 if hexadecimal else 10
    if end - first > 2 and wide(signs[at]) == _ZERO and wide(signs[at + 1]) == _LETTER_X:
        base = 16
        at += 2
    if at == end:
        return ABSENT
    value = wide(0)
    for place in range(at, end):
        sign = wide(signs[place])
        if is_digit(sign):
            digit = sign - _ZERO
        elif base == 16 and _LETTER_A <= sign <= _LETTER_F:
            digit = sign - _LETTER_A + 10
        else:
            # Of a range such as 0-4095 the first number counts; anything else is no number.
            return value if sign == _HYPHEN and place > at else ABSENT
        # A pointer keeps its lower 63 bits.
        if base == 16:
            value = (value & 0x07FF_FFFF_FFFF_FFFF) << 4 | digit
        else:
            value = (value & 0x07FF_FFFF_FFFF_FFFF) * 10 + digit
    return value


@kernel
def _device(signs: NDArray[np.uint8], first: int, end: int) -> int:
    """Return major << 20 | minor of ``major:minor``, or of that number itself."""
    for at in range(first, end):
        if wide(signs[at]) == _COLON:
            major = _number(signs, first, at, False)
            minor = _number(signs, at + 1, end, False)
            return major << 20 | minor if major >= 0 and minor >= 0 else ABSENT
    return _number(signs, first, end, False)


@kernel
def _gfp(signs: NDArray[np.uint8], first: int, end: int, table: NDArray[np.int64]) -> int:
    """Return the bits of ``GFP_A|__GFP_B`` that an import uses."""
    bits = 0
    value = wide(0)
    for at in range(first, end + 1):
        if at == end or wide(signs[at]) == _BAR:
            bit = find(table, value)
            if bit != ABSENT:
                bits |= bit
            value = wide(0)
        else:
            value = value * HASH_FACTOR + wide(signs[at]) & HASH_BITS
    return bits


@kernel
def _last_of_range(signs: NDArray[np.uint8], first: int, end: int) -> int:
    """Return the last number of a range such as 0-4095, or ABSENT."""
    for at in range(first, end):
        if wide(signs[at]) == _HYPHEN:
            return _number(signs, at + 1, end, False)
    return ABSENT


@kernel
def reads_data(signs: NDArray[np.uint8], first: int, end: int) -> bool:
    """Return whether a command to a device reads data of files: ``254,0 RA 131072 () 8 + 256``."""
    at = first
    for _ in range(2):  # the spaces before the device's number, and those after it
        while at < end and wide(signs[at]) not in (SPACE, TAB):
            at += 1
        while at < end and wide(signs[at]) in (SPACE, TAB):
            at += 1
    reads, of_metadata = False, False
    while at < end and wide(signs[at]) not in (SPACE, TAB):
        reads = reads or wide(signs[at]) == _LETTER_R
        of_metadata = of_metadata or wide(signs[at]) == _LETTER_M
        at += 1
    return reads and not of_metadata


@kernel
def find_mark(signs: NDArray[np.uint8], first: int, end: int, fields: NDArray[np.int64]) -> bool:
    """Return whether a mark is of a phase or a span; its text is then noted in `fields`."""
    at = first
    for _ in range(2):
        while at < end and wide(signs[at]) in (SPACE, TAB):
            at += 1
        if starts(signs, at, end, MARK_WORD):
            at += MARK_WORD.size
    is_phase = starts(signs, at, end, PHASE_WORD)
    is_span = at < end and wide(signs[at]) in _SPAN_SIGNS
    if is_span and at + 1 < end:
        is_span = wide(signs[at + 1]) == _BAR
    if is_phase or is_span:
        fields[TEXT_FIRST] = at
        fields[TEXT_END] = end
    return is_phase or is_span


@kernel
def fill(
    signs: NDArray[np.uint8],
    first: int,
    end: int,
    kind: int,
    keys: NDArray[np.int64],
    flags: NDArray[np.int64],
    fields: NDArray[np.int64],
) -> None:
    """Read ``key=value`` and ``key value`` pairs into `fields`."""
    hex_inode = kind not in (REFAULT, TOUCHED, EVICTION, INODE_GONE)
    at = first
    waiting = ABSENT  # the key before this word, if it had no =
    while at < end:
        while at < end and wide(signs[at]) in (SPACE, TAB):
            at += 1
        start = at
        value = wide(0)
        while at < end and wide(signs[at]) not in (SPACE, TAB, _EQUALS):
            value = value * HASH_FACTOR + wide(signs[at]) & HASH_BITS
            at += 1
        key = waiting
        if at < end and wide(signs[at]) == _EQUALS:
            key = find(keys, value)
            at += 1
            start = at
            while at < end and wide(signs[at]) not in (SPACE, TAB):
                at += 1
        elif waiting == ABSENT:
            waiting = find(keys, value)
            continue
        waiting = ABSENT
        if key == DEV:
            fields[DEV] = _device(signs, start, at)
        elif key == FLAGS and kind == PAGE_ALLOC:
            fields[FLAGS] = _gfp(signs, start, at, flags)
        elif key != ABSENT:
            fields[key] = _number(signs, start, at, key == INO and hex_inode)
            if key == OFFSET_BYTES and kind == GET_PAGES:
                fields[LAST_BYTES] = _last_of_range(signs, start, at)
