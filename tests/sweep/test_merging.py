"""Databases brought together: every trial once, nothing twice, and nothing that contradicts."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
import small_study
from commands import CommandInThisProcess
from database_processes import held, spool_of
from hypothesis import given, settings
from hypothesis import strategies as st

from core.files import Disk
from sweep.results import MODEL_VERSION, Store, StoreError
from sweep.results.merging import MergedDatabase, merge_databases

Rows = list[tuple[str, dict[str, Any]]]

KILLED = """
import os, signal, sys
from pathlib import Path
from core.files import Disk
from sweep.results.merging import merge_databases
Disk.rename = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
merge_databases(Path(sys.argv[1]), [Path(sys.argv[2])], lambda each: None)
"""


def study_rows(study: str = "s", **changed: Any) -> Rows:
    """Return what a run enters of a study before its trials."""
    identity = json.dumps({"sampler": "random", "seed": 1})
    row = {"study": study, "yaml": "study: s", "identity": identity, "n_trials": 9}
    row |= {"events_digests": ["d"], "model_version": MODEL_VERSION, "goals": []}
    return [
        ("studies", row | changed),
        ("scenarios", {"study": study, "scenario": "as given", "place": 0}),
    ]


def trial_rows(number: int, study: str = "s", run: int = 0, **changed: Any) -> Rows:
    """Return the rows of a trial, as the run of that number writes them on its own machine."""
    place = {"study": study, "role": "trial", "number": number}
    finished_at = datetime(2026, 1, 2) + timedelta(hours=run)
    row = {"state": "complete", "policy_key": f"k{number}", "core_digest": "c", "stored": number}
    row |= {"objectives": [number / 7, float("nan")], "asked": '{"a": 1}', "attempts": 1 + run}
    row |= {"host": f"machine-{run}", "finished_at": finished_at}
    of_scenario = {"scenario": "as given", "stored": number}
    # The order in which a map was written says nothing.
    by_cost = dict(random.Random(run).sample([("read_random_ns", 1), ("lookup_ns", number)], 2))
    return [
        ("trials", place | row | changed),
        ("outcomes", place | of_scenario | {"time_saved_by_cost": by_cost}),
        ("runs", place | of_scenario | {"workload": "w", "replicate": 0, "series_time_ns": [1, 2]}),
    ]


@cache
def empty() -> bytes:
    """Return a database without rows: to make one anew takes 0.1 s."""
    with TemporaryDirectory() as folder:
        Store(Path(folder) / "empty.duckdb")
        return (Path(folder) / "empty.duckdb").read_bytes()


def write(path: Path, *rows: Rows, spooled: bool = False) -> Path:
    """Write a database; what is `spooled` waits beside it, as a kill leaves it."""
    if not path.exists():
        path.write_bytes(empty())
    store = Store(path)
    for each in rows:
        for table, row in each:
            store.add(table, row)
    store.acknowledge()
    if not spooled:
        store.merge()
    return path


def merge(into: Path, *sources: Path) -> list[MergedDatabase]:
    merged: list[MergedDatabase] = []
    merge_databases(into, sources, merged.append)
    return merged


def table_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a database but for what varies from machine to machine."""
    rows = small_study.tables(path, ("finished_at", "host", "attempts"))
    rows["studies"] = Store(path).rows("SELECT * FROM studies ORDER BY study")
    # NaN is no equal of itself, and a map has no order.
    return json.loads(json.dumps(rows, default=str, sort_keys=True).replace("NaN", '"NaN"'))  # type: ignore[no-any-return]


DEALT = st.lists(st.sets(st.integers(0, 2), min_size=1), min_size=1, max_size=9)


@settings(max_examples=4)
@given(DEALT, st.permutations(range(3)), st.integers(0, 2))
def test_a_merged_table_is_that_of_one_run_however_trials_were_dealt(
    tmp_path_factory: pytest.TempPathFactory,
    dealt: list[set[int]],
    order: list[int],
    spooled: int,
) -> None:
    folder = tmp_path_factory.mktemp("dealt")
    parts = [
        write(
            folder / f"{part}.duckdb",
            study_rows(),
            *(trial_rows(number, run=part) for number, of in enumerate(dealt) if part in of),
            spooled=part == spooled,
        )
        for part in range(3)
    ]
    numbers = range(len(dealt))
    whole = write(folder / "whole.duckdb", study_rows(), *(trial_rows(n, run=9) for n in numbers))
    merged = merge(folder / "merged.duckdb", *(parts[place] for place in order))
    assert sum(each.added for each in merged) == len(dealt)
    assert table_of(folder / "merged.duckdb") == table_of(whole)
    before = Store(folder / "merged.duckdb").rows("SELECT number, host, attempts FROM trials")
    again = merge(folder / "merged.duckdb", *parts)
    assert [each.added for each in again] == [0, 0, 0]
    after = Store(folder / "merged.duckdb").rows("SELECT number, host, attempts FROM trials")
    assert after == before


Change = Callable[[Path], Path]
#: What contradicts what was merged before, and what is told of it.
REFUSED: dict[str, tuple[Rows, list[str]]] = {
    "outcome": (
        study_rows() + trial_rows(0) + trial_rows(1, stored=7),
        ["trial 1: stored is 1 here and 7 in", "sweep verify s --db"],
    ),
    "outcome in a scenario": (
        [
            *study_rows(),
            trial_rows(1)[0],
            ("outcomes", trial_rows(1)[1][1] | {"stored": 7}),
            trial_rows(1)[2],
        ],
        ["trial 1, scenario as given: stored is 1 here and 7 in"],
    ),
    "series": (
        [
            *study_rows(),
            *trial_rows(1)[:2],
            ("runs", trial_rows(1)[2][1] | {"series_time_ns": [1]}),
        ],
        ["trial 1, scenario as given, workload w: series_time_ns is [1, 2] here and [1] in"],
    ),
    "a scenario that lacks": (
        study_rows() + trial_rows(1)[:1] + trial_rows(1)[2:],
        ["trial 1, scenario as given: outcomes is a row here and no row in"],
    ),
    "state": (
        study_rows() + trial_rows(1, state="fail"),
        ["trial 1: state is complete here and fail in"],
    ),
    "asked": (
        study_rows() + trial_rows(1, asked='{"a": 2}'),
        ['trial 1: asked is {"a": 1} here and {"a": 2} in'],
    ),
    "policy": (
        study_rows() + trial_rows(1, eviction="lru"),
        ["trial 1: eviction is NULL here and lru in"],
    ),
    "another study": (
        study_rows(identity=json.dumps({"sampler": "random", "seed": 2})) + trial_rows(2),
        ["study s of", "is not the one of this name here", "seed: was 1, is 2"],
    ),
    "other events": (study_rows(events_digests=["e"]), ["a workload holds other events"]),
    "another simulator": (
        study_rows() + trial_rows(2, core_digest="e"),
        ["the simulator (source digest): was c, is e"],
    ),
    "another model": (
        study_rows(model_version=1) + trial_rows(2),
        [f"the version of the model: was {MODEL_VERSION}, is 1"],
    ),
}


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a database, and one that may be merged into it."""
    folder = tmp_path_factory.mktemp("fine")
    into = write(folder / "into.duckdb", study_rows(), trial_rows(0), trial_rows(1))
    return into, write(folder / "fine.duckdb", study_rows(), trial_rows(5, run=1))


@pytest.mark.parametrize("why", REFUSED)
def test_what_contradicts_is_named_and_nothing_is_merged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fine: tuple[Path, Path],
    why: str,
) -> None:
    rows, told = REFUSED[why]
    into, good = fine
    other = write(tmp_path / "other.duckdb", rows)
    before = into.read_bytes()
    sweep = CommandInThisProcess(monkeypatch, capsys)
    code, out, err = sweep("merge", into, good, other)
    assert (code, out) == (2, "")
    for words in [*told, "nothing is merged", str(other)]:
        assert words in err
    assert "Traceback" not in err
    assert into.read_bytes() == before


def test_a_refusal_makes_no_database(tmp_path: Path, fine: tuple[Path, Path]) -> None:
    other = write(tmp_path / "other.duckdb", REFUSED["outcome"][0])
    with pytest.raises(StoreError, match="trial 1: stored is 1 here"):
        merge(tmp_path / "new.duckdb", *fine, other)
    assert not (tmp_path / "new.duckdb").exists()
    assert not list(tmp_path.glob(".new*"))


@pytest.mark.parametrize("number", [errno.EIO, errno.EPERM])
def test_a_new_database_is_linked_or_renamed_only_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fine: tuple[Path, Path], number: int
) -> None:
    def link(disk: Disk, file: Path, new: Path) -> None:
        if new == into:
            raise OSError(number, os.strerror(number))
        os.link(file, new)

    into = tmp_path / "new.duckdb"
    monkeypatch.setattr(Disk, "link", link)
    with pytest.raises(StoreError, match="Input/output") if number == errno.EIO else nullcontext():
        merge(into, *fine)
    assert into.exists() == (number == errno.EPERM)


def test_an_error_inside_a_merge_is_told_as_it_is_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fine: tuple[Path, Path]
) -> None:
    into = Path(shutil.copy(fine[0], tmp_path / "into.duckdb"))
    before = into.read_bytes()
    failing = "DO NOTHING RETURNING error('no more room')"
    monkeypatch.setattr("sweep.results.merging._conflict", lambda *_: failing)
    with pytest.raises(StoreError, match="no more room"):
        merge(into, fine[1])
    assert into.read_bytes() == before
    assert not list(Path(f"{into}.spool").iterdir())


def test_a_failed_trial_is_the_same_whatever_the_machine_says_of_it(tmp_path: Path) -> None:
    parts = [
        write(
            tmp_path / f"{run}.duckdb",
            study_rows(),
            trial_rows(0, run=run, state="fail", reason=f"worker died on machine-{run}")[:1],
            [
                ("attempts", {"study": "s", "role": "trial", "number": 0, "attempt": attempt})
                for attempt in range(1, 4 - run)
            ],
        )
        for run in (1, 0)
    ]
    merge(tmp_path / "all.duckdb", *parts)
    attempts = Store(tmp_path / "all.duckdb").rows("SELECT attempt FROM attempts ORDER BY ALL")
    assert attempts == [{"attempt": 1}, {"attempt": 2}, {"attempt": 3}]


def test_a_study_that_got_more_trials_is_the_one_that_goes_on(tmp_path: Path) -> None:
    short = write(tmp_path / "short.duckdb", study_rows(), trial_rows(0))
    long = write(tmp_path / "long.duckdb", study_rows(n_trials=20, yaml="longer"), trial_rows(12))
    for name, parts in (("a", (short, long)), ("b", (long, short))):
        merge(tmp_path / name, *parts)
        rows = Store(tmp_path / name).rows("SELECT n_trials, yaml FROM studies")
        assert rows == [{"n_trials": 20, "yaml": "longer"}]


def test_studies_of_other_names_stay_apart(tmp_path: Path) -> None:
    one = write(tmp_path / "one.duckdb", study_rows("a"), trial_rows(0, "a"))
    two = write(tmp_path / "two.duckdb", study_rows("b"), trial_rows(0, "b", stored=7))
    merged = merge(tmp_path / "all.duckdb", one, two)
    assert [each.studies for each in merged] == [["a"], ["b"]]
    rows = Store(tmp_path / "all.duckdb").rows("SELECT study, stored FROM trials ORDER BY study")
    assert rows == [{"study": "a", "stored": 0}, {"study": "b", "stored": 7}]


def test_a_database_that_is_held_is_read_and_what_waits_beside_both_is_merged(
    tmp_path: Path,
) -> None:
    into = write(tmp_path / "into.duckdb", study_rows())
    source = write(tmp_path / "source.duckdb", study_rows())
    with held(source):
        write(source, trial_rows(3), spooled=True)
        write(into, trial_rows(2), spooled=True)
        merge(into, source)
        assert len(spool_of(source)) == 1  # its own run will merge it
    assert not spool_of(into)
    with duckdb.connect(str(into), read_only=True) as connection:
        sql = "SELECT number FROM trials ORDER BY number"
        assert connection.execute(sql).fetchall() == [(2,), (3,)]


def test_a_kill_before_the_last_step_leaves_the_old_file(tmp_path: Path) -> None:
    into = write(tmp_path / "into.duckdb", study_rows(), trial_rows(0))
    source = write(tmp_path / "source.duckdb", study_rows(), trial_rows(1))
    before = into.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(into), str(source)], check=False)
    assert done.returncode == -9
    assert into.read_bytes() == before
    assert [each.added for each in merge(into, source)] == [1]


def test_a_database_of_an_earlier_version_gets_its_columns_on_the_way(tmp_path: Path) -> None:
    source = write(tmp_path / "source.duckdb", study_rows(), trial_rows(1))
    with duckdb.connect(str(source)) as connection:
        for view in ("best_trials", "study_status"):
            connection.execute(f"DROP VIEW {view}")
        connection.execute("ALTER TABLE runs DROP COLUMN mapped")
    before = source.read_bytes()
    merge(tmp_path / "all.duckdb", source)
    assert source.read_bytes() == before
    rows = Store(tmp_path / "all.duckdb").rows("SELECT number, mapped FROM runs")
    assert rows == [{"number": 1, "mapped": None}]


def test_the_command_tells_what_came_from_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = CommandInThisProcess(monkeypatch, capsys)
    one = write(tmp_path / "one.duckdb", study_rows(), trial_rows(0))
    two = write(tmp_path / "two.duckdb", study_rows(), trial_rows(0, run=1), trial_rows(1))
    into = tmp_path / "all.duckdb"
    shutil.copyfile(one, into)
    code, out, err = sweep("merge", into, one, two, into, tmp_path / "." / "two.duckdb", "--json")
    assert code == 0
    told = json.loads(out)
    assert [(each["trials"], each["added"]) for each in told["merged"]] == [(1, 0), (2, 1)]
    assert [(each["study"], each["complete"]) for each in told["studies"]] == [("s", 2)]
    assert f"2 of 2: {two}: 2 trials and baselines, 1 of them new" in err
    for words, said in (
        ([into, into], "there is nothing to merge into it"),
        ([into, tmp_path / "none.duckdb"], "no such database"),
        ([tmp_path / "no" / "all.duckdb", one], "there is no folder"),
        ([tmp_path / "new.duckdb", tmp_path / "none.duckdb"], "no such database"),
    ):
        code, out, err = sweep("merge", *words)
        assert (code, out) == (2, "")
        assert said in err
    assert not (tmp_path / "new.duckdb").exists()


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "other.duckdb"
    with duckdb.connect(str(source)) as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    with pytest.raises(StoreError, match="studies"):
        merge(tmp_path / "all.duckdb", source)
    assert not (tmp_path / "all.duckdb").exists()
