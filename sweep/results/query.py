"""A user's SQL, which can neither change the database nor touch another file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.results.errors import StoreError, first_line
from sweep.results.reading import open_for_reading

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: What keeps SQL from other files. Read-only and without external access alone, DuckDB 2.0 let
#: ``COPY t TO 'results.duckdb'`` destroy the database.
CONFINEMENT = (
    # Stored times are UTC: now() - finished_at must not depend on the local time zone.
    "TimeZone = 'UTC'",
    "temp_directory = ''",
    "enable_external_access = false",
    "python_enable_replacements = false",
    "disabled_filesystems = 'LocalFileSystem'",
    "lock_configuration = true",
)


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
            statements = connection.extract_statements(sql)
            kinds = [statement.type for statement in statements]
            if kinds == [duckdb.StatementType.SELECT]:
                confine(connection)
                answer = as_answer(connection.sql(statements[0]).to_arrow_table())
        except duckdb.Error as error:
            raise StoreError(f"query: {_explain(error)}") from None
        except (OverflowError, ValueError) as error:
            raise StoreError(f"query: a value has no form in Python: {first_line(error)}") from None
    if kinds != [duckdb.StatementType.SELECT]:
        raise StoreError("query: one SELECT is answered, nothing else")
    return answer


def as_answer(table: pa.Table) -> Answer:
    """Return a table in the types that a user is answered in."""
    columns = [list(map(_plain, column.to_pylist())) for column in table.columns]
    return Answer(_distinct(table.column_names), list(zip(*columns, strict=True)))


def confine(connection: duckdb.DuckDBPyConnection) -> None:
    """Cut a connection off, for good, from everything but its database."""
    for setting in CONFINEMENT:
        connection.execute(f"SET {setting}")


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
