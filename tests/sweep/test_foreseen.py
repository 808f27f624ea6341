"""What a study can never say is told before it runs, and a dry run tells what it would take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import CommandInThisProcess, say
from study_mistakes import GOOD, changed, mistakes

from sweep.engine.foreseen import foreseen_warnings
from sweep.study.points import distinct_points, points_by_system
from sweep.study.read import validate_source
from sweep.study.yaml_source import parse_source

STUDIES = Path(__file__).parents[2] / "studies"
OBJECTIVE = "{metric: time_saved_ns, direction: maximize}"
SMALL = """\
study: small
workload: [{synthetic: zipf, asks: 2000, tagged_ratio: 0.1}]
machine: {data_memory: 64MiB}
parameters:
  eviction: {type: categorical, choices: [lru, none]}
  folio_order: {type: int, low: 0, high: 1}
objectives: [{metric: time_saved_ns, direction: maximize}]
sampler: {name: random, seed: 1}
n_trials: 4
"""
SYSTEMS = """\
policies:
  - policy: {system: SYSTEM}
"""


def of_system(system: str, metric: str, baseline: str = "carveout") -> str:
    """Return a study of one policy of a system."""
    parameters = GOOD[GOOD.index("parameters") : GOOD.index("objectives")]
    return changed(
        (parameters, SYSTEMS.replace("SYSTEM", system) + f"baselines: [{{system: {baseline}}}]\n"),
        (OBJECTIVE, f"{{metric: {metric}, direction: minimize}}"),
    )


def warnings(text: str) -> list[str]:
    """Return what is warned of in a study: ``line:column: message``."""
    path = STUDIES / "s.yaml"
    source = parse_source(path, text)
    study = validate_source(source)
    return [line.removeprefix(f"{path}:") for line in foreseen_warnings(study, source)]


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    """Return the command."""
    return CommandInThisProcess(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("system", "metric"),
    [
        ("carveout", "reservation_p99_ns"),
        ("ideal", "atomic_reservation_max_ns"),
        ("ideal", "collateral_ratio"),
        ("tmem", "reservation_mean_ns"),
        ("tmem", "amplification"),
    ],
)
def test_a_metric_that_a_system_never_has_is_refused_at_its_line(system: str, metric: str) -> None:
    (line,) = mistakes(of_system(system, metric))
    assert line.startswith("7:14: ")
    assert f"{metric} never has a value under {system}" in line
    assert mistakes(of_system("cleancache", metric, baseline=system)) == []


def test_one_system_of_several_is_refused_and_can_be_a_baseline() -> None:
    text = changed(
        ("{type: categorical, choices: [fifo, lru]}", "{type: categorical, choices: [fifo]}"),
        ("parameters:", "parameters:\n  system: {type: categorical, choices: [cleancache, tmem]}"),
        ("sampler:", "constraints: [{metric: reservation_p99_ns, upper: 5}]\nsampler:"),
    )
    (line,) = mistakes(text)
    assert "reservation_p99_ns never has a value under tmem" in line
    assert "make tmem a baseline" in line


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (OBJECTIVE, "{metric: migrations, direction: minimize}", "7:14: migrations"),
        (OBJECTIVE, "{metric: collateral, direction: minimize}", "7:14: collateral"),
        (OBJECTIVE, "{metric: bypassed, direction: minimize}", "7:14: bypassed"),
        (OBJECTIVE, "{metric: metadata_bytes, direction: minimize}", "7:14: metadata_bytes"),
        (OBJECTIVE, "{metric: peak_reserved, direction: minimize}", "7:14: peak_reserved"),
    ],
)
def test_a_metric_that_no_policy_changes_is_warned_of(old: str, new: str, told: str) -> None:
    (line,) = warnings(changed((old, new)))
    assert line.startswith(f"{told} cannot differ between the trials")


@pytest.mark.parametrize(
    ("metric", "parameter"),
    [
        ("collateral", "drop: {type: categorical, choices: [page, folio]}"),
        ("bypassed", "lookup: {type: categorical, choices: [each, prefix]}"),
        ("metadata_bytes", "metadata: {type: categorical, choices: [memmap, compact]}"),
        (
            "peak_reserved",
            "tagged_placement: {type: categorical, choices: [recorded, reserved_first]}",
        ),
        ("reservation_p99_ns", "headroom: {type: float, low: 0, high: 0.5}"),
    ],
)
def test_a_metric_that_something_searched_changes_is_not_warned_of(
    metric: str, parameter: str
) -> None:
    text = changed(
        ("parameters:", f"parameters:\n  {parameter}"),
        (OBJECTIVE, f"{{metric: {metric}, direction: minimize}}"),
    )
    assert warnings(text) == []


def test_more_trials_than_points_are_warned_of_with_the_number() -> None:
    (line,) = warnings(changed(("n_trials: 4", "n_trials: 40")))
    assert line == (
        "9:11: n_trials is 40, and there are 8 distinct points: 32 trials or more repeat others"
    )
    assert warnings(changed(("n_trials: 4", "n_trials: 8"))) == []
    many = SMALL.replace("n_trials: 4", "n_trials: 40")
    assert len(warnings(many)) == 1
    # A grid, which is picked here, ends with its last point.
    assert warnings(many.replace("name: random, ", "")) == []


def test_points_that_differ_in_what_a_system_does_not_read_are_one() -> None:
    text = changed(
        ("parameters:", "parameters:\n  system: {type: categorical, choices: [cleancache, zswap]}"),
        ("  folio_order: {", "  packing: {type: categorical, choices: [zbud, zsmalloc]}\n  x: {"),
    )
    text = text.replace("  x: {type: int, low: 0, high: 3}\n", "")
    study = validate_source(parse_source(STUDIES / "s.yaml", text))
    (subspace,) = study.subspaces
    assert points_by_system(subspace) == {"cleancache": 2, "zswap": 2}
    assert distinct_points(subspace) == 4


def test_a_range_without_a_step_has_points_without_end() -> None:
    text = changed(("parameters:", "parameters:\n  headroom: {type: float, low: 0, high: 0.5}"))
    (subspace,) = validate_source(parse_source(STUDIES / "s.yaml", text)).subspaces
    assert distinct_points(subspace) is None


@pytest.mark.parametrize(
    ("scenarios", "told"),
    [
        ("", ":7:23: collateral_ratio never has a value, so that every trial fails: "),
        (
            "scenarios: {tagged_ratio: [0.1, 0.0]}\n",
            ":8:23: collateral_ratio never has a value in the scenario tagged_ratio 0.0, ",
        ),
    ],
)
def test_a_metric_that_the_events_never_give_is_refused(
    scenarios: str, told: str, tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    text = SMALL.replace("time_saved_ns", "collateral_ratio").replace("maximize", "minimize")
    text = text.replace(", tagged_ratio: 0.1", "" if scenarios else ", tagged_ratio: 0.0")
    path = tmp_path / "small.yaml"
    path.write_text(text.replace("parameters:", f"{scenarios}parameters:"))
    code, _, err = sweep("validate", path)
    assert code == 2
    assert told in err
    assert "no allocation is tagged" in err


def test_a_metric_that_guests_give_is_not_refused(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    text = SMALL.replace("time_saved_ns", "reservation_max_ns").replace("maximize", "minimize")
    text = text.replace("tagged_ratio: 0.1", "tagged_ratio: 0.0")
    path = tmp_path / "small.yaml"
    path.write_text(text + "policy: {guest_ratio: 0.5}\n")
    code, _, err = sweep("validate", path)
    assert code == 0, err


def dry_run(sweep: CommandInThisProcess, folder: Path, text: str, *options: str) -> dict[str, Any]:
    path, database = folder / "small.yaml", folder / "none.duckdb"
    path.write_text(text)
    code, out, err = sweep("run", path, "--dry-run", "--json", "--db", database, *options)
    assert code == 0, err
    assert list(folder.iterdir()) == [path]
    summary: dict[str, Any] = json.loads(out)
    return summary


def test_a_dry_run_counts_what_would_run_and_records_nothing(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    summary = dry_run(
        sweep, tmp_path, SMALL.replace("n_trials: 4", "n_trials: 40"), "--executor", "in-process"
    )
    assert (summary["trials"], summary["distinct_points"]) == (40, 4)
    assert (summary["distinct_trials"], summary["repeated_trials"]) == (4, 36)
    assert summary["distinct_trials_are"] == "at most"
    assert (summary["scenarios"], summary["replays"]) == (["as given"], 4)
    (workload,) = summary["workloads"]
    assert workload["workload"] == "zipf"
    assert workload["events"] > 1000
    assert summary["memory_bytes"] > 14 * workload["events"]
    assert 1 <= summary["sampled_policies"] <= 4
    assert summary["workers"] == 1
    assert summary["expected_seconds"] > 0


def test_a_dry_run_prices_scenarios_that_differ_in_costs_alone_together(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    counts = []
    for scenarios in (
        "scenarios: {read_random_ns: [52000, 250000]}\n",
        "scenarios: {read_random_ns: [52000, 250000], tag_block_size: [4KiB, 16KiB]}\n",
    ):
        summary = dry_run(sweep, tmp_path, scenarios + SMALL + "baselines: [{system: carveout}]\n")
        counts.append((len(summary["scenarios"]), summary["replays"]))
    # Of four points and a baseline.
    assert counts == [(2, 5), (4, 10)]


def test_a_dry_run_counts_the_points_of_a_grid_exactly(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    text = SMALL.replace("{name: random, seed: 1}\nn_trials: 4", "{name: grid}")
    system = "  system: {type: categorical, choices: [cleancache, zswap]}\n"
    summary = dry_run(sweep, tmp_path, text.replace("parameters:\n", "parameters:\n" + system))
    # A zswap reads neither of the two.
    assert (summary["trials"], summary["distinct_trials"]) == (8, 5)
    assert (summary["distinct_points"], summary["distinct_trials_are"]) == (5, "exact")


def test_a_dry_run_says_that_it_is_an_estimate_and_of_what(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    code, out, _ = sweep("run", path, "--dry-run")
    assert code == 0
    assert "4 trials of 4 distinct points" in out
    assert "an estimate from" in out
    assert "of its own policies" in out


def test_a_system_of_ones_own_is_known_when_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text(
        "from dataclasses import replace\n"
        "from core.system.carveout import CARVEOUT\n"
        "IDLE = replace(CARVEOUT, meaning='nobody')\n"
    )
    text = SMALL[: SMALL.index("parameters")] + SYSTEMS.replace("SYSTEM", '"idle:IDLE"')
    text += SMALL[SMALL.index("objectives") :]
    (tmp_path / "own.yaml").write_text(text.replace("time_saved_ns", "reservation_p99_ns"))
    code, _, err = say("validate", "own.yaml", cwd=tmp_path)
    assert code == 0, err
    code, _, err = say("run", "own.yaml", "--executor", "in-process", cwd=tmp_path)
    assert code == 2
    assert "own.yaml:6:23: reservation_p99_ns never has a value under idle:IDLE" in err
