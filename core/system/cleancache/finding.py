"""What a page-cache miss finds in the cache, and what a truncated file takes along."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core.jit import kernel, wide
from core.lane import (
    BYPASSED,
    DRAWS,
    INVALIDATED,
    LOOKUPS,
    NOWHERE,
    OWNER,
    RECALLED,
    RESTORED,
    RUN_STOPPED,
    SEED,
    Register,
    State,
)
from core.random_bits import bits_of
from core.system.cleancache.forms import EXCLUSIVE, Options, Specialised
from core.system.cleancache.leaving import Leaving
from core.system.cleancache.slots import DISCARD_BITS
from core.timeline.requests import end_row, follows_in_request, is_stopped, read_page
from core.timeline.steps import order_of


class Finding(NamedTuple):
    """The kernels of restores and invalidates, all of one loop."""

    restore_folio: Callable[[State, Options, int, int, int], None]
    invalidate: Callable[[State, int, int, int], None]


@kernel
def _is_discarded(register: Register) -> bool:
    """Return whether a cached page turns out to have been discarded by the hypervisor."""
    if register[DISCARD_BITS] == 0:
        return False
    draw = wide(register[DRAWS])
    register[DRAWS] = draw + 1
    return bool(bits_of(wide(register[SEED]), draw) < register[DISCARD_BITS])


def finding_over(made_for: Specialised, leaving: Leaving) -> Finding:
    """Return the kernels of restores and invalidates under an eviction, in a form."""
    single, placed, named = made_for.is_single, made_for.is_placed, made_for.named
    expel, touch = leaving.expel, made_for.eviction.touch

    @kernel
    @named
    def find(state: State, page: int, mode: int, remaining_ns: int) -> bool:
        """Look a page up; return whether it is restored."""
        register = state.register
        register[LOOKUPS] += 1
        slot = wide(state.slot_of[page])
        if placed and slot >= 0 and _is_discarded(register):
            # The hypervisor took the page unasked; it shows now.
            expel(state, page, remaining_ns)
            register[RECALLED] += 1
            slot = wide(NOWHERE)
        if slot < 0:
            return False
        register[RESTORED] += 1
        if mode == EXCLUSIVE:
            expel(state, page, remaining_ns)
        elif single:
            touch(state, slot, True)
        else:
            touch(state, wide(state.table[slot, OWNER]), True)
        return True

    @kernel
    @named
    def restore_folio(
        state: State, options: Options, word: int, first: int, remaining_ns: int
    ) -> None:
        """Restore what is cached of a folio, ascending; `word` is its row's."""
        register = state.register
        order, follows, missed = order_of(word), follows_in_request(word), False
        refused = options.refuses_large != 0 and order > 0
        for page in range(first, first + (1 << order)):
            stopped = options.looks_up_prefix != 0 and is_stopped(register, page, follows)
            if stopped and not refused and state.slot_of[page] >= 0:
                register[BYPASSED] += 1
            if stopped or refused or not find(state, page, options.restore_mode, remaining_ns):
                read_page(register, page, follows)
                register[RUN_STOPPED] = 1
                missed = True
            follows = True
        end_row(register, word, missed)

    @kernel
    @named
    def invalidate(state: State, first: int, end: int, remaining_ns: int) -> None:
        """Drop every cached page of [first, end)."""
        for page in range(first, end):
            if state.slot_of[page] >= 0:
                expel(state, page, remaining_ns)
                state.register[INVALIDATED] += 1

    return Finding(restore_folio, invalidate)
