"""A user's SQL, which can neither change the database nor touch another file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.results.errors import StoreError, first_line
from sweep.results.limits import MOST_ANSWER_BYTES, asking
from sweep.results.reading import STORED, open_for_reading
from sweep.results.schema import TABLES
from sweep.results.views import VIEWS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Answer(NamedTuple):
    """The answer to a query: the names of its columns, and its rows in that order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def answer_query(path: Path, sql: str, patience_s: float = 3.0) -> Answer:
    """Return the answer to a user's SQL, which reaches nothing but the database.

    Parameters
    ----------
    path
        The database.
    sql
        One SELECT, or what DuckDB takes for one, such as DESCRIBE.
    patience_s
        How long to wait for a process that holds the database, in seconds.

    Raises
    ------
    StoreError
        When it is another statement, or DuckDB refuses it.
    """
    import duckdb

    with open_for_reading(path, patience_s) as connection:
        try:
            with asking(connection):
                statements = connection.extract_statements(sql)
                if [each.type for each in statements] != [duckdb.StatementType.SELECT]:
                    raise StoreError("query: one SELECT is answered, nothing else")
                _show_others(connection, sql)
                connection.execute("BEGIN TRANSACTION READ ONLY")
                table = connection.sql(statements[0]).to_arrow_table()
            if table.nbytes > MOST_ANSWER_BYTES:
                size = f"{table.nbytes / 2**20:,.0f} MiB"
                raise StoreError(f"query: the answer has {size}, which is too much; ask for less")
            return as_answer(table)
        except duckdb.Error as error:
            raise StoreError(f"query: {_explain(error)}") from None
        except (OverflowError, ValueError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"query: a value has no form in Python: {first_line(error)}") from None


def _show_others(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Let the tables that a user added to the database, and the views asked for, be named."""
    import duckdb

    asked = sql.casefold()
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND schema_name = 'main'",
        [STORED],
    )
    names = [name for (name,) in tables.fetchall()]
    views = connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE database_name = $1 AND schema_name = 'main' "
        "AND NOT internal",
        [STORED],
    )
    names += [name for (name,) in views.fetchall() if name.casefold() in asked]
    for name in names:
        if name.casefold() not in {*TABLES, *VIEWS}:
            quoted = name.replace('"', '""')
            with suppress(duckdb.Error):  # a view of something that is not there
                connection.execute(f'CREATE VIEW "{quoted}" AS FROM {STORED}.main."{quoted}"')


def as_answer(table: pa.Table) -> Answer:
    """Return a table in the types that a user is answered in."""
    columns = [list(map(_plain, column.to_pylist())) for column in table.columns]
    return Answer(_distinct(table.column_names), list(zip(*columns, strict=True)))


def _explain(error: Exception) -> str:
    """Return what DuckDB says of a query, without advice that a confined query cannot follow."""
    text = str(error)
    if "has been disabled by configuration" in text:
        return "only the tables of the database can be asked; no other file is read or written"
    return text.split("Please try installing")[0].strip()


def _plain(value: Any) -> Any:
    """Return a value in the type that JSON and people expect: a sum is an int, not a Decimal."""
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    if hasattr(value, "nanoseconds"):  # an interval
        days = 30 * value.months + value.days
        return timedelta(days=days, microseconds=value.nanoseconds // 1000)
    return value


def _distinct(names: Sequence[str]) -> list[str]:
    """Return column names made distinct as DuckDB itself does: a, a becomes a, a_1."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        distinct.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return distinct
