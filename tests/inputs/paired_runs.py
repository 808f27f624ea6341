"""A database whose runs have the times that a test gives them, with a study on two workloads.

A seed changes one of its workloads, `SEEDED`; the other one, `CAPTURE`, is a capture. Every run has
the same 64 parts, in each of which a carve-out waits and reads for `PART_NS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.costs import Costs
from core.outcomes import UNITS
from sweep.results import Store
from sweep.study.goals import goals_of
from sweep.study.read import parse_study

SEEDED, CAPTURE = "kasan", "capture.parquet"
PART_NS, PARTS = 1_000, 64
ALL_MISSED_NS = PART_NS * PARTS

TEXT = """\
study: {name}
workload: [{workloads}]
parameters: {{eviction: {{type: categorical, choices: [fifo, lru, sieve]}}}}
baselines:
  - {{preset: gcma}}
  - {{system: carveout}}
  - {{system: ideal}}
  - {{preset: gcma, drop: folio}}
{scenarios}
objectives: [{{metric: {objective}, direction: maximize}}]
sampler: {{name: random}}
n_trials: 3
replicates: {replicates}
"""

#: What tasks wait for in each part of a run, in ns, by scenario, workload and replicate.
Waits = Callable[[str, str, int], Sequence[int]]


class Made(NamedTuple):
    """A study to be written, and what its policies wait for, by role and number."""

    name: str
    waits: Mapping[tuple[str, int], Waits]
    replicates: int = 8
    workloads: Sequence[str] = (SEEDED, CAPTURE)
    scenarios: Mapping[str, int] = {"as given": 1_000}  # read_random_ns, by name
    objective: str = "wait_saved_ratio"
    simulator: str = "a simulator"
    events: str = "events"
    restored: int = 0  # more than the 100 pages that every run restores


def evenly(total_ns: int) -> list[int]:
    """Return a wait that is spread evenly over the parts."""
    return [total_ns // PARTS] * PARTS


def write(database: Path, made: Made) -> None:
    """Write a study with its trials, baselines and runs into a database."""
    kinds = {SEEDED: f"{{synthetic: {SEEDED}}}", CAPTURE: f"{{trace: {CAPTURE}}}"}
    listed = [f"{{name: {name}, read_random_ns: {ns}}}" for name, ns in made.scenarios.items()]
    several = len(made.scenarios) > 1
    text = TEXT.format(
        name=made.name.partition("~")[0],
        workloads=", ".join(kinds[name] for name in made.workloads),
        scenarios=f"scenarios: [{', '.join(listed)}]" if several else "",
        replicates=made.replicates,
        objective=made.objective,
    )
    study = parse_study(text, Path("made.yaml"))
    store = Store(database)
    row: dict[str, Any] = {"study": made.name, "yaml": text, "identity": "{}", "n_trials": 3}
    goals = [goal._asdict() for goal in goals_of(study)]
    row |= {"workloads": list(made.workloads), "core_digest": made.simulator, "model_version": 2}
    store.add("studies", row | {"goals": goals})
    for place, (scenario, random_ns) in enumerate(made.scenarios.items()):
        world = vars(Costs()) | {"read_random_ns": random_ns, "tag_block_size": 4096}
        key = {"study": made.name, "scenario": scenario, "place": place}
        store.add("scenarios", world | key)
    for (role, number), waits in made.waits.items():
        _add_policy(store, made, role, number, waits)
    store.flush()


def _add_policy(store: Store, made: Made, role: str, number: int, waits: Waits) -> None:
    place = {"study": made.name, "role": role, "number": number}
    runs = []
    for scenario in made.scenarios:
        for workload in made.workloads:
            for replicate in range(made.replicates if workload == SEEDED else 1):
                events = f"{made.events} of {workload} {replicate}"
                key = {"scenario": scenario, "workload": workload, "replicate": replicate}
                run = _run(np.array(waits(scenario, workload, replicate)), made.restored)
                runs.append(place | key | {"events_digest": events} | run)
    for run in runs:
        store.add("runs", run)
    saved = float(np.mean([run[made.objective] for run in runs]))
    systems = ("cleancache", "carveout", "ideal", "cleancache")
    policy = {"eviction": ("fifo", "lru", "sieve", "fifo")[number], "subspace": 0}
    policy["system"] = systems[number] if role == "baseline" else "cleancache"
    judged = {"state": "complete", "feasible": True, "objectives": [saved]}
    told = {"attainable": policy["system"] != "ideal", "core_digest": made.simulator}
    key = {"policy_key": f"{role} {number}", "asked": f'{{"eviction": {number}}}'}
    store.add("trials", place | policy | judged | told | key)


def _run(wait_ns: np.ndarray[Any, Any], restored: int) -> dict[str, Any]:
    """Return a run that waits so long in each part, and reads for half of that."""
    wait, read = int(wait_ns.sum()), int((wait_ns // 2).sum())
    outcomes: dict[str, Any] = dict.fromkeys(UNITS, 0)
    outcomes |= {
        "wait_ns": wait,
        "wait_saved_ns": ALL_MISSED_NS - wait,
        "wait_saved_ratio": (ALL_MISSED_NS - wait) / ALL_MISSED_NS,
        "read_ns": read,
        "time_saved_ns": ALL_MISSED_NS - read,
        "time_saved_ratio": (ALL_MISSED_NS - read) / ALL_MISSED_NS,
        "restored": 100 + restored,
        "reservation_p99_ns": None,
    }
    series = {
        "wait_ns": wait_ns.tolist(),
        "read_ns": (wait_ns // 2).tolist(),
        "cpu_ns": [0] * PARTS,
        "all_missed_wait_ns": [PART_NS] * PARTS,
        "all_missed_read_ns": [PART_NS] * PARTS,
    }
    return outcomes | {f"series_{name}": values for name, values in series.items()}
