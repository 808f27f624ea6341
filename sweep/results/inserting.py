"""Rows go into the database: in one transaction, and inserting them again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from core.errors import shown_name
from sweep.results.arrow import NOT_ROWS
from sweep.results.earlier import fill_in
from sweep.results.errors import first_line, tell_once, told_errors
from sweep.results.file import rewrite
from sweep.results.precedence import best_places, replaces
from sweep.results.schema import TABLES
from sweep.results.spool import Spool, SpoolFile

if TYPE_CHECKING:
    import duckdb

#: Tables whose rows may change: the row written last replaces the others. In the other tables the
#: first row of a key stays, but for a trial that failed (`sweep.results.precedence`).
REPLACED = ("studies", "scenarios")
#: Removes complete trials, of those in `added`, that have fewer rows in another table than their
#: study has scenarios, and workloads in each.
_INCOMPLETE_SQL = """
WITH worlds AS (SELECT study, count(*) AS worlds FROM {schema}.scenarios GROUP BY study),
wanted AS (
    SELECT study, role, number, coalesce(worlds, 1) AS outcomes,
        coalesce(worlds, 1) * greatest(1, coalesce(len(workloads), 1)) AS runs
    FROM added LEFT JOIN worlds USING (study) LEFT JOIN {schema}.studies USING (study)
)
DELETE FROM {schema}.trials WHERE state = 'complete' AND (study, role, number) IN (
    SELECT (study, role, number) FROM wanted WHERE
        outcomes > (SELECT count(*) FROM {schema}.outcomes AS has
            WHERE (has.study, has.role, has.number) = (wanted.study, wanted.role, wanted.number))
        OR runs > (SELECT count(*) FROM {schema}.runs AS has
            WHERE (has.study, has.role, has.number) = (wanted.study, wanted.role, wanted.number))
)"""


def insert(
    connection: duckdb.DuckDBPyConnection, files: Sequence[SpoolFile], schema: str = "main"
) -> None:
    """Insert the rows of files in one transaction; inserting them again changes nothing.

    Where DuckDB refuses rows all the same, those of each file that it takes are inserted, and the
    others are told in the faults of theirs.

    Parameters
    ----------
    connection
        A database with all tables, open for writing.
    files
        What is in each; a column that rows lack becomes NULL.
    schema
        Where the tables are.
    """
    import duckdb

    refused = (
        duckdb.DataError,
        duckdb.IntegrityError,
        duckdb.NotSupportedError,
        duckdb.ProgrammingError,
        *NOT_ROWS,
    )
    try:
        _insert_all(connection, files, schema)
    except refused:
        for file in files:
            try:
                _insert_all(connection, [file], schema)
            except refused as error:
                file.faults.append(f"the database takes none of its rows ({first_line(error)})")
                file.rows.clear()


def _insert_all(
    connection: duckdb.DuckDBPyConnection, files: Sequence[SpoolFile], schema: str
) -> None:
    by_table: dict[str, list[pa.Table]] = {}
    for file in files:
        for table, rows in file.rows:
            by_table.setdefault(table, []).append(rows)
    with transaction(connection):
        for table, parts in by_table.items():
            rows = pa.concat_tables(parts, promote_options="default")
            _insert_into(connection, schema, table, rows)
        if any(file.is_earlier for file in files):
            fill_in(connection)
        for file in files:
            if file.faults:
                _leave_out_incomplete(connection, schema, file)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Make all changes inside in one step; none of them where one fails."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _leave_out_incomplete(
    connection: duckdb.DuckDBPyConnection, schema: str, file: SpoolFile
) -> None:
    """Leave out trials of a file whose other rows are lost: a run replays what has no row."""
    key = list(TABLES["trials"].key)
    for table, trials in file.rows:
        if table == "trials":
            connection.register("added", trials.select(key))
            connection.execute(_INCOMPLETE_SQL.format(schema=schema))
            connection.unregister("added")


def _insert_into(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, rows: pa.Table
) -> None:
    columns, key = TABLES[table]
    keys = list(zip(*(rows[name].to_pylist() for name in key), strict=True))
    replaced = table in REPLACED
    if replaced:
        places = {key: place for place, key in enumerate(keys)}  # the last of each key
    else:
        places = best_places(table, keys, rows)
    if len(places) < len(keys):
        rows = rows.take(sorted(places.values()))
    update = ", ".join(f'"{name}" = excluded."{name}"' for name in columns.keys() - key)
    where = replaces(table)
    conflict = f"({', '.join(key)}) DO UPDATE SET {update}{where}"
    if not replaced and not where:
        conflict = "DO NOTHING"
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
        # Whoever merged before us gave the lock up before it removed its files.
        files = list(spool.read(spool.names(), may_be_gone=True))
        insert(connection, files)
    with told_errors(path):
        spool.remove([file.name for file in files if not file.faults and not file.unread])
        for file in files:
            aside = spool.put_aside(file.name) if file.faults else None
            tell_of_faults(spool.folder, file, aside)


def tell_of_faults(folder: Path, file: SpoolFile, aside: Path | None = None) -> None:
    """Tell, once, what of a file of the spool is in no database.

    Parameters
    ----------
    folder
        That of the spool.
    file
        The file.
    aside
        Where it was put; None where it is where it was.
    """
    if file.unread:
        what = f"cannot be read ({file.unread}), and is passed over"
        _tell(folder / file.name, f"{what}; make it readable, or move it away")
    elif file.faults:
        more = f", and {len(file.faults) - 1:,} more" if len(file.faults) > 1 else ""
        where = f"put aside as {shown_name(aside)}" if aside else "passed over"
        kept = "; its other rows are taken" if file.rows else ""
        what = f"{file.faults[0]}{more}: {where}{kept}"
        _tell(folder / file.name, f"{what}; to run {_whose(file)} again replays what is missing")


def _whose(file: SpoolFile) -> str:
    studies = sorted({name for _, rows in file.rows for name in rows["study"].to_pylist()})
    return f"study {', '.join(studies)}" if studies else "its study"


def _tell(file: Path, what: str) -> None:
    tell_once(f"warning: {shown_name(file)}: {shown_name(what)}")
