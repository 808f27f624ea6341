"""Reclaim: eviction and writeback, when memory is short.

Reclaim begins when fewer pages are free than the low watermark, and goes on to the high one. It is
kswapd's work, but takes no time here. A dirty folio is written back before it is evicted: by the
flusher once it is 30 s old or too many are dirty, else when reclaim meets it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from core.events import STORE, WORKINGSET
from core.frontend.anonymous import swap_out_over
from core.frontend.lists import (
    ABSENT,
    DIRTY,
    DIRTY_PAGES,
    EVICTED,
    EVICTED_METADATA,
    EVICTIONS,
    FAILURES,
    FIRST_ANONYMOUS,
    HEADS,
    METADATA_PAGE,
    RESIDENT,
    RUNS,
    SIZES,
    can_swap,
    clean,
)
from core.frontend.more_memory import spare_frames
from core.frontend.node import (
    DIRTIED,
    FLUSHED,
    FOR_FRAMES,
    FREE_PAGES,
    HIGH,
    LOW,
    NOW_NS,
    ROWS,
    SKIPPED,
    STEP_ROOM,
    Node,
    put,
)
from core.frontend.tag_storage_as_memory import (
    ONLY_ENLARGES,
    SLOTS_FREE,
    give_page,
    is_pinned,
)
from core.jit import apart, kernel, loop, naming, wide

#: After a run that found nothing to evict, so many runs are skipped.
_BACKOFF_RUNS = 1000
#: dirty_expire_centisecs.
_EXPIRE_NS = 30 * 10**9
#: One part in so many of memory may be dirty: dirty_background_ratio, 10 %.
_DIRTY_DIVISOR = 10


class Reclaimer(NamedTuple):
    """What makes room for an allocation of (node, pages), by reclaim if there is too little."""

    ensure: Callable[[Node, int], None]  # pages that can lie in tag storage too
    ensure_frames: Callable[[Node, int], None]  # pages that need frames of data memory
    evict: Callable[[Node, int], None]  # (node, a folio of a file that is clean and on no list)


@kernel
def forget(node: Node, folio: int, shadow: int) -> None:
    """Take a folio out of memory, and free its frames.

    Parameters
    ----------
    node
        The node.
    folio
        The first page of a folio that is on no list.
    shadow
        What is kept of each of its pages, or 0.
    """
    order = wide(node.pages[folio].order)
    give_page(node, wide(node.pages[folio].place), order)
    for page in range(folio, folio + (1 << order)):
        node.pages[page].bits = 0
        node.pages[page].place = shadow
    node.register[RESIDENT] -= 1 << order


@loop
def flush(node: Node) -> None:
    """Write back the folios that have been dirty for long, and more while too many are dirty."""
    apart()
    register = node.register
    limit = (register[FREE_PAGES] + node.register[RESIDENT]) // _DIRTY_DIVISOR
    while register[FLUSHED] < register[DIRTIED]:
        folio, since = node.dirtied[register[FLUSHED], 0], node.dirtied[register[FLUSHED], 1]
        young = register[NOW_NS] - since < _EXPIRE_NS
        if young and node.register[DIRTY_PAGES] <= limit:
            return
        register[FLUSHED] += 1
        if wide(node.pages[folio].bits) & DIRTY:
            clean(node.pages, node.register, wide(folio))


def reclaimer_over(hooks: ModuleType) -> Reclaimer:
    """Return what makes room for allocations, under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    begin_run, end_run, scan = hooks.begin_run, hooks.end_run, hooks.scan
    put_back, is_workingset, remember = hooks.put_back, hooks.is_workingset, hooks.remember
    swap_out = swap_out_over(hooks)

    @loop
    @named
    def evict(node: Node, folio: int) -> None:
        apart()
        register = node.register
        order = wide(node.pages[folio].order)
        is_metadata = wide(node.pages[folio].bits) & METADATA_PAGE != 0
        flags = WORKINGSET if is_workingset(node.pages, folio) else 0
        shadow = remember(node.pages, register, folio)
        forget(node, folio, shadow)
        register[EVICTIONS] += 1
        register[EVICTED] += 1 << order
        if is_metadata:
            register[EVICTED_METADATA] += 1 << order
        else:
            put(node, STORE, folio, order, 0, flags)

    @loop
    @named
    def reclaim(node: Node) -> None:
        """Evict until the high watermark is reached."""
        apart()
        register = node.register
        if register[SKIPPED] > 0:
            register[SKIPPED] -= 1
            return
        flush(node)
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
        """Reclaim if an allocation would leave fewer free pages than the low watermark."""
        if node.register[FREE_PAGES] - pages < node.register[LOW]:
            reclaim(node)

    @kernel
    @named
    def ensure_frames(node: Node, pages: int) -> None:
        """Do the same for pages that cannot lie in tag storage: its free slots do not count."""
        register = node.register
        if register[ONLY_ENLARGES]:
            ensure(node, pages)
            spare_frames(node, pages)
        elif register[FREE_PAGES] - register[SLOTS_FREE] - pages < register[LOW]:
            register[FOR_FRAMES] = 1
            reclaim(node)
            register[FOR_FRAMES] = 0

    return Reclaimer(ensure, ensure_frames, evict)
