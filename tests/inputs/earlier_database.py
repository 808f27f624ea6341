"""Databases that earlier versions wrote: their tables as they were, and studies in them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from core.costs import Costs
from core.outcomes import UNITS
from core.policy import Policy
from sweep.results.schema import TABLES
from sweep.study.read import parse_study
from sweep.study.worlds import AS_GIVEN

#: The version of the model of each earlier form, by the file of the SQL that makes its tables.
FORMS: dict[str, int | None] = {"version_1": None, "before_scenarios": 2}
OLD_TABLES = ("studies", "trials", "runs", "attempts")
DATA = Path(__file__).parent / "data"
#: The most moments that a series tells of.
_POINTS = 64

Row = dict[str, Any]


def samples(dropped: int) -> Row:
    """Return reservations of one kind, as version 1 told them; later ones told `migrated` too."""
    return {"atomic": False, "blocks": 1, "dropped": dropped, "written": 0, "count": 2}


def rows(study_file: Path, trials: int = 6, form: str = "version_1") -> list[tuple[str, Row]]:
    """Return the rows that were written of a study, each with the name of its table."""
    text = study_file.read_text()
    study = parse_study(text, study_file)
    written: list[tuple[str, Row]] = [
        (
            "studies",
            {
                "study": study.study,
                "n_trials": trials,
                "yaml": text,
                "identity": json.dumps(study.identity(), sort_keys=True),
                "workloads": ["small.parquet"],
                "events_digests": ["of version 1"],
                "core_digest": "a simulator",
                "model_version": FORMS[form],
                "versions": "{}",
                "created_at": datetime(2026, 1, 2),
            },
        )
    ]
    places = [("trial", number) for number in range(trials)]
    places += [("baseline", number) for number, _ in enumerate(study.baselines)]
    for role, number in places:
        place = {"study": study.study, "role": role, "number": number}
        policy = vars(Policy(folio_order=number % 5, headroom=0.125 * (number % 4)))
        outcomes = {
            name: 0.5 + number / 100 if unit == "ratio" else 1000 + number
            for name, unit in UNITS.items()
        }
        trial = {"state": "complete", "feasible": True, "subspace": 0, "tag_block_size": 4096}
        trial |= {"policy_key": f"{role} {number}", "core_digest": "a simulator", "attempts": 1}
        run = {"workload": "small.parquet", "replicate": 0, "page_size": 4096}
        run |= {f"series_{name}_pages": [number] * _POINTS for name in ("reserved", "cached")}
        run |= {"series_time_ns": list(range(_POINTS)), "series_empty_pages": [0] * _POINTS}
        told = {} if form == "version_1" else {"migrated": 0}
        run |= {"reservation_samples": [samples(dropped) | told for dropped in (0, number + 1)]}
        words = {name: getattr(value, "value", value) for name, value in policy.items()}
        if role == "trial":  # what the world is was searched too
            words |= {name: 100 * number for name in study.searched if name.endswith("_ns")}
        written += [
            ("trials", place | vars(Costs()) | words | outcomes | trial),
            ("runs", place | outcomes | run),
        ]
    written.append(
        ("attempts", {"study": study.study, "role": "trial", "number": 0, "attempts": 1})
    )
    return written


def write(path: Path, study_file: Path, trials: int = 6, form: str = "version_1") -> None:
    """Write a database with a study; of what this version knows, it has what its form knew."""
    with duckdb.connect(str(path)) as connection:
        connection.execute((DATA / f"{form}.sql").read_text())
        for table, row in rows(study_file, trials, form):
            known = [name for name, *_ in connection.execute(f"DESCRIBE {table}").fetchall()]
            values = {name: value for name, value in row.items() if name in known}
            columns = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" for _ in values)
            connection.execute(
                f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(values.values())
            )


def content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table, read by DuckDB alone."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            table: connection.sql(f"FROM {table} ORDER BY ALL").to_arrow_table().to_pylist()
            for table in OLD_TABLES
        }


def in_this_form(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return earlier rows as they are in this version: new columns NULL, new fields 0.

    But what they were ranked by is told from their objectives, in the one scenario that there was.
    """
    goal = {"name": "time_saved_ns", "metric": "time_saved_ns", "direction": "maximize"}
    new = {
        "studies": {"goals": [goal | {"over": "worst", "scenario": None}]},
        "runs": {"scenario": AS_GIVEN},
    }
    formed: dict[str, list[dict[str, Any]]] = {}
    for table, of_table in rows.items():
        nothing = dict.fromkeys(TABLES[table].columns)
        if table == "attempts":
            of_table = [row | {"attempt": row.pop("attempts")} for row in map(dict, of_table)]
        formed[table] = [nothing | row | new.get(table, {}) for row in of_table]
        for row in formed[table]:
            for sample in row.get("reservation_samples") or ():
                sample["migrated"] = 0
            if table == "trials":
                row |= {"objectives": [float(row["time_saved_ns"])], "attainable": True}
    return formed


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows in the order of their studies and trials."""
    return sorted(rows, key=lambda row: (row["study"], row.get("role", ""), row.get("number", 0)))
