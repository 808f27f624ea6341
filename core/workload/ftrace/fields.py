"""Reads the fields of an event in its line of text: numbers, devices, flags, and marks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    DELETE,
    EVICTION,
    FAILED_WORD,
    FAULT,
    GET_PAGES,
    GFP_ATOMIC,
    GFP_BITS,
    GFP_NUMBER,
    GFP_WAITS,
    GFP_WAKES,
    HASH_BITS,
    HASH_FACTOR,
    INODE_GONE,
    KEY_DEV,
    KEY_GFP_FLAGS,
    KEY_I_INO,
    KEY_INDEX,
    KEY_INO,
    KEY_LAST_INDEX,
    KEY_OFS,
    KEY_ORDER,
    KEY_S_DEV,
    LAST_BYTES,
    MAP_PAGES,
    NULL_WORDS,
    OPERATION_WORD,
    PAGE_WORD,
    REFAULT,
    TOUCHED,
)

SPACE, TAB = ord(" "), ord("\t")
_ZERO, _NINE, _COLON, _COMMA, _EQUALS, _BAR = (ord(sign) for sign in "09:,=|")
_LETTER_A, _LETTER_F, _LETTER_X, _HYPHEN = (ord(sign) for sign in "afx-")
_OPEN_PARENTHESIS, _CLOSE_PARENTHESIS = ord("("), ord(")")
_LETTER_G, _LETTER_M, _LETTER_R = ord("G"), ord("M"), ord("R")
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
#: Signs that stand beside GFP flags, as tools print them.
_BETWEEN_FLAGS = (_BAR, _COMMA, _OPEN_PARENTHESIS, _CLOSE_PARENTHESIS, _QUOTE, SPACE, TAB)
_FIRST_OF_FLAGS = (_LETTER_G, ord("_"), ord("n"), _BACKSLASH)  # GFP_, __GFP_, none
#: Of an upper-case letter, this bit makes the lower-case one.
_LOWER = 0x20
#: What a number beyond 62 bits becomes, and the frame of an allocation that failed.
_TOO_LARGE = 1 << 62
#: No order, and so large that it fits nothing.
_NO_ORDER = 255
#: Inodes in hexadecimal digits without 0x, where others are decimal: apart from these.
_OTHER_INODES = 1 << 60
_GFP_NUMBERS = (1 << 48) - 1


@kernel
def find(table: NDArray[np.int64], value: int) -> int:
    """Return the number that a table of words has for a hash, or ABSENT."""
    last = table.shape[0] - 1
    slot = value & last
    while table[slot, 0] != 0:
        if table[slot, 0] == value:
            return int(table[slot, 1])
        slot = (slot + 1) & last
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
def is_letter(sign: int) -> bool:
    """Return whether a sign is a letter a to f, of either case: a digit of hexadecimal numbers."""
    return _LETTER_A <= sign | _LOWER <= _LETTER_F


@kernel
def _number(signs: NDArray[np.uint8], first: int, end: int, hexadecimal: bool) -> int:
    """Return a number, which is hexadecimal if it begins with 0x too, or ABSENT if it is none."""
    at = first
    base = 16 if hexadecimal else 10
    if end - first > 2 and wide(signs[at]) == _ZERO and wide(signs[at + 1]) | _LOWER == _LETTER_X:
        base = 16
        at += 2
    if at == end:
        return ABSENT
    value = wide(0)
    for place in range(at, end):
        sign = wide(signs[place])
        if is_digit(sign):
            digit = sign - _ZERO
        elif base == 16 and is_letter(sign):
            digit = (sign | _LOWER) - _LETTER_A + 10
        else:
            # Of a range such as 0-4095 the first number counts; anything else is no number.
            return value if sign == _HYPHEN and place > at else ABSENT
        if base == 16:  # a pointer keeps its lower 63 bits
            value = (value & 0x07FF_FFFF_FFFF_FFFF) << 4 | digit
        else:
            value = value * 10 + digit if value < _TOO_LARGE // 16 else _TOO_LARGE
    return value


@kernel
def _device(signs: NDArray[np.uint8], first: int, end: int) -> int:
    """Return major << 20 | minor of ``major:minor``, or of that number itself."""
    for at in range(first, end):
        if wide(signs[at]) == _COLON or wide(signs[at]) == _COMMA:
            major = _number(signs, first, at, False)
            minor = _number(signs, at + 1, end, False)
            return major << 20 | minor if major >= 0 and minor >= 0 else ABSENT
    return _number(signs, first, end, False)


@kernel
def _has_letters(signs: NDArray[np.uint8], first: int, end: int) -> bool:
    """Return whether a word is of hexadecimal digits alone, and has one that is no decimal one."""
    letters = 0
    for at in range(first, end):
        if is_letter(wide(signs[at])):
            letters += 1
        elif not is_digit(wide(signs[at])):
            return False
    return letters > 0


@kernel
def _gfp(signs: NDArray[np.uint8], first: int, end: int, table: NDArray[np.int64]) -> int:
    """Return the bits of ``GFP_A|__GFP_B``, and the numbers among these words.

    If there is a number, GFP_NUMBER is set, and the number stands above the bits of the words.
    ABSENT is returned where no word looks like one of the kernel.
    """
    bits, numbers = wide(0), wide(0)
    value, start = wide(0), first
    is_told = False
    for at in range(first, end + 1):
        sign = wide(signs[at]) if at < end else _BAR
        if sign == _BAR or (sign < _LETTER_G and sign in _BETWEEN_FLAGS):
            if sign == _OPEN_PARENTHESIS:  # a number, and behind it what it stands for
                value, start = wide(0), at + 1
            elif at > start and (is_digit(wide(signs[start])) or is_letter(wide(signs[start]))):
                number = _number(signs, start, at, _has_letters(signs, start, at))
                if number != ABSENT:
                    is_told = True
                    numbers |= GFP_NUMBER | (number & _GFP_NUMBERS) << GFP_BITS
            elif at > start:
                is_told = is_told or wide(signs[start]) in _FIRST_OF_FLAGS
                bit = find(table, value)
                if bit != ABSENT:
                    bits |= bit
            value = wide(0)
            start = at + 1
        elif sign != _BACKSLASH:  # of Markdown
            value = value * HASH_FACTOR + sign & HASH_BITS
    if not is_told:
        return ABSENT
    if bits & GFP_WAKES and not bits & GFP_WAITS:
        bits |= GFP_ATOMIC
    return bits | numbers


@kernel
def _gfp_end(signs: NDArray[np.uint8], first: int, end: int) -> int:
    """Return the place after GFP flags, which may have spaces beside the signs between them."""
    at = last = first
    joins = True
    while at < end:
        sign = wide(signs[at])
        if sign in (SPACE, TAB):
            at += 1
            continue
        if at > last and not joins and sign != _BAR:
            break
        joins = sign == _BAR
        at += 1
        last = at
    return last


@kernel
def _last_of_range(signs: NDArray[np.uint8], first: int, end: int) -> int:
    """Return the last number of a range such as 0-4095, or ABSENT."""
    for at in range(first, end):
        if wide(signs[at]) == _HYPHEN:
            return _number(signs, at + 1, end, False)
    return ABSENT


@kernel
def reads_data(signs: NDArray[np.uint8], first: int, end: int) -> bool:
    """Return whether a command to a device reads data of files: ``254,0 RA 131072 () 8 + 256``.

    Where the option `fields` of tracefs is set, it has a key: ``rwbs=RA``.
    """
    at = first
    for place in range(first, end):
        if starts(signs, place, end, OPERATION_WORD):
            at = place + OPERATION_WORD.size
    if at == first:
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
def has_equals(signs: NDArray[np.uint8], first: int) -> bool:
    """Return whether a word begins as ``ip=`` does."""
    return wide(signs[first + 2]) == _EQUALS


@kernel
def failed(signs: NDArray[np.uint8], first: int, end: int) -> bool:
    """Return whether an allocation of frame 0, or of none, has no page: it failed.

    Its page is ``(null)``, ``(nil)`` or 0, or it has none, or its frame is -1.
    """
    for at in range(first, end):
        if starts(signs, at, end, FAILED_WORD):
            return True
        if starts(signs, at, end, PAGE_WORD):
            place = at + PAGE_WORD.size
            while place < end and wide(signs[place]) == SPACE:
                place += 1
            if starts(signs, place, end, NULL_WORDS[0]) or starts(signs, place, end, NULL_WORDS[1]):
                return True
            while place < end and wide(signs[place]) in (_ZERO, _LETTER_X):
                place += 1
            return place == end or wide(signs[place]) == SPACE
    return True


@kernel
def _first_index(
    signs: NDArray[np.uint8], first: int, end: int, page_shift: int, beyond: int
) -> int:
    """Return the first byte of the page of an index, or of the one `beyond` pages after it."""
    value = _number(signs, first, end, False)
    return value + beyond << page_shift if 0 <= value < 1 << 45 else ABSENT


@kernel
def _value(
    signs: NDArray[np.uint8],
    first: int,
    end: int,
    key: int,
    kind: int,
    page_shift: int,
    flags: NDArray[np.int64],
) -> int:
    """Return the value of a key, or ABSENT where it is none."""
    if key == KEY_GFP_FLAGS:
        return _gfp(signs, first, end, flags)
    if key == KEY_INO:
        decimal = kind in (REFAULT, TOUCHED, EVICTION, INODE_GONE)
        return _number(signs, first, end, not decimal)
    if key in (KEY_DEV, KEY_S_DEV):
        return _device(signs, first, end)
    if key == KEY_I_INO and _has_letters(signs, first, end):
        return _number(signs, first, end, True) | _OTHER_INODES
    if key == KEY_INDEX and kind in (ADD, DELETE, FAULT, GET_PAGES, MAP_PAGES):
        return _first_index(signs, first, end, page_shift, 0)
    if key == KEY_LAST_INDEX:
        return _first_index(signs, first, end, page_shift, 1) - 1
    if key == KEY_ORDER:
        if end - first > 2 and wide(signs[end - 1]) == _CLOSE_PARENTHESIS:  # '!'(33), or (4)
            place = end - 2
            while place > first and is_digit(wide(signs[place])):
                place -= 1
            if wide(signs[place]) == _OPEN_PARENTHESIS:
                return _number(signs, place + 1, end - 1, False)
        order = _number(signs, first, end, False)
        return order if order != ABSENT else _NO_ORDER
    return _number(signs, first, end, False)


@kernel
def fill(
    signs: NDArray[np.uint8],
    first: int,
    end: int,
    kind: int,
    page_shift: int,
    keys: NDArray[np.int64],
    columns: NDArray[np.int64],
    flags: NDArray[np.int64],
    fields: NDArray[np.int64],
) -> None:
    """Read ``key=value`` and ``key value`` pairs into `fields`; of a key's values the first counts.

    Parameters
    ----------
    signs, first, end
        The text, and where the pairs are in it.
    kind
        The kind of the event.
    page_shift
        The binary logarithm of the page's size.
    keys, columns, flags
        The tables of words: keys, the columns of their values, and GFP flags.
    fields
        Those of the event, all of them ABSENT.
    """
    at = first
    waiting = wide(ABSENT)  # the key before this word, if it had no =
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
        waiting = wide(ABSENT)
        column = columns[kind, key] if key != ABSENT else wide(ABSENT)
        if column == ABSENT or fields[column] != ABSENT:
            continue
        if key == KEY_GFP_FLAGS and _BAR in (signs[at - 1], signs[min(at + 1, end - 1)]):
            at = _gfp_end(signs, start, end)
        fields[column] = _value(signs, start, at, key, kind, page_shift, flags)
        if key == KEY_OFS and kind in (GET_PAGES, MAP_PAGES):
            fields[LAST_BYTES] = _last_of_range(signs, start, at)
