"""Verifying a study: recorded trials are replayed, and every value is held against what is stored.

The trials run anew into a database of their own, by the code that runs every study.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sweep.engine.alone import Alone
from sweep.engine.driver import Driver
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import Inputs
from sweep.engine.plugins import Plugins, load_plugins
from sweep.engine.recorded import Recorded, check_events
from sweep.engine.register import StartAfresh, register
from sweep.engine.retrying import trial_of
from sweep.engine.study_run import ready_inputs
from sweep.engine.threads import Threads, default_workers
from sweep.results import (
    Difference,
    Differences,
    Row,
    Rows,
    Store,
    find_differences,
    open_for_reading,
    read_rows,
)
from sweep.study.model import Study

_RECORDED_SQL = (
    "SELECT role, number, asked, core_digest, policy_key, objectives IS NOT NULL AS evaluated "
    "FROM trials WHERE study = ? ORDER BY role, number"
)


class OfSimulator(NamedTuple):
    """How far a replay of the rows that one simulator made is the same.

    Parameters
    ----------
    core_digest
        The digest of the simulator that made the stored rows.
    same
        Whether it is the simulator that replayed them: then a difference is a failure.
    differences
        What is different.
    """

    core_digest: str
    same: bool
    differences: Differences


def recorded_trials(rows: Rows) -> list[Row]:
    """Return what is to be known of the trials and baselines of a study to replay them."""
    with open_for_reading(rows.database) as connection:
        return read_rows(connection, _RECORDED_SQL, [rows.study])


def evaluated(trials: Sequence[Row]) -> list[Row]:
    """Return those that have outcomes; the others failed before they had any."""
    return [row for row in trials if row["evaluated"]]


def known_in(database: Path, trials: Sequence[Row]) -> int:
    """Return how many trials a database can look up, so that no run on it replays them."""
    if not database.exists():
        return 0
    with open_for_reading(database) as connection:
        rows = read_rows(connection, "SELECT DISTINCT policy_key FROM trials", [])
    keys = {row["policy_key"] for row in rows}
    return sum(row["policy_key"] in keys for row in trials)


def sample(trials: Sequence[Row], size: int, seed: int) -> list[Row]:
    """Return some of the trials, in their order: the same ones for the same seed."""
    chosen = random.Random(seed).sample(range(len(trials)), min(size, len(trials)))
    return [trials[place] for place in sorted(chosen)]


@contextmanager
def replayed(
    recorded: Recorded,
    trials: Sequence[Row],
    finished: Callable[[Row], None],
    note: Callable[[str], None],
) -> Iterator[tuple[Rows, str, list[Difference]]]:
    """Replay trials in this process, into a database that is gone afterwards.

    Parameters
    ----------
    recorded
        The study.
    trials
        Its trials and baselines, of `recorded_trials`.
    finished
        What is called with each new row of `trials`.
    note
        What is called with each line that the user should know of.

    Yields
    ------
    tuple of Rows, str and list of Difference
        The new rows; the digest of the simulator that made them; and the trials whose stored row
        says nothing that could be tried.
    """
    study, source = recorded.study, recorded.source
    plugins = load_plugins(source)
    inputs, _ = ready_inputs(study, source, note, plugins.code_digest())
    told = check_events(recorded, inputs)
    if told:
        note(told)
    with TemporaryDirectory(prefix="sweep-verify-") as folder:
        database = Path(folder) / "replayed.duckdb"
        store = Store(database)
        untried = _replay(study, recorded, inputs, plugins, store, trials, finished, note)
        yield Rows(database, study.study), inputs.code_digest, untried


def _replay(
    study: Study,
    recorded: Recorded,
    inputs: Inputs,
    plugins: Plugins,
    store: Store,
    rows: Sequence[Row],
    finished: Callable[[Row], None],
    note: Callable[[str], None],
) -> list[Difference]:
    path = recorded.source.path
    register(store, study, recorded.source.text, inputs, path, StartAfresh.NEVER)
    starting = Starting(
        lambda: Threads(inputs.workloads, default_workers()),
        lambda: Alone(inputs.workloads, plugins),
    )
    driver = Driver(study, inputs, store, starting, finished, note=note)
    untried = []
    try:
        for row in rows:
            try:
                driver.add([trial_of(study, driver.keys, row)])
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                place = (row["role"], row["number"], None, None)
                why = f"cannot be tried: {error}"
                untried.append(Difference("trials", *place, "asked", row["asked"], why))
            while not driver.hungry:
                driver.advance()
        while driver.busy:
            driver.advance()
    finally:
        driver.close()
    return untried


def differences_by_simulator(
    database: Rows,
    made: Rows,
    trials: Sequence[Row],
    core_digest: str,
    same_model: bool = True,
    made_is_stored: bool = False,
) -> list[OfSimulator]:
    """Return how far rows are the same, for each simulator that made some of the stored ones.

    Parameters
    ----------
    database, made, made_is_stored
        As for `sweep.results.find_differences`.
    trials
        The stored trials and baselines that are compared, of `recorded_trials`.
    core_digest
        The digest of the simulator that replayed them.
    same_model
        Whether both are of one version of the model.
    """
    by_digest: dict[str, list[tuple[str, int]]] = {}
    for row in trials:
        by_digest.setdefault(row["core_digest"] or "", []).append((row["role"], row["number"]))
    found = []
    for digest, chosen in by_digest.items():
        same = digest == core_digest and same_model
        differences = find_differences(
            database, made, chosen, made_is_stored=made_is_stored, outcomes_alone=not same
        )
        found.append(OfSimulator(digest, same, differences))
    return found
