"""A database may be a stranger's, or none at all: what is read of it is rows, and nothing hangs."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import commands
import duckdb
import hazard
import pytest
import readers
from database_processes import held, log_of_a_killed_client, numbers, trial
from strangers import HARMLESS, NO_DATABASES, REFUSED, SECRET, WICKED, strangers

from core import available_memory
from sweep.results import Store, StoreError, answer_query, copy_of, open_for_reading, read_rows
from sweep.results.limits import memory_limit, time_limit
from sweep.results.views import VIEWS


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.duckdb"
    store = Store(path)
    study = {"study": "s", "question": WICKED, "n_trials": 3, "yaml": ""}
    study |= {"identity": '{"objectives": []}'}
    store.add("studies", study)
    store.add("trials", *(trial(number, feasible=True) for number in range(3)))
    store.flush()
    return path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


@pytest.mark.parametrize("part", HARMLESS)
def test_what_a_stranger_adds_to_a_database_has_no_say(
    tmp_path: Path, good: Path, secret: Path, part: str
) -> None:
    path = strangers(good, tmp_path / "evil.duckdb", HARMLESS[part], secret)
    content = path.read_bytes()
    asked = "SELECT * FROM study_status"
    with open_for_reading(good) as ours, open_for_reading(path) as theirs:
        assert read_rows(theirs, asked) == read_rows(ours, asked)
    sql = "SELECT count(*), max(number), count(DISTINCT policy_key) FROM trials"
    assert answer_query(path, sql).rows == [(3, 2, 1)]
    assert path.read_bytes() == content


@pytest.mark.parametrize("part", REFUSED)
def test_what_is_not_a_table_of_ours_is_refused_by_name(
    tmp_path: Path, good: Path, secret: Path, part: str
) -> None:
    path = strangers(good, tmp_path / "evil.duckdb", REFUSED[part], secret)
    with pytest.raises(StoreError, match=r"view|computed|is VARCHAR|table studies") as caught:
        numbers(path)
    assert SECRET not in str(caught.value)
    with pytest.raises(StoreError):
        Store(path).set_aside("s")


@pytest.mark.parametrize("part", ["macros", "trigger", "rule", "default"])
def test_a_database_that_acts_on_what_is_written_is_not_written_to(
    tmp_path: Path, good: Path, secret: Path, part: str
) -> None:
    path = strangers(good, tmp_path / "evil.duckdb", HARMLESS[part], secret)
    content = path.read_bytes()
    store = Store(path)
    store.add("trials", trial(7))
    with pytest.raises(StoreError, match="would act on what is written"):
        store.flush()
    assert path.read_bytes() == content
    assert sorted(numbers(path)) == [0, 1, 2, 7]  # acknowledged all the same


@pytest.mark.parametrize("kind", NO_DATABASES)
def test_what_is_no_database_is_told_by_kind_and_never_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make, meant = NO_DATABASES[kind]
    path = tmp_path / "none.duckdb"
    make(path)
    for use in (numbers, lambda path: Store(path).set_aside("s")):
        with pytest.raises(StoreError, match=meant) as caught:
            use(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert kind == "torn" or str(caught.value).endswith(
            "--db names a file that sweep run makes"
        )


def test_goals_that_no_run_writes_keep_no_row_from_being_read(tmp_path: Path, good: Path) -> None:
    path = Path(shutil.copy(good, tmp_path / "results.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE studies SET goals = [NULL]")
        for view in VIEWS:
            connection.execute(f"DROP VIEW {view}")
        connection.execute("ALTER TABLE runs DROP COLUMN mapped")  # as an earlier version
    with copy_of(path) as connection:
        assert len(read_rows(connection, "FROM trials")) == 3
    Store(path).set_aside("s")
    assert sorted(numbers(path)) == [0, 1, 2]


def test_what_no_run_writes_is_told_with_what_to_do(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(*_: object) -> None:
        raise TypeError("'NoneType' object is not subscriptable\nat length")

    monkeypatch.setattr("sweep.results.reading.make_views", reads)
    for use in (numbers, copy_of):
        with pytest.raises(StoreError, match="made or changed it; let --db name") as caught:
            use(good)
        assert str(caught.value).startswith(f"{good}: its rows contradict each other")
        assert str(caught.value).endswith("(TypeError: 'NoneType' object is not subscriptable)")


def test_a_log_that_cannot_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(good, tmp_path / "results.duckdb"))
    log = log_of_a_killed_client(path)
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 16
    log.write_bytes(content)
    assert sorted(numbers(path)) == [0, 1, 2]
    assert f"{log}: a log that cannot be read" in capsys.readouterr().err
    assert log.read_bytes() == content


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no file of this process grow, and the folder for temporary files be gone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_stops_no_reader_and_nothing_is_left_by_one(
    tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(good, tmp_path / "results.duckdb"))
    store = Store(path)
    store.add("trials", trial(3), trial(0, reason="of another run"))
    store.acknowledge()
    before = sorted(tmp_path.rglob("*"))
    with full_disk(monkeypatch):
        assert sorted(numbers(path)) == [0, 1, 2, 3]
        with open_for_reading(path) as connection:
            (row,) = read_rows(connection, "SELECT complete, n_trials FROM study_status")
            assert row == {"complete": 4, "n_trials": 3}
        assert store.rows("SELECT reason FROM trials WHERE number = 0") == [{"reason": None}]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_copy_is_nobody_elses_and_goes_with_its_reader(
    tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(good, tmp_path / "results.duckdb"))
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    died = (
        "import os, sys, tempfile; from pathlib import Path\n"
        "from sweep.results.copies import copied\n"
        "tempfile.tempdir = sys.argv[2]\n"
        "with copied(Path(sys.argv[1])) as copy:\n"
        "    print(oct(copy.parent.stat().st_mode), flush=True); os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", died, path, place]
    said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    assert said == "0o40700\n"
    assert len(list(place.iterdir())) == 1
    with held(path):
        assert sorted(numbers(path, 0.0)) == [0, 1, 2]
        assert not list(place.iterdir())


def test_a_question_without_end_ends_with_the_time(good: Path) -> None:
    sql = "SELECT sum(i * j) FROM range(1000000000000) a(i), range(9) b(j)"
    begin = time.monotonic()
    with (
        time_limit(0.3, pytest.fail),
        pytest.raises(StoreError, match=r"not answered within 0\.3 s; --timeout"),
    ):
        answer_query(good, sql)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("ends_by", ["time", "signal"])
def test_a_command_ends_also_where_the_database_does_not_hear(good: Path, ends_by: str) -> None:
    sql = "SELECT max(list_sum(range(300000000 + n))) FROM range(1) a(n)"
    limit = "1" if ends_by == "time" else "60"
    process = commands.start("query", sql, "--db", good, "--timeout", limit)
    if ends_by == "signal":
        time.sleep(2)
        process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == ((2 if ends_by == "time" else 130), "")
    assert len(err.splitlines()) == 1
    assert time.monotonic() - begin < 8  # with the command's start, on a busy machine


def test_half_of_the_memory_of_a_cgroup_is_the_most_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text("0::/\n")
    monkeypatch.setattr(available_memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(available_memory, "_OWN_CGROUPS", tmp_path / "own")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = []
    for limit in (2**30, 2**31):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        with memory_limit():
            most.append(resource.getrlimit(resource.RLIMIT_DATA)[0])
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert abs(most[1] - most[0] - 2**29) < 2**24, "both beside what this process has"


def test_an_answer_that_is_too_large_is_refused(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.results.query.MOST_ANSWER_BYTES", 1000)
    with pytest.raises(StoreError, match="which is too much; ask for less"):
        answer_query(good, "SELECT repeat('x', 2000)")


def test_a_users_own_tables_and_views_are_answered_of(tmp_path: Path, good: Path) -> None:
    path = Path(shutil.copy(good, tmp_path / "results.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE notes AS SELECT 1 AS number, 'good' AS note")
        connection.execute("CREATE VIEW noted AS FROM trials JOIN notes USING (number)")
    assert answer_query(path, "SELECT note FROM noted").rows == [("good",)]
    assert ("notes",) in answer_query(path, "SHOW TABLES").rows


@pytest.mark.parametrize("seed", [3])
def test_commands_that_read_strangers_databases_hold(seed: int) -> None:
    """A few cases of the soak's hazard."""
    counts = hazard.Counts()
    readers.HAZARD.run(seed, 6, lambda: True, counts)
    assert not counts.failures, counts
