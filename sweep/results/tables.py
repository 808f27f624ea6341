"""The tables of a database: made, or brought from the form of an earlier version to this one's.

A column that a table lacks becomes NULL, a field that its structs lack 0. A column that only other
versions have stays, since a user's queries may name it. What cannot be brought to this form is of
another program.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.results.column_meanings import meaning_of_column
from sweep.results.earlier import RENAMED, fill_in
from sweep.results.errors import StoreError
from sweep.results.schema import STRUCT_FIELDS, TABLES, list_type
from sweep.results.views import VIEWS

if TYPE_CHECKING:
    import duckdb
    from duckdb.sqltypes import DuckDBPyType

#: The DuckDB type of each column of a table, by name.
Columns = dict[str, str]


def bring_up_to_date(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the tables that a database lacks, and bring the others to the form of this version.

    Parameters
    ----------
    connection
        The database, or a copy of it, open for writing.
    path
        The file that an error names.

    Raises
    ------
    StoreError
        When a table under the name of ours is of another program.
    """
    present = present_tables(connection, "main", path)
    changed = [table for table in TABLES if not _is_current(table, present)]
    if not changed and _views_of(connection) == _our_views():
        return
    connection.execute("BEGIN")
    for view in VIEWS:
        connection.execute(f"DROP VIEW IF EXISTS {view}")
    for table in changed:
        if table in present:
            _rebuild(connection, table, present[table])
        else:
            make_table(connection, table, table)
            _comment(connection, table, table)
    if present:
        fill_in(connection)
    make_views(connection)
    connection.execute("COMMIT")


def make_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the views of this program, over the tables that their names stand for."""
    for view, query in VIEWS.items():
        connection.execute(f"CREATE VIEW {view} AS {query}")


def _views_of(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the words of the views of a database that have the names of ours.

    None of them is asked, since a stranger's may do anything. The words are sorted: DuckDB writes
    those of an EXCLUDE in any order.
    """
    asked = (
        "SELECT view_name, sql FROM duckdb_views() WHERE database_name = current_database() "
        "AND schema_name = 'main' AND list_contains(?, view_name)"
    )
    rows = connection.execute(asked, [list(VIEWS)]).fetchall()
    return {view: sorted(re.findall(r"\w+", sql)) for view, sql in rows}


@cache
def _our_views() -> dict[str, list[str]]:
    """Return what `_views_of` returns of a database of this version."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        for table in TABLES:
            make_table(connection, table, table)
        make_views(connection)
        return _views_of(connection)


def is_current(present: dict[str, Columns]) -> bool:
    """Return whether the tables of a database have the form of this version.

    Parameters
    ----------
    present
        What `present_tables` returned.
    """
    return all(_is_current(table, present) for table in TABLES)


def fill_tables(
    connection: duckdb.DuckDBPyConnection, source: str, present: dict[str, Columns]
) -> None:
    """Make all tables in the form of this version, with the rows that another database has.

    Parameters
    ----------
    connection
        An empty database.
    source
        What stands before the names of the other's tables, such as ``stored.main``.
    present
        Its tables: what `present_tables` returned.
    """
    for table in TABLES:
        _make_from(connection, table, table, f"{source}.{table}", present.get(table, {}))
    fill_in(connection)


def present_tables(
    connection: duckdb.DuckDBPyConnection, place: str, path: Path
) -> dict[str, Columns]:
    """Return the columns of the tables that a database has of ours.

    Parameters
    ----------
    connection
        An open database.
    place
        Where in it the tables are, such as ``main``.
    path
        The file that an error names.

    Raises
    ------
    StoreError
        When one of them is of another program.
    """
    import duckdb

    present = {}
    for table in TABLES:
        try:
            # The catalog of all columns takes ten times as long to ask.
            asked = connection.sql(f"SELECT * FROM {place}.{table} LIMIT 0")
        except duckdb.CatalogException:
            continue
        types = map(_type_name, asked.types)
        present[table] = dict(zip(asked.columns, types, strict=True))
    problem = _problem(present)
    if problem:
        what = f"{problem}: the file is of another program; name another with --db"
        raise StoreError(what, file=path)
    return present


def _type_name(of: DuckDBPyType) -> str:
    """Return the name of a type, in the words of the schema where it is a list of structs."""
    fields = _fields(of)
    return str(of) if fields is None else list_type(fields)


def _fields(of: DuckDBPyType) -> dict[str, str] | None:
    """Return the fields of a list of structs, each with its type; None for another type."""
    if of.id != "list":
        return None
    item: Any = of.children[0][1]
    return {name: str(inner) for name, inner in item.children} if item.id == "struct" else None


def _problem(present: dict[str, Columns]) -> str:
    """Return what shows that tables are of another program; "" if nothing does."""
    for table, columns in present.items():
        wanted = TABLES[table].columns
        # Every version has the columns that are never NULL, but for those with a default.
        missing = [
            name for name, of in wanted.items() if of.endswith("NOT NULL") and name not in columns
        ]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            return f"table {table} has no column {', '.join(missing[:3])}{more}"
        for name, of in wanted.items():
            plain = _plain(of)
            if name in columns and columns[name] != plain and not _is_shorter(columns[name], plain):
                return f"column {name} of table {table} is {columns[name]} and not {plain}"
    if present and "studies" not in present:
        return f"it has a table {next(iter(present))} and no table studies"
    return ""


def _plain(of: str) -> str:
    """Return the type of a column without what it says of NULL."""
    return of.split(" NOT NULL")[0]


def _is_shorter(type_name: str, of: str) -> bool:
    """Return whether a type is of lists of structs, as `of` is, but lacks some of the fields."""
    fields = STRUCT_FIELDS.get(of)
    if fields is None or not type_name.startswith("STRUCT("):
        return False
    kept = [name for name in fields if f'"{name}" ' in type_name]
    return list_type({name: fields[name] for name in kept}) == type_name


def _is_current(table: str, present: dict[str, Columns]) -> bool:
    wanted = TABLES[table].columns
    plain = [(name, _plain(of)) for name, of in wanted.items()]
    return list(present.get(table, {}).items())[: len(plain)] == plain


def _rebuild(connection: duckdb.DuckDBPyConnection, table: str, columns: Columns) -> None:
    """Replace a table by one in the form of this version that has the same rows."""
    rebuilt = f"{table}_rebuilt"
    _make_from(connection, table, rebuilt, f"main.{table}", columns)
    _comment(connection, table, rebuilt)
    connection.execute(f"DROP TABLE main.{table}")
    connection.execute(f"ALTER TABLE {rebuilt} RENAME TO {table}")


def _make_from(
    connection: duckdb.DuckDBPyConnection, table: str, name: str, source: str, columns: Columns
) -> None:
    """Make a table of ours under a name, with the rows of one of some version.

    Parameters
    ----------
    connection
        An open database.
    table
        Which of `TABLES`.
    name
        The name that it gets.
    source, columns
        Where the rows are, and what they have; without columns there is no such table.
    """
    wanted, renamed = TABLES[table].columns, RENAMED.get(table, {})
    kept = {name: of for name, of in columns.items() if renamed.get(name, name) not in wanted}
    make_table(connection, table, name, kept)
    if not columns:
        return
    values = ", ".join(
        f"{_value(column, of, wanted.get(column, of))} AS {_quoted(renamed.get(column, column))}"
        for column, of in columns.items()
    )
    connection.execute(f"INSERT INTO {name} BY NAME SELECT {values} FROM {source}")


def _value(name: str, type_name: str, wanted: str) -> str:
    """Return the SQL of a column's value in the type that is wanted."""
    if type_name == wanted or wanted not in STRUCT_FIELDS:
        return _quoted(name)
    fields = ", ".join(
        f"{_quoted(field)} := "
        + (f"item.{_quoted(field)}" if f"{_quoted(field)} " in type_name else "0")
        for field in STRUCT_FIELDS[wanted]
    )
    return f"list_transform({_quoted(name)}, lambda item: struct_pack({fields}))"


def make_table(
    connection: duckdb.DuckDBPyConnection, table: str, name: str, more: Columns | None = None
) -> None:
    """Make a table of ours under a name, with some more columns at its end.

    Parameters
    ----------
    connection
        An open database.
    table
        Which of `TABLES`.
    name
        The name that it gets.
    more
        The types of columns that only other versions have.
    """
    columns, key = TABLES[table]
    fields = ", ".join(
        f"{_quoted(column)} {of}" for column, of in [*columns.items(), *(more or {}).items()]
    )
    connection.execute(f"CREATE TABLE {name} ({fields}, PRIMARY KEY ({', '.join(key)}))")


def _comment(connection: duckdb.DuckDBPyConnection, table: str, name: str) -> None:
    """Say of each column of a table what it means."""
    for column in TABLES[table].columns:
        meaning = meaning_of_column(table, column).replace("'", "''")
        connection.execute(f"COMMENT ON COLUMN {name}.{_quoted(column)} IS '{meaning}'")


def _quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
