"""Trials that failed in an earlier run: they are tried again where the user asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import duckdb
import pytest
import small_study
from commands import CommandInThisProcess
from inline_executors import Counting, Inline

from core.errors import InputError
from core.evaluator import Candidate
from sweep.engine.executor import Cause, Failure, Result
from sweep.results import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    small_study.write_trace(made)
    return made


class Failing(Inline):
    """An executor whose worker is killed by every batch with a certain policy."""

    cause = Cause.SIGNAL

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        if any(candidate.policy.folio_order == 3 for candidate in batch):
            return Failure("its worker died", self.cause)
        return super().evaluate(batch)


class Late(Failing):
    """The same, which never ends."""

    isolates = True
    cause = Cause.TIME


class Watched(Counting):
    """One that keeps how many candidates each batch had with that policy, and where it was."""

    sizes: ClassVar[list[tuple[int, bool]]] = []

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        if any(candidate.policy.folio_order == 3 for candidate in candidates):
            self.sizes.append((len(candidates), self.isolates))
        super().submit(number, candidates, alone)


@pytest.mark.parametrize("make", [Failing, Late])
def test_what_killed_or_hung_is_tried_again_alone_and_in_a_child(
    folder: Path, tmp_path: Path, make: type[Failing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watched, "sizes", [])
    path = small_study.write_study(folder, "random", n_trials=24)
    path.write_text(path.read_text() + "trial_timeout: 1s\n")
    database = tmp_path / "failed.duckdb"
    small_study.run(path, database, make)
    failed = Store(database).rows("SELECT DISTINCT policy_key FROM trials WHERE state = 'fail'")
    small_study.run(path, database, Watched, retry_failed=True)
    assert Watched.sizes == [(1, True)] * len(failed)
    assert not Store(database).rows("SELECT * FROM trials WHERE state = 'fail'")


def test_the_command_tries_again_what_failed(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = small_study.write_study(folder, "random", n_trials=24)
    database = tmp_path / "failed.duckdb"
    small_study.run(path, database, Failing)
    command = CommandInThisProcess(monkeypatch, capsys)
    words = ("run", path, "--db", database, "--executor", "in-process")
    code, _, err = command(*words)
    assert code == 1
    assert "--retry-failed tries them" in err
    code, _, err = command(*words, "--retry-failed")
    assert (code, "--retry-failed" in err) == (0, False), err
    states = Store(database).rows("SELECT DISTINCT state, retried FROM trials ORDER BY ALL")
    assert [tuple(row.values()) for row in states] == [("complete", True), ("complete", None)]


@pytest.mark.parametrize("asked", ["NULL", "'[]'", "'{'"])
@pytest.mark.parametrize(("sampler", "trials"), [("nsga2", 8), ("random", 4)])
def test_rows_that_no_run_wrote_are_told_in_a_line(
    folder: Path, tmp_path: Path, asked: str, sampler: str, trials: int
) -> None:
    database = tmp_path / "strangers.duckdb"
    path = small_study.write_study(folder, sampler, n_trials=trials)
    small_study.run(path, database, Failing)
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"UPDATE trials SET asked = {asked} WHERE role = 'trial'")
    small_study.write_study(folder, sampler, n_trials=24)
    for retry in (False, True):
        with pytest.raises(InputError, match=r"as no run writes them|asks for .* now, and asked"):
            small_study.run(path, database, retry_failed=retry)
