"""Rows: the border between what the simulator counts, as arrays, and what the database keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.costs import Costs, pack_costs
from core.distinct import deciding
from core.evaluator import Batch, Candidate, Evaluator
from core.outcomes import Columns, measure, saved_by_cost
from core.policy import DECISIONS, Policy, reads
from core.replayed import Outcomes, Replayed, samples_of, series_of
from core.times import PhaseTimes, parts_of, phases_of, times_of
from sweep.results import RUN_VALUES, SCENARIO_VALUES, Row
from sweep.results.arrow import schema_of
from sweep.study.model import Study
from sweep.study.workloads import WORKLOAD_FIELDS, common_values
from sweep.study.worlds import POLICY_WORLD, World, varied_by


class Evaluated(NamedTuple):
    """What became of the candidates of a batch, as columns.

    Parameters
    ----------
    outcomes
        `SCENARIO_VALUES` of each.  # [candidate]
    runs
        `RUN_VALUES` of each on each workload.  # [candidate x workload], workloads fastest
    """

    outcomes: pa.Table
    runs: pa.Table

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> Evaluated:
        """Return what became of some candidates, each as often as it is named."""
        if not len(self.outcomes):
            return self
        workloads = len(self.runs) // len(self.outcomes)
        chosen = np.asarray(places, dtype=np.int64)
        of_runs = chosen[:, None] * workloads + np.arange(workloads)
        return Evaluated(self.outcomes.take(chosen), self.runs.take(of_runs.reshape(-1)))


def together(parts: Sequence[Evaluated]) -> Evaluated:
    """Return what became of the candidates of several batches, in their order."""
    outcomes, runs = zip(*(parts or [_NOTHING]), strict=True)
    return Evaluated(pa.concat_tables(outcomes), pa.concat_tables(runs))


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
    policy = [_plain(value) for value in deciding(vars(candidate.policy))]
    return [policy, candidate.tag_block_size, vars(candidate.costs), candidate.workload]


def evaluate(evaluator: Evaluator, candidates: Sequence[Candidate]) -> Evaluated:
    """Return what became of each candidate, in their order."""
    places: list[int] = []
    parts: list[Evaluated] = []
    for batch in evaluator.evaluate(candidates):
        places += batch.places
        parts.append(_columns_of_batch(batch))
    order = np.argsort(places)
    all_parts = together(parts)
    in_order = bool((order == np.arange(order.size)).all())
    return all_parts if in_order else all_parts.take(order)


def _columns_of_batch(batch: Batch) -> Evaluated:
    outcomes = _scalars(measure(batch.runs, batch.costs)) | _by_cost(batch.runs)
    of_workloads = []
    for run in batch.runs:
        alone = outcomes if len(batch.runs) == 1 else _scalars(measure(run, batch.costs))
        by_cost = outcomes if len(batch.runs) == 1 else _by_cost([run])
        columns = _run_columns(run, batch.costs) | alone | by_cost
        of_workloads.append(_table(columns, _RUN_VALUES))
    lanes, workloads = len(batch.places), len(batch.runs)
    # From [workload][lane] to [lane][workload].
    order = np.arange(lanes * workloads).reshape(workloads, lanes).T.reshape(-1)
    return Evaluated(_table(outcomes, _SCENARIO_VALUES), pa.concat_tables(of_workloads).take(order))


def _table(columns: Mapping[str, pa.Array], schema: pa.Schema) -> pa.Table:
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _scalars(columns: Columns) -> dict[str, pa.Array]:
    """Return the columns of outcomes; what is masked is NULL."""
    return {
        name: pa.array(column.data, mask=np.ma.getmaskarray(column))
        for name, column in columns.items()
    }


def _by_cost(runs: Sequence[Outcomes]) -> dict[str, pa.Array]:
    """Return how often each cost is in what lanes save; costs that are not in it are left out."""
    columns = {}
    for saving, times in saved_by_cost(runs).items():
        often = np.stack(list(times.values()), axis=1)  # [lane, cost]
        lanes, costs = np.nonzero(often)
        name = f"{saving.removesuffix('_ns')}_by_cost"
        columns[name] = pa.MapArray.from_arrays(
            _offsets(np.bincount(lanes, minlength=len(often))),
            pa.array(list(times)).take(pa.array(costs)),
            pa.array(often[lanes, costs]),
        )
    return columns


def _offsets(lengths: NDArray[np.int64]) -> pa.Array:
    """Return where lists of these lengths begin and end in what they hold, one after the other."""
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())


def _run_columns(run: Outcomes, costs: Sequence[Costs]) -> dict[str, pa.Array]:
    """Return what `runs` has beside outcomes: latency tallies, series and phases."""
    lanes = [np.flatnonzero(run.group_of == number) for number in range(len(run.groups))]
    parts = [
        _group_columns(group.of(run.place_of[mine]), [costs[int(lane)] for lane in mine])
        for group, mine in zip(run.groups, lanes, strict=True)
        if mine.size
    ]
    if len(parts) == 1:
        return parts[0]
    order = pa.array(np.argsort(np.concatenate(lanes), kind="stable"))
    return {name: pa.concat_arrays([part[name] for part in parts]).take(order) for name in parts[0]}


def _group_columns(run: Replayed, costs: Sequence[Costs]) -> dict[str, pa.Array]:
    times = times_of(run, pack_costs(costs, run.lanes))
    lists = series_of(run) | {f"series_{name}": of for name, of in parts_of(run, times).items()}
    inferred = run.timeline.recorded.workingset_inferred_ratio
    of_table = {
        "page_size": run.machine.page_size,
        "requests": "recorded" if run.timeline.recorded.requests else "guessed",
        "workingset": "recorded" if inferred == 0 else "inferred",
        "workingset_inferred_ratio": None if isnan(inferred) else inferred,
        "mapped": "recorded" if run.timeline.recorded.mapped else "unknown",
    }
    return {
        **{
            name: pa.array([value] * run.lanes, _RUN_VALUES.field(name).type)
            for name, value in of_table.items()
        },
        **{name: _lists(pa.array(of.reshape(-1)), of.shape) for name, of in lists.items()},
        "reservation_samples": _samples(run),
        "phases": _phases(phases_of(run, times)),
    }


def _lists(values: pa.Array, shape: tuple[int, ...]) -> pa.Array:
    """Return lists of one length."""
    lanes, length = shape
    return pa.ListArray.from_arrays(_offsets(np.full(lanes, length)), values)


def _phases(phases: PhaseTimes) -> pa.Array:
    """Return what each lane waited for in the occurrences of phases, in order."""
    lanes = len(phases.wait_ns)
    occurrences = {
        "name": pa.array(phases.names * lanes, pa.string()),
        "wait_ns": pa.array(phases.wait_ns.reshape(-1)),
        "all_missed_wait_ns": pa.array(phases.all_missed_wait_ns.reshape(-1)),
    }
    return _structs("phases", occurrences, np.full(lanes, len(phases.names)))


def _samples(run: Replayed) -> pa.Array:
    """Return each lane's latency tallies: what samples had to do, and how many there were."""
    samples = samples_of(run)
    lanes, bins = np.nonzero(samples.counts)
    tallies = {
        "atomic": pa.array(samples.atomic[bins]),
        "blocks": pa.array(samples.blocks[bins]),
        "dropped": pa.array(samples.dropped[bins]),
        "written": pa.array(samples.written[bins]),
        "migrated": pa.array(samples.migrated[bins]),
        "count": pa.array(samples.counts[lanes, bins]),
    }
    return _structs("reservation_samples", tallies, np.bincount(lanes, minlength=run.lanes))


def _structs(column: str, fields: Mapping[str, pa.Array], lengths: NDArray[np.int64]) -> pa.Array:
    """Return a column of lists of structs."""
    of_type = _RUN_VALUES.field(column).type.value_type
    arrays = [fields[field.name].cast(field.type) for field in of_type]
    return pa.ListArray.from_arrays(
        _offsets(lengths), pa.StructArray.from_arrays(arrays, fields=list(of_type))
    )


_SCENARIO_VALUES = pa.schema([schema_of("outcomes").field(name) for name in SCENARIO_VALUES])
_RUN_VALUES = pa.schema([schema_of("runs").field(name) for name in RUN_VALUES])
_NOTHING = Evaluated(_SCENARIO_VALUES.empty_table(), _RUN_VALUES.empty_table())
