"""The loop of a front end: accesses in, rows of mm events out, under either way of reclaim."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import (
    ANONYMOUS,
    EXIT,
    GIVE,
    IN_FAULT,
    LARGE_FOLIOS,
    LOOKUP,
    MAP,
    READ,
    TAKE,
    TOUCH,
    TRUNCATE,
    UNMAP,
    WRITE,
)
from core.events import ALLOC, TAGGED
from core.events import MOVABLE as MOVABLE_FLAG
from core.frontend import active_inactive, mglru
from core.frontend.allocator import MOVABLE, NONE, UNMOVABLE
from core.frontend.lists import READAHEAD, YOUNG, folio_of, is_present
from core.frontend.node import (
    AT,
    BLOCK_PAGES,
    COVERED,
    DONE,
    FIRST,
    GUEST_BLOCK,
    GUEST_END,
    GUEST_NS,
    GUEST_STEP_NS,
    NEXT_POINT_NS,
    NOW_NS,
    POINT_NS,
    PREVIOUS,
    RESERVED,
    ROWS,
    SLOTS_USED,
    STEP_ROOM,
    Node,
    give,
    put,
    take,
    tell_untagged,
)
from core.frontend.page_cache import page_cache_over, truncate, unmap
from core.frontend.readahead import note_hit, read_ahead_over
from core.frontend.tag_storage_as_memory import POINT, untag
from core.jit import apart, entry, kernel, loop, naming, wide


class Asked(NamedTuple):
    """What the loop reads: accesses with their pages numbered."""

    time_ns: NDArray[np.int64]  # [access], as the next ones
    op: NDArray[np.uint8]
    page: NDArray[np.int32]
    extent: NDArray[np.int32]  # or none, if nothing is looked up
    order: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    request: NDArray[np.int64]  # pages of a lookup's request from this row on
    handle: NDArray[np.int32]
    holder: NDArray[np.int32]  # [handle] 1 + its frame, negative if tagged; a task's last mapping
    next_map: NDArray[np.int32]  # [access] the task's mapping before


@kernel
def _end_task(node: Node, asked: Asked, task: int) -> None:
    at = wide(asked.holder[task])
    while at >= 0:
        page = wide(asked.page[at])
        if is_present(node.pages, page):
            folio = folio_of(node.pages, page)
            if node.pages[folio].maps > 0:
                node.pages[folio].maps -= 1
        at = wide(asked.next_map[at])
    asked.holder[task] = -1


@kernel
def _take_other(node: Node, asked: Asked, handle: int, order: int, flags: int) -> int:
    kind = MOVABLE if flags & MOVABLE_FLAG else UNMOVABLE
    frame = take(node, kind, order, flags & TAGGED != 0)
    asked.holder[handle] = 0
    if frame != NONE:
        asked.holder[handle] = -(frame + 1) if flags & TAGGED else frame + 1
        if flags & TAGGED:
            put(node, ALLOC, 0, order, frame, flags)
    return frame


@kernel
def _give_other(node: Node, asked: Asked, handle: int, order: int) -> None:
    held = wide(asked.holder[handle])
    frame = abs(held) - 1 if held != 0 else NONE
    if held < 0:
        tell_untagged(node, frame, order)
        untag(node, frame, order)
    give(node, frame, order)
    asked.holder[handle] = 0


def loop_over(hooks: ModuleType) -> Callable[..., int]:
    """Return the loop over accesses under a reclaim's hooks; it returns how many are read."""
    named = naming(hooks.__name__.rpartition(".")[2])
    cache = page_cache_over(hooks)
    ensure_frames, tag, bring_in = cache.ensure_frames, cache.tag, cache.bring_in
    write, touch_anonymous = cache.write, cache.touch_anonymous
    miss, met = read_ahead_over(cache, hooks)
    touch = hooks.touch

    @kernel
    @named
    def read(node: Node, folio: int, order: int, in_fault: bool) -> None:
        """A folio is read as the recorded kernel read it; what is there stays."""
        end = folio + (1 << order)
        found = wide(0)
        for page in range(folio, end):
            found += 1 if is_present(node.pages, page) else 0
        if found == 0:
            bring_in(node, folio, order, in_fault)
        elif found < end - folio:
            for page in range(folio, end):
                if not is_present(node.pages, page):
                    bring_in(node, page, 0, in_fault)

    @kernel
    @named
    def access(node: Node, asked: Asked, page: int, maps: bool) -> None:
        """One page is accessed as a trace shows it."""
        if not is_present(node.pages, page):
            bring_in(node, page, 0, maps)
        folio = folio_of(node.pages, page)
        if not maps:
            touch(node.pages, node.register, folio)
            return
        at = wide(node.register[AT])
        task = wide(asked.handle[at])
        asked.next_map[at] = asked.holder[task]
        asked.holder[task] = at
        node.pages[folio].maps += 1

    @kernel
    @named
    def look_up(node: Node, extent: int, page: int, wanted: int, flags: int) -> None:
        """One page of a request is looked up, and read with what readahead adds if it is absent."""
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

    @kernel
    @named
    def go_through(node: Node, asked: Asked, kind: int, at: int) -> bool:
        """Read the pages of a row in turn; return whether all were, or the output is full."""
        first, size = wide(asked.page[at]), 1 << wide(asked.order[at])
        flags = wide(asked.flags[at])
        wanted = max(size, wide(asked.request[at])) if kind == LOOKUP else size
        done = wide(node.register[DONE])
        while done < size:
            if node.register[ROWS] > node.rows.shape[0] - 2 * STEP_ROOM:
                node.register[DONE] = done
                return False
            page = first + done
            if kind == LOOKUP:
                look_up(node, wide(asked.extent[at]), page, wanted - done, flags)
            elif kind == WRITE:
                write(node, page, flags & IN_FAULT != 0)
            elif kind == ANONYMOUS:
                touch_anonymous(node, page, flags)
            else:
                unmap(node, page)
            done += 1
        node.register[DONE] = 0
        return True

    @loop
    @named
    def pass_moments(node: Node) -> None:
        """Reserve what guests fill by now, and tell what tag storage holds at moments passed."""
        apart()
        register = node.register
        while (
            register[GUEST_BLOCK] < register[GUEST_END] and register[NOW_NS] >= register[GUEST_NS]
        ):
            # A page in the block of a guest's is as good as all of them.
            tag(node, register[GUEST_BLOCK] * register[COVERED], wide(0), wide(0))
            register[GUEST_BLOCK] += 1
            register[GUEST_NS] += register[GUEST_STEP_NS]
        while register[NOW_NS] >= register[NEXT_POINT_NS]:
            used, reserved = wide(register[SLOTS_USED]), wide(register[RESERVED])
            put(node, POINT, used, wide(0), reserved, wide(0))
            register[NEXT_POINT_NS] += register[POINT_NS]

    @loop
    @named
    def read_rows(asked: Asked, node: Node, first: int) -> int:
        for at in range(first, asked.op.size):
            if node.register[ROWS] > node.rows.shape[0] - 2 * STEP_ROOM:
                return at
            node.register[AT] = at
            node.register[NOW_NS] = asked.time_ns[at]
            if node.register[BLOCK_PAGES] > 0:
                pass_moments(node)
            kind = wide(asked.op[at])
            page, order = wide(asked.page[at]), wide(asked.order[at])
            if kind in (LOOKUP, WRITE, ANONYMOUS, UNMAP):
                if not go_through(node, asked, kind, at):
                    return at
            elif kind == READ:
                read(node, page, order, wide(asked.flags[at]) & IN_FAULT != 0)
            elif kind in (TOUCH, MAP):
                access(node, asked, page, kind == MAP)
            elif kind == TRUNCATE:
                truncate(node, page, order)
            elif kind == TAKE:
                ensure_frames(node, 1 << order)
                flags = wide(asked.flags[at])
                frame = _take_other(node, asked, wide(asked.handle[at]), order, flags)
                if frame != NONE and flags & TAGGED:
                    tag(node, frame, order, flags)
            elif kind == GIVE:
                _give_other(node, asked, wide(asked.handle[at]), order)
            elif kind == EXIT:
                _end_task(node, asked, wide(asked.handle[at]))
        return int(asked.op.size)

    return read_rows


_mglru_loop = loop_over(mglru)
_active_inactive_loop = loop_over(active_inactive)


@entry
def read_mglru(*arguments: Any) -> int:
    """Read accesses under the multi-generational LRU."""
    return _mglru_loop(*arguments)


@entry
def read_active_inactive(*arguments: Any) -> int:
    """Read accesses under the active and inactive lists."""
    return _active_inactive_loop(*arguments)
