"""The page cache: how folios of files come into memory, are written, and are truncated.

How they are evicted is in reclaim.py.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.events import INVALIDATE, RESTORE
from core.frontend.allocator import MOVABLE, NONE
from core.frontend.lists import (
    DIRTY,
    DIRTY_PAGES,
    INSERTED,
    INSERTIONS,
    PRESENT,
    REFAULTS,
    RESIDENT,
    enter,
    folio_of,
    is_present,
    leave,
    size_of,
)
from core.frontend.node import DIRTIED, FREE_PAGES, NOW_NS, Node, put, take
from core.frontend.reclaim import Reclaimer, flush, forget
from core.frontend.tag_storage_as_memory import take_page
from core.jit import apart, kernel, loop, naming, wide


class PageCache(NamedTuple):
    """What brings pages of files into memory under one way of reclaim."""

    bring_in: Callable[[Node, int, int, bool], None]  # (node, folio, order, by a fault)
    write: Callable[[Node, int, bool], None]  # (node, page, by a fault)


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
    put(node, INVALIDATE, first, order, 0, 0)


def page_cache_over(hooks: ModuleType, reclaimer: Reclaimer) -> PageCache:
    """Return the page cache under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    insert, touch = hooks.insert, hooks.touch
    ensure, ensure_frames = reclaimer.ensure, reclaimer.ensure_frames

    @loop
    @named
    def admit(node: Node, folio: int, order: int, frame: int, bits: int, in_fault: bool) -> None:
        """Put a folio into the page cache; `bits` has DIRTY if it is written and was not read."""
        apart()
        register = node.register
        # The shadow of a large folio is that of its first page that has one.
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
            # No free block is large enough: the kernel then reads single pages.
            node.register[FREE_PAGES] += 1 << order
            for page in range(folio, folio + (1 << order)):
                admit(node, page, 0, take_page(node, page), 0, in_fault)
        else:
            admit(node, folio, order, frame, 0, in_fault)

    @loop
    @named
    def write(node: Node, page: int, in_fault: bool) -> None:
        """Write to a page, which makes its folio dirty; a page that is not in memory is made."""
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
            flush(node)

    return PageCache(bring_in, write)
