"""Anonymous memory and swap: pages that are touched, unmapped, swapped out and brought back."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from core.events import ALLOC, ANONYMOUS, INVALIDATE, RESTORE, STORE, TAGGED, WORKINGSET
from core.events import MOVABLE as MOVABLE_FLAG
from core.frontend.allocator import MOVABLE, NONE
from core.frontend.lists import (
    ABSENT,
    PRESENT,
    SWAP_FREE,
    SWAPPED,
    SWAPPED_IN,
    SWAPPED_OUT,
    SWAPPINESS,
    TAGGED_PAGE,
    YOUNG,
    leave,
)
from core.frontend.node import (
    TELLS_SWAP,
    Node,
    begin_request,
    drain_pool,
    end_request,
    fill_pool,
    put,
    put_restore,
    take,
    tell_untagged,
)
from core.frontend.tag_blocks import untag
from core.frontend.tag_storage_as_memory import give_page, take_page
from core.jit import apart, kernel, loop, naming, wide


@kernel
def _tell_swap(node: Node, op: int, page: int, flags: int) -> None:
    """Write that a page goes to the swap device, comes from it, or is forgotten there.

    Each page that comes is a request of its own, which a task waits for.
    """
    if node.register[TELLS_SWAP] and op == RESTORE:
        begin_request(node, page, page + 1)
        put_restore(node, page, wide(0), wide(ANONYMOUS))
        end_request(node)
    elif node.register[TELLS_SWAP]:
        put(node, op, page, wide(0), wide(0), wide(ANONYMOUS | flags))


@loop
def unmap(node: Node, page: int) -> None:
    """Take an anonymous page out of memory, or out of swap, for good."""
    apart()
    bits = wide(node.pages[page].bits)
    if bits & PRESENT:
        if node.pages[page].list != ABSENT:
            leave(node.pages, node.register, page)
        frame = wide(node.pages[page].place)
        if bits & TAGGED_PAGE and frame != NONE:
            tell_untagged(node, frame, wide(0))
            untag(node, frame, wide(0))
        give_page(node, frame, wide(0))
    elif bits & SWAPPED:
        node.register[SWAP_FREE] += 1
        drain_pool(node)
        _tell_swap(node, INVALIDATE, page, wide(0))
    node.pages[page].bits = 0
    node.pages[page].place = 0


def swap_out_over(hooks: ModuleType) -> Callable[[Node, int], None]:
    """Return what swaps a page out that is off its list, under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    is_workingset, remember = hooks.is_workingset, hooks.remember

    @loop
    @named
    def swap_out(node: Node, page: int) -> None:
        apart()
        bits, frame = wide(node.pages[page].bits), wide(node.pages[page].place)
        flags = wide(WORKINGSET) if is_workingset(node.pages, page) else wide(0)
        _tell_swap(node, STORE, page, flags)
        node.pages[page].place = remember(node.pages, node.register, page)
        node.pages[page].bits = SWAPPED | bits & TAGGED_PAGE
        if bits & TAGGED_PAGE and frame != NONE:
            tell_untagged(node, frame, wide(0))
            untag(node, frame, wide(0))
        give_page(node, frame, wide(0))
        node.register[SWAP_FREE] -= 1
        node.register[SWAPPED_OUT] += 1
        fill_pool(node)

    return swap_out


def touch_anonymous_over(
    hooks: ModuleType,
    ensure: Callable[[Node, int], None],
    ensure_frames: Callable[[Node, int], None],
    tag: Callable[[Node, int, int, int], None],
) -> Callable[[Node, int, int], None]:
    """Return what touches an anonymous page: ``(node, page, flags of the access)``.

    Parameters
    ----------
    hooks
        The module of the way of reclaim.
    ensure, ensure_frames
        What makes room for an allocation: the fields of `core.frontend.reclaim.Reclaimer`.
    tag
        What reserves the blocks of a tagged page: a field of `core.frontend.tag_blocks.TagBlocks`.
    """
    named = naming(hooks.__name__.rpartition(".")[2])
    insert = hooks.insert

    @loop
    @named
    def touch_anonymous(node: Node, page: int, flags: int) -> None:
        """Touch a page; if it is not in memory it is made, or brought back from swap."""
        apart()
        register = node.register
        bits = wide(node.pages[page].bits)
        if bits & PRESENT:
            node.pages[page].bits = bits | YOUNG
            return
        # Memory that a trace shows as taken has a frame there, whatever it is.
        needs_frame = flags & (TAGGED | ANONYMOUS) != 0
        tagged = TAGGED_PAGE if flags & TAGGED else 0
        if bits & SWAPPED:
            tagged = bits & TAGGED_PAGE
        if tagged or needs_frame:
            ensure_frames(node, 1)
            frame = take(node, MOVABLE, 0, tagged != 0)
        else:
            ensure(node, 1)
            frame = take_page(node, page)
        shadow = wide(0)
        if bits & SWAPPED:
            shadow = wide(node.pages[page].place)
            register[SWAP_FREE] += 1
            register[SWAPPED_IN] += 1
            drain_pool(node)
        node.pages[page].bits = PRESENT | YOUNG | tagged
        node.pages[page].place = frame
        if tagged and frame != NONE:
            put(node, ALLOC, 0, 0, frame, TAGGED | MOVABLE_FLAG)
            tag(node, frame, wide(0), wide(0))
        if bits & SWAPPED:
            _tell_swap(node, RESTORE, page, wide(0))
        if register[SWAPPINESS] > 0:
            insert(node.pages, register, page, shadow, True)

    return touch_anonymous
