"""`sweep query`: ordinary SQL is answered, and nothing else can be done with it."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sweep.results import Store, StoreError, answer_query
from sweep.results.reading import confine
from sweep.results.schema import TABLES
from sweep.results.views import VIEWS

NOW = datetime.now(UTC).replace(tzinfo=None)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("query")
    (folder / "other.csv").write_text("a,b\n1,2\n")
    with duckdb.connect(str(folder / "other.duckdb")) as other:
        other.execute("CREATE TABLE secret AS SELECT 42 AS x")
        other.execute(f"COPY (SELECT 42 AS x) TO '{folder}/other.parquet'")
    path = folder / "results.duckdb"
    store = Store(path)
    for number in range(4):
        place = {"study": "s", "role": "trial", "number": number}
        row = {"state": "complete", "policy_key": str(number), "finished_at": NOW}
        row |= {"eviction": ("lru", "fifo")[number % 2], "stored": number * 2**61}
        store.add("trials", place | row | {"hit_ratio": number / 4 if number else None})
        sample = {"atomic": False, "blocks": 1, "written": 0}
        samples = [sample | {"dropped": n, "count": n} for n in range(number)]
        store.add("runs", place | {"workload": "w", "replicate": 0, "reservation_samples": samples})
    store.flush()
    return path


@pytest.fixture
def untouched(path: Path) -> Iterator[None]:
    """Hold that a test leaves every file of the folder, and no other, byte for byte."""

    def content() -> dict[str, bytes]:
        return {str(f): f.read_bytes() for f in path.parent.rglob("*") if f.is_file()}

    before = content()
    yield
    assert content() == before


COPIES = (
    "COPY trials TO '{folder}/new.csv'",
    "COPY trials TO '{path}'",
    "COPY trials TO '{path}' (use_tmp_file false)",
    "COPY (SELECT 1) TO '{path}' (FORMAT parquet, use_tmp_file false)",
    "COPY trials FROM '{folder}/other.csv'",
    "EXPLAIN ANALYZE COPY trials TO '{path}' (use_tmp_file false)",
    "WITH x AS (COPY trials TO '{path}' (use_tmp_file false)) SELECT * FROM x",
    "EXPORT DATABASE '{folder}/new'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/other.duckdb'",
    "ATTACH '{folder}/new.duckdb'",
    "ATTACH ':memory:' AS m",
    "COPY FROM DATABASE results TO memory",
    "CREATE PERSISTENT SECRET s (TYPE http)",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/other.duckdb'",
    "SET enable_external_access = true",
    "SET disabled_filesystems = ''",
    "SET GLOBAL temp_directory = '{folder}/new'",
    "RESET lock_configuration",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA profiling_output = '{folder}/new.json'",
    "CALL enable_logging(storage = 'file', storage_path = '{folder}/new')",
)
WRITES = (
    "CREATE TABLE x (a INTEGER)",
    "CREATE OR REPLACE TABLE trials AS SELECT 1 AS a",
    "CREATE VIEW v AS SELECT 1 AS a",
    "INSERT INTO trials (study, role, number, state, policy_key) VALUES ('s', 'a', 9, 'b', 'c')",
    "UPDATE trials SET number = 9",
    "DELETE FROM trials",
    "TRUNCATE trials",
    "DROP TABLE trials",
    "ALTER TABLE trials ADD COLUMN x INTEGER",
    "WITH x AS (INSERT INTO trials (study, role, number, state, policy_key) "
    "VALUES ('s', 'a', 9, 'b', 'c') RETURNING number) SELECT * FROM x",
    "WITH x AS (DELETE FROM trials RETURNING number) SELECT * FROM x",
    "WITH x AS (UPDATE trials SET number = 9 RETURNING number) SELECT * FROM x",
)
OTHERS = (
    "",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE trials",
    "BEGIN",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "PRAGMA database_list",
    "CALL pragma_database_size()",
    "USE main",
    "SET threads = 64",
    "SET VARIABLE x = 1",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
)
READS = (
    "SELECT * FROM read_csv('{folder}/other.csv')",
    "SELECT * FROM '{folder}/other.csv'",
    "SELECT * FROM read_text('{folder}/other.csv')",
    "SELECT * FROM read_blob('{path}')",
    "SELECT * FROM read_parquet('{folder}/other.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/other.parquet')",
    "SELECT * FROM read_json('{folder}/other.csv')",
    "SELECT * FROM read_duckdb('{folder}/other.duckdb', table_name = 'secret')",
    "SELECT * FROM read_csv('/dev/stdin')",
    "SELECT * FROM read_csv('http://localhost:1/x.csv')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM sniff_csv('{folder}/other.csv')",
    "SELECT (SELECT count(*) FROM read_csv('{folder}/other.csv'))",
    "SELECT * FROM query('SELECT * FROM read_csv(''{folder}/other.csv'')')",
    "SELECT * FROM query('COPY trials TO ''{folder}/new.csv''')",
    "SELECT * FROM sqlite_scan('{folder}/other.duckdb', 'secret')",
    "SELECT * FROM start_ui()",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}/new')",
    "SELECT * FROM enable_profiling(save_location = '{folder}/new.json')",
    "SELECT * FROM force_checkpoint()",
    "SELECT getenv('HOME')",
    "SELECT * FROM connection",  # variables of Python, where the query is answered and here
    "SELECT * FROM statements",
    "SELECT * FROM python_rows",
    "SELECT st_point(1, 2)",
)
python_rows = duckdb.connect().sql("SELECT 1").to_arrow_table()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("sql", [*COPIES, *WRITES, *OTHERS, *READS])
def test_a_query_does_nothing_but_select_from_the_database(path: Path, sql: str) -> None:
    with pytest.raises(StoreError, match=r"^query: \S") as caught:
        answer_query(path, sql.format(path=path, folder=path.parent))
    message = str(caught.value)
    assert "INSTALL" not in message
    assert "no form in Python" not in message
    assert message == message.strip()
    assert len(message) < 500


@pytest.mark.usefixtures("untouched")
def test_a_confined_connection_harms_nothing_by_any_statement(path: Path) -> None:
    """Hold that the settings alone suffice, were a statement ever taken for a SELECT."""
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        confine(connection)
        for sql in (*COPIES, *WRITES, "FROM python_rows"):
            with pytest.raises(duckdb.Error):
                print(connection.execute(sql.format(path=path, folder=path.parent)).fetchall(), sql)


ANSWERS: dict[str, tuple[list[str], list[tuple[Any, ...]]]] = {
    "SELECT number FROM trials ORDER BY number DESC LIMIT 2;": (["number"], [(3,), (2,)]),
    "FROM runs SELECT number WHERE workload = 'w' AND number < 1 -- runs": (["number"], [(0,)]),
    "SELECT eviction, sum(number) AS n FROM trials GROUP BY ALL ORDER BY ALL": (
        ["eviction", "n"],
        [("fifo", 4), ("lru", 2)],
    ),
    "SELECT sum(stored) AS total, max(stored) AS m, avg(number) * 1.5 AS x FROM trials": (
        ["total", "m", "x"],
        [(6 * 2**61, 3 * 2**61, 2.25)],
    ),
    "SELECT count(*) FILTER (eviction = 'lru') AS n, count(hit_ratio) AS m FROM trials": (
        ["n", "m"],
        [(2, 3)],
    ),
    "WITH best AS (SELECT max(number) AS number FROM trials) "
    "SELECT t.number, b.number, r.number FROM trials t JOIN best b USING (number) "
    "JOIN runs r USING (number)": (["number", "number_1", "number_2"], [(3, 3, 3)]),
    "SELECT number, rank() OVER (ORDER BY number DESC) AS r FROM trials ORDER BY r LIMIT 1": (
        ["number", "r"],
        [(3, 1)],
    ),
    "SELECT quantile_cont(hit_ratio, 0.5) AS q, median(hit_ratio) AS m FROM trials": (
        ["q", "m"],
        [(0.5, 0.5)],
    ),
    "SELECT s.dropped, s.count FROM (SELECT unnest(reservation_samples) AS s FROM runs "
    "WHERE number = 2) ORDER BY ALL": (["dropped", "count"], [(0, 0), (1, 1)]),
    "SELECT list(number ORDER BY number) AS l, {'a': 1} AS s FROM trials": (
        ["l", "s"],
        [([0, 1, 2, 3], {"a": 1})],
    ),
    "SELECT 1.50 AS decimal, 1e300 AS double, NULL AS nothing, true AS yes": (
        ["decimal", "double", "nothing", "yes"],
        [(1.5, 1e300, None, True)],
    ),
    "SELECT INTERVAL 90 MINUTE AS i, max(finished_at) - min(finished_at) AS d FROM trials": (
        ["i", "d"],
        [(timedelta(minutes=90), timedelta(0))],
    ),
    "SELECT DISTINCT finished_at FROM trials": (["finished_at"], [(NOW,)]),
    "SHOW TABLES": (["name"], [(name,) for name in sorted([*TABLES, *VIEWS])]),
    "SELECT number FROM trials WHERE number > 7": (["number"], []),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("sql", ANSWERS)
def test_ordinary_sql_is_answered(path: Path, sql: str) -> None:
    columns, rows = ANSWERS[sql]
    answer = answer_query(path, sql)
    assert answer.columns == columns
    assert repr(answer.rows) == repr(rows)


def test_tables_can_be_described_and_summarized(path: Path) -> None:
    described = answer_query(path, "DESCRIBE trials")
    assert described.columns[:2] == ["column_name", "column_type"]
    assert ("hit_ratio", "DOUBLE") in [row[:2] for row in described.rows]
    summary = answer_query(path, "SUMMARIZE trials")
    rows = {row[0]: dict(zip(summary.columns, row, strict=True)) for row in summary.rows}
    assert rows["number"]["min"] == "0"
    assert math.isclose(rows["hit_ratio"]["null_percentage"], 25.0)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_now_is_comparable_with_stored_times_in_every_time_zone(
    path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    ((age, now),) = answer_query(path, "SELECT now() - max(finished_at), now() FROM trials").rows
    assert timedelta(0) <= age < timedelta(hours=1)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


ASKS_FOR_HOURS = """
import sys
from pathlib import Path
from sweep.results import answer_query
try:
    print("asks", flush=True)
    sql = "SELECT sum(i * j) FROM range(1000000000000) a(i), range(9) b(j)"
    answer_query(Path(sys.argv[1]), sql)
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_stops_a_query_as_it_stops_everything(path: Path, tmp_path: Path) -> None:
    # A file: DuckDB takes `python -c` for a terminal, and after 2 s draws a progress bar on stdout.
    program = tmp_path / "asks_for_hours.py"
    program.write_text(ASKS_FOR_HOURS)
    pipe = subprocess.PIPE
    command = [sys.executable, str(program), str(path)]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "asks\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert said == ("stopped\n", "")
