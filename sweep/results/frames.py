"""Parts of a file, each with a checksum: what is damaged is seen, and the other parts are read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

#: How a part begins. No text has these bytes.
MAGIC = b"\x89rows\r\n\x1a"
#: The place of a part, how many parts the file has, and the length of this one in bytes.
_ABOUT = struct.Struct("<IIQ")
#: Of all that, and of the content.
_CHECKSUM = struct.Struct("<I")
_HEAD = len(MAGIC) + _ABOUT.size + _CHECKSUM.size


def framed(parts: Sequence[bytes]) -> bytes:
    """Return the content of a file with such parts.

    CRC-32 takes 0.6 ms of 1 MB, where BLAKE2 takes 2.4; nobody forges what only we write.
    """
    pieces = []
    for place, content in enumerate(parts):
        about = _ABOUT.pack(place, len(parts), len(content))
        pieces += [MAGIC, about, _CHECKSUM.pack(zlib.crc32(content, zlib.crc32(about))), content]
    return b"".join(pieces)


def is_framed(content: bytes) -> bool:
    """Return whether a file has such parts, damaged though they may be."""
    return MAGIC in content


def parts_of(content: bytes) -> tuple[list[bytes], int]:
    """Return the parts of a file that are whole, and how many are not."""
    whole = dict(_whole(content))
    count = max((count for _, count in whole), default=1)
    return [whole[place] for place in sorted(whole)], count - len(whole)


def _whole(content: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the parts whose checksum is right, wherever they begin, by place and count."""
    start = content.find(MAGIC)
    while start >= 0:
        head, end = start + len(MAGIC), start + _HEAD
        if end > len(content):
            return
        about = content[head : head + _ABOUT.size]
        place, count, length = _ABOUT.unpack(about)
        (checksum,) = _CHECKSUM.unpack(content[end - _CHECKSUM.size : end])
        part = content[end : end + length]
        is_whole = len(part) == length and zlib.crc32(part, zlib.crc32(about)) == checksum
        if is_whole:
            yield (place, count), part
        # The length of a damaged part may be what is damaged.
        start = content.find(MAGIC, end + length if is_whole else start + 1)
