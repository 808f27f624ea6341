"""What a driver takes of a cluster's time: trials that sleep, on more workers than there are cores.

Usage: python benchmarks/scaling.py [--trials N] [--seconds S] [--workers N] [--at-once]

The trials are those of a study, from the sampler to the database; only the system that replays
them sleeps. Ray is started, and each worker has replayed something, before the clock starts.
With --at-once trials only say that they took so long: the rate is then what one driver sustains,
and times the seconds of a trial, how many cores it keeps busy. benchmarks/ray_tune.py has Ray Tune
run the same trials.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from core.costs import Costs
from core.evaluator import Candidate
from core.event_files import read_events, write_events
from core.events import make_events
from core.policy import Policy
from sweep.engine.generations import run_study
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import load_inputs
from sweep.engine.plugins import load_plugins
from sweep.engine.ray_cluster import RayCluster
from sweep.engine.register import StartAfresh, register
from sweep.results import Store
from sweep.study.read import load_study

CAPTURE = Path(__file__).parent.parent / "studies" / "traces" / "database-mglru-256w.parquet"
STUDY = """
study: sleeping
workload: {{trace: sleeping.parquet}}
policy: {{system: "sleeper:SLEEPS"}}
parameters:
  headroom: {{type: float, low: 0.0, high: 0.9}}
objectives: [{{metric: wait_ns, direction: minimize}}]
sampler: {{name: random, seed: 1}}
n_trials: {trials}
"""
#: A system that caches nothing and takes its time. What a batch takes is measured as the time of a
#: processor, of which sleep takes none: so it keeps a clock of its own.
SLEEPER = """
import dataclasses, time
import sweep.engine.executor
from core.system import SYSTEMS
from core.system.contract import ALL_TALLIES
taken_s = [0.0]
sweep.engine.executor.thread_time = lambda: taken_s[0]
CARVEOUT = SYSTEMS["carveout"]
def replay(timeline, policies):
    taken_s[0] += {seconds} * policies.size
    time.sleep({sleeps} * policies.size)
    return CARVEOUT.replay(timeline, policies)
SLEEPS = dataclasses.replace(
    CARVEOUT, meaning="it sleeps", replay=replay, reads=("headroom",), counts=ALL_TALLIES
)
"""


def sleeper(seconds: float, at_once: bool) -> str:
    return SLEEPER.format(seconds=seconds, sleeps=0.0 if at_once else seconds)


class _Silent:
    def compiling(self, ended: int, missing: int) -> None:
        """Say nothing."""

    def began(self, total: int, recorded: int) -> None:
        """Say nothing."""

    def finished(self, row: dict[str, object]) -> None:
        """Say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=480)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--at-once", action="store_true")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = read_events(CAPTURE)
        columns = {key: column[:1000] for key, column in events.columns.items()}
        about = events.about | {"checks": ()}
        write_events(folder / "sleeping.parquet", make_events(columns, **about))
        (folder / "sleeper.py").write_text(sleeper(said.seconds, said.at_once))
        path = folder / "sleeping.yaml"
        path.write_text(STUDY.format(trials=said.trials))
        study, source = load_study(path)
        plugins = load_plugins(source)
        inputs = load_inputs(study, source, plugins.code_digest())
        store = Store(folder / "sleeping.duckdb")
        register(store, study, source.text, inputs, path, StartAfresh.NEVER)

        start = perf_counter()
        cluster = RayCluster(inputs.workloads, said.workers, None, [], plugins, print)
        while cluster.ready < said.workers:
            cluster.finished(0.1)
        # The first batch of a worker loads compiled code and prepares a timeline.
        first = Candidate(Policy(system="sleeper:SLEEPS"), 4096, Costs())
        for number in range(said.workers):
            cluster.submit(-1 - number, [first])
        replayed = 0
        while replayed < said.workers:
            replayed += len(cluster.finished(0.1))
        print(f"{said.workers} workers have begun after {perf_counter() - start:.1f} s")
        start, cpu = perf_counter(), process_time()
        starting = Starting(lambda: cluster, lambda: cluster)
        ended: list[float] = []
        close, cluster.close = cluster.close, lambda: ended.append(perf_counter())  # type: ignore[method-assign]
        try:
            run_study(study, inputs, store, starting, _Silent())
        finally:
            close()
        took_s, cpu_s = ended[0] - start, process_time() - cpu
    rate, cpu_ms = said.trials / took_s, cpu_s / said.trials * 1000
    print(f"{said.trials} trials of {said.seconds} s on {said.workers} workers, ", end="")
    print(f"{os.cpu_count()} cores: {took_s:.2f} s, {rate:.0f} trials/s, ", end="")
    print(f"{cpu_ms:.2f} ms of the driver's processor a trial")
    if said.at_once:
        print(f"  done at once; at their length they keep {rate * said.seconds:,.0f} cores busy")
        return
    least_s = said.trials * said.seconds / said.workers
    print(f"  {took_s / least_s - 1:.2%} more than the {least_s:.2f} s of sleep")


if __name__ == "__main__":
    main()
