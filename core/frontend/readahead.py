"""Readahead: which pages beside the one that is wanted are read with it.

As in mm/readahead.c and mm/filemap.c of Linux 6.12, each file has a window, which grows while the
file is read in sequence. When a page that readahead marked is met, the window moves on and is read.
A fault reads a window around its page. In a file that may have large folios, the folios of each
window are two orders larger than those of the one before (``page_cache_ra_order``).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from core.frontend.lists import READAHEAD, clear, folio_of, is_present
from core.frontend.node import (
    ASYNC_SIZE,
    END,
    FIRST,
    FOLIO_ORDER,
    MMAP_MISSES,
    PREVIOUS,
    READAHEAD_PAGES,
    SIZE,
    START,
    Node,
)
from core.frontend.page_cache import PageCache
from core.jit import apart, kernel, loop, naming, wide

#: MMAP_LOTSAMISS.
_MANY_MISSES = 100
_MOST_MISSES = 10 * _MANY_MISSES

#: ``(node, extent, page, wanted, large, in_fault)``: `wanted` pages from `page` on are asked for,
#: `large` says whether folios may be large, and `in_fault` whether a fault asks.
ReadAhead = Callable[[Node, int, int, int, bool, bool], None]


@kernel
def _first_size(wanted: int, most: int) -> int:
    """Return the size of a first window: get_init_ra_size."""
    size = wide(1)
    while size < wanted:
        size *= 2
    if size <= most // 32:
        return size * 4
    return size * 2 if size <= most // 4 else most


@kernel
def _next_size(size: int, most: int) -> int:
    """Return the size of the window that follows one of `size` pages: get_next_ra_size."""
    if size < most // 16:
        return 4 * size
    return 2 * size if size <= most // 2 else most


@kernel
def _log2(pages: int) -> int:
    order = wide(0)
    while pages >> (order + 1):
        order += 1
    return order


@kernel
def note_hit(node: Node, extent: int) -> None:
    """Note that a fault found its page in memory, a sign that reading around faults pays."""
    if node.files[extent, MMAP_MISSES] > 0:
        node.files[extent, MMAP_MISSES] -= 1


def _window_over(
    hooks: ModuleType, cache: PageCache
) -> Callable[[Node, int, int, bool, bool], None]:
    """Return what reads a window: (node, extent, order of its folios, large folios, by a fault)."""
    named = naming(hooks.__name__.rpartition(".")[2])
    bring_in = cache.bring_in

    @loop
    @named
    def read_window(node: Node, extent: int, order: int, large: bool, in_fault: bool) -> None:
        """Read the window of a file: page_cache_ra_order and page_cache_ra_unbounded."""
        apart()
        window = node.files[extent]
        first = wide(node.files[extent, FIRST])
        end = min(first + wide(window[START]) + wide(window[SIZE]), wide(node.files[extent, END]))
        at = first + wide(window[START])
        mark = at + wide(window[SIZE]) - wide(window[ASYNC_SIZE])
        if large:
            order = min(order + 2, wide(node.register[FOLIO_ORDER]), _log2(wide(window[SIZE])))
        else:
            order = wide(0)
        while at < end:
            fits = order
            while at & ((1 << fits) - 1) or at + (1 << fits) > end:
                fits -= 1
            present = False
            for page in range(at, at + (1 << fits)):
                present = present or is_present(node.pages, page)
            if present and fits > 0:
                order = wide(0)  # from here on the window is read page by page
                continue
            if not present:
                bring_in(node, at, fits, False, in_fault)
                if is_present(node.pages, at) and at == mark >> fits << fits:
                    node.pages[at].bits = wide(node.pages[at].bits) | READAHEAD
            at += 1 << fits

    return read_window


def read_ahead_over(hooks: ModuleType, cache: PageCache) -> tuple[ReadAhead, ReadAhead]:
    """Return the two kernels that read ahead, under the hooks of a way of reclaim.

    Parameters
    ----------
    hooks
        The module of the way of reclaim.
    cache
        The page cache, which brings the pages in.

    Returns
    -------
    tuple of ReadAhead
        What is called for a page that is missing, and for a page that readahead marked.
    """
    named = naming(hooks.__name__.rpartition(".")[2])
    bring_in, read_window = cache.bring_in, _window_over(hooks, cache)

    @loop
    @named
    def miss(node: Node, extent: int, page: int, wanted: int, large: bool, in_fault: bool) -> None:
        """Read a page that is not in memory: page_cache_sync_ra, or do_sync_mmap_readahead."""
        apart()
        window = node.files[extent]
        most = wide(node.register[READAHEAD_PAGES])
        first = wide(node.files[extent, FIRST])
        index = page - first
        if in_fault and most > 0:
            if window[MMAP_MISSES] < _MOST_MISSES:
                window[MMAP_MISSES] += 1
            if window[MMAP_MISSES] <= _MANY_MISSES:
                window[START] = max(0, index - most // 2)
                window[SIZE] = most
                window[ASYNC_SIZE] = most // 4
                read_window(node, extent, 0, large, True)
            return
        since = index - wide(window[PREVIOUS])
        if most > 0 and (index == 0 or wanted > most or 0 <= since <= 1):
            size = _first_size(wanted, most)
            window[START] = index
            window[SIZE] = size
            window[ASYNC_SIZE] = size - wanted if size > wanted else size >> 1
            read_window(node, extent, 0, large, False)
            return
        before = page - 1
        while before >= first and page - before <= most and is_present(node.pages, before):
            before -= 1
        run = page - 1 - before
        if run <= wanted or most == 0:
            # A small random read: it is read as it is, and the window stays.
            for absent in range(page, min(page + wanted, wide(node.files[extent, END]))):
                if not is_present(node.pages, absent):
                    bring_in(node, absent, 0, False, False)
            return
        run = 2 * run if before < first else run
        window[START] = index
        window[SIZE] = min(run + wanted, most)
        window[ASYNC_SIZE] = 1
        read_window(node, extent, 0, large, False)

    @loop
    @named
    def met(node: Node, extent: int, page: int, wanted: int, large: bool, in_fault: bool) -> None:
        """Read on, since a page that was marked is used: page_cache_async_ra."""
        apart()
        folio = folio_of(node.pages, page)
        clear(node.pages, folio, READAHEAD)
        window = node.files[extent]
        most = wide(node.register[READAHEAD_PAGES])
        first, end = wide(node.files[extent, FIRST]), wide(node.files[extent, END])
        order = wide(node.pages[folio].order)
        expected = wide(window[START]) + wide(window[SIZE]) - wide(window[ASYNC_SIZE])
        if folio - first == expected >> order << order:
            window[START] += window[SIZE]
            size = _next_size(wide(window[SIZE]), most)
        else:
            start = page + 1
            while start < end and start - page <= most and is_present(node.pages, start):
                start += 1
            if start - page > most:
                return
            window[START] = start - first
            size = _next_size(start - page + wanted, most)
        window[SIZE] = size
        window[ASYNC_SIZE] = size
        if first + wide(window[START]) < end:
            read_window(node, extent, order, large, in_fault)

    return miss, met
