"""What is known of bundles of ftrace events before their events are read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, kernel, wide
from core.workload.ftrace.words import ABSENT
from core.workload.perfetto.signature import BYTES, VARINT
from core.workload.perfetto.wire import (
    BODY,
    BODY_END,
    BROKEN,
    length,
    positive,
    skip,
    varint,
)

# Columns of what is known of a bundle before its events are read.
CPU, FIRST_NS, LAST_NS, EVENTS, LOST, CLOCK, CLOCK_NS, BOOT_NS, BEFORE_NS = range(9)
DESCRIBES, ERRORS, SCHED, IS_BROKEN, ABOUT = range(9, 14)
EVENT, _LOST, _SCHED, _DESCRIBED, _ERROR = 2, 3, 4, 11, 8
# Numbers of a bundle's fields that are varints, and the column of each.
_NUMBERS = np.full(16, ABSENT, dtype=np.int64)
_NUMBERS[[1, 3, 5, 6, 7, 10]] = CPU, LOST, CLOCK, CLOCK_NS, BOOT_NS, BEFORE_NS
_NO_TIME = 1 << 62


@kernel
def _time_of(signs: NDArray[np.uint8], at: int, end: int) -> int:
    """Return the time of an event, or BROKEN; its time is its first field, or near it."""
    while at < end:
        tag, at = varint(signs, at, end)
        if at == BROKEN:
            return wide(BROKEN)
        if tag == 1 << 3:
            value, at = varint(signs, at, end)
            return positive(value) if at != BROKEN else wide(BROKEN)
        at = skip(signs, at, end, tag & 7)
        if at == BROKEN:
            return wide(BROKEN)
    return wide(0)


@kernel
def _numbers_in(signs: NDArray[np.uint8], at: int, end: int) -> int:
    """Return how many switches and wakings there are in a compact form of them."""
    count = wide(0)
    while at < end:
        tag, at = varint(signs, at, end)
        if at == BROKEN:
            return count
        if tag == 1 << 3 | BYTES or tag == 7 << 3 | BYTES:
            first, at = length(signs, at, end)
            if at == BROKEN:
                return count
            for place in range(first, at):
                count += wide(signs[place]) < 128
        else:
            at = skip(signs, at, end, tag & 7)
            if at == BROKEN:
                return count
    return count


@kernel
def _survey(signs: NDArray[np.uint8], at: int, end: int, about: NDArray[np.int64]) -> bool:
    """Note what is known of a bundle; return whether it can be read."""
    while at < end:
        tag, at = varint(signs, at, end)
        number, wire = tag >> 3, tag & 7
        if at == BROKEN or number <= 0:
            return False
        if wire == BYTES:
            first, at = length(signs, at, end)
            if at == BROKEN:
                return False
            if number == EVENT:
                time_ns = _time_of(signs, first, at)
                if time_ns != BROKEN:
                    about[FIRST_NS] = min(about[FIRST_NS], time_ns)
                    about[LAST_NS] = max(about[LAST_NS], time_ns)
                about[EVENTS] += 1
            elif number == _SCHED:
                about[SCHED] += _numbers_in(signs, first, at)
            elif number == _DESCRIBED:
                about[DESCRIBES] += 1
            elif number == _ERROR:
                about[ERRORS] += 1
        elif wire == VARINT:
            value, at = varint(signs, at, end)
            if at == BROKEN:
                return False
            if number < _NUMBERS.size and _NUMBERS[number] != ABSENT:
                about[_NUMBERS[number]] = value
        else:
            at = skip(signs, at, end, wire)
            if at == BROKEN:
                return False
    return True


@entry
def survey_bundles(signs: NDArray[np.uint8], spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what is known of each bundle.  # [bundle, ABOUT]"""
    about = np.zeros((spans.shape[0], ABOUT), dtype=np.int64)
    for row in range(spans.shape[0]):
        about[row, FIRST_NS] = _NO_TIME
        first, end = wide(spans[row, BODY]), wide(spans[row, BODY_END])
        if not _survey(signs, first, end, about[row]):
            about[row, IS_BROKEN] = 1
    return about
