"""Studies whose outcomes are written down and not replayed, so that their verdict is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.policy import PRESETS, Policy
from core.system import SYSTEMS
from sweep.engine.over_scenarios import Judge, mean_outcomes
from sweep.engine.rows import row_of, row_of_world
from sweep.results import OUTCOME_COLUMNS, Store
from sweep.results.arrow import arrow_table
from sweep.study.goals import goals_of
from sweep.study.read import parse_study
from sweep.study.worlds import worlds_of
from sweep.verdict.facts import Finding
from sweep.verdict.verdict import verdict_of

#: What a carve-out waits and reads in each of the 64 parts of a run, and how many parts there are.
PART_NS, PARTS = 1_000_000, 64
ALL_NS = PART_NS * PARTS


class Given(NamedTuple):
    """What is written down of a policy.

    Parameters
    ----------
    asked
        The parameters of a trial; the fields of a baseline.
    wait
        The share of the wait that it saves, in each scenario; or one a replicate.
    time
        The share of the disk time; by default that of the wait.
    by_cost
        How often each cost is in what it saves.
    outcomes
        Other outcomes, in every scenario.
    subspace
        Of which of the study's policies it is.
    noise
        How far the parts of a run differ from each other, as a share.
    """

    asked: Mapping[str, Any]
    wait: Mapping[str, float | Sequence[float]]
    time: Mapping[str, float] | None = None
    by_cost: Mapping[str, int] | None = None
    outcomes: Mapping[str, Any] | None = None
    subspace: int = 0
    noise: float = 0.0


def store_study(
    path: Path, text: str, trials: Sequence[Given], baselines: Sequence[Given] = ()
) -> str:
    """Store a study with its trials and baselines as a run would; return its name."""
    study = parse_study(text, path)
    worlds = worlds_of(study)
    store = Store(path)
    place = {"study": study.study}
    workloads = [str(each.trace or each.accesses or each.synthetic) for each in study.workload]
    store.add(
        "studies",
        place
        | {
            "question": study.question,
            "n_trials": len(trials),
            "yaml": text,
            "identity": json.dumps(study.identity()),
            "workloads": workloads,
            "events_digests": workloads,
            "model_version": 2,
            "goals": [goal._asdict() for goal in goals_of(study)],
        },
    )
    for number, world in enumerate(worlds):
        named = {"scenario": world.name, "place": number}
        store.add("scenarios", place | named | row_of_world(study, world))
    for role, policies in (("trial", trials), ("baseline", baselines)):
        for number, given in enumerate(policies):
            _store_policy(store, study, worlds, workloads, role, number, given)
    store.flush()
    return str(study.study)


def _store_policy(
    store: Store,
    study: Any,
    worlds: Any,
    workloads: list[str],
    role: str,
    number: int,
    given: Given,
) -> None:
    fixed = study.subspaces[given.subspace].policy if role == "trial" else study.baselines[number]
    said = fixed.model_dump(exclude_unset=True)
    preset = said.pop("preset", None)
    base = vars(PRESETS[preset]) if preset else {}
    policy = Policy(**{**base, **said, **(given.asked if role == "trial" else {})})
    place = {"study": study.study, "role": role, "number": number}
    evaluated = []
    for world in worlds:
        waits = np.atleast_1d(np.asarray(given.wait[world.name], dtype=np.float64))
        times = waits if given.time is None else np.atleast_1d(given.time[world.name])
        runs = [
            _run(given, workload, replicate, wait, time, number)
            for workload in workloads
            for replicate, (wait, time) in enumerate(
                zip(waits, np.resize(times, waits.size), strict=True)
            )
        ]
        added = {
            name: sum(run[name] for run in runs)
            for name in ("wait_ns", "wait_saved_ns", "read_ns", "cpu_ns", "time_saved_ns")
        }
        missed = ALL_NS * len(runs)
        outcomes = (
            dict.fromkeys(OUTCOME_COLUMNS, 0) | {"skipped": 1} | dict(given.outcomes or {}) | added
        )
        outcomes["wait_saved_ratio"] = added["wait_saved_ns"] / missed
        outcomes["time_saved_ratio"] = added["time_saved_ns"] / missed
        by_cost = dict(given.by_cost or {})
        evaluated.append(outcomes)
        saved = {"time_saved_by_cost": by_cost, "wait_saved_by_cost": by_cost}
        store.add("outcomes", place | {"scenario": world.name} | outcomes | saved)
        for run in runs:
            store.add("runs", place | {"scenario": world.name} | outcomes | run)
    judged = Judge(study)(evaluated)
    (means,) = mean_outcomes(arrow_table("outcomes", evaluated), len(worlds)).to_pylist()
    store.add(
        "trials",
        place
        | row_of(policy)
        | means
        | {
            "state": "complete" if judged.reason is None or role == "baseline" else "fail",
            "reason": judged.reason,
            "subspace": given.subspace if role == "trial" else None,
            "feasible": judged.feasible,
            "attainable": not SYSTEMS[policy.system].beyond,
            "asked": json.dumps(dict(given.asked)) if role == "trial" else None,
            "objectives": judged.objectives,
            "violations": judged.violations,
            "policy_key": f"{role} {json.dumps(row_of(policy))}",
            "attempts": 1,
        },
    )


def _run(
    given: Given, workload: str, replicate: int, wait: float, time: float, number: int
) -> dict[str, Any]:
    """Return a run that saves a share of the wait and of the disk time, evenly but for noise."""
    random = np.random.Generator(np.random.PCG64(number * 1000 + replicate))
    wobble = given.noise * random.standard_normal(PARTS)
    wobble -= wobble.mean()
    waits = np.round(PART_NS * (1 - wait + wobble)).astype(np.int64)
    reads = np.round(PART_NS * (1 - time + wobble)).astype(np.int64)
    missed = [PART_NS] * PARTS
    return {
        "workload": workload,
        "replicate": replicate,
        "events_digest": f"{workload} {replicate}",
        "page_size": 4096,
        "wait_ns": int(waits.sum()),
        "wait_saved_ns": int(ALL_NS - waits.sum()),
        "wait_saved_ratio": float(1 - waits.sum() / ALL_NS),
        "read_ns": int(reads.sum()),
        "cpu_ns": 0,
        "time_saved_ns": int(ALL_NS - reads.sum()),
        "time_saved_ratio": float(1 - reads.sum() / ALL_NS),
        "series_wait_ns": waits.tolist(),
        "series_read_ns": reads.tolist(),
        "series_cpu_ns": [0] * PARTS,
        "series_all_missed_wait_ns": missed,
        "series_all_missed_read_ns": missed,
        "requests": "recorded",
        "workingset": "recorded",
        "mapped": "recorded",
    }


def findings_of(path: Path, text: str) -> dict[str, list[Finding]]:
    """Return the verdict on a stored study, by kind."""
    from sweep.results import open_for_reading

    study = parse_study(text, path)
    found: dict[str, list[Finding]] = {}
    with open_for_reading(path) as connection:
        for finding in verdict_of(connection, study, study.study):
            found.setdefault(finding.kind, []).append(finding)
    return found
