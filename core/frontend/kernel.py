"""The front end: an access trace under a machine's memory and a way of reclaim, into mm events.

It knows what is in the page cache, when memory is short, and which frames are in use; which folio
goes is the reclaim's (`mglru`, `active_inactive`). Reclaim wakes when fewer pages are free than the
low watermark and goes on to the high one, as kswapd does, but takes no time.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.accesses import (
    EXIT,
    GIVE,
    IN_FAULT,
    MAP,
    READ,
    TAKE,
    TOUCH,
    TRUNCATE,
)
from core.events import (
    ALLOC,
    FREE,
    INVALIDATE,
    RESTORE,
    STORE,
    TAGGED,
    WORKINGSET,
)
from core.events import MOVABLE as MOVABLE_FLAG
from core.frontend import active_inactive, mglru
from core.frontend.allocator import (
    MOVABLE,
    NONE,
    UNMOVABLE,
    Frames,
    Rings,
    give_frame,
    release,
    take_block,
    take_frame,
)
from core.frontend.lists import (
    ABSENT,
    EVICTED,
    EVICTIONS,
    FAILURES,
    HEAD,
    INSERTED,
    INSERTIONS,
    MAPS,
    ORDER,
    REFAULTS,
    RESIDENT,
    RUNS,
    SHADOW,
    Pages,
    Register,
    leave,
)
from core.jit import entry, kernel, loop, naming, wide

# What the loop remembers beside pages and frames: elements of `memory`.
FREE_PAGES, LOW, HIGH, AT, ROWS, MAPPED = range(6)
#: Reclaim that looks at so many folios without evicting one has failed.
_TRIES = 1 << 22


Output = NDArray[np.int64]


@kernel
def _put(
    rows: Output, memory: Register, op: int, page: int, order: int, pfn: int, flags: int, at: int
) -> None:
    row = wide(memory[ROWS])
    rows[row, 0] = at
    rows[row, 1] = op
    rows[row, 2] = page
    rows[row, 3] = order
    rows[row, 4] = pfn
    rows[row, 5] = flags
    memory[ROWS] += 1


@kernel
def _give_folio(
    pages: Pages,
    register: Register,
    memory: Register,
    frames: Frames,
    kinds: NDArray[np.uint8],
    rings: Rings,
    frame_of: NDArray[np.int32],
    folio: int,
) -> None:
    """A folio's pages are no longer in memory."""
    order = wide(pages[folio, ORDER])
    for page in range(folio, folio + (1 << order)):
        pages[page, HEAD] = ABSENT
        pages[page, MAPS] = 0
    frame = wide(frame_of[folio])
    if frame != NONE and order == 0:
        give_frame(frames, kinds, rings, frame)
    elif frame != NONE:
        release(frames, kinds, frame, order)
    register[RESIDENT] -= 1 << order
    memory[FREE_PAGES] += 1 << order


def loop_over(hooks: ModuleType) -> Callable[..., int]:
    """Return the loop over accesses under a reclaim's hooks; it returns how many rows are read."""
    named = naming(hooks.__name__.rpartition(".")[2])
    begin_run, end_run, scan = hooks.begin_run, hooks.end_run, hooks.scan
    insert, touch = hooks.insert, hooks.touch
    is_workingset, remember = hooks.is_workingset, hooks.remember

    @loop
    @named
    def reclaim(
        pages: Pages,
        register: Register,
        memory: Register,
        frames: Frames,
        kinds: NDArray[np.uint8],
        rings: Rings,
        frame_of: NDArray[np.int32],
        rows: Output,
    ) -> None:
        """Evict until the high watermark is reached."""
        register[RUNS] += 1
        begin_run(pages, register, memory[HIGH])
        tries = 0
        while memory[FREE_PAGES] < memory[HIGH] and register[RESIDENT] > 0:
            folio = wide(scan(pages, register))
            tries += 1
            if tries > _TRIES:
                break
            if folio == ABSENT:
                continue
            tries = 0
            order = wide(pages[folio, ORDER])
            flags = WORKINGSET if is_workingset(pages, register, folio) else 0
            shadow = remember(pages, register, folio)
            for page in range(folio, folio + (1 << order)):
                pages[page, SHADOW] = shadow
            _give_folio(pages, register, memory, frames, kinds, rings, frame_of, folio)
            register[EVICTIONS] += 1
            register[EVICTED] += 1 << order
            _put(rows, memory, STORE, folio, order, 0, flags, wide(memory[AT]))
        end_run(pages, register)
        if memory[FREE_PAGES] < 0:
            register[FAILURES] += 1

    @kernel
    @named
    def bring_in(
        pages: Pages,
        register: Register,
        memory: Register,
        frames: Frames,
        kinds: NDArray[np.uint8],
        rings: Rings,
        frame_of: NDArray[np.int32],
        rows: Output,
        folio: int,
        order: int,
        in_fault: bool,
    ) -> None:
        """Read a folio, none of whose pages is in memory."""
        if order > 0:
            frame = take_block(frames, kinds, MOVABLE, order)
        else:
            frame = take_frame(frames, kinds, rings, MOVABLE)
        if frame == NONE and order > 0:
            # No block is whole: the kernel reads single pages then.
            for page in range(folio, folio + (1 << order)):
                frame_of[page] = take_frame(frames, kinds, rings, MOVABLE)
                admit(pages, register, memory, rows, page, 0, in_fault)
        else:
            frame_of[folio] = frame
            admit(pages, register, memory, rows, folio, order, in_fault)

    @kernel
    @named
    def admit(
        pages: Pages,
        register: Register,
        memory: Register,
        rows: Output,
        folio: int,
        order: int,
        in_fault: bool,
    ) -> None:
        pages[folio, ORDER] = order
        register[INSERTIONS] += 1
        register[INSERTED] += 1 << order
        register[RESIDENT] += 1 << order
        memory[FREE_PAGES] -= 1 << order
        _put(rows, memory, RESTORE, folio, order, 0, 0, wide(memory[AT]))
        # A large folio refaults by the first page of it that has a shadow.
        shadow = 0
        for page in range(folio, folio + (1 << order)):
            if shadow == 0:
                shadow = wide(pages[page, SHADOW])
            pages[page, SHADOW] = 0
            pages[page, HEAD] = folio
        pages[folio, SHADOW] = shadow
        if shadow != 0:
            register[REFAULTS] += 1 << order
        insert(pages, register, folio, in_fault)
        pages[folio, SHADOW] = 0

    @loop
    @named
    def read_rows(
        op: NDArray[np.uint8],
        page_of: NDArray[np.int32],
        orders: NDArray[np.uint8],
        handles: NDArray[np.int64],
        flags: NDArray[np.uint8],
        holder: NDArray[np.int32],
        next_map: NDArray[np.int32],
        pages: Pages,
        register: Register,
        memory: Register,
        frames: Frames,
        kinds: NDArray[np.uint8],
        rings: Rings,
        frame_of: NDArray[np.int32],
        rows: Output,
        resident: NDArray[np.int64],
        first: int,
    ) -> int:
        for at in range(first, op.size):
            if memory[ROWS] + frames.shape[0] + (2 << 13) > rows.shape[0]:
                return at
            memory[AT] = at
            kind, folio, order = wide(op[at]), wide(page_of[at]), wide(orders[at])
            needs = kind <= MAP or kind == TAKE
            if needs and memory[FREE_PAGES] - (1 << order) < memory[LOW]:
                reclaim(pages, register, memory, frames, kinds, rings, frame_of, rows)
            if kind == READ:
                end = folio + (1 << order)
                found = 0
                for page in range(folio, end):
                    found += 1 if pages[page, HEAD] != ABSENT else 0
                in_fault = wide(flags[at]) & IN_FAULT != 0
                if found == 0:
                    bring_in(
                        pages, register, memory, frames, kinds, rings, frame_of, rows,
                        folio, order, in_fault,
                    )  # fmt: skip
                elif found < end - folio:
                    for page in range(folio, end):
                        if pages[page, HEAD] == ABSENT:
                            bring_in(
                                pages, register, memory, frames, kinds, rings, frame_of, rows,
                                page, 0, in_fault,
                            )  # fmt: skip
            elif kind in (TOUCH, MAP):
                if pages[folio, HEAD] == ABSENT:
                    bring_in(
                        pages, register, memory, frames, kinds, rings, frame_of, rows,
                        folio, 0, kind == MAP,
                    )  # fmt: skip
                head = wide(pages[folio, HEAD])
                if kind == TOUCH:
                    touch(pages, register, head)
                else:
                    task = wide(handles[at])
                    next_map[at] = holder[task]
                    holder[task] = at
                    pages[head, MAPS] += 1
            elif kind == TRUNCATE:
                drop_pages(
                    pages, register, memory, frames, kinds, rings, frame_of, rows, folio, order
                )
            else:
                change_memory(
                    kind, wide(handles[at]), order, wide(flags[at]), page_of, holder, next_map,
                    pages, memory, frames, kinds, rings, rows,
                )  # fmt: skip
            resident[at] = register[RESIDENT]
        return int(op.size)

    @kernel
    @named
    def drop_pages(
        pages: Pages,
        register: Register,
        memory: Register,
        frames: Frames,
        kinds: NDArray[np.uint8],
        rings: Rings,
        frame_of: NDArray[np.int32],
        rows: Output,
        first: int,
        order: int,
    ) -> None:
        """Truncate: whole folios that lie in the range go, and the kernel forgets its pages."""
        for page in range(first, first + (1 << order)):
            pages[page, SHADOW] = 0
            head = wide(pages[page, HEAD])
            if head == page and head + (1 << wide(pages[head, ORDER])) <= first + (1 << order):
                leave(pages, register, head)
                _give_folio(pages, register, memory, frames, kinds, rings, frame_of, head)
        _put(rows, memory, INVALIDATE, first, order, 0, 0, wide(memory[AT]))

    return read_rows


@kernel
def change_memory(
    kind: int,
    handle: int,
    order: int,
    flags: int,
    page_of: NDArray[np.int32],
    holder: NDArray[np.int32],
    next_map: NDArray[np.int32],
    pages: Pages,
    memory: Register,
    frames: Frames,
    kinds: NDArray[np.uint8],
    rings: Rings,
    rows: Output,
) -> None:
    """Other memory is taken or given, or a task ends.

    `holder` has for a handle 1 + its frame, negative if it is tagged; for a task its last mapping.
    """
    if kind == EXIT:
        at = wide(holder[handle])
        while at >= 0:
            head = wide(pages[page_of[at], HEAD])
            if head != ABSENT and pages[head, MAPS] > 0:
                pages[head, MAPS] -= 1
            at = wide(next_map[at])
        holder[handle] = -1
    elif kind == TAKE:
        memory[FREE_PAGES] -= 1 << order
        mobility = MOVABLE if flags & MOVABLE_FLAG else UNMOVABLE
        if order > 0:
            frame = take_block(frames, kinds, mobility, order)
        else:
            frame = take_frame(frames, kinds, rings, mobility)
        holder[handle] = 0
        if frame != NONE:
            holder[handle] = -(frame + 1) if flags & TAGGED else frame + 1
            if flags & TAGGED:
                _put(rows, memory, ALLOC, 0, order, frame, flags, wide(memory[AT]))
    elif kind == GIVE:
        memory[FREE_PAGES] += 1 << order
        frame = abs(wide(holder[handle])) - 1
        if frame >= 0:
            if holder[handle] < 0:
                _put(rows, memory, FREE, 0, order, frame, 0, wide(memory[AT]))
            if order == 0:
                give_frame(frames, kinds, rings, frame)
            else:
                release(frames, kinds, frame, order)
        holder[handle] = 0


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
