"""The unit of times that no one names, told from how large they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: 1990 and 2100, in seconds since 1970.
FIRST_DATE_S, LAST_DATE_S = 631_152_000, 4_102_444_800
#: Seconds from 1601, where Windows file times begin, to 1970.
_FILETIME_S = 11_644_473_600
#: A zone at the end of a date: ``+02:00`` or ``-0500``.
_ZONE = r":\d\d(?:\.\d+)?\s*[+-]\d\d(?::?\d\d)?$"
_UNITS_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
#: Times that are taken as seconds for want of a better unit span no more than a year if they are
#: dates, else no more than a month: an hour in ms would be 42 days in s.
LONGEST_DATES_NS, LONGEST_SPAN_NS = 366 * 86_400 * 10**9, 31 * 86_400 * 10**9


def unit_of_date(first: int) -> str:
    """Return the unit in which a first time is a date from 1990 to 2100; empty if it is none."""
    for unit, a_second in _UNITS_A_SECOND.items():
        if FIRST_DATE_S * a_second <= first < LAST_DATE_S * a_second:
            return unit
    low, high = ((second + _FILETIME_S) * 10**7 for second in (FIRST_DATE_S, LAST_DATE_S))
    return "100ns" if low <= first < high else ""


def since_when(unit: str) -> str:
    """Return from when on dates in a unit count, in words."""
    return "100 ns since 1601 (a Windows file time)" if unit == "100ns" else f"{unit} since 1970"


def is_date(cell: str) -> bool:
    """Return whether a time is written as a date, such as ``2026-01-02 03:04:05.678``."""
    return len(cell) >= 10 and cell[4:5] == cell[7:8] == "-" and cell[:4].isdigit()


def parse_dates(
    text: pa.StringArray,
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return dates as seconds since 1970 and nanoseconds of them, and the first row without one.

    The row is -1 where each has one. Dates without a zone are taken as of one zone.
    """
    text = pc.replace_substring_regex(text, r"\s*(?:UTC|Z|[+-]00:?00)?\s*$", "")
    text = pc.replace_substring(text, ",", ".")
    try:
        if pc.any(pc.match_substring_regex(text, _ZONE)).as_py():  # then every date needs one
            has_zone = pc.match_substring_regex(text, _ZONE)
            text = pc.if_else(has_zone, text, pc.binary_join_element_wise(text, "Z", ""))
            stamps = text.cast(pa.timestamp("ns", tz="UTC"))
        else:
            stamps = text.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        rows = [word.decode(errors="replace") for word in text.cast(pa.binary()).to_pylist()]
        return (
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            next((row for row, word in enumerate(rows) if not _is_stamp(word)), 0),
        )
    whole_ns = stamps.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return whole_ns // 10**9, whole_ns % 10**9, -1


def _is_stamp(word: str) -> bool:
    try:
        pa.array([word.removesuffix("Z")]).cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return False
    return True
