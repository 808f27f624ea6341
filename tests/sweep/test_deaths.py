"""A driver's death counts for no trial, and a trial that kills its process for no other."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import commands
import pytest
import small_study

from sweep.results import Store

DEADLY = '''
"""A tag storage whose every replay kills the process, in {how}."""
import os
from dataclasses import replace
from core.system.carveout import CARVEOUT

def die(timeline, policies):
    os.{how}

DEADLY = replace(CARVEOUT, meaning="kills", replay=die)
'''
SYSTEMS = '{type: categorical, choices: [cleancache, carveout, ideal, "deadly:DEADLY"]}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    small_study.write_trace(made)
    return made


@pytest.mark.parametrize(
    ("how", "code", "cause"),
    [
        ("kill(os.getpid(), 9)", -signal.SIGKILL, "was killed by SIGKILL"),
        ("_exit(3)", 3, "exited with 3"),
    ],
)
def test_a_trial_that_kills_drivers_is_tried_alone_and_failed_with_the_cause(
    folder: Path, how: str, code: int, cause: str
) -> None:
    (folder / "deadly.py").write_text(DEADLY.format(how=how))
    path = small_study.write_study(folder, "grid", system=SYSTEMS, n_trials=200)
    database = folder / f"{code}.duckdb"
    codes = []
    for _ in range(3):
        done, _, err = commands.say("run", path, "--db", database, "--workers", "2")
        codes.append(done)
    assert codes == [code, code, 1], err
    rows = Store(database).rows("SELECT * FROM trials WHERE role = 'trial'")
    assert len(rows) == 200
    deadly = [row for row in rows if row["system"] == "deadly:DEADLY"]
    assert len(deadly) == 50
    assert {(row["state"], row["attempts"]) for row in deadly} == {("fail", 3)}
    assert {row["reason"] for row in deadly} == {f"the process that replayed it alone {cause}"}
    others = [row for row in rows if row["system"] != "deadly:DEADLY"]
    assert {(row["state"], row["attempts"]) for row in others} == {("complete", 1)}
    assert not list(database.with_name(f"{code}.duckdb.spool").glob("*.in-flight"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_kill_9_at_any_moment_leaves_the_table_of_a_run_that_nobody_killed(
    folder: Path, tmp_path: Path, workers: str
) -> None:
    path = small_study.write_study(folder, "nsga2", n_trials=400)
    database = tmp_path / "killed.duckdb"
    words = ("run", path, "--db", database, "--workers", workers)
    chance = random.Random(workers)
    for _ in range(3):
        process = commands.start(*words)
        time.sleep(1.0 + 2 * chance.random())
        process.kill()
        process.communicate()
    code, out, err = commands.say(*words)
    assert code == 0, err
    assert "of 400 complete trials" in out
    small_study.run(path, tmp_path / "whole.duckdb")
    assert small_study.tables(database) == small_study.tables(tmp_path / "whole.duckdb")
