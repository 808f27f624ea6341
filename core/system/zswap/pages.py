"""What becomes of pages: how one is offered, compressed and kept, restored, and invalidated."""

from __future__ import annotations

from typing import NamedTuple

from core.jit import kernel, wide
from core.lane import (
    BYPASSED,
    COMPRESSED,
    DECOMPRESSED,
    INVALIDATED,
    LOOKUPS,
    OVERWRITTEN,
    RECLAIMED,
    RESTORED,
    RUN_STOPPED,
    SKIPPED,
    STALE,
    STORED,
    WRITTEN,
)
from core.system.zswap.slots import (
    DIRTY,
    NEWER,
    NONE,
    PARTS,
    SIZE,
    SLOT,
    Compressed,
    drop,
    fill,
    find_room,
    make_newest,
    unlink_page,
)
from core.timeline.requests import end_row, follows_in_request, is_stopped, read_page
from core.timeline.steps import order_of


class Options(NamedTuple):
    """A policy as numbers."""

    workingset_only: bool
    exclusive: bool
    headroom_slots: int
    writes_back: bool
    mapped_only: bool
    looks_up_prefix: bool


@kernel
def _store(state: Compressed, page: int, left_ns: int) -> bool:
    """Store a page that is admitted; return whether it is kept."""
    pages, register = state.pages, state.register
    size = wide(pages[page, SIZE])
    if size >= PARTS:
        register[SKIPPED] += 1
        return False
    register[COMPRESSED] += 1
    if pages[page, SLOT] != NONE:
        unlink_page(pages, page)
        make_newest(pages, page)
        register[OVERWRITTEN] += 1
        register[STORED] += 1
        return True
    end = wide(pages.shape[0]) - 1
    slot = find_room(state, size)
    while slot == NONE and pages[end, NEWER] != end:
        oldest = wide(pages[end, NEWER])
        drop(state, oldest, left_ns)
        register[RECLAIMED] += 1
        register[WRITTEN] += pages[oldest, DIRTY]
        slot = find_room(state, size)
    if slot == NONE:
        register[SKIPPED] += 1
        return False
    fill(state, page, slot, left_ns)
    register[STORED] += 1
    return True


@kernel
def offer(
    state: Compressed,
    options: Options,
    page: int,
    is_workingset: bool,
    anonymous: bool,
    left_ns: int,
) -> None:
    """Offer a page that was evicted."""
    kept = False
    if not options.workingset_only or is_workingset:
        kept = _store(state, page, left_ns)
    elif state.pages[page, SLOT] != NONE:
        drop(state, page, left_ns)
        state.register[STALE] += 1
    else:
        state.register[SKIPPED] += 1
    waits = anonymous and kept and options.writes_back
    state.pages[page, DIRTY] = 1 if waits else 0
    if anonymous and not waits:
        state.register[WRITTEN] += 1


@kernel
def restore(
    state: Compressed, options: Options, word: int, first: int, anonymous: bool, left_ns: int
) -> None:
    """Restore what is cached of a folio, ascending; `word` is its row's."""
    register, follows, missed = state.register, follows_in_request(word), False
    # A page that is back from swap has left it: there is nothing to keep a copy of.
    leaves = options.exclusive or anonymous
    prefix = options.looks_up_prefix and not anonymous
    for number in range(first, first + (1 << order_of(word))):
        page = wide(number)
        cached = state.pages[page, SLOT] != NONE
        stopped = prefix and is_stopped(register, page, follows)
        if stopped:
            register[BYPASSED] += 1 if cached else 0
        else:
            register[LOOKUPS] += 1
        if stopped or not cached:
            read_page(register, page, follows)
            register[RUN_STOPPED] = 1
            missed = True
        else:
            register[RESTORED] += 1
            register[DECOMPRESSED] += 1
            if leaves:
                drop(state, page, left_ns)
            else:
                unlink_page(state.pages, page)
                make_newest(state.pages, page)
        follows = True
    end_row(register, word, missed)


@kernel
def invalidate(state: Compressed, first: int, end: int, left_ns: int) -> None:
    """Drop every cached page of [first, end)."""
    for page in range(first, end):
        if state.pages[page, SLOT] != NONE:
            drop(state, wide(page), left_ns)
            state.register[INVALIDATED] += 1
