"""How the cache gives its slots up: to tags, to a dynamic headroom, or to a hypervisor."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import core.system.cleancache.placement as placement
import core.system.cleancache.slots as slots
from core.eviction.queue import units_end
from core.jit import kernel, wide
from core.lane import (
    CAPACITY,
    COLLATERAL,
    FREE_NEXT,
    FREE_SLOTS,
    NOWHERE,
    OWNER,
    PAGE,
    RECALLED,
    RECLAIMED,
    VACANT,
    WITHHELD,
    WITHHELD_PAGE_NS,
    State,
)
from core.system.cleancache.forms import Specialised
from core.system.cleancache.leaving import Leaving
from core.system.cleancache.placement import BLOCK_PAGES, KEPT_NOW, KEPT_TARGET
from core.system.cleancache.slots import HANDED_BACK, sort_units

#: ``reserve(state, first, end, drops_whole_units, remaining_ns)``, slots [first, end) of a block.
Reserve = Callable[[State, int, int, int, int], None]


class Withdrawing(NamedTuple):
    """The kernels of a loop that withdraw slots from the cache without a reservation."""

    keep_empty: Callable[[State, int, int], None]
    resize: Callable[[State, int, int], None]


def reserve_over(made_for: Specialised, leaving: Leaving) -> Reserve:
    """Return the kernel that takes the slots of a block from the cache."""
    single, named = made_for.is_single, made_for.named
    leave, drop_unit = leaving.leave, leaving.drop_unit
    take = placement.take if made_for.is_placed else slots.take

    @kernel
    @named
    def reserve(
        state: State, first: int, end: int, drops_whole_units: int, remaining_ns: int
    ) -> None:
        table, register = state.table, state.register
        hits = 0
        for slot in range(first, end):
            page = wide(table[slot, PAGE])
            if page == VACANT:
                take(state, slot)
            else:
                if drops_whole_units and not single:
                    # A slot of this block that is withheld by now has no use for its link.
                    table[first + hits, FREE_NEXT] = table[slot, OWNER]
                    hits += 1
                leave(state, page, remaining_ns)
                register[RECALLED] += 1
            table[slot, PAGE] = WITHHELD
        register[CAPACITY] -= end - first
        if not single:
            sort_units(table, first, hits)
            for row in range(first, first + hits):
                # A unit that is named twice, or has ceased, has no pages left.
                register[COLLATERAL] += drop_unit(state, wide(table[row, FREE_NEXT]), remaining_ns)

    return reserve


def withdrawing_over(made_for: Specialised, leaving: Leaving, reserve: Reserve) -> Withdrawing:
    """Return the kernels of a dynamic headroom, and of a region that a hypervisor resizes.

    Parameters
    ----------
    made_for
        The eviction and the form.
    leaving, reserve
        The other kernels of the same loop, which these call.
    """
    named, drop_unit, victim = made_for.named, leaving.drop_unit, made_for.eviction.victim

    @kernel
    @named
    def keep_empty(state: State, drops_whole_units: int, remaining_ns: int) -> None:
        """Drop in the background what lies in the emptiest blocks, until enough are kept empty."""
        register = state.register
        pages = wide(register[BLOCK_PAGES])
        while register[KEPT_NOW] < register[KEPT_TARGET]:
            block = placement.emptiest(state)
            if block == NOWHERE:
                return
            recalled, collateral = wide(register[RECALLED]), wide(register[COLLATERAL])
            first = block * pages
            reserve(state, first, first + pages, drops_whole_units, remaining_ns)
            # Nobody waits for these: they count as reclaimed.
            register[RECLAIMED] += register[RECALLED] + register[COLLATERAL] - recalled - collateral
            register[RECALLED] = recalled
            register[COLLATERAL] = collateral
            placement.keep(state, block, remaining_ns)

    @kernel
    @named
    def resize(state: State, size: int, remaining_ns: int) -> None:
        """Hand pages back to the hypervisor, or get some, until a region has `size` of them."""
        table, register = state.table, state.register
        while register[CAPACITY] > size:
            if register[FREE_SLOTS] == 0:
                unit = wide(victim(state, NOWHERE))
                register[RECALLED] += drop_unit(state, unit, remaining_ns)
            slot = wide(table[units_end(table), FREE_NEXT])
            placement.take(state, slot)
            table[slot, PAGE] = WITHHELD
            table[slot, FREE_NEXT] = register[HANDED_BACK]
            register[HANDED_BACK] = slot
            register[CAPACITY] -= 1
            register[WITHHELD_PAGE_NS] += remaining_ns
        while register[CAPACITY] < size:
            slot = wide(register[HANDED_BACK])
            register[HANDED_BACK] = table[slot, FREE_NEXT]
            placement.give(state, slot)
            register[CAPACITY] += 1
            register[WITHHELD_PAGE_NS] -= remaining_ns

    return Withdrawing(keep_empty, resize)
