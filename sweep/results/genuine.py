"""What a database is before it is read or written: a DuckDB file, whose tables are tables.

A file may come from a stranger, or be none at all. What a stranger's database can hold beside rows
(views, macros, triggers, columns that are computed) is never taken for this program's own.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.results.errors import StoreError, told_errors
from sweep.results.schema import TABLES

if TYPE_CHECKING:
    import duckdb

#: The bytes that a DuckDB file has behind the checksum of its first block.
_MAGIC, _MAGIC_PLACE = b"DUCK", 8
#: How files of other programs begin, which are given in a database's place most.
_OTHERS = {b"SQLite format 3": "SQLite", b"PAR1": "Parquet", b"ARROW1": "Arrow"}
_KINDS = (
    (stat.S_ISLNK, "a link that leads to itself"),
    (stat.S_ISDIR, "a folder (Is a directory)"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
#: The defaults that columns of ours have, as DuckDB tells them.
_OUR_DEFAULTS = {
    f" DEFAULT({of.partition('DEFAULT ')[2]})"
    for columns, _ in TABLES.values()
    for of in columns.values()
    if "DEFAULT " in of
}


def check_file(path: Path) -> None:
    """Check that a file, if there is one, is a DuckDB file; nothing that could wait is opened.

    Raises
    ------
    StoreError
        When it is something else, or cannot be read.
    """
    with told_errors(path):
        try:
            mode = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            mode = os.lstat(path).st_mode
        what = next((name for is_kind, name in _KINDS if is_kind(mode)), None)
        if what is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                begin = os.read(descriptor, 16)
            finally:
                os.close(descriptor)
            if begin[_MAGIC_PLACE : _MAGIC_PLACE + len(_MAGIC)] == _MAGIC:
                return
            others = (name for start, name in _OTHERS.items() if begin.startswith(start))
            other = next(others, None)
            kind = f"a file of {other}, " if other else "" if begin else "empty, "
            what = f"{kind}not a valid DuckDB database"
    advice = "--db names a file that sweep run makes"
    raise StoreError(f"no DuckDB file: it is {what}; {advice}", file=path)


def check_tables(connection: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> dict[str, str]:
    """Check that what a database has under the names of our tables are tables.

    Parameters
    ----------
    connection
        A connection to another database, which the file is attached to.
    catalog
        What it is attached as.
    path
        The file that an error names.

    Returns
    -------
    dict of str to str
        Those of our tables that are there, each with the SQL that makes it.

    Raises
    ------
    StoreError
        When one of them is a view, or has a column that is computed.
    """
    views = connection.execute(
        "SELECT view_name FROM duckdb_views() "
        "WHERE database_name = ? AND schema_name = 'main' AND NOT internal",
        [catalog],
    )
    for (view,) in views.fetchall():
        if view.lower() in TABLES:
            raise _of_another(f"{view} is a view, not a table", path)
    tables = connection.execute(
        "SELECT table_name, sql FROM duckdb_tables() "
        "WHERE database_name = ? AND schema_name = 'main'",
        [catalog],
    )
    present = {name.lower(): sql for name, sql in tables.fetchall() if name.lower() in TABLES}
    for name, sql in present.items():
        if " GENERATED ALWAYS AS" in sql:
            raise _of_another(f"table {name} has a column that is computed", path)
    return present


def check_for_writing(connection: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
    """Check that a database does nothing of its own when rows are written to it.

    Parameters are those of `check_tables`.

    Raises
    ------
    StoreError
        When it has macros in place of functions, triggers, or rules of its own for our tables.
    """
    present = check_tables(connection, catalog, path)
    # A database that is opened by itself looks up names, those of functions too, in itself first.
    macros = connection.execute(
        "SELECT function_name FROM duckdb_functions() WHERE database_name = ? AND NOT internal",
        [catalog],
    )
    own = [f"macro {name}" for (name,) in macros.fetchall()]
    triggers = connection.execute(
        "SELECT trigger_name FROM duckdb_triggers() WHERE database_name = ?", [catalog]
    )
    own += [f"trigger {name}" for (name,) in triggers.fetchall()]
    asked = connection.execute(
        "SELECT lower(table_name), constraint_type FROM duckdb_constraints() "
        "WHERE database_name = ? AND schema_name = 'main' AND constraint_type != 'NOT NULL'",
        [catalog],
    )
    rules = [(name, kind) for name, kind in asked.fetchall() if name in present]
    own += [f"{kind} of table {name}" for name, kind in rules if kind != "PRIMARY KEY"]
    own += [
        f"DEFAULT of table {name}"
        for name, sql in present.items()
        if " DEFAULT" in reduce(lambda left, ours: left.replace(ours, ""), _OUR_DEFAULTS, sql)
    ]
    without = sorted(present.keys() - {name for name, kind in rules if kind == "PRIMARY KEY"})
    if without and "studies" in present:  # else it is of another program, which is told
        raise StoreError(
            f"table {without[0]} has no PRIMARY KEY, so that rows could be there twice: not as a "
            "run made it, but a copy; name another database with --db",
            file=path,
        )
    if own:
        what = f"it has a {own[0]}, which would act on what is written: drop that"
        raise StoreError(f"{what}, or name another database with --db", file=path)


def _of_another(what: str, path: Path) -> StoreError:
    return StoreError(f"{what}: not a results database of this program", file=path)
