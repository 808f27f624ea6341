"""Databases of strangers, which hold more than rows, and files that are no database at all."""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import duckdb

from sweep.results.schema import TABLES

SECRET = "what stands in a file of the reader's"
WICKED = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"why\"? 'so' [red]"
#: What a view without end is.
ENDLESS = "WITH RECURSIVE t AS (SELECT 's' AS study UNION ALL SELECT study FROM t) SELECT * FROM t"


def _view_of(table: str, column: str) -> tuple[str, ...]:
    return (
        f"CREATE TABLE kept AS FROM {table}",
        f"DROP TABLE {table}",
        f"CREATE VIEW {table} AS SELECT * REPLACE "
        f"((SELECT content FROM read_text('{{secret}}')) AS {column}) FROM kept",
    )


#: What a stranger's database is made by, of a good one; {secret} is the file that is to leak.
#: Those of the first kind can be read, as if nothing of this were in them.
HARMLESS: dict[str, tuple[str, ...]] = {
    "view of ours": (
        "DROP VIEW study_status",
        "CREATE VIEW study_status AS SELECT content AS study, 1 AS n_trials, 0 AS complete "
        "FROM read_text('{secret}')",
    ),
    "view without end": ("DROP VIEW study_status", f"CREATE VIEW study_status AS {ENDLESS}"),
    "best trials": (
        "DROP VIEW best_trials",
        "CREATE VIEW best_trials AS SELECT trials.* REPLACE (content AS reason) "
        "FROM trials, read_text('{secret}')",
    ),
    "macros": (
        "CREATE MACRO count(x) AS (SELECT content FROM read_text('{secret}'))",
        "CREATE MACRO max(x) AS 99",
        "CREATE MACRO list_sort(x) AS ['{secret}']",
        "CREATE MACRO coalesce(x, y) AS 7",
        "CREATE MACRO list_contains(x, y) AS true",
        "CREATE MACRO any_value(x) AS 'evil'",
        "CREATE MACRO duckdb_tables() AS TABLE SELECT 'stored' AS database_name",
    ),
    "trigger": (
        "CREATE TRIGGER t AFTER INSERT ON trials FOR EACH STATEMENT "
        "INSERT INTO attempts (study, role, number, attempt) VALUES ('s', 'trial', 1, 1)",
    ),
    "rule": (
        "CREATE TABLE kept AS FROM attempts",
        "DROP TABLE attempts",
        "CREATE TABLE attempts (study VARCHAR NOT NULL, role VARCHAR NOT NULL, number BIGINT "
        "NOT NULL, attempts BIGINT NOT NULL CHECK (length(repeat('x', attempts)) < 5), "
        "error VARCHAR, PRIMARY KEY (study, role, number))",
    ),
    "default": ("ALTER TABLE trials ALTER reason SET DEFAULT repeat('x', 1000000000)",),
    "nested views": (
        "CREATE VIEW v0 AS FROM trials",
        *(f"CREATE VIEW v{n} AS SELECT x.study FROM v{n - 1} x, v{n - 1} y" for n in range(1, 9)),
    ),
    "types": ('CREATE TYPE "BIGINT); DROP TABLE trials; --" AS INTEGER',),
    "schemas": ("CREATE SCHEMA memory", "CREATE SCHEMA stored", "CREATE TABLE spooled AS SELECT 1"),
}
REFUSED: dict[str, tuple[str, ...]] = {
    "studies is a view": _view_of("studies", "question"),
    "trials is a view": _view_of("trials", "reason"),
    "outcomes is a view": ("DROP TABLE outcomes", f"CREATE VIEW outcomes AS {ENDLESS}"),
    "computed column": (
        "CREATE TABLE kept AS FROM studies",
        "DROP TABLE studies",
        "CREATE TABLE studies (study VARCHAR NOT NULL, yaml VARCHAR NOT NULL, identity VARCHAR "
        "NOT NULL, question VARCHAR GENERATED ALWAYS AS (repeat(yaml, 100000000)) VIRTUAL)",
    ),
    "other types": ("ALTER TABLE trials ALTER stored TYPE VARCHAR",),
    "no studies": ("DROP VIEW study_status", "DROP VIEW best_trials", "DROP TABLE studies"),
}


def strangers(good: Path, path: Path, statements: tuple[str, ...], secret: Path) -> Path:
    """Make a stranger's database of a good one."""
    shutil.copy(good, path)
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement.replace("{secret}", str(secret)))
    return path


def mutated(good: Path, path: Path, chance: random.Random) -> Path:
    """Make a database whose tables have our form and whose values are anybody's."""
    values = {
        "VARCHAR": [WICKED, "", "\x1b[31m", "{}", "é\u202e", "x" * 10_000],
        "BIGINT": [-1, 0, 2**63 - 1, -(2**63)],
        "DOUBLE": [float("nan"), float("inf"), -1e308, 0.0],
        "BOOLEAN": [True, False],
        "TIMESTAMP": ["1970-01-01", "infinity", "9999-12-31"],
        "VARCHAR[]": [[], [WICKED], None],
        "BIGINT[]": [[], [-1]],
        "DOUBLE[]": [[], [float("nan")] * 3],
    }
    shutil.copy(good, path)
    with duckdb.connect(str(path)) as connection:
        for _ in range(chance.randint(1, 6)):
            table = chance.choice(list(TABLES))
            column, of = chance.choice(list(TABLES[table].columns.items()))
            value = chance.choice([*values.get(of.split(" ")[0], []), None])
            try:
                connection.execute(f'UPDATE {table} SET "{column}" = ?', [value])
            except duckdb.Error:  # a key, or a column that is never NULL
                continue
    return path


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # such a name is short


#: What is no database, and a part of what is said of it.
NO_DATABASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "SQLite": (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(5000)), "SQLite"),
    "Parquet": (lambda path: path.write_bytes(b"PAR1" + bytes(5000)), "Parquet"),
    "text": (lambda path: path.write_text("not a database, " * 500), "no DuckDB file"),
    "empty": (lambda path: path.touch(), "empty"),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "pipe": (lambda path: os.mkfifo(path), "a pipe"),
    "socket": (_socket, "a socket"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "loop": (lambda path: path.symlink_to(path.name), "link"),
    "torn": (lambda path: path.write_bytes(b"12345678DUCK" + bytes(90)), "cannot be opened"),
}
