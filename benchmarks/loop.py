"""The driver's own time a trial, beyond Optuna's: what a run does besides replaying.

Usage: python benchmarks/loop.py [--trials N]

A study of random policies is run with one worker on a capture's first events, so that replays are
short. What is told is the processor time of the driver's thread: candidates, keys, batches, rows,
the spool, the database. Optuna's is that of the same asks and tells with nothing around them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter, thread_time

from core.event_files import read_events, write_events
from core.events import make_events
from sweep.engine.generations import run_study
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import Inputs, load_inputs
from sweep.engine.register import StartAfresh, register
from sweep.engine.search import Search
from sweep.engine.threads import Threads
from sweep.results import Store
from sweep.study.model import Study
from sweep.study.read import load_study
from sweep.study.yaml_source import Source

CAPTURE = Path(__file__).parent.parent / "studies" / "traces" / "database-mglru-256w.parquet"
STUDY = """
study: loop
workload: {{trace: loop.parquet}}
parameters:
  admission: {{type: categorical, choices: [all, workingset]}}
  headroom: {{type: float, low: 0.0, high: 0.9}}
  folio_order: {{type: int, low: 0, high: 9}}
objectives: [{{metric: time_saved_ns, direction: maximize}}]
sampler: {{name: random, seed: 1}}
n_trials: {trials}
"""
REPEATS = 5


class _Silent:
    def compiling(self, ended: int, missing: int) -> None:
        """Say nothing."""

    def began(self, total: int, recorded: int) -> None:
        """Say nothing."""

    def finished(self, row: dict[str, object]) -> None:
        """Say nothing."""


def write_study(folder: Path, trials: int) -> Path:
    """Write the study, and the beginning of a capture that it runs on."""
    events = read_events(CAPTURE)
    columns = {key: column[:5000] for key, column in events.columns.items()}
    write_events(folder / "loop.parquet", make_events(columns, **events.about | {"checks": ()}))
    path = folder / "loop.yaml"
    path.write_text(STUDY.format(trials=trials))
    return path


def searched_s(study: Study, trials: int) -> float:
    """Return the processor time of a study's asks and tells alone."""
    search = Search(study)
    start = thread_time()
    for generation, first in enumerate(range(0, trials, study.generation)):
        number = min(study.generation, trials - first)
        for k, _ in search.ask(generation, number):
            search.tell(k, {"objectives": [float(k)], "violations": []})
    return thread_time() - start


def run_s(study: Study, source: Source, inputs: Inputs, database: Path) -> tuple[float, float]:
    """Return the processor time of the driver's thread in a run, and the time that it took."""
    store = Store(database)
    register(store, study, source.text, inputs, source.path, StartAfresh.NEVER)
    starting = Starting(lambda: Threads(inputs.workloads), lambda: Threads(inputs.workloads))
    start, wall = thread_time(), perf_counter()
    run_study(study, inputs, store, starting, _Silent())
    return thread_time() - start, perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, source = load_study(write_study(folder, trials))
        inputs = load_inputs(study, source)
        run_s(study, source, inputs, folder / "warm.duckdb")
        searched, driven = [], []
        for number in range(REPEATS):
            searched.append(searched_s(study, trials))
            driven.append(run_s(study, source, inputs, folder / f"{number}.duckdb"))
    optuna_s = sorted(searched)[REPEATS // 2]
    driver_s, wall_s = sorted(driven)[REPEATS // 2]
    print(f"{trials} trials in {wall_s:.2f} s (medians of {REPEATS})")
    print(f"  the driver's thread: {driver_s / trials * 1000:.3f} ms a trial")
    print(f"  Optuna's part: {optuna_s / trials * 1000:.3f} ms a trial")
    print(f"  the driver's own: {(driver_s - optuna_s) / trials * 1000:.3f} ms a trial")


if __name__ == "__main__":
    main()
