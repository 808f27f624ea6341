"""Reads of files: as a recorded kernel did them, or page by page with readahead."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.accesses import IN_FAULT, LARGE_FOLIOS
from core.frontend.lists import READAHEAD, YOUNG, folio_of, is_present
from core.frontend.node import AT, FIRST, PREVIOUS, Node
from core.frontend.numbered_accesses import NumberedAccesses
from core.frontend.page_cache import PageCache
from core.frontend.readahead import note_hit, read_ahead_over
from core.jit import kernel, naming, wide


class RecordedReads(NamedTuple):
    """What repeats the reads that a recorded kernel did."""

    read: Callable[[Node, int, int, bool], None]  # (node, folio, order, by a fault)
    access: Callable[[Node, NumberedAccesses, int, bool], None]  # (node, accesses, page, maps)


def recorded_reads_over(hooks: ModuleType, cache: PageCache) -> RecordedReads:
    """Return what repeats recorded reads, under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    bring_in, touch = cache.bring_in, hooks.touch

    @kernel
    @named
    def read(node: Node, folio: int, order: int, in_fault: bool) -> None:
        """Read a folio as the recorded kernel read it; its pages that are in memory stay."""
        end = folio + (1 << order)
        present = wide(0)
        for page in range(folio, end):
            present += 1 if is_present(node.pages, page) else 0
        if present == 0:
            bring_in(node, folio, order, in_fault)
        elif present < end - folio:
            for page in range(folio, end):
                if not is_present(node.pages, page):
                    bring_in(node, page, 0, in_fault)

    @kernel
    @named
    def access(node: Node, accesses: NumberedAccesses, page: int, maps: bool) -> None:
        """Access one page as the trace shows it: by a mapping, or by a read or write."""
        if not is_present(node.pages, page):
            bring_in(node, page, 0, maps)
        folio = folio_of(node.pages, page)
        if not maps:
            touch(node.pages, node.register, folio)
            return
        at = wide(node.register[AT])
        task = wide(accesses.handle[at])
        accesses.next_map[at] = accesses.holder[task]
        accesses.holder[task] = at
        node.pages[folio].maps += 1

    return RecordedReads(read, access)


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
        if not is_present(node.pages, page):
            miss(node, extent, page, wanted, large, maps)
            if not is_present(node.pages, page):
                bring_in(node, page, 0, maps)
        else:
            if wide(node.pages[folio_of(node.pages, page)].bits) & READAHEAD:
                met(node, extent, page, wanted, large, maps)
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
