"""The policies of a cleancache, or of a tmem, as numbers for the compiled loops, and their call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.costs import Int64
from core.eviction import EVICTIONS
from core.lane import CACHED, Places, make_state
from core.policy import Policies, code, headroom_blocks
from core.policy_words import HeadroomMode, Placement
from core.system.cleancache.entries import entry_of
from core.system.cleancache.forms import EXCLUSIVE, INCLUSIVE, Form, Options
from core.system.cleancache.placement import make_places
from core.system.contract import (
    ALL_TALLIES,
    COMPRESSION_TALLIES,
    FAILURE_TALLIES,
    MIGRATION_TALLIES,
    Choices,
    Counted,
    ReplayLoop,
    Unmoved,
    count_missed,
    nothing_counted,
)
from core.timeline.prepare import Timeline

#: What a cache of whole pages may count: it moves none, and no reservation fails.
CACHE_TALLIES = ALL_TALLIES - MIGRATION_TALLIES - COMPRESSION_TALLIES - FAILURE_TALLIES
#: What all its policies of some values have in common.
CACHE_UNMOVED = (
    Unmoved("stale", (("admission", "all"),)),
    Unmoved("bypassed", (("lookup", "each"),)),
    Unmoved("lookups", (("lookup", "each"), ("large_folios", "cut"))),
    Unmoved("collateral", (("drop", "page"),)),
    Unmoved("collateral", (("folio_order", 0),)),
    Unmoved("collateral", (("large_folios", "refuse"),)),
    Unmoved("reclaimed", (("eviction", "none"),)),
    Unmoved("waited_reclaimed", (("eviction", "none"),)),
)


def replay_cache(timeline: Timeline, policies: Policies) -> tuple[Timeline, Counted]:
    """Return what lanes count whose slots hold evicted folios.

    Parameters
    ----------
    timeline
        What all lanes replay.
    policies
        Their policies.  # [lane]
    """
    counted = nothing_counted(timeline, policies.size)
    options = _options(timeline, policies)
    forms = _forms(timeline, options)
    for word, form in sorted(set(zip(policies["eviction"], forms, strict=True))):
        mine = np.flatnonzero((policies["eviction"] == word) & (forms == form))
        places = places_of(timeline) if form == Form.PLACED else None
        remembers_pages = EVICTIONS[word].remembers_pages
        part = nothing_counted(timeline, mine.size)
        entry_of(word, Form(form))(
            timeline.steps,
            timeline.block_pages,
            np.stack([options[name][mine] for name in Options._fields], axis=1),
            make_state(timeline.pages, timeline.slots, remembers_pages, places),
            part,
        )
        counted.tallies[mine], counted.samples[mine] = part.tallies, part.samples
    count_missed(timeline, counted)
    counted.series[:] = counted.tallies[:, timeline.marks.points, CACHED]
    return timeline, counted


def places_of(timeline: Timeline) -> Places:
    """Return room for the places of a timeline's blocks, released in a warm-up or after it."""
    releases = int(timeline.occupancy.released.sum())
    return make_places(timeline.slots // timeline.block_pages, releases)


def _options(timeline: Timeline, policies: Policies) -> dict[str, Int64]:
    """Return the options of policies, whose unread fields are at their defaults.  # each [lane]"""
    blocks = timeline.slots // timeline.block_pages
    kept = kept_blocks(policies, blocks)
    static = np.where(kept > 0, 0, headroom_blocks(policies["headroom"], blocks))
    columns = {
        "workingset_only": policies["admission"] == "workingset",
        "restore_mode": np.where(policies["restore"] == "exclusive", EXCLUSIVE, INCLUSIVE),
        "drops_whole_units": policies["drop"] == "folio",
        "refuses_large": policies["large_folios"] == "refuse",
        "folio_order": policies["folio_order"],
        "headroom_slots": static * timeline.block_pages,
        "seed": policies["seed"],
        "placement": np.array([code(Placement(word)) for word in policies["placement"]]),
        "kept_blocks": kept,
        "discard_bits": np.ceil(policies["discard_ratio"] * 2.0**32),
        "mapped_only": policies["offer"] == "mapped",
        "looks_up_prefix": policies["lookup"] == "prefix",
        "background_units": np.where(
            policies["slot_reclaim"] == "background", policies["slot_reclaim_batch"], 0
        ),
    }
    return {name: column.astype(np.int64) for name, column in columns.items()}


def kept_blocks(policies: Policies, blocks: int) -> Int64:
    """Return how many blocks each policy keeps empty, under a dynamic headroom.  # [lane]"""
    dynamic = policies["headroom_mode"] == "dynamic"
    return np.where(dynamic, headroom_blocks(policies["headroom"], blocks), 0)


def _forms(timeline: Timeline, options: dict[str, Int64]) -> NDArray[np.object_]:
    """Return the form of each lane."""
    single = (options["folio_order"] == 0) | (options["refuses_large"] == 1)
    single |= timeline.max_order == 0
    placed = (options["placement"] != code(Placement.QUEUE)) | (options["kept_blocks"] > 0)
    # A region is resized slot by slot.
    placed |= timeline.is_region
    forms = np.where(placed, Form.PLACED, np.where(single, Form.SINGLE, Form.GENERAL))
    return forms.astype(object)


def loops_of(choices: Choices, always_placed: bool = False) -> set[ReplayLoop]:
    """Return the loops that policies of some choices may call.

    Parameters
    ----------
    choices
        Of each policy field the values that it may have.
    always_placed
        Whether only the form that places pages serves.
    """
    forms = set()
    dynamic = HeadroomMode.DYNAMIC in choices["headroom_mode"]
    queue = Placement.QUEUE in choices["placement"] and "static" in choices["headroom_mode"]
    if always_placed or dynamic or set(choices["placement"]) != {Placement.QUEUE}:
        forms.add(Form.PLACED)
    if queue and not always_placed:
        forms.add(Form.SINGLE)
        cuts = "cut" in choices["large_folios"]
        if cuts and max(choices["folio_order"]) > 0:
            forms.add(Form.GENERAL)
    return {ReplayLoop(word, form) for word in choices["eviction"] for form in forms}
