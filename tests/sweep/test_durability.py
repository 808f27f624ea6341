"""An acknowledged row is never lost: real files, clients that hold them, and real kills."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pytest
from database_processes import Writers, held, log_of_a_killed_client, numbers, spool_of, trial

from core.files import writer
from sweep.results import Store, StoreError, answer_query
from sweep.results.arrow import arrow_table
from sweep.results.spool import Spool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.duckdb"


@pytest.fixture(scope="module")
def all_writers() -> Iterator[Writers]:
    writers = Writers()
    yield writers
    writers.process.communicate()


@pytest.fixture
def writers(all_writers: Writers) -> Iterator[Writers]:
    yield all_writers
    if all_writers.runs:
        all_writers.kill()


def assert_whole(path: Path, acknowledged: list[int]) -> None:
    """All that was acknowledged is there, once, by its whole batches."""
    sql = ", ".join(
        f"(SELECT coalesce(list({column} ORDER BY {column}), []) FROM {table})"
        for table, column in (("trials", "number"), ("runs", "number"), ("attempts", "attempt"))
    )
    ((trials, runs, attempts),) = answer_query(path, f"SELECT {sql}", 0.2).rows
    assert set(acknowledged) <= set(trials)
    assert len(trials) == len(set(trials))
    assert runs == trials
    assert attempts == trials


@pytest.mark.parametrize("held_for", ["none of it", "some of it", "all of it"])
def test_acknowledged_rows_survive_kills_at_any_moment(
    path: Path, writers: Writers, held_for: str
) -> None:
    chance = random.Random(held_for)
    acknowledged: list[int] = []
    for first in range(0, 3000, 1000):
        with held(path) if held_for != "none of it" else nullcontext() as holder:
            writers.start(path, first)
            if first:  # the first round is killed in the making of the file
                acknowledged.append(int(writers.read()))
            if held_for == "some of it" and holder:
                holder.communicate()
            time.sleep(chance.uniform(0.0, 0.4))
            acknowledged += writers.kill()
        if acknowledged:
            assert_whole(path, acknowledged)
    assert len(acknowledged) >= 2
    Store(path)
    assert_whole(path, acknowledged)
    assert not spool_of(path)


@pytest.mark.parametrize(
    ("step", "held_for"),
    [
        ("link:draft*", "none of it"),  # makes the file
        ("sync:rows*", "all of it"),  # of a file of the spool
        ("rename:rows*", "all of it"),  # of a file of the spool
        ("remove:*.arrows", "none of it"),  # of a file of the spool that was merged by another run
        ("remove:*.arrows", "some of it"),  # of one that was merged with newer rows at hand
        ("sync:rewrite*", "none of it"),  # of the copy that is to take the database's place
        ("rename:rewrite*", "none of it"),  # of the database by its copy
    ],
)
def test_a_kill_before_any_step_loses_nothing(
    path: Path, writers: Writers, step: str, held_for: str
) -> None:
    acknowledged: list[int] = []
    if not step.startswith("link"):
        Store(path)
        with held(path):
            writers.start(path, 0)
            acknowledged = [int(writers.read()), *writers.kill()]
        assert spool_of(path)
    with held(path) if held_for != "none of it" else nullcontext() as holder:
        writers.start(path, 1000, step)
        if holder and held_for == "some of it":
            acknowledged.append(int(writers.read()))
            holder.communicate()
        acknowledged += writers.acknowledged()
    assert bool(spool_of(path)) != step.startswith("link")
    Store(path)
    assert_whole(path, acknowledged)
    assert not spool_of(path)


def test_a_merge_passes_over_files_that_another_one_is_removing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(path)
    store.add("trials", trial(0))
    store.acknowledge()
    merged = store.spool.names()
    store.merge()
    store.add("trials", trial(1))
    store.acknowledge()
    names = Spool.names
    monkeypatch.setattr(Spool, "names", lambda spool: merged + names(spool))
    store.merge()
    assert numbers(path) == [0, 1]


def test_merging_twice_changes_nothing(path: Path) -> None:
    store = Store(path)
    place = {"study": "s", "role": "trial", "number": 0}
    with held(path):
        for attempts in (1, 2):
            store.add("attempts", place | {"attempt": attempts})
            store.add("trials", trial(attempts))
            store.add("trials", trial(0, reason=str(attempts)))
            store.flush()
    spooled = {file: file.read_bytes() for file in spool_of(path)}
    assert len(spooled) == 2
    tables = [store.rows(f"FROM {table}") for table in ("attempts", "trials")]
    assert not spool_of(path)
    assert [row["attempt"] for row in tables[0]] == [1, 2]
    assert [row["reason"] for row in tables[1]] == [None, "1", None]  # a result stays
    for file, text in spooled.items():  # as a kill before they were removed leaves them
        file.write_bytes(text)
    assert [store.rows(f"FROM {table}") for table in ("attempts", "trials")] == tables
    assert not spool_of(path)


@pytest.mark.parametrize("mode", ["rw", "ro"])
def test_a_client_that_holds_the_file_never_stops_a_run(path: Path, mode: str) -> None:
    Store(path)
    with held(path, mode):
        store = Store(path)
        for number in range(2):
            store.add("trials", trial(number))
            start = time.monotonic()
            store.flush()
            assert time.monotonic() - start < 2
            assert len(spool_of(path)) == number + 1
            assert len(store.rows("FROM trials")) == number + 1
        assert sorted(numbers(path)) == [0, 1]
    assert len(spool_of(path)) == 2
    store.add("trials", trial(2))
    store.flush()
    assert not spool_of(path)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM trials").fetchall() == [(3,)]
    with held(path, mode):  # what was copied for the first hold is not what is read now
        assert len(store.rows("FROM trials")) == 3


def test_a_long_hold_costs_neither_the_reader_nor_the_merge_much(path: Path) -> None:
    store = Store(path)
    with held(path):
        for first in range(0, 2000, 20):  # what a run of minutes spools, without its pauses
            rows = [trial(first + i, stored=i) for i in range(20)]
            Spool(Path(f"{path}.spool")).write([("trials", arrow_table("trials", rows))])
        assert len(store.rows("FROM trials")) == 2000
        start = time.monotonic()
        assert len(store.rows("FROM trials")) == 2000
        assert time.monotonic() - start < 1
    start = time.monotonic()
    store.add("trials", trial(2000))
    store.flush()
    assert time.monotonic() - start < 2
    assert not spool_of(path)
    assert len(numbers(path)) == 2001


def test_a_spooled_row_is_on_disk_when_it_is_acknowledged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    store = Store(path)
    shutil.rmtree(f"{path}.spool")
    with held(path):
        monkeypatch.setattr(os, "fsync", spy)
        store.add("trials", trial(0))
        store.flush()
    folder, file, name = synced  # the name of the new folder, the rows, the name of their file
    assert (folder, name) == (str(path.parent), f"{path}.spool")
    assert file.startswith(name)


def test_a_reader_sees_all_that_was_acknowledged_before_it_asks(
    path: Path, writers: Writers
) -> None:
    store = Store(path)
    writers.start(path, 0)
    seen: set[int] = set()

    def look() -> None:
        for _ in range(2):
            seen.add(int(writers.read()))
            assert seen <= set(numbers(path, 0.0))
            seen.add(int(writers.read()))
            assert seen <= {row["number"] for row in store.rows("FROM trials")}

    look()
    with held(path, "ro"):
        look()
    look()
    assert_whole(path, [*seen, *writers.kill()])


def test_a_kill_inside_any_write_leaves_a_database_that_opens(path: Path) -> None:
    """Whatever a killed writer left beside the database, the next one takes no notice of it."""
    store = Store(path)
    store.add("trials", trial(0))
    store.flush()
    folder = Path(f"{path}.spool")
    gone = subprocess.Popen(["true"])
    gone.wait()
    machine = writer().removesuffix(f".{os.getpid()}")
    partial = f"rows.{machine}.{gone.pid}.partial"
    removed = ["rewrite.duckdb", "rewrite.duckdb.wal", partial, f"{partial}.wal"]
    # What a process that lives is writing, or one of another machine.
    stays = [f"rows.{machine}.{os.getppid()}.partial", f"rows.0{machine}.{gone.pid}.partial"]
    for leftover in (*removed, *stays):
        (folder / leftover).write_bytes(path.read_bytes()[:5000])
    assert numbers(path) == [0]
    store = Store(path)
    assert sorted(os.listdir(folder)) == sorted(stays)
    store.add("trials", trial(1))
    store.flush()
    assert sorted(numbers(path)) == [0, 1]


def test_what_a_killed_client_left_in_its_log_is_kept(path: Path) -> None:
    store = Store(path)
    log = log_of_a_killed_client(path)
    assert log.exists()
    store.add("trials", trial(0))
    store.flush()
    assert not log.exists()
    assert answer_query(path, "SELECT note, number FROM notes, trials").rows == [(42, 0)]


def test_rows_that_could_not_be_written_are_written_later(path: Path) -> None:
    store = Store(path)
    store.add("trials", trial(0))
    store.flush()
    aside = path.rename(path.with_suffix(".aside"))
    path.write_text("not a database")
    store.add("trials", trial(1))
    with pytest.raises(StoreError, match="not a valid DuckDB"):
        store.flush()
    aside.rename(path)
    store.flush()
    assert sorted(numbers(path)) == [0, 1]


def test_a_database_is_one_by_all_its_names(path: Path, tmp_path: Path) -> None:
    Store(path)
    link = tmp_path / "link.duckdb"
    link.symlink_to(path)
    with held(path):
        store = Store(link)
        store.add("trials", trial(0))
        store.flush()
    assert spool_of(path)
    assert numbers(path) == numbers(link) == [0]
