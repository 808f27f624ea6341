"""Recording: the rows that settled trials have in the tables of the database."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from core.system import SYSTEMS
from sweep.engine.inputs import Inputs
from sweep.engine.over_scenarios import Judged, mean_outcomes
from sweep.engine.rows import Evaluated, row_of, together
from sweep.engine.trials import Keys, Trial
from sweep.results import OUTCOME_COLUMNS, Row, RunStore
from sweep.results.arrow import arrow_column, schema_of
from sweep.study.model import Study


class Settled(NamedTuple):
    """Trials whose outcomes are known, or that failed.

    Parameters
    ----------
    trials
        They.
    evaluated
        What became of them; None if they failed.  # [trial x world], worlds fastest
    """

    trials: list[Trial]
    evaluated: Evaluated | None


def settle(trial: Trial, judged: Judged | None, error: str | None = None) -> None:
    """Give a trial what is known of it: what it is worth, or the error of one that failed."""
    reason = error
    if judged is not None:
        reason = judged.reason if trial.role == "trial" else None
    trial.row = {
        "role": trial.role,
        "number": trial.number,
        "state": "complete" if reason is None else "fail",
        "reason": reason,
        "feasible": judged.feasible if judged and reason is None else None,
        "attainable": not SYSTEMS[trial.candidates[0].policy.system].beyond,
        "objectives": judged.objectives if judged else None,
        "violations": judged.violations if judged else None,
        "attempts": trial.attempts + (1 if judged else 0),
    }


class Recorder:
    """Writes the rows of settled trials to a store, many at a time.

    Parameters
    ----------
    study, inputs, keys
        The study, its workloads, and its worlds.
    store
        Where rows go.
    """

    def __init__(self, study: Study, inputs: Inputs, keys: Keys, store: RunStore) -> None:
        self._study, self._inputs, self._keys, self._store = study, inputs, keys, store
        self._host = socket.gethostname()

    def record(self, settled: Sequence[Settled]) -> None:
        """Add the rows of settled trials to the store, in one table each."""
        failed = [trial for each in settled if each.evaluated is None for trial in each.trials]
        if failed:
            self._store.add_table("trials", self._trial_rows(failed, None))
        parts = [each for each in settled if each.evaluated is not None]
        if not parts:
            return
        trials = [trial for each in parts for trial in each.trials]
        evaluated = together([each.evaluated for each in parts if each.evaluated is not None])
        outcomes = mean_outcomes(evaluated.outcomes, len(self._keys.worlds))
        self._store.add_table("trials", self._trial_rows(trials, outcomes))
        self._store.add_table("outcomes", self._outcome_rows(trials, evaluated.outcomes))
        self._store.add_table("runs", self._run_rows(trials, evaluated.runs))

    def _trial_rows(self, trials: Sequence[Trial], outcomes: pa.Table | None) -> pa.Table:
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [self._trial_row(trial, now) for trial in trials]
        schema = schema_of("trials")
        return pa.table(
            [
                outcomes[field.name]
                if outcomes is not None and field.name in OUTCOME_COLUMNS
                else arrow_column(rows, field)
                for field in schema
            ],
            schema=schema,
        )

    def _trial_row(self, trial: Trial, now: datetime) -> Row:
        of_trial = trial.role == "trial"
        return {
            **(trial.row or {}),
            **row_of(trial.candidates[0].policy),
            "study": self._study.study,
            "subspace": trial.subspace if of_trial else None,
            "asked": json.dumps(trial.asked) if of_trial else None,
            "policy_key": trial.key,
            "core_digest": self._inputs.code_digest,
            "host": self._host,
            "finished_at": now,
        }

    def _outcome_rows(self, trials: Sequence[Trial], outcomes: pa.Table) -> pa.Table:
        worlds = [world.name for world in self._keys.worlds]
        columns = self._places(trials, len(worlds))
        columns["scenario"] = pa.array(worlds * len(trials))
        return _joined("outcomes", columns, outcomes)

    def _run_rows(self, trials: Sequence[Trial], runs: pa.Table) -> pa.Table:
        worlds, names = self._keys.worlds, self._inputs.names
        columns = self._places(trials, len(worlds) * len(names))
        columns["scenario"] = pa.array(
            [world.name for world in worlds for _ in names] * len(trials)
        )
        columns["workload"] = pa.array(names * len(worlds) * len(trials))
        columns["replicate"] = pa.array(
            self._inputs.replicates * len(worlds) * len(trials), pa.int64()
        )
        digests = [digest for of_world in self._keys.digests for digest in of_world]
        columns["events_digest"] = pa.array(digests * len(trials), pa.string())
        return _joined("runs", columns, runs)

    def _places(self, trials: Sequence[Trial], rows_each: int) -> dict[str, pa.Array]:
        count = len(trials) * rows_each
        return {
            "study": pa.array([self._study.study] * count),
            "role": pa.array([trial.role for trial in trials for _ in range(rows_each)]),
            "number": pa.array(np.repeat([trial.number for trial in trials], rows_each)),
        }


def _joined(table: str, places: dict[str, pa.Array], values: pa.Table) -> pa.Table:
    schema = schema_of(table)
    return pa.table(
        [places[name] if name in places else values[name] for name in schema.names], schema=schema
    )
