"""Whole runs of tiny studies in this process, and what must hold of them whatever happened."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import small_study
from hazard import Counts

from core.files import writer
from sweep.engine.register import StartAfresh
from sweep.engine.shards import Shard
from sweep.engine.study_run import Where, run_to_database
from sweep.results import answer_query, spool_folder
from sweep.study.read import load_study

#: What is searched: by samplers that are asked ahead and by ones that are not.
SAMPLERS = ("random", "tpe", "nsga2", "grid")
N_TRIALS, ROWS = 6, 2000
#: What may be left beside a database: the locks of runs, and what was put aside.
_STAYS = (".lock", "aside")


class Told(small_study.Silent):
    """The progress of a run, which keeps the trials that it is told of."""

    def __init__(self) -> None:
        self.places: set[tuple[str, int]] = set()

    def finished(self, row: dict[str, Any]) -> None:
        self.places.add((row["role"], row["number"]))


@cache
def _trace_folder() -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="sweep-soak-")
    small_study.write_trace(Path(folder.name), ROWS)
    return folder


@cache
def study_file(sampler: str, n_trials: int = N_TRIALS) -> Path:
    """Return the file of a study, named for its sampler; it goes when this process ends."""
    path = small_study.write_study(Path(_trace_folder().name), sampler, n_trials, generation=3)
    named = path.with_name(f"{sampler}-{n_trials}.yaml")
    named.write_text(path.read_text().replace("study: small", f"study: {sampler}"))
    return named


def run(
    sampler: str,
    database: Path,
    told: Told | None = None,
    n_trials: int = N_TRIALS,
    shard: Shard | None = None,
) -> None:
    """Run a study to its end, or to the error that ends it."""
    study, source = load_study(study_file(sampler, n_trials))
    where = Where("threads", workers=2, shard=shard)
    told = told or Told()
    run_to_database(study, source, database, where, StartAfresh.NEVER, told, lambda line: None)


@cache
def undisturbed(sampler: str, n_trials: int = N_TRIALS) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a study that nothing happened to."""
    with TemporaryDirectory(prefix="sweep-soak-") as folder:
        database = Path(folder, "results.duckdb")
        run(sampler, database, n_trials=n_trials)
        return tables(database, sampler)


def tables(database: Path, study: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a study in each table, but for what varies."""
    rows_of = small_study.tables(database, (*small_study.VARYING, "attempts"))
    return {
        table: [row for row in rows if row["study"] == study] for table, rows in rows_of.items()
    }


def recorded(database: Path, study: str) -> list[tuple[str, int]]:
    """Return the places of a study's trials and baselines that a reader finds."""
    asked = f"SELECT role, number FROM trials WHERE study = '{study}'"
    return [(role, number) for role, number in answer_query(database, asked, 0.2).rows]


def check_ending(sampler: str, database: Path, told: Told, counts: Counts, seed: int) -> None:
    """Count what is lost after a run was stopped, and what differs once it is run to its end."""
    before = recorded(database, sampler) if told.places or database.exists() else []
    if lost := told.places - set(before):
        counts.fault(seed, f"lost {sorted(lost)}", "losses", len(lost))
    if twice := len(before) - len(set(before)):
        counts.fault(seed, f"{twice} trials are there twice", "doubles", twice)
    again = Told()
    run(sampler, database, again)
    if replayed := again.places & told.places:
        counts.fault(seed, f"replayed again {sorted(replayed)}", "losses", len(replayed))
    check_whole(sampler, database, counts, seed)


def check_whole(
    sampler: str, database: Path, counts: Counts, seed: int, n_trials: int = N_TRIALS
) -> None:
    """Count what differs of a study that was run to its end, and what is left beside it."""
    if tables(database, sampler) != undisturbed(sampler, n_trials):
        counts.fault(seed, f"other tables of {sampler} than those of an undisturbed run", "unequal")
    if left := leftovers(database):
        counts.fault(seed, f"left {left}", "leftovers", len(left))


def leftovers(database: Path) -> list[str]:
    """Return the names beside a database that nobody will remove.

    What this process was writing when it was killed as if it were another one is not of them.
    """
    stays = (*_STAYS, f".{writer()}.partial")
    return [name for name in os.listdir(spool_folder(database)) if not name.endswith(stays)]
