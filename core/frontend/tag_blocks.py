"""Blocks of tag storage that is memory: emptied and reserved for tags, and released.

When a page is allocated tagged, the block that holds its tags must be reserved: each page in the
block is copied to another frame, which reclaim frees if none is free. That fails where a page is
pinned or the allocation is atomic, and is tried again at the next tagged allocation in the block.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.events import ATOMIC
from core.frontend.node import (
    NOW_NS,
    Node,
    put,
)
from core.frontend.tag_storage_as_memory import (
    ATOMIC_FAILURES,
    BLOCK_PAGES,
    COVERED,
    GUEST_BLOCK,
    GUEST_END,
    GUEST_NS,
    GUEST_STEP_NS,
    IS_IDEAL,
    MIGRATED,
    NEXT_POINT_NS,
    PINNED_FAILURES,
    POINT,
    POINT_NS,
    RELEASES,
    RESERVATIONS,
    RESERVED,
    RESERVED_PEAK,
    SAMPLE,
    SLOTS_USED,
    has_pinned_page,
    is_memory,
    pass_time,
    return_slots,
    used_in,
    withhold_slots,
)
from core.jit import apart, kernel, loop, naming, wide

# Columns of the rows of blocks, which come after those of slots: tagged pages that the block
# covers, and whether it is reserved.
_TAGGED, _RESERVED = range(2)


class TagBlocks(NamedTuple):
    """What reserves blocks under one way of reclaim."""

    tag: Callable[[Node, int, int, int], None]  # (node, frame, order, flags)
    pass_moments: Callable[[Node], None]


@kernel
def _row_of(node: Node, block: int) -> int:
    """Return the row of `slots` that a block has."""
    pages = wide(node.register[BLOCK_PAGES])
    return (wide(node.slots.shape[0]) - 1) // (pages + 1) * pages + block


@kernel
def _needs_block(node: Node, block: int) -> bool:
    """Return whether a block is not reserved, so that no tags can lie in it."""
    return bool(node.slots[_row_of(node, block), _RESERVED] == 0)


@kernel
def _can_empty(node: Node, block: int, flags: int) -> bool:
    """Return whether the pages in a block can be moved now; if not, count the reason."""
    register = node.register
    if register[IS_IDEAL]:
        return True
    if flags & ATOMIC:
        register[ATOMIC_FAILURES] += 1
        return False
    if has_pinned_page(node, block):
        register[PINNED_FAILURES] += 1
        return False
    return True


@kernel
def _reserve(node: Node, block: int) -> None:
    """Move the pages in a block to other frames, and take the block out of memory."""
    register = node.register
    withhold_slots(node, block)
    node.slots[_row_of(node, block), _RESERVED] = 1
    pass_time(register)
    register[RESERVED] += 1
    register[RESERVATIONS] += 1
    register[RESERVED_PEAK] = max(register[RESERVED_PEAK], register[RESERVED])


@kernel
def untag(node: Node, frame: int, order: int) -> None:
    """Take in that 2**order tagged frames are freed.

    A block that covers no other tagged page becomes memory again.
    """
    register = node.register
    if register[BLOCK_PAGES] == 0:
        return
    for tagged_frame in range(frame, frame + (1 << order)):
        block = tagged_frame // wide(register[COVERED])
        row = _row_of(node, block)
        node.slots[row, _TAGGED] -= 1
        if node.slots[row, _TAGGED] == 0 and node.slots[row, _RESERVED] != 0:
            node.slots[row, _RESERVED] = 0
            pass_time(register)
            register[RESERVED] -= 1
            register[RELEASES] += 1
            return_slots(node, block)


def tag_blocks_over(hooks: ModuleType, ensure_frames: Callable[[Node, int], None]) -> TagBlocks:
    """Return what reserves blocks, under the hooks of a way of reclaim.

    `ensure_frames` is of `core.frontend.reclaim`.
    """
    named = naming(hooks.__name__.rpartition(".")[2])

    @loop
    @named
    def tag(node: Node, frame: int, order: int, flags: int) -> None:
        """Reserve the blocks of pages that were allocated tagged, if tag storage is memory."""
        apart()
        if not is_memory(node):
            return
        register = node.register
        blocks, before = wide(0), wide(register[MIGRATED])
        pinned, atomic = wide(register[PINNED_FAILURES]), wide(register[ATOMIC_FAILURES])
        for tagged_frame in range(frame, frame + (1 << order)):
            block = tagged_frame // wide(register[COVERED])
            node.slots[_row_of(node, block), _TAGGED] += 1
            if _needs_block(node, block):
                used = used_in(node, block)
                if used > 0 and not _can_empty(node, block, flags):
                    continue
                if used > 0:
                    ensure_frames(node, used)
                _reserve(node, block)
                blocks += 1
        # An allocation counts as one failure, however many of its pages have no block.
        register[PINNED_FAILURES] = min(register[PINNED_FAILURES], pinned + 1)
        register[ATOMIC_FAILURES] = min(register[ATOMIC_FAILURES], atomic + 1)
        if blocks > 0:
            migrated = register[MIGRATED] - before
            put(node, SAMPLE, blocks, wide(0), migrated, flags & ATOMIC)

    @loop
    @named
    def pass_moments(node: Node) -> None:
        """Reserve the blocks that guests fill up to now, and write the points of the series.

        A point tells how many slots are in use and how many blocks are reserved at one moment.
        """
        apart()
        register = node.register
        while (
            register[GUEST_BLOCK] < register[GUEST_END] and register[NOW_NS] >= register[GUEST_NS]
        ):
            # The tags of one page reserve the whole block.
            tag(node, register[GUEST_BLOCK] * register[COVERED], wide(0), wide(0))
            register[GUEST_BLOCK] += 1
            register[GUEST_NS] += register[GUEST_STEP_NS]
        while register[NOW_NS] >= register[NEXT_POINT_NS]:
            used, reserved = wide(register[SLOTS_USED]), wide(register[RESERVED])
            put(node, POINT, used, wide(0), reserved, wide(0))
            register[NEXT_POINT_NS] += register[POINT_NS]

    return TagBlocks(tag, pass_moments)
