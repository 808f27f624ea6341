"""The spool: rows that are safe on disk, on their way into the database."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.results.earlier import fill_in
from sweep.results.errors import StoreError
from sweep.results.file import rewrite, spool_folder, sync
from sweep.results.schema import BY_COST, SAMPLES, STRUCT_FIELDS, TABLES, Row
from sweep.study.worlds import AS_GIVEN

if TYPE_CHECKING:
    import duckdb


#: Tables whose rows may change: the row written last replaces the others. In the other tables the
#: first row of a key stays.
REPLACED = ("studies", "scenarios", "attempts")


def insert(connection: duckdb.DuckDBPyConnection, rows: Iterable[tuple[str, Row]]) -> None:
    """Insert rows in one transaction; inserting them again changes nothing.

    Parameters
    ----------
    connection
        A database with all tables, open for writing.
    rows
        Each with the name of its table; a column that is not in the row becomes NULL.
    """
    import pyarrow as pa

    by_table: dict[str, dict[tuple[Any, ...], Row]] = {}
    for table, row in rows:
        by_key = by_table.setdefault(table, {})
        if table == "runs":
            row.setdefault("scenario", AS_GIVEN)  # an earlier version knew no scenarios
        key = tuple(row[name] for name in TABLES[table].key)
        if table in REPLACED or key not in by_key:
            by_key[key] = row
    connection.execute("BEGIN")
    try:
        for table, added in by_table.items():
            columns, key = TABLES[table]
            arrow = pa.table(
                {
                    name: pa.array(
                        _arrow_values(added.values(), name, type_name), _arrow_type(type_name)
                    )
                    for name, type_name in columns.items()
                }
            )
            update = ", ".join(f'"{name}" = excluded."{name}"' for name in columns.keys() - key)
            conflict = f"({', '.join(key)}) DO UPDATE SET {update}"
            connection.register("added", arrow)
            connection.execute(
                f"INSERT INTO {table} BY NAME SELECT * FROM added "
                f"ON CONFLICT {conflict if table in REPLACED else 'DO NOTHING'}"
            )
            connection.unregister("added")
        if any("objectives" not in row for row in by_table.get("trials", {}).values()):
            fill_in(connection)  # rows that an earlier version spooled
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _arrow_values(rows: Iterable[Row], name: str, type_name: str) -> list[Any]:
    """Return a column of rows as Arrow takes it: a mapping as its items."""
    values = [row.get(name) for row in rows]
    return [value and list(value.items()) for value in values] if type_name == BY_COST else values


def _arrow_type(type_name: str) -> Any:
    """Return the Arrow type of a DuckDB type that the tables use."""
    import pyarrow as pa

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


def spooled(path: Path) -> list[Path]:
    """Return the files of rows that wait to be merged into a database, oldest first."""
    return sorted(spool_folder(path).glob("*.jsonl"))


def spool(path: Path, rows: Sequence[tuple[str, Row]]) -> None:
    """Write rows to a new file of the spool; once this returns they survive a crash."""
    folder = spool_folder(path)
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
    # Even if the clock is set back, a file that is written later sorts later.
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
    """Yield the rows in files of the spool, each with the name of its table.

    Raises
    ------
    StoreError
        When a file is not one of a spool.
    """
    for file in files:
        try:
            for line in file.read_text(encoding="utf-8").splitlines():
                table, row = json.loads(line)
                for name in ("created_at", "finished_at"):
                    if row.get(name):
                        row[name] = datetime.fromisoformat(row[name])
                if table not in TABLES:
                    raise ValueError(f"there is no table {table}")
                # An earlier version counted less of a sample.
                for sample in row.get("reservation_samples") or ():
                    sample |= {name: sample.get(name, 0) for name in STRUCT_FIELDS[SAMPLES]}
                yield table, row
        except ValueError as error:
            raise StoreError(f"no file of a spool, move it away: {error}", file=file) from None


def merge(path: Path, patience_s: float) -> None:
    """Insert the spooled rows into a database, created if there is none, and delete their files.

    After a crash between the two the rows are inserted again. That changes nothing, as long as no
    newer rows are inserted before the files are deleted.

    Parameters
    ----------
    path
        The database.
    patience_s
        How long to wait for a process that holds it, in seconds.

    Raises
    ------
    LockedError
        When another process holds the database open for longer.
    """
    with rewrite(path, patience_s) as connection:
        files = spooled(path)
        insert(connection, unspool(files))
    for file in files:
        file.unlink(missing_ok=True)
    if files:
        sync(spool_folder(path))
