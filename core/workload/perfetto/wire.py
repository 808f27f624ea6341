"""The wire form of protocol buffers: varints, tags, lengths, and where the packets of a trace lie.

A message is a row of fields. Each begins with a tag, number << 3 | wire type; after it comes a
varint (wire type 0), eight bytes (1), a length and so many bytes (2), or four bytes (5).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, kernel, wide
from core.workload.perfetto.signature import BYTES, MOST_PACKET_BYTES, VARINT

BROKEN = -1
#: Numbers of fields are below this in the messages of a trace.
_MOST_NUMBER = 1 << 20
_LOW_BITS = 0x7FFF_FFFF_FFFF_FFFF
# Columns of what `find_packets` finds. The body is the bundle of ftrace events of one CPU, or the
# packets that this packet holds compressed.
PACKET, PACKET_END, HOLDS, BODY, BODY_END, SEQUENCE, MACHINE, DROPPED, SPAN = range(9)
#: What a packet holds, of what is read, in bits of HOLDS, by the number of its field.
HELD = {1: 1, 2: 2, 6: 4, 7: 8, 34: 16, 35: 32, 45: 64, 50: 128, 133: 256}
FTRACE, PROCESS_TREE, CLOCKS, SYS_STATS, FTRACE_STATS, TRACE_STATS, SYSTEM, ZLIB, ZSTD = (
    HELD.values()
)
COMPRESSED = ZLIB | ZSTD
_SEQUENCE_FIELD, _DROPPED_FIELD, _MACHINE_FIELD = 10, 42, 98
_HELD = np.zeros(256, dtype=np.int64)
_HELD[list(HELD)] = list(HELD.values())


@kernel
def varint(signs: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Return (a varint, where it ends), which is `BROKEN` if it goes on beyond `end`."""
    value, shift = wide(0), wide(0)
    while at < end and shift < 70:
        sign = wide(signs[at])
        value |= (sign & 127) << min(shift, 63)
        at += 1
        if sign < 128:
            return value, at
        shift += 7
    return wide(0), wide(BROKEN)


@kernel
def length(signs: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Return (where bytes begin, where they end) of a length and its bytes, or `BROKEN`."""
    size, first = varint(signs, at, end)
    if first == BROKEN or size < 0 or size > end - first:
        return wide(BROKEN), wide(BROKEN)
    return wide(first), wide(first + size)


@kernel
def skip(signs: NDArray[np.uint8], at: int, end: int, wire: int) -> int:
    """Return where the value of a field ends, or `BROKEN`."""
    if wire == VARINT:
        return varint(signs, at, end)[1]
    if wire == BYTES:
        return length(signs, at, end)[1]
    size = 8 if wire == 1 else 4
    if wire not in (1, 5) or end - at < size:
        return wide(BROKEN)
    return wide(at + size)


@kernel
def positive(value: int) -> int:
    """Return the lower 63 bits of a number: what an import keeps of pointers and of -1."""
    return wide(value & _LOW_BITS)


@kernel
def _packet(signs: NDArray[np.uint8], at: int, end: int, span: NDArray[np.int64]) -> bool:
    """Note what a packet holds; return whether it can be read."""
    for column in range(SPAN):
        span[column] = 0
    span[PACKET], span[PACKET_END] = at, end
    while at < end:
        tag, at = varint(signs, at, end)
        number, wire = tag >> 3, tag & 7
        if at == BROKEN or number <= 0 or number > _MOST_NUMBER:
            return False
        if wire == BYTES:
            first, at = length(signs, at, end)
            if at == BROKEN:
                return False
            if number < _HELD.size and _HELD[number] != 0:
                span[HOLDS] |= _HELD[number]
                if _HELD[number] & (FTRACE | COMPRESSED):
                    span[BODY], span[BODY_END] = first, at
        elif wire == VARINT:
            value, at = varint(signs, at, end)
            if at == BROKEN:
                return False
            if number == _SEQUENCE_FIELD:
                span[SEQUENCE] = value
            elif number == _DROPPED_FIELD:
                span[DROPPED] = value
            elif number == _MACHINE_FIELD:
                span[MACHINE] = value
        else:
            at = skip(signs, at, end, wire)
            if at == BROKEN:
                return False
    return True


@entry
def find_packets(
    signs: NDArray[np.uint8], at: int, spans: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[int, int, bool]:
    """Find packets of which something is read.

    Parameters
    ----------
    signs
        Bytes of a trace.
    at
        Where a packet begins.
    spans
        Gets a row for each packet found, as long as there is room.
    counts
        The packets seen so far, and how many of them cannot be read.

    Returns
    -------
    found, at, is_broken
        How many rows there are; where the first packet begins that was not seen whole; and whether
        what stands there is no packet.
    """
    found = wide(0)
    at = wide(at)
    while at < signs.size and found < spans.shape[0]:
        tag, after = varint(signs, at, wide(signs.size))
        number, wire = tag >> 3, tag & 7
        if after == BROKEN:
            return found, at, signs.size - at > 10
        if number <= 0 or number > _MOST_NUMBER:
            return found, at, True
        if wire != BYTES:
            end = skip(signs, after, wide(signs.size), wire)
            if end == BROKEN:
                return found, at, signs.size - after > 10 or wire not in (0, 1, 5)
            at = end
            continue
        size, first = varint(signs, after, wide(signs.size))
        if first == BROKEN:
            return found, at, signs.size - after > 10
        if size < 0 or size > MOST_PACKET_BYTES:
            return found, at, True
        if size > signs.size - first:
            return found, at, False
        if number == 1:
            counts[0] += 1
            if not _packet(signs, first, first + size, spans[found]):
                counts[1] += 1
            elif spans[found, HOLDS] != 0 or spans[found, DROPPED] != 0:
                found += 1
        at = first + size
    return found, at, False
