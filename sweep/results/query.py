"""The reader: SQL that can neither change the database nor touch another file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.results.schema import LockedError, Row, StoreError, connect_patiently, create
from sweep.results.spool import merge, spooled

if TYPE_CHECKING:
    import duckdb


#: Tries to copy a file that is being written.
COPIES = 5
#: What keeps SQL from other files. Read-only and without external access alone, DuckDB 2.0 let
#: ``COPY t TO 'results.duckdb'`` destroy the database.
CONFINEMENT = (
    "temp_directory = ''",
    "enable_external_access = false",
    "python_enable_replacements = false",
    "disabled_filesystems = 'LocalFileSystem'",
    "lock_configuration = true",
)


class Answer(NamedTuple):
    """The rows of a query, in column order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


@contextmanager
def open_for_reading(path: Path, patience_s: float = 3.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database, with all that is spooled beside it, for reading alone.

    Waits while another process writes; if it is held for longer, a copy is read.
    """
    if not path.exists() and not path.with_name(path.name + ".spool").exists():
        raise StoreError(f"{path}: no such database; sweep run makes it, --db names another")
    try:
        if spooled(path):
            with connect_patiently(path, patience_s) as writer:
                create(writer)
                merge(writer, path)
        connection = connect_patiently(path, patience_s, read_only=True)
    except LockedError:
        with _copy(path) as connection:
            yield connection
    else:
        with connection:
            yield connection


@contextmanager
def _copy(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a copy of a database that another process holds, with what is spooled for it."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="sweep-snapshot-") as folder:
        copy = Path(folder) / path.name
        for attempt in range(COPIES):
            try:
                # The log first: an old log beside a newer file is told apart, the reverse is not.
                for suffix in (".wal", ""):
                    with suppress(FileNotFoundError):
                        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
                with connect_patiently(copy, 0.0) as writer:
                    create(writer)
                    merge(writer, path, remove=False)
                break
            except (duckdb.Error, StoreError):
                if attempt == COPIES - 1:
                    raise
        with connect_patiently(copy, 0.0, read_only=True) as connection:
            yield connection


def ask(path: Path, sql: str, patience_s: float = 3.0) -> Answer:
    """Return the answer to a user's SQL, one SELECT that reaches nothing but the database.

    Raises
    ------
    StoreError
        With what DuckDB says against it.
    """
    import duckdb

    with open_for_reading(path, patience_s) as connection:
        try:
            statements = connection.extract_statements(sql)
            if [one.type for one in statements] != [duckdb.StatementType.SELECT]:
                raise StoreError("query: one SELECT is answered, nothing else")
            for setting in CONFINEMENT:
                connection.execute(f"SET {setting}")
            table = connection.sql(sql).to_arrow_table()
            columns = [column.to_pylist() for column in table.columns]
            return Answer(table.column_names, list(zip(*columns, strict=True)))
        except duckdb.Error as error:
            raise StoreError(f"query: {error}") from None


def read_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()
) -> list[Row]:
    """Return the rows of one of our own queries, by column name."""
    result = connection.execute(sql, list(values))
    columns = [column[0] for column in result.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
