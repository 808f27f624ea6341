"""Workers: those of a Ray of our own are killed at any moment, and one policy kills its own.

The table is that of a run in which nobody was killed, and the one policy has failed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import small_study
from hazard import Counts, Hazard, each_case
from inline_executors import Inline

from core.evaluator import Candidate, Workloads
from sweep.engine.alone import Alone
from sweep.engine.executor import Cause, Executor, Failure, Result
from sweep.engine.generations import run_study
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import load_inputs
from sweep.engine.plugins import Plugins, load_plugins
from sweep.engine.ray_cluster import RayCluster
from sweep.engine.register import StartAfresh, register
from sweep.results import Store
from sweep.study.read import load_study

STUDY = """\
study: hazard
workload: {{trace: small.parquet}}
policies:
  - policy: {{eviction: lru}}
    parameters:
      folio_order: {{type: int, low: 0, high: 9}}
      headroom: {{type: float, low: 0.0, high: 0.5}}
  - policy: {{system: "deadly_to_workers:DEADLY"}}
baselines: [{{system: carveout}}]
objectives: [{{metric: time_saved_ns, direction: maximize}}]
sampler: {{name: random, seed: 1}}
n_trials: {trials}
generation: 64
"""
DEADLY = "deadly_to_workers:DEADLY"
CODE = '''
"""A tag storage whose every replay kills its process."""
import os
from dataclasses import replace
from core.system.carveout import CARVEOUT

def die(timeline, policies):
    os.kill(os.getpid(), 9)

DEADLY = replace(CARVEOUT, meaning="kills", replay=die)
'''
#: Workers that are killed in a case at most.
KILLS = 5
#: What differs where workers were killed: an attempt counts that was ended from outside.
VARYING = (*small_study.VARYING, "attempts", "reason")
Tables = dict[str, list[dict[str, Any]]]
#: Makes the executor of a run, with a user's own code.
Make = Callable[[Workloads, Plugins], Executor]


class _Deadly(Inline):
    """An executor on which the deadly policy fails as it does elsewhere."""

    def evaluate(self, batch: Sequence[Candidate]) -> Result:
        if any(candidate.policy.system == DEADLY for candidate in batch):
            return Failure("it died", Cause.SIGNAL)
        return super().evaluate(batch)


class Runs:
    """A study in a folder of its own, run on one executor or another.

    Parameters
    ----------
    folder
        The folder.
    trials
        How many trials it has, beside the deadly one.
    """

    def __init__(self, folder: Path, trials: int) -> None:
        self._path = folder / "study.yaml"
        small_study.write_trace(folder)
        self._path.write_text(STUDY.format(trials=trials))
        (folder / "deadly_to_workers.py").write_text(CODE)
        self._databases = 0
        self.undisturbed = self.tables(lambda workloads, plugins: _Deadly(workloads), _isolated)

    def tables(self, make: Make, alone: Make = Alone) -> Tables:
        """Run the study on an executor, and return what its database holds then."""
        self._databases += 1
        database = self._path.with_name(f"{self._databases}.duckdb")
        study, source = load_study(self._path)
        plugins = load_plugins(source)
        inputs = load_inputs(study, source, plugins.code_digest())
        store = Store(database)
        register(store, study, source.text, inputs, self._path, StartAfresh.NEVER)
        starting = Starting(
            partial(make, inputs.workloads, plugins), partial(alone, inputs.workloads, plugins)
        )
        run_study(study, inputs, store, starting, small_study.Silent())
        return small_study.tables(database, VARYING)


def _isolated(workloads: Workloads, plugins: Plugins) -> Executor:
    executor = _Deadly(workloads)
    executor.isolates = True
    return executor


def on_ray(address: str | None, workers: int | None) -> Make:
    """Return what makes an executor on Ray."""
    return lambda workloads, plugins: RayCluster(workloads, workers, address, [], plugins)


@contextmanager
def meanwhile(act: Callable[[], None], pauses_s: Iterator[float]) -> Iterator[None]:
    """Do something after each pause, until the block ends."""
    ended = threading.Event()

    def work() -> None:
        for pause_s in pauses_s:
            if ended.wait(pause_s):
                return
            act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def below(process: int) -> list[tuple[int, str]]:
    """Return the processes that a process started, and those they started, with their names."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True)
    lines = [line.split(None, 2) for line in listed.stdout.splitlines()]
    parents = {process}
    found: dict[int, str] = {}
    while True:
        more = {int(pid): name for pid, parent, name in lines if int(parent) in parents}
        parents = more.keys() - found.keys()
        found |= more
        if not parents:
            return list(found.items())


def kill(process: int, counts: Counts) -> None:
    """Kill a process, which may be gone."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        counts.kills += 1


def compare(made: Tables, expected: Tables, seed: int, counts: Counts) -> None:
    """Count whether a table is that of a run in which nobody was killed."""
    if made != expected:
        wrong = [name for name in expected if made[name] != expected[name]]
        counts.fault(seed, f"{', '.join(wrong)} differ from an undisturbed run's", "unequal")


def kill_workers(runs: Runs, seed: int, counts: Counts) -> None:
    """Run the study by workers that are killed at any moment."""
    chance, before = random.Random(seed), counts.kills

    def act() -> None:
        workers = [pid for pid, name in below(os.getpid()) if name.startswith("ray::Worker")]
        # One takes a second to start, and more where the machine is busy: some are left to work.
        if workers and counts.kills < before + KILLS:
            kill(chance.choice(workers), counts)

    with meanwhile(act, iter(lambda: chance.uniform(0.5, 4.0), None)):
        made = runs.tables(on_ray(None, 2))
    compare(made, runs.undisturbed, seed, counts)


def _run(first: int, most: int, has_time: Callable[[], bool], counts: Counts) -> None:
    with TemporaryDirectory(prefix="sweep-soak-") as folder:
        runs = Runs(Path(folder), 5000)
        each_case(partial(kill_workers, runs), first, most, has_time, counts)


HAZARD = Hazard("workers", _run)
