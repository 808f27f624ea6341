"""Rows as Arrow tables: how they travel from workers to the spool, and on to the database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from sweep.results.schema import BY_COST, STRUCT_FIELDS, TABLES, Row
from sweep.study.worlds import AS_GIVEN


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
    """Return rows of a table of the database; a column that is not in a row has its default."""
    return pa.table(
        [pa.array(_values(rows, field), field.type) for field in schema_of(table)],
        schema=schema_of(table),
    )


def _values(rows: Sequence[Row], field: pa.Field) -> list[Any]:
    """Return a column of rows as Arrow takes it: a mapping as its items."""
    default = AS_GIVEN if field.name == "scenario" else None
    values = [row.get(field.name, default) for row in rows]
    if not pa.types.is_map(field.type):
        return values
    return [value and list(value.items()) for value in values]
