"""The page cache and anonymous memory over a reclaim's hooks: what comes in, and what is evicted.

Reclaim wakes when fewer pages are free than the low watermark and goes on to the high one, as
kswapd does, but takes no time. Dirty folios are written back before they go: by the flusher when
they are 30 s old or too many, else when reclaim meets them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.events import ALLOC, ANONYMOUS, INVALIDATE, RESTORE, STORE, TAGGED, WORKINGSET
from core.events import MOVABLE as MOVABLE_FLAG
from core.frontend.allocator import MOVABLE, NONE
from core.frontend.lists import (
    ABSENT,
    DIRTY,
    DIRTY_PAGES,
    EVICTED,
    EVICTIONS,
    FAILURES,
    FIRST_ANONYMOUS,
    HEADS,
    INSERTED,
    INSERTIONS,
    PRESENT,
    REFAULTS,
    RESIDENT,
    RUNS,
    SIZES,
    SWAP_FREE,
    SWAPPED,
    SWAPPED_IN,
    SWAPPED_OUT,
    SWAPPINESS,
    TAGGED_PAGE,
    YOUNG,
    can_swap,
    clean,
    enter,
    folio_of,
    is_present,
    leave,
    size_of,
)
from core.frontend.node import (
    ATOMIC_FAILURES,
    COVERED,
    DIRTIED,
    FLUSHED,
    FOR_FRAMES,
    FREE_PAGES,
    HIGH,
    LOW,
    MIGRATED,
    NOW_NS,
    PINNED_FAILURES,
    ROWS,
    SKIPPED,
    SLOTS_FREE,
    STEP_ROOM,
    TELLS_SWAP,
    Node,
    drain_pool,
    fill_pool,
    put,
    take,
    tell_untagged,
)
from core.frontend.tag_storage_as_memory import (
    can_empty,
    count_tagged,
    give_page,
    is_memory,
    is_pinned,
    needs_block,
    put_sample,
    reserve,
    take_page,
    untag,
    used_in,
)
from core.jit import apart, kernel, loop, naming, wide

#: Runs of reclaim that are left out after one that found nothing to evict.
_BACKOFF_RUNS = 1000
#: dirty_expire_centisecs; and the share of memory that may be dirty, dirty_background_ratio.
_EXPIRE_NS = 30 * 10**9
_BACKGROUND_RATIO = 10


class PageCache(NamedTuple):
    """The kernels of a page cache under one way of reclaim."""

    ensure_frames: Callable[[Node, int], None]
    tag: Callable[[Node, int, int, int], None]
    bring_in: Callable[[Node, int, int, bool], None]
    write: Callable[[Node, int, bool], None]
    touch_anonymous: Callable[[Node, int, int], None]


@kernel
def tell_swap(node: Node, op: int, page: int, flags: int) -> None:
    """Write that a page goes to the swap device, comes from it, or is forgotten there."""
    if node.register[TELLS_SWAP]:
        put(node, op, page, wide(0), wide(0), wide(ANONYMOUS | flags))


@kernel
def forget(node: Node, folio: int, shadow: int) -> None:
    """A folio's pages are no longer in memory; their shadows stay."""
    order = wide(node.pages[folio].order)
    give_page(node, wide(node.pages[folio].place), order)
    for page in range(folio, folio + (1 << order)):
        node.pages[page].bits = 0
        node.pages[page].maps = 0
        node.pages[page].place = shadow
    node.register[RESIDENT] -= 1 << order


@kernel
def _split(node: Node, folio: int) -> None:
    """Split a folio into its pages; none of them counts as mapped."""
    pages = node.pages
    which, order = wide(pages[folio].list), wide(pages[folio].order)
    frame = wide(pages[folio].place)
    refs, bits = wide(pages[folio].refs), wide(pages[folio].bits)
    leave(pages, node.register, folio)
    for page in range(folio, folio + (1 << order)):
        pages[page].order = 0
        pages[page].place = NONE if frame == NONE else frame + page - folio
        pages[page].refs = refs
        pages[page].bits = bits
        pages[page].maps = 0
        enter(pages, node.register, page, which, True)


@loop
def truncate(node: Node, first: int, order: int) -> None:
    """Truncate: pages go, and are forgotten; a folio that lies in the range in part is split."""
    apart()
    end = first + (1 << order)
    for page in range(first, end):
        if not is_present(node.pages, page):
            node.pages[page].place = 0
            continue
        folio = folio_of(node.pages, page)
        if folio < first or folio + size_of(node.pages, folio) > end:
            _split(node, folio)
            folio = wide(page)
        if wide(node.pages[folio].bits) & DIRTY:
            node.register[DIRTY_PAGES] -= size_of(node.pages, folio)
        leave(node.pages, node.register, folio)
        forget(node, folio, 0)
    put(node, INVALIDATE, first, order, 0, 0)


@loop
def unmap(node: Node, page: int) -> None:
    """An anonymous page goes."""
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
        tell_swap(node, INVALIDATE, page, wide(0))
    node.pages[page].bits = 0
    node.pages[page].place = 0


@loop
def _flush(node: Node) -> None:
    """Write back what has been dirty for long, and what is dirty beyond the limit."""
    apart()
    register = node.register
    limit = (register[FREE_PAGES] + node.register[RESIDENT]) // _BACKGROUND_RATIO
    while register[FLUSHED] < register[DIRTIED]:
        folio, since = node.dirtied[register[FLUSHED], 0], node.dirtied[register[FLUSHED], 1]
        young = register[NOW_NS] - since < _EXPIRE_NS
        if young and node.register[DIRTY_PAGES] <= limit:
            return
        register[FLUSHED] += 1
        if wide(node.pages[folio].bits) & DIRTY:
            clean(node.pages, node.register, wide(folio))


def page_cache_over(hooks: ModuleType) -> PageCache:
    """Return the kernels of a page cache under a reclaim's hooks."""
    named = naming(hooks.__name__.rpartition(".")[2])
    begin_run, end_run, scan = hooks.begin_run, hooks.end_run, hooks.scan
    insert, touch, put_back = hooks.insert, hooks.touch, hooks.put_back
    is_workingset, remember = hooks.is_workingset, hooks.remember

    @loop
    @named
    def evict(node: Node, folio: int) -> None:
        apart()
        register = node.register
        order = wide(node.pages[folio].order)
        flags = WORKINGSET if is_workingset(node.pages, folio) else 0
        shadow = remember(node.pages, register, folio)
        forget(node, folio, shadow)
        register[EVICTIONS] += 1
        register[EVICTED] += 1 << order
        put(node, STORE, folio, order, 0, flags)

    @loop
    @named
    def swap_out(node: Node, page: int) -> None:
        apart()
        bits, frame = wide(node.pages[page].bits), wide(node.pages[page].place)
        flags = wide(WORKINGSET) if is_workingset(node.pages, page) else wide(0)
        tell_swap(node, STORE, page, flags)
        node.pages[page].place = remember(node.pages, node.register, page)
        node.pages[page].bits = SWAPPED | bits & TAGGED_PAGE
        if bits & TAGGED_PAGE and frame != NONE:
            tell_untagged(node, frame, wide(0))
            untag(node, frame, wide(0))
        give_page(node, frame, wide(0))
        node.register[SWAP_FREE] -= 1
        node.register[SWAPPED_OUT] += 1
        fill_pool(node)

    @loop
    @named
    def reclaim(node: Node) -> None:
        """Evict until the high watermark is reached."""
        apart()
        register = node.register
        if register[SKIPPED] > 0:
            register[SKIPPED] -= 1
            return
        _flush(node)
        register[RUNS] += 1
        begin_run(node.pages, register, wide(register[HIGH]))
        looks = wide(0)
        most = wide(4096)
        for which in range(HEADS):
            most += 8 * wide(register[SIZES + which])
        while (
            register[FREE_PAGES] - register[SLOTS_FREE] * register[FOR_FRAMES] < register[HIGH]
            and (register[RESIDENT] > 0 or can_swap(register))
            and looks < most
            and register[ROWS] < node.rows.shape[0] - STEP_ROOM
        ):
            folio = wide(scan(node.pages, register))
            looks += 1
            if folio == ABSENT:
                continue
            if is_pinned(node, wide(node.pages[folio].place)):
                put_back(node.pages, register, folio)
                continue
            looks = wide(0)
            if folio >= register[FIRST_ANONYMOUS]:
                swap_out(node, folio)
            else:
                evict(node, folio)
        end_run(node.pages, register)
        if looks >= most or register[FREE_PAGES] < 0:
            register[SKIPPED] = _BACKOFF_RUNS
            register[FAILURES] += 1

    @kernel
    @named
    def ensure(node: Node, pages: int) -> None:
        """Reclaim if an allocation would leave less than the low watermark."""
        if node.register[FREE_PAGES] - pages < node.register[LOW]:
            reclaim(node)

    @kernel
    @named
    def ensure_frames(node: Node, pages: int) -> None:
        """Reclaim if pages that cannot lie in tag storage would leave less."""
        register = node.register
        if register[FREE_PAGES] - register[SLOTS_FREE] - pages < register[LOW]:
            register[FOR_FRAMES] = 1
            reclaim(node)
            register[FOR_FRAMES] = 0

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
        for one in range(frame, frame + (1 << order)):
            block = one // wide(register[COVERED])
            count_tagged(node, block)
            if needs_block(node, block):
                used = used_in(node, block)
                if used > 0 and not can_empty(node, block, flags):
                    continue
                if used > 0:
                    ensure_frames(node, used)
                reserve(node, block)
                blocks += 1
        # However many of its pages could not be served, it is one allocation that failed.
        register[PINNED_FAILURES] = min(register[PINNED_FAILURES], pinned + 1)
        register[ATOMIC_FAILURES] = min(register[ATOMIC_FAILURES], atomic + 1)
        if blocks > 0:
            put_sample(node, blocks, register[MIGRATED] - before, flags)

    @loop
    @named
    def admit(node: Node, folio: int, order: int, frame: int, bits: int, in_fault: bool) -> None:
        """Put a folio into the page cache; `bits` has DIRTY if it was not read but written."""
        apart()
        register = node.register
        # A large folio refaults by the first page of it that has a shadow.
        shadow = wide(0)
        for page in range(folio, folio + (1 << order)):
            if shadow == 0:
                shadow = wide(node.pages[page].place)
            node.pages[page].place = NONE
            node.pages[page].order = order
            node.pages[page].bits = PRESENT | bits
        node.pages[folio].place = frame
        register[INSERTIONS] += 1
        register[INSERTED] += 1 << order
        register[RESIDENT] += 1 << order
        if bits & DIRTY:
            shadow = wide(0)
        else:
            put(node, RESTORE, folio, order, 0, 0)
        if shadow != 0:
            register[REFAULTS] += 1 << order
        insert(node.pages, register, folio, shadow, in_fault)

    @loop
    @named
    def bring_in(node: Node, folio: int, order: int, in_fault: bool) -> None:
        """Read a folio, none of whose pages is in memory."""
        apart()
        if order == 0:
            ensure(node, 1)
            admit(node, folio, order, take_page(node, folio), 0, in_fault)
            return
        ensure_frames(node, 1 << order)
        frame = take(node, MOVABLE, order, False)
        if frame == NONE:
            # No block is whole: the kernel reads single pages then.
            node.register[FREE_PAGES] += 1 << order
            for page in range(folio, folio + (1 << order)):
                admit(node, page, 0, take_page(node, page), 0, in_fault)
        else:
            admit(node, folio, order, frame, 0, in_fault)

    @loop
    @named
    def write(node: Node, page: int, in_fault: bool) -> None:
        """A page is written: dirty from then on, and new if it is not in memory."""
        apart()
        register = node.register
        if not is_present(node.pages, page):
            ensure(node, 1)
            admit(node, page, 0, take_page(node, page), DIRTY, in_fault)
            folio, dirty = page, False
        else:
            folio = folio_of(node.pages, page)
            dirty = wide(node.pages[folio].bits) & DIRTY != 0
            node.pages[folio].bits = wide(node.pages[folio].bits) | DIRTY
        touch(node.pages, node.register, folio)
        if not dirty:
            node.register[DIRTY_PAGES] += size_of(node.pages, folio)
            put(node, INVALIDATE, folio, wide(node.pages[folio].order), 0, 0)
            node.dirtied[register[DIRTIED], 0] = folio
            node.dirtied[register[DIRTIED], 1] = register[NOW_NS]
            register[DIRTIED] += 1
            _flush(node)

    @loop
    @named
    def touch_anonymous(node: Node, page: int, flags: int) -> None:
        """An anonymous page is touched: made, or brought back from swap, if it is not there."""
        apart()
        register = node.register
        bits = wide(node.pages[page].bits)
        if bits & PRESENT:
            node.pages[page].bits = bits | YOUNG
            return
        tagged = TAGGED_PAGE if flags & TAGGED else 0
        if bits & SWAPPED:
            tagged = bits & TAGGED_PAGE
        if tagged:
            ensure_frames(node, 1)
            frame = take(node, MOVABLE, 0, True)
        else:
            ensure(node, 1)
            frame = take_page(node, page)
        shadow = wide(0)
        if bits & SWAPPED:
            shadow = wide(node.pages[page].place)
            register[SWAP_FREE] += 1
            register[SWAPPED_IN] += 1
            drain_pool(node)
        node.pages[page].bits = PRESENT | tagged
        node.pages[page].place = frame
        if tagged and frame != NONE:
            put(node, ALLOC, 0, 0, frame, TAGGED | MOVABLE_FLAG)
            tag(node, frame, wide(0), wide(0))
        if bits & SWAPPED:
            tell_swap(node, RESTORE, page, wide(0))
        if register[SWAPPINESS] > 0:
            insert(node.pages, register, page, shadow, True)

    return PageCache(ensure_frames, tag, bring_in, write, touch_anonymous)
