"""Parses a column of text as exact decimal numbers: whole units, and fractions of a unit."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.jit import entry, kernel, wide

_ZERO, _NINE, _DOT, _SPACE, _A, _F, _X = (ord(sign) for sign in "09. afx")
#: The bit that a small letter has and its capital has not.
_SMALL = 32
#: Any number of so many digits fits 64 bits with a sign.
_DIGITS = 18
_HEXADECIMAL_DIGITS = 15

# What can be wrong with a number.
NO_NUMBER, NEGATIVE, TOO_LARGE = range(3)


def parse_decimals(
    text: pa.StringArray, digits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Return the numbers in a column of text, and the first row that holds no usable number.

    Parameters
    ----------
    text
        A number a row, such as ``12``, ``1.25``, ``1.2e-05`` or ``0x1f``.
    digits
        Digits of the fraction that are kept; the others are cut off.

    Returns
    -------
    tuple
        Whole numbers [row]; fractions [row] in units of ``10**-digits``; the row of the first
        value that is no number from 0 to 2**63 - 1, or -1; and its fault.
    """
    rows = len(text)
    whole, part = (np.zeros(rows, dtype=np.int64) for _ in range(2))
    odd = np.zeros(rows, dtype=np.bool_)
    _, offsets, signs = text.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[text.offset : text.offset + rows + 1]
    data = np.frombuffer(b"" if signs is None else signs, dtype=np.uint8)
    _parse(data, ends, digits, whole, part, odd)
    for row in np.flatnonzero(odd).tolist():
        word = data[ends[row] : ends[row + 1]].tobytes()
        fault = _parse_odd(word, digits, row, whole, part)
        if fault is not None:
            return whole, part, row, fault
    return whole, part, -1, 0


def _parse_odd(
    word: bytes, digits: int, row: int, whole: NDArray[np.int64], part: NDArray[np.int64]
) -> int | None:
    """Parse a number of any other form, such as one with an exponent; return its fault, if any."""
    try:
        value = Decimal(word.decode("ascii").strip())
    except (InvalidOperation, UnicodeDecodeError):
        return NO_NUMBER
    if not value.is_finite():
        return NO_NUMBER
    if value < 0:
        return NEGATIVE
    if value >= 2**63:
        return TOO_LARGE
    whole[row] = int(value)
    part[row] = int((value - int(value)).scaleb(digits))
    return None


@kernel
def _parse_hexadecimal(
    signs: NDArray[np.uint8], at: int, end: int, whole: NDArray[np.int64], row: int
) -> int:
    """Parse at most 15 hexadecimal digits; return where they end, or -1 if there are none."""
    first, value = at, 0
    while at < end and at - first < _HEXADECIMAL_DIGITS:
        sign = wide(signs[at])
        if _ZERO <= sign <= _NINE:
            digit = sign - _ZERO
        elif _A <= sign | _SMALL <= _F:
            digit = (sign | _SMALL) - _A + 10
        else:
            break
        value = value * 16 + digit
        at += 1
    whole[row] = value
    return at if at > first else -1


@entry
def _parse(
    signs: NDArray[np.uint8],
    ends: NDArray[np.int32],
    digits: int,
    whole: NDArray[np.int64],
    part: NDArray[np.int64],
    odd: NDArray[np.bool_],
) -> None:
    """Parse the numbers that are at most 18 digits, a dot, and digits, or hexadecimal.

    The others are marked in `odd`.
    """
    for row in range(whole.size):
        at, end = wide(ends[row]), wide(ends[row + 1])
        while at < end and wide(signs[at]) == _SPACE:
            at += 1
        while end > at and wide(signs[end - 1]) == _SPACE:
            end -= 1
        first = at
        value = 0
        while at < end and at - first < _DIGITS and _ZERO <= wide(signs[at]) <= _NINE:
            value = value * 10 + wide(signs[at]) - _ZERO
            at += 1
        odd[row] = at == first
        whole[row] = value
        if at < end and at - first == 1 and value == 0 and wide(signs[at]) | _SMALL == _X:
            at = _parse_hexadecimal(signs, at + 1, end, whole, row)
            odd[row] = at != end
        elif at < end and wide(signs[at]) == _DOT:
            at += 1
            unit = 1
            for _ in range(digits):
                unit *= 10
            while at < end and _ZERO <= wide(signs[at]) <= _NINE:
                unit //= 10
                part[row] += unit * (wide(signs[at]) - _ZERO)
                at += 1
        if at < end:
            odd[row] = True
