"""The writer: rows are committed in short connections, or kept in a spool while the file is held.

Another client that keeps the file open never stops a run: what cannot be committed is written to
``<database>.spool/``, flushed to disk, and merged when the file is free. A row is acknowledged when
it is in either; merging twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.results.query import open_for_reading, read_rows
from sweep.results.schema import (
    TABLES,
    LockedError,
    Row,
    StoreError,
    connect_patiently,
    create,
)
from sweep.results.spool import insert, merge, spool

#: A flush waits so long for a reader to let go before it spools, in seconds.
PATIENCE_S = 0.2


class Store:
    """A results database as a run sees it: what is recorded, and rows to add."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[tuple[str, Row]] = []
        if not path.parent.is_dir():
            raise StoreError(f"{path}: there is no folder {path.parent}")
        try:
            with connect_patiently(path, PATIENCE_S) as connection:
                create(connection)
                merge(connection, path)
        except LockedError:
            pass  # someone reads: rows go to the spool

    def add(self, table: str, row: Row) -> None:
        """Add a row; it is acknowledged by the next `flush`."""
        self._pending.append((table, row))

    def flush(self) -> None:
        """Commit what was added, or spool it while the file is held by another process."""
        if not self._pending:
            return
        rows, self._pending = self._pending, []
        try:
            try:
                with connect_patiently(self.path, PATIENCE_S) as connection:
                    create(connection)
                    insert(connection, rows)
                    merge(connection, self.path)
            except LockedError:
                spool(self.path, rows)
        except BaseException:
            self._pending = rows + self._pending
            raise

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query over all that is acknowledged."""
        with open_for_reading(self.path, PATIENCE_S) as connection:
            return read_rows(connection, sql, values)

    def set_aside(self, study: str) -> str:
        """Rename a study and all its rows, so that its name is free; return the new name."""
        with connect_patiently(self.path, 10.0) as connection:
            merge(connection, self.path)
            number = 1
            taken = {name for (name,) in connection.execute("SELECT study FROM studies").fetchall()}
            while f"{study}~{number}" in taken:
                number += 1
            connection.execute("BEGIN")
            for table in TABLES:
                connection.execute(
                    f"UPDATE {table} SET study = ? WHERE study = ?", [f"{study}~{number}", study]
                )
            connection.execute("COMMIT")
        return f"{study}~{number}"
