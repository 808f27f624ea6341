"""Files of a spool as earlier versions wrote them: a row a line, in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from sweep.results.arrow import NOT_ROWS, arrow_table
from sweep.results.schema import SAMPLES, STRUCT_FIELDS, TABLES, Row


def read_json_lines(content: bytes, faults: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of each table in a file's content; what is no row is added to `faults`."""
    by_table: dict[str, dict[int, Row]] = {}
    for number, line in enumerate(content.splitlines(), 1):
        try:
            table, row = _read_line(line)
        except NOT_ROWS as error:
            faults.append(f"line {number}: no row of a table ({error})")
        else:
            by_table.setdefault(table, {})[number] = row
    for table, rows in by_table.items():
        try:
            yield table, arrow_table(table, list(rows.values()))
        except NOT_ROWS:
            # Some row is to blame.
            for number, row in rows.items():
                try:
                    yield table, arrow_table(table, [row])
                except NOT_ROWS as error:
                    faults.append(f"line {number}: no row of {table} ({error})")


def _read_line(line: bytes) -> tuple[str, Row]:
    table, row = json.loads(line)
    if table not in TABLES:
        raise ValueError(f"there is no table {table}")
    for name in ("created_at", "finished_at"):
        if row.get(name):
            row[name] = datetime.fromisoformat(row[name])
    # A version counted less of a sample.
    for sample in row.get("reservation_samples") or ():
        sample |= {name: sample.get(name, 0) for name in STRUCT_FIELDS[SAMPLES]}
    return table, row
