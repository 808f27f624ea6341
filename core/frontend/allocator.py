"""The page allocator: which frames an allocation gets, so that tagged ones scatter as in life.

mm/page_alloc.c of Linux 6.12, one zone on one CPU: buddies of orders 0 to 10, lists that give the
last freed first, page blocks of order 9 that are movable or not, a stolen block where one kind runs
out, and a per-CPU cache of order 0 that is filled and drained by batches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide

ORDERS = 11
_BLOCK_ORDER = 9
MOVABLE, UNMOVABLE = 0, 1
KINDS = 2
#: Pages of a batch of the per-CPU cache, and how many it keeps.
_BATCH = 63
_HIGH = 4 * _BATCH
_RING = 1024
NONE = -1

# Columns of `frames`: links of the free lists, and 1 + the order of a free block's first frame.
_PREV, _NEXT, _FREE_ORDER = range(3)
FRAME_COLUMNS = 3

Frames = NDArray[np.int32]
Rings = NDArray[np.int64]


class Zone(NamedTuple):
    """The frames of a machine.

    Rows after the last frame head the free lists, by kind and order.
    """

    frames: Frames  # [frame + KINDS * ORDERS, FRAME_COLUMNS]
    kinds: NDArray[np.uint8]  # [page block]
    rings: Rings  # [kind, _RING + 2] the per-CPU cache: frames, then its first place and its length


def make_zone(data_pages: int) -> Zone:
    """Return a zone without a free frame."""
    frames = np.zeros((data_pages + KINDS * ORDERS, FRAME_COLUMNS), dtype=np.int32)
    for head in range(data_pages, frames.shape[0]):
        frames[head, _PREV] = frames[head, _NEXT] = head
    blocks = (data_pages >> _BLOCK_ORDER) + 1
    return Zone(
        frames, np.zeros(blocks, dtype=np.uint8), np.zeros((KINDS, _RING + 2), dtype=np.int64)
    )


@kernel
def _head(frames: Frames, kind: int, order: int) -> int:
    return int(frames.shape[0]) - KINDS * ORDERS + kind * ORDERS + order


@kernel
def _pages(frames: Frames) -> int:
    return int(frames.shape[0]) - KINDS * ORDERS


@kernel
def _link(frames: Frames, frame: int, kind: int, order: int, first: bool) -> None:
    head = _head(frames, kind, order)
    if first:
        before, after = head, wide(frames[head, _NEXT])
    else:
        before, after = wide(frames[head, _PREV]), head
    frames[frame, _PREV] = before
    frames[frame, _NEXT] = after
    frames[before, _NEXT] = frame
    frames[after, _PREV] = frame
    frames[frame, _FREE_ORDER] = order + 1


@kernel
def _unlink(frames: Frames, frame: int) -> None:
    before, after = frames[frame, _PREV], frames[frame, _NEXT]
    frames[before, _NEXT] = after
    frames[after, _PREV] = before
    frames[frame, _FREE_ORDER] = 0


@kernel
def release(frames: Frames, kinds: NDArray[np.uint8], frame: int, order: int) -> None:
    """Give a block back to the buddies: merged with its free neighbours."""
    kind = wide(kinds[frame >> _BLOCK_ORDER])
    pages = _pages(frames)
    while order < ORDERS - 1:
        buddy = frame ^ (1 << order)
        if buddy + (1 << order) > pages or frames[buddy, _FREE_ORDER] != order + 1:
            break
        _unlink(frames, buddy)
        frame &= buddy
        order += 1
    _link(frames, frame, kind, order, True)


@kernel
def _split(frames: Frames, frame: int, kind: int, have: int, order: int) -> int:
    """Take the lower part of a block of order `have`; the rest goes back, largest first."""
    _unlink(frames, frame)
    while have > order:
        have -= 1
        _link(frames, frame + (1 << have), kind, have, True)
    return frame


@kernel
def _steal(frames: Frames, kinds: NDArray[np.uint8], kind: int, order: int) -> int:
    """Take from the other kind, its largest block; a page block of it changes kind with it."""
    other = 1 - kind
    for have in range(ORDERS - 1, order - 1, -1):
        frame = wide(frames[_head(frames, other, have), _NEXT])
        if frame >= _pages(frames):
            continue
        if have < _BLOCK_ORDER // 2 and kind == MOVABLE:
            return _split(frames, frame, other, have, order)
        first = frame >> _BLOCK_ORDER << _BLOCK_ORDER
        last = max(first + (1 << _BLOCK_ORDER), frame + (1 << have))
        for block in range(first >> _BLOCK_ORDER, last >> _BLOCK_ORDER):
            kinds[block] = kind
        at = first
        while at < min(last, _pages(frames)):
            size = wide(frames[at, _FREE_ORDER])
            if size > 0:
                _unlink(frames, at)
                _link(frames, at, kind, size - 1, True)
                at += 1 << (size - 1)
            else:
                at += 1
        return _split(frames, frame, kind, have, order)
    return NONE


@kernel
def take_block(frames: Frames, kinds: NDArray[np.uint8], kind: int, order: int) -> int:
    """Return the first frame of a block from the buddies, or NONE."""
    for have in range(order, ORDERS):
        frame = wide(frames[_head(frames, kind, have), _NEXT])
        if frame < _pages(frames):
            return _split(frames, frame, kind, have, order)
    return _steal(frames, kinds, kind, order)


@kernel
def _drain(frames: Frames, kinds: NDArray[np.uint8], rings: Rings, kind: int) -> None:
    """Give all that the per-CPU cache keeps of a kind back to the buddies."""
    ring = rings[kind]
    while ring[_RING + 1] > 0:
        ring[_RING + 1] -= 1
        oldest = wide(ring[(ring[_RING] + ring[_RING + 1]) % _RING])
        release(frames, kinds, oldest, 0)


@kernel
def take_frame(frames: Frames, kinds: NDArray[np.uint8], rings: Rings, kind: int) -> int:
    """Return a frame from the per-CPU cache, filled by a batch if it is empty, or NONE."""
    ring = rings[kind]
    if ring[_RING + 1] == 0:
        for _ in range(_BATCH):
            frame = take_block(frames, kinds, kind, 0)
            if frame == NONE and ring[_RING + 1] == 0:
                _drain(frames, kinds, rings, 1 - kind)
                frame = take_block(frames, kinds, kind, 0)
            if frame == NONE:
                break
            ring[(ring[_RING] + ring[_RING + 1]) % _RING] = frame
            ring[_RING + 1] += 1
        if ring[_RING + 1] == 0:
            return NONE
    frame = wide(ring[ring[_RING]])
    ring[_RING] = (ring[_RING] + 1) % _RING
    ring[_RING + 1] -= 1
    return frame


@kernel
def give_frame(frames: Frames, kinds: NDArray[np.uint8], rings: Rings, frame: int) -> None:
    """Give a frame to the per-CPU cache, the next to go out; beyond its size a batch is drained."""
    ring = rings[wide(kinds[frame >> _BLOCK_ORDER])]
    ring[_RING] = (ring[_RING] - 1) % _RING
    ring[ring[_RING]] = frame
    ring[_RING + 1] += 1
    if ring[_RING + 1] > _HIGH:
        for _ in range(_BATCH):
            ring[_RING + 1] -= 1
            oldest = wide(ring[(ring[_RING] + ring[_RING + 1]) % _RING])
            release(frames, kinds, oldest, 0)
