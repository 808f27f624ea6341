"""What a trial is worth over scenarios: its goals, its bounds, and why it can be worth nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_mistakes import changed
from worlds import MADE, TRACED, Row, rows_of, run

from sweep.engine.over_scenarios import Judge, Judged, mean_outcomes
from sweep.results import OUTCOME_COLUMNS, Store
from sweep.results.arrow import arrow_table
from sweep.study.goals import MAX_GOALS, goals_of
from sweep.study.model import Study
from sweep.study.read import parse_study
from sweep.study.worlds import worlds_of

NAMES = ("fast", "slow", "odd")
SCENARIOS = f"scenarios: [{', '.join(f'{{name: {name}}}' for name in NAMES)}]\n"
METRICS = ("time_saved_ns", "reservation_mean_ns", "hit_ratio", "restored")


def study_of(objectives: list[Row], constraints: list[Row] | None = None, more: str = "") -> Study:
    """Return the good study with other objectives, over scenarios unless `more` says otherwise."""
    text = changed(
        ("objectives:\n  - {metric: time_saved_ns, direction: maximize}\n",
         f"objectives: {json.dumps(objectives)}\nconstraints: {json.dumps(constraints or [])}\n")
    )  # fmt: skip
    return parse_study(text + (more or SCENARIOS), Path("s.yaml"))


def judged(study: Study, values: dict[str, list[Any]]) -> Judged:
    """Return what a trial is worth that has these outcomes in each scenario, and else zeros."""
    worlds = worlds_of(study)
    rows: list[Row] = [dict.fromkeys(OUTCOME_COLUMNS, 0) for _ in worlds]
    for metric, in_scenarios in values.items():
        for row, value in zip(rows, in_scenarios, strict=True):
            row[metric] = value
    return Judge(study)(rows)


numbers = st.lists(
    st.floats(-1e15, 1e15), min_size=len(NAMES), max_size=len(NAMES)
)  # fmt: skip
directions = st.sampled_from(["minimize", "maximize"])


@given(numbers, directions)
def test_worst_mean_and_each_are_what_they_say(values: list[float], direction: str) -> None:
    for over, expected in (
        ("worst", [max(values) if direction == "minimize" else min(values)]),
        ("mean", [sum(values) / len(values)]),
        ("each", values),
    ):
        study = study_of([{"metric": "hit_ratio", "direction": direction, "over": over}])
        assert judged(study, {"hit_ratio": values}).objectives == expected
    default = study_of([{"metric": "hit_ratio", "direction": direction}])
    assert [goal.over for goal in goals_of(default)] == ["worst"]


@given(numbers, st.tuples(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15)))
def test_a_bound_is_kept_if_it_is_kept_in_every_scenario(
    values: list[float], ends: tuple[float, float]
) -> None:
    lower, upper = sorted(ends)
    study = study_of(
        [{"metric": "stored", "direction": "minimize"}],
        [{"metric": "hit_ratio", "lower": lower, "upper": upper}, {"metric": "stale", "upper": 0}],
    )
    worth = judged(study, {"hit_ratio": values})
    # The scenario that is farthest beyond: upper before lower, in the order of the study.
    assert worth.violations == [
        max(value - upper for value in values), max(lower - value for value in values), 0.0,
    ]  # fmt: skip
    assert worth.feasible == all(lower <= value <= upper for value in values)
    assert worth.reason is None


def test_a_goal_is_called_by_what_it_is_of_several_scenarios() -> None:
    objectives = [
        {"metric": "time_saved_ns", "direction": "maximize", "over": "each"},
        {"metric": "stored", "direction": "minimize"},
    ]
    several, one = (
        goals_of(study_of(objectives, more=more)) for more in (SCENARIOS, "question: Why?\n")
    )
    assert [goal.name for goal in several] == [
        *(f"time_saved_ns in {name}" for name in NAMES), "worst stored",
    ]  # fmt: skip
    assert [goal.scenario for goal in several] == [*NAMES, None]
    assert [(goal.name, goal.scenario) for goal in one] == [
        ("time_saved_ns", None),
        ("stored", None),
    ]
    assert len(several) == MAX_GOALS


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.none() | st.integers(-100, 100), min_size=3, max_size=3), min_size=4,
             max_size=4),
    st.lists(st.sampled_from(["worst", "mean"]), min_size=4, max_size=4),
)  # fmt: skip
def test_no_value_in_one_scenario_fails_a_trial_and_names_the_scenario(
    table: list[list[int | None]], overs: list[str]
) -> None:
    objectives = [
        {"metric": metric, "direction": "minimize", "over": over}
        for metric, over in zip(METRICS[:3], overs, strict=False)
    ]
    study = study_of(objectives, [{"metric": METRICS[3], "upper": 0}])
    values = dict(zip(METRICS, table, strict=True))
    worth = judged(study, values)
    missing = [metric for metric in METRICS if None in values[metric]]
    if missing:
        first = NAMES[values[missing[0]].index(None)]
        assert worth.reason == f"{', '.join(missing)} has no value (NULL) in {first}"
    else:
        assert worth.reason is None
    for metric, objective in zip(METRICS, worth.objectives, strict=False):
        assert (objective is None) == (None in values[metric])
    assert (worth.violations == [None]) == (None in values[METRICS[3]])


@given(st.lists(st.integers(-(2**53), 2**53), min_size=3, max_size=3))
def test_an_outcome_of_a_trial_is_its_mean_over_the_scenarios(values: list[int]) -> None:
    columns = {"stored": [*values, 1, 2, 4], "hit_ratio": [0.5, None, 0.5, 0.25, 0.5, 0.75]}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    means = mean_outcomes(arrow_table("outcomes", rows), 3)
    assert means["stored"].to_pylist() == [round(sum(values) / 3), 2]
    assert means["hit_ratio"].to_pylist() == [None, 0.5]


#: The grid of cleancaches alone: what is timed of reservations has no value under the ideal.
CLEANCACHE = TRACED["policies"][:1]
OBJECTIVES = [
    {"metric": "time_saved_ns", "direction": "maximize"},
    {"metric": "reservation_mean_ns", "direction": "minimize"},
    {"metric": "read_ns", "direction": "minimize", "over": "mean"},
]


def test_a_study_records_what_its_outcomes_say(folder: Path, tmp_path: Path) -> None:
    scenarios = {"read_random_ns": [30_000, 250_000], "tag_block_size": ["4KiB", "64KiB"]}
    constraints = [
        {"metric": "reservation_mean_ns", "upper": 4000},
        {"metric": "restored", "lower": 9},
    ]
    study = TRACED | {
        "scenarios": scenarios, "objectives": OBJECTIVES, "constraints": constraints,
        "policies": CLEANCACHE,
    }  # fmt: skip
    database = run(folder, study, f"{tmp_path}/r.duckdb")
    by_policy: dict[tuple[str, int], list[Row]] = {}
    for row in rows_of(database, "outcomes"):
        by_policy.setdefault((row["role"], row["number"]), []).append(row)
    for row in rows_of(database, "trials"):
        mine = by_policy[row["role"], row["number"]]
        saved, latency, read = (
            [each[objective["metric"]] for each in mine] for objective in OBJECTIVES
        )
        if None in latency:  # a carve-out reserves nothing
            assert row["objectives"] == [min(saved), None, sum(read) / 4]
            assert row["violations"][0] is None
            assert row["state"] == "complete"
            continue
        assert row["objectives"] == [min(saved), max(latency), sum(read) / 4]
        assert len(set(latency)) > 1
        restored = [each["restored"] for each in mine]
        assert row["violations"] == [max(latency) - 4000, 9 - min(restored)]
        if row["role"] == "trial":
            assert row["feasible"] == (max(latency) <= 4000 and min(restored) >= 9)
        for name in ("restored", "time_saved_ns", "hit_ratio"):
            mean = sum(each[name] for each in mine) / 4
            assert row[name] == (round(mean) if name != "hit_ratio" else mean)
    ((goals,),) = [(row["goals"],) for row in Store(database).rows("SELECT goals FROM studies")]
    assert [goal["name"] for goal in goals] == [
        *("worst time_saved_ns", "worst reservation_mean_ns", "mean read_ns"),
    ]  # fmt: skip


def test_a_trial_without_a_value_in_one_scenario_fails_with_its_outcomes_kept(
    folder: Path, tmp_path: Path
) -> None:
    objectives = [{"metric": "atomic_reservation_p99_ns", "direction": "minimize"}]
    study = MADE | {"objectives": objectives, "scenarios": {"atomic_ratio": [0.5, 0.0]}}
    study |= {"workload": [{"synthetic": "kasan", "asks": 4000}], "policies": CLEANCACHE}
    database = run(folder, study, f"{tmp_path}/r.duckdb")
    rows = [row for row in rows_of(database, "trials") if row["role"] == "trial"]
    assert len(rows) == 4
    assert {(row["state"], row["reason"]) for row in rows} == {
        ("fail", "atomic_reservation_p99_ns has no value (NULL) in atomic_ratio 0.0")
    }
    assert all(row["stored"] is not None and row["feasible"] is None for row in rows)
    assert {re.sub(r"\d", "", str(row["objectives"])) for row in rows} == {"[None]"}
    values = {
        (row["scenario"], row["atomic_reservation_p99_ns"] is None)
        for row in rows_of(database, "outcomes") if row["role"] == "trial"
    }  # fmt: skip
    assert values == {("atomic_ratio 0.5", False), ("atomic_ratio 0.0", True)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import small_study

    made = tmp_path_factory.mktemp("goals")
    small_study.write_trace(made)
    return made
