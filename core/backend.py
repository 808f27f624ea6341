"""Replay: a timeline under B policies, each lane by its system."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from core.events import SCHEMA, Events, make_events
from core.eviction.queue import RESTORED, TALLIES, state_bytes
from core.machine import Machine
from core.outcomes import Outcomes
from core.policy import Eviction, Placement, Policies, Policy, System, code, pack
from core.system.carveout import replay_carveout
from core.system.cleancache.replay import OPTIONS, kept_blocks, replay_cache
from core.system.cleancache.units import Form
from core.system.counted import Counted, nothing_counted
from core.system.ideal import bound, replay_ideal
from core.system.migrate_cma import Larger
from core.system.zswap.replay import replay_with_swap, replay_zswap
from core.timeline.prepare import SERIES_POINTS, Timeline
from core.timeline.view import View, prepare_view, view_of

#: Systems whose tag storage holds what mm events say.
SYSTEMS: dict[System, Callable[[Timeline, Policies], Counted]] = {
    System.CARVEOUT: replay_carveout,
    System.CLEANCACHE: replay_cache,
    System.ZSWAP: replay_zswap,
    System.TMEM: replay_cache,
}


def replay(events: Events, machine: Machine, policies: Policies) -> Outcomes:
    """Return the outcomes of `events` on `machine` under policies that all see the plain view."""
    return replay_timeline(prepare_view(events, machine, View()), machine, policies)


def replay_policy(events: Events, machine: Machine, policy: Policy) -> Outcomes:
    """Return the outcomes of `events` on `machine` under one policy, in its own view."""
    timeline = prepare_view(events, machine, view_of(policy, machine))
    return replay_timeline(timeline, machine, pack([policy]))


def replay_timeline(
    timeline: Timeline,
    machine: Machine,
    policies: Policies,
    larger: Larger | None = None,
    ideal: int | None = None,
) -> Outcomes:
    """Return the outcomes of a prepared timeline; a lane's do not depend on its neighbours.

    `larger` is what a page cache larger by the unreserved tag storage would read, where that is
    known: results are quoted against it if it saves more than the clairvoyant cleancache. `ideal`
    is how many pages the ideal restores, if it is another timeline's.

    Raises
    ------
    ValueError
        When a policy is of a system that this timeline cannot be replayed under.
    """
    if (policies.system == code(System.MIGRATE_CMA)).any():
        raise ValueError("migrate_cma has a front end of its own, and is counted, not replayed")
    if timeline.has_swap:
        if (policies.system != code(System.ZSWAP)).any():
            raise ValueError("anonymous pages are in the timeline: they are zswap's alone")
        restored = ideal_restored(timeline, larger) if ideal is None else ideal
        seen, counted = replay_with_swap(timeline, policies)
        return outcomes_of(seen, machine, policies, counted, restored)
    counted = nothing_counted(timeline, policies.lanes)
    systems: dict[System, Callable[[Timeline, Policies], Counted]]
    systems = {**SYSTEMS, System.IDEAL: partial(replay_ideal, larger=larger)}
    for system, run in systems.items():
        mine = np.flatnonzero(policies.system == code(system))
        if mine.size:
            for whole, part in zip(counted, run(timeline, policies.of(mine)), strict=True):
                whole[mine] = part
    if ideal is None:
        ideal = ideal_restored(timeline, larger)
    return outcomes_of(timeline, machine, policies, counted, ideal)


def ideal_restored(timeline: Timeline, larger: Larger | None) -> int:
    """Return the pages that the ideal restores."""
    clairvoyant = int(bound(timeline)[0][RESTORED])
    return clairvoyant if larger is None else max(clairvoyant, larger.restored)


def outcomes_of(
    timeline: Timeline, machine: Machine, policies: Policies, counted: Counted, restored: int
) -> Outcomes:
    """Return outcomes of what lanes counted, where the ideal restores so many pages."""
    return Outcomes(
        *counted,
        system=policies.system,
        metadata=policies.metadata,
        headroom_blocks=np.floor(policies.headroom * machine.tag_blocks).astype(np.int64),
        kept_blocks=kept_blocks(policies, machine.tag_blocks),
        ideal_restored=restored,
        timeline=timeline,
        machine=machine,
    )


def replay_bytes(timeline: Timeline, lanes: int) -> int:
    """Return the bytes that a replay of `lanes` policies needs beside the timeline.

    Lanes follow one another in one state: 8 bytes a file page and 32 a slot at most, once; each
    lane adds its tallies, its series and its histogram of latency (held twice for a moment).
    """
    state = state_bytes(timeline.pages, timeline.slots, True)
    counts = len(TALLIES) + SERIES_POINTS + timeline.bins + OPTIONS
    # Where pages are written, of each sample that differs a number and how many: all, at most. One
    # lane's samples, and what sorting them takes, come once.
    samples = timeline.sample_bins.size if timeline.has_swap else 0
    return state + 64 * samples + lanes * (2 * 8 * counts + 2 * 8 * samples)


def compile_lanes(eviction: Eviction, form: Form) -> None:
    """Compile the loop over lanes of an eviction, or load it from disk, by replaying nothing."""
    columns = {field.name: np.empty(0, dtype=field.type.to_pandas_dtype()) for field in SCHEMA}
    events = make_events(columns, page_size=4096, data_pages=32, source="")
    machine = Machine(4096, 32)
    timeline = prepare_view(events, machine, View())
    if form is Form.GENERAL:
        timeline = timeline._replace(max_order=1)
    placement = Placement.SPREAD if form is Form.PLACED else Placement.QUEUE
    order = 1 if form is Form.GENERAL else 0
    policy = Policy(eviction=eviction, folio_order=order, placement=placement)
    replay_timeline(timeline, machine, pack([policy]))
