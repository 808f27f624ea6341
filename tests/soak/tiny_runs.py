"""Whole runs of tiny studies in this process, and what must hold of them whatever happened."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import small_study
from hazard import Counts

from core.errors import InputError
from sweep.engine.register import StartAfresh
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
def study_file(sampler: str, n_trials: int = N_TRIALS) -> Path:
    """Return the file of a study, which is written once."""
    folder = Path(tempfile.mkdtemp(prefix="sweep-soak-study-"))
    small_study.write_trace(folder, ROWS)
    return small_study.write_study(folder, sampler, n_trials, generation=3)


def run(sampler: str, database: Path, told: Told | None = None, n_trials: int = N_TRIALS) -> None:
    """Run a study to its end, or to the error that ends it."""
    study, source = load_study(study_file(sampler, n_trials))
    where = Where("threads", workers=2)
    told = told or Told()
    run_to_database(study, source, database, where, StartAfresh.NEVER, told, lambda line: None)


@cache
def undisturbed(sampler: str, n_trials: int = N_TRIALS) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a study that nothing happened to."""
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as folder:
        database = Path(folder, "results.duckdb")
        run(sampler, database, n_trials=n_trials)
        return tables(database)


def tables(database: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a database, but for what varies."""
    return small_study.tables(database, (*small_study.VARYING, "attempts"))


def recorded(database: Path) -> list[tuple[str, int]]:
    """Return the places of the trials and baselines that a reader finds."""
    return [(role, number) for role, number in answer_query(database, _PLACES_SQL, 0.2).rows]


_PLACES_SQL = "SELECT role, number FROM trials"


def check_ending(sampler: str, database: Path, told: Told, counts: Counts, seed: int) -> None:
    """Count what is lost after a run was stopped, and what differs once it is run to its end."""
    before = recorded(database) if told.places or database.exists() else []
    lost = told.places - set(before)
    counts.losses += len(lost)
    counts.doubles += len(before) - len(set(before))
    if lost:
        counts.failures.append(f"seed {seed}: lost {sorted(lost)}")
    again = Told()
    run(sampler, database, again)
    if again.places & told.places:
        counts.losses += len(again.places & told.places)
        counts.failures.append(f"seed {seed}: replayed again {again.places & told.places}")
    if tables(database) != undisturbed(sampler):
        counts.unequal += 1
        counts.failures.append(f"seed {seed}: other tables than those of an undisturbed run")
    left = [name for name in os.listdir(spool_folder(database)) if not name.endswith(_STAYS)]
    counts.leftovers += len(left)
    if left:
        counts.failures.append(f"seed {seed}: left {left}")


def one_line(error: InputError) -> bool:
    """Return whether an error is one line."""
    return len(str(error).splitlines()) == 1
