"""The evaluator: how a candidate is replayed on workloads.

It knows which timeline each policy sees, which ideal its outcomes are quoted against, and that a
system which is memory runs a front end of its own. Threads share one: what a batch needs is made by
the first that asks for it, while the others work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from core.backend import replay_bytes, replay_timeline, view_of
from core.costs import Costs
from core.events import Events
from core.frontend.run import Fronted
from core.kept import Kept
from core.machine import Machine
from core.policy import Policies, Policy, as_read, pack, read_alone
from core.replayed import Outcomes, Replayed, outcomes_of_groups
from core.system import SYSTEMS
from core.system.ideal import ideal_beside, restored_by_ideal
from core.system.larger_memory import own_timeline
from core.timeline.prepare import Timeline
from core.timeline.view import View, prepare_view
from core.workload.recipe import Recipe

#: Memory that the replays of all batches at one time may take beside the timelines.
BATCH_BYTES = 512 * 2**20

#: Timelines kept, of 14 bytes an event each: a study may search what they depend on.
TIMELINE_BYTES = 512 * 2**20

#: Runs of a larger memory kept; the tables they came from are on disk.
LARGER_KEPT = 32

#: Bounds kept: a number each.
IDEALS_KEPT = 65_536

#: (name, value) of workload parameters and settings.
Values = tuple[tuple[str, Any], ...]
#: What a timeline is made of: a workload, a tag block size, values and a view.
_Key = tuple[int, int, Values, View]


@dataclass(frozen=True)
class Candidate:
    """A policy with what it is tried under.

    Parameters
    ----------
    policy
        The policy.
    tag_block_size
        Bytes of the machine's tag blocks.
    costs
        What outcomes are worked out under.
    workload
        (name, value) of what workloads that are made have otherwise than their recipes say.
    """

    policy: Policy
    tag_block_size: int
    costs: Costs
    workload: Values = ()


class Workloads(NamedTuple):
    """The event tables of a study, or their recipes, and the machine each is replayed on.

    The first `warm_up_parts` of the 64 equal parts of a workload's time count in no outcome.
    """

    sources: tuple[Events | Recipe, ...]
    page_sizes: tuple[int, ...]
    data_pages: tuple[int, ...]
    warm_up_parts: int = 0


class Ground(NamedTuple):
    """What candidates share that are replayed together: one timeline of each workload."""

    tag_block_size: int
    workload: Values
    views: tuple[View, ...]  # [workload]


class Batch(NamedTuple):
    """Candidates that were replayed together."""

    places: list[int]  # [lane] of the candidates that were handed in
    costs: list[Costs]  # [lane]
    runs: list[Outcomes]  # [workload]


class Evaluator:
    """Replays candidates on workloads; timelines are kept by tag block size and view.

    Parameters
    ----------
    workloads
        What is replayed.
    threads
        How many threads share the evaluator.
    """

    def __init__(self, workloads: Workloads, threads: int = 1) -> None:
        self.workloads = workloads
        self._batch_bytes = BATCH_BYTES // threads
        self._machines: dict[tuple[int, int, Values], Machine] = {}
        self._timelines = Kept[_Key, Timeline](TIMELINE_BYTES, _bytes)
        self._restored_by_ideal = Kept[_Key, int](IDEALS_KEPT)
        self._larger = Kept[_Key, tuple[Timeline, Fronted]](LARGER_KEPT)

    def evaluate(self, candidates: Sequence[Candidate]) -> Iterator[Batch]:
        """Yield batches of candidates with their outcomes on every workload.

        Candidates that differ in costs alone, or in what their systems do not read, are one lane.
        """
        grounds = [self._ground(candidate) for candidate in candidates]
        lanes: dict[Ground, dict[tuple[Any, ...], list[int]]] = {}
        for place, (candidate, ground) in enumerate(zip(candidates, grounds, strict=True)):
            alike = lanes.setdefault(ground, {})
            alike.setdefault(read_alone(candidate.policy), []).append(place)
        for ground, alike in lanes.items():
            groups, most = list(alike.values()), self._lanes_at_once(ground)
            for start in range(0, len(groups), most):
                part = groups[start : start + most]
                policies = pack([candidates[places[0]].policy for places in part])
                runs = [
                    self._replay(workload, ground, policies)
                    for workload in range(len(self.workloads.sources))
                ]
                asked = [(place, lane) for lane, places in enumerate(part) for place in places]
                for first in range(0, len(asked), most):
                    here, of_lanes = zip(*asked[first : first + most], strict=True)
                    costs = [candidates[place].costs for place in here]
                    yield Batch(list(here), costs, [run.of(list(of_lanes)) for run in runs])

    def timeline_bytes(self) -> int:
        """Return the bytes of the timelines that are kept."""
        larger = [timeline for timeline, _ in self._larger.values()]
        return sum(map(_bytes, [*self._timelines.values(), *larger]))

    def batch_bytes(self, candidate: Candidate, policies: int) -> int:
        """Return the bytes that a batch of policies such as a candidate's takes beside them."""
        ground = self._ground(candidate)
        lanes = min(policies, self._lanes_at_once(ground))
        # A larger memory is counted beside the plain timeline.
        views = [view if view.tag_memory is None else View() for view in ground.views]
        timelines = [self._timeline(i, ground, view) for i, view in enumerate(views)]
        return sum(replay_bytes(timeline, lanes) for timeline in timelines)

    def _ground(self, candidate: Candidate) -> Ground:
        size = candidate.tag_block_size
        sources = range(len(self.workloads.sources))
        machines = [self._machine(number, size, candidate.workload) for number in sources]
        views = [view_of(candidate.policy, machine) for machine in machines]
        return Ground(size, candidate.workload, tuple(views))

    def _machine(self, workload: int, tag_block_size: int, values: Values) -> Machine:
        key = (workload, tag_block_size, values)
        if key not in self._machines:
            source = self.workloads.sources[workload]
            page_size = self.workloads.page_sizes[workload]
            data_pages = self.workloads.data_pages[workload]
            if isinstance(source, Recipe):
                recipe = source.changed(dict(values))
                page_size, data_pages = recipe.page_size, recipe.data_pages
            self._machines[key] = Machine(page_size, data_pages, tag_block_size)
        return self._machines[key]

    def _timeline(self, workload: int, ground: Ground, view: View) -> Timeline:
        key = (workload, ground.tag_block_size, ground.workload, view)
        return self._timelines.get(key, lambda: self._prepare(workload, ground, view))

    def _prepare(self, workload: int, ground: Ground, view: View) -> Timeline:
        source = self.workloads.sources[workload]
        if isinstance(source, Recipe):
            recipe = source.changed(dict(ground.workload))
            events = replace(recipe, every_frame=view.wants_every_frame).events()
        else:
            events = source
        machine = self._machine(workload, ground.tag_block_size, ground.workload)
        return prepare_view(events, machine, view, self.workloads.warm_up_parts)

    def _ideal(self, workload: int, ground: Ground, view: View) -> int:
        """Return the pages that the ideal restores of a view: the same for every batch of it.

        Kept, since it takes as long as five of the lanes of the quickstart.
        """
        key = (workload, ground.tag_block_size, ground.workload, view)
        return self._restored_by_ideal.get(
            key, lambda: restored_by_ideal(self._timeline(workload, ground, view))
        )

    def _lanes_at_once(self, ground: Ground) -> int:
        if ground.views[0].tag_memory is not None:
            return 1
        most = 1
        for workload, view in enumerate(ground.views):
            timeline = self._timeline(workload, ground, view)
            most = max(most, replay_bytes(timeline, 1) - replay_bytes(timeline, 0))
        return max(1, self._batch_bytes // most)

    def _replay(self, workload: int, ground: Ground, policies: Policies) -> Outcomes:
        machine = self._machine(workload, ground.tag_block_size, ground.workload)
        view = ground.views[workload]
        beside = view
        if view.tag_memory is not None or view.region is not None:
            # A region, and memory, are held against the ideal of the tag storage.
            beside = view_of(ideal_beside(view), machine)
        restored = self._ideal(workload, ground, beside)
        if view.tag_memory is None:
            timeline = self._timeline(workload, ground, view)
            return replay_timeline(timeline, machine, policies, ideal=restored)
        return self._count(workload, ground, policies, restored)

    def _count(
        self, workload: int, ground: Ground, policies: Policies, ideal_restored: int
    ) -> Outcomes:
        """Return the outcomes of policies of one system that has a front end of its own."""
        machine = self._machine(workload, ground.tag_block_size, ground.workload)
        base = self._timeline(workload, ground, View())
        own, fronted = self._larger_memory(workload, ground, ground.views[workload])
        (word,) = set(policies["system"])
        lanes = as_read(policies, word)
        count = SYSTEMS[word].count
        assert count is not None, f"{word} has a view of tag storage as memory, and counts none"
        seen, counted = count(own, base, fronted, lanes)
        run = Replayed(word, lanes, counted, ideal_restored, seen, machine)
        return outcomes_of_groups([(np.arange(policies.size), run)], policies.size)

    def _larger_memory(self, workload: int, ground: Ground, view: View) -> tuple[Timeline, Fronted]:
        """Return how a workload runs where tag storage is memory."""
        key = (workload, ground.tag_block_size, ground.workload, view)
        return self._larger.get(key, lambda: self._run_larger(workload, ground, view))

    def _run_larger(self, workload: int, ground: Ground, view: View) -> tuple[Timeline, Fronted]:
        source = self.workloads.sources[workload]
        assert isinstance(source, Recipe), "mm events do not say what more memory would do"
        recipe = replace(source.changed(dict(ground.workload)), tag_memory=view.tag_memory)
        fronted = recipe.fronted()
        base = self._timeline(workload, ground, View())
        machine = self._machine(workload, ground.tag_block_size, ground.workload)
        return own_timeline(fronted, machine, base), fronted


def _bytes(timeline: Timeline) -> int:
    return sum(column.nbytes for column in timeline if isinstance(column, np.ndarray))
