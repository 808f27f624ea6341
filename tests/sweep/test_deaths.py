"""A driver's death counts for no trial, and a trial that kills its process for no other."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import commands
import pytest
import small_study

from core.costs import Costs
from core.evaluator import Candidate, Workloads
from core.event_files import read_events
from core.policy import Policy
from sweep.engine import lateness
from sweep.engine.batching import Pace
from sweep.engine.plugins import Plugins
from sweep.engine.register import StartAfresh
from sweep.engine.study_run import Where, run_to_database
from sweep.engine.trials import Trial
from sweep.results import Store
from sweep.study.read import load_study

DEADLY = '''
"""A tag storage whose every replay kills the process, in {how}."""
import os
from dataclasses import replace
from core.system.carveout import CARVEOUT

def die(timeline, policies):
    os.{how}

DEADLY = replace(CARVEOUT, meaning="kills", replay=die)
'''
#: Another one, of which only this line differs: what it does before it replays.
ODD = DEADLY.replace("os.{how}", "{how}; return CARVEOUT.replay(timeline, policies)")
SYSTEMS = '{type: categorical, choices: [cleancache, carveout, ideal, "deadly:DEADLY"]}'

#: A space with more policies than trials.
UNENDING = "{type: float, low: 0.0, high: 0.5}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    small_study.write_trace(made)
    return made


@pytest.fixture(scope="module")
def workloads(folder: Path) -> Workloads:
    events = read_events(folder / "small.parquet")
    return Workloads((events,), (events.page_size,), (events.data_pages,))


def odd_system(folder: Path, name: str, how: str) -> tuple[Plugins, Candidate]:
    """Return a user's system that does something before it replays, and a policy of it."""
    (folder / f"{name}.py").write_text(ODD.format(how=how))
    plugins = Plugins((("system", f"{name}:DEADLY"),), folder)
    plugins.load()
    return plugins, Candidate(Policy(system=f"{name}:DEADLY"), 4096, Costs())


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
    said = [commands.say("run", path, "--db", database, "--workers", "2") for _ in range(3)]
    assert [done for done, _, _ in said] == [code, code, 1], said[-1][2]
    told = ["the last run died with" in err for _, _, err in said]
    assert told == [False, True, True]
    rows = Store(database).rows("SELECT * FROM trials WHERE role = 'trial'")
    assert len(rows) == 200
    deadly = [row for row in rows if row["system"] == "deadly:DEADLY"]
    assert len(deadly) == 50
    assert {(row["state"], row["attempts"]) for row in deadly} == {("fail", 3)}
    assert {row["reason"] for row in deadly} == {f"the process that replayed it alone {cause}"}
    others = [row for row in rows if row["system"] != "deadly:DEADLY"]
    assert {(row["state"], row["attempts"]) for row in others} == {("complete", 1)}
    left = {file.suffix for file in database.with_name(f"{code}.duckdb.spool").iterdir()}
    assert left == {".lock", ".deaths"}  # another trial that asks for that policy is suspected, too


#: Of a space with one policy of a user's own, and five of ours.
FEW = '{type: categorical, choices: [carveout, "%s:DEADLY"]}'
LIMIT = "trial_timeout: 1s\n"


def _few_trials(folder: Path, module: str, limit: str) -> Path:
    """Write a study of a few trials, one of which is of a user's own system that never ends."""
    (folder / f"{module}.py").write_text(ODD.format(how="import time; time.sleep(1e6)"))
    path = small_study.write_study(
        *(folder, "grid", 4), system=FEW % module, without=("headroom", "folio_order", "drop")
    )
    path.write_text(path.read_text() + limit)
    return path


def test_a_trial_that_hangs_is_failed_when_its_time_is_over(folder: Path, tmp_path: Path) -> None:
    path = _few_trials(folder, "hanging", LIMIT)
    database = tmp_path / "hung.duckdb"
    study, source = load_study(path)
    where = Where("threads", workers=2)
    began = time.monotonic()
    run_to_database(
        *(study, source, database, where, StartAfresh.NEVER, small_study.Silent()), print
    )
    assert time.monotonic() - began < 60
    rows = Store(database).rows("SELECT system, state, reason FROM trials WHERE role = 'trial'")
    told = {(row["system"], row["state"], row["reason"]) for row in rows}
    why = "it was replayed for more than 1 s (trial_timeout)"
    assert told == {("carveout", "complete", None), ("hanging:DEADLY", "fail", why)}
    attempts = Store(database).rows("SELECT attempt, cause, error FROM attempts")
    assert {tuple(row.values()) for row in attempts} == {(1, "time", why)}


def test_a_run_with_a_trial_that_hangs_is_stopped_within_5_s(folder: Path, tmp_path: Path) -> None:
    path = _few_trials(folder, "hanging", "")
    process = commands.start("run", path, "--db", tmp_path / "hung.duckdb", "--workers", "2")
    spool = tmp_path / "hung.duckdb.spool"
    while not list(spool.glob("*.in-flight")):
        time.sleep(0.1)
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 5


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def _terminate_then_kill(process: subprocess.Popen[str]) -> None:
    """End a job as SLURM does: it sends SIGTERM, and SIGKILL to what is there still."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
        # It may be done by then, or not have begun.
        assert process.returncode in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    process.kill()


@pytest.mark.parametrize(
    ("workers", "end"), [("1", _kill), ("2", _kill), ("2", _terminate_then_kill)]
)
def test_a_run_that_is_ended_at_any_moment_leaves_the_table_of_one_that_nobody_ended(
    folder: Path, tmp_path: Path, workers: str, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    path = small_study.write_study(folder, "nsga2", n_trials=400, headroom=UNENDING)
    database = tmp_path / "killed.duckdb"
    words = ("run", path, "--db", database, "--workers", workers)
    chance = random.Random(workers)
    for _ in range(3):
        process = commands.start(*words)
        time.sleep(1.0 + 2 * chance.random())
        end(process)
        process.communicate()
    code, out, err = commands.say(*words)
    assert code == 0, err
    assert "of 400 complete trials" in out.lower()
    small_study.run(path, tmp_path / "whole.duckdb")
    assert small_study.tables(database) == small_study.tables(tmp_path / "whole.duckdb")


def test_a_trial_that_takes_long_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lateness, "LONG_S", 3.0)
    trials = [
        Trial("trial", number, [Candidate(Policy(), 4096, Costs())], {}, "") for number in (4, 5)
    ]
    running = {1: 20.0}
    executor = SimpleNamespace(running=lambda: running)
    pace, lines = Pace(), []
    looking = lateness.Lateness(None, pace, lines.append)
    looking.look(executor, lambda number: trials)
    assert lines == []  # none has ended
    pace.learn(trials, 3.0)
    looking.look(executor, lambda number: trials)
    assert lines == []
    running[1] = 31.0
    for _ in range(2):
        looking.look(executor, lambda number: trials)
    assert lines == [
        "trial 4 and 1 others have been replayed for 31 s, and others took 1.5 s each; "
        "`trial_timeout: 5min` in the study ends a trial that takes longer"
    ]
