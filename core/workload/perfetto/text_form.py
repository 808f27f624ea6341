"""Packets that are written as text, as ``traceconv text`` does: ``packet { … }`` and so on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from core.workload.perfetto.signature import MOST_PACKET_BYTES

# Strings and comments may hold any brace.
_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*|[{}<>]')


class TextPackets:
    """The packets in text that comes in pieces.

    Parameters
    ----------
    packet_of
        Returns the bytes of a packet that is written as text, or None if it cannot be read.
    """

    def __init__(self, packet_of: Callable[[str], bytes | None]) -> None:
        self._packet_of = packet_of
        self._rest, self._first = b"", 1  # what is not read yet, and the number of its first line
        #: Packets that cannot be read, and the line of the first one.
        self.unreadable, self.first_unreadable = 0, 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield each packet that is whole with one more piece, after its tag and length."""
        text = self._rest + piece
        whole = text.rfind(b"\n") + 1
        depth, begin, done = 0, 0, 0
        for token in _TOKEN.finditer(text, 0, whole):
            sign = token[0]
            if sign in b"{<":
                depth += 1
                if depth == 1:
                    begin = token.end()
            elif sign in b"}>":
                depth = max(0, depth - 1)
                if depth == 0 and begin:
                    yield from self._made(text[begin : token.start()], text, done, begin)
                    self._first += text.count(b"\n", done, token.end())
                    done, begin = token.end(), 0
        self._rest = text[done:]

    def _made(self, body: bytes, text: bytes, done: int, begin: int) -> Iterator[bytes]:
        packet = self._packet_of(body.decode(errors="replace"))
        if packet is not None:
            yield b"\n" + _varint(len(packet)) + packet
            return
        self.unreadable += 1
        if self.first_unreadable == 0:
            self.first_unreadable = self._first + text.count(b"\n", done, begin)

    @property
    def has_rest(self) -> bool:
        """Whether there is a packet of which the end is missing."""
        return bool(self._rest.strip())

    @property
    def is_endless(self) -> bool:
        """Whether what should be one packet is longer than any."""
        return len(self._rest) > MOST_PACKET_BYTES


def _varint(value: int) -> bytes:
    signs = bytearray()
    while value > 127:
        signs.append(value & 127 | 128)
        value >>= 7
    signs.append(value)
    return bytes(signs)
