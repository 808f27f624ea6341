"""What `runs` tells of a trial on a workload: its parts and phases, and what was recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import small_study
from inline_executors import Shuffled, nobody

from core.costs import COST_FIELDS
from core.event_files import read_events, write_events
from core.events import NO_PHASE, PHASE
from core.times import PARTS
from sweep.results import answer_query


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trace, a study, and the database that running it made."""
    made = tmp_path_factory.mktemp("columns")
    small_study.write_trace(made)
    path = small_study.write_study(made, n_trials=16)
    small_study.run(path, made / "results.duckdb")
    return made


@pytest.fixture
def database(folder: Path) -> Path:
    return folder / "results.duckdb"


def test_the_parts_of_a_run_add_up_to_the_whole(database: Path) -> None:
    whole = {
        "all_missed_read_ns": "time_saved_ns + read_ns + cpu_ns",
        "all_missed_wait_ns": "wait_saved_ns + wait_ns",
    }
    sums = [f"bool_and(list_sum(series_{name}) = {whole.get(name, name)})" for name in PARTS]
    points = [f"min(len(series_{name})) = 64" for name in PARTS]
    rows = answer_query(database, f"SELECT {', '.join(sums + points)}, count(*) FROM runs").rows
    assert rows == [(*[True] * 2 * len(PARTS), 18)]
    (nonzero,) = answer_query(
        database, f"SELECT {', '.join(f'max(list_max(series_{name}))' for name in PARTS)} FROM runs"
    ).rows
    assert all(value > 0 for value in nonzero)


@pytest.mark.parametrize("table", ["runs", "outcomes"])
@pytest.mark.parametrize("saving", ["time", "wait"])
def test_what_is_saved_is_the_sum_of_each_cost_times_how_often_it_is_in_it(
    database: Path, table: str, saving: str
) -> None:
    costs = ", ".join(f"'{name}': {name}" for name in COST_FIELDS)
    summed = (
        f"list_sum(list_transform(map_entries({saving}_saved_by_cost), "
        f"lambda of: of.value * (MAP {{{costs}}})[of.key]))"
    )
    sql = (
        f"SELECT coalesce({summed}, 0), {saving}_saved_ns FROM {table} "
        "JOIN scenarios USING (study, scenario)"
    )
    rows = answer_query(database, sql).rows
    assert len(rows) == 18
    assert len({saved_ns for _, saved_ns in rows}) > 2
    assert [summed for summed, _ in rows] == [saved_ns for _, saved_ns in rows]


def test_phases_come_back_in_order_and_add_up_to_the_whole_if_one_follows_another(
    database: Path,
) -> None:
    sql = (
        "SELECT role, number, list(phase.name), sum(phase.wait_ns), "
        "sum(phase.all_missed_wait_ns), min(phase.all_missed_wait_ns), any_value(wait_ns), "
        "any_value(wait_ns + wait_saved_ns) "
        "FROM (SELECT *, unnest(phases) AS phase FROM runs) GROUP BY ALL"
    )
    rows = answer_query(database, sql).rows
    assert len(rows) == 18
    for _, _, names, wait_ns, missed_ns, least_ns, whole_ns, whole_missed_ns in rows:
        assert tuple(names) == small_study.PHASES
        assert least_ns > 0
        # The first of them begins with the trace.
        assert (wait_ns, missed_ns) == (whole_ns, whole_missed_ns)
    # What is missed whatever the policy does is the same under every policy.
    assert len({row[4] for row in rows}) == 1
    assert len({row[3] for row in rows}) > 1


def test_what_lies_in_no_phase_is_told_of_none(folder: Path, tmp_path: Path) -> None:
    events = read_events(folder / "small.parquet")
    index = events.index.copy()
    index[np.flatnonzero(events.op == PHASE)[2]] = NO_PHASE
    write_events(tmp_path / "small.parquet", events._replace(index=index))
    small_study.run(small_study.write_study(tmp_path, n_trials=16), tmp_path / "results.duckdb")
    sql = "SELECT phases FROM runs ORDER BY role, number"
    cut, whole = (
        [phases for (phases,) in answer_query(place / "results.duckdb", sql).rows]
        for place in (tmp_path, folder)
    )
    # The third one has gone, and what belonged to it is in no other.
    assert cut == [[*phases[:2], *phases[3:]] for phases in whole]


def test_the_wait_of_an_occurrence_can_be_compared_between_policies(database: Path) -> None:
    sql = (
        "SELECT eviction, phase.name, median(phase.wait_ns) AS wait_ns FROM "
        "(SELECT study, role, number, unnest(phases) AS phase FROM runs) "
        "JOIN trials USING (study, role, number) GROUP BY ALL ORDER BY ALL"
    )
    assert {row[1] for row in answer_query(database, sql).rows} == {*small_study.PHASES}


def test_what_of_a_table_was_recorded_is_a_column(folder: Path, tmp_path: Path) -> None:
    sql = "SELECT DISTINCT requests, workingset, workingset_inferred_ratio, mapped FROM runs"
    events = read_events(folder / "small.parquet")
    path = small_study.write_study(tmp_path, n_trials=2)
    for changes, told in (
        ({}, ("recorded", "recorded", 0.0, "recorded")),
        ({"requests": False, "workingset_inferred_ratio": float("nan"), "mapped": False},
         ("guessed", "inferred", None, "unknown")),
        ({"workingset_inferred_ratio": 0.25}, ("recorded", "inferred", 0.25, "recorded")),
    ):  # fmt: skip
        database = tmp_path / f"{len(str(changes))}.duckdb"
        write_events(tmp_path / "small.parquet", events._replace(**changes))
        small_study.run(path, database)
        assert answer_query(database, sql).rows == [told]


def test_a_run_is_the_same_in_every_batch(folder: Path, database: Path) -> None:
    small_study.write_study(folder, n_trials=16)
    small_study.run(folder / "small.yaml", folder / "three.duckdb", Shuffled)
    assert small_study.tables(folder / "three.duckdb") == small_study.tables(database)


def test_a_run_that_is_looked_up_has_every_column_of_the_first(
    folder: Path, database: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(database, tmp_path / "results.duckdb"))
    path = small_study.write_study(folder, n_trials=16)
    path.write_text(path.read_text().replace("study: small", "study: again"))
    small_study.run(path, copy, nobody)
    sql = "SELECT * EXCLUDE study FROM runs WHERE study = '{}' ORDER BY role, number"
    again, first = (answer_query(copy, sql.format(name)).rows for name in ("again", "small"))
    assert again == first
