"""Reads of files: as a recorded kernel did them, or page by page with readahead."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.accesses import BY_WRITE, FROM_BEFORE, IN_FAULT, LARGE_FOLIOS
from core.events import JOIN, WANTED
from core.frontend.lists import AT, METADATA_PAGE, READAHEAD, YOUNG, folio_of, is_present
from core.frontend.node import (
    FIRST,
    NEW_BITS,
    PREVIOUS,
    WANTED_END,
    WANTED_FIRST,
    Node,
    begin_request,
    end_request,
)
from core.frontend.numbered_accesses import NumberedAccesses
from core.frontend.page_cache import PageCache
from core.frontend.readahead import note_hit, read_ahead_over
from core.jit import kernel, naming, wide


class RecordedReads(NamedTuple):
    """What repeats the reads that a recorded kernel did."""

    read: Callable[[Node, int, int, int], None]  # (node, folio, order, flags of the access)
    # (node, accesses, page, by a fault, that copies it at once)
    access: Callable[[Node, NumberedAccesses, int, bool, bool], None]
    use: Callable[[Node, int], None]  # (node, page)


def recorded_reads_over(hooks: ModuleType, cache: PageCache) -> RecordedReads:
    """Return what repeats recorded reads, under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    bring_in, find, touch = cache.bring_in, cache.find, hooks.touch

    @kernel
    @named
    def read(node: Node, folio: int, order: int, flags: int) -> None:
        """Read a folio as the recorded kernel read it; its pages that are in memory stay.

        A row that joins a request begins it if no row of the request was told before: the pages
        that it began with were in memory.
        """
        end = folio + (1 << order)
        in_fault, by_write = flags & IN_FAULT != 0, flags & BY_WRITE != 0
        register = node.register
        # What is no read, and metadata, lie in no request and end none.
        if not by_write and wide(register[NEW_BITS]) & METADATA_PAGE == 0:
            if not flags & JOIN:
                end_request(node)
            register[WANTED_FIRST] = folio
            register[WANTED_END] = end if flags & WANTED else folio
        present = wide(0)
        for page in range(folio, end):
            present += 1 if is_present(node.pages, page) else 0
        if flags & FROM_BEFORE:
            if present == 0:
                find(node, folio, order, in_fault)
        elif present == 0:
            bring_in(node, folio, order, by_write, in_fault)
        elif present < end - folio:
            for page in range(folio, end):
                if not is_present(node.pages, page):
                    bring_in(node, page, 0, by_write, in_fault)

    @kernel
    @named
    def folio_in_memory(node: Node, page: int, in_fault: bool) -> int:
        """Return the folio of a page, which is read by itself if it is not in memory."""
        if not is_present(node.pages, page):
            is_metadata = wide(node.register[NEW_BITS]) & METADATA_PAGE != 0
            if not is_metadata:
                begin_request(node, page, page + 1)
            bring_in(node, page, 0, False, in_fault)
            if not is_metadata:
                end_request(node)
        return folio_of(node.pages, page)

    @kernel
    @named
    def use(node: Node, page: int) -> None:
        """Access one page through a mapping. An evicted page has none: a fault brings it in."""
        folio = folio_in_memory(node, page, True)
        node.pages[folio].bits = wide(node.pages[folio].bits) | YOUNG

    @kernel
    @named
    def access(node: Node, accesses: NumberedAccesses, page: int, maps: bool, copies: bool) -> None:
        """Access one page as the trace shows it: by a fault, or by a read or write."""
        folio = folio_in_memory(node, page, maps)
        if not maps:
            touch(node.pages, node.register, folio)
            return
        if copies:
            return
        at = wide(node.register[AT])
        task = wide(accesses.handle[at])
        accesses.next_map[at] = accesses.holder[task]
        accesses.holder[task] = at
        node.pages[folio].maps += 1

    return RecordedReads(read, access, use)


def look_up_over(hooks: ModuleType, cache: PageCache) -> Callable[[Node, int, int, int, int], None]:
    """Return what looks up a page: (node, extent, page, pages wanted from it on, flags)."""
    named = naming(hooks.__name__.rpartition(".")[2])
    bring_in, touch = cache.bring_in, hooks.touch
    miss, met = read_ahead_over(hooks, cache)

    @kernel
    @named
    def look_up(node: Node, extent: int, page: int, wanted: int, flags: int) -> None:
        """Look up one page of a request; if it is absent, read it with what readahead adds."""
        maps, large = flags & IN_FAULT != 0, flags & LARGE_FOLIOS != 0
        # A fault waits for its own page, whatever comes after it.
        end = page + (wide(1) if maps else wanted)
        if not is_present(node.pages, page):
            begin_request(node, page, end)
            miss(node, extent, page, wanted, large, maps)
            if not is_present(node.pages, page):
                begin_request(node, page, end)
                bring_in(node, page, 0, False, maps)
            end_request(node)
        else:
            if wide(node.pages[folio_of(node.pages, page)].bits) & READAHEAD:
                begin_request(node, page, end)
                met(node, extent, page, wanted, large, maps)
                end_request(node)
            if maps:
                note_hit(node, extent)
        folio = folio_of(node.pages, page)
        if maps:
            node.pages[folio].bits = wide(node.pages[folio].bits) | YOUNG
            return
        window = node.files[extent]
        previous = wide(window[FIRST]) + wide(window[PREVIOUS])
        # A read marks a folio once, however many of its pages it copies: filemap_read.
        if not folio <= previous < page:
            touch(node.pages, node.register, folio)
        window[PREVIOUS] = page - window[FIRST]

    return look_up
