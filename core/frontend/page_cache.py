"""The page cache: how folios of files come into memory, are written, and are truncated.

How they are evicted is in reclaim.py.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.events import INVALIDATE
from core.frontend.allocator import NONE
from core.frontend.lists import (
    DIRTY,
    DIRTY_PAGES,
    FROM_BEFORE_PAGES,
    INSERTED,
    INSERTED_BY_WRITE,
    INSERTED_METADATA,
    INSERTIONS,
    METADATA_PAGE,
    METADATA_REFAULTS,
    PRESENT,
    REFAULTS,
    RESIDENT,
    REWRITTEN,
    enter,
    folio_of,
    is_present,
    leave,
    size_of,
)
from core.frontend.node import (
    DIRTIED,
    NEW_BITS,
    Node,
    put,
    put_restore,
)
from core.frontend.reclaim import Reclaimer, flush, forget
from core.frontend.tag_storage_as_memory import take_folio, take_page
from core.frontend.zone import FREE_PAGES, NOW_NS
from core.jit import apart, kernel, loop, naming, wide


class PageCache(NamedTuple):
    """What brings pages of files into memory under one way of reclaim."""

    # (node, folio, order, by a write that reads nothing, by a fault)
    bring_in: Callable[[Node, int, int, bool, bool], None]
    write: Callable[[Node, int, bool], None]  # (node, page, by a fault)
    # (node, folio, order, by a fault): it was in memory before the trace
    find: Callable[[Node, int, int, bool], None]


@kernel
def _split(node: Node, folio: int) -> None:
    """Split a folio into folios of one page; none of them counts as mapped."""
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
    """Take pages out of memory without a shadow, as a truncation of their file does.

    A folio that lies in the range only in part is split.

    Parameters
    ----------
    node
        The node.
    first, order
        The range: 2**order pages from `first` on.
    """
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
    if node.register[NEW_BITS] & METADATA_PAGE == 0:
        put(node, INVALIDATE, first, order, 0, 0)


@kernel
def _make_dirty(node: Node, folio: int) -> None:
    """Mark a folio dirty; the flusher writes it back after a while."""
    register = node.register
    node.pages[folio].bits = wide(node.pages[folio].bits) | DIRTY
    register[DIRTY_PAGES] += size_of(node.pages, folio)
    node.dirtied[register[DIRTIED], 0] = folio
    node.dirtied[register[DIRTIED], 1] = register[NOW_NS]
    register[DIRTIED] += 1


@kernel
def _count_insertion(
    node: Node, size: int, is_metadata: bool, is_by_write: bool, shadow: int
) -> None:
    """Count a folio that came into memory, over the shadow of an eviction or over none (0)."""
    register = node.register
    register[INSERTIONS] += 1
    register[INSERTED] += size
    register[RESIDENT] += size
    if is_metadata:
        register[INSERTED_METADATA] += size
    if is_by_write:
        register[INSERTED_BY_WRITE] += size
    if shadow == 0:
        return
    if is_by_write:
        register[REWRITTEN] += size
        return
    register[REFAULTS] += size
    if is_metadata:
        register[METADATA_REFAULTS] += size


def page_cache_over(hooks: ModuleType, reclaimer: Reclaimer) -> PageCache:
    """Return the page cache under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    insert, touch = hooks.insert, hooks.touch
    ensure, can_have = reclaimer.ensure, reclaimer.can_have

    @loop
    @named
    def admit(
        node: Node, folio: int, order: int, frame: int, by_write: bool, in_fault: bool
    ) -> None:
        """Put a folio into the page cache; one that a write makes is not read from the disk."""
        apart()
        bits = wide(node.register[NEW_BITS])
        # The shadow of a large folio is that of its last page that has one: filemap_add_folio.
        shadow = wide(0)
        for page in range(folio, folio + (1 << order)):
            if node.pages[page].place != 0:
                shadow = wide(node.pages[page].place)
            node.pages[page].place = NONE
            node.pages[page].order = order
            node.pages[page].bits = PRESENT | bits
        node.pages[folio].place = frame
        is_metadata = bits & METADATA_PAGE != 0
        _count_insertion(node, wide(1 << order), is_metadata, by_write, shadow)
        if by_write:
            shadow = wide(0)
            _make_dirty(node, folio)
        elif not is_metadata:
            put_restore(node, folio, order, wide(0))
        insert(node.pages, node.register, folio, shadow, in_fault)
        if is_metadata:
            # The file system finds its blocks' pages accessed from the first: FGP_ACCESSED.
            touch(node.pages, node.register, folio)

    @loop
    @named
    def bring_in(node: Node, folio: int, order: int, by_write: bool, in_fault: bool) -> None:
        """Bring in a folio, none of whose pages is in memory."""
        apart()
        if order == 0:
            ensure(node, 1)
            admit(node, folio, order, take_page(node, folio), by_write, in_fault)
            return
        frame = wide(NONE)
        if can_have(node, wide(1 << order)):
            frame = take_folio(node, order)
            if frame == NONE:
                node.register[FREE_PAGES] += 1 << order
        if frame == NONE:
            # No free block is large enough: the kernel then reads single pages.
            for page in range(folio, folio + (1 << order)):
                ensure(node, 1)
                admit(node, page, 0, take_page(node, page), by_write, in_fault)
        else:
            admit(node, folio, order, frame, by_write, in_fault)

    @loop
    @named
    def write(node: Node, page: int, in_fault: bool) -> None:
        """Write to a page, which makes its folio dirty; a page that is not in memory is made."""
        apart()
        is_new = not is_present(node.pages, page)
        if is_new:
            bring_in(node, page, 0, True, in_fault)
        folio = folio_of(node.pages, page)
        touch(node.pages, node.register, folio)
        if not is_new and wide(node.pages[folio].bits) & DIRTY == 0:
            _make_dirty(node, folio)
            is_new = True
        if is_new:
            flush(node)

    @loop
    @named
    def find(node: Node, folio: int, order: int, in_fault: bool) -> None:
        """Take a folio as one that is in memory, in frames that count as used already."""
        apart()
        bits = wide(node.register[NEW_BITS])
        for page in range(folio, folio + (1 << order)):
            node.pages[page].place = NONE
            node.pages[page].order = order
            node.pages[page].bits = PRESENT | bits
        node.register[RESIDENT] += 1 << order
        node.register[FROM_BEFORE_PAGES] += 1 << order
        insert(node.pages, node.register, folio, wide(0), in_fault)

    return PageCache(bring_in, write, find)
