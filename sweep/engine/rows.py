"""Rows: the border between what the simulator counts, as arrays, and what the database keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import StrEnum
from math import isnan
from typing import Any, NamedTuple

import numpy as np

from core.costs import COST_FIELDS, Costs, pack_costs
from core.evaluator import Batch, Candidate, Evaluator
from core.outcomes import Columns, measure, saved_by_cost
from core.policy import DECISIONS, Policy, read_alone, reads
from core.replayed import Outcomes, Replayed, samples_of, series_of
from core.timeline.prepare import Recorded
from core.times import PhaseTimes, parts_of, phases_of, times_of
from sweep.results import Row
from sweep.study.model import Study
from sweep.study.workloads import WORKLOAD_FIELDS, common_values
from sweep.study.worlds import POLICY_WORLD, World, varied_by


class Evaluated(NamedTuple):
    """What became of a candidate: its row's outcomes, and one row a workload."""

    outcomes: Row
    runs: list[Row]


def row_of(policy: Policy) -> Row:
    """Return what a designer decides of a policy; what its system does not read is None."""
    read = {"system", *reads(policy.system)}
    return {name: _plain(getattr(policy, name)) if name in read else None for name in DECISIONS}


def row_of_world(study: Study, world: World) -> Row:
    """Return the columns of `scenarios` that say what a world is."""
    machine = study.machine.model_dump(mode="json")
    workloads = [workload.given_fields for workload in study.workload]
    values = common_values(workloads, machine, varied_by(study)) | {
        "data_memory": study.machine.data_memory,
        "page_size": study.machine.page_size,
    }
    defaults = {name: getattr(Policy, name) for name in POLICY_WORLD}
    named = dict.fromkeys(WORKLOAD_FIELDS) | values | dict(world.workload) | defaults | world.policy
    size = {"tag_block_size": world.tag_block_size, "warm_up": study.warm_up}
    return {name: _plain(value) for name, value in named.items()} | size | vars(world.costs)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value


def policy_key(
    candidates: Sequence[Candidate],
    worlds: Sequence[World],
    digests: Sequence[Sequence[str]],
    code_digest: str,
) -> str:
    """Return the digest of all that decides the outcomes of a trial: equal keys, equal outcomes.

    Parameters
    ----------
    candidates
        Its policy, in each world.  # [world]
    worlds
        The worlds.
    digests
        Of the events of each workload, or of the recipe that makes them.  # [world][workload]
    code_digest
        Of all that decides outcomes beside them.
    """
    content = [
        code_digest,
        [
            [world.name, list(of_world), _key_of(candidate)]
            for candidate, world, of_world in zip(candidates, worlds, digests, strict=True)
        ],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _key_of(candidate: Candidate) -> list[Any]:
    policy = [_plain(value) for value in read_alone(candidate.policy)]
    return [policy, candidate.tag_block_size, vars(candidate.costs), candidate.workload]


def evaluate(evaluator: Evaluator, candidates: Sequence[Candidate]) -> list[Evaluated]:
    """Return what became of each candidate, in their order."""
    evaluated: dict[int, Evaluated] = {}
    for batch in evaluator.evaluate(candidates):
        evaluated |= dict(zip(batch.places, _rows_of_batch(batch), strict=True))
    return [evaluated[place] for place in range(len(candidates))]


def _rows_of_batch(batch: Batch) -> list[Evaluated]:
    together = _rows(measure(batch.runs, batch.costs))
    alone = [together]
    if len(batch.runs) > 1:
        alone = [_rows(measure(run, batch.costs)) for run in batch.runs]
    more = [_run_rows(run, batch.costs) for run in batch.runs]
    by_cost = [_by_cost_rows(run) for run in batch.runs]
    return [
        Evaluated(
            together[lane] | _sum_by_cost([rows[lane] for rows in by_cost]),
            [
                rows[lane] | savings[lane] | others[lane]
                for rows, savings, others in zip(alone, by_cost, more, strict=True)
            ],
        )
        for lane in range(len(batch.places))
    ]


def _by_cost_rows(run: Outcomes) -> list[Row]:
    """Return how often each cost is in what lanes save; costs that are not in it are left out."""
    lists = {
        saving: {cost: times.tolist() for cost, times in by_cost.items()}
        for saving, by_cost in saved_by_cost([run]).items()
    }
    return [
        {
            f"{saving.removesuffix('_ns')}_by_cost": {
                cost: times[lane] for cost, times in by_cost.items() if times[lane]
            }
            for saving, by_cost in lists.items()
        }
        for lane in range(run.group_of.size)
    ]


def _sum_by_cost(rows: Sequence[Row]) -> Row:
    """Return how often each cost is in what a lane saves on all workloads together."""
    sums: Row = {}
    for column in rows[0]:
        times = {cost: sum(row[column].get(cost, 0) for row in rows) for cost in COST_FIELDS}
        sums[column] = {cost: often for cost, often in times.items() if often}
    return sums


def _rows(columns: Columns) -> list[Row]:
    """Return the lanes of columns as rows; what is masked is None."""
    lists = {name: column.tolist() for name, column in columns.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _run_rows(run: Outcomes, costs: Sequence[Costs]) -> list[Row]:
    """Return what a row of `runs` has beside outcomes: latency tallies, series and phases."""
    rows: list[Row] = [{} for _ in run.group_of]
    for number, group in enumerate(run.groups):
        lanes = np.flatnonzero(run.group_of == number)
        placed = group.of(run.place_of[lanes])
        times = times_of(placed, pack_costs([costs[int(lane)] for lane in lanes], lanes.size))
        lists = {
            **{name: values.tolist() for name, values in series_of(placed).items()},
            **{f"series_{name}": of.tolist() for name, of in parts_of(placed, times).items()},
            "reservation_samples": _sample_rows(placed),
            "phases": _phase_rows(phases_of(placed, times)),
        }
        of_table = {"page_size": group.machine.page_size} | _recorded(group.timeline.recorded)
        for place, lane in enumerate(lanes):
            rows[lane] = of_table | {name: values[place] for name, values in lists.items()}
    return rows


def _recorded(recorded: Recorded) -> Row:
    """Return what of a table was recorded, and what is guessed, as columns of `runs`."""
    inferred = recorded.workingset_inferred_ratio
    return {
        "requests": "recorded" if recorded.requests else "guessed",
        "workingset": "recorded" if inferred == 0 else "inferred",
        "workingset_inferred_ratio": None if isnan(inferred) else inferred,
        "mapped": "recorded" if recorded.mapped else "unknown",
    }


def _phase_rows(phases: PhaseTimes) -> list[list[Row]]:
    """Return what each lane waited for in the occurrences of phases, in order."""
    waits = zip(phases.wait_ns.tolist(), phases.all_missed_wait_ns.tolist(), strict=True)
    return [
        [
            {"name": name, "wait_ns": wait_ns, "all_missed_wait_ns": all_missed_ns}
            for name, wait_ns, all_missed_ns in zip(phases.names, *lane, strict=True)
        ]
        for lane in waits
    ]


def _sample_rows(run: Replayed) -> list[list[Row]]:
    """Return each lane's latency tallies: what samples had to do, and how many there were."""
    samples = samples_of(run)
    keys = [
        {
            "atomic": bool(atomic),
            "blocks": int(blocks),
            "dropped": int(dropped),
            "written": int(written),
            "migrated": int(migrated),
        }
        for atomic, blocks, dropped, written, migrated in zip(*samples[:5], strict=True)
    ]
    return [
        [keys[place] | {"count": int(counts[place])} for place in np.flatnonzero(counts)]
        for counts in samples.counts
    ]
