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
from tiny_runs import leftovers, recorded, run, study_file, tables, undisturbed

SAMPLER, N_TRIALS = "random", 40
#: What fails, by libfiu's names: what DuckDB writes by, and what makes that safe. By plain writes
#: processes wake each other too, through pipes, and no kernel lets those fail.
CALLS = (
    "posix/io/rw/pwrite",
    "posix/io/sync/fsync",
    "posix/io/dir/rename",
    "posix/io/oc/ftruncate",
)
#: A run takes 3 s.
_TIMEOUT_S = 30.0
#: Arrow's allocator starts a thread as it is loaded, which waits for the loader while it holds
#: libfiu's lock; the loader waits for that lock.
_QUIET = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


def _case(seed: int, counts: Counts) -> None:
    chance = random.Random(seed)
    call, probability = chance.choice(CALLS), chance.choice([0.002, 0.01, 0.05, 0.3])
    expected = undisturbed(SAMPLER, N_TRIALS)
    with TemporaryDirectory(prefix="sweep-soak-") as folder:
        database = Path(folder, "results.duckdb")
        fault = f"enable_random name={call},probability={probability}"
        words = ["run", str(study_file(SAMPLER, N_TRIALS)), "--db", str(database)]
        command = ["fiu-run", "-x", "-f", "", "-c", fault, sys.executable, "-m", "sweep", *words]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=os.environ | _QUIET
            )
        except subprocess.TimeoutExpired:
            counts.hangs += 1
            counts.failures.append(f"seed {seed}: {call} failed: the run did not end")
            return
        told = f"seed {seed}: {call} failed: {done.returncode}, {done.stderr[-500:]}"
        counts.operations_failed += 1
        if done.returncode not in (0, 2) or "Traceback" in done.stderr:
            counts.tracebacks += 1
            counts.failures.append(told)
        before = recorded(database, SAMPLER) if database.exists() else []
        run(SAMPLER, database, n_trials=N_TRIALS)
        if not set(before) <= set(recorded(database, SAMPLER)):
            counts.losses += 1
        if tables(database, SAMPLER) != expected:
            counts.unequal += 1
            counts.failures.append(f"{told}: other tables")
        counts.leftovers += len(leftovers(database))


def run_cases(first: int, most: int, has_time: Callable[[], bool], counts: Counts) -> None:
    """Let calls of runs fail, where libfiu is installed."""
    if shutil.which("fiu-run") is None:
        print("failing calls: fiu-run is not installed, nothing is tried", file=sys.stderr)
        return
    each_case(_case, first, most, has_time, counts)


HAZARD = Hazard("failing calls", run_cases)
