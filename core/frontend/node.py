"""A memory node: the pages, frames and files that a front end works on, and what it was told.

In Linux a node (``struct pglist_data``) has the zones, lists and watermarks of one memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import ALLOC, FREE
from core.frontend.allocator import (
    NONE,
    UNMOVABLE,
    Frames,
    below,
    give_frame,
    make_frames,
    release,
    stack,
    take_block,
    take_frame,
)
from core.frontend.extents import Extents
from core.frontend.lists import FIRST_ANONYMOUS, REGISTERS, Pages, Register, make_pages
from core.jit import kernel, wide

# Elements of `register` beyond those of the lists: free pages and watermarks; the row that is being
# read, its time, and how much of it is done; rows written; the queue of dirtied folios; zram's
# pages, in 256ths of one, and the last of its frames; runs of reclaim that are skipped since the
# last one failed; and what the kernel is set to.
(
    FREE_PAGES,
    LOW,
    HIGH,
    AT,
    NOW_NS,
    DONE,
    ROWS,
    FLUSHED,
    DIRTIED,
    POOL,
    POOL_PAGES,
    POOL_FRAME,
    SKIPPED,
    ZRAM_SHARE,
    READAHEAD_PAGES,
    FOLIO_ORDER,
    # Tag storage as memory: tag pages a block (0: it is none) and data pages covered by one, free
    # and used slots and reserved blocks, and integrals of these two; what pins pages; whether
    # reclaim is for pages that cannot lie there; when the next moment of a series is.
    BLOCK_PAGES,
    COVERED,
    DATA_FRAMES,
    IS_IDEAL,
    SLOTS_FREE,
    SLOTS_USED,
    USED_NS,
    USED_SINCE_NS,
    RESERVED,
    RESERVED_NS,
    RESERVED_PEAK,
    RESERVATIONS,
    RELEASES,
    PINNED_BITS,
    PIN_NS,
    PIN_SEED,
    PIN_DRAWS,
    PINS_LEFT,
    MIGRATED,
    PINNED_FAILURES,
    ATOMIC_FAILURES,
    FOR_FRAMES,
    NEXT_POINT_NS,
    POINT_NS,
    # Guests' blocks that are not reserved yet, when the next one is, and how long after it another.
    GUEST_BLOCK,
    GUEST_END,
    GUEST_NS,
    GUEST_STEP_NS,
    # Whether every allocation is told, or those of tagged memory alone.
    TELLS_FRAMES,
    # Whether swap is a device, whose pages are told, or zram.
    TELLS_SWAP,
    NODE_REGISTERS,
) = range(REGISTERS, REGISTERS + 47)
#: A page in units of POOL and ZRAM_SHARE.
WHOLE_PAGE = 256
# Columns of `files`, of an extent: the number of its first page, and beyond its last; then, in
# pages from the first, Linux's file_ra_state.
FIRST, END, START, SIZE, ASYNC_SIZE, PREVIOUS, MMAP_MISSES = range(7)
_NEVER = -(1 << 30)

#: Rows of output that are written before they are collected, and that a step may write.
ROOM = 1 << 18
STEP_ROOM = 1 << 15


class Node(NamedTuple):
    """All that a front end works on."""

    pages: Pages  # [page + HEADS] of lists.PAGE
    register: Register
    frames: Frames
    files: NDArray[np.int64]  # [extent, 7]
    dirtied: NDArray[np.int64]  # [dirtying, (folio, time_ns)]
    rows: NDArray[np.int32]  # [row, (access, op, page, order, pfn, flags)]
    # Tag storage as memory: see core.frontend.tag_memory.
    slots: NDArray[np.int64]  # [slot + block + 1, 4]


def make_node(
    extents: Extents,
    data_pages: int,
    dirtyings: int,
    slots: NDArray[np.int64],
) -> Node:
    """Return a node without a free frame and with nothing in memory."""
    files = np.zeros((extents.end.size, 7), dtype=np.int64)
    files[:, FIRST] = extents.first[:-1]
    files[:, END] = extents.end
    files[:, PREVIOUS] = _NEVER
    register = np.zeros(NODE_REGISTERS, dtype=np.int64)
    register[FIRST_ANONYMOUS] = extents.first_anonymous
    register[POOL_FRAME] = NONE
    return Node(
        make_pages(extents.pages),
        register,
        make_frames(data_pages),
        files,
        np.zeros((max(1, dirtyings), 2), dtype=np.int64),
        np.empty((ROOM, 6), dtype=np.int32),
        slots,
    )


@kernel
def put(node: Node, op: int, page: int, order: int, pfn: int, flags: int) -> None:
    """Write a row: an mm event of the access that is being read."""
    row = wide(node.register[ROWS])
    node.rows[row, 0] = node.register[AT]
    node.rows[row, 1] = op
    node.rows[row, 2] = page
    node.rows[row, 3] = order
    node.rows[row, 4] = pfn
    node.rows[row, 5] = flags
    node.register[ROWS] += 1


@kernel
def take(node: Node, kind: int, order: int, tagged: bool) -> int:
    """Return the first frame of an allocation, or NONE where memory has run out.

    That pages are allocated tagged is told by who does it.
    """
    node.register[FREE_PAGES] -= 1 << order
    if order > 0:
        frame = take_block(node.frames, wide(kind), wide(order))
    else:
        frame = take_frame(node.frames, wide(kind))
    if node.register[TELLS_FRAMES] and frame != NONE and not tagged:
        put(node, ALLOC, wide(0), wide(order), frame, wide(0))
    return frame


@kernel
def give(node: Node, frame: int, order: int) -> None:
    """Give an allocation back; NONE was none."""
    node.register[FREE_PAGES] += 1 << order
    if node.register[TELLS_FRAMES] and frame != NONE:
        put(node, FREE, wide(0), wide(order), frame, wide(0))
    if frame != NONE and order == 0:
        give_frame(node.frames, frame)
    elif frame != NONE:
        release(node.frames, frame, order)


@kernel
def tell_untagged(node: Node, frame: int, order: int) -> None:
    """Write that tagged frames are free, if that is not written of every frame that is given."""
    if not node.register[TELLS_FRAMES]:
        put(node, FREE, wide(0), wide(order), frame, wide(0))


@kernel
def fill_pool(node: Node) -> None:
    """Compress a page into zram."""
    frames, register = node.frames, node.register
    register[POOL] += register[ZRAM_SHARE]
    if register[POOL_PAGES] * WHOLE_PAGE < register[POOL]:
        frame = take(node, UNMOVABLE, 0, False)
        register[POOL_PAGES] += 1
        if frame != NONE:
            stack(frames, frame, wide(register[POOL_FRAME]))
            register[POOL_FRAME] = frame


@kernel
def drain_pool(node: Node) -> None:
    """Take a page out of zram."""
    frames, register = node.frames, node.register
    register[POOL] -= register[ZRAM_SHARE]
    if (register[POOL_PAGES] - 1) * WHOLE_PAGE >= register[POOL]:
        frame = wide(register[POOL_FRAME])
        register[POOL_PAGES] -= 1
        if frame != NONE:
            register[POOL_FRAME] = below(frames, frame)
        give(node, frame, wide(0))
