"""A run that is stopped, killed or failed in part loses nothing that was finished."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import commands
import duckdb
import pytest
import small_study
from database_processes import held
from inline_executors import Inline, nobody

from core.evaluator import Candidate
from sweep.engine import known
from sweep.engine.executor import Cause, Failure, Result
from sweep.engine.register import StartAfresh
from sweep.engine.search import SearchError
from sweep.engine.study_run import Where, run_to_database
from sweep.results import Store, StoreError, answer_query
from sweep.results.merging import merge_databases
from sweep.study.read import load_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    small_study.write_trace(made)
    return made


@pytest.mark.parametrize(
    ("executor", "number", "code"),
    [
        ("in-process", signal.SIGINT, 130),
        ("threads", signal.SIGTERM, 143),
        ("threads", signal.SIGHUP, 129),
        ("ray", signal.SIGTERM, 143),
    ],
)
def test_a_signal_ends_a_run_within_5_s_and_keeps_what_is_finished(
    folder: Path, tmp_path: Path, executor: str, number: signal.Signals, code: int
) -> None:
    path = small_study.write_study(folder, "tpe", n_trials=5000)
    database = tmp_path / "stopped.duckdb"
    process = commands.start("run", path, "--db", database, "--executor", executor)
    while not database.exists() or not _count(database):
        time.sleep(0.3)
        assert process.poll() is None
    start = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - start < 5.0
    assert process.returncode == code
    by = "interrupted" if number == signal.SIGINT else f"stopped by {number.name}"
    said = re.fullmatch(
        rf"{by}: (\d+) of 5000 trials are kept in (.*); run it again to go on", err.splitlines()[-1]
    )
    assert said
    assert int(said[1]) <= _count(database)
    assert said[2] == str(database)
    assert not list(database.with_name(f"{database.name}.spool").glob("*.in-flight"))


def _count(database: Path) -> int:
    try:
        return answer_query(database, "SELECT count(*) FROM trials").rows[0][0]
    except StoreError:
        return 0


class _Failing(Inline):
    """An executor on which every batch with a certain policy fails."""

    failure = Failure("ValueError: no room")

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        if any(candidate.policy.folio_order == 3 for candidate in batch):
            return self.failure
        return super().evaluate(batch)


class _Dying(_Failing):
    """The same, whose worker dies of it."""

    failure = Failure("its worker died", Cause.SIGNAL)


class _WithoutMemory(_Failing):
    """The same, for which there is too little memory."""

    failure = Failure("MemoryError", Cause.MEMORY)


@pytest.mark.parametrize("make", [_Failing, _Dying, _WithoutMemory])
def test_a_trial_that_always_fails_is_failed_with_the_error_and_counts_for_no_other(
    folder: Path, tmp_path: Path, make: type[_Failing]
) -> None:
    path = small_study.write_study(folder, "random", n_trials=24)
    database = tmp_path / "failing.duckdb"
    small_study.run(path, database, make)
    rows = Store(database).rows("SELECT * FROM trials WHERE role = 'trial'")
    failed = [row for row in rows if row["state"] == "fail"]
    assert {row["folio_order"] for row in failed} == {3}
    assert {(row["reason"], row["attempts"]) for row in failed} == {(make.failure.error, 3)}
    lived = [row for row in rows if row["folio_order"] != 3]
    assert {(row["state"], row["attempts"]) for row in lived} == {("complete", 1)}
    attempts = Store(database).rows("SELECT number, attempt, cause FROM attempts")
    cause, numbers = make.failure.cause.value, {row["number"] for row in failed}
    counted = {tuple(row.values()) for row in attempts}
    assert counted == {(number, attempt, cause) for number in numbers for attempt in (1, 2, 3)}


class _Losing(Inline):
    """One that loses every other batch, as where a machine goes away."""

    lost = False

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        self.lost = not self.lost
        return Failure("gone", Cause.LOST) if self.lost else super().evaluate(batch)


def test_a_batch_that_is_lost_is_replayed_again_and_counts_for_nobody(
    folder: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(folder, "random", n_trials=24)
    small_study.run(path, tmp_path / "lost.duckdb", _Losing)
    small_study.run(path, tmp_path / "whole.duckdb")
    lost, whole = (small_study.tables(tmp_path / f"{name}.duckdb") for name in ("lost", "whole"))
    assert lost == whole


class _AlwaysLosing(Inline):
    """One that loses every batch that has a certain policy, unless it is a child of the driver."""

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        if not self.isolates and any(candidate.policy.folio_order == 3 for candidate in batch):
            return Failure("gone", Cause.LOST)
        return super().evaluate(batch)


def test_a_trial_that_is_always_lost_is_replayed_by_the_driver(
    folder: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(folder, "random", n_trials=24)
    small_study.run(path, tmp_path / "lost.duckdb", _AlwaysLosing)
    rows = Store(tmp_path / "lost.duckdb").rows("SELECT * FROM trials WHERE role = 'trial'")
    assert {(row["state"], row["attempts"]) for row in rows} == {("complete", 1)}


def test_failed_trials_are_tried_again_where_that_is_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    database, never = tmp_path / "retried.duckdb", tmp_path / "never.duckdb"
    path = small_study.write_study(folder, "nsga2", n_trials=24)
    small_study.run(path, database, _Failing)
    small_study.run(path, never, _Failing)
    lines: list[str] = []
    small_study.run(path, database, nobody, note=lines.append)
    rows = Store(database).rows("SELECT * FROM trials WHERE state = 'fail'")
    assert [line for line in lines if line.startswith(f"{len(rows)} trials and baselines failed")]
    attempts = Store(database).rows("SELECT * FROM attempts")
    progress = small_study.Silent()
    small_study.run(path, database, retry_failed=True, progress=progress)
    assert progress.recorded == 24 - len(rows)
    again = Store(database).rows("SELECT * FROM trials WHERE retried")
    assert [row["number"] for row in again] == [row["number"] for row in rows]
    assert {(row["state"], row["attempts"]) for row in again} == {("complete", 4)}
    assert Store(database).rows("SELECT * FROM attempts") == attempts
    assert not Store(database).rows("FROM trials ANTI JOIN runs USING (study, role, number)")
    # What the search asks for next is what it would ask for if they had never been tried again.
    path = small_study.write_study(folder, "nsga2", n_trials=40)
    for each in (database, never):
        small_study.run(path, each)
    sql = "SELECT role, number, asked FROM trials ORDER BY role, number"
    asked = [Store(each).rows(sql) for each in (database, never)]
    assert asked[0] == asked[1]


def test_of_two_rows_of_a_trial_that_with_outcomes_stays_in_any_order(
    folder: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(folder, "random", n_trials=8)
    small_study.run(path, tmp_path / "failed.duckdb", _Failing)
    small_study.run(path, tmp_path / "whole.duckdb")
    expected = small_study.tables(tmp_path / "whole.duckdb")
    for place, order in enumerate([("failed", "whole", "failed"), ("whole", "failed")]):
        into = tmp_path / f"{place}.duckdb"
        for name in order:
            merge_databases(into, [tmp_path / f"{name}.duckdb"], lambda merged: None)
        assert small_study.tables(into) == expected


class _FailingOnce(_Failing):
    """One that fails for certain, and is stopped after the first failure of a trial alone."""

    stop = False

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        if self.stop:
            raise KeyboardInterrupt
        result = super().evaluate(batch)
        self.stop = isinstance(result, Failure) and len(batch) == 1
        return result


def test_attempts_are_counted_across_runs(folder: Path, tmp_path: Path) -> None:
    path = small_study.write_study(folder, "random", n_trials=24)
    database = tmp_path / "failing.duckdb"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            small_study.run(path, database, _FailingOnce)
    counted = Store(database).rows("SELECT count(DISTINCT attempt) AS counted FROM attempts")
    assert counted == [{"counted": 2}]
    tried: list[int] = []

    class Tried(_Failing):
        def evaluate(self, batch: Sequence[Candidate]) -> Result:
            if len(batch) == 1:
                tried.append(batch[0].policy.folio_order)
            return super().evaluate(batch)

    small_study.run(path, database, Tried)
    rows = Store(database).rows("SELECT * FROM trials WHERE role = 'trial'")
    failed = [row for row in rows if row["state"] == "fail"]
    assert {(row["folio_order"], row["attempts"]) for row in failed} == {(3, 3)}
    # Those that failed before are tried so much less often now.
    policies = {row["policy_key"] for row in failed}
    assert tried.count(3) == 3 * len(policies) - 2


class _Looking(small_study.Silent):
    """Progress that looks, whenever a trial is told of, whether it is safe."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.told: set[tuple[str, int]] = set()

    def finished(self, row: dict[str, Any]) -> None:
        place = (row["role"], row["number"])
        assert place not in self.told
        self.told.add(place)
        if row["number"] % 8 == 0:
            rows = Store(self._database).rows("SELECT role, number FROM trials")
            assert self.told <= {(kept["role"], kept["number"]) for kept in rows}


def test_a_trial_is_told_of_once_it_is_safe(folder: Path, tmp_path: Path) -> None:
    path = small_study.write_study(folder, "random", n_trials=40)
    looking = _Looking(tmp_path / "told.duckdb")
    small_study.run(path, tmp_path / "told.duckdb", progress=looking)
    assert len(looking.told) == 42


def test_a_policy_in_the_database_is_looked_up_and_counts(folder: Path, tmp_path: Path) -> None:
    database = tmp_path / "twice.duckdb"
    path = small_study.write_study(folder)
    small_study.run(path, database)
    path.write_text(path.read_text().replace("study: small", "study: again"))
    small_study.run(path, database, nobody)
    store = Store(database)
    strip = "* EXCLUDE (study, finished_at, host)"
    for table in ("trials", "outcomes", "runs"):
        columns = strip if table == "trials" else "* EXCLUDE (study)"
        mine, other = (
            store.rows(f"SELECT {columns} FROM {table} WHERE study = ? ORDER BY ALL", [name])
            for name in ("small", "again")
        )
        assert mine == other
        assert mine


def test_what_is_forgotten_of_this_run_is_read_back(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 20 points: most of the trials repeat earlier ones.
    path = small_study.write_study(folder, "random", 60, without=["headroom"])
    small_study.run(path, tmp_path / "remembered.duckdb")
    held = []

    class Watched(known.Known):
        def add(self, *what: Any) -> None:
            super().add(*what)
            held.append([known._bytes(evaluated) for evaluated, _ in self._batches])

    monkeypatch.setattr("sweep.engine.driver.Known", Watched)
    monkeypatch.setattr(known, "REMEMBERED_BYTES", 100_000)
    small_study.run(path, tmp_path / "forgotten.duckdb")
    # The newest batch is kept, however large it is.
    assert all(len(batches) == 1 or sum(batches) <= 100_000 for batches in held)
    expected = small_study.tables(tmp_path / "remembered.duckdb")
    assert small_study.tables(tmp_path / "forgotten.duckdb") == expected


class _Waiting(Inline):
    """An executor of several workers, which notes how many batches it has when it is looked at."""

    workers = 4

    def __init__(self, workloads: Any) -> None:
        super().__init__(workloads)
        self.had: list[int] = []

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        self.had.append(len(self._tasks))
        return super().finished(timeout_s)


def test_policies_of_which_nothing_is_searched_are_replayed_side_by_side(
    folder: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(folder)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("parameters:")]
    names = ("lru", "fifo", "clock", "sieve")
    policies = ", ".join(f"{{policy: {{eviction: {name}}}}}" for name in names)
    text = "\n".join(lines).replace("policy: {eviction: lru}", f"policies: [{policies}]")
    path.write_text(text.replace("[{system: carveout}, {preset: gcma}]", "[]"))
    executors: list[_Waiting] = []

    def make(workloads: Any) -> _Waiting:
        executors.append(_Waiting(workloads))
        return executors[0]

    small_study.run(path, tmp_path / "side.duckdb", make)
    assert executors[0].had[0] == len(names)


class _Crowded(Inline):
    """A cluster that has no place for all its workers."""

    def __init__(self, workloads: Any, *others: Any) -> None:
        super().__init__(workloads)
        *_, note = others
        note("Ray at local: 2 CPUs free, 8 asked")


def test_what_a_cluster_lacks_is_told_to_the_user(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.engine.ray_cluster.RayCluster", _Crowded)
    study, source = load_study(small_study.write_study(folder, n_trials=8))
    told: list[str] = []
    where, progress = Where("ray", workers=8), small_study.Silent()
    database, never = tmp_path / "results.duckdb", StartAfresh.NEVER
    run_to_database(study, source, database, where, never, progress, told.append)
    assert "Ray at local: 2 CPUs free, 8 asked" in told


def test_an_objective_without_a_value_fails_the_trial_with_the_reason(
    folder: Path, tmp_path: Path
) -> None:
    objectives = "[{metric: atomic_reservation_p99_ns, direction: minimize}]"
    path = small_study.write_study(folder, "tpe", n_trials=10, objectives=objectives)
    small_study.run(path, tmp_path / "null.duckdb")
    rows = Store(tmp_path / "null.duckdb").rows("SELECT * FROM trials WHERE role = 'trial'")
    assert {(row["state"], row["reason"]) for row in rows} == {
        ("fail", "atomic_reservation_p99_ns has no value (NULL)")
    }
    assert all(row["stored"] is not None for row in rows)  # the rest of the outcome is kept


def test_a_sampler_that_asks_otherwise_is_not_mixed_in(folder: Path, tmp_path: Path) -> None:
    database = tmp_path / "other.duckdb"
    path = small_study.write_study(folder, "nsga2", n_trials=16)
    small_study.run(path, database)
    with duckdb.connect(str(database)) as connection:
        ((asked,),) = connection.sql(
            "SELECT asked FROM trials WHERE role = 'trial' AND number = 3"
        ).fetchall()
        other = json.loads(asked)
        other["folio_order"] = (other["folio_order"] + 1) % 5
        connection.execute(
            "UPDATE trials SET asked = ? WHERE role = 'trial' AND number = 3", [json.dumps(other)]
        )
    small_study.write_study(folder, "nsga2", n_trials=24)
    with pytest.raises(SearchError, match="trial 3: the sampler asks"):
        small_study.run(path, database)


def test_a_client_that_holds_the_file_stops_no_run(folder: Path, tmp_path: Path) -> None:
    path = small_study.write_study(folder, n_trials=40)
    database = tmp_path / "held.duckdb"
    commands.say("query", "select 1", "--db", database)
    with held(database) as holder:
        small_study.run(path, database)
        asked = answer_query(
            database, "SELECT count(*) FROM trials WHERE role = 'trial'", patience_s=0.1
        )
        assert asked.rows == [(40,)]
        holder.kill()
    small_study.run(path, tmp_path / "free.duckdb")
    assert small_study.tables(database) == small_study.tables(tmp_path / "free.duckdb")
    assert not list(database.with_name("held.duckdb.spool").glob("*.arrows"))
