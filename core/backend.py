"""The back end: a timeline under B policies, each lane by its system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from core.available_memory import available_bytes
from core.events import Events, EventsError
from core.jit import not_on_disk
from core.lane import REGISTERS, SERIES_POINTS, TALLIES, make_state, state_bytes
from core.machine import Machine
from core.policy import Policies, Policy, as_read, pack
from core.replayed import Outcomes, Replayed, outcomes_of_groups
from core.system import SYSTEMS
from core.system.cleancache.entries import entry_name, entry_of
from core.system.cleancache.forms import Form, Options
from core.system.contract import Counted, ReplayLoop
from core.system.ideal import restored_by_ideal
from core.timeline.marks import parts_of_share
from core.timeline.prepare import Timeline
from core.timeline.steps import Steps
from core.timeline.view import View, prepare_view

#: Where a replay takes no more, it is not asked how much is free, which reads files of /proc.
_LARGE_BYTES = 1 << 28


def view_of(policy: Policy, machine: Machine) -> View:
    """Return the view that a policy has of an event table."""
    view: View = SYSTEMS[policy.system].view(policy, machine)
    return view


def replay(
    events: Events,
    machine: Machine,
    policies: Policy | Sequence[Policy],
    warm_up: float = 0.0,
) -> Outcomes:
    """Return what policies achieve on a table of mm events.

    Parameters
    ----------
    events
        The table, of `read_events`.
    machine
        The machine that it is replayed on.
    policies
        One policy, or one for each lane.
    warm_up
        The share of the table's time, in 64ths, that is replayed first and counts in no outcome.

    Returns
    -------
    Outcomes
        What each lane counted; `measure` makes named columns of it.

    Raises
    ------
    ValueError
        When a policy is of a system that mm events cannot be replayed under, such as migrate_cma,
        or `warm_up` is no whole number of 64ths, below 0, or 1 or more.
    EventsError
        When it takes more memory than is free: a table may tell of a machine of 8 TiB.
    """
    warm_up_parts = parts_of_share(warm_up)
    lanes = [policies] if isinstance(policies, Policy) else list(policies)
    views = [view_of(policy, machine) for policy in lanes]
    parts = []
    for view in dict.fromkeys(views):
        mine = np.flatnonzero([other == view for other in views])
        timeline = prepare_view(events, machine, view, warm_up_parts)
        wanted = replay_bytes(timeline, mine.size)
        if wanted > _LARGE_BYTES and wanted > (free := available_bytes()):
            what = f"to replay it with {timeline.slots:,} pages of tag storage takes"
            told = f"{what} {wanted:,} bytes of memory, and {free:,} are free"
            raise EventsError(told, file=events.source)
        part = replay_timeline(timeline, machine, pack([lanes[lane] for lane in mine]))
        for number, group in enumerate(part.groups):
            parts.append((mine[part.group_of == number], group))
    return outcomes_of_groups(parts, len(lanes))


def replay_timeline(
    timeline: Timeline,
    machine: Machine,
    policies: Policies,
    ideal: int | None = None,
) -> Outcomes:
    """Return the outcomes of a prepared timeline; a lane's do not depend on its neighbours.

    Parameters
    ----------
    timeline
        The timeline of the view that all policies share.
    machine
        Its machine.
    policies
        The policies.  # [lane]
    ideal
        How many pages the ideal restores, if that is another timeline's.

    Raises
    ------
    ValueError
        When a policy is of a system that this timeline cannot be replayed under.
    """
    if ideal is None:
        ideal = restored_by_ideal(timeline)
    parts = []
    for word in dict.fromkeys(policies["system"]):
        mine = np.flatnonzero(policies["system"] == word)
        system = SYSTEMS[word]
        if system.replay is None:
            raise ValueError(f"{word} has a front end of its own, and is counted, not replayed")
        lanes = as_read(policies[mine], word)
        if timeline.has_swap and (lanes["anonymous"] == "none").any():
            raise ValueError(f"{word} leaves anonymous pages out, and this timeline has them")
        seen, counted = system.replay(timeline, lanes)
        parts.append((mine, Replayed(word, lanes, counted, ideal, seen, machine)))
    return outcomes_of_groups(parts, policies.size)


def replay_bytes(timeline: Timeline, lanes: int) -> int:
    """Return the bytes that a replay of `lanes` policies needs beside the timeline.

    Lanes follow one another in one state: 8 bytes a file page and 32 a slot at most, once; each
    lane adds its tallies, its series and its histogram of latency (held twice for a moment).
    """
    state = state_bytes(timeline.pages, timeline.slots)
    marks = timeline.mark_steps.size - 1
    # Costs are worked out in some ten numbers a mark.
    counts = (len(TALLIES) + 10) * marks + SERIES_POINTS + timeline.bins + REGISTERS
    # Where pages are written, of each sample that differs a number and how many: all, at most. One
    # lane's samples, and what sorting them takes, come once.
    samples = timeline.sample_bins.size if timeline.has_swap else 0
    return state + 64 * samples + lanes * (2 * 8 * counts + 2 * 8 * samples)


def compile_loop(loop: ReplayLoop) -> None:
    """Compile a loop over lanes, or load it from disk, by replaying no lane.

    Its arguments have the types of any other call; nothing else is compiled on the way to it.
    """
    word, pages, times = np.empty(0, np.int16), np.empty((0, 2), np.int32), np.empty(0, np.int64)
    for column in (word, pages, times):
        column.setflags(write=False)
    numbers = pages.reshape(0)
    steps = Steps(word, numbers, times, pages, numbers, times, warm_up_marks=0)
    entry_of(loop.eviction, Form(loop.form))(
        steps,
        1,
        np.empty((0, len(Options._fields)), dtype=np.int64),
        make_state(0, 0, False, None),
        Counted(*(np.empty((0,) * axes, dtype=np.int64) for axes in (3, 2, 2))),
    )


def not_compiled(loops: Iterable[ReplayLoop]) -> list[ReplayLoop]:
    """Return which loops over lanes have no machine code on disk."""
    names = {entry_name(*loop): loop for loop in loops}
    return [names[name] for name in not_on_disk(names)]
