"""Studies over scenarios as data, and each of their scenarios as a study of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import small_study

from core.costs import COST_FIELDS
from core.policy import POLICY_FIELDS
from core.workload.synthetic import PARAMETERS
from sweep.results import Store

Section = dict[str, Any]
Row = dict[str, Any]

#: A grid of four policies, two baselines and the ideal, on the trace that `write_trace` writes.
TRACED: Section = {
    "study": "worlds",
    "workload": [{"trace": "small.parquet"}],
    "policies": [
        {
            "policy": {"system": "cleancache"},
            "parameters": {
                "eviction": {"type": "categorical", "choices": ["lru", "random"]},
                "folio_order": {"type": "categorical", "choices": [0, 4]},
            },
        },
        {"policy": {"system": "ideal"}},
    ],
    "baselines": [{"system": "carveout"}, {"preset": "gcma"}],
    "objectives": [{"metric": "time_saved_ns", "direction": "maximize"}],
    "sampler": {"name": "grid"},
}
#: The same on accesses that a generator makes.
MADE: Section = TRACED | {
    "workload": [{"synthetic": "app_launch", "launches": 6, "seed": 3}],
    "machine": {"data_memory": "32MiB", "zram_size": "8MiB"},
}


def write(folder: Path, study: Section) -> Path:
    """Write a study into a folder; JSON is YAML."""
    path = folder / f"{study['study']}.yaml"
    path.write_text(json.dumps(study))
    return path


def run(folder: Path, study: Section, database: str, make: Any = None) -> Path:
    """Run a study to its end; return its database."""
    options = {} if make is None else {"make": make}
    small_study.run(write(folder, study), folder / database, **options)
    return folder / database


def in_one_world(study: Section, values: Section) -> Section:
    """Return the study without scenarios whose own sections say what one of them says."""
    alone = json.loads(json.dumps({name: study[name] for name in study if name != "scenarios"}))
    for name, value in values.items():
        if name == "costs":
            alone["costs"] = {"preset": value}
        elif name in COST_FIELDS:
            alone.setdefault("costs", {})[name] = value
        elif name in PARAMETERS:
            alone["workload"][0][name] = value
        elif name in POLICY_FIELDS:
            # What one policy says of the world is so for all: the baseline need not say it.
            alone["policies"][0]["policy"][name] = value
        else:
            alone.setdefault("machine", {})[name] = value
    return alone


def rows_of(database: Path, table: str, without: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of a table in the order of trials, scenarios and workloads."""
    order = "study, role, number"
    if table in ("outcomes", "runs"):
        scenarios = "JOIN scenarios USING (study, scenario)"
        sql = f"SELECT {table}.* FROM {table} {scenarios} ORDER BY {order}, place"
        sql += ", workload, replicate" if table == "runs" else ""
    else:
        sql = f"SELECT * FROM {table} ORDER BY {order}"
    dropped = {*small_study.VARYING, *without}
    return [
        {name: value for name, value in row.items() if name not in dropped}
        for row in Store(database).rows(sql)
    ]
