"""A user's own evictions and systems: named in a study, imported by its run, on every worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sweep
from core import InputError
from core.event_files import read_events, write_events
from core.events import make_events
from core.policy_words import Metadata
from core.system import SYSTEMS
from core.system.carveout import CARVEOUT

CAPTURE = Path(__file__).parents[2] / "studies" / "traces" / "database-xfs-256w.parquet"
STUDY = """\
study: own
workload: {trace: short.parquet}
parameters:
  eviction: {type: categorical, choices: [lru, "own.mru:MRU"]}
  restore: {type: categorical, choices: [inclusive, exclusive]}
baselines: [{system: "idle:IDLE"}, {system: carveout}]
objectives: [{metric: restored, direction: maximize}]
sampler: {name: grid}
"""
MRU = '''
"""Most recently used: the victim is the newest unit."""
print("imported")
from core.eviction.lru import LRU
from core.eviction.queue import units_end
from core.jit import kernel, wide
from core.lane import PREV, State

@kernel
def newest_victim(state: State, keep: int) -> int:
    unit = wide(state.table[units_end(state.table), PREV])
    return wide(state.table[unit, PREV]) if unit == keep else unit

MRU = LRU._replace(victim=newest_victim)
'''
IDLE = '''
"""A tag storage that nobody uses, and that is looked up at every restore all the same."""
from dataclasses import replace
from core.lane import LOOKUPS, MISSED
from core.system.carveout import CARVEOUT
from core.system.contract import Holding, upkeep_ns

def look_up(timeline, policies):
    timeline, counted = CARVEOUT.replay(timeline, policies)
    counted.tallies[:, :, LOOKUPS] = counted.tallies[:, :, MISSED]
    return timeline, counted

IDLE = replace(
    CARVEOUT, meaning="nobody", replay=look_up, pays=upkeep_ns, holding=Holding.AS_TAGGED
)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study with a package and a module of its own beside it."""
    events = read_events(CAPTURE)
    columns = {name: column[:40_000] for name, column in events.columns.items()}
    write_events(tmp_path / "short.parquet", make_events(columns, **events.about))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (tmp_path / "own" / "mru.py").write_text(MRU)
    (tmp_path / "idle.py").write_text(IDLE)
    (tmp_path / "own.yaml").write_text(STUDY)
    return tmp_path


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "sweep", *words]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=250)


def rows_of(folder: Path, database: str) -> list[dict[str, object]]:
    table = sweep.connect(folder / database).sql("SELECT * FROM trials").to_arrow_table()
    varying = ("finished_at", "host")
    kept = [name for name in table.column_names if name not in varying]
    rows: list[dict[str, object]] = table.select(kept).to_pylist()
    return sorted(rows, key=lambda row: (str(row["role"]), str(row["number"])))


def test_an_own_eviction_and_system_give_equal_tables_in_process_and_on_ray(folder: Path) -> None:
    for database, words in (
        ("one.duckdb", ("--executor", "in-process")),
        ("two.duckdb", ("--executor", "ray", "--workers", "2")),
    ):
        done = command(folder, "run", "own.yaml", "--db", database, *words)
        assert done.returncode == 0, done.stderr
    rows = rows_of(folder, "one.duckdb")
    assert rows == rows_of(folder, "two.duckdb")
    trials = [row for row in rows if row["role"] == "trial"]
    restored = {(row["eviction"], row["restore"]): row["restored"] for row in trials}
    assert len(set(restored.values())) == 4
    idle, carveout = (row for row in rows if row["role"] == "baseline")
    assert (idle["system"], idle["restored"], carveout["time_saved_ns"]) == ("idle:IDLE", 0, 0)
    assert idle["lookups"] == idle["missed"]
    looked_up = 120 * idle["lookups"]  # type: ignore[operator]
    assert idle["time_saved_ns"] <= -looked_up  # type: ignore[operator]
    assert idle["reservations"] > carveout["reservations"] == 0  # type: ignore[operator]


def test_no_command_but_run_imports_what_is_a_users_own(folder: Path) -> None:
    done = command(folder, "run", "own.yaml", "--executor", "in-process")
    assert "imported" in done.stdout
    for words in (
        ("validate", "own.yaml"),
        ("status",),
        ("best", "own"),
        ("best", "own.yaml"),
        ("report", "own", "-o", "own.html"),
        ("query", "select count(*) from trials"),
    ):
        done = command(folder, *words)
        assert done.returncode == 0, done.stderr
        assert "imported" not in done.stdout + done.stderr, words


def test_other_source_is_another_simulator(folder: Path) -> None:
    assert command(folder, "run", "own.yaml", "--executor", "in-process").returncode == 0
    before = rows_of(folder, "results.duckdb")[0]["core_digest"]
    # Another file of the package, which the eviction may use, counts as well.
    (folder / "own" / "more.py").write_text("# more\n")
    (folder / "own.yaml").write_text(STUDY.replace("study: own", "study: another"))
    assert command(folder, "run", "own.yaml", "--executor", "in-process").returncode == 0
    digests = {row["core_digest"] for row in rows_of(folder, "results.duckdb")}
    assert before in digests
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("nowhere.mru:MRU", "No module named 'nowhere'"),
        ("own.mru:LRU2", "has no attribute 'LRU2'"),
        ("idle:IDLE", "is no eviction"),
    ],
)
def test_what_cannot_be_imported_is_told_at_its_line(folder: Path, word: str, told: str) -> None:
    (folder / "own.yaml").write_text(STUDY.replace("own.mru:MRU", word))
    done = command(folder, "run", "own.yaml", "--executor", "in-process")
    assert done.returncode == 2
    first = done.stderr.splitlines()[0]
    assert first.startswith(f"own.yaml:4:13: eviction {word} cannot be imported: ")
    assert told in first
    assert "Traceback" not in done.stderr


def test_a_system_is_a_line_of_the_registry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "toy_system.py").write_text(IDLE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(SYSTEMS.places, "idle", "toy_system:IDLE")
    study = {
        "study": "toy",
        "workload": {"trace": str(folder / "short.parquet")},
        "parameters": {"system": {"type": "categorical", "choices": ["idle", "carveout"]}},
        "objectives": [{"metric": "time_saved_ns", "direction": "maximize"}],
        "sampler": {"name": "grid"},
    }
    table = sweep.run(study, folder / "toy.duckdb", executor="in-process")
    trials = {row["system"]: row for row in table.to_pylist()}
    assert set(trials) == {"idle", "carveout"}
    assert trials["idle"]["time_saved_ns"] < trials["carveout"]["time_saved_ns"] == 0
    assert CARVEOUT.metadata is Metadata.NONE
    assert {row["metadata_bytes"] for row in trials.values()} == {0}


def test_a_users_own_word_is_not_imported_by_the_library(folder: Path) -> None:
    study = sweep.load(folder / "own.yaml")
    assert study.searched["eviction"].choices == ["lru", "own.mru:MRU"]  # type: ignore[union-attr]
    with pytest.raises(InputError, match="eviction cannot be"):
        sweep.load(STUDY.replace("own.mru:MRU", "own.mru"))
