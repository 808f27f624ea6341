"""A small study on the beginning of a real capture, and ways to run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inline_executors import Inline

from core.event_files import read_events, write_events
from core.events import make_events
from sweep.engine.executor import Executor
from sweep.engine.generations import Progress, run_study
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import load_inputs
from sweep.engine.register import StartAfresh, note_ended, register
from sweep.engine.shards import Shard
from sweep.results import Store
from sweep.results.schema import TABLES
from sweep.study.model import Study
from sweep.study.read import load_study

CAPTURE = Path(__file__).parents[2] / "studies" / "traces" / "database-xfs-256w.parquet"

TEXT = """\
study: small
workload: [{{trace: small.parquet}}]
policy: {{eviction: lru}}
parameters: {parameters}
baselines: [{{system: carveout}}, {{preset: gcma}}]
objectives: {objectives}
constraints: {constraints}
sampler: {{name: {sampler}, seed: {seed}}}
n_trials: {n_trials}
generation: {generation}
"""
PARAMETERS = {
    "restore": "{type: categorical, choices: [inclusive, exclusive]}",
    "drop": "{type: categorical, choices: [page, folio]}",
    "folio_order": "{type: int, low: 0, high: 4}",
    "headroom": "{type: float, low: 0.0, high: 0.5, step: 0.125}",
}
ONE_OBJECTIVE = "[{metric: time_saved_ns, direction: maximize}]"
TWO_OBJECTIVES = (
    "[{metric: refault_hit_ratio, direction: maximize}, {metric: stored, direction: minimize}]"
)
RESTORED_BOUND = "[{metric: restored, lower: 280}]"


#: The occurrences of phases in the trace that `write_trace` writes.
PHASES = ("start", "sqlA1", "scan1", "grep1", "sqlB1", "tar1")


def write_trace(folder: Path, rows: int = 40_000) -> None:
    """Write the first rows of the capture: enough for refaults and collateral to occur.

    What the kernel counted of the whole capture says nothing of its beginning.
    """
    events = read_events(CAPTURE)
    columns = {name: column[:rows] for name, column in events.columns.items()}
    write_events(folder / "small.parquet", make_events(columns, **events.about | {"checks": ()}))


def write_study(
    folder: Path,
    sampler: str = "random",
    n_trials: int = 30,
    objectives: str = ONE_OBJECTIVE,
    constraints: str = "[]",
    without: Sequence[str] = (),
    generation: int = 8,
    seed: int = 5,
    **changed: str,
) -> Path:
    """Write a study into `folder`, whose trace must be there."""
    chosen = {name: text for name, text in (PARAMETERS | changed).items() if name not in without}
    parameters = "{" + ", ".join(f"{name}: {text}" for name, text in chosen.items()) + "}"
    path = folder / "small.yaml"
    path.write_text(
        TEXT.format(
            parameters=parameters,
            objectives=objectives,
            constraints=constraints,
            sampler=sampler,
            n_trials=n_trials,
            generation=generation,
            seed=seed,
        )
    )
    return path


class Silent:
    """Progress that nobody looks at."""

    def compiling(self, ended: int, missing: int) -> None:
        """Say nothing."""

    def making(self, workload: str, done: int, total: int) -> None:
        """Say nothing."""

    def began(self, total: int, recorded: int) -> None:
        self.recorded = recorded

    def finished(self, row: dict[str, Any]) -> None:
        """Say nothing."""


def starting(workloads: Any, make: Callable[[Any], Executor] = Inline) -> Starting:
    """Return what starts an executor of a test, and for suspects another one, that isolates."""

    def alone() -> Executor:
        executor = make(workloads)
        executor.isolates = True
        return executor

    return Starting(lambda: make(workloads), alone)


def run(
    path: Path,
    database: Path,
    make: Callable[[Any], Executor] = Inline,
    progress: Progress | None = None,
    shard: Shard | None = None,
    retry_failed: bool = False,
    note: Callable[[str], None] = lambda line: None,
) -> Study:
    """Run a study, or a share of it, to its end."""
    study, source = load_study(path)
    inputs = load_inputs(study, source)
    store = Store(database)
    register(store, study, source.text, inputs, path, StartAfresh.NEVER)
    start = starting(inputs.workloads, make)
    progress = progress or Silent()
    more = {"shard": shard, "note": note, "retry_failed": retry_failed}
    why = run_study(study, inputs, store, start, progress, **more)  # type: ignore[arg-type]
    note_ended(store, study, why, None)
    return study


VARYING = ("finished_at", "host")


def tables(database: Path, varying: tuple[str, ...] = VARYING) -> dict[str, list[dict[str, Any]]]:
    """Return what became of trials in a database but for what varies from run to run."""
    store = Store(database)
    rows_of = {}
    for table in ("scenarios", "trials", "outcomes", "runs"):
        rows = store.rows(f"SELECT * FROM {table} ORDER BY {', '.join(TABLES[table].key)}")
        rows_of[table] = [
            {name: value for name, value in row.items() if name not in varying} for row in rows
        ]
    return rows_of
