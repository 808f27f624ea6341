"""Lanes of the cleancache: policies as numbers for the compiled loops, and the state they share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.eviction.queue import make_state
from core.policy import (
    Admission,
    Drop,
    Eviction,
    HeadroomMode,
    LargeFolios,
    Placement,
    Policies,
    Restore,
    System,
    code,
)
from core.system.cleancache import loop as cleancache
from core.system.cleancache.entries import ENTRIES
from core.system.cleancache.loop import OPTIONS
from core.system.cleancache.placement import make_places
from core.system.cleancache.units import EXCLUSIVE, INCLUSIVE, Form
from core.system.counted import Counted, nothing_counted
from core.timeline.prepare import Timeline

__all__ = ["OPTIONS", "kept_blocks", "replay_cache"]


def replay_cache(timeline: Timeline, policies: Policies) -> Counted:
    """Return what lanes count whose slots hold evicted folios, in one compiled call an eviction."""
    counted = nothing_counted(timeline, policies.lanes)
    options = _options(timeline, policies)
    forms = _forms(timeline, policies, options)
    for eviction, form in ENTRIES:
        mine = np.flatnonzero(
            (policies.eviction == code(eviction)) & (forms == list(Form).index(form))
        )
        if not mine.size:
            continue
        blocks = timeline.slots // timeline.block_pages
        places = make_places(blocks, timeline.occupancy.releases) if form is Form.PLACED else None
        part = nothing_counted(timeline, mine.size)
        ENTRIES[eviction, form](
            timeline.word,
            timeline.page,
            timeline.remaining_ns,
            timeline.inode_pages,
            timeline.sample_bins,
            timeline.block_pages,
            options[mine],
            *make_state(timeline.pages, timeline.slots, eviction is Eviction.S3FIFO, places),
            part.tallies,
            part.samples,
            timeline.series_steps,
            part.series,
        )
        for whole, found in zip(counted, part, strict=True):
            whole[mine] = found
    return counted


def kept_blocks(policies: Policies, blocks: int) -> NDArray[np.int64]:
    """Return how many blocks each policy keeps empty.  # [lane]"""
    dynamic = policies.headroom_mode == code(HeadroomMode.DYNAMIC)
    return np.where(dynamic, np.floor(policies.headroom * blocks), 0).astype(np.int64)


def _options(timeline: Timeline, policies: Policies) -> NDArray[np.int64]:
    options = np.zeros((policies.lanes, OPTIONS), dtype=np.int64)
    tmem = policies.system == code(System.TMEM)
    blocks = timeline.slots // timeline.block_pages
    kept = np.where(tmem, 0, kept_blocks(policies, blocks))
    static = np.where(kept > 0, 0, np.floor(policies.headroom * blocks)).astype(np.int64)
    options[:, cleancache.WORKINGSET_ONLY] = policies.admission == code(Admission.WORKINGSET)
    options[:, cleancache.RESTORE_MODE] = np.where(
        policies.restore == code(Restore.EXCLUSIVE), EXCLUSIVE, INCLUSIVE
    )
    options[:, cleancache.WHOLE_FOLIO] = policies.drop == code(Drop.FOLIO)
    options[:, cleancache.REFUSE_LARGE] = policies.large_folios == code(LargeFolios.REFUSE)
    options[:, cleancache.FOLIO_ORDER] = policies.folio_order
    options[:, cleancache.HEADROOM] = np.where(tmem, 0, static * timeline.block_pages)
    options[:, cleancache.RANDOM_SEED] = policies.seed
    options[:, cleancache.PLACEMENT] = np.where(tmem, 0, policies.placement)
    options[:, cleancache.KEPT_BLOCKS] = kept
    discards = np.ceil(policies.discard_ratio * 2.0**32).astype(np.int64)
    options[:, cleancache.DISCARD_BITS] = np.where(tmem, discards, 0)
    return options


def _forms(timeline: Timeline, policies: Policies, options: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the form of each lane: its place in `Form`."""
    single = (
        (options[:, cleancache.FOLIO_ORDER] == 0)
        | (options[:, cleancache.REFUSE_LARGE] == 1)
        | (timeline.max_order == 0)
    )
    placed = (
        (policies.system == code(System.TMEM))
        | (options[:, cleancache.PLACEMENT] != code(Placement.QUEUE))
        | (options[:, cleancache.KEPT_BLOCKS] > 0)
    )
    known = list(Form)
    return np.where(
        placed,
        known.index(Form.PLACED),
        np.where(single, known.index(Form.SINGLE), known.index(Form.GENERAL)),
    )
