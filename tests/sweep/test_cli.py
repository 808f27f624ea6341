"""The commands as a user types them: data on stdout, the rest on stderr, and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_study
import typer.main
from commands import say

from sweep.cli.main import app

ROOT = Path(__file__).parents[2]


def words_of(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and of every group of commands."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from words_of(inner, (*words, name))


@pytest.mark.parametrize("words", list(words_of(typer.main.get_command(app))), ids=" ".join)
def test_every_command_has_help_under_both_options(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for option in ("-h", "--help"):
        assert app([*words, option], standalone_mode=False) in (0, None)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "Usage: " in texts[0]


def test_the_version_is_one_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert say("--version") == (0, f"{project['name']} {project['version']}\n", "")


@pytest.mark.parametrize("option", ["--version", "-h", "--help"])
def test_version_and_help_import_nothing_heavy(option: str) -> None:
    heavy = ("core", "numba", "pyarrow", "pydantic", "ray", "optuna", "duckdb", "plotly")
    program = (
        "import atexit, runpy, sys\n"
        f"loaded = lambda: [name for name in {heavy} if name in sys.modules]\n"
        "atexit.register(lambda: print(loaded(), file=sys.stderr))\n"
        f"sys.argv = ['sweep', {option!r}]\n"
        "runpy.run_module('sweep', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trace, a study, and the database that running it made."""
    made = tmp_path_factory.mktemp("cli")
    small_study.write_trace(made)
    path = small_study.write_study(
        made, "nsga2", n_trials=16, objectives=small_study.TWO_OBJECTIVES
    )
    code, out, err = say("run", path, "--executor", "in-process", cwd=made)
    assert code == 0, err
    assert "refault_hit_ratio" in out
    assert "Ask next" in out
    return made


def test_run_shows_the_best_beside_the_baselines_and_what_to_ask(folder: Path) -> None:
    code, out, err = say("run", "small.yaml", "--json", cwd=folder)
    shown = json.loads(out)
    assert code == 0
    assert (shown["complete"], shown["failed"]) == (16, 0)
    assert [row["system"] for row in shown["baselines"]] == ["carveout", "cleancache"]
    assert "16 of 16 trials are recorded" in err


def test_the_questions_that_run_suggests_have_answers(folder: Path) -> None:
    _, out, _ = say("run", "small.yaml", cwd=folder)
    asked = [line.split('"')[1] for line in out.splitlines() if "sweep query" in line]
    assert len(asked) == 2
    for sql in asked:
        code, answer, err = say("query", sql, "--json", cwd=folder)
        assert code == 0, err
        assert json.loads(answer)


def test_new_and_new_if_changed_are_not_both_meant(folder: Path) -> None:
    code, _, err = say("run", "small.yaml", "--new", "--new-if-changed", cwd=folder)
    assert code == 2
    assert "choose one of --new and --new-if-changed" in " ".join(err.replace("│", " ").split())


def test_make_run_goes_on_in_an_old_checkout() -> None:
    (line,) = (text for text in (ROOT / "Makefile").read_text().splitlines() if "sweep run" in text)
    assert "--new-if-changed" in line


def test_best_is_the_pareto_set(folder: Path) -> None:
    code, out, _ = say("best", "small", "--json", "--limit", "1000", cwd=folder)
    assert code == 0
    answered = json.loads(out)
    front = {tuple(row["objectives"]) for row in answered["best"]}
    _, everything, _ = say(
        "query", "select * from trials where role = 'trial'", "--json", cwd=folder
    )
    points = {tuple(row["objectives"]) for row in json.loads(everything)}
    expected = {
        (hits, stored)
        for hits, stored in points
        if not any(
            other != (hits, stored) and other[0] >= hits and other[1] <= stored for other in points
        )
    }
    assert front == expected
    assert {"verdict", "best", "beyond", "baselines", "complete", "failed"} <= answered.keys()
    assert {finding["kind"] for finding in answered["verdict"]} >= {"best", "carve_out", "budget"}
    assert [row["role"] for row in answered["baselines"]] == ["baseline"] * 2
    assert answered["beyond"] == []


def test_query_answers_as_table_json_and_csv(folder: Path) -> None:
    sql = "select number, eviction, headroom from trials where role = 'baseline' order by number"
    _, table, _ = say("query", sql, cwd=folder)
    assert "eviction" in table
    assert "lru" in table
    _, text, _ = say("query", sql, "--csv", cwd=folder)
    # A carve-out reads neither.
    assert text == "number,eviction,headroom\n0,,\n1,lru,0.0\n"
    _, text, _ = say("query", sql, "--json", cwd=folder)
    assert json.loads(text) == [
        {"number": 0, "eviction": None, "headroom": None},
        {"number": 1, "eviction": "lru", "headroom": 0.0},
    ]


def test_status_counts_what_is_done(folder: Path) -> None:
    code, out, _ = say("status", "--json", cwd=folder)
    (row,) = json.loads(out)
    assert code == 0
    assert (row["study"], row["n_trials"], row["complete"], row["baselines"]) == (
        "small",
        16,
        16,
        2,
    )


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["run", "none.yaml"], "none.yaml:1:1: no such file"),
        (
            ["run", "small.yaml", "--executor", "cloud"],
            "cloud is not auto, threads, ray",
        ),
        (["run", "small.yaml", "--executor", "in-process", "--workers", "2"], "one worker"),
        (["run", "small.yaml", "--db", "no/such/folder/x.duckdb"], "no folder"),
        (["run", "small.yaml", "--db", "small.yaml"], "not a valid DuckDB database"),
        (["best", "nothing"], "no study nothing; it holds small"),
        (["status", "--db", "none.duckdb"], "none.duckdb: no such database"),
        (["query", "select nothing from trials"], "nothing"),
        (["query", "drop table trials"], "one SELECT"),
        (["query", "select 1", "--json", "--csv"], "--json and --csv"),
        (["frobnicate"], "frobnicate"),
        (["validate"], "STUDY.YAML"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    folder: Path, words: list[str], what: str
) -> None:
    code, out, err = say(*words, cwd=folder)
    assert (code, out) == (2, "")
    assert what in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_a_changed_study_is_refused_with_what_changed_unless_new(folder: Path) -> None:
    path = folder / "small.yaml"
    before = path.read_text()
    try:
        path.write_text(before.replace("high: 4", "high: 3"))
        code, _, err = say("run", path, "--executor", "in-process", cwd=folder)
        assert code == 2
        assert "parameters.folio_order.high: was 4, is 3" in err
        database = folder / "copy.duckdb"
        database.write_bytes((folder / "results.duckdb").read_bytes())
        words = ["run", path, "--executor", "in-process", "--new", "--db", database]
        code, _, err = say(*words, cwd=folder)
        assert code == 0, err
        _, out, _ = say("status", "--json", "--db", database, cwd=folder)
        assert [row["study"] for row in json.loads(out)] == ["small", "small~1"]
    finally:
        path.write_text(before)


def test_a_damaged_trace_is_named(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "small.parquet").read_bytes()
    path = small_study.write_study(tmp_path)
    for content, what in (
        (whole[: len(whole) // 2], "truncated, corrupt, or not a Parquet file"),
        (b"not Parquet at all, but long enough to look", "not a Parquet file"),
    ):
        (tmp_path / "small.parquet").write_bytes(content)
        code, out, err = say("run", path, cwd=tmp_path)
        assert (code, out) == (2, "")
        assert err.startswith(f"{path}:2:20: ")
        assert what in err


def test_another_machine_is_warned_of_and_refused_where_frames_fall_outside(
    folder: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(folder)
    text = path.read_text()
    other = folder / "other.yaml"
    other.write_text(text + "machine: {data_memory: 512MiB}\n")
    code, _, err = say("validate", other)
    assert code == 0
    assert "warning: " in err
    assert "replayed with 131072" in err
    other.write_text(text + "machine: {data_memory: 1MiB}\n")
    code, _, err = say("validate", other)
    assert code == 2
    assert "outside the 256 data pages" in err
    small_study.write_study(folder, "nsga2", n_trials=16, objectives=small_study.TWO_OBJECTIVES)
