"""The spool: rows that are safe on disk, on their way into the database."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.results.schema import TABLES, Row, StoreError, rewrite, spool_folder, sync

if TYPE_CHECKING:
    import duckdb


#: Tables whose rows change: the last one written counts. Elsewhere the first one stays.
REPLACED = ("studies", "attempts")


def insert(connection: duckdb.DuckDBPyConnection, rows: Iterable[tuple[str, Row]]) -> None:
    """Insert rows in one transaction; inserting them again changes nothing."""
    import pyarrow as pa

    by_table: dict[str, dict[tuple[Any, ...], Row]] = {}
    for table, row in rows:
        by_key = by_table.setdefault(table, {})
        key = tuple(row[name] for name in TABLES[table][1])
        if table in REPLACED or key not in by_key:
            by_key[key] = row
    connection.execute("BEGIN")
    try:
        for table, added in by_table.items():
            columns, keys = TABLES[table]
            arrow = pa.table(
                {name: pa.array([row.get(name) for row in added.values()], _arrow_type(kind))
                 for name, kind in columns.items()}
            )  # fmt: skip
            update = ", ".join(f'"{name}" = excluded."{name}"' for name in columns.keys() - keys)
            conflict = f"({', '.join(keys)}) DO UPDATE SET {update}"
            connection.register("added", arrow)
            connection.execute(
                f"INSERT INTO {table} BY NAME SELECT * FROM added "
                f"ON CONFLICT {conflict if table in REPLACED else 'DO NOTHING'}"
            )
            connection.unregister("added")
    except BaseException:
        connection.rollback()
        raise
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
        "BIGINT[]": pa.list_(pa.int64()),
    }
    if kind.startswith("STRUCT"):
        names = ("blocks", "dropped", "written", "count")
        fields = [("atomic", pa.bool_()), *((name, pa.int64()) for name in names)]
        return pa.list_(pa.struct(fields))
    return kinds[kind.removesuffix(" NOT NULL")]


def spooled(path: Path) -> list[Path]:
    """Return the files that wait to be merged into a database, oldest first."""
    return sorted(spool_folder(path).glob("*.jsonl"))


def spool(path: Path, rows: Sequence[tuple[str, Row]]) -> None:
    """Write rows to a file of the spool that survives a crash of the machine."""
    folder = spool_folder(path)
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
    # The clock may be set back: what is written later still sorts later.
    newest = max((int(file.name.split("-")[0]) for file in spooled(path)), default=0)
    target = folder / f"{max(time.time_ns(), newest + 1):020d}-{os.getpid()}.jsonl"
    partial = folder / f"{os.getpid()}.partial"
    with partial.open("w", encoding="utf-8") as file:
        for table, row in rows:
            file.write(json.dumps([table, row], default=_as_text) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(target)
    sync(folder)


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be spooled")


def unspool(files: Iterable[Path]) -> Iterator[tuple[str, Row]]:
    """Yield the rows in files of the spool."""
    for file in files:
        try:
            for line in file.read_text(encoding="utf-8").splitlines():
                table, row = json.loads(line)
                for name in ("created_at", "finished_at"):
                    if row.get(name):
                        row[name] = datetime.fromisoformat(row[name])
                if table not in TABLES:
                    raise ValueError(f"there is no table {table}")
                yield table, row
        except ValueError as error:
            raise StoreError(f"{file}: no file of a spool, move it away: {error}") from None


def merge(path: Path, patience_s: float) -> None:
    """Insert what is spooled into a database, made if there is none, and forget it.

    A crash in between inserts it again, which changes nothing as long as nothing newer is inserted
    before it is forgotten.

    Raises
    ------
    LockedError
        When another process holds the database open.
    """
    with rewrite(path, patience_s) as connection:
        files = spooled(path)
        insert(connection, unspool(files))
    for file in files:
        file.unlink(missing_ok=True)
    if files:
        sync(spool_folder(path))
