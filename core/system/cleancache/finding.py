"""What a page-cache miss finds in the cache, and what a truncated file takes along."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core.jit import kernel, wide
from core.lane import (
    DRAWS,
    INVALIDATED,
    NOWHERE,
    OWNER,
    RECALLED,
    RESTORED,
    SEED,
    Register,
    State,
    count_miss,
)
from core.random_bits import bits_of
from core.system.cleancache.forms import EXCLUSIVE, REFUSED, Specialised
from core.system.cleancache.leaving import Leaving
from core.system.cleancache.slots import DISCARD_BITS


class Finding(NamedTuple):
    """The kernels of restores and invalidates, all of one loop."""

    restore_folio: Callable[[State, int, int, int, bool, int], None]
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
    def restore_folio(
        state: State, first: int, pages: int, mode: int, follows: bool, remaining_ns: int
    ) -> None:
        """Look the pages of a folio up, ascending; `mode` is INCLUSIVE, EXCLUSIVE or REFUSED.

        `follows` says whether the page before the first is its neighbour in the file.
        """
        register = state.register
        for page in range(first, first + pages):
            slot = wide(state.slot_of[page])
            if placed and slot >= 0 and mode != REFUSED and _is_discarded(register):
                # The hypervisor took the page unasked; it shows now.
                expel(state, page, remaining_ns)
                register[RECALLED] += 1
                slot = wide(NOWHERE)
            if slot < 0 or mode == REFUSED:
                count_miss(register, page, follows)
            else:
                register[RESTORED] += 1
                if mode == EXCLUSIVE:
                    expel(state, page, remaining_ns)
                elif single:
                    touch(state, slot, True)
                else:
                    touch(state, wide(state.table[slot, OWNER]), True)
            follows = True

    @kernel
    @named
    def invalidate(state: State, first: int, end: int, remaining_ns: int) -> None:
        """Drop every cached page of [first, end)."""
        for page in range(first, end):
            if state.slot_of[page] >= 0:
                expel(state, page, remaining_ns)
                state.register[INVALIDATED] += 1

    return Finding(restore_folio, invalidate)
