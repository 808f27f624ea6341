"""The page allocator: which frames an allocation gets, so that tagged frames scatter as in Linux.

It follows mm/page_alloc.c of Linux 6.12 for one zone and one CPU. Free blocks of orders 0 to 10
are merged with their buddies, and the block that was freed last is taken first. Page blocks of
order 9 are movable or unmovable; where one kind runs out, a block of the other is stolen. What the
CPU keeps of single frames is in zone.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import apart, entry, kernel, loop, wide

ORDERS = 11
BLOCK_ORDER = 9
MOVABLE, UNMOVABLE = 0, 1
KINDS = 2
NONE = -1

# Columns of `frames`: links of the free lists; and, in the first frame of a free block, 1 + the
# block's order, or in a frame in use that can be moved, _MOVES.
_PREV, _NEXT, _FREE_ORDER = range(3)
_MOVES = -1
# After the rows of the frames come those of
# - the heads of the free lists, by kind and order;
# - the heads of the lists of frames that the CPU keeps (zone.py), by kind;
# - the kinds of the page blocks;
# - the number of all frames, and whether a block smaller than a page block was stolen.
_CACHED = KINDS * ORDERS
_BLOCKS = _CACHED + KINDS

Frames = NDArray[np.int32]


def make_frames(data_pages: int) -> Frames:
    """Return an allocator of `data_pages` frames, none of them free: 12 bytes for each frame."""
    blocks = (data_pages >> BLOCK_ORDER) + 1
    frames = np.zeros((data_pages + _BLOCKS + blocks + 1, 3), dtype=np.int32)
    for head in range(data_pages, data_pages + _BLOCKS):
        frames[head, _PREV] = frames[head, _NEXT] = head
    frames[-1, 0] = data_pages
    return frames


@kernel
def _pages(frames: Frames) -> int:
    return wide(frames[frames.shape[0] - 1, 0])


@kernel
def _head(frames: Frames, kind: int, order: int) -> int:
    return _pages(frames) + kind * ORDERS + order


@kernel
def _kind_place(frames: Frames, frame: int) -> int:
    return _pages(frames) + _BLOCKS + (frame >> BLOCK_ORDER)


@kernel
def enter_list(frames: Frames, frame: int, head: int, first: bool) -> None:
    """Put a frame on the list of a head: as its first, or as its last."""
    if first:
        before, after = head, wide(frames[head, _NEXT])
    else:
        before, after = wide(frames[head, _PREV]), head
    frames[frame, _PREV] = before
    frames[frame, _NEXT] = after
    frames[before, _NEXT] = frame
    frames[after, _PREV] = frame


@kernel
def leave_list(frames: Frames, frame: int) -> None:
    """Take a frame off its list."""
    before, after = frames[frame, _PREV], frames[frame, _NEXT]
    frames[before, _NEXT] = after
    frames[after, _PREV] = before


@kernel
def end_of_list(frames: Frames, head: int, first: bool) -> int:
    """Return the first frame of the list of a head, or the last one."""
    return wide(frames[head, _NEXT]) if first else wide(frames[head, _PREV])


@kernel
def _link(frames: Frames, frame: int, kind: int, order: int, first: bool) -> None:
    enter_list(frames, frame, _head(frames, kind, order), first)
    frames[frame, _FREE_ORDER] = order + 1


@kernel
def _unlink(frames: Frames, frame: int) -> None:
    leave_list(frames, frame)
    frames[frame, _FREE_ORDER] = 0


@loop
def release(frames: Frames, frame: int, order: int) -> None:
    """Free a block: merge it with its free buddies, and put it on a free list."""
    apart()
    kind = wide(frames[_kind_place(frames, frame), 0])
    pages = _pages(frames)
    for used in range(frame, frame + (1 << order)):
        frames[used, _FREE_ORDER] = 0
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
    """Take the lower part of a free block of order `have`; free the rest, largest part first."""
    _unlink(frames, frame)
    while have > order:
        have -= 1
        _link(frames, frame + (1 << have), kind, have, True)
    return frame


@kernel
def _claims(frames: Frames, first: int, kind: int) -> bool:
    """Return whether a page block is to become one of `kind`: steal_suitable_fallback.

    That is if half of its pages are free, or in use as those of this kind.
    """
    fits, at = wide(0), first
    end = min(first + (1 << BLOCK_ORDER), _pages(frames))
    while at < end:
        size = wide(frames[at, _FREE_ORDER])
        if size > 0:
            fits += 1 << (size - 1)
            at += 1 << (size - 1)
        else:
            fits += 1 if (size == _MOVES) == (kind == MOVABLE) else 0
            at += 1
    return bool(2 * fits >= 1 << BLOCK_ORDER)


@kernel
def _change_kind(frames: Frames, first: int, kind: int) -> None:
    """Make a page block one of another kind, and move its free blocks to the lists of that."""
    frames[_kind_place(frames, first), 0] = kind
    at = first
    while at < min(first + (1 << BLOCK_ORDER), _pages(frames)):
        size = wide(frames[at, _FREE_ORDER])
        if size > 0:
            _unlink(frames, at)
            _link(frames, at, kind, size - 1, True)
            at += 1 << (size - 1)
        else:
            at += 1


@kernel
def _smallest(frames: Frames, kind: int, order: int) -> int:
    """Return the smallest free block of a kind that is as large as 2**order frames, or NONE."""
    for have in range(order, ORDERS):
        frame = wide(frames[_head(frames, kind, have), _NEXT])
        if frame < _pages(frames):
            return frame
    return NONE


@kernel
def _steal(frames: Frames, kind: int, order: int) -> int:
    """Take from a free block of the other kind, whose page block may change kind.

    It is the largest, or the smallest that is large enough if one movable page is wanted and the
    largest is small: find_suitable_fallback.
    """
    other = 1 - kind
    for have in range(ORDERS - 1, order - 1, -1):
        frame = wide(frames[_head(frames, other, have), _NEXT])
        if frame >= _pages(frames):
            continue
        if have >= BLOCK_ORDER:
            for block in range(frame, frame + (1 << have), 1 << BLOCK_ORDER):
                frames[_kind_place(frames, block), 0] = kind
            return _split(frames, frame, kind, have, order)
        frames[frames.shape[0] - 1, 1] = 1
        if have < BLOCK_ORDER // 2 and kind == MOVABLE:
            frame = _smallest(frames, other, order)
            return _split(frames, frame, other, wide(frames[frame, _FREE_ORDER]) - 1, order)
        first = frame >> BLOCK_ORDER << BLOCK_ORDER
        if _claims(frames, first, kind):
            _change_kind(frames, first, kind)
            frame = _smallest(frames, kind, order)
            return _split(frames, frame, kind, wide(frames[frame, _FREE_ORDER]) - 1, order)
        return _split(frames, frame, other, have, order)
    return NONE


@kernel
def note_use(frames: Frames, frame: int, kind: int, order: int) -> None:
    """Note that frames are in use, and whether what is in them can be moved."""
    for used in range(frame, frame + (1 << order)):
        frames[used, _FREE_ORDER] = _MOVES if kind == MOVABLE else 0


@loop
def take_block(frames: Frames, kind: int, order: int) -> int:
    """Return the first frame of a free block of 2**order frames, which is taken, or NONE.

    Parameters
    ----------
    frames
        The frames and their free lists.
    kind
        UNMOVABLE or MOVABLE; where this kind has no block, one of the other kind is taken.
    order
        Of the block.
    """
    apart()
    frame = _smallest(frames, kind, order)
    if frame != NONE:
        return _split(frames, frame, kind, wide(frames[frame, _FREE_ORDER]) - 1, order)
    return _steal(frames, kind, order)


@kernel
def head_of_cached(frames: Frames, kind: int) -> int:
    """Return the row of the head of the list of frames that the CPU keeps, of one kind."""
    return _pages(frames) + _CACHED + kind


@kernel
def kind_of_frame(frames: Frames, frame: int) -> int:
    """Return the kind of the page block that a frame lies in."""
    return wide(frames[_kind_place(frames, frame), 0])


@kernel
def stolen(frames: Frames) -> bool:
    """Return whether a block smaller than a page block was stolen since this was asked last."""
    was = frames[frames.shape[0] - 1, 1] != 0
    frames[frames.shape[0] - 1, 1] = 0
    return bool(was)


@kernel
def stack(frames: Frames, frame: int, below: int) -> None:
    """Link a frame that is in use to another one, or to NONE: its links have no other use then."""
    frames[frame, _NEXT] = below


@kernel
def below(frames: Frames, frame: int) -> int:
    """Return the frame that `frame` was linked to."""
    return wide(frames[frame, _NEXT])


@entry
def free_frames(frames: Frames, first: int, end: int) -> None:
    """Free the frames from `first` up to but not with `end`, in this order."""
    for frame in range(first, end):
        release(frames, wide(frame), wide(0))
