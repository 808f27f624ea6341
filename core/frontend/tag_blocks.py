"""Blocks of tag storage that is memory: emptied and reserved for tags, and released.

When a page is allocated tagged, the block that holds its tags must be reserved. Clean pages of
files that lie there are dropped, if the policy says so; each other page is copied to another frame,
which reclaim frees if none is free. That fails where a page is pinned or the allocation is atomic,
and is tried again at the next tagged allocation in the block.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.events import ATOMIC
from core.frontend.lists import DIRTY, FIRST_ANONYMOUS, Register, leave
from core.frontend.node import (
    RESERVED_NS_BEFORE,
    ROWS,
    STEP_ROOM,
    USED_NS_BEFORE,
    Node,
    put,
)
from core.frontend.out_of_memory import FOR_BLOCK
from core.frontend.tag_storage_as_memory import (
    ATOMIC_FAILURES,
    BLOCK_PAGES,
    COVERED,
    DROPPED,
    DROPS_CLEAN,
    GUEST_BLOCK,
    GUEST_END,
    GUEST_NS,
    GUEST_STEP_NS,
    HELD_BY_ATOMIC,
    HELD_BY_PIN,
    MIGRATED,
    NEXT_POINT,
    NEXT_POINT_NS,
    ONLY_ENLARGES,
    PINNED_FAILURES,
    POINT,
    RELEASES,
    RESERVATION,
    RESERVATIONS,
    RESERVED,
    RESERVED_NS,
    RESERVED_PEAK,
    SAMPLE,
    SLOTS_USED,
    SPAN_NS,
    START_NS,
    USED_NS,
    USED_SINCE_NS,
    count_slots,
    has_pinned_page,
    is_memory,
    page_in,
    pass_time,
    return_slots,
    used_in,
    withhold_slots,
)
from core.frontend.zone import FREE_PAGES, NOW_NS
from core.jit import apart, kernel, loop, naming, wide
from core.lane import SERIES_POINTS

# Columns of the rows of blocks, which come after those of slots: tagged pages that the block
# covers, and whether it is reserved.
_TAGGED, _RESERVED = range(2)


class TagBlocks(NamedTuple):
    """What reserves blocks under one way of reclaim."""

    tag: Callable[[Node, int, int, int], None]  # (node, frame, order, flags)
    pass_moments: Callable[[Node], bool]


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
    if flags & ATOMIC:
        register[ATOMIC_FAILURES] += 1
        return False
    if has_pinned_page(node, block):
        register[PINNED_FAILURES] += 1
        return False
    return True


@kernel
def _count_reserved(node: Node, more: int) -> None:
    """Count a block that is reserved, or is no more; tell it, and the size of a larger memory."""
    register = node.register
    pass_time(register)
    register[RESERVED] += more
    put(node, RESERVATION, wide(more), wide(0), wide(0), wide(0))
    if register[ONLY_ENLARGES]:
        register[FREE_PAGES] -= more * register[BLOCK_PAGES]
        count_slots(register, -more * wide(register[BLOCK_PAGES]))


@kernel
def _reserve(node: Node, block: int) -> None:
    """Move the pages in a block to other frames, and take the block out of memory."""
    register = node.register
    if register[ONLY_ENLARGES] == 0:
        withhold_slots(node, block)
    node.slots[_row_of(node, block), _RESERVED] = 1
    _count_reserved(node, 1)
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
            register[RELEASES] += 1
            if register[ONLY_ENLARGES] == 0:
                return_slots(node, block)
            _count_reserved(node, -1)


@kernel
def _since_change_ns(register: Register) -> int:
    """Return how long the use of slots has been as it is, up to the next point of the series."""
    return wide(register[NEXT_POINT_NS] - register[USED_SINCE_NS])


def _reserve_over(
    hooks: ModuleType,
    ensure: Callable[[Node, int], None],
    ensure_frames: Callable[[Node, int], None],
    evict: Callable[[Node, int], None],
) -> Callable[[Node, int, int], bool]:
    """Return what reserves a block for the tags of an allocation: (node, block, flags)."""
    named = naming(hooks.__name__.rpartition(".")[2])

    @loop
    @named
    def drop_clean(node: Node, block: int) -> None:
        """Evict the clean pages of files that lie in a block: reclaim_clean_pages_from_list."""
        apart()
        register = node.register
        block_pages = wide(register[BLOCK_PAGES])
        for slot in range(block * block_pages, (block + 1) * block_pages):
            page = page_in(node, wide(slot))
            if not 0 <= page < register[FIRST_ANONYMOUS] or wide(node.pages[page].bits) & DIRTY:
                continue
            leave(node.pages, register, page)
            evict(node, page)
            register[DROPPED] += 1

    @kernel
    @named
    def reserve(node: Node, block: int, flags: int) -> bool:
        """Reserve a block for the tags of an allocation; return whether it could be."""
        register = node.register
        if register[ONLY_ENLARGES]:
            ensure(node, wide(register[BLOCK_PAGES]))
            _reserve(node, block)
            return True
        used = used_in(node, block)
        if used > 0 and not _can_empty(node, block, flags):
            return False
        if used > 0 and register[DROPS_CLEAN]:
            drop_clean(node, block)
            used = used_in(node, block)
        if used > 0:
            ensure_frames(node, used)
        _reserve(node, block)
        return True

    return reserve


def tag_blocks_over(
    hooks: ModuleType,
    ensure: Callable[[Node, int], None],
    ensure_frames: Callable[[Node, int], None],
    evict: Callable[[Node, int], None],
) -> TagBlocks:
    """Return what reserves blocks, under the hooks of a way of reclaim.

    Parameters
    ----------
    hooks
        The module of the way of reclaim.
    ensure, ensure_frames, evict
        What makes room, and evicts: the fields of `core.frontend.reclaim.Reclaimer`.
    """
    named = naming(hooks.__name__.rpartition(".")[2])

    reserve = _reserve_over(hooks, ensure, ensure_frames, evict)

    @loop
    @named
    def tag(node: Node, frame: int, order: int, flags: int) -> None:
        """Reserve the blocks of pages that were allocated tagged, if tag storage is memory."""
        apart()
        if not is_memory(node):
            return
        register = node.register
        blocks = wide(0)
        dropped_before, migrated_before = wide(register[DROPPED]), wide(register[MIGRATED])
        pinned, atomic = wide(register[PINNED_FAILURES]), wide(register[ATOMIC_FAILURES])
        for tagged_frame in range(frame, frame + (1 << order)):
            block = tagged_frame // wide(register[COVERED])
            node.slots[_row_of(node, block), _TAGGED] += 1
            if not _needs_block(node, block):
                continue
            register[FOR_BLOCK] = 1
            blocks += 1 if reserve(node, block, flags) else 0
            register[FOR_BLOCK] = 0
        # An allocation counts as one failure, however many of its pages have no block.
        register[PINNED_FAILURES] = min(register[PINNED_FAILURES], pinned + 1)
        register[ATOMIC_FAILURES] = min(register[ATOMIC_FAILURES], atomic + 1)
        held = HELD_BY_PIN if register[PINNED_FAILURES] > pinned else 0
        held |= HELD_BY_ATOMIC if register[ATOMIC_FAILURES] > atomic else 0
        if (blocks > 0 or held != 0) and not register[ONLY_ENLARGES]:
            dropped = register[DROPPED] - dropped_before
            migrated = register[MIGRATED] - migrated_before
            put(node, SAMPLE, blocks, dropped, migrated, flags & ATOMIC | held)

    @loop
    @named
    def pass_moments(node: Node) -> bool:
        """Write the points of the series up to now, and reserve the blocks that guests fill.

        A point tells how many slots are in use and how many blocks are reserved at one moment.
        Return whether the output had room for the rows.
        """
        apart()
        register = node.register
        while register[NOW_NS] > register[NEXT_POINT_NS]:
            used, reserved = wide(register[SLOTS_USED]), wide(register[RESERVED])
            point, elapsed = wide(register[NEXT_POINT]), _since_change_ns(register)
            register[USED_NS_BEFORE + point] = register[USED_NS] + used * elapsed
            register[RESERVED_NS_BEFORE + point] = register[RESERVED_NS] + reserved * elapsed
            put(node, POINT, used, wide(0), reserved, wide(0))
            register[NEXT_POINT] += 1
            passed_ns = register[SPAN_NS] * (register[NEXT_POINT] + 1) // SERIES_POINTS
            register[NEXT_POINT_NS] = register[START_NS] + passed_ns
        while (
            register[GUEST_BLOCK] < register[GUEST_END] and register[NOW_NS] >= register[GUEST_NS]
        ):
            if register[ROWS] > node.rows.shape[0] - 2 * STEP_ROOM:
                return False
            # The tags of one page reserve the whole block.
            tag(node, register[GUEST_BLOCK] * register[COVERED], wide(0), wide(0))
            register[GUEST_BLOCK] += 1
            register[GUEST_NS] += register[GUEST_STEP_NS]
        return True

    return TagBlocks(tag, pass_moments)
