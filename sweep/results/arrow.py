"""Rows as Arrow tables: how they travel from workers to the spool, and on to the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from core.errors import InputError
from sweep.results.schema import BY_COST, STRUCT_FIELDS, TABLES, Row
from sweep.study.worlds import AS_GIVEN

#: What tells that something is no row of a table, whatever it is.
NOT_ROWS = (
    ValueError,  # Arrow's errors too
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    OSError,  # what Arrow says of bytes that are no stream
    pa.ArrowException,
)


@cache
def schema_of(table: str) -> pa.Schema:
    """Return the Arrow schema of a table of the database."""
    return pa.schema(
        [(name, _arrow_type(type_name)) for name, type_name in TABLES[table].columns.items()]
    )


def _arrow_type(type_name: str) -> pa.DataType:
    """Return the Arrow type of a DuckDB type that the tables use."""
    fields = STRUCT_FIELDS.get(type_name)
    if fields is not None:
        return pa.list_(pa.struct([(name, _arrow_type(of)) for name, of in fields.items()]))
    types = {
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "TIMESTAMP": pa.timestamp("us"),
        "VARCHAR[]": pa.list_(pa.string()),
        "BIGINT[]": pa.list_(pa.int64()),
        "DOUBLE[]": pa.list_(pa.float64()),
        BY_COST: pa.map_(pa.string(), pa.int64()),
    }
    return types[type_name.split(" NOT NULL")[0]]


def arrow_table(table: str, rows: Sequence[Row]) -> pa.Table:
    """Return rows of a table of the database; a column that is not in a row has its default.

    Raises
    ------
    InputError
        When a column cannot hold one of its values, such as an integer of more than 64 bits.
    """
    schema = schema_of(table)
    return pa.table([arrow_column(rows, field) for field in schema], schema=schema)


def arrow_column(rows: Sequence[Row], field: pa.Field) -> pa.Array:
    """Return a column of rows.

    Raises
    ------
    InputError
        When it cannot hold one of the values.
    """
    try:
        return pa.array(_values(rows, field), field.type)
    except NOT_ROWS as error:
        for row in rows:
            try:
                pa.array(_values([row], field), field.type)
            except NOT_ROWS:
                value = repr(row[field.name])
                shown = value if len(value) <= 80 else f"{value[:77]}…"
                what = f"study {row.get('study')}: column {field.name} cannot hold {shown}"
                raise InputError(f"{what}: {error}") from None
        raise


def _values(rows: Sequence[Row], field: pa.Field) -> list[Any]:
    """Return a column of rows as Arrow takes it: a mapping as its items."""
    default = AS_GIVEN if field.name == "scenario" else None
    values = [row.get(field.name, default) for row in rows]
    if not pa.types.is_map(field.type):
        return values
    return [value and list(value.items()) for value in values]


def fitting(table: str, rows: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return the rows that a table of the database can hold, and what is wrong with the others.

    Parameters
    ----------
    table
        The name of the table.
    rows
        Rows that say that they are of it; columns that only other versions have are left out.

    Raises
    ------
    NOT_ROWS
        When none of them is a row of it: a column is of another type, or missing.
    """
    if table not in TABLES:
        raise ValueError(f"there is no table {table}")
    rows.validate(full=True)
    columns, there = TABLES[table].columns, set(rows.column_names)
    wanted = pa.schema([field for field in schema_of(table) if field.name in there])
    if not rows.schema.equals(wanted):
        rows = rows.select(wanted.names).cast(wanted)
    faults = []
    for name, of_type in columns.items():
        if of_type.endswith("NOT NULL") or (" NOT NULL" in of_type and name in there):
            if rows[name].null_count:
                rows, without = _split(rows, rows[name].is_valid())
                faults += [f"a row of {table} without {name}"] * without
        elif of_type == "TIMESTAMP" and name in there and len(rows):
            first, last = (
                pa.scalar(each, rows[name].type) for each in (datetime.min, datetime.max)
            )
            within = pc.and_(pc.greater_equal(rows[name], first), pc.less_equal(rows[name], last))
            if pc.any(pc.invert(within)).as_py():
                rows, others = _split(rows, pc.fill_null(within, True))
                faults += [f"a row of {table} with {name} beyond the year 9999"] * others
    if table == "studies":
        rows, odd = _split(
            rows, pa.array(map(_is_identity, rows["identity"].to_pylist()), pa.bool_())
        )
        faults += ["a row of studies whose identity is none"] * odd
    return rows, faults


def _split(rows: pa.Table, holds: pa.ChunkedArray) -> tuple[pa.Table, int]:
    """Return the rows of which something holds, and how many others there are."""
    kept = rows.filter(holds)
    return kept, len(rows) - len(kept)


def _is_identity(text: str) -> bool:
    """Return whether a text is the identity of a study, in JSON."""
    try:
        return isinstance(json.loads(text), dict)
    except NOT_ROWS:
        return False
