"""Trials: each gets its row, looked up, replayed or failed, and the row is recorded."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from core.evaluator import Candidate
from core.system import SYSTEMS
from sweep.engine.executor import Executor
from sweep.engine.inputs import Inputs
from sweep.engine.over_scenarios import Judged, judge
from sweep.engine.rows import Evaluated, policy_key, row_of
from sweep.results import OUTCOME_COLUMNS, RUN_VALUES, SCENARIO_VALUES, Row, Store
from sweep.study.model import Study
from sweep.study.worlds import worlds_of

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
    candidates
        What is replayed.  # [world]
    asked
        What the sampler asked for, by name; of a baseline nothing.
    key
        What it has in common with trials that would give the same outcomes.
    attempts, error
        How often it was tried and failed, and the text of the last error.
    row
        Its row of `trials`, once it has one.
    subspace
        The place of its subspace in the study.
    """

    role: str
    number: int
    candidates: list[Candidate]
    asked: Row
    key: str
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
        self._evaluated: dict[str, list[Evaluated]] = {}
        self.worlds = worlds_of(study)
        self._digests = [inputs.digests_of(dict(world.workload)) for world in self.worlds]
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

    def make(
        self,
        role: str,
        number: int,
        candidates: list[Candidate],
        asked: Row | None = None,
        subspace: int = 0,
    ) -> Trial:
        """Return a trial that has no row yet."""
        beside = f"{self._inputs.code_digest} {self._study.warm_up}"
        key = policy_key(candidates, self.worlds, self._digests, beside)
        trial = Trial(role, number, candidates, asked or {}, key, subspace=subspace)
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
                self._add_row(trial, "fail", trial.error, None)
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
        unread = {trial.key for trial in hits if trial.key not in self._evaluated}
        if unread:
            self.flush()
            self._evaluated |= self._read_evaluated(sorted(unread))
        for trial in hits:
            evaluated = self._evaluated.get(trial.key)
            if evaluated is not None:
                self._record(trial, evaluated)
        while len(self._evaluated) > REMEMBERED:
            del self._evaluated[next(iter(self._evaluated))]

    def _read_evaluated(self, keys: list[str]) -> dict[str, list[Evaluated]]:
        """Return what became of the first trial of each key, from the database."""
        firsts = (
            "WITH firsts AS (SELECT DISTINCT ON (policy_key) policy_key, study, role, number "
            "FROM trials WHERE state = 'complete' AND list_contains($1, policy_key) "
            "ORDER BY policy_key, study, role, number) "
        )
        read = {
            table: self._store.rows(
                f"{firsts} SELECT {table}.*, firsts.policy_key AS key "
                f"FROM {table} JOIN firsts USING {PLACE}",
                [keys],
            )
            for table in ("outcomes", "runs")
        }
        outcomes = {(row["key"], row["scenario"]): row for row in read["outcomes"]}
        runs = {(row["key"], row["scenario"], row["events_digest"]): row for row in read["runs"]}
        return {
            key: [
                Evaluated(
                    {name: outcomes[key, world.name][name] for name in SCENARIO_VALUES},
                    [
                        {name: runs[key, world.name, digest][name] for name in RUN_VALUES}
                        for digest in digests
                    ],
                )
                for world, digests in zip(self.worlds, self._digests, strict=True)
            ]
            for key in dict.fromkeys(row["key"] for row in read["outcomes"])
        }

    def _replay(self, alike: dict[str, list[Trial]]) -> None:
        """Replay one trial of each key; a batch that failed is tried again, trial by trial."""
        tried = [trials[0] for trials in alike.values() if trials[0].attempts < MAX_ATTEMPTS]
        if not tried:
            return
        if self._started is None:
            self._started = self._executor()
        fresh = [trial for trial in tried if trial.attempts == 0]
        most = max(1, TASK_LANES // len(self.worlds))
        lanes = min(most, -(-len(fresh) // self._started.workers)) or 1
        batches = [fresh[i : i + lanes] for i in range(0, len(fresh), lanes)]
        batches += [[trial] for trial in tried if trial.attempts > 0]
        while batches:
            candidates = [
                [candidate for trial in batch for candidate in trial.candidates]
                for batch in batches
            ]
            for place, result in self._started.run(candidates):
                if isinstance(result, str):
                    self._note_failure(batches[place], result)
                else:
                    for i, trial in enumerate(batches[place]):
                        evaluated = result[i * len(self.worlds) : (i + 1) * len(self.worlds)]
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

    def _record(self, trial: Trial, evaluated: list[Evaluated]) -> None:
        judged = judge(self._study, self.worlds, evaluated)
        reason = judged.reason if trial.role == "trial" else None
        state = "complete" if reason is None else "fail"
        self._add_row(trial, state, reason, judged)
        place = {"study": self._study.study, "role": trial.role, "number": trial.number}
        for world, digests, each in zip(self.worlds, self._digests, evaluated, strict=True):
            place["scenario"] = world.name
            self._store.add("outcomes", place | each.outcomes)
            for name, replicate, digest, run in zip(
                *(self._inputs.names, self._inputs.replicates, digests, each.runs), strict=True
            ):
                of_run = {"workload": name, "replicate": replicate, "events_digest": digest}
                self._store.add("runs", place | of_run | run)
        if state == "complete":
            self._places[trial.key] = (self._study.study, trial.role, trial.number)

    def _add_row(self, trial: Trial, state: str, reason: str | None, judged: Judged | None) -> None:
        outcomes = judged.outcomes if judged else {}
        policy = trial.candidates[0].policy
        trial.row = {
            "study": self._study.study,
            "role": trial.role,
            "number": trial.number,
            "state": state,
            "reason": reason,
            "subspace": trial.subspace if trial.role == "trial" else None,
            "feasible": judged.feasible if judged and reason is None else None,
            "attainable": not SYSTEMS[policy.system].beyond,
            "asked": json.dumps(trial.asked) if trial.role == "trial" else None,
            **row_of(policy),
            "objectives": judged.objectives if judged else None,
            "violations": judged.violations if judged else None,
            **{name: outcomes.get(name) for name in OUTCOME_COLUMNS},
            "policy_key": trial.key,
            "core_digest": self._inputs.code_digest,
            "attempts": trial.attempts + (1 if outcomes else 0),
            "host": self._host,
            "finished_at": datetime.now(UTC).replace(tzinfo=None),
        }
        self._store.add("trials", trial.row)
        self._finished(trial.row)
