"""Scenarios: every policy runs in each of them, as it would in a study of that world alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import small_study
import worlds
from inline_executors import Counting, Interrupted, Shuffled
from worlds import MADE, TRACED, Row, Section, rows_of, run

import core.evaluator
from core.accesses import write_accesses
from core.workload.synthetic import parameters_of, synthesise
from sweep.results import Store, answer_query
from sweep.study.worlds import AS_GIVEN, scenarios_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("worlds")
    small_study.write_trace(made)
    scan = parameters_of("scan_loop") | {"asks": 3000, "tagged_ratio": 0.0}
    write_accesses(made / "scan.parquet", synthesise("scan_loop", scan, 1, 4096, 4096))
    return made


ZSWAP = {"policy": {"system": "zswap"}, "parameters": {"headroom": {
    "type": "categorical", "choices": [0.0, 0.25]}}}  # fmt: skip
SCANNED = MADE | {"workload": [{"accesses": "scan.parquet"}]}
#: Studies, and the scenarios that they are tried in.
OVER: dict[str, tuple[Section, Any]] = {
    "single costs": (TRACED, {"read_random_ns": [52_000, 250_000], "lookup_ns": [0, 900]}),
    "presets of costs": (TRACED, {"costs": ["ufs_phone", "emmc_phone"]}),
    "tag blocks": (TRACED, {"tag_block_size": ["4KiB", "32KiB"], "read_random_ns": 90_000}),
    "guests": (TRACED, {"guest_ratio": [0.25, 0.5], "guests": ["pkvm"]}),
    "seeds": (TRACED, {"seed": [1, 2]}),
    "named": (TRACED, [
        {"name": "plain"}, {"name": "slow", "costs": "emmc_phone", "tag_block_size": "16KiB"},
        {"name": "guests", "guest_ratio": 0.25, "lookup_ns": 5}]),
    "compression": (TRACED | {"policies": [ZSWAP, *TRACED["policies"]]},
                    {"compression_ratio": [2.0, 4.0]}),
    "zram": (MADE | {"machine": {"data_memory": "32MiB"}}, {"zram_size": ["8MiB", "16MiB"]}),
    "memories": (SCANNED | {"machine": {}}, {"data_memory": ["16MiB", "32MiB"]}),
    "pages": (MADE, {"page_size": ["4KiB", "16KiB"]}),
    "tagged heaps": (SCANNED, {"tagged_ratio": [0.0, 0.1], "tag_block_size": ["4KiB", "16KiB"]}),
}  # fmt: skip


@pytest.mark.parametrize("what", OVER)
def test_a_scenario_is_what_a_study_of_that_world_alone_is(
    what: str, folder: Path, tmp_path: Path
) -> None:
    study, scenarios = OVER[what]
    whole = run(folder, study | {"scenarios": scenarios}, f"{tmp_path}/whole.duckdb")
    named = scenarios_of(scenarios)
    assert [row["scenario"] for row in Store(whole).rows("FROM scenarios ORDER BY place")] == [
        name for name, _ in named
    ]
    by_table = {table: rows_of(whole, table) for table in ("outcomes", "runs")}
    for place, (name, values) in enumerate(named):
        alone = run(folder, worlds.in_one_world(study, values), f"{tmp_path}/{place}.duckdb")
        for table, rows in by_table.items():
            mine = [row | {"scenario": AS_GIVEN} for row in rows if row["scenario"] == name]
            # A carve-out, an ideal, two or four policies, and the design that was posted.
            assert mine == rows_of(alone, table)
            assert len(mine) >= 7
        columns = Store(alone).rows("FROM scenarios")[0].keys() - {"scenario", "place"}
        (here,), (there,) = (
            Store(database).rows(f"FROM scenarios WHERE scenario = '{called}'")
            for database, called in ((whole, name), (alone, AS_GIVEN))
        )
        assert {key: here[key] for key in columns} == {key: there[key] for key in columns}
    # The worlds differ in what becomes of policies.
    several = {
        json.dumps([row for row in by_table["outcomes"] if row["scenario"] == name], default=str)
        for name, _ in named
    }
    assert len(several) == len(named)


def test_every_policy_and_baseline_runs_in_every_scenario(folder: Path, tmp_path: Path) -> None:
    scenarios = {"read_random_ns": [52_000, 250_000], "tag_block_size": ["4KiB", "32KiB"]}
    database = run(folder, TRACED | {"scenarios": scenarios}, f"{tmp_path}/r.duckdb")
    names = [name for name, _ in scenarios_of(scenarios)]
    assert names[0] == "read_random_ns 52000, tag_block_size 4KiB"
    places = [("baseline", 0), ("baseline", 1), *(("trial", n) for n in (0, 1, 2, 4, 6))]
    assert [(row["role"], row["number"]) for row in rows_of(database, "trials")] == places
    for table in ("outcomes", "runs"):
        rows = rows_of(database, table)
        found = [((row["role"], row["number"]), row["scenario"]) for row in rows]
        assert found == [(place, name) for place in places for name in names]
    sql = "SELECT scenario, read_random_ns, tag_block_size FROM scenarios ORDER BY place"
    assert answer_query(database, sql).rows == [
        (name, read_ns, size)
        for name, (read_ns, size) in zip(
            names,
            [(52_000, 4096), (52_000, 32_768), (250_000, 4096), (250_000, 32_768)],
            strict=True,
        )
    ]


def test_a_study_that_names_no_scenario_has_one(folder: Path, tmp_path: Path) -> None:
    for number, scenarios in enumerate([None, {}, {"lookup_ns": 120}, {"lookup_ns": [120]}]):
        study = TRACED if scenarios is None else TRACED | {"scenarios": scenarios}
        database = run(folder, study, f"{tmp_path}/{number}.duckdb")
        rows = Store(database).rows("SELECT scenario, place, lookup_ns FROM scenarios")
        assert rows == [{"scenario": AS_GIVEN, "place": 0, "lookup_ns": 120}]
        assert {row["scenario"] for row in rows_of(database, "runs")} == {AS_GIVEN}


def lanes_replayed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the lanes of each replay."""
    lanes: list[int] = []
    replay = core.evaluator.replay_timeline

    def count(timeline: Any, machine: Any, policies: Any, **named: Any) -> Any:
        lanes.append(policies.size)
        return replay(timeline, machine, policies, **named)

    monkeypatch.setattr(core.evaluator, "replay_timeline", count)
    return lanes


#: What of `outcomes` costs decide: all that is a time, or is made of times.
DECIDED_BY_COSTS = ("_ns", "share_of_ideal", "wait_saved_ratio", "time_saved_ratio")


def test_scenarios_of_other_costs_are_one_replay_and_its_integers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = lanes_replayed(monkeypatch)
    run(folder, TRACED, f"{tmp_path}/one.duckdb")
    alone = sum(lanes)
    # Seven policies; the two baselines, the grid and the ideal are asked for in turn.
    assert alone == 7
    lanes.clear()
    scenarios = {"read_random_ns": [30_000, 52_000, 250_000], "lookup_ns": [0, 900]}
    database = run(folder, TRACED | {"scenarios": scenarios}, f"{tmp_path}/six.duckdb")
    assert sum(lanes) == alone
    by_policy: dict[tuple[str, int], list[Row]] = {}
    for row in rows_of(database, "outcomes"):
        by_policy.setdefault((row["role"], row["number"]), []).append(row)
    for rows in by_policy.values():
        assert len(rows) == 6
        counts = [
            {
                name: value for name, value in row.items()
                if name != "scenario" and not name.endswith(DECIDED_BY_COSTS)
            }
            for row in rows
        ]  # fmt: skip
        assert counts == counts[:1] * 6
        assert counts[0]["time_saved_by_cost"] is not None
    lanes.clear()
    sizes = {"tag_block_size": ["4KiB", "32KiB"], "read_random_ns": [52_000, 250_000]}
    run(folder, TRACED | {"scenarios": sizes}, f"{tmp_path}/sizes.duckdb")
    assert sum(lanes) == 2 * alone


def test_policies_alike_in_all_that_is_read_are_replayed_once(folder: Path, tmp_path: Path) -> None:
    choices = {"type": "categorical", "choices": ["ideal", "cleancache", "carveout"]}
    grid = {"system": choices, "eviction": {"type": "categorical", "choices": ["lru", "fifo"]}}
    study = {name: TRACED[name] for name in TRACED if name not in ("policies", "baselines")}
    study |= {"parameters": grid, "scenarios": {"lookup_ns": [0, 900]}}
    executors: list[Counting] = []

    def make(workloads: Any) -> Counting:
        executors.append(Counting(workloads))
        return executors[-1]

    database = run(folder, study, f"{tmp_path}/alike.duckdb", make)
    # Two of cleancache, one ideal and one carve-out, in two scenarios each.
    assert len(executors[0].asked) == 8
    rows = rows_of(database, "trials")
    # What a system does not read is NULL; what the sampler asked for is as it was asked.
    read_and_asked = [
        (row["system"], row["eviction"], json.loads(row["asked"])["eviction"]) for row in rows
    ]
    assert read_and_asked == [
        ("ideal", None, "lru"), ("ideal", None, "fifo"),
        ("cleancache", "lru", "lru"), ("cleancache", "fifo", "fifo"),
        ("carveout", None, "lru"), ("carveout", None, "fifo"),
    ]  # fmt: skip
    assert len({row["policy_key"] for row in rows}) == 4
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        if one["system"] != "cleancache":
            assert one["policy_key"] == other["policy_key"]
            assert one["objectives"] == other["objectives"]
    read = {
        row["system"]: {name for name, value in row.items() if value is not None} for row in rows
    }
    assert {"eviction", "admission", "folio_order", "headroom"} <= read["cleancache"]
    assert not {"eviction", "admission", "folio_order", "headroom", "use"} & read["carveout"]
    assert [row["attainable"] for row in rows] == [False, False, True, True, True, True]


SEARCHED: Section = {name: TRACED[name] for name in TRACED if name != "policies"} | {
    "parameters": {
        "folio_order": {"type": "int", "low": 0, "high": 4},
        "headroom": {"type": "float", "low": 0.0, "high": 0.5},
    },
    "scenarios": {"read_random_ns": [52_000, 250_000], "tag_block_size": ["4KiB", "32KiB"]},
    "objectives": [
        {"metric": "time_saved_ns", "direction": "maximize"},
        {"metric": "reservation_mean_ns", "direction": "minimize", "over": "mean"},
    ],
    "constraints": [{"metric": "restored", "lower": 100}],
    "sampler": {"name": "tpe", "seed": 2},
    "n_trials": 20,
    "generation": 8,
}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_study_over_scenarios_is_the_same_however_it_is_run(
    folder: Path, tmp_path: Path, sampler: str
) -> None:
    study = SEARCHED | {"sampler": {"name": sampler, "seed": 2}}
    expected = small_study.tables(run(folder, study, f"{tmp_path}/whole.duckdb"))
    assert [len(rows) for rows in expected.values()] == [4, 22, 88, 88]
    other = run(folder, study, f"{tmp_path}/three.duckdb", Shuffled)
    assert small_study.tables(other) == expected
    run(folder, study | {"n_trials": 5}, f"{tmp_path}/stopped.duckdb")
    with pytest.raises(KeyboardInterrupt):
        run(folder, study, f"{tmp_path}/stopped.duckdb",
            lambda workloads: Interrupted(workloads, 1))  # fmt: skip
    stopped = run(folder, study, f"{tmp_path}/stopped.duckdb")
    assert small_study.tables(stopped) == expected


def test_a_study_of_other_scenarios_is_another_study(folder: Path, tmp_path: Path) -> None:
    from sweep.engine.register import StudyChangedError

    scenarios = {"lookup_ns": [0, 900]}
    database = run(folder, TRACED | {"scenarios": scenarios}, f"{tmp_path}/r.duckdb")
    for other in ({"lookup_ns": [0, 901]}, {"lookup_ns": [0]}, [{"name": "a", "lookup_ns": 0}]):
        with pytest.raises(StudyChangedError, match="scenarios"):
            run(folder, TRACED | {"scenarios": other}, str(database))
