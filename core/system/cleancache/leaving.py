"""How pages leave the cache: one by one, or as a whole unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import core.system.cleancache.placement as placement
import core.system.cleancache.slots as slots
from core.jit import kernel, wide
from core.lane import (
    CACHED,
    CACHED_PAGE_NS,
    FIRST,
    NEXT,
    ONE_PAGE,
    OWNER,
    PAGES_SHIFT,
    SHAPE,
    State,
)
from core.system.cleancache.forms import Specialised
from core.system.cleancache.slots import SPARE_UNIT


class Leaving(NamedTuple):
    """The kernels by which pages leave, all of one loop."""

    leave: Callable[[State, int, int], int]
    expel: Callable[[State, int, int], None]
    drop_unit: Callable[[State, int, int], int]


def leaving_over(made_for: Specialised) -> Leaving:
    """Return the kernels by which pages leave under an eviction, in a form."""
    single, named, remove = made_for.is_single, made_for.named, made_for.eviction.remove
    give = placement.give if made_for.is_placed else slots.give

    @kernel
    @named
    def leave(state: State, page: int, remaining_ns: int) -> int:
        """Take `page` out of its unit; return its slot, which is nobody's now."""
        register = state.register
        slot = wide(state.slot_of[page])
        state.slot_of[page] = -1
        register[CACHED] -= 1
        register[CACHED_PAGE_NS] -= remaining_ns
        if single:
            remove(state, slot)
        else:
            table = state.table
            unit = wide(table[slot, OWNER])
            table[unit, SHAPE] -= ONE_PAGE
            if table[unit, SHAPE] < ONE_PAGE:
                remove(state, unit)
                table[unit, NEXT] = register[SPARE_UNIT]
                register[SPARE_UNIT] = unit
        return slot

    @kernel
    @named
    def expel(state: State, page: int, remaining_ns: int) -> None:
        """Take `page` out of its unit, and give its slot back."""
        give(state, leave(state, page, remaining_ns))

    @kernel
    @named
    def drop_unit(state: State, unit: int, remaining_ns: int) -> int:
        """Drop all pages of a unit, ascending; return how many."""
        table = state.table
        page = wide(table[unit, FIRST])
        dropped = wide(table[unit, SHAPE]) >> PAGES_SHIFT
        left = dropped
        while left > 0:
            slot = wide(state.slot_of[page])
            if slot >= 0 and table[slot, OWNER] == unit:
                expel(state, page, remaining_ns)
                left -= 1
            page += 1
        return dropped

    return Leaving(leave, expel, drop_unit)
