"""What the front end was off by in tests reaches every answer that rests on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import CommandInThisProcess

from core.accesses import LOOKUP, read_accesses, write_accesses
from core.frontend.measured_errors import errors_in_tests
from sweep.engine.inputs import load_inputs
from sweep.study.read import load_study

ACCESSES = Path(__file__).parents[2] / "studies/traces/launch-mglru-224w.accesses.parquet"
TEXT = """\
study: sizes
workload: [{workload}]
machine: {{zram_size: 96MiB{machine}}}
{policy}parameters: {{restore: {{type: categorical, choices: [inclusive, exclusive]}}}}
objectives: [{{metric: restored, direction: maximize}}]
sampler: {{name: grid}}
{scenarios}
"""
SOURCE = "launch-mglru-224w.ftrace.txt.zst"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the beginning of an access trace."""
    made = tmp_path_factory.mktemp("sizes")
    accesses = read_accesses(ACCESSES)
    begin = {name: column[:20_000] for name, column in accesses.columns.items()}
    write_accesses(made / "launch.parquet", accesses._replace(**begin, source=SOURCE))  # type: ignore[arg-type]
    rows = {name: column[:100] * 0 for name, column in accesses.columns.items()}
    rows["op"] = rows["op"] + LOOKUP
    none = accesses._replace(data_pages=0, free_pages=0, free_ranges=(), phases=())
    write_accesses(made / "nowhere.parquet", none._replace(**rows))  # type: ignore[arg-type]
    return made


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def write(
    folder: Path,
    workload: str = "{accesses: launch.parquet}",
    machine: str = "",
    policy: str = "",
    scenarios: str = "",
) -> Path:
    path = folder / "sizes.yaml"
    text = {"workload": workload, "machine": machine, "policy": policy, "scenarios": scenarios}
    path.write_text(TEXT.format(**text))
    return path


def warnings(path: Path) -> list[str]:
    study, source = load_study(path)
    told = load_inputs(study, source).warnings
    return [line for line in told if "front end" in line]


def test_the_errors_of_each_memory_asked_for_reach_verdict_json_and_report(
    folder: Path, sweep: CommandInThisProcess
) -> None:
    path = write(folder, scenarios="scenarios: {data_memory: [224MiB, 208MiB, 448MiB]}")
    database = folder / "results.duckdb"
    said = sweep("run", path, "--db", database, "--workers", "1", "--json")
    verdict = [finding["text"] for finding in json.loads(said[1])["verdict"]]
    sweep("report", "sizes", "--db", database, "-o", folder / "sizes.html")
    page = (folder / "sizes.html").read_text(encoding="utf-8")
    for ratio, words in ((1.0, "their own memory"), (208 / 224, "7 % less"), (2.0, "100 % more")):
        errors = errors_in_tests(SOURCE, "mglru", ratio)
        assert f"launches on {words}" in errors
        assert any(text.startswith("Mind:") and errors in text for text in verdict), errors
        assert errors in page


def test_the_study_s_own_memory_and_reclaim_choose_the_errors(folder: Path) -> None:
    (told,) = warnings(write(folder))
    assert told.endswith(errors_in_tests(SOURCE, "mglru", 1.0))
    (told,) = warnings(write(folder, machine=", data_memory: 208MiB, reclaim: active_inactive"))
    assert told.endswith(errors_in_tests(SOURCE, "active_inactive", 208 / 224))


def test_a_system_that_is_memory_has_those_of_a_larger_memory(folder: Path) -> None:
    policy = "baselines: [{system: more_memory}, {system: migrate_cma}]\n"
    own, larger = warnings(write(folder, policy=policy))
    assert own.endswith(errors_in_tests(SOURCE, "mglru", 1.0))
    assert "under migrate_cma and more_memory, the front end" in larger
    assert larger.endswith(errors_in_tests(SOURCE, "mglru", 33 / 32))


def test_of_what_no_kernel_ran_nothing_is_said_but_that(folder: Path) -> None:
    assert warnings(write(folder, workload="{synthetic: app_launch}")) == []
    (told,) = warnings(write(folder, workload="{accesses: nowhere.parquet}"))
    assert told.endswith("the front end was held against no kernel on such accesses")


def test_reclaim_prints_them(folder: Path, sweep: CommandInThisProcess) -> None:
    words = ("trace", "reclaim", folder / "launch.parquet", "-o", folder / "out.parquet")
    assert errors_in_tests(SOURCE, "mglru", 1.0) in sweep(*words)[1]
    said = sweep(*words, "--memory", "208MiB", "--json")[1]
    assert json.loads(said)["errors_in_tests"] == errors_in_tests(SOURCE, "mglru", 208 / 224)
    written = ("trace", "synthesise", "zipf", "-o", folder / "zipf.parquet", "--set", "asks=2000")
    sweep(*written)
    said = sweep(
        "trace", "reclaim", folder / "zipf.parquet", "-o", folder / "out.parquet", "--json"
    )[1]
    assert json.loads(said)["errors_in_tests"] is None
