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
    AGINGS,
    AT,
    DIRTY,
    DIRTY_PAGES,
    EVICTED,
    EVICTED_METADATA,
    EVICTIONS,
    FIRST_ANONYMOUS,
    GOES_NEXT,
    METADATA_PAGE,
    RESIDENT,
    RUNS,
    can_swap,
    clean,
    enter,
    leave,
)
from core.frontend.more_memory import spare_frames
from core.frontend.node import (
    DIRTIED,
    FLUSHED,
    FOR_FRAMES,
    ROWS,
    STEP_ROOM,
    WAKES_AT,
    Node,
    put,
)
from core.frontend.out_of_memory import (
    CAN_DO_WITHOUT,
    LACKED,
    LOOKS_LEFT,
    MIN,
    MUST_LEAVE,
    available,
    reclaimable,
    run_out,
)
from core.frontend.tag_storage_as_memory import (
    ONLY_ENLARGES,
    SLOTS_FREE,
    give_page,
    is_pinned,
)
from core.frontend.zone import (
    BOOST,
    FREE_PAGES,
    HIGH,
    LOW,
    NOW_NS,
    RECLAIMS,
    drain_all,
    zone_free,
)
from core.jit import apart, kernel, loop, naming, wide

#: A run looks at a folio so often at most before it is evicted, or found to be pinned. It may be
#: young, active, in a tier that is protected, and dirty, once each, in either way of reclaim.
_LOOKS_PER_PAGE = 8
#: Looks beside those: at lists that are empty, and at shares of lists that round to nothing.
_MORE_LOOKS = 512
#: dirty_expire_centisecs.
_EXPIRE_NS = 30 * 10**9
#: One part in so many of memory may be dirty: dirty_background_ratio, 10 %.
_DIRTY_DIVISOR = 10


class Reclaimer(NamedTuple):
    """What makes room for an allocation of (node, pages), by reclaim if there is too little."""

    ensure: Callable[[Node, int], None]  # pages that can lie in tag storage too
    ensure_frames: Callable[[Node, int], None]  # pages that need frames of data memory
    # Makes room for a large folio, which is read page by page where it does not fit.
    can_have: Callable[[Node, int], bool]
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
        # Mappings end with the page: those of before do not count when it comes back.
        node.pages[page].maps = 0
        node.pages[page].looked = node.register[AT]
        node.pages[page].place = shadow
    node.register[RESIDENT] -= 1 << order


@kernel
def _rotate(node: Node, folio: int) -> None:
    """Make a folio of the classic lists the next to go if reclaim met it while it was dirty.

    folio_rotate_reclaimable.
    """
    refs, which = wide(node.pages[folio].refs), wide(node.pages[folio].list)
    if refs & GOES_NEXT and which != ABSENT:
        node.pages[folio].refs = refs & ~GOES_NEXT
        leave(node.pages, node.register, folio)
        enter(node.pages, node.register, folio, which & ~1, False)


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
            _rotate(node, wide(folio))


def _reclaim_over(
    hooks: ModuleType,
) -> tuple[Callable[[Node, int], None], Callable[[Node, int], None]]:
    """Return what reclaims for an allocation of (node, pages), and what evicts a folio."""
    named = naming(hooks.__name__.rpartition(".")[2])
    begin_run, end_run, scan = hooks.begin_run, hooks.end_run, hooks.scan
    extra, is_amid = hooks.EXTRA_PAGES, hooks.is_amid
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
    def reclaim(node: Node, pages: int) -> None:
        """Evict until the high watermark is reached and the allocation fits, or nothing is left."""
        apart()
        register = node.register
        if register[LACKED] > 0:
            return
        flush(node)
        register[RUNS] += 1
        register[RECLAIMS] = 1
        high = wide(register[HIGH]) + wide(register[BOOST]) + extra
        goal = max(high, wide(register[MUST_LEAVE]) + pages)
        begin_run(node.pages, register, goal)
        listed, looks, agings = reclaimable(register), wide(0), wide(register[AGINGS])
        most = _LOOKS_PER_PAGE * listed + (_MORE_LOOKS if listed > 0 else 0)
        while (
            (available(register) < goal or is_amid(register))
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
            if folio >= register[FIRST_ANONYMOUS]:
                swap_out(node, folio)
            else:
                evict(node, folio)
        end_run(node.pages, register)
        register[RECLAIMS] = 0
        register[BOOST] = 0
        register[LOOKS_LEFT] -= looks + listed * (register[AGINGS] - agings)
        if available(register) >= goal:
            register[WAKES_AT] = register[LOW]
        elif register[ROWS] < node.rows.shape[0] - STEP_ROOM:
            # kswapd gives up: the next run is a direct one, when an allocation cannot be served.
            register[WAKES_AT] = register[MIN]
            drain_all(node.frames, register)
            if available(register) - pages < register[MUST_LEAVE]:
                run_out(register, pages)

    return reclaim, evict


def reclaimer_over(hooks: ModuleType) -> Reclaimer:
    """Return what makes room for allocations, under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    reclaim, evict = _reclaim_over(hooks)

    @kernel
    @named
    def ensure(node: Node, pages: int) -> None:
        """Reclaim if an allocation would leave fewer free pages than the low watermark."""
        if zone_free(node.register) - pages < node.register[WAKES_AT] + node.register[BOOST]:
            reclaim(node, pages)

    @kernel
    @named
    def ensure_frames(node: Node, pages: int) -> None:
        """Do the same for pages that cannot lie in tag storage: its free slots do not count."""
        register = node.register
        wakes_at = wide(register[WAKES_AT])
        if register[ONLY_ENLARGES]:
            ensure(node, pages)
            wakes_at = spare_frames(node, pages)
        if zone_free(register) - register[SLOTS_FREE] - pages < wakes_at + register[BOOST]:
            register[FOR_FRAMES] = 1
            reclaim(node, pages)
            register[FOR_FRAMES] = 0

    @kernel
    @named
    def can_have(node: Node, pages: int) -> bool:
        """Reclaim if need be, and return whether a folio of so many pages can be allocated."""
        register = node.register
        register[MUST_LEAVE] = CAN_DO_WITHOUT
        register[FOR_FRAMES] = 1 - register[ONLY_ENLARGES]
        if available(register) - pages < register[WAKES_AT]:
            reclaim(node, pages)
        fits = available(register) - pages >= register[MIN]
        register[FOR_FRAMES] = 0
        register[MUST_LEAVE] = register[MIN]
        return bool(fits)

    return Reclaimer(ensure, ensure_frames, can_have, evict)
