"""Files of a spool as earlier versions wrote them: a row a line, in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from sweep.results.arrow import arrow_table
from sweep.results.earlier import RENAMED
from sweep.results.schema import SAMPLES, STRUCT_FIELDS, TABLES, Row


def read_json_lines(content: bytes) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of each table in a file's content.

    Raises
    ------
    ValueError
        When it is no such file.
    """
    by_table: dict[str, list[Row]] = {}
    for line in content.decode("utf-8").splitlines():
        table, row = json.loads(line)
        for name in ("created_at", "finished_at"):
            if row.get(name):
                row[name] = datetime.fromisoformat(row[name])
        if table not in TABLES:
            raise ValueError(f"there is no table {table}")
        # A version counted less of a sample.
        for sample in row.get("reservation_samples") or ():
            sample |= {name: sample.get(name, 0) for name in STRUCT_FIELDS[SAMPLES]}
        renamed = RENAMED.get(table, {})
        named = {renamed.get(name, name): value for name, value in row.items()}
        by_table.setdefault(table, []).append(named)
    for table, rows in by_table.items():
        yield table, arrow_table(table, rows)
