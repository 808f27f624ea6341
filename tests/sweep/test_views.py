"""The views of a database answer what a search through its tables by hand answers."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from database_processes import trial

from core.costs import COST_FIELDS
from core.outcomes import UNITS
from core.policy import POLICY_FIELDS
from sweep.results import Store, answer_query
from sweep.results.questions import best_sql
from sweep.results.schema import TABLES
from sweep.results.views import LEADERS, VIEWS
from sweep.study.goals import MAX_GOALS
from sweep.study.read import parse_study

Row = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.duckdb"


def goals_of(directions: tuple[str, ...]) -> list[Row]:
    return [
        {"name": f"goal {place}", "metric": "stored", "direction": direction, "over": "worst",
         "scenario": None}
        for place, direction in enumerate(directions)
    ]  # fmt: skip


def enter(store: Store, study: str, directions: tuple[str, ...], n_trials: int = 100) -> None:
    text = {"yaml": "", "identity": "{}", "n_trials": n_trials, "model_version": 2}
    store.add("studies", {"study": study, "goals": goals_of(directions)} | text)


def beats(one: Row, other: Row, signs: list[int]) -> bool:
    """Return whether a trial is as good as another one in every goal, and better in one."""
    losses = [
        (sign * mine, sign * its)
        for sign, mine, its in zip(signs, one["objectives"], other["objectives"], strict=True)
    ]
    return all(mine <= its for mine, its in losses) and any(mine < its for mine, its in losses)


#: Tables of random values, from few distinct ones, which tie often, to all different.
TABLES_OF_TRIALS = [
    (goals, count, distinct)
    for goals in range(1, MAX_GOALS + 1)
    for count, distinct in ((1, 2), (40, 3), (150, 8), (LEADERS + 250, 10_000))
]


@pytest.mark.parametrize(("goals", "count", "distinct"), TABLES_OF_TRIALS)
def test_the_best_trials_are_those_that_no_other_one_beats(
    path: Path, goals: int, count: int, distinct: int
) -> None:
    chance = random.Random(f"{goals} {count}")
    store = Store(path)
    rows: dict[str, list[Row]] = {}
    # Studies of other goals in the same tables do not mix.
    for study in ("one", "two"):
        directions = tuple(chance.choice(["minimize", "maximize"]) for _ in range(goals))
        enter(store, study, directions)
        rows[study] = []
        for number in range(count):
            values = [float(chance.randrange(distinct)) - distinct / 2 for _ in range(goals)]
            row = trial(number, feasible=True, attainable=True, objectives=values)
            row |= {"study": study} | chance.choice(UNUSABLE if chance.random() < 0.2 else [{}])
            store.add("trials", row)
            usable = row["state"] == "complete" and row["role"] == "trial" and row["feasible"]
            if usable and row["attainable"] is not False:
                rows[study].append(
                    row | {"signs": [1 if d == "minimize" else -1 for d in directions]}
                )
    store.flush()
    found = answer_query(path, "SELECT study, number FROM best_trials ORDER BY ALL").rows
    expected = [
        (study, row["number"])
        for study, of_study in rows.items()
        for row in of_study
        if not any(beats(other, row, row["signs"]) for other in of_study)
    ]
    assert found == expected


#: What of a trial keeps it from being the best; a trial of an earlier version has no `attainable`.
UNUSABLE: list[Row] = [
    {"state": "fail", "objectives": [None] * MAX_GOALS, "feasible": None},
    {"feasible": False}, {"attainable": False}, {"role": "baseline", "feasible": None},
    {"attainable": None},
]  # fmt: skip


def test_the_best_trials_come_best_first(path: Path) -> None:
    store = Store(path)
    enter(store, "s", ("maximize", "minimize"))
    points = [(1.0, 1.0), (3.0, 5.0), (2.0, 3.0), (3.0, 5.0), (2.0, 4.0)]
    for number, point in enumerate(points):
        store.add("trials", trial(number, feasible=True, objectives=list(point)))
    store.flush()
    assert answer_query(path, "SELECT number FROM best_trials").rows == [(1,), (3,), (2,), (0,)]


def test_the_front_of_twenty_thousand_is_found_in_seconds(path: Path) -> None:
    store = Store(path)
    enter(store, "s", ("maximize", "minimize"))
    store.add("trials", trial(0, feasible=True, objectives=[-1.0, 1e9]))
    store.flush()
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO trials SELECT * REPLACE (copy AS number, "
            "[hash(copy, 1) % 1000003, hash(copy, 2) % 1000003]::DOUBLE[] AS objectives) "
            "FROM trials, (SELECT unnest(range(1, 20001)) AS copy)".replace("SELECT *", "SELECT * "
            "EXCLUDE (copy)")
        )  # fmt: skip
        points = connection.execute(
            "SELECT objectives[1], objectives[2], number FROM trials "
            "ORDER BY objectives[1] DESC, objectives[2], number"
        ).fetchall()
    front = [point for point, best in zip(points, itertools.accumulate(
        (point[1] for point in points), min), strict=True) if point[1] == best]  # fmt: skip
    expected = [
        point for place, point in enumerate(front)
        if place == 0 or point[1] < front[place - 1][1] or point[:2] == front[place - 1][:2]
    ]  # fmt: skip
    found = answer_query(path, "SELECT number FROM best_trials").rows
    assert [number for (number,) in found] == [number for *_, number in expected]


STUDY = """\
study: s
workload: [{trace: a.parquet}]
parameters: {folio_order: {type: int, low: 0, high: 3}}
objectives:
  - {metric: time_saved_ns, direction: maximize}
  - {metric: stored, direction: minimize}
sampler: {name: random}
n_trials: 9
"""


def test_what_is_shown_of_the_best_counts_their_ties(path: Path) -> None:
    study = parse_study(STUDY, Path("s.yaml"))
    store = Store(path)
    enter(store, "s", ("maximize", "minimize"))
    for number, point in enumerate([(1.0, 1.0), (3.0, 5.0), (3.0, 5.0), (1.0, 1.0), (3.0, 5.0)]):
        store.add("trials", trial(number, feasible=True, objectives=list(point)))
    store.flush()
    sql = best_sql(study, 10).replace("$1", "'s'")
    rows = store.rows(sql)
    assert [(row["number"], row["ties"]) for row in rows] == [(1, 3), (0, 2)]
    assert len(store.rows(best_sql(study, 1).replace("$1", "'s'"))) == 1


def test_the_status_counts_what_is_done(path: Path) -> None:
    store = Store(path)
    assert answer_query(path, "FROM study_status").rows == []
    enter(store, "nothing", ("minimize",), 7)
    enter(store, "s", ("minimize",), 9)
    for number, (state, key, feasible) in enumerate([
        ("complete", "a", True), ("complete", "a", True), ("complete", "b", False),
        ("fail", "c", None),
    ]):  # fmt: skip
        store.add("trials", trial(number, feasible=feasible) | {"state": state, "policy_key": key})
    store.add("trials", trial(0) | {"role": "baseline"})
    store.add("trials", trial(1) | {"role": "baseline", "state": "fail"})
    store.flush()
    columns = (
        "study, n_trials, complete, failed, feasible, baselines, failed_baselines, "
        "distinct_policies"
    )
    assert answer_query(path, f"SELECT {columns} FROM study_status").rows == [
        ("nothing", 7, 0, 0, 0, 0, 0, 0), ("s", 9, 3, 1, 2, 1, 1, 2),
    ]  # fmt: skip


def test_every_column_says_what_it_means_with_its_unit(path: Path) -> None:
    Store(path)
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() "
            "WHERE schema_name = 'main' AND NOT internal"
        ).fetchall()
    said = {(table, column): comment for table, column, comment in rows if table not in VIEWS}
    assert said.keys() == {
        (name, column) for name, table in TABLES.items() for column in table.columns
    }
    for place, comment in said.items():
        assert comment, place
        assert "\n" not in comment
        assert comment == comment.strip()
    # The same name is the same thing in every table.
    for name in (*UNITS, *COST_FIELDS, *POLICY_FIELDS):
        comments = {comment for (_, column), comment in said.items() if column == name}
        assert len(comments) == 1, name
        unit = UNITS.get(name, "ns" if name in COST_FIELDS else "")
        if unit:
            assert f"({unit}" in comments.pop(), name


def test_a_column_of_an_earlier_database_is_commented_on_too(path: Path) -> None:
    Store(path)
    with duckdb.connect(str(path)) as connection:
        for view in VIEWS:
            connection.execute(f"DROP VIEW {view}")
        connection.execute("ALTER TABLE trials DROP objectives")
    sql = "SELECT comment FROM duckdb_columns() WHERE column_name = 'objectives'"
    store = Store(path)
    store.add("trials", trial(0))
    store.flush()
    with duckdb.connect(str(path), read_only=True) as connection:
        comments = connection.execute(f"{sql} AND table_name = 'trials'").fetchall()
    assert comments == [("the values of the study's goals, in their order",)]
