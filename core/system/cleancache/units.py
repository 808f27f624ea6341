"""Units: what becomes of the pages of a cleancache, whichever slots they lie in.

`units_over` makes the kernels of docs/model.md over an eviction's hooks, in three forms: one
knows that every unit is a single page, whose number is then its slot's (benchmarks/kernels.py:
twice as fast), one takes any order, and one besides places pages by more than the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from types import ModuleType
from typing import Any, NamedTuple

from core.eviction.queue import (
    CACHED,
    CACHED_PAGE_NS,
    CAPACITY,
    COLLATERAL,
    DISCARD,
    DRAWS,
    FIRST,
    FREE_NEXT,
    FREE_SLOTS,
    INVALIDATED,
    LAST_MISSED,
    MISSED,
    MISSED_SEQUENTIAL,
    NEXT,
    NOWHERE,
    ONE_PAGE,
    ORDER_BITS,
    ORDER_SHIFT,
    OVERWRITTEN,
    OWNER,
    PAGE,
    PAGES_SHIFT,
    RECALLED,
    RECLAIMED,
    RESTORED,
    SEED,
    SHAPE,
    SKIPPED,
    SPARE_UNIT,
    STALE,
    STORED,
    VACANT,
    WITHHELD,
    Pages,
    Places,
    Register,
    Table,
)
from core.jit import kernel, naming, wide
from core.random_bits import bits_of
from core.system.cleancache import placement
from core.system.cleancache import slots as tag_storage
from core.system.cleancache.slots import sort_units
from core.timeline.prepare import FLAG

INCLUSIVE, EXCLUSIVE, REFUSED = range(3)


class Form(StrEnum):
    """What the kernels of a lane are made for."""

    SINGLE = "single"
    GENERAL = "general"
    PLACED = "placed"


class Units(NamedTuple):
    """The kernels over one eviction's hooks."""

    named: Callable[[Any], Any]
    start: Any
    drop_unit: Any
    store_folio: Any
    refuse_store: Any
    restore_folio: Any
    invalidate: Any
    reserve: Any
    release: Any


@kernel
def discards(register: Register) -> bool:
    """Return whether a cached page turns out to have been discarded."""
    if register[DISCARD] == 0:
        return False
    draw = wide(register[DRAWS])
    register[DRAWS] = draw + 1
    return bool(bits_of(wide(register[SEED]), draw) < register[DISCARD])


def units_over(hooks: ModuleType, form: Form, *, evicts: bool) -> Units:
    """Return the kernels over `hooks`, a module of `core.eviction`.

    `evicts` is false for `eviction: none`.
    """
    single, placed = form is Form.SINGLE, form is Form.PLACED
    slots = placement if placed else tag_storage
    start, give, take = slots.start, slots.give, slots.take
    fill, release, plan = slots.fill, slots.release, slots.plan
    named = naming(f"{hooks.__name__.rpartition('.')[2]}_{form}")
    expect, insert, touch = hooks.expect, hooks.insert, hooks.touch
    remove, victim = hooks.remove, hooks.victim

    @kernel
    @named
    def leave(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        page: int,
        remaining_ns: int,
    ) -> int:
        """Take `page` out of its unit; return its slot, which is nobody's now."""
        number = wide(slot_of[page])
        slot_of[page] = -1
        register[CACHED] -= 1
        register[CACHED_PAGE_NS] -= remaining_ns
        if single:
            remove(slot_of, table, register, number)
        else:
            unit = wide(table[number, OWNER])
            table[unit, SHAPE] -= ONE_PAGE
            if table[unit, SHAPE] < ONE_PAGE:
                remove(slot_of, table, register, unit)
                table[unit, NEXT] = register[SPARE_UNIT]
                register[SPARE_UNIT] = unit
        return number

    @kernel
    @named
    def expel(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        page: int,
        remaining_ns: int,
    ) -> None:
        """Take `page` out of its unit, and give its slot back."""
        number = leave(slot_of, table, register, places, page, remaining_ns)
        give(slot_of, table, register, places, number)

    @kernel
    @named
    def drop_unit(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        unit: int,
        remaining_ns: int,
    ) -> int:
        """Drop all pages of a unit, ascending; return how many."""
        page = wide(table[unit, FIRST])
        dropped = wide(table[unit, SHAPE]) >> PAGES_SHIFT
        left = dropped
        while left > 0:
            number = wide(slot_of[page])
            if number >= 0 and table[number, OWNER] == unit:
                expel(slot_of, table, register, places, page, remaining_ns)
                left -= 1
            page += 1
        return dropped

    @kernel
    @named
    def refuse_store(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        first: int,
        pages: int,
        remaining_ns: int,
    ) -> None:
        """Not admitted: cached copies are stale, the rest is skipped."""
        for page in range(first, first + pages):
            if slot_of[page] >= 0:
                expel(slot_of, table, register, places, page, remaining_ns)
                register[STALE] += 1
            else:
                register[SKIPPED] += 1

    @kernel
    @named
    def store_page(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        page: int,
        remaining_ns: int,
    ) -> None:
        """Store a unit of one page, where all units are."""
        number = wide(slot_of[page])
        if number >= 0:
            touch(slot_of, table, register, number, False)
            register[OVERWRITTEN] += 1
        elif register[FREE_SLOTS] > 0:
            expect(slot_of, table, register, page)
            number = fill(slot_of, table, register, places, page, remaining_ns)
            table[number, FIRST] = page
            table[number, SHAPE] = 0
            insert(slot_of, table, register, number)
        elif evicts and register[CACHED] > 0:
            # The queue is empty: the victim's slot would go in at the back and out at the front.
            expect(slot_of, table, register, page)
            number = wide(victim(slot_of, table, register, NOWHERE))
            remove(slot_of, table, register, number)
            slot_of[table[number, PAGE]] = -1
            register[RECLAIMED] += 1
            table[number, PAGE] = page
            slot_of[page] = number
            table[number, FIRST] = page
            table[number, SHAPE] = 0
            insert(slot_of, table, register, number)
        else:
            register[SKIPPED] += 1
            return
        register[STORED] += 1

    @kernel
    @named
    def store_unit(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        first: int,
        order: int,
        remaining_ns: int,
    ) -> None:
        """Store a unit of any order."""
        pages = 1 << order
        mine = NOWHERE
        held = 0
        for page in range(first, first + pages):
            number = wide(slot_of[page])
            if number < 0:
                continue
            owner = wide(table[number, OWNER])
            shape = table[owner, SHAPE] >> ORDER_SHIFT & ORDER_BITS
            if table[owner, FIRST] == first and shape == order:
                mine = owner
                held += 1
            else:
                expel(slot_of, table, register, places, page, remaining_ns)
                register[OVERWRITTEN] += 1
        need = pages - held
        room = register[FREE_SLOTS]
        if evicts:
            room += register[CACHED] - held
        if room < need:
            register[SKIPPED] += pages
            return
        if mine == NOWHERE:
            expect(slot_of, table, register, first)
        while register[FREE_SLOTS] < need:
            unit = wide(victim(slot_of, table, register, mine))
            register[RECLAIMED] += drop_unit(slot_of, table, register, places, unit, remaining_ns)
        if mine != NOWHERE:
            touch(slot_of, table, register, mine, False)
        else:
            mine = wide(register[SPARE_UNIT])
            register[SPARE_UNIT] = table[mine, NEXT]
            table[mine, FIRST] = first
            table[mine, SHAPE] = order << ORDER_SHIFT
            insert(slot_of, table, register, mine)
        table[mine, SHAPE] += need << PAGES_SHIFT
        plan(slot_of, table, register, places, need)
        page = first
        while need > 0:
            if slot_of[page] < 0:
                table[fill(slot_of, table, register, places, page, remaining_ns), OWNER] = mine
                need -= 1
            page += 1
        register[STORED] += pages
        register[OVERWRITTEN] += held

    @kernel
    @named
    def invalidate(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        first: int,
        end: int,
        remaining_ns: int,
    ) -> None:
        """Drop every cached page of [first, end)."""
        for page in range(first, end):
            if slot_of[page] >= 0:
                expel(slot_of, table, register, places, page, remaining_ns)
                register[INVALIDATED] += 1

    @kernel
    @named
    def reserve(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        first: int,
        end: int,
        whole: int,
        remaining_ns: int,
    ) -> None:
        """Take the slots of a block, [first, end), from the cache."""
        hits = 0
        for number in range(first, end):
            page = wide(table[number, PAGE])
            if page == VACANT:
                take(slot_of, table, register, places, number)
            else:
                if whole and not single:
                    # A slot of this block that is withheld by now has no use for its link.
                    table[first + hits, FREE_NEXT] = table[number, OWNER]
                    hits += 1
                leave(slot_of, table, register, places, page, remaining_ns)
                register[RECALLED] += 1
            table[number, PAGE] = WITHHELD
        register[CAPACITY] -= end - first
        if not single:
            sort_units(table, first, hits)
            for row in range(first, first + hits):
                # A unit that is named twice, or has ceased, has no pages left.
                register[COLLATERAL] += drop_unit(
                    slot_of, table, register, places, wide(table[row, FREE_NEXT]), remaining_ns
                )

    @kernel
    @named
    def restore_folio(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        first: int,
        pages: int,
        mode: int,
        follows: int,
        remaining_ns: int,
    ) -> None:
        """Look the pages of a folio up, ascending; `mode` is INCLUSIVE, EXCLUSIVE or REFUSED."""
        for page in range(first, first + pages):
            number = wide(slot_of[page])
            if placed and number >= 0 and mode != REFUSED and discards(register):
                # The hypervisor took the page unasked; it shows now.
                expel(slot_of, table, register, places, page, remaining_ns)
                register[RECALLED] += 1
                number = wide(NOWHERE)
            if number < 0 or mode == REFUSED:
                register[MISSED] += 1
                if follows and page == register[LAST_MISSED] + 1:
                    register[MISSED_SEQUENTIAL] += 1
                register[LAST_MISSED] = page
            else:
                register[RESTORED] += 1
                if mode == EXCLUSIVE:
                    expel(slot_of, table, register, places, page, remaining_ns)
                elif single:
                    touch(slot_of, table, register, number, True)
                else:
                    touch(slot_of, table, register, wide(table[number, OWNER]), True)
            follows = FLAG

    @kernel
    @named
    def store_folio(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        first: int,
        order: int,
        folio_order: int,
        remaining_ns: int,
    ) -> None:
        """Store a folio, cut into units."""
        end = first + (1 << order)
        if single:
            while first < end:
                store_page(slot_of, table, register, places, first, remaining_ns)
                first += 1
        else:
            depth = min(order, folio_order)
            while first < end:
                store_unit(slot_of, table, register, places, first, depth, remaining_ns)
                first += 1 << depth

    return Units(
        named,
        start,
        drop_unit,
        store_folio,
        refuse_store,
        restore_folio,
        invalidate,
        reserve,
        release,
    )
