"""Batches: the border between trials (rows of named values) and lanes (arrays).

A `Candidate` is what one trial asks for; `evaluate` replays many on every workload of the study
and returns their rows. It is the same function in this process and in an actor of the cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from core.backend import ideal_restored, outcomes_of, replay_bytes, replay_timeline
from core.costs import COST_FIELDS, Costs, pack_costs
from core.events import Events
from core.frontend.run import Fronted
from core.jit import CORE_DIGEST
from core.machine import Machine
from core.outcomes import SERIES, Columns, Outcomes, measure, samples_of, series_of
from core.policy import POLICY_FIELDS, PRESETS, WORDS, Policies, Policy, System, pack
from core.system.migrate_cma import Larger, compare, count_migrate_cma, tag_memory_of
from core.timeline.prepare import Timeline
from core.timeline.view import View, prepare_view, view_of
from core.workload.recipe import Recipe
from sweep.study.model import Baseline, Study
from sweep.study.values import size_in_bytes
from sweep.study.workloads import WORKLOAD_FIELDS, common_values

Row = dict[str, Any]

#: Memory that the replays of one batch may take beside the timelines.
BATCH_BYTES = 512 * 2**20


#: Timelines kept, of 14 bytes an event each: a study may search what they depend on.
TIMELINE_BYTES = 512 * 2**20

#: Runs of a larger memory kept; the tables they came from are on disk.
LARGER_KEPT = 32

#: (name, value) of workload parameters and settings.
Values = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Candidate:
    """A policy with what it is tried under: tag block size, costs, and workload parameters.

    `workload` has the (name, value) of what all workloads that are made agree on.
    """

    policy: Policy
    tag_block_size: int
    costs: Costs
    workload: tuple[tuple[str, Any], ...] = ()

    @property
    def row(self) -> Row:
        """The candidate's columns of `trials`."""
        policy = {name: getattr(self.policy, name) for name in POLICY_FIELDS}
        policy |= {name: policy[name].value for name in WORDS}
        workload = dict.fromkeys(WORKLOAD_FIELDS) | dict(self.workload)
        return policy | {"tag_block_size": self.tag_block_size} | vars(self.costs) | workload


class Workloads(NamedTuple):
    """The event tables of a study, or their recipes, and the machine each is replayed on."""

    sources: tuple[Events | Recipe, ...]
    page_sizes: tuple[int, ...]
    data_pages: tuple[int, ...]


class Ground(NamedTuple):
    """What candidates share that are replayed together: one timeline of each workload."""

    tag_block_size: int
    workload: Values
    views: tuple[View, ...]  # [workload]


def plain(ground: Ground) -> Ground:
    """Return the ground of candidates that see event tables as they are."""
    return ground._replace(views=tuple(View() for _ in ground.views))


class Evaluated(NamedTuple):
    """What became of a candidate: its row's outcomes, and one row a workload."""

    outcomes: Row
    runs: list[Row]


def candidate(study: Study, parameters: Row) -> Candidate:
    """Return the candidate of a trial's parameters."""
    fixed = study.policy.model_dump(exclude_unset=True, exclude={"preset"})
    base = vars(PRESETS[study.policy.preset]) if study.policy.preset else {}
    searched = {name: value for name, value in parameters.items() if name in POLICY_FIELDS}
    costs = {name: value for name, value in parameters.items() if name in COST_FIELDS}
    size = parameters.get("tag_block_size", study.machine.tag_block_size or 4096)
    size = size if isinstance(size, int) else size_in_bytes(size)
    workload = {name: parameters[name] for name in parameters if name in WORKLOAD_FIELDS}
    return Candidate(
        Policy(**(base | fixed | searched)), size, study.cost_table(costs), _common(study, workload)
    )


def baseline(study: Study, policy: Baseline) -> Candidate:
    """Return the candidate of a baseline: its own fields alone, not the study's `policy`."""
    fixed = policy.model_dump(exclude_unset=True, exclude={"preset", "tag_block_size"})
    base = vars(PRESETS[policy.preset]) if policy.preset else {}
    size = policy.tag_block_size or study.machine.tag_block_size or 4096
    return Candidate(Policy(**(base | fixed)), size, study.cost_table(), _common(study, {}))


def _common(study: Study, searched: Row) -> tuple[tuple[str, Any], ...]:
    machine = study.machine.model_dump(mode="json")
    values = common_values([workload.given_fields for workload in study.workload], machine)
    return tuple((values | searched).items())


def policy_key(tried: Candidate, events_digests: Sequence[str]) -> str:
    """Return what makes two trials the same: policy, events, machine, costs and simulator."""
    content = [CORE_DIGEST, list(events_digests), tried.row]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


class Evaluator:
    """Replays candidates on a study's workloads; timelines are kept by tag block size."""

    def __init__(self, workloads: Workloads) -> None:
        self.workloads = workloads
        self._timelines: dict[tuple[int, int, Values, View], Timeline] = {}
        self._larger: dict[tuple[int, int, Values, View], tuple[Timeline, Larger, Fronted]] = {}

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluated]:
        """Return what became of each candidate, in their order."""
        found: list[Evaluated | None] = [None] * len(candidates)
        under = [self._ground(tried) for tried in candidates]
        for ground in dict.fromkeys(under):
            places = [i for i, other in enumerate(under) if other == ground]
            for part in _parts(places, self._lanes_at_once(ground)):
                evaluated = self._evaluate(ground, [candidates[i] for i in part])
                for place, result in zip(part, evaluated, strict=True):
                    found[place] = result
        return [result for result in found if result is not None]

    def _ground(self, tried: Candidate) -> Ground:
        machines = range(len(self.workloads.sources))
        views = [view_of(tried.policy, self._machine(i, tried.tag_block_size)) for i in machines]
        return Ground(tried.tag_block_size, tried.workload, tuple(views))

    def _machine(self, workload: int, size: int) -> Machine:
        page_size = self.workloads.page_sizes[workload]
        return Machine(page_size, self.workloads.data_pages[workload], size)

    def _timeline(self, workload: int, ground: Ground) -> Timeline:
        size, values, view = ground.tag_block_size, ground.workload, ground.views[workload]
        key = (workload, size, values, view)
        if key not in self._timelines:
            source = self.workloads.sources[workload]
            if isinstance(source, Recipe):
                made = source.changed(dict(values))
                events = replace(made, every_frame=view.wants_every_frame).events()
            else:
                events = source
            kept = self._timelines
            while kept and sum(map(_bytes, kept.values())) > TIMELINE_BYTES:
                del kept[next(iter(kept))]
            kept[key] = prepare_view(events, self._machine(workload, size), view)
        return self._timelines[key]

    def _lanes_at_once(self, ground: Ground) -> int:
        if ground.views[0].tag_memory is not None:
            return 1
        most = 1
        for workload in range(len(self.workloads.sources)):
            timeline = self._timeline(workload, ground)
            most = max(most, replay_bytes(timeline, 1) - replay_bytes(timeline, 0))
        return max(1, BATCH_BYTES // most)

    def _replay(self, workload: int, ground: Ground, policies: Policies) -> Outcomes:
        machine = self._machine(workload, ground.tag_block_size)
        view = ground.views[workload]
        whose = Policy(system=System.IDEAL, guests=view.guests, guest_ratio=view.guest_ratio)
        ideal = View(tag_memory=tag_memory_of(whose, machine))
        made = isinstance(self.workloads.sources[workload], Recipe)
        bound = self._larger_memory(workload, ground, ideal)[1] if made else None
        if view.tag_memory is None and view.region is None:
            return replay_timeline(self._timeline(workload, ground), machine, policies, bound)
        # A region, and memory, are held against the ideal of the tag storage.
        beside = view_of(whose, machine)
        timeline = self._timeline(workload, ground._replace(views=(beside,) * len(ground.views)))
        restored = ideal_restored(timeline, bound)
        if view.tag_memory is None:
            timeline = self._timeline(workload, ground)
            return replay_timeline(timeline, machine, policies, ideal=restored)
        timeline, larger, fronted = self._larger_memory(workload, ground, view)
        counted = count_migrate_cma(timeline, larger, fronted, policies)
        return outcomes_of(timeline, machine, policies, counted, restored)

    def _larger_memory(
        self, workload: int, ground: Ground, view: View
    ) -> tuple[Timeline, Larger, Fronted]:
        """Return how a workload runs where tag storage is memory."""
        key = (workload, ground.tag_block_size, ground.workload, view)
        if key not in self._larger:
            source = self.workloads.sources[workload]
            assert isinstance(source, Recipe), "mm events do not say what more memory would do"
            made = replace(source.changed(dict(ground.workload)), tag_memory=view.tag_memory)
            fronted = made.fronted()
            base = self._timeline(workload, plain(ground))
            machine = self._machine(workload, ground.tag_block_size)
            while len(self._larger) >= LARGER_KEPT:
                del self._larger[next(iter(self._larger))]
            self._larger[key] = (*compare(base, fronted, machine), fronted)
        return self._larger[key]

    def _evaluate(self, ground: Ground, candidates: Sequence[Candidate]) -> list[Evaluated]:
        policies = pack([tried.policy for tried in candidates])
        costs = pack_costs([tried.costs for tried in candidates])
        outcomes = [
            self._replay(workload, ground, policies)
            for workload in range(len(self.workloads.sources))
        ]
        together = _rows(measure(outcomes, costs))
        if len(outcomes) > 1:
            alone = [_rows(measure([run], costs)) for run in outcomes]
        else:
            alone = [together]
        more = [_run_rows(run) for run in outcomes]
        return [
            Evaluated(
                together[lane],
                [alone[i][lane] | more[i][lane] for i in range(len(outcomes))],
            )
            for lane in range(len(candidates))
        ]


def _bytes(timeline: Timeline) -> int:
    return sum(column.nbytes for column in timeline if isinstance(column, np.ndarray))


def _rows(columns: Columns) -> list[Row]:
    """Return the lanes of columns as rows; what is masked is None."""
    lists = {name: column.tolist() for name, column in columns.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _sample_rows(outcomes: Outcomes) -> list[list[Row]]:
    """Return each lane's latency tallies as (atomic, blocks, dropped, written, count) rows."""
    samples = samples_of(outcomes)
    keys = [
        {
            "atomic": bool(atomic),
            "blocks": int(blocks),
            "dropped": int(dropped),
            "written": int(written),
        }
        for atomic, blocks, dropped, written in zip(
            samples.atomic, samples.blocks, samples.dropped, samples.written, strict=True
        )
    ]
    return [
        [keys[i] | {"count": int(counts[i])} for i in np.flatnonzero(counts)]
        for counts in samples.counts
    ]


def _run_rows(outcomes: Outcomes) -> list[Row]:
    """Return what a row of `runs` has beside outcomes: latency tallies, and the series."""
    series = {name: values.tolist() for name, values in series_of(outcomes).items()}
    return [
        {"page_size": outcomes.machine.page_size, "reservation_samples": samples}
        | {name: series[name][lane] for name in SERIES}
        for lane, samples in enumerate(_sample_rows(outcomes))
    ]


def _parts(places: Sequence[int], most: int) -> Iterable[Sequence[int]]:
    for start in range(0, len(places), most):
        yield places[start : start + most]
