"""Replay: an event table under B policies, lane by lane, in one compiled call an eviction."""

from __future__ import annotations

import numpy as np

from core.events import SCHEMA, Events, make_events
from core.eviction.queue import TALLIES, make_state, state_bytes
from core.machine import Machine
from core.outcomes import Outcomes
from core.policy import (
    Admission,
    Drop,
    Eviction,
    LargeFolios,
    Policies,
    Policy,
    Restore,
    System,
    code,
    pack,
)
from core.system import carveout, cleancache
from core.system.lanes import ENTRIES
from core.timeline import Timeline, prepare


def replay(events: Events, machine: Machine, policies: Policies) -> Outcomes:
    """Return the outcomes of `events` on `machine` under every policy of `policies`."""
    return replay_timeline(prepare(events, machine), machine, policies)


def replay_timeline(timeline: Timeline, machine: Machine, policies: Policies) -> Outcomes:
    """Return the outcomes of a prepared timeline; a lane's do not depend on its neighbours."""
    lanes = policies.lanes
    options = _options(policies, machine)
    tallies = np.zeros((lanes, len(TALLIES)), dtype=np.int64)
    samples = np.zeros((lanes, timeline.bins), dtype=np.int64)
    single = (
        (options[:, cleancache.FOLIO_ORDER] == 0)
        | (options[:, cleancache.REFUSE_LARGE] == 1)
        | (timeline.max_order == 0)
    )
    cached = policies.system == code(System.CLEANCACHE)
    tallies[~cached] = carveout.tallies(timeline)
    for eviction, one_page in ENTRIES:
        chosen = cached & (policies.eviction == code(eviction)) & (single == one_page)
        mine = np.flatnonzero(chosen)
        if not mine.size:
            continue
        state = make_state(timeline.pages, machine.slots, eviction is Eviction.S3FIFO)
        counted = np.zeros((mine.size, len(TALLIES)), dtype=np.int64)
        sampled = np.zeros((mine.size, timeline.bins), dtype=np.int64)
        ENTRIES[eviction, one_page](
            timeline.word,
            timeline.page,
            timeline.remaining_ns,
            timeline.inode_pages,
            timeline.sample_bins,
            machine.tag_block_pages,
            options[mine],
            *state,
            counted,
            sampled,
        )
        tallies[mine] = counted
        samples[mine] = sampled
    return Outcomes(
        tallies=tallies,
        samples=samples,
        reserves=cached,
        metadata=policies.metadata,
        headroom_blocks=options[:, cleancache.HEADROOM] // machine.tag_block_pages,
        timeline=timeline,
        machine=machine,
    )


def replay_bytes(timeline: Timeline, machine: Machine, lanes: int) -> int:
    """Return the bytes that a replay of `lanes` policies needs beside the timeline.

    Lanes follow one another in one state: 8 bytes a file page and 32 a slot at most, once; each
    lane adds its tallies and its histogram of reservation latency (held twice for a moment).
    """
    state = state_bytes(timeline.pages, machine.slots, True)
    return state + lanes * 2 * 8 * (len(TALLIES) + timeline.bins + cleancache.OPTIONS)


def _options(
    policies: Policies, machine: Machine
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    options = np.zeros((policies.lanes, cleancache.OPTIONS), dtype=np.int64)
    blocks = np.floor(policies.headroom * machine.tag_blocks).astype(np.int64)
    options[:, cleancache.WORKINGSET_ONLY] = policies.admission == code(Admission.WORKINGSET)
    options[:, cleancache.RESTORE_MODE] = np.where(
        policies.restore == code(Restore.EXCLUSIVE), cleancache.EXCLUSIVE, cleancache.INCLUSIVE
    )
    options[:, cleancache.WHOLE_FOLIO] = policies.drop == code(Drop.FOLIO)
    options[:, cleancache.REFUSE_LARGE] = policies.large_folios == code(LargeFolios.REFUSE)
    options[:, cleancache.FOLIO_ORDER] = policies.folio_order
    options[:, cleancache.HEADROOM] = blocks * machine.tag_block_pages
    options[:, cleancache.RANDOM_SEED] = policies.seed
    return options


def compile_lanes(eviction: Eviction, one_page: bool) -> None:
    """Compile the loop over lanes of an eviction, or load it from disk, by replaying nothing."""
    columns = {field.name: np.empty(0, dtype=field.type.to_pandas_dtype()) for field in SCHEMA}
    events = make_events(columns, page_size=4096, data_pages=32, source="")
    machine = Machine(4096, 32)
    timeline = prepare(events, machine)
    if not one_page:
        timeline = timeline._replace(max_order=1)
    policy = Policy(eviction=eviction, folio_order=0 if one_page else 1)
    replay_timeline(timeline, machine, pack([policy]))
