"""Cleancache: clean page-cache folios that reclaim evicted, kept in unreserved tag pages.

The semantics are those of docs/model.md. `lanes_over` makes the loop that replays lanes over an
eviction's hooks, in two forms: one of them knows that every unit is a single page, whose number is
then its slot's (benchmarks/kernels.py: twice as fast).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE, RESTORE, STORE
from core.eviction.queue import (
    CACHED,
    CACHED_PAGE_NS,
    CAPACITY,
    COLLATERAL,
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
    SHAPE,
    SKIPPED,
    SPARE_UNIT,
    STALE,
    STORED,
    VACANT,
    WITHHELD,
    Pages,
    Register,
    Table,
)
from core.jit import kernel, loop, naming, wide
from core.system.tag_storage import fill, give, release, sort_units, start, take
from core.timeline import FLAG, RELEASE, RESERVE
from core.timeline import ORDER_SHIFT as STEP_ORDER_SHIFT

# Columns of the `options` of a lane.
WORKINGSET_ONLY, RESTORE_MODE, WHOLE_FOLIO, REFUSE_LARGE, FOLIO_ORDER, HEADROOM, RANDOM_SEED = (
    range(7)
)
OPTIONS = 7
INCLUSIVE, EXCLUSIVE, REFUSED = range(3)


Body = Callable[..., None]


def lanes_over(hooks: ModuleType, *, single: bool, evicts: bool = True) -> Body:
    """Return the loop over lanes that replays a timeline under an eviction's hooks.

    `hooks` is a module of `core.eviction`; `single` is for lanes whose units all are one page,
    `evicts` false for `eviction: none`.
    """
    named = naming(f"{hooks.__name__.rpartition('.')[2]}_{'single' if single else 'general'}")
    expect, insert, touch = hooks.expect, hooks.insert, hooks.touch
    remove, victim = hooks.remove, hooks.victim

    @kernel
    @named
    def leave(
        slot_of: Pages, table: Table, register: Register, page: int, remaining_ns: int
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
    def drop_unit(
        slot_of: Pages, table: Table, register: Register, unit: int, remaining_ns: int
    ) -> int:
        """Drop all pages of a unit, ascending; return how many."""
        page = wide(table[unit, FIRST])
        dropped = wide(table[unit, SHAPE]) >> PAGES_SHIFT
        left = dropped
        while left > 0:
            number = wide(slot_of[page])
            if number >= 0 and table[number, OWNER] == unit:
                give(slot_of, table, register, leave(slot_of, table, register, page, remaining_ns))
                left -= 1
            page += 1
        return dropped

    @kernel
    @named
    def refuse_store(
        slot_of: Pages, table: Table, register: Register, first: int, pages: int, remaining_ns: int
    ) -> None:
        """Not admitted: cached copies are stale, the rest is skipped."""
        for page in range(first, first + pages):
            if slot_of[page] >= 0:
                give(slot_of, table, register, leave(slot_of, table, register, page, remaining_ns))
                register[STALE] += 1
            else:
                register[SKIPPED] += 1

    @kernel
    @named
    def store_page(
        slot_of: Pages, table: Table, register: Register, page: int, remaining_ns: int
    ) -> None:
        """Store a unit of one page, where all units are."""
        number = wide(slot_of[page])
        if number >= 0:
            touch(slot_of, table, register, number, False)
            register[OVERWRITTEN] += 1
        elif register[FREE_SLOTS] > 0:
            expect(slot_of, table, register, page)
            number = fill(slot_of, table, register, page, remaining_ns)
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
        slot_of: Pages, table: Table, register: Register, first: int, order: int, remaining_ns: int
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
                give(slot_of, table, register, leave(slot_of, table, register, page, remaining_ns))
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
            register[RECLAIMED] += drop_unit(slot_of, table, register, unit, remaining_ns)
        if mine != NOWHERE:
            touch(slot_of, table, register, mine, False)
        else:
            mine = wide(register[SPARE_UNIT])
            register[SPARE_UNIT] = table[mine, NEXT]
            table[mine, FIRST] = first
            table[mine, SHAPE] = order << ORDER_SHIFT
            insert(slot_of, table, register, mine)
        table[mine, SHAPE] += need << PAGES_SHIFT
        page = first
        while need > 0:
            if slot_of[page] < 0:
                table[fill(slot_of, table, register, page, remaining_ns), OWNER] = mine
                need -= 1
            page += 1
        register[STORED] += pages
        register[OVERWRITTEN] += held

    @kernel
    @named
    def invalidate(
        slot_of: Pages, table: Table, register: Register, first: int, end: int, remaining_ns: int
    ) -> None:
        """Drop every cached page of [first, end)."""
        for page in range(first, end):
            if slot_of[page] >= 0:
                give(slot_of, table, register, leave(slot_of, table, register, page, remaining_ns))
                register[INVALIDATED] += 1

    @kernel
    @named
    def reserve(
        slot_of: Pages,
        table: Table,
        register: Register,
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
                take(slot_of, table, register, number)
            else:
                if whole and not single:
                    # A slot of this block that is withheld by now has no use for its link.
                    table[first + hits, FREE_NEXT] = table[number, OWNER]
                    hits += 1
                leave(slot_of, table, register, page, remaining_ns)
                register[RECALLED] += 1
            table[number, PAGE] = WITHHELD
        register[CAPACITY] -= end - first
        if not single:
            sort_units(table, first, hits)
            for row in range(first, first + hits):
                # A unit that is named twice, or has ceased, has no pages left.
                register[COLLATERAL] += drop_unit(
                    slot_of, table, register, wide(table[row, FREE_NEXT]), remaining_ns
                )

    @kernel
    @named
    def restore_folio(
        slot_of: Pages,
        table: Table,
        register: Register,
        first: int,
        pages: int,
        mode: int,
        follows: int,
        remaining_ns: int,
    ) -> None:
        """Look the pages of a folio up, ascending; `mode` is INCLUSIVE, EXCLUSIVE or REFUSED."""
        for page in range(first, first + pages):
            number = wide(slot_of[page])
            if number < 0 or mode == REFUSED:
                register[MISSED] += 1
                if follows and page == register[LAST_MISSED] + 1:
                    register[MISSED_SEQUENTIAL] += 1
                register[LAST_MISSED] = page
            else:
                register[RESTORED] += 1
                if mode == EXCLUSIVE:
                    give(
                        slot_of,
                        table,
                        register,
                        leave(slot_of, table, register, page, remaining_ns),
                    )
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
        first: int,
        order: int,
        folio_order: int,
        remaining_ns: int,
    ) -> None:
        """Store a folio, cut into units."""
        end = first + (1 << order)
        if single:
            while first < end:
                store_page(slot_of, table, register, first, remaining_ns)
                first += 1
        else:
            depth = min(order, folio_order)
            while first < end:
                store_unit(slot_of, table, register, first, depth, remaining_ns)
                first += 1 << depth

    @loop
    @named
    def replay_lane(
        words: NDArray[np.int16],
        arguments: NDArray[np.int32],
        remaining_ns: NDArray[np.int64],
        inode_pages: NDArray[np.int32],
        sample_bins: NDArray[np.int32],
        block_pages: int,
        options: NDArray[np.int64],
        slot_of: Pages,
        table: Table,
        register: Register,
        samples: NDArray[np.int64],
        lane: int,
    ) -> None:
        """Replay a timeline under the policy of one lane; its tallies are left in `register`."""
        restore_mode, folio_order = (
            wide(options[lane, RESTORE_MODE]),
            wide(options[lane, FOLIO_ORDER]),
        )
        workingset_only, refuse = (
            wide(options[lane, WORKINGSET_ONLY]),
            wide(options[lane, REFUSE_LARGE]),
        )
        withheld, whole = wide(options[lane, HEADROOM]), wide(options[lane, WHOLE_FOLIO])
        start(slot_of, table, register, withheld, wide(options[lane, RANDOM_SEED]))
        sampled = 0
        dropped = 0
        for step in range(words.size):
            word = wide(words[step])
            kind = word & 7
            order = word >> STEP_ORDER_SHIFT
            flag = word & FLAG
            first = wide(arguments[step])
            left = wide(remaining_ns[step])
            if kind == RESTORE:
                mode = REFUSED if refuse and order > 0 else restore_mode
                restore_folio(slot_of, table, register, first, 1 << order, mode, flag, left)
            elif kind == STORE:
                if refuse and order > 0:
                    register[SKIPPED] += 1 << order
                elif workingset_only and not flag:
                    refuse_store(slot_of, table, register, first, 1 << order, left)
                else:
                    store_folio(slot_of, table, register, first, order, folio_order, left)
            elif kind == RESERVE:
                slot = first * block_pages
                if slot >= withheld:
                    reserve(slot_of, table, register, slot, slot + block_pages, whole, left)
                if flag:
                    total = register[RECALLED] + register[COLLATERAL]
                    samples[lane, sample_bins[sampled] + total - dropped] += 1
                    dropped = total
                    sampled += 1
            elif kind == RELEASE:
                slot = first * block_pages
                if slot >= withheld:
                    release(slot_of, table, register, slot, slot + block_pages)
            elif kind == INVALIDATE:
                invalidate(slot_of, table, register, first, first + (1 << order), left)
            else:
                end = wide(inode_pages[first, 1])
                invalidate(slot_of, table, register, wide(inode_pages[first, 0]), end, left)

    @loop
    @named
    def replay_lanes(
        words: NDArray[np.int16],
        arguments: NDArray[np.int32],
        remaining_ns: NDArray[np.int64],
        inode_pages: NDArray[np.int32],
        sample_bins: NDArray[np.int32],
        block_pages: int,
        options: NDArray[np.int64],
        slot_of: Pages,
        table: Table,
        register: Register,
        tallies: NDArray[np.int64],
        samples: NDArray[np.int64],
    ) -> None:
        """Replay lane after lane in the same state: options [lane, OPTIONS] in, tallies out."""
        for lane in range(tallies.shape[0]):
            replay_lane(
                words,
                arguments,
                remaining_ns,
                inode_pages,
                sample_bins,
                block_pages,
                options,
                slot_of,
                table,
                register,
                samples,
                lane,
            )
            for tally in range(tallies.shape[1]):
                tallies[lane, tally] = register[tally]

    return replay_lanes
