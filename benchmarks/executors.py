"""The search of a study on one core, by a thread for each core, and by Ray here, by turns.

Usage: python benchmarks/executors.py [STUDY] [--rounds N] [--sampler NAME] [--trials N] [--ray]

A search lasts from the first batch that is handed out until the last row is acknowledged: start
and compilation are apart. *One core* has driver and worker on one processor; it is the base of the
ratios. Ray's own start is apart too: the time until all its workers are ready; so is what their
first batches take, which load compiled code and prepare timelines. CPU time is that of this
process, without Ray's workers. The tables of all must be equal, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import pyarrow as pa

from core.evaluator import Candidate
from sweep.engine.compiling import compile_all
from sweep.engine.executor import Executor
from sweep.engine.generations import run_study
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import Inputs, load_inputs
from sweep.engine.loops import loops_of
from sweep.engine.ray_cluster import RayCluster
from sweep.engine.register import StartAfresh, register
from sweep.engine.threads import Threads
from sweep.results import Store, open_for_reading
from sweep.study.model import Study
from sweep.study.read import load_study
from sweep.study.yaml_source import Source

QUICKSTART = Path(__file__).parent.parent / "studies" / "quickstart.yaml"
#: All that is found, in order; what differs between any two runs is left out.
FOUND = {
    "trials": "* EXCLUDE (host, finished_at) FROM trials ORDER BY study, role, number",
    "outcomes": "* FROM outcomes ORDER BY ALL",
    "runs": "* FROM runs ORDER BY study, role, number, scenario, workload, replicate",
}


class Taken(NamedTuple):
    """What a search took, in seconds."""

    start_s: float
    search_s: float
    cpu_s: float


class Timed:
    """An executor that notes when the first batch is handed to it."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.isolates, self.size = executor.isolates, executor.size
        self.takes, self.finished = executor.takes, executor.finished
        self.limit, self.running, self.stop = executor.limit, executor.running, executor.stop
        self.began: tuple[float, float] | None = None

    @property
    def workers(self) -> int:
        """How many batches run side by side."""
        return self._executor.workers

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        """Hand a batch over."""
        self.began = self.began or (perf_counter(), process_time())
        self._executor.submit(number, candidates, alone)

    def close(self) -> None:
        """Leave it to the benchmark, which stops its clock first."""


class Progress:
    """The time of the newest trial that is safe."""

    newest = (0.0, 0.0)

    def compiling(self, ended: int, missing: int) -> None:
        """Say nothing."""

    def began(self, total: int, recorded: int) -> None:
        """Say nothing."""

    def finished(self, row: dict[str, Any]) -> None:
        """Note the time."""
        self.newest = (perf_counter(), process_time())


def searched(study: Study, source: Source, inputs: Inputs, workers: str, database: Path) -> Taken:
    """Return what a search took by `workers`: ``one core``, so many threads, or ``ray``."""
    store = Store(database)
    register(store, study, source.text, inputs, source.path, StartAfresh.NEVER)
    cores = os.sched_getaffinity(0)
    start = perf_counter()
    if workers == "one core":
        os.sched_setaffinity(0, {max(cores)})  # threads that are made from now on inherit it
    try:
        executor: Executor
        if workers == "ray":
            executor = RayCluster(inputs.workloads, len(cores), None, [])
            while executor.ready < len(cores):
                executor.finished(0.01)
        else:
            executor = Threads(inputs.workloads, 1 if workers == "one core" else int(workers))
        start_s = perf_counter() - start
        timed, progress = Timed(executor), Progress()
        starting = Starting(lambda: timed, lambda: timed)
        try:
            run_study(study, inputs, store, starting, progress)
        finally:
            executor.close()
    finally:
        os.sched_setaffinity(0, cores)
    assert timed.began is not None
    (wall, cpu), (wall_at_end, cpu_at_end) = timed.began, progress.newest
    return Taken(start_s, wall_at_end - wall, cpu_at_end - cpu)


def found(database: Path) -> list[pa.Table]:
    """Return all that a run found."""
    with open_for_reading(database) as connection:
        return [connection.sql(f"SELECT {asked}").to_arrow_table() for asked in FOUND.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path, default=QUICKSTART)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sampler")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--ray", action="store_true")
    said = parser.parse_args()
    study, source = load_study(said.study)
    if said.sampler:
        sampler = study.sampler.model_copy(update={"name": said.sampler})
        study = study.model_copy(update={"sampler": sampler})
    study = study.model_copy(update={"n_trials": said.trials or study.n_trials})
    inputs = load_inputs(study, source)
    cores = len(os.sched_getaffinity(0))
    compile_all(loops_of(study), cores)
    ways = ["one core", str(cores), *(["ray"] if said.ray else [])]
    taken: dict[str, list[Taken]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        searched(study, source, inputs, str(cores), folder / "first.duckdb")
        expected = found(folder / "first.duckdb")
        for number in range(said.rounds):
            for way in ways:
                database = folder / f"{way}-{number}.duckdb"
                taken[way].append(searched(study, source, inputs, way, database))
                if found(database) != expected:
                    raise SystemExit(f"{way}: the tables differ from those of {cores} threads")
    print(f"{study.study}: {study.n_trials} trials by {study.sampler.name}, ", end="")
    print(f"{cores} cores, medians of {said.rounds} rounds, by turns; all tables are equal")
    print(f"{'':10}{'start':>8}{'search':>8}{'CPU':>8}")
    for way, runs in taken.items():
        start_s, search_s, cpu_s = map(statistics.median, zip(*runs, strict=True))
        print(f"{way:10}{start_s:8.2f}{search_s:8.2f}{cpu_s:8.2f}")
    print(f"one core / all: {_ratio(taken['one core'], taken[str(cores)]):.2f}")
    if said.ray:
        print(f"ray / threads: {_ratio(taken['ray'], taken[str(cores)]):.2f}, its start apart")


def _ratio(some: Sequence[Taken], others: Sequence[Taken]) -> float:
    """Return the median of the ratios of each round: what disturbs a round disturbs both."""
    pairs = zip(some, others, strict=True)
    return statistics.median(one.search_s / other.search_s for one, other in pairs)


if __name__ == "__main__":
    main()
