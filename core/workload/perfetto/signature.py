"""How a trace of Perfetto begins, as packets or as text of them."""

from __future__ import annotations

import re

# The wire types of numbers and of bytes.
VARINT, BYTES = 0, 2
#: A packet is shorter than this, or it is none; the recorder's own limit is far below.
MOST_PACKET_BYTES = 1 << 26
_LOOKED_AT = 16
_TEXT = re.compile(rb"(\xef\xbb\xbf)?(\s|#[^\n]*\n)*packet\s*:?\s*[{<]")
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def is_perfetto(content: bytes) -> bool:
    """Return whether a file begins as a trace of Perfetto does, with packets or text of them."""
    return looks_like_perfetto(content) or is_text_form(content)


def is_text_form(content: bytes) -> bool:
    """Return whether a file begins with a packet as text."""
    return _TEXT.match(content[:4096]) is not None


def looks_like_perfetto(content: bytes) -> bool:
    """Return whether a file begins as a trace of Perfetto does, with packets.

    Parameters
    ----------
    content
        The beginning of a file, decompressed.
    """
    if not _NO_TEXT.search(content[:4096]):
        return False  # text that begins with an empty line
    at, packets = 0, 0
    while content[at : at + 1] == b"\n" and packets < _LOOKED_AT:
        size, first = _varint_of(content, at + 1)
        if not 0 < size < MOST_PACKET_BYTES or not _is_message(content[first : first + size], size):
            return False
        packets += 1
        at = first + size
    return packets > 0 and (packets == _LOOKED_AT or at >= len(content))


def _varint_of(content: bytes, at: int) -> tuple[int, int]:
    """Return (a varint, where it ends); 0 where it is cut off or too long."""
    value = 0
    for place in range(at, min(at + 10, len(content))):
        value |= (content[place] & 127) << 7 * (place - at)
        if content[place] < 128:
            return value, place + 1
    return 0, len(content)


def _is_message(content: bytes, size: int) -> bool:
    """Return whether bytes are a packet, as far as they are there, of `size` bytes in all."""
    at = 0
    while at < len(content):
        tag, at = _varint_of(content, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 5000 or wire not in (0, 1, 2, 5) or (number == 1 and wire != BYTES):
            return at >= len(content) > 0 and len(content) < size
        value, after = _varint_of(content, at)
        at = {0: after, 1: at + 8, 5: at + 4, BYTES: after + value}[wire]
    return at == size or len(content) < size
