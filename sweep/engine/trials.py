"""Trials: each gets its row, looked up, replayed or failed, and the row is recorded."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from core.evaluator import Candidate
from sweep.engine.executor import Executor
from sweep.engine.inputs import Inputs
from sweep.engine.rows import Evaluated, policy_key, row_of
from sweep.engine.search import feasible, unusable
from sweep.results import OUTCOME_COLUMNS, RUN_VALUES, Row, Store
from sweep.study.model import Study

#: A trial is given up after so many failed tasks.
MAX_ATTEMPTS = 3
#: Rows wait so long before they are committed, in seconds; or, where a flush takes long since it
#: copies a large database, ten times as long as the last one took.
FLUSH_S = 1.0
FLUSH_SHARE = 0.1
#: Outcomes kept for trials alike, some 10 KB each; reading them back costs 200 ms a generation.
REMEMBERED = 4096
PLACE = "(study, role, number)"
#: Policies of a batch at most.
TASK_LANES = 256


@dataclass
class Trial:
    """A trial, or a baseline, on its way to its row.

    Parameters
    ----------
    role
        ``trial`` or ``baseline``.
    number
        Its number among those of its role.
    candidate
        What is replayed.
    key
        What it has in common with trials that would give the same outcomes.
    digests
        Of the events of each workload.
    attempts, error
        How often it was tried and failed, and the text of the last error.
    row
        Its row of `trials`, once it has one.
    subspace
        The place of its subspace in the study.
    """

    role: str
    number: int
    candidate: Candidate
    key: str
    digests: list[str]
    attempts: int = 0
    error: str = ""
    row: Row | None = None
    subspace: int = 0


class Trials:
    """The trials of one run: where their rows come from and where they go.

    Parameters
    ----------
    study, inputs
        The study and its workloads.
    store
        The database.
    executor
        Returns the executor, started; it is called when there is something to replay.
    finished
        What is called with each new row.
    """

    def __init__(
        self,
        study: Study,
        inputs: Inputs,
        store: Store,
        executor: Callable[[], Executor],
        finished: Callable[[Row], None],
    ) -> None:
        self._study, self._inputs, self._store = study, inputs, store
        self._executor, self._finished = executor, finished
        self._started: Executor | None = None
        self._next_flush = monotonic() + FLUSH_S
        self._evaluated: dict[str, Evaluated] = {}
        self._host = socket.gethostname()
        self.recorded = self._read_recorded()
        self._attempts = {
            (row["role"], row["number"]): row
            for row in store.rows("SELECT * FROM attempts WHERE study = ?", [study.study])
        }
        self._places: dict[str, tuple[str, str, int]] = {
            row["policy_key"]: (row["study"], row["role"], row["number"])
            for row in store.rows(
                "SELECT policy_key, study, role, number FROM trials "
                "WHERE state = 'complete' AND core_digest = ?",
                [inputs.code_digest],
            )
        }

    def _read_recorded(self) -> dict[tuple[str, int], Row]:
        rows = self._store.rows("SELECT * FROM trials WHERE study = ?", [self._study.study])
        return {(row["role"], row["number"]): row for row in rows}

    def make(self, role: str, number: int, candidate: Candidate, subspace: int = 0) -> Trial:
        """Return a trial that has no row yet."""
        digests = self._inputs.digests_of(dict(candidate.workload))
        key = policy_key(candidate, digests, self._inputs.code_digest)
        trial = Trial(role, number, candidate, key, digests, subspace=subspace)
        before = self._attempts.get((role, number))
        if before is not None:
            # An earlier run was stopped while this trial failed: go on counting.
            trial.attempts, trial.error = before["attempts"], before["error"]
        return trial

    def settle(self, trials: Sequence[Trial]) -> None:
        """Give each trial that has no row its row: looked up, replayed or failed."""
        waiting = [trial for trial in trials if trial.row is None]
        self._look_up(waiting)
        alike: dict[str, list[Trial]] = {}
        for trial in waiting:
            if trial.row is None:
                alike.setdefault(trial.key, []).append(trial)
        self._replay(alike)
        for trial in waiting:
            if trial.row is None:
                first = alike[trial.key][0]
                trial.attempts, trial.error = first.attempts, first.error
                self._add_row(trial, "fail", trial.error, None, {})
        if monotonic() > self._next_flush:
            self.flush()

    def flush(self) -> None:
        """Commit what is recorded so far."""
        start = monotonic()
        self._store.flush()
        end = monotonic()
        self._next_flush = end + max(FLUSH_S, (end - start) / FLUSH_SHARE)

    def close(self) -> None:
        """Commit, and stop the executor."""
        try:
            self.flush()
        finally:
            if self._started is not None:
                self._started.close()

    def _look_up(self, waiting: Iterable[Trial]) -> None:
        """Copy the rows of trials that had the same policy, events, costs and simulator."""
        hits = [trial for trial in waiting if trial.key in self._places]
        unread = {trial.key: trial.digests for trial in hits if trial.key not in self._evaluated}
        if unread:
            self.flush()
            self._evaluated |= self._read_evaluated(unread)
        for trial in hits:
            evaluated = self._evaluated.get(trial.key)
            if evaluated is not None:
                self._record(trial, evaluated)
        while len(self._evaluated) > REMEMBERED:
            del self._evaluated[next(iter(self._evaluated))]

    def _read_evaluated(self, unread: dict[str, list[str]]) -> dict[str, Evaluated]:
        """Return what became of the first trial of each key, from the database."""
        keys = sorted(unread)
        firsts = (
            "WITH firsts AS (SELECT DISTINCT ON (policy_key) study, role, number FROM trials "
            "WHERE state = 'complete' AND list_contains($1, policy_key) "
            "ORDER BY policy_key, study, role, number) "
        )
        trials = self._store.rows(
            f"{firsts} SELECT * FROM trials SEMI JOIN firsts USING {PLACE}", [keys]
        )
        runs = self._store.rows(
            f"{firsts} SELECT * FROM runs SEMI JOIN firsts USING {PLACE}", [keys]
        )
        of_trial: dict[tuple[Any, ...], dict[str, Row]] = {}
        for run in runs:
            place = (run["study"], run["role"], run["number"])
            of_trial.setdefault(place, {})[run["events_digest"]] = run
        evaluated = {}
        for row in trials:
            mine = of_trial[row["study"], row["role"], row["number"]]
            evaluated[row["policy_key"]] = Evaluated(
                {name: row[name] for name in OUTCOME_COLUMNS},
                [
                    {name: mine[digest][name] for name in RUN_VALUES}
                    for digest in unread[row["policy_key"]]
                ],
            )
        return evaluated

    def _replay(self, alike: dict[str, list[Trial]]) -> None:
        """Replay one trial of each key; a batch that failed is tried again, trial by trial."""
        tried = [trials[0] for trials in alike.values() if trials[0].attempts < MAX_ATTEMPTS]
        if not tried:
            return
        if self._started is None:
            self._started = self._executor()
        fresh = [trial for trial in tried if trial.attempts == 0]
        lanes = min(TASK_LANES, -(-len(fresh) // self._started.workers)) or 1
        batches = [fresh[i : i + lanes] for i in range(0, len(fresh), lanes)]
        batches += [[trial] for trial in tried if trial.attempts > 0]
        while batches:
            candidates = [[trial.candidate for trial in batch] for batch in batches]
            for place, result in self._started.run(candidates):
                if isinstance(result, str):
                    self._note_failure(batches[place], result)
                else:
                    for trial, evaluated in zip(batches[place], result, strict=True):
                        self._evaluated[trial.key] = evaluated
                        for twin in alike[trial.key]:
                            self._record(twin, evaluated)
                if monotonic() > self._next_flush:
                    self.flush()
            unfinished = (trial for trial in tried if trial.row is None)
            batches = [[trial] for trial in unfinished if trial.attempts < MAX_ATTEMPTS]

    def _note_failure(self, batch: Sequence[Trial], error: str) -> None:
        for trial in batch:
            trial.attempts += 1
            trial.error = error
            place = {"study": self._study.study, "role": trial.role, "number": trial.number}
            self._store.add("attempts", place | {"attempts": trial.attempts, "error": error})
        self.flush()

    def _record(self, trial: Trial, evaluated: Evaluated) -> None:
        outcomes = evaluated.outcomes
        reason = unusable(self._study, outcomes) if trial.role == "trial" else None
        state = "complete" if reason is None else "fail"
        keeps = feasible(self._study, outcomes) if reason is None else None
        self._add_row(trial, state, reason, keeps, outcomes)
        for name, replicate, digest, run in zip(
            *(self._inputs.names, self._inputs.replicates, trial.digests, evaluated.runs),
            strict=True,
        ):
            place = {"study": self._study.study, "role": trial.role, "number": trial.number}
            place |= {"workload": name, "replicate": replicate, "events_digest": digest}
            self._store.add("runs", place | run)
        if state == "complete":
            self._places[trial.key] = (self._study.study, trial.role, trial.number)

    def _add_row(
        self, trial: Trial, state: str, reason: str | None, keeps: bool | None, outcomes: Row
    ) -> None:
        trial.row = {
            "study": self._study.study,
            "role": trial.role,
            "number": trial.number,
            "state": state,
            "reason": reason,
            "subspace": trial.subspace if trial.role == "trial" else None,
            "feasible": keeps,
            **row_of(trial.candidate),
            **{name: outcomes.get(name) for name in OUTCOME_COLUMNS},
            "policy_key": trial.key,
            "core_digest": self._inputs.code_digest,
            "attempts": trial.attempts + (1 if outcomes else 0),
            "host": self._host,
            "finished_at": datetime.now(UTC).replace(tzinfo=None),
        }
        self._store.add("trials", trial.row)
        self._finished(trial.row)
