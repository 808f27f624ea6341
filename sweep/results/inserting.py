"""Rows go into the database: in one transaction, and inserting them again changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from sweep.results.earlier import fill_in
from sweep.results.errors import told_errors
from sweep.results.file import rewrite
from sweep.results.schema import TABLES
from sweep.results.spool import Rows, Spool, has_earlier_rows

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

#: Tables whose rows may change: the row written last replaces the others. In the other tables the
#: first row of a key stays.
REPLACED = ("studies", "scenarios", "attempts")


def insert(
    connection: duckdb.DuckDBPyConnection,
    rows: Iterable[Rows],
    earlier: bool = False,
    schema: str = "main",
) -> None:
    """Insert rows in one transaction; inserting them again changes nothing.

    Parameters
    ----------
    connection
        A database with all tables, open for writing.
    rows
        Those of each table; a column that they lack becomes NULL.
    earlier
        Whether an earlier version wrote some of them.
    schema
        Where the tables are.
    """
    by_table: dict[str, list[pa.Table]] = {}
    for table, of_table in rows:
        by_table.setdefault(table, []).append(of_table)
    connection.execute("BEGIN")
    try:
        for table, parts in by_table.items():
            _insert_into(
                connection, schema, table, pa.concat_tables(parts, promote_options="default")
            )
        if earlier:
            fill_in(connection)
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _insert_into(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, rows: pa.Table
) -> None:
    columns, key = TABLES[table]
    keys = list(zip(*(rows[name].to_pylist() for name in key), strict=True))
    replaced = table in REPLACED
    places = dict(zip(keys, range(len(keys)), strict=True))  # the last of each key
    if not replaced:
        places = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    if len(places) < len(keys):
        rows = rows.take(sorted(places.values()))
    update = ", ".join(f'"{name}" = excluded."{name}"' for name in columns.keys() - key)
    conflict = f"({', '.join(key)}) DO UPDATE SET {update}" if replaced else "DO NOTHING"
    connection.register("added", rows)
    connection.execute(
        f"INSERT INTO {schema}.{table} BY NAME SELECT * FROM added ON CONFLICT {conflict}"
    )
    connection.unregister("added")


def merge(path: Path, spool: Spool, patience_s: float) -> None:
    """Insert the spooled rows into a database, created if there is none, and delete their files.

    After a crash between the two the rows are inserted again. That changes nothing, as long as no
    newer rows are inserted before the files are deleted.

    Parameters
    ----------
    path
        The database.
    spool
        Its spool.
    patience_s
        How long to wait for a process that holds it, in seconds.

    Raises
    ------
    LockedError
        When another process holds the database open for longer.
    """
    with rewrite(path, patience_s) as connection:
        names = spool.names()
        # Whoever merged before us gave the lock up before it removed its files.
        insert(connection, spool.read(names, may_be_gone=True), has_earlier_rows(names))
    with told_errors(path):
        spool.remove(names)
