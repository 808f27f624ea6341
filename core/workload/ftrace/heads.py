"""What stands before an event in a line of text: its time, its task and its name; and its mark.

The columns are those of tracefs, ``trace-cmd report`` and ``perf script``; other_heads.py reads
other ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide
from core.workload.ftrace.fields import SPACE, TAB, has_equals, is_digit, starts
from core.workload.ftrace.words import (
    ABSENT,
    BUFFER_WORD,
    HASH_BITS,
    HASH_FACTOR,
    KDAMOND_WORD,
    KSWAPD_WORD,
    MARK_WORD,
    PERF_WORD,
    PHASE_WORD,
    TEXT_END,
    TEXT_FIRST,
)

#: The number of a task of which a line does not tell it.
UNKNOWN_PID = ABSENT
#: No kernel has a time beyond this: 64 bits of nanoseconds with a sign.
_LAST_SECOND = (1 << 63) // 1_000_000_000 - 1
_ZERO, _COLON, _DOT, _EQUALS, _HYPHEN, _SLASH = (ord(sign) for sign in "0:.=-/")
_OPEN_BRACKET, _CLOSE_BRACKET, _OPEN, _CLOSE = (ord(sign) for sign in "[]()")
_LESS, _QUESTION, _PLUS, _UNDERSCORE, _BAR, _MORE = (ord(sign) for sign in "<?+_|>")
_LETTER_A, _LETTER_K, _LETTER_Z = (ord(sign) for sign in "akz")
#: Of an upper-case letter, this bit makes the lower-case one.
_LOWER = 0x20
#: Beginnings and ends of the spans that programs of Android mark.
_SPAN_SIGNS = tuple(ord(sign) for sign in "SFBE")


@kernel
def find_stamp(signs: NDArray[np.uint8], first: int, end: int) -> tuple[int, int]:
    """Return the places of the line's time and of the colon after it, or ABSENT twice."""
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
                return before + 1, at
    return wide(ABSENT), wide(ABSENT)


@kernel
def nanoseconds(signs: NDArray[np.uint8], first: int, colon: int) -> int:
    """Return the time in nanoseconds, or ABSENT where it has more than 64 bits."""
    value = wide(0)
    at = first
    while wide(signs[at]) != _DOT:
        value = value * 10 + wide(signs[at]) - _ZERO
        if value > _LAST_SECOND:
            return ABSENT
        at += 1
    for place in range(at + 1, colon):
        value = value * 10 + wide(signs[place]) - _ZERO
    return value * 1000 if colon - at == 7 else value


@kernel
def task_end_of(signs: NDArray[np.uint8], first: int, stamp: int) -> int:
    """Return the place after the task's number, or ABSENT where the columns are others.

    It stands before ``[cpu]`` and any ``(tgid)``; flags may stand between these and the time.
    """
    at = stamp - 1
    while at > first and wide(signs[at]) in (SPACE, TAB):
        at -= 1
    if wide(signs[at]) != _CLOSE_BRACKET:
        while at > first and wide(signs[at]) not in (SPACE, TAB, _CLOSE_BRACKET):
            at -= 1
        while at > first and wide(signs[at]) in (SPACE, TAB):
            at -= 1
        if wide(signs[at]) != _CLOSE_BRACKET:
            return ABSENT
    at -= 1
    while at > first and is_digit(wide(signs[at])):
        at -= 1
    if at <= first or wide(signs[at]) != _OPEN_BRACKET:
        return ABSENT
    at -= 1
    while at > first and wide(signs[at]) in (SPACE, TAB):
        at -= 1
    if wide(signs[at]) == _CLOSE:
        while at > first and wide(signs[at]) != _OPEN:
            at -= 1
        at -= 1
        while at > first and wide(signs[at]) in (SPACE, TAB):
            at -= 1
    return at + 1


@kernel
def task_pid(signs: NDArray[np.uint8], first: int, end: int) -> tuple[int, int]:
    """Return a task's number and the place after its name; the place is ABSENT if it has none."""
    value, unit = wide(0), wide(1)
    at = end - 1
    while at >= first and is_digit(wide(signs[at])) and unit < 10**17:
        value += (wide(signs[at]) - _ZERO) * unit
        unit *= 10
        at -= 1
    if at == end - 1:
        if at <= first or wide(signs[at]) != _QUESTION:
            return wide(0), wide(ABSENT)
        value = wide(UNKNOWN_PID)
        at -= 1
    if at < first:
        return value, first
    if wide(signs[at]) == _SLASH:  # perf's pid/tid
        at -= 1
        while at >= first and is_digit(wide(signs[at])):
            at -= 1
    elif wide(signs[at]) == _HYPHEN:
        return value, at
    if at >= first and wide(signs[at]) not in (SPACE, TAB):
        return value, wide(ABSENT)
    while at >= first and wide(signs[at]) in (SPACE, TAB):
        at -= 1
    return value, at + 1


@kernel
def task_name(signs: NDArray[np.uint8], first: int, end: int) -> tuple[bool, bool]:
    """Return whether the name that ends at a place is known, and whether it is a kswapd's.

    A kdamond.0 is one too: what it takes from the page cache, DAMON reclaims.

    Before it may be whatever a mail, a log or another program put at the beginning of the line.
    """
    at = end
    letter = wide(ABSENT)
    while at > first and wide(signs[at - 1]) not in (SPACE, TAB):
        at -= 1
        if wide(signs[at]) == _LETTER_K:
            letter = at
    if at == end:  # no name, or one that ends in a space
        while at > first and wide(signs[at - 1]) in (SPACE, TAB):
            at -= 1
        return at > first, False
    if letter == ABSENT:
        return wide(signs[at]) != _LESS or wide(signs[at + 1]) != _DOT, False
    digit = letter + KSWAPD_WORD.size
    if starts(signs, letter, end, KDAMOND_WORD):
        digit = letter + KDAMOND_WORD.size
    elif not starts(signs, letter, end, KSWAPD_WORD):
        return True, False
    if digit >= end:
        return True, False
    if letter > at and wide(signs[letter - 1]) not in (
        *(_COLON, _BAR, _MORE, _PLUS),
        _OPEN_BRACKET,  # as ps prints it: [kswapd0]
    ):
        return True, False
    place = digit
    while place < end and is_digit(wide(signs[place])):
        place += 1
    return True, place > digit and (place == end or wide(signs[place]) in (_COLON, _CLOSE_BRACKET))


@kernel
def _is_word(sign: int) -> bool:
    """Return whether the name of an event may begin with a sign."""
    return is_digit(sign) or sign == _UNDERSCORE or _LETTER_A <= sign | _LOWER <= _LETTER_Z


@kernel
def event_name(signs: NDArray[np.uint8], colon: int, end: int) -> tuple[int, int, int]:
    """Return where an event's name begins and ends, and its hash; ABSENT where it has no name."""
    at = colon + 1
    while at < end and wide(signs[at]) in (SPACE, TAB):
        at += 1
    if at + 1 < end and wide(signs[at]) == _OPEN and wide(signs[at + 1]) == _PLUS:
        # The time since the line before: (+123).
        while at < end and wide(signs[at]) not in (SPACE, TAB):
            at += 1
        while at < end and wide(signs[at]) in (SPACE, TAB):
            at += 1
    if at == end or not _is_word(wide(signs[at])) or starts(signs, at, end, PERF_WORD):
        return wide(ABSENT), wide(ABSENT), wide(0)
    name, value = at, wide(0)
    while at < end and not (wide(signs[at]) == _COLON and wide(signs[at - 1]) != _COLON):
        if wide(signs[at]) == _EQUALS:
            return wide(ABSENT), wide(ABSENT), wide(0)
        value = value * HASH_FACTOR + wide(signs[at]) & HASH_BITS
        at += 1
    if at + 1 < end and wide(signs[at + 1]) not in (SPACE, TAB):  # perf's system:event
        at += 1
        name, value = at, wide(0)
        while at < end and wide(signs[at]) not in (_COLON, _EQUALS):
            value = value * HASH_FACTOR + wide(signs[at]) & HASH_BITS
            at += 1
    if at == end or wide(signs[at]) != _COLON:
        return wide(ABSENT), wide(ABSENT), wide(0)
    return name, at, value


@kernel
def _is_mark(signs: NDArray[np.uint8], at: int, end: int) -> bool:
    """Return whether the text of a mark of a phase or a span stands at a place."""
    is_span = at < end and wide(signs[at]) in _SPAN_SIGNS
    if is_span and at + 1 < end:
        is_span = wide(signs[at + 1]) == _BAR
    return is_span or starts(signs, at, end, PHASE_WORD)


@kernel
def find_mark(signs: NDArray[np.uint8], first: int, end: int, fields: NDArray[np.int64]) -> bool:
    """Return whether a mark is of a phase or a span; its text is then noted in `fields`."""
    at = first
    for word in range(3):
        while at < end and wide(signs[at]) in (SPACE, TAB):
            at += 1
        if starts(signs, at, end, MARK_WORD):
            at += MARK_WORD.size
        elif starts(signs, at, end, BUFFER_WORD):
            at += BUFFER_WORD.size
        elif word < 2 and not _is_mark(signs, at, end):
            # A function or an address: 0xffffffff8104: or ip=0xffffffff8104.
            skipped = at
            while skipped < end and wide(signs[skipped]) not in (SPACE, TAB):
                skipped += 1
            if skipped < end and (wide(signs[skipped - 1]) == _COLON or has_equals(signs, at)):
                at = skipped
    found = _is_mark(signs, at, end)
    if found:
        fields[TEXT_FIRST] = at
        fields[TEXT_END] = end
    return found
