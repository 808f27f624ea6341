"""Cleancache: clean page-cache folios that reclaim evicted, kept in unreserved tag pages.

The semantics are those of docs/model.md. `lanes_over` makes the loop that replays lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE, RESTORE, STORE
from core.eviction.queue import (
    BLOCK_PAGES,
    CACHED,
    CAPACITY,
    COLLATERAL,
    DISCARD,
    FREE_NEXT,
    FREE_SLOTS,
    HANDED_BACK,
    KEPT_NOW,
    KEPT_TARGET,
    NOWHERE,
    PAGE,
    RECALLED,
    RECLAIMED,
    SKIPPED,
    WITHHELD,
    WITHHELD_PAGE_NS,
    Pages,
    Places,
    Register,
    Table,
    units_end,
)
from core.jit import kernel, loop, wide
from core.system.cleancache import placement
from core.system.cleancache.units import REFUSED, Form, units_over
from core.timeline.prepare import FLAG, FRAMES, RELEASE, RESERVE, RESIZE
from core.timeline.prepare import ORDER_SHIFT as STEP_ORDER_SHIFT

# Columns of the `options` of a lane.
(
    WORKINGSET_ONLY,
    RESTORE_MODE,
    WHOLE_FOLIO,
    REFUSE_LARGE,
    FOLIO_ORDER,
    HEADROOM,
    RANDOM_SEED,
    PLACEMENT,
    KEPT_BLOCKS,
    DISCARD_BITS,
    OPTIONS,
) = range(11)


Body = Callable[..., None]


def lanes_over(hooks: ModuleType, form: Form, *, evicts: bool = True) -> Body:
    """Return the loop over lanes that replays a timeline under an eviction's hooks.

    `evicts` is false for `eviction: none`.
    """
    units = units_over(hooks, form, evicts=evicts)
    named, start, release = units.named, units.start, units.release
    store_folio, refuse_store = units.store_folio, units.refuse_store
    restore_folio, invalidate, reserve = units.restore_folio, units.invalidate, units.reserve
    placed = form is Form.PLACED
    drop_unit, victim = units.drop_unit, hooks.victim

    @kernel
    @named
    def keep_empty(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        whole: int,
        remaining_ns: int,
    ) -> None:
        """Drop in the background what lies in the emptiest blocks, until enough are kept empty."""
        pages = wide(register[BLOCK_PAGES])
        while register[KEPT_NOW] < register[KEPT_TARGET]:
            block = placement.emptiest(table, register, places)
            if block == NOWHERE:
                return
            recalled, collateral = wide(register[RECALLED]), wide(register[COLLATERAL])
            first = block * pages
            reserve(slot_of, table, register, places, first, first + pages, whole, remaining_ns)
            register[RECLAIMED] += register[RECALLED] + register[COLLATERAL] - recalled - collateral
            register[RECALLED] = recalled
            register[COLLATERAL] = collateral
            placement.keep(register, places, block, remaining_ns)

    @kernel
    @named
    def resize(
        slot_of: Pages,
        table: Table,
        register: Register,
        places: Places,
        size: int,
        remaining_ns: int,
    ) -> None:
        """Hand pages back to the hypervisor, or get some, until a region has so many."""
        while register[CAPACITY] > size:
            if register[FREE_SLOTS] == 0:
                unit = wide(victim(slot_of, table, register, NOWHERE))
                register[RECALLED] += drop_unit(
                    slot_of, table, register, places, unit, remaining_ns
                )
            number = wide(table[units_end(table), FREE_NEXT])
            placement.take(slot_of, table, register, places, number)
            table[number, PAGE] = WITHHELD
            table[number, FREE_NEXT] = register[HANDED_BACK]
            register[HANDED_BACK] = number
            register[CAPACITY] -= 1
            register[WITHHELD_PAGE_NS] += remaining_ns
        while register[CAPACITY] < size:
            number = wide(register[HANDED_BACK])
            register[HANDED_BACK] = table[number, FREE_NEXT]
            placement.give(slot_of, table, register, places, number)
            register[CAPACITY] += 1
            register[WITHHELD_PAGE_NS] -= remaining_ns

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
        places: Places,
        samples: NDArray[np.int64],
        series_steps: NDArray[np.int64],
        series: NDArray[np.int64],
        lane: int,
    ) -> None:
        """Replay a timeline under the policy of one lane; its tallies are left in `register`."""
        restore_mode = wide(options[lane, RESTORE_MODE])
        folio_order = wide(options[lane, FOLIO_ORDER])
        workingset_only = wide(options[lane, WORKINGSET_ONLY])
        refuse = wide(options[lane, REFUSE_LARGE])
        withheld, whole = wide(options[lane, HEADROOM]), wide(options[lane, WHOLE_FOLIO])
        seed, kept = wide(options[lane, RANDOM_SEED]), wide(options[lane, KEPT_BLOCKS])
        where = wide(options[lane, PLACEMENT])
        start(slot_of, table, register, places, withheld, seed, where, kept, block_pages)
        if placed:
            register[DISCARD] = options[lane, DISCARD_BITS]
            register[HANDED_BACK] = NOWHERE
        sampled = 0
        dropped = 0
        for part in range(series.shape[1]):
            for step in range(series_steps[part], series_steps[part + 1]):
                word = wide(words[step])
                kind = word & 7
                order = word >> STEP_ORDER_SHIFT
                flag = word & FLAG
                first = wide(arguments[step])
                left = wide(remaining_ns[step])
                if kind == RESTORE:
                    mode = REFUSED if refuse and order > 0 else restore_mode
                    restore_folio(
                        slot_of, table, register, places, first, 1 << order, mode, flag, left
                    )
                elif kind == STORE:
                    if refuse and order > 0:
                        register[SKIPPED] += 1 << order
                    elif workingset_only and not flag:
                        refuse_store(slot_of, table, register, places, first, 1 << order, left)
                    else:
                        store_folio(
                            slot_of, table, register, places, first, order, folio_order, left
                        )
                elif kind == RESERVE:
                    slot = first * block_pages
                    if placed and placement.is_kept(places, first):
                        placement.reserve_kept(register, places, first, left)
                    elif slot >= withheld:
                        end = slot + block_pages
                        reserve(slot_of, table, register, places, slot, end, whole, left)
                        if placed:
                            placement.note_reserved(places, first)
                    if flag:
                        total = register[RECALLED] + register[COLLATERAL]
                        samples[lane, sample_bins[sampled] + total - dropped] += 1
                        dropped = total
                        sampled += 1
                        if placed and kept > 0:
                            keep_empty(slot_of, table, register, places, whole, left)
                elif kind == RELEASE:
                    slot = first * block_pages
                    if slot >= withheld:
                        end = slot + block_pages
                        release(slot_of, table, register, places, slot, end, left)
                elif placed and kind == FRAMES:
                    placement.note_frames(places, first, 1 << order if flag else -(1 << order))
                elif placed and kind == RESIZE:
                    before = wide(register[RECALLED])
                    resize(slot_of, table, register, places, first, left)
                    if flag:
                        samples[lane, sample_bins[sampled] + register[RECALLED] - before] += 1
                        sampled += 1
                elif kind == INVALIDATE:
                    invalidate(slot_of, table, register, places, first, first + (1 << order), left)
                else:
                    end = wide(inode_pages[first, 1])
                    invalidate(
                        slot_of, table, register, places, wide(inode_pages[first, 0]), end, left
                    )
            series[lane, part] = register[CACHED]

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
        places: Places,
        tallies: NDArray[np.int64],
        samples: NDArray[np.int64],
        series_steps: NDArray[np.int64],
        series: NDArray[np.int64],
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
                places,
                samples,
                series_steps,
                series,
                lane,
            )
            for tally in range(tallies.shape[1]):
                tallies[lane, tally] = register[tally]

    body: Body = replay_lanes
    return body
