"""A memory node: the pages, frames and files that the front end works on, and its settings.

In Linux a node (``struct pglist_data``) has the zones, lists and watermarks of one memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import ALLOC, FREE, JOIN, RESTORE, WANTED
from core.frontend.allocator import (
    NONE,
    UNMOVABLE,
    Frames,
    below,
    kind_of_frame,
    make_frames,
    note_use,
    release,
    stack,
    take_block,
)
from core.frontend.extents import Extents
from core.frontend.lists import AT, FIRST_ANONYMOUS, PageRecords, Register, make_pages
from core.frontend.zone import (
    FREE_PAGES,
    ZONE_REGISTERS,
    boost,
    give_frame,
    take_frame,
)
from core.jit import kernel, wide
from core.lane import SERIES_POINTS

# Elements of `register` after those of the zone.
(
    # How many pages of the access that is being read are done; rows written.
    DONE,
    ROWS,
    # The queue of dirtied folios: how many have left it, and how many have entered it.
    FLUSHED,
    DIRTIED,
    # zram: the size of what it holds, in 256ths of a page; its frames, and the last of them.
    POOL,
    POOL_PAGES,
    POOL_FRAME,
    # Reclaim begins where fewer pages than this are free; and whether it is for pages that need
    # frames of data memory.
    WAKES_AT,
    FOR_FRAMES,
    # Settings: the size of a page in zram, in 256ths of a page; the largest readahead window; the
    # largest order of a folio.
    ZRAM_SHARE,
    READAHEAD_PAGES,
    FOLIO_ORDER,
    # Whether all allocations are written as rows, or only tagged ones.
    TELLS_FRAMES,
    # Whether swap is a device, whose traffic is written as rows, or zram.
    TELLS_SWAP,
    # The bits that folios get which the access brings in: METADATA_PAGE, or none.
    NEW_BITS,
    # The read request: whether it has a row yet (JOIN, or 0), and the pages that are wanted of it.
    JOINS,
    WANTED_FIRST,
    WANTED_END,
) = range(ZONE_REGISTERS, ZONE_REGISTERS + 18)
# Behind them come those of out_of_memory.py, and those of tag_storage_as_memory.py.
OUT_OF_MEMORY_REGISTERS = ZONE_REGISTERS + 18
TAG_STORAGE_REGISTERS = OUT_OF_MEMORY_REGISTERS + 11
NODE_REGISTERS = TAG_STORAGE_REGISTERS + 32
# Behind those, one for each point of the series: the slots in use, and the blocks that are
# reserved, added up over the time before it.
USED_NS_BEFORE = NODE_REGISTERS
RESERVED_NS_BEFORE = USED_NS_BEFORE + SERIES_POINTS
#: A page in units of POOL and ZRAM_SHARE.
WHOLE_PAGE = 256
# Columns of `files`, which has a row for each extent: the number of its first page, and of the page
# after its last; then Linux's file_ra_state, in pages from the first.
FIRST, END, START, SIZE, ASYNC_SIZE, PREVIOUS, MMAP_MISSES = range(7)
_NEVER = -(1 << 30)

#: Rows that the output has room for, and rows that one step of the loop may write.
ROOM = 1 << 18
STEP_ROOM = 1 << 15


class Node(NamedTuple):
    """All that the front end works on."""

    pages: PageRecords  # [page + HEADS] of lists.PAGE
    register: Register
    frames: Frames
    files: NDArray[np.int64]  # [extent, 7]
    dirtied: NDArray[np.int64]  # [dirtying, (folio, time_ns)]
    rows: NDArray[np.int32]  # [row, (access, op, page, order, pfn, flags)]
    slots: NDArray[np.int64]  # [slot + block + 1, 4] of core.frontend.tag_storage_as_memory


def make_node(
    extents: Extents,
    data_pages: int,
    dirtyings: int,
    slots: NDArray[np.int64],
) -> Node:
    """Return a node with no page in memory and no free frame.

    Parameters
    ----------
    extents
        The pages that accesses name.
    data_pages
        Frames of data memory.
    dirtyings
        How often at most a page is written.
    slots
        Slots of tag storage, as `core.frontend.tag_storage_as_memory.make_slots` returns them.
    """
    files = np.zeros((extents.end.size, 7), dtype=np.int64)
    files[:, FIRST] = extents.first[:-1]
    files[:, END] = extents.end
    files[:, PREVIOUS] = _NEVER
    register = np.zeros(RESERVED_NS_BEFORE + SERIES_POINTS, dtype=np.int64)
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
    """Write a row of output: an mm event that the current access causes.

    Parameters
    ----------
    node
        The node; its rows must have room for one more.
    op, order, pfn, flags
        As in a table of mm events.
    page
        The number of the first page. It is turned into an inode and an index later.
    """
    row = wide(node.register[ROWS])
    node.rows[row, 0] = node.register[AT]
    node.rows[row, 1] = op
    node.rows[row, 2] = page
    node.rows[row, 3] = order
    node.rows[row, 4] = pfn
    node.rows[row, 5] = flags
    node.register[ROWS] += 1


@kernel
def begin_request(node: Node, first: int, end: int) -> None:
    """Begin a read request, of which a task waits for the pages from `first` to before `end`."""
    node.register[JOINS] = 0
    node.register[WANTED_FIRST] = first
    node.register[WANTED_END] = end


@kernel
def end_request(node: Node) -> None:
    """End the read request: the row of a restore that comes next joins none."""
    node.register[JOINS] = 0


@kernel
def put_restore(node: Node, folio: int, order: int, flags: int) -> None:
    """Write that a folio is read, as a part of the request."""
    register = node.register
    is_wanted = folio < register[WANTED_END] and folio + (1 << order) > register[WANTED_FIRST]
    wanted = WANTED if is_wanted else 0
    put(node, RESTORE, folio, order, wide(0), flags | wide(register[JOINS]) | wanted)
    register[JOINS] = JOIN


@kernel
def take(node: Node, kind: int, order: int, tagged: bool) -> int:
    """Return the first frame of an allocation, or NONE where memory has run out.

    Parameters
    ----------
    node
        The node. Its free pages are counted down in either case.
    kind
        UNMOVABLE or MOVABLE.
    order
        The allocation is of 2**order frames.
    tagged
        Whether it is tagged. The caller then writes its row; other allocations get theirs here.
    """
    node.register[FREE_PAGES] -= 1 << order
    if order > 0:
        frame = take_block(node.frames, wide(kind), wide(order))
    else:
        frame = take_frame(node.frames, node.register, wide(kind))
    boost(node.frames, node.register)
    if frame != NONE:
        note_use(node.frames, frame, wide(kind), wide(order))
    if node.register[TELLS_FRAMES] and frame != NONE and not tagged:
        put(node, ALLOC, wide(0), wide(order), frame, wide(0))
    return frame


@kernel
def give(node: Node, frame: int, order: int) -> None:
    """Free an allocation of 2**order frames; without a frame, NONE, it only counts the pages."""
    node.register[FREE_PAGES] += 1 << order
    if node.register[TELLS_FRAMES] and frame != NONE:
        put(node, FREE, wide(0), wide(order), frame, wide(0))
    if frame != NONE and order == 0:
        give_frame(node.frames, node.register, kind_of_frame(node.frames, frame), frame)
    elif frame != NONE:
        release(node.frames, frame, order)


@kernel
def tell_untagged(node: Node, frame: int, order: int) -> None:
    """Write that tagged frames are freed, unless `give` writes that of all frames."""
    if not node.register[TELLS_FRAMES]:
        put(node, FREE, wide(0), wide(order), frame, wide(0))


@kernel
def fill_pool(node: Node) -> None:
    """Put a page into zram, which takes a frame when its last one is full."""
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
    """Take a page out of zram, which frees a frame when one is no longer needed."""
    frames, register = node.frames, node.register
    register[POOL] -= register[ZRAM_SHARE]
    if (register[POOL_PAGES] - 1) * WHOLE_PAGE >= register[POOL]:
        frame = wide(register[POOL_FRAME])
        register[POOL_PAGES] -= 1
        if frame != NONE:
            register[POOL_FRAME] = below(frames, frame)
        give(node, frame, wide(0))
