"""Tag storage as memory: how a kernel puts pages into it, as MIGRATE_CMA does.

In "Add support for arm64 MTE dynamic tag storage reuse" (RFC v3), tag storage is movable memory for
pages that are not tagged. Its frames, the *slots*, come after those of data memory. The allocator
takes a slot when more than half of the free pages are slots (mm/page_alloc.c, ``__rmqueue`` with
``ALLOC_CMA``), or when no other frame is free; or before any other frame, as vendors do. Folios of
order 0 of the page cache and untagged anonymous pages can lie there. How blocks of slots are
reserved for tags is in tag_blocks.py. Where tag storage is not memory, nothing here has an effect.

Where tag storage only makes memory larger (``more_memory``), it is a number of pages and no places:
what lies there, a folio of any order, has `DATA_FRAMES` as its frame. Reservations can make more
pages lie there than there are slots: those are in truth in frames that count as free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.frontend.allocator import MOVABLE, NONE
from core.frontend.lists import Register
from core.frontend.node import (
    NODE_REGISTERS,
    TAG_STORAGE_REGISTERS,
    Node,
    give,
    take,
)
from core.frontend.zone import FREE_PAGES, NOW_NS
from core.jit import kernel, wide
from core.lane import SERIES_POINTS
from core.machine import DATA_PAGES_PER_TAG_PAGE
from core.random_bits import bits_of

# Elements of `register`.
(
    # Tag pages of a block (0: tag storage is not memory), and the data pages whose tags they hold;
    # how many frames come before the slots; whether tag storage only makes memory larger; whether
    # slots are used before other frames; and whether clean pages of files that lie in a block are
    # dropped when it is wanted.
    BLOCK_PAGES,
    COVERED,
    DATA_FRAMES,
    ONLY_ENLARGES,
    USED_FIRST,
    DROPS_CLEAN,
    # Slots that are free, and that hold pages; the integral of the latter over time, and up to when
    # it is worked out; the same of blocks that are reserved, and the most of them.
    SLOTS_FREE,
    SLOTS_USED,
    USED_NS,
    USED_SINCE_NS,
    RESERVED,
    RESERVED_NS,
    RESERVED_PEAK,
    RESERVATIONS,
    RELEASES,
    # What pins pages: of 2**32 draws, those that pin a page, for how long, the seed and number of
    # draws; and how many pages an adversary can still pin.
    PINNED_BITS,
    PIN_NS,
    PIN_SEED,
    PIN_DRAWS,
    PINS_LEFT,
    # Pages that reservations dropped and migrated, and allocations that got no block: a page was
    # pinned, or they could not sleep.
    DROPPED,
    MIGRATED,
    PINNED_FAILURES,
    ATOMIC_FAILURES,
    # The number of the next point of the series, and its time; when the series begins, and how long
    # it goes on.
    NEXT_POINT,
    NEXT_POINT_NS,
    START_NS,
    SPAN_NS,
    # The next block of guests that is to be reserved, and the end of them; when that is, and how
    # long after it the next one is.
    GUEST_BLOCK,
    GUEST_END,
    GUEST_NS,
    GUEST_STEP_NS,
) = range(TAG_STORAGE_REGISTERS, NODE_REGISTERS)

# Columns of `slots`: links of the free list, whose end is the last row; the page that a slot holds;
# and until when that page is pinned. All are in one array, since each array is eight arguments to
# every function that is called.
_PREV, _NEXT, _PAGE, _PINNED = range(4)
_EMPTY, _WITHHELD = -1, -2
#: Rows of output that are no events: what an allocation had to wait for, what tag storage held at a
#: moment, and that a block was reserved (1) or released (-1).
SAMPLE, POINT, RESERVATION = 32, 33, 34
#: Flags of a sample beside ATOMIC: a page was pinned, or the allocation could not sleep.
HELD_BY_PIN, HELD_BY_ATOMIC = 1, 2
#: A time that never comes.
FOREVER_NS = 1 << 62


class TagMemory(NamedTuple):
    """Tag storage that holds pages, and what pins some of them.

    Parameters
    ----------
    tag_blocks, tag_block_pages
        The blocks of tag storage, and the pages of one.
    pinned_ratio
        The probability that a page is pinned when it is put into a slot.
    pin_duration_ns
        How long such a page stays pinned.
    pinned_on_purpose
        Pages that an adversary pins for good: at most so many at once, and one in a block.
    seed
        Of the draws of pinned pages.
    used_first
        Whether slots are used before other frames, instead of when more than half of the free pages
        are slots.
    drops_clean
        Whether clean pages of files that lie in a block are dropped when the block is wanted,
        instead of migrated.
    only_enlarges
        Whether memory is only larger by the slots that no block has reserved: where pages lie plays
        no part, nothing is pinned, and nothing fails or costs anything.
    guest_blocks
        The last blocks, so many, cover the memory of guests, which is tagged.
    guests_fill
        Whether guests tag their memory evenly over the trace, instead of at its start.
    """

    tag_blocks: int
    tag_block_pages: int
    pinned_ratio: float = 0.0
    pin_duration_ns: int = 0
    pinned_on_purpose: int = 0
    seed: int = 0
    used_first: bool = False
    drops_clean: bool = False
    only_enlarges: bool = False
    guest_blocks: int = 0
    guests_fill: bool = False


def make_slots(memory: TagMemory | None) -> NDArray[np.int64]:
    """Return the rows of slots, all of them free, and of blocks, which cover no tagged page.

    Returns
    -------
    ndarray
        [slot + block + 1, 4]; the last row is the end of the free list.
    """
    blocks = memory.tag_blocks if memory else 0
    slots = blocks * memory.tag_block_pages if memory else 0
    table = np.zeros((slots + blocks + 1, 4), dtype=np.int64)
    # The last row is the end of the list: its neighbours are the first and the last slot.
    table[:slots, _PREV] = np.arange(slots) - 1
    table[:slots, _NEXT] = np.arange(slots) + 1
    table[:slots, _PAGE] = _EMPTY
    end = slots + blocks
    table[end, _PREV], table[end, _NEXT] = (slots - 1, 0) if slots else (end, end)
    if slots:
        table[0, _PREV] = table[slots - 1, _NEXT] = end
    return table


def begin(node: Node, memory: TagMemory, data_frames: int, start_ns: int, span_ns: int) -> None:
    """Give a node its tag storage, all of it free.

    Parameters
    ----------
    node
        The node.
    memory
        The tag storage.
    data_frames
        Frames of data memory; those of tag storage come after them.
    start_ns, span_ns
        When the accesses begin, and for how long they go on.
    """
    register = node.register
    slots = memory.tag_blocks * memory.tag_block_pages
    register[FREE_PAGES] += slots
    register[SLOTS_FREE] = slots
    register[BLOCK_PAGES] = memory.tag_block_pages
    register[COVERED] = DATA_PAGES_PER_TAG_PAGE * memory.tag_block_pages
    register[DATA_FRAMES] = data_frames
    register[ONLY_ENLARGES] = memory.only_enlarges
    register[USED_FIRST] = memory.used_first
    register[DROPS_CLEAN] = memory.drops_clean
    register[PINNED_BITS] = int(np.ceil(memory.pinned_ratio * 2.0**32))
    register[PIN_NS] = memory.pin_duration_ns
    register[PINS_LEFT] = memory.pinned_on_purpose
    register[PIN_SEED] = memory.seed
    register[GUEST_BLOCK] = memory.tag_blocks - memory.guest_blocks
    register[GUEST_END] = memory.tag_blocks
    register[GUEST_NS] = start_ns
    register[START_NS] = start_ns
    register[SPAN_NS] = span_ns
    register[NEXT_POINT_NS] = start_ns + span_ns // SERIES_POINTS
    if memory.guests_fill and memory.guest_blocks:
        register[GUEST_STEP_NS] = span_ns // memory.guest_blocks


@kernel
def is_memory(node: Node) -> bool:
    """Return whether tag storage holds pages."""
    return bool(node.register[BLOCK_PAGES] > 0)


@kernel
def _unlink(node: Node, slot: int) -> None:
    before, after = wide(node.slots[slot, _PREV]), wide(node.slots[slot, _NEXT])
    node.slots[before, _NEXT] = after
    node.slots[after, _PREV] = before
    node.register[SLOTS_FREE] -= 1


@kernel
def _push(node: Node, slot: int) -> None:
    end = wide(node.slots.shape[0]) - 1
    after = wide(node.slots[end, _NEXT])
    node.slots[slot, _PREV] = end
    node.slots[slot, _NEXT] = after
    node.slots[end, _NEXT] = slot
    node.slots[after, _PREV] = slot
    node.slots[slot, _PAGE] = _EMPTY
    node.register[SLOTS_FREE] += 1


@kernel
def pass_time(register: Register) -> None:
    """Add the slots and blocks in use since the last change to their integrals over time."""
    elapsed = register[NOW_NS] - register[USED_SINCE_NS]
    register[USED_NS] += register[SLOTS_USED] * elapsed
    register[RESERVED_NS] += register[RESERVED] * elapsed
    register[USED_SINCE_NS] = register[NOW_NS]


@kernel
def _change_use(node: Node, more: int) -> None:
    pass_time(node.register)
    node.register[SLOTS_USED] += more


@kernel
def count_slots(register: Register, more: int) -> None:
    """Count slots that are free again, of tag storage that only makes memory larger."""
    pass_time(register)
    register[SLOTS_FREE] += more
    slots = (register[GUEST_END] - register[RESERVED]) * register[BLOCK_PAGES]
    register[SLOTS_USED] = slots - max(0, wide(register[SLOTS_FREE]))


@kernel
def take_folio(node: Node, order: int) -> int:
    """Return a frame for a movable folio, which lies in no slot, or NONE.

    Where tag storage only makes memory larger, it may lie there whole.
    """
    register = node.register
    if register[ONLY_ENLARGES] and register[SLOTS_FREE] >= 1 << order:
        register[FREE_PAGES] -= 1 << order
        count_slots(register, -(1 << order))
        return wide(register[DATA_FRAMES])
    return take(node, MOVABLE, order, False)


@kernel
def take_page(node: Node, page: int) -> int:
    """Return a frame for a movable, untagged page: a slot, or a frame of data memory."""
    register = node.register
    free = wide(register[SLOTS_FREE])
    if free <= 0 or register[ONLY_ENLARGES]:
        return take_folio(node, wide(0))
    frame = wide(NONE)
    if 2 * free <= register[FREE_PAGES] and not register[USED_FIRST]:
        frame = take(node, MOVABLE, 0, False)
        if frame != NONE:
            return frame
        register[FREE_PAGES] += 1
    slot = wide(node.slots[wide(node.slots.shape[0]) - 1, _NEXT])
    _unlink(node, slot)
    register[FREE_PAGES] -= 1
    node.slots[slot, _PAGE] = page
    _change_use(node, 1)
    _pin(node, slot)
    return wide(register[DATA_FRAMES]) + slot


@kernel
def _pin(node: Node, slot: int) -> None:
    """Pin the page that was put into a slot, if a draw says so or an adversary wants it."""
    register = node.register
    node.slots[slot, _PINNED] = 0
    if register[PINNED_BITS] > 0:
        draw = wide(register[PIN_DRAWS])
        register[PIN_DRAWS] = draw + 1
        if bits_of(wide(register[PIN_SEED]), draw) < register[PINNED_BITS]:
            node.slots[slot, _PINNED] = register[NOW_NS] + register[PIN_NS]
    if register[PINS_LEFT] > 0:
        first = slot - slot % wide(register[BLOCK_PAGES])
        for block_slot in range(first, first + wide(register[BLOCK_PAGES])):
            if node.slots[block_slot, _PINNED] == FOREVER_NS:
                return
        register[PINS_LEFT] -= 1
        node.slots[slot, _PINNED] = FOREVER_NS


@kernel
def give_page(node: Node, frame: int, order: int) -> None:
    """Free the frames of a folio, or of an anonymous page; a slot holds a single page."""
    register = node.register
    if frame == NONE or register[BLOCK_PAGES] == 0 or frame < register[DATA_FRAMES]:
        give(node, frame, order)
        return
    if register[ONLY_ENLARGES]:
        register[FREE_PAGES] += 1 << order
        count_slots(register, wide(1 << order))
        return
    slot = frame - wide(register[DATA_FRAMES])
    if node.slots[slot, _PINNED] == FOREVER_NS:
        register[PINS_LEFT] += 1
    node.slots[slot, _PINNED] = 0
    register[FREE_PAGES] += 1
    _change_use(node, -1)
    _push(node, slot)


@kernel
def is_pinned(node: Node, frame: int) -> bool:
    """Return whether the page in a frame is pinned, so that reclaim must leave it."""
    register = node.register
    if register[BLOCK_PAGES] == 0 or frame < register[DATA_FRAMES] or register[ONLY_ENLARGES]:
        return False
    slot = frame - wide(register[DATA_FRAMES])
    return bool(node.slots[slot, _PINNED] > register[NOW_NS])


@kernel
def page_in(node: Node, slot: int) -> int:
    """Return the page that a slot holds; a negative number if it holds none."""
    return wide(node.slots[slot, _PAGE])


@kernel
def used_in(node: Node, block: int) -> int:
    """Return how many pages lie in a block."""
    pages = wide(node.register[BLOCK_PAGES])
    used = wide(0)
    for slot in range(block * pages, (block + 1) * pages):
        used += 1 if node.slots[slot, _PAGE] >= 0 else 0
    return used


@kernel
def has_pinned_page(node: Node, block: int) -> bool:
    """Return whether a page that lies in a block is pinned."""
    pages = wide(node.register[BLOCK_PAGES])
    for slot in range(block * pages, (block + 1) * pages):
        if node.slots[slot, _PAGE] >= 0 and node.slots[slot, _PINNED] > node.register[NOW_NS]:
            return True
    return False


@kernel
def withhold_slots(node: Node, block: int) -> None:
    """Move the pages in a block to other frames, and take its slots out of memory."""
    register = node.register
    pages = wide(register[BLOCK_PAGES])
    for slot in range(block * pages, (block + 1) * pages):
        page = wide(node.slots[slot, _PAGE])
        if page >= 0:
            node.pages[page].place = take(node, MOVABLE, 0, False)
            register[MIGRATED] += 1
            if node.slots[slot, _PINNED] == FOREVER_NS:
                register[PINS_LEFT] += 1
            _change_use(node, -1)
        else:
            _unlink(node, wide(slot))
            register[FREE_PAGES] -= 1
        node.slots[slot, _PAGE] = _WITHHELD
        node.slots[slot, _PINNED] = 0


@kernel
def return_slots(node: Node, block: int) -> None:
    """Give the slots of a block, which hold tags no more, back to memory."""
    pages = wide(node.register[BLOCK_PAGES])
    for slot in range(block * pages, (block + 1) * pages):
        node.register[FREE_PAGES] += 1
        _push(node, wide(slot))
