"""The spool: rows that are safe on disk while another process holds the database open."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.results.schema import TABLES, Row

if TYPE_CHECKING:
    import duckdb


def insert(connection: duckdb.DuckDBPyConnection, rows: Iterable[tuple[str, Row]]) -> None:
    """Insert rows in one transaction; those already there stay as they are."""
    import pyarrow as pa

    by_table: dict[str, list[Row]] = {}
    for table, row in rows:
        by_table.setdefault(table, []).append(row)
    connection.execute("BEGIN")
    for table, added in by_table.items():
        columns, key = TABLES[table]
        arrow = pa.table(
            {name: pa.array([row.get(name) for row in added], _arrow_type(columns[name]))
             for name in columns}
        )  # fmt: skip
        connection.register("added", arrow)
        update = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
        replaced = table in ("attempts", "studies")
        conflict = f"({', '.join(key)}) DO UPDATE SET {update}" if replaced else "DO NOTHING"
        connection.execute(
            f"INSERT INTO {table} BY NAME SELECT * FROM added ON CONFLICT {conflict}"
        )
        connection.unregister("added")
    connection.execute("COMMIT")


def _arrow_type(kind: str) -> Any:
    import pyarrow as pa

    kinds = {
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "TIMESTAMP": pa.timestamp("us"),
        "VARCHAR[]": pa.list_(pa.string()),
    }
    if kind.startswith("STRUCT"):
        names = ("blocks", "dropped", "count")
        fields = [("atomic", pa.bool_()), *((name, pa.int64()) for name in names)]
        return pa.list_(pa.struct(fields))
    return kinds[kind.removesuffix(" NOT NULL")]


def _spool_folder(path: Path) -> Path:
    return path.with_name(path.name + ".spool")


def spooled(path: Path) -> list[Path]:
    """Return the files that wait to be merged into a database, oldest first."""
    return sorted(_spool_folder(path).glob("*.jsonl"))


def spool(path: Path, rows: Sequence[tuple[str, Row]]) -> None:
    """Write rows to a file of the spool that survives a crash of the machine."""
    folder = _spool_folder(path)
    folder.mkdir(exist_ok=True)
    target = folder / f"{time.time_ns():020d}-{os.getpid()}.jsonl"
    partial = target.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for table, row in rows:
            file.write(json.dumps([table, row], default=_as_text) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(target)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be spooled")


def _unspool(file: Path) -> list[tuple[str, Row]]:
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines():
        table, row = json.loads(line)
        for name in ("created_at", "finished_at"):
            if row.get(name):
                row[name] = datetime.fromisoformat(row[name])
        rows.append((table, row))
    return rows


def merge(connection: duckdb.DuckDBPyConnection, path: Path, remove: bool = True) -> None:
    """Insert what is spooled, then forget it; a crash in between only inserts it again."""
    files = spooled(path)
    for file in files:
        insert(connection, _unspool(file))
    if files and remove:
        for file in files:
            file.unlink(missing_ok=True)
