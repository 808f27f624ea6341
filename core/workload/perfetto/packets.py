"""Reads the files of a Perfetto trace block by block, with the packets found in each block."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.workload.perfetto.protos import Protos
from core.workload.perfetto.signature import MOST_PACKET_BYTES, is_text_form
from core.workload.perfetto.text_form import TextPackets
from core.workload.perfetto.wire import (
    BODY,
    BODY_END,
    COMPRESSED,
    HOLDS,
    PACKET,
    PACKET_END,
    SPAN,
    ZLIB,
    find_packets,
)
from core.workload.text import Progress, TraceError, read_pieces

_ROOM = 1 << 14


class Block(NamedTuple):
    """Some bytes of a trace, and the packets in them of which something is read."""

    file: int  # which of the files
    signs: NDArray[np.uint8]
    spans: NDArray[np.int64]  # [packet, SPAN]

    def packet(self, row: int) -> bytes:
        """Return the bytes of a packet."""
        first, end = self.spans[row, [PACKET, PACKET_END]].tolist()
        return self.signs[first:end].tobytes()

    def body(self, row: int) -> bytes:
        """Return the bytes of a packet's bundle, or of the packets that it holds compressed."""
        first, end = self.spans[row, [BODY, BODY_END]].tolist()
        return self.signs[first:end].tobytes()


class Packets:
    """The packets of the files of a trace; they can be read more than once.

    Parameters
    ----------
    paths
        The files, plain or compressed.
    protos
        What reads packets that are written as text.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], protos: Protos) -> None:
        self._paths, self._protos = paths, protos
        self._names = [os.fspath(path) for path in paths]
        self._begin()

    def _begin(self) -> None:
        self._counts = np.zeros(2, dtype=np.int64)
        self._before = 0  # packets of the files before
        self._first_unreadable = ""
        self._unreadable = 0
        self._cut_off: list[str] = []
        self._unread_bytes, self._unread_where = 0, ""

    @property
    def packets(self) -> int:
        """The packets seen by the last reading."""
        return int(self._counts[0])

    def losses(self) -> tuple[Loss, ...]:
        """Return what the last reading could not read."""
        return losses_of(
            {
                "unreadable_packets": (
                    int(self._counts[1]) + self._unreadable,
                    self._first_unreadable,
                ),
                "cut_off_packets": (len(self._cut_off), ", ".join(self._cut_off)),
                "unread_bytes": (self._unread_bytes, self._unread_where),
            }
        )

    def blocks(self, progress: Progress | None = None) -> Iterator[Block]:
        """Yield one block after the other, of one file after the other.

        Raises
        ------
        TraceError
            When a file is missing, empty, or cut in the middle of its compressed data, or when it
            does not begin with a packet.
        """
        self._begin()
        file = 0
        rest, at, broken = b"", 0, False  # `at`: where the rest begins in the file's data
        text: TextPackets | None = None
        is_first = True
        for name, piece in read_pieces(self._paths, progress):
            if is_first and is_text_form(piece):
                text = TextPackets(self._protos.packet_of)
            is_first = False
            if not piece:
                self._end(name, rest, text)
                file, rest, at, broken, text, is_first = file + 1, b"", 0, False, None, True
                self._before = self.packets
            elif broken:
                self._unread_bytes += len(piece)
            elif text is not None:
                yield from self._of_text(name, file, text, piece)
            else:
                data = rest + piece
                used = 0
                for block, block_end, is_broken in self._found(file, data):
                    used, broken = block_end, is_broken
                    yield from self._unpacked(block)
                rest, at = data[used:], at + used
                if broken:
                    self._unread_bytes += len(rest)
                    self._unread_where = self._unread_where or f"from byte {at:,} of {name} on"
                    rest = b""

    def _found(self, file: int, data: bytes) -> Iterator[tuple[Block, int, bool]]:
        """Yield (block, bytes of the data that are used, whether no packet stands there)."""
        signs = np.frombuffer(data or b"", dtype=np.uint8)
        used = 0
        while True:
            spans = np.empty((_ROOM, SPAN), dtype=np.int64)
            found, used, is_broken = find_packets(signs, used, spans, self._counts)
            yield Block(file, signs, spans[:found]), used, is_broken
            if found < _ROOM:
                return

    def _unpacked(self, block: Block) -> Iterator[Block]:
        """Yield a block, and one more for each packet in it that holds other packets."""
        packed = np.flatnonzero(block.spans[:, HOLDS] & COMPRESSED)
        begin = 0
        for row in packed.tolist():
            yield Block(block.file, block.signs, block.spans[begin:row])
            begin = row + 1
            is_zlib = block.spans[row, HOLDS] & ZLIB
            data = (_inflate if is_zlib else _decompress)(block.body(row))
            if not data:
                self._unreadable += 1
                continue
            for inner, _, _ in self._found(block.file, data):
                is_plain = inner.spans[:, HOLDS] & COMPRESSED == 0
                yield Block(block.file, inner.signs, inner.spans[is_plain])
        yield Block(block.file, block.signs, block.spans[begin:])

    def _of_text(self, name: str, file: int, text: TextPackets, piece: bytes) -> Iterator[Block]:
        data = b"".join(text.feed(piece))
        if text.is_endless:
            raise TraceError("has a packet without an end", file=name)
        for block, _, _ in self._found(file, data):
            yield block

    def _end(self, name: str, rest: bytes, text: TextPackets | None) -> None:
        if text is not None:
            self._unreadable += text.unreadable
            if text.unreadable and not self._first_unreadable:
                self._first_unreadable = f"the first in {name}:{text.first_unreadable}"
        if rest or (text is not None and text.has_rest):
            self._cut_off.append(name)
        if self._counts[0] == self._before:
            what = "holds no packet of Perfetto that can be read"
            if text is not None and text.unreadable:
                raise TraceError(what, file=name, line=text.first_unreadable)
            raise TraceError(what, file=name)


def _inflate(body: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(body, MOST_PACKET_BYTES)
    except zlib.error:
        return None


def _decompress(body: bytes) -> bytes | None:
    try:
        data: bytes = pa.CompressedInputStream(io.BytesIO(body), "zstd").read(MOST_PACKET_BYTES)
    except (OSError, pa.ArrowException):
        return None
    return data
