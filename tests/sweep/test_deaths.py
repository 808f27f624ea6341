"""A driver's death counts for no trial, and a trial that kills its process for no other."""

from __future__ import annotations

import os
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
from core.errors import InputError
from core.evaluator import Candidate, Workloads
from core.event_files import read_events
from core.policy import Policy
from sweep.engine import alone, lateness, threads
from sweep.engine.alone import Alone
from sweep.engine.batching import MOST_TRIALS, Pace
from sweep.engine.executor import Cause, Executor, Failure, Replays, Result
from sweep.engine.plugins import Plugins
from sweep.engine.pressure import RECOVERED_AFTER, Pressure
from sweep.engine.register import StartAfresh
from sweep.engine.study_run import Where, run_to_database
from sweep.engine.threads import Threads
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
CARVEOUT = Candidate(Policy(system="carveout"), 4096, Costs())
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


def test_after_memory_ran_out_batches_grow_to_what_they_were_and_no_further() -> None:
    pressure = Pressure(lambda line: None)
    pressure.rise(4, MOST_TRIALS)
    pressure.rise(2, 1)
    assert (pressure.workers, pressure.trials) == (1, 1)
    for _ in range(20 * RECOVERED_AFTER):
        pressure.fall()
    assert pressure.trials == MOST_TRIALS


def test_what_is_tried_alone_is_replayed_whatever_is_printed_and_lies_in_the_folder_of_the_run(
    workloads: Workloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins, candidate = odd_system(tmp_path, "noisy", "print('so'); os.write(1, b'said')")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "core.py").write_text("raise SystemExit('not the simulator')")
    monkeypatch.chdir(elsewhere)
    executor = Alone(workloads, plugins)
    assert isinstance(result_of(executor, 1, candidate), Replays)
    executor.close()


def result_of(executor: Executor, number: int, candidate: Candidate) -> Result:
    """Return what an executor makes of a batch of one candidate."""
    executor.submit(number, [candidate])
    ((ended, result),) = executor.finished(60.0)
    assert ended == number
    return result


def test_where_no_process_can_be_started_the_run_ends_and_waits_for_nothing(
    workloads: Workloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(alone.subprocess, "Popen", refuse)
    executor = Alone(workloads)
    executor.submit(1, [CARVEOUT])
    with pytest.raises(InputError, match=r"no process can be started .* temporarily unavailable"):
        executor.finished(10.0)
    executor.close()


def test_a_system_that_leaves_its_thread_fails_and_the_thread_goes_on(
    workloads: Workloads, tmp_path: Path
) -> None:
    _, candidate = odd_system(tmp_path, "leaving", "raise SystemExit(3)")
    executor = Threads(workloads, 1)
    failure = result_of(executor, 1, candidate)
    assert isinstance(failure, Failure)
    assert (failure.error, failure.cause) == ("SystemExit: 3", Cause.EXCEPTION)
    assert isinstance(result_of(executor, 2, CARVEOUT), Replays)
    executor.close()


def test_a_thread_that_cannot_be_started_is_none_that_is_waited_for(
    workloads: Workloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, candidate = odd_system(tmp_path, "sleepy", "__import__('time').sleep(2)")
    executor = Threads(workloads, 1)
    executor.submit(1, [candidate])
    wait_for(lambda: 1 in executor.running())

    def refuse(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threads.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            executor.stop(1)
    executor.close()


def wait_for(holds: Callable[[], bool]) -> None:
    """Look until something holds."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def child_of(executor: Alone) -> subprocess.Popen[bytes]:
    assert executor._child is not None
    return executor._child


def test_an_idle_child_that_dies_costs_no_batch_anything(workloads: Workloads) -> None:
    executor = Alone(workloads)
    assert isinstance(result_of(executor, 1, CARVEOUT), Replays)
    os.kill(child_of(executor).pid, signal.SIGKILL)
    os.waitid(os.P_PID, child_of(executor).pid, os.WEXITED | os.WNOWAIT)
    assert isinstance(result_of(executor, 2, CARVEOUT), Replays)
    executor.close()


def test_a_child_that_is_killed_for_a_batch_that_has_just_ended_loses_the_next_one(
    workloads: Workloads, tmp_path: Path
) -> None:
    plugins, candidate = odd_system(tmp_path, "slow", "__import__('time').sleep(60)")
    executor = Alone(workloads, plugins)
    assert isinstance(result_of(executor, 1, CARVEOUT), Replays)
    executor.submit(2, [candidate])
    wait_for(lambda: 2 in executor.running())
    executor._begun = (1, 0.0)  # as `stop` may have read it
    executor.stop(1)
    ((_, lost),) = executor.finished(60.0)
    assert isinstance(lost, Failure)
    assert lost.cause is Cause.LOST
    executor.submit(3, [candidate])
    wait_for(lambda: 3 in executor.running())
    executor.stop(3)
    ((_, late),) = executor.finished(60.0)
    assert isinstance(late, Failure)
    assert late.cause is Cause.TIME
    executor.submit(4, [candidate])
    wait_for(lambda: 4 in executor.running())
    child_of(executor).send_signal(40)  # a real-time signal has no name
    ((_, died),) = executor.finished(60.0)
    assert isinstance(died, Failure)
    assert (died.cause, died.error.endswith("was killed by signal 40")) == (Cause.SIGNAL, True)
    executor.close()


#: What Numba tells of two functions, of which one calls the other, that take 1.5 s to compile.
COMPILES = (
    "from numba.core.event import start_event as begin, end_event as end; import time; "
    "kind = 'numba:compile'; "
    "begin(kind); begin(kind); end(kind); time.sleep(1.5); end(kind); time.sleep(0.5)"
)


@pytest.mark.parametrize("name", ["alone", "threads"])
def test_what_is_compiled_takes_no_time_of_a_batch(
    workloads: Workloads, tmp_path: Path, name: str
) -> None:
    plugins, candidate = odd_system(tmp_path, f"compiles_{name}", COMPILES)
    executor = Alone(workloads, plugins) if name == "alone" else Threads(workloads, 1)
    assert isinstance(result_of(executor, 1, CARVEOUT), Replays)
    executor.submit(2, [candidate])
    seconds: list[float] = []
    while not (ended := executor.finished(0.02)):
        seconds += executor.running().values()
    assert isinstance(ended[0][1], Replays)
    assert 0.3 < max(seconds) < 1.2
    executor.close()
