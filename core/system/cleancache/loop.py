"""The loop over lanes that a cleancache and a tmem share, made for one eviction and one form.

The semantics are those of docs/model.md: clean page-cache folios that reclaim evicted are kept in
tag pages that hold no tags.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import core.system.cleancache.placement as placement
import core.system.cleancache.slots as slots
from core.events import INVALIDATE, INVALIDATE_INODE, RESTORE, STORE
from core.eviction.queue import Eviction
from core.jit import kernel, loop, wide
from core.lane import (
    CACHED,
    COLLATERAL,
    NOWHERE,
    PEAK_CACHED,
    RECALLED,
    RECLAIMED,
    SAMPLED,
    SAMPLED_BLOCKS,
    SAMPLED_DROPPED,
    SEED,
    SKIPPED,
    STORED,
    WAITED_RECLAIMED,
    WAITED_STORED,
    State,
)
from core.system.cleancache.finding import finding_over
from core.system.cleancache.forms import Form, Options, Specialised, read_options
from core.system.cleancache.leaving import Leaving, leaving_over
from core.system.cleancache.reserving import reserve_over, withdrawing_over
from core.system.cleancache.slots import DISCARD_BITS, DROPPED, HANDED_BACK
from core.system.cleancache.storing import storing_over
from core.system.contract import Counted
from core.timeline.steps import (
    FRAMES,
    ON_DISK,
    RELEASE,
    RESERVE,
    RESIZE,
    WAITED,
    Steps,
    is_flagged,
    kind_of,
    order_of,
)

Loop = Callable[..., None]
Int64 = NDArray[np.int64]


def lanes_over(name: str, eviction: Eviction, form: Form) -> Loop:
    """Return the loop over lanes that replays a timeline under an eviction, in a form.

    Parameters
    ----------
    name
        What tells the symbols of its machine code from those of another eviction.
    eviction
        The hooks, which the loop calls.
    form
        What its kernels may take for granted.
    """
    made_for = Specialised(name, eviction, form)
    named, placed = made_for.named, made_for.is_placed
    leaving = leaving_over(made_for)
    replay_file_event = _file_event_over(made_for, leaving)
    replay_change = _change_over(made_for, leaving)

    @loop
    @named
    def replay_lane(
        steps: Steps, block_pages: int, options: Options, state: State, counted: Counted, lane: int
    ) -> None:
        """Replay a timeline under the policy of one lane."""
        if placed:
            headroom, kept = options.headroom_slots, options.kept_blocks
            placement.start(state, headroom, options.placement, kept, block_pages)
        else:
            slots.start(state, options.headroom_slots)
        state.register[SEED] = options.seed
        state.register[DISCARD_BITS] = options.discard_bits
        state.register[HANDED_BACK] = NOWHERE
        for mark in range(counted.tallies.shape[1]):
            for step in range(steps.mark_steps[mark], steps.mark_steps[mark + 1]):
                word = wide(steps.word[step])
                remaining_ns = wide(steps.remaining_ns[step])
                argument = wide(steps.argument[step])
                if kind_of(word) <= INVALIDATE_INODE:
                    replay_file_event(steps, options, state, word, argument, remaining_ns)
                else:
                    replay_change(
                        *(steps, block_pages, options, state, counted, lane),
                        *(word, argument, remaining_ns),
                    )
            for tally in range(counted.tallies.shape[2]):
                counted.tallies[lane, mark, tally] = state.register[tally]
            if mark + 1 == steps.warm_up_marks:
                _end_warm_up(state, counted, lane)

    @loop
    @named
    def replay_lanes(
        steps: Steps,
        block_pages: int,
        options: Int64,  # [lane, field of Options]
        state: State,
        counted: Counted,
    ) -> None:
        """Replay lane after lane in the same state."""
        for lane in range(options.shape[0]):
            replay_lane(steps, block_pages, read_options(options, lane), state, counted, lane)

    return replay_lanes


@kernel
def _end_warm_up(state: State, counted: Counted, lane: int) -> None:
    """Forget the samples of latency so far, and the most pages that were cached."""
    for place in range(counted.samples.shape[1]):
        counted.samples[lane, place] = 0
    state.register[PEAK_CACHED] = state.register[CACHED]


def _file_event_over(made_for: Specialised, leaving: Leaving) -> Loop:
    """Return the kernel that replays a store, a restore or an invalidate."""
    store_folio, refuse_store = storing_over(made_for, leaving)
    restore_folio, invalidate = finding_over(made_for, leaving)

    @kernel
    @made_for.named
    def replay_store(
        state: State, options: Options, word: int, first: int, remaining_ns: int
    ) -> None:
        order = order_of(word)
        if options.mapped_only and word & ON_DISK == 0:
            # The hook drops the copies of such a folio, and offers nothing.
            invalidate(state, first, first + (1 << order), remaining_ns)
            state.register[SKIPPED] += 1 << order
        elif options.refuses_large and order > 0:
            state.register[SKIPPED] += 1 << order
        elif options.workingset_only and not is_flagged(word):
            refuse_store(state, first, 1 << order, remaining_ns)
        else:
            store_folio(state, options, first, order, remaining_ns)

    @kernel
    @made_for.named
    def replay_file_event(
        steps: Steps, options: Options, state: State, word: int, first: int, remaining_ns: int
    ) -> None:
        kind = kind_of(word)
        if kind == RESTORE:
            restore_folio(state, options, word, first, remaining_ns)
        elif kind == STORE:
            register = state.register
            stored, reclaimed = wide(register[STORED]), wide(register[RECLAIMED])
            replay_store(state, options, word, first, remaining_ns)
            if word & WAITED:
                register[WAITED_STORED] += register[STORED] - stored
                if options.background_units == 0:
                    register[WAITED_RECLAIMED] += register[RECLAIMED] - reclaimed
        elif kind == INVALIDATE:
            invalidate(state, first, first + (1 << order_of(word)), remaining_ns)
        else:
            pages = steps.inode_pages
            invalidate(state, wide(pages[first, 0]), wide(pages[first, 1]), remaining_ns)

    return replay_file_event


def _change_over(made_for: Specialised, leaving: Leaving) -> Loop:
    """Return the kernel that replays a change of tag storage, or of a region."""
    placed, named = made_for.is_placed, made_for.named
    reserve = reserve_over(made_for, leaving)
    keep_empty, resize = withdrawing_over(made_for, leaving, reserve)
    release = placement.release if placed else slots.release

    @kernel
    @named
    def put_sample(steps: Steps, state: State, counted: Counted, lane: int, dropped: int) -> None:
        """Count a sample of latency that dropped so many pages."""
        sample = wide(state.register[SAMPLED])
        counted.samples[lane, steps.sample_bins[sample] + dropped] += 1
        state.register[SAMPLED] = sample + 1
        state.register[SAMPLED_DROPPED] += dropped

    @kernel
    @named
    def replay_change(
        steps: Steps,
        block_pages: int,
        options: Options,
        state: State,
        counted: Counted,
        lane: int,
        word: int,
        argument: int,
        remaining_ns: int,
    ) -> None:
        register = state.register
        kind = kind_of(word)
        first = argument * block_pages
        if kind == RESERVE:
            register[SAMPLED_BLOCKS] += 1
            if placed and placement.is_kept(state.places, argument):
                placement.reserve_kept(state, argument, remaining_ns)
            elif first >= options.headroom_slots:
                end = first + block_pages
                reserve(state, first, end, options.drops_whole_units, remaining_ns)
                if placed:
                    placement.note_reserved(state.places, argument)
            if is_flagged(word):
                total = wide(register[RECALLED]) + wide(register[COLLATERAL])
                put_sample(steps, state, counted, lane, total - wide(register[DROPPED]))
                register[DROPPED] = total
                if placed and options.kept_blocks > 0:
                    keep_empty(state, options.drops_whole_units, remaining_ns)
        elif kind == RELEASE:
            if first >= options.headroom_slots:
                release(state, first, first + block_pages, remaining_ns)
        elif placed and kind == FRAMES:
            frames = 1 << order_of(word)
            placement.note_frames(state.places, argument, frames if is_flagged(word) else -frames)
        elif placed and kind == RESIZE:
            before = wide(register[RECALLED])
            resize(state, argument, remaining_ns)
            if is_flagged(word):
                put_sample(steps, state, counted, lane, wide(register[RECALLED]) - before)

    return replay_change
