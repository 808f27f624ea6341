"""Code that a study names is imported by its run alone: no other command runs a stranger's code."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
import small_study

from core.errors import InputError
from sweep.cli.main import app

TRAP = "import pathlib; pathlib.Path(__file__).with_suffix('.sprung').touch()\n"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database, and a study, that name modules which lie there."""
    folder = tmp_path_factory.mktemp("stranger")
    small_study.write_trace(folder)
    path = small_study.write_study(folder, n_trials=8)
    database = folder / "results.duckdb"
    small_study.run(path, database)
    path.write_text(path.read_text().replace("eviction: lru", 'eviction: "trap:X"'))
    with duckdb.connect(str(database)) as connection:
        for change in (
            """UPDATE studies SET yaml = replace(yaml, 'eviction: lru', 'eviction: "trap:X"'),
                 identity = replace(identity, '"eviction": "lru"', '"eviction": "trap:X"')""",
            "UPDATE trials SET eviction = 'trap:X', system = CASE WHEN number = 1 THEN 'trap:S' "
            "ELSE system END",
        ):
            connection.execute(change)
        (stored,) = connection.execute("SELECT yaml || identity FROM studies").fetchone() or ("",)
    assert stored.count("trap:X") == 2
    for name in ("trap", "rich", "numpy", "duckdb", "optuna", "yaml"):
        (folder / f"{name}.py").write_text(TRAP)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "small.yaml"],
        ["status"],
        ["status", "small.yaml"],
        ["best", "small"],
        ["best", "small.yaml"],
        ["report", "small", "-o", "report.html"],
        ["query", "SELECT eviction, system FROM trials"],
        ["compare", "0", "2", "--study", "small"],
        ["compare", "1", "gcma", "--study", "small.yaml"],
        ["figure", "small"],
        ["figure", "small", "importance", "-o", "importance.csv"],
        ["bundle", "small", "-o", "bundle.tar"],
        ["merge", "all.duckdb", "results.duckdb"],
        ["explain", "trap:X"],
        ["verify", "small"],
        ["verify", "small.yaml"],
    ],
    ids=" ".join,
)
def test_only_a_run_imports_what_a_study_or_a_database_names(
    words: list[str], stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stranger)
    # Behind what is installed, as the folder of a study is: trap alone is found there.
    monkeypatch.setattr(sys, "path", [*sys.path, str(stranger), ""])
    with suppress(InputError):  # without its code, some have no answer
        app(words, standalone_mode=False)
    assert "trap" not in sys.modules
    assert not list(stranger.glob("*.sprung"))


def test_verify_imports_what_a_database_names_only_where_it_is_trusted(
    stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stranger)
    for study in ("small", "small.yaml"):
        with pytest.raises(InputError, match=r"imports trap, .*add --trust-code"):
            app(["verify", study], standalone_mode=False)


def test_files_of_the_current_folder_stand_for_no_package(stranger: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sweep", "status"], cwd=stranger, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not list(stranger.glob("*.sprung"))
