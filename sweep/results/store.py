"""The writer: rows are committed in short connections, or kept in a spool while the file is held.

Another client that keeps the file open never stops a run: what cannot be committed is written to
``<database>.spool/``, flushed to disk, and merged when the file is free. A row is acknowledged when
it is in either; merging twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.results.query import Snapshot, open_for_reading, read_rows
from sweep.results.schema import (
    TABLES,
    LockedError,
    Row,
    StoreError,
    open_for_writing,
    told_errors,
)
from sweep.results.spool import insert, merge, spool

#: A flush waits so long for a reader to let go before it spools, in seconds.
PATIENCE_S = 0.2
#: To set a study aside the file itself is needed: so long is waited for it, in seconds.
SET_ASIDE_PATIENCE_S = 10.0


class Store:
    """A results database as a run sees it: what is recorded, and rows to add."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[tuple[str, Row]] = []
        self._snapshot = Snapshot(path)
        if not path.parent.is_dir():
            raise StoreError(f"{path}: there is no folder {path.parent}")
        try:
            with open_for_writing(path, PATIENCE_S) as connection:
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
        # Rows stay pending until they are safe: those added twice change nothing.
        rows = list(self._pending)
        try:
            with open_for_writing(self.path, PATIENCE_S) as connection:
                merge(connection, self.path)
                insert(connection, rows)
        except LockedError:
            with told_errors(self.path):
                spool(self.path, rows)
        del self._pending[: len(rows)]

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query over all that is acknowledged."""
        with open_for_reading(self.path, PATIENCE_S, self._snapshot) as connection:
            return read_rows(connection, sql, values)

    def set_aside(self, study: str) -> str:
        """Rename a study and all its rows, so that its name is free; return the new name.

        Raises
        ------
        LockedError
            When another process holds the file: a spool takes no renaming.
        """
        with open_for_writing(self.path, SET_ASIDE_PATIENCE_S) as connection:
            merge(connection, self.path)
            taken = {name for (name,) in connection.execute("SELECT study FROM studies").fetchall()}
            number = 1
            while f"{study}~{number}" in taken:
                number += 1
            connection.execute("BEGIN")
            for table in TABLES:
                connection.execute(
                    f"UPDATE {table} SET study = ? WHERE study = ?", [f"{study}~{number}", study]
                )
            connection.execute("COMMIT")
        return f"{study}~{number}"
