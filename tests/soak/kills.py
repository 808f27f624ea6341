"""Kills: the command is killed (kill -9) at any moment, by threads and by Ray, over samplers."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hazard import Counts, Hazard, each_case
from tiny_runs import check_whole, recorded, run, study_file

from sweep.study.samplers import SAMPLERS

N_TRIALS = 40
#: Of so many cases one is by Ray, which takes seconds to start.
RAY_ONE_IN = 6
#: Kills of one study, each of the command that goes on after the last.
MOST_KILLS = 3
_TIMEOUT_S = 120.0
#: The command, which shows its progress after each trial.
PROGRAM = """
from sweep.cli import terminal
terminal.LINE_INTERVAL_S = 0.0
from sweep.cli.main import main
main()
"""
_SHOWN = re.compile(r"^(\d+)/\d+ trials", re.MULTILINE)


def run_and_kill(sampler: str, database: Path, executor: str, lines: int, counts: Counts) -> str:
    """Run a study, kill the run once it has shown so many lines, and return what it said."""
    words = ["run", str(study_file(sampler, N_TRIALS)), "--db", str(database)]
    command = [sys.executable, "-c", PROGRAM, *words, "--executor", executor, "--workers", "2"]
    text = ""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        for line in process.stderr:
            text += line
            if len(_SHOWN.findall(text)) >= lines:
                os.kill(process.pid, 9)
                counts.kills += 1
                text += process.stderr.read()
                break
        process.wait(_TIMEOUT_S)
    return text


def check_kept(sampler: str, database: Path, said: str, counts: Counts, seed: int) -> None:
    """Count the trials that a command has shown, and that are not there."""
    shown = max(map(int, _SHOWN.findall(said)), default=0)
    places = recorded(database, sampler) if database.exists() else []
    kept = sum(role == "trial" for role, _ in places)
    if shown > kept:
        what = f"{sampler}: {shown} trials were shown, {kept} are there"
        counts.fault(seed, what, "losses", shown - kept)


def kill_often(
    sampler: str, executor: str, lines: Sequence[int], counts: Counts, seed: int
) -> None:
    """Kill one run of a study after the other, let the last come to its end, and look."""
    with TemporaryDirectory(prefix="sweep-soak-") as folder:
        database = Path(folder, "results.duckdb")
        for at in lines:
            said = run_and_kill(sampler, database, executor, at, counts)
            check_kept(sampler, database, said, counts, seed)
        run(sampler, database, n_trials=N_TRIALS)
        check_whole(sampler, database, counts, seed, N_TRIALS)


def _case(seed: int, counts: Counts) -> None:
    chance = random.Random(seed)
    executor = "ray" if seed % RAY_ONE_IN == RAY_ONE_IN - 1 else "threads"
    kills = 1 if executor == "ray" else chance.randint(1, MOST_KILLS)
    lines = [chance.randint(0, N_TRIALS // kills) for _ in range(kills)]
    kill_often(chance.choice(list(SAMPLERS)), executor, lines, counts, seed)


HAZARD = Hazard("kills", partial(each_case, _case))
