"""Runs of any system: on mm events where it replays them, else on accesses by its front end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from access_rows import as_accesses, crowded_rows

from core.accesses import Accesses
from core.backend import replay, view_of
from core.events import Events
from core.frontend.run import FrontEnd, run_frontend
from core.lane import SERIES_POINTS
from core.machine import Machine
from core.policy import Policy, as_read, pack
from core.replayed import Outcomes, Replayed, outcomes_of_groups
from core.system import SYSTEMS
from core.system.ideal import restored_by_ideal
from core.system.larger_memory import own_timeline
from core.timeline.prepare import Timeline, prepare

#: The machine of accesses by hand.
ROWS_MACHINE = Machine(4096, 1024)


class Case(NamedTuple):
    """A workload as mm events, and another as accesses on `ROWS_MACHINE`."""

    machine: Machine
    events: Events
    accesses_seed: int


def run(case: Case, policies: Sequence[Policy], warm_up_parts: int = 0) -> Outcomes:
    """Return what policies of one system count after a warm-up, a lane each."""
    (word,) = {policy.system for policy in policies}
    if SYSTEMS[word].replay is not None:
        return replay(case.events, case.machine, policies, warm_up=warm_up_parts / SERIES_POINTS)
    accesses, base = without_tag_memory(case.accesses_seed, warm_up_parts)
    parts = []
    for lane, policy in enumerate(policies):
        memory = view_of(policy, ROWS_MACHINE).tag_memory
        fronted = run_frontend(accesses, FrontEnd(), memory)
        own = own_timeline(fronted, ROWS_MACHINE, base)
        lanes = as_read(pack([policy]), word)
        timeline, counted = SYSTEMS[word].count(own, base, fronted, lanes)
        ideal = restored_by_ideal(base)
        parts.append(
            (np.array([lane]), Replayed(word, lanes, counted, ideal, timeline, ROWS_MACHINE))
        )
    return outcomes_of_groups(parts, len(policies))


@cache
def without_tag_memory(seed: int, warm_up_parts: int = 0) -> tuple[Accesses, Timeline]:
    """Return accesses, and how they run where tag storage holds nothing, with a warm-up."""
    rows = crowded_rows(np.random.default_rng(seed), 200)
    accesses = as_accesses(rows, free_pages=1024, low=8, high=16)
    events = run_frontend(accesses, FrontEnd()).events
    return accesses, prepare(events, ROWS_MACHINE, warm_up_parts=warm_up_parts)
