"""The loop of the front end: reads accesses and writes rows of mm events.

There is one loop for each way of reclaim, made when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType

from core.accesses import (
    ANONYMOUS,
    COPIED_AT_ONCE,
    EXIT,
    GIVE,
    IN_FAULT,
    LOOKUP,
    MAP,
    METADATA,
    MOVE,
    PHASE,
    READ,
    TAKE,
    TOUCH,
    TRUNCATE,
    UNMAP,
    USE,
    WRITE,
)
from core.events import ALLOC, ATOMIC, TAGGED
from core.events import MOVABLE as MOVABLE_FLAG
from core.events import PHASE as PHASE_ROW
from core.frontend.allocator import MOVABLE, NONE, UNMOVABLE
from core.frontend.anonymous import touch_anonymous_over, unmap
from core.frontend.file_reads import look_up_over, recorded_reads_over
from core.frontend.lists import AT, METADATA_PAGE, folio_of, is_present
from core.frontend.node import (
    DONE,
    NEW_BITS,
    ROWS,
    STEP_ROOM,
    Node,
    give,
    put,
    take,
    tell_untagged,
)
from core.frontend.numbered_accesses import NumberedAccesses
from core.frontend.out_of_memory import LOOKS_LEFT, MIN, MUST_LEAVE
from core.frontend.page_cache import page_cache_over, truncate
from core.frontend.reclaim import reclaimer_over
from core.frontend.tag_blocks import tag_blocks_over, untag
from core.frontend.tag_storage_as_memory import BLOCK_PAGES
from core.frontend.zone import NOW_NS, pass_second
from core.jit import apart, entry_calling, kernel, loop, naming, wide

#: PAGE_ALLOC_COSTLY_ORDER: an allocation above it kills no task.
_COSTLY_ORDER = 3


@kernel
def _is_spent(node: Node) -> bool:
    """Return whether a call of the loop has written, or looked at, all that it may."""
    register = node.register
    return bool(register[ROWS] > node.rows.shape[0] - 2 * STEP_ROOM or register[LOOKS_LEFT] <= 0)


def _end_task_over(hooks: ModuleType) -> Callable[[Node, NumberedAccesses, int], None]:
    """Return what undoes the mappings of a task, under the hooks of a way of reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])
    touch = hooks.touch

    @loop
    @named
    def end_task(node: Node, accesses: NumberedAccesses, task: int) -> None:
        """Undo the mappings of a task, from the last to the first: zap_present_folio_ptes.

        A page that was accessed by a mapping since reclaim last looked counts as accessed now.
        """
        at = wide(accesses.holder[task])
        while at >= 0:
            page = wide(accesses.page[at])
            folio = folio_of(node.pages, page)
            is_young = at > node.pages[folio].looked and node.pages[folio].maps > 0
            if is_present(node.pages, page) and is_young:
                touch(node.pages, node.register, folio)
                node.pages[folio].maps -= 1
            at = wide(accesses.next_map[at])
        accesses.holder[task] = -1

    return end_task


@kernel
def _take_other(node: Node, accesses: NumberedAccesses, handle: int, order: int, flags: int) -> int:
    """Allocate other memory than pages of files and programs; return its frame, or NONE."""
    kind = MOVABLE if flags & MOVABLE_FLAG else UNMOVABLE
    frame = take(node, kind, order, flags & TAGGED != 0)
    accesses.holder[handle] = 0
    if frame != NONE:
        accesses.holder[handle] = -(frame + 1) if flags & TAGGED else frame + 1
        if flags & TAGGED:
            put(node, ALLOC, 0, order, frame, flags)
    return frame


def _serve_over(
    hooks: ModuleType,
    ensure_frames: Callable[[Node, int], None],
    tag: Callable[[Node, int, int, int], None],
) -> Callable[[Node, NumberedAccesses, int, int, int], None]:
    """Return what makes room for other memory, and allocates it, under the hooks of a reclaim."""
    named = naming(hooks.__name__.rpartition(".")[2])

    @loop
    @named
    def serve(node: Node, accesses: NumberedAccesses, handle: int, order: int, flags: int) -> None:
        apart()
        # What may fail has the reserve too; above this order, reclaim is not retried.
        if flags & ATOMIC or order > _COSTLY_ORDER:
            node.register[MUST_LEAVE] = 0
        ensure_frames(node, 1 << order)
        node.register[MUST_LEAVE] = node.register[MIN]
        frame = _take_other(node, accesses, handle, order, flags)
        if frame != NONE and flags & TAGGED:
            tag(node, frame, order, flags)

    return serve


@kernel
def _give_other(node: Node, accesses: NumberedAccesses, handle: int, order: int) -> None:
    """Free what `_take_other` allocated."""
    held = wide(accesses.holder[handle])
    frame = abs(held) - 1 if held != 0 else NONE
    if held < 0:
        tell_untagged(node, frame, order)
        untag(node, frame, order)
    give(node, frame, order)
    accesses.holder[handle] = 0


def loop_over(hooks: ModuleType) -> Callable[..., int]:
    """Return the loop over accesses, under the hooks of a way of reclaim.

    The loop takes (accesses, node, first access to read, end of those to read). It stops early
    when the output has no more room for rows, reclaim has looked at many folios, or memory has run
    out. It returns the access to go on with, which is the end when all are read.
    """
    named = naming(hooks.__name__.rpartition(".")[2])
    reclaimer = reclaimer_over(hooks)
    ensure_frames = reclaimer.ensure_frames
    cache = page_cache_over(hooks, reclaimer)
    write, look_up = cache.write, look_up_over(hooks, cache)
    read, access, use = recorded_reads_over(hooks, cache)
    tag, pass_moments = tag_blocks_over(hooks, reclaimer.ensure, ensure_frames, reclaimer.evict)
    serve = _serve_over(hooks, ensure_frames, tag)
    end_task, move = _end_task_over(hooks), hooks.move
    touch_anonymous = touch_anonymous_over(hooks, reclaimer.ensure, ensure_frames, tag)

    @kernel
    @named
    def go_through(node: Node, accesses: NumberedAccesses, kind: int, at: int) -> bool:
        """Go through the pages of a row in turn; return whether the output had room for them."""
        first, size = wide(accesses.page[at]), 1 << wide(accesses.order[at])
        flags = wide(accesses.flags[at])
        wanted = max(size, wide(accesses.request[at])) if kind == LOOKUP else size
        done = wide(node.register[DONE])
        while done < size:
            if _is_spent(node):
                node.register[DONE] = done
                return False
            page = first + done
            if kind == LOOKUP:
                look_up(node, wide(accesses.extent[at]), page, wanted - done, flags)
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
    def read_rows(accesses: NumberedAccesses, node: Node, first: int, end: int) -> int:
        for at in range(first, end):
            if _is_spent(node):
                return at
            node.register[AT] = at
            node.register[NOW_NS] = accesses.time_ns[at]
            pass_second(node.frames, node.register)
            if node.register[BLOCK_PAGES] > 0 and not pass_moments(node):
                return at
            kind, flags = wide(accesses.op[at]), wide(accesses.flags[at])
            is_metadata = (kind <= TRUNCATE or kind == USE) and flags & METADATA != 0
            node.register[NEW_BITS] = METADATA_PAGE if is_metadata else 0
            page, order = wide(accesses.page[at]), wide(accesses.order[at])
            if kind in (LOOKUP, WRITE, ANONYMOUS, UNMAP):
                if not go_through(node, accesses, kind, at):
                    return at
            elif kind == READ:
                read(node, page, order, flags)
            elif kind in (TOUCH, MAP):
                access(node, accesses, page, kind == MAP, flags & COPIED_AT_ONCE != 0)
            elif kind == MOVE:
                if is_present(node.pages, page):
                    move(node.pages, node.register, folio_of(node.pages, page))
            elif kind == USE:
                use(node, page)
            elif kind == TRUNCATE:
                truncate(node, page, order)
            elif kind == TAKE and page >= 0:
                touch_anonymous(node, page, flags)
            elif kind == GIVE and page >= 0:
                unmap(node, page)
            elif kind == TAKE:
                serve(node, accesses, wide(accesses.handle[at]), order, flags)
            elif kind == GIVE:
                _give_other(node, accesses, wide(accesses.handle[at]), order)
            elif kind == EXIT:
                end_task(node, accesses, wide(accesses.handle[at]))
            elif kind == PHASE:
                put(node, PHASE_ROW, page, wide(0), wide(0), wide(0))
        return end

    return read_rows


@cache
def entry_over(hooks: ModuleType) -> Callable[..., int]:
    """Return the compiled loop over accesses, under the hooks of a way of reclaim."""
    return entry_calling(loop_over(hooks), f"read_{hooks.__name__.rpartition('.')[2]}")
