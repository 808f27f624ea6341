"""How an evicted folio enters the cache: not at all, page by page, or as units of several pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import core.system.cleancache.placement as placement
import core.system.cleancache.slots as slots
from core.jit import kernel, wide
from core.lane import (
    CACHED,
    FIRST,
    FREE_SLOTS,
    NEXT,
    NOWHERE,
    ORDER_BITS,
    ORDER_SHIFT,
    OVERWRITTEN,
    OWNER,
    PAGE,
    PAGES_SHIFT,
    RECLAIMED,
    SHAPE,
    SKIPPED,
    STALE,
    STORED,
    State,
)
from core.system.cleancache.forms import Options, Specialised
from core.system.cleancache.leaving import Leaving
from core.system.cleancache.slots import SPARE_UNIT

Kernel = Callable[..., None]


class Storing(NamedTuple):
    """The kernels by which folios enter, or are turned away, all of one loop."""

    store_folio: Callable[[State, Options, int, int, int], None]
    refuse_store: Callable[[State, int, int, int], None]


def storing_over(made_for: Specialised, leaving: Leaving) -> Storing:
    """Return the kernels by which folios enter under an eviction, in a form."""
    single, named, expel = made_for.is_single, made_for.named, leaving.expel
    # In a loop of single pages the kernel of units is never called, nor the other way round.
    reclaim = _background_over(made_for, leaving)
    store_page = _store_page_over(made_for, reclaim)
    store_unit = _store_unit_over(made_for, leaving, reclaim)

    @kernel
    @named
    def refuse_store(state: State, first: int, pages: int, remaining_ns: int) -> None:
        """Turn a folio away: its cached copies are stale, its other pages are skipped."""
        for page in range(first, first + pages):
            if state.slot_of[page] >= 0:
                expel(state, page, remaining_ns)
                state.register[STALE] += 1
            else:
                state.register[SKIPPED] += 1

    @kernel
    @named
    def store_folio(
        state: State, options: Options, first: int, order: int, remaining_ns: int
    ) -> None:
        """Store a folio, cut into units."""
        end, background = first + (1 << order), options.background_units
        if single:
            while first < end:
                store_page(state, first, background, remaining_ns)
                first += 1
        else:
            unit_order = min(order, options.folio_order)
            while first < end:
                store_unit(state, first, unit_order, background, remaining_ns)
                first += 1 << unit_order

    return Storing(store_folio, refuse_store)


def _background_over(made_for: Specialised, leaving: Leaving) -> Kernel:
    """Return the kernel of the worker that makes room behind a store that found none."""
    single, named = made_for.is_single, made_for.named
    expel, drop_unit = leaving.expel, leaving.drop_unit
    victim, evicts = made_for.eviction.victim, made_for.eviction.evicts

    @kernel
    @named
    def reclaim(state: State, units: int, remaining_ns: int) -> None:
        """Reclaim so many victims, as long as there are any."""
        register = state.register
        while evicts and units > 0 and register[CACHED] > 0:
            unit = wide(victim(state, NOWHERE))
            if single:
                expel(state, wide(state.table[unit, PAGE]), remaining_ns)
                register[RECLAIMED] += 1
            else:
                register[RECLAIMED] += drop_unit(state, unit, remaining_ns)
            units -= 1

    return reclaim


def _store_page_over(made_for: Specialised, reclaim: Kernel) -> Kernel:
    """Return the kernel that stores a page, where every unit is one page."""
    named, eviction = made_for.named, made_for.eviction
    expect, insert, touch = eviction.expect, eviction.insert, eviction.touch
    remove, victim, evicts = eviction.remove, eviction.victim, eviction.evicts

    @kernel
    @named
    def store_page(state: State, page: int, background: int, remaining_ns: int) -> None:
        table, register = state.table, state.register
        slot = wide(state.slot_of[page])
        if slot >= 0:
            touch(state, slot, False)
            register[OVERWRITTEN] += 1
        elif register[FREE_SLOTS] > 0:
            expect(state, page)
            slot = slots.fill(state, page, remaining_ns)
            table[slot, FIRST] = page
            table[slot, SHAPE] = 0
            insert(state, slot)
        elif evicts and register[CACHED] > 0 and background == 0:
            # The queue is empty: the victim's slot would go in at the back and out at the front.
            expect(state, page)
            slot = wide(victim(state, NOWHERE))
            remove(state, slot)
            state.slot_of[table[slot, PAGE]] = -1
            register[RECLAIMED] += 1
            table[slot, PAGE] = page
            state.slot_of[page] = slot
            table[slot, FIRST] = page
            table[slot, SHAPE] = 0
            insert(state, slot)
        else:
            register[SKIPPED] += 1
            reclaim(state, background, remaining_ns)
            return
        register[STORED] += 1

    return store_page


def _store_unit_over(made_for: Specialised, leaving: Leaving, reclaim: Kernel) -> Kernel:
    """Return the kernel that stores a unit of any order."""
    named, eviction = made_for.named, made_for.eviction
    expect, insert, touch = eviction.expect, eviction.insert, eviction.touch
    victim, evicts = eviction.victim, eviction.evicts
    expel, drop_unit = leaving.expel, leaving.drop_unit
    fill = placement.fill if made_for.is_placed else slots.fill
    plan = placement.plan if made_for.is_placed else slots.plan

    @kernel
    @named
    def store_unit(
        state: State, first: int, order: int, background: int, remaining_ns: int
    ) -> None:
        table, register = state.table, state.register
        pages = 1 << order
        mine = NOWHERE
        held = 0
        for page in range(first, first + pages):
            slot = wide(state.slot_of[page])
            if slot < 0:
                continue
            owner = wide(table[slot, OWNER])
            owner_order = table[owner, SHAPE] >> ORDER_SHIFT & ORDER_BITS
            if table[owner, FIRST] == first and owner_order == order:
                mine = owner
                held += 1
            else:
                expel(state, page, remaining_ns)
                register[OVERWRITTEN] += 1
        need = pages - held
        room = register[FREE_SLOTS]
        if evicts and background == 0:
            room += register[CACHED] - held
        if room < need:
            register[SKIPPED] += pages
            reclaim(state, background, remaining_ns)
            return
        if mine == NOWHERE:
            expect(state, first)
        while register[FREE_SLOTS] < need:
            register[RECLAIMED] += drop_unit(state, wide(victim(state, mine)), remaining_ns)
        if mine != NOWHERE:
            touch(state, mine, False)
        else:
            mine = wide(register[SPARE_UNIT])
            register[SPARE_UNIT] = table[mine, NEXT]
            table[mine, FIRST] = first
            table[mine, SHAPE] = order << ORDER_SHIFT
            insert(state, mine)
        table[mine, SHAPE] += need << PAGES_SHIFT
        plan(state, need)
        page = first
        while need > 0:
            if state.slot_of[page] < 0:
                table[fill(state, page, remaining_ns), OWNER] = mine
                need -= 1
            page += 1
        register[STORED] += pages
        register[OVERWRITTEN] += held

    return store_unit
