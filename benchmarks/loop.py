"""The driver's own time a trial, beyond Optuna's: what a user waits for besides the simulator.

Usage: python benchmarks/loop.py [--trials N]

A study of random policies is run in this process on a capture's first events, so that replays are
short. Optuna's time is that of the same asks and tells with nothing around them; the replays' time
is that of the same batches alone. What is left is ours: candidates, keys, rows, flushes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

from core.evaluator import Evaluator
from core.event_files import read_events, write_events
from core.events import make_events
from sweep.engine.candidates import candidates
from sweep.engine.executor import InProcess
from sweep.engine.generations import run_study
from sweep.engine.inputs import load_inputs
from sweep.engine.over_scenarios import judge
from sweep.engine.register import StartAfresh, register
from sweep.engine.rows import evaluate
from sweep.engine.search import Search
from sweep.results import Store
from sweep.study.read import load_study
from sweep.study.worlds import worlds_of

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


class _Silent:
    def compiling(self, ended: int, missing: int) -> None:
        """Say nothing."""

    def began(self, total: int, recorded: int) -> None:
        """Say nothing."""

    def finished(self, row: dict[str, object]) -> None:
        """Say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = read_events(CAPTURE)
        columns = {key: column[:5000] for key, column in events.columns.items()}
        write_events(folder / "loop.parquet", make_events(columns, **events.about))
        path = folder / "loop.yaml"
        path.write_text(STUDY.format(trials=trials))
        study, source = load_study(path)
        inputs = load_inputs(study, source)
        worlds, size = worlds_of(study), study.generation

        search = Search(study)
        start = perf_counter()
        asked = [search.ask(i, size) for i in range(trials // size)]
        optuna_s = perf_counter() - start

        evaluator = Evaluator(inputs.workloads)
        batches = [
            [each for _, asks in generation for each in candidates(study, asks, worlds)]
            for generation in asked
        ]
        evaluate(evaluator, batches[0])
        start = perf_counter()
        outcomes = [evaluate(evaluator, batch) for batch in batches]
        replay_s = perf_counter() - start

        start = perf_counter()
        for generation, evaluated in zip(asked, outcomes, strict=True):
            for (number, _), result in zip(generation, evaluated, strict=True):
                judged = judge(study, worlds, [result])
                worth = {"objectives": judged.objectives, "violations": judged.violations}
                search.tell(number, worth)
        optuna_s += perf_counter() - start

        store = Store(folder / "loop.duckdb")
        register(store, study, source.text, inputs, path, StartAfresh.NEVER)
        start = perf_counter()
        run_study(study, inputs, store, lambda: InProcess(inputs.workloads), _Silent())
        whole_s = perf_counter() - start
    own_ms = (whole_s - optuna_s - replay_s) / trials * 1000
    print(f"{trials} trials: {whole_s:.2f} s in all")
    print(f"  Optuna {optuna_s / trials * 1000:.2f} ms a trial, replays {replay_s:.2f} s in all")
    print(f"  the driver's own: {own_ms:.2f} ms a trial")


if __name__ == "__main__":
    main()
