"""Failing calls: what the kernel answers to DuckDB and to this program fails, by libfiu.

Where `fiu-run` is not installed nothing is tried.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hazard import Counts, Hazard, each_case
from kills import N_TRIALS, PROGRAM, check_kept
from tiny_runs import check_whole, run, study_file

SAMPLER = "random"
#: What fails, by libfiu's names: what DuckDB writes by, and what makes that safe. By plain writes
#: processes wake each other too, through pipes, and no kernel lets those fail.
CALLS = (
    "posix/io/rw/pwrite",
    "posix/io/sync/fsync",
    "posix/io/dir/rename",
    "posix/io/rw/ftruncate",
)
#: A run takes 3 s.
_TIMEOUT_S = 30.0
#: Arrow's allocator starts a thread as it is loaded, which waits for the loader while it holds
#: libfiu's lock; the loader waits for that lock.
_QUIET = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


def _case(seed: int, counts: Counts) -> None:
    chance = random.Random(seed)
    call, probability = chance.choice(CALLS), chance.choice([0.01, 0.05, 0.3])
    with TemporaryDirectory(prefix="sweep-soak-") as folder:
        database = Path(folder, "results.duckdb")
        fault = f"enable_random name={call},probability={probability}"
        words = ["run", str(study_file(SAMPLER, N_TRIALS)), "--db", str(database)]
        command = ["fiu-run", "-x", "-f", "", "-c", fault, sys.executable, "-c", PROGRAM, *words]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=os.environ | _QUIET
            )
        except subprocess.TimeoutExpired:
            counts.fault(seed, f"{call} failed: the run did not end", "hangs")
            return
        counts.operations_failed += done.returncode != 0
        what = f"{call} failed: {done.returncode}, {done.stderr[-500:]}"
        if done.returncode not in (0, 2) or "Traceback" in done.stderr:
            counts.fault(seed, what, "tracebacks")
        check_kept(SAMPLER, database, done.stderr, counts, seed)
        run(SAMPLER, database, n_trials=N_TRIALS)
        check_whole(SAMPLER, database, counts, seed, N_TRIALS)


def run_cases(first: int, most: int, has_time: Callable[[], bool], counts: Counts) -> None:
    """Let calls of runs fail, where libfiu is installed."""
    if shutil.which("fiu-run") is None:
        print("failing calls: fiu-run is not installed, nothing is tried", file=sys.stderr)
        return
    each_case(_case, first, most, has_time, counts)


HAZARD = Hazard("failing calls", run_cases)
