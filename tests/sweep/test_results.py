"""The database on real files, with real processes that hold it and real kills."""

from __future__ import annotations

import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from core.costs import COST_FIELDS
from core.outcomes import UNITS
from core.policy import POLICY_FIELDS
from sweep.results import Store, StoreError, ask

Row = dict[str, Any]
WORDS = ["system", "eviction", "admission", "restore", "drop", "large_folios", "metadata"]
DOUBLES = [
    name
    for name, unit in UNITS.items()
    if unit == "ratio" or name in ("reservation_mean_ns", "atomic_reservation_mean_ns")
]

HOLDER = """
import sys, time, duckdb
while True:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "ro")
        break
    except duckdb.IOException:  # a writer has it for the moment
        time.sleep(0.01)
print("holds", flush=True)
sys.stdin.read()
"""
# Forks a writer for each line "file first step": it adds trials from `first` on, prints each number
# once it is acknowledged, and kills itself where it would take `step` (of os or Path), if any.
WRITERS = """
import itertools, os, signal, sys
from pathlib import Path
import duckdb, pyarrow
from sweep.results import Store

def write(path, first, step):
    def die(*given, **named):
        os.kill(os.getpid(), signal.SIGKILL)
    if step != "none":
        setattr(os if step in ("link", "fsync") else Path, step, die)
    store = Store(Path(path))
    for number in itertools.count(first):
        place = {"study": "s", "role": "trial", "number": number}
        store.add("trials", place | {"state": "complete", "policy_key": "k"})
        store.add("runs", place | {"workload": "w"})
        store.add("attempts", place | {"number": 0, "attempts": number, "error": "e"})
        store.flush()
        print(number, flush=True)

for line in sys.stdin:
    path, first, step = line.split()
    pid = os.fork()
    if pid == 0:
        print("pid", os.getpid(), flush=True)
        write(path, int(first), step)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.duckdb"


@contextmanager
def held(path: Path, mode: str = "rw") -> Iterator[subprocess.Popen[str]]:
    """Hold the file open in another process, as a client does that a user forgot."""
    command = [sys.executable, "-c", HOLDER, str(path), mode]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "holds\n"
        yield process
        process.communicate()


class Writers:
    """Writing processes that are killed, and the numbers that each had acknowledged."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", WRITERS]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.pid, self.runs = 0, False

    def start(self, path: Path, first: int, step: str = "none") -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{path} {first} {step}\n")
        self.process.stdin.flush()
        self.pid = int(self.read().removeprefix("pid "))
        self.runs = True

    def read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def kill(self) -> list[int]:
        os.kill(self.pid, 9)
        return self.acknowledged()

    def acknowledged(self) -> list[int]:
        found = [int(line) for line in iter(self.read, "gone")]
        self.runs = False
        return found


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


def trial(number: int, **named: Any) -> Row:
    place = {"study": "s", "role": "trial", "number": number}
    return place | {"state": "complete", "policy_key": "k"} | named


def numbers(path: Path, patience_s: float = 0.2) -> list[int]:
    return [number for (number,) in ask(path, "SELECT number FROM trials", patience_s).rows]


def spool_of(path: Path) -> list[Path]:
    return sorted((path.parent / f"{path.name}.spool").glob("*.jsonl"))


def assert_whole(path: Path, acknowledged: list[int]) -> None:
    """All that was acknowledged is there, once, by its whole batches."""
    sql = ", ".join(
        f"(SELECT coalesce(list({column} ORDER BY {column}), []) FROM {table})"
        for table, column in (("trials", "number"), ("runs", "number"), ("attempts", "attempts"))
    )
    ((trials, runs, attempts),) = ask(path, f"SELECT {sql}", 0.2).rows
    assert set(acknowledged) <= set(trials)
    assert len(trials) == len(set(trials))
    assert runs == trials
    assert attempts == trials[-1:]


@pytest.mark.parametrize("held_for", ["none of it", "some of it", "all of it"])
def test_acknowledged_rows_survive_kills_at_any_moment(
    path: Path, writers: Writers, held_for: str
) -> None:
    chance = random.Random(held_for)
    acknowledged: list[int] = []
    for first in range(0, 4000, 1000):
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
    assert len(acknowledged) >= 3
    Store(path)
    assert_whole(path, acknowledged)
    assert not spool_of(path)


@pytest.mark.parametrize(
    ("step", "hold"),
    [("fsync", True), ("rename", True), ("fsync", False), ("unlink", False), ("link", False)],
)
def test_a_kill_before_any_step_loses_nothing(
    path: Path, writers: Writers, step: str, hold: bool
) -> None:
    acknowledged: list[int] = []
    if step != "link":  # the step that makes the file
        Store(path)
        with held(path):
            writers.start(path, 0)
            acknowledged = [int(writers.read()), *writers.kill()]
        assert spool_of(path)
    with held(path) if hold else nullcontext():
        writers.start(path, 1000, step)
        acknowledged += writers.acknowledged()
    assert bool(spool_of(path)) == (step not in ("link", "fsync") or hold)
    Store(path)
    assert_whole(path, acknowledged)
    assert not spool_of(path)


def test_merging_twice_neither_repeats_nor_turns_back(path: Path) -> None:
    store = Store(path)
    with held(path):
        for attempts in (1, 2):
            place = {"study": "s", "role": "trial", "number": 0, "attempts": attempts}
            store.add("attempts", place)
            store.add("trials", trial(attempts))
            store.flush()
    spooled = [(file, file.read_text()) for file in spool_of(path)]
    assert len(spooled) == 2
    store.add("attempts", place | {"attempts": 3})
    store.add("trials", trial(2, reason="another"))  # recorded already: what was first stays
    store.flush()
    content = [ask(path, f"SELECT * FROM {table}") for table in ("attempts", "trials")]
    assert content[0].rows == [("s", "trial", 0, 3, None)]
    assert [row[4] for row in content[1].rows] == [None, None]
    # The state that a kill between commit and removal leaves.
    for file, text in spooled:
        file.write_text(text)
    store.add("attempts", place | {"attempts": 4})
    store.flush()
    assert not spool_of(path)
    assert ask(path, "SELECT attempts FROM attempts").rows == [(4,)]
    assert ask(path, "SELECT * FROM trials") == content[1]


@pytest.mark.parametrize("mode", ["rw", "ro"])
def test_a_client_that_holds_the_file_never_stops_a_run(path: Path, mode: str) -> None:
    Store(path)
    with held(path, mode):
        store = Store(path)
        for number in range(3):
            store.add("trials", trial(number))
            start = time.monotonic()
            store.flush()
            assert time.monotonic() - start < 2
            assert len(spool_of(path)) == number + 1
            assert len(store.rows("FROM trials")) == number + 1
        assert sorted(numbers(path)) == [0, 1, 2]
    assert len(spool_of(path)) == 3
    store.add("trials", trial(3))
    store.flush()
    assert not spool_of(path)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM trials").fetchall() == [(4,)]


def test_a_long_hold_costs_neither_the_reader_nor_the_merge_much(path: Path) -> None:
    store = Store(path)
    with held(path):
        for generation in range(100):
            for number in range(20):
                store.add("trials", trial(20 * generation + number, stored=number))
            # As often as a run of a minute and a half, without its pauses.
            from sweep.results.spool import spool

            spool(path, store._pending)
            store._pending.clear()
        assert len(store.rows("SELECT * FROM trials")) == 2000
        start = time.monotonic()
        assert len(store.rows("SELECT * FROM trials")) == 2000
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
    folder = f"{path}.spool"
    assert [place.removesuffix(".partial").rpartition("/")[0] for place in synced[1:2]] == [folder]
    assert [synced[0], synced[2]] == [str(path.parent), folder]


def test_a_reader_sees_all_that_was_acknowledged_before_it_asks(
    path: Path, writers: Writers
) -> None:
    store = Store(path)
    writers.start(path, 0)
    seen: set[int] = set()

    def look() -> None:
        for _ in range(3):
            seen.add(int(writers.read()))
            assert seen <= set(numbers(path, 0.0))
            seen.add(int(writers.read()))
            assert seen <= {row["number"] for row in store.rows("FROM trials")}

    look()
    with held(path, "ro"):
        look()
    look()
    assert_whole(path, [*seen, *writers.kill()])


def test_every_field_cost_and_outcome_is_a_typed_column(path: Path) -> None:
    Store(path)
    expected = {
        **{name: "VARCHAR" if name in WORDS else "BIGINT" for name in POLICY_FIELDS},
        "headroom": "DOUBLE",
        "tag_block_size": "BIGINT",
        **dict.fromkeys(COST_FIELDS, "BIGINT"),
        **{name: "DOUBLE" if name in DOUBLES else "BIGINT" for name in UNITS},
    }
    for table, wanted in (
        ("trials", expected),
        ("runs", {name: expected[name] for name in UNITS}),
    ):
        rows = ask(path, f"DESCRIBE {table}").rows
        assert wanted.items() <= {row[0]: row[1] for row in rows}.items()
    tables = [name for (name,) in ask(path, "SHOW TABLES").rows]
    assert tables == ["attempts", "runs", "studies", "trials"]


EXTREMES: list[tuple[int | None, float | None, str | None]] = [
    (2**63 - 1, 0.1, "lru"),
    (-(2**63), -0.0, ""),
    (2**53 + 1, 5e-324, "quote ' \" \\ tab\t new\nline \u2028 é 🐧"),
    (0, math.nextafter(1.0, 2.0), "NULL"),
    (1, 1.7976931348623157e308, "null"),
    (3, math.inf, "1"),
    (None, None, None),
]


@pytest.mark.parametrize("spooled", [False, True])
def test_values_and_nulls_come_back_exactly(path: Path, spooled: bool) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678901)
    samples = [{"atomic": True, "blocks": 2**62, "dropped": 0, "count": 1}]
    whole = [name for name in UNITS if name not in DOUBLES]
    trials, runs = [], []
    for number, (integer, double, text) in enumerate(EXTREMES):
        outcomes = dict.fromkeys(whole, integer) | dict.fromkeys(DOUBLES, double)
        row = trial(number, **outcomes, finished_at=now if number % 2 else None, feasible=False)
        row |= dict.fromkeys(WORDS, text) | {"headroom": double, "tag_block_size": integer}
        trials.append(row | dict.fromkeys((*COST_FIELDS, "seed", "folio_order"), integer))
        run = {key: row[key] for key in ("study", "role", "number", *UNITS)}
        runs.append(run | {"workload": text or "w", "reservation_samples": samples * number})
    runs[0]["reservation_samples"] = None
    store = Store(path)
    with held(path) if spooled else nullcontext():
        for table, rows in (("trials", trials), ("runs", runs)):
            for row in rows:
                store.add(table, row)
        store.flush()
        assert len(spool_of(path)) == spooled
        check = store.rows("SELECT number FROM trials")
        assert len(check) == len(EXTREMES)
    for table, rows in (("trials", trials), ("runs", runs)):
        found = store.rows(f"SELECT * FROM {table} ORDER BY number")
        for row, back in zip(rows, found, strict=True):
            assert repr({name: back[name] for name in row}) == repr(row)


def _foreign(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE trials (study VARCHAR, x INTEGER)")


def _keyless(path: Path) -> None:
    """Make a copy as CREATE TABLE AS makes it: same columns, but no keys."""
    Store(path)
    with duckdb.connect(str(path)) as connection:
        for table in ("studies", "trials", "runs", "attempts"):
            connection.execute(f"CREATE TABLE copied AS FROM {table}")
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"ALTER TABLE copied RENAME TO {table}")


def _garbled_spool(path: Path) -> None:
    Store(path)
    (path.parent / f"{path.name}.spool" / "1-1.jsonl").write_text('["trials", {"nu')


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("study,number\n" * 1000), "not a valid DuckDB"),
    "empty": (lambda path: path.touch(), "not a valid DuckDB"),
    "parquet": (lambda path: path.write_bytes(b"PAR1" + bytes(20000)), "not a valid DuckDB"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
    "foreign": (_foreign, "table trials has no column role, number, state and"),
    "keyless": (_keyless, "UNIQUE/PRIMARY KEY"),
    "spool": (_garbled_spool, "move it away"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_used_is_told_in_a_line(path: Path, name: str) -> None:
    make, meant = BROKEN[name]
    make(path)
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=meant) as caught:
        _write_one(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert content is None or path.read_bytes() == content


def _write_one(path: Path) -> None:
    store = Store(path)
    store.add("trials", trial(0))
    store.flush()


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        ("missing/results.duckdb", "there is no folder"),
        ("file/results.duckdb", "there is no folder"),
        ("/proc/results.duckdb", "No such file|not permitted|denied"),  # no one writes there
        ("/sys/results.duckdb", "No such file|not permitted|denied"),
    ],
)
def test_a_place_that_cannot_be_used_is_told_in_a_line(
    tmp_path: Path, place: str, meant: str
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / place
    for use in (_write_one, numbers):
        with pytest.raises(StoreError, match=meant if use is _write_one else "no such") as caught:
            use(path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(path))


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
        _write_one(link)
    assert spool_of(path)
    assert numbers(path) == numbers(link) == [0]
