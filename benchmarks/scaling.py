"""What a driver takes of a cluster's time: trials that sleep, on more workers than there are cores.

Usage: python benchmarks/scaling.py [--trials N] [--seconds S] [--workers N]

The trials are those of a study, from the sampler to the database; only the system that replays
them sleeps. Ray and its workers are there before the clock starts, and the first trials show
what one takes. benchmarks/ray_tune.py has Ray Tune do the same.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from core.event_files import read_events, write_events
from core.events import make_events
from sweep.engine.driver import Starting
from sweep.engine.generations import run_study
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
#: processor, of which sleep takes none; here sleep is work.
SLEEPER = """
import dataclasses, time
import sweep.engine.executor
from core.system import SYSTEMS
from core.system.contract import ALL_TALLIES
sweep.engine.executor.thread_time = time.perf_counter
CARVEOUT = SYSTEMS["carveout"]
def replay(timeline, policies):
    time.sleep({seconds} * policies.size)
    return CARVEOUT.replay(timeline, policies)
SLEEPS = dataclasses.replace(
    CARVEOUT, meaning="it sleeps", replay=replay, reads=("headroom",), counts=ALL_TALLIES
)
"""


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
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = read_events(CAPTURE)
        columns = {key: column[:1000] for key, column in events.columns.items()}
        about = events.about | {"checks": ()}
        write_events(folder / "sleeping.parquet", make_events(columns, **about))
        (folder / "sleeper.py").write_text(SLEEPER.format(seconds=said.seconds))
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
        print(f"{said.workers} workers are there after {perf_counter() - start:.1f} s")
        start, cpu = perf_counter(), process_time()
        starting = Starting(lambda: cluster, lambda: cluster)
        ended: list[float] = []
        close, cluster.close = cluster.close, lambda: ended.append(perf_counter())  # type: ignore[method-assign]
        try:
            run_study(study, inputs, store, starting, _Silent())
        finally:
            close()
        took_s, cpu_s = ended[0] - start, process_time() - cpu
    least_s = said.trials * said.seconds / said.workers
    print(
        f"{said.trials} trials of {said.seconds} s on {said.workers} workers, {os.cpu_count()} "
        f"cores: {took_s:.2f} s, {took_s / least_s - 1:.2%} more than {least_s:.2f} s; "
        f"{said.trials / took_s:.0f} trials/s, {cpu_s / said.trials * 1000:.2f} ms of the driver's "
        "processor a trial"
    )


if __name__ == "__main__":
    main()
