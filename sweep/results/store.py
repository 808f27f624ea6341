"""What a run writes through: rows go to a spool that survives a crash, then into the database.

A row is acknowledged when it is in ``<database>.spool/``, flushed to disk. Spooled rows are then
merged into a copy that takes the database's place. While another client holds the file open they
wait, and the run goes on. Merging twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweep.results.errors import LockedError, StoreError, told_errors
from sweep.results.file import rewrite
from sweep.results.reading import Snapshot, open_for_reading, read_rows
from sweep.results.schema import TABLES, Row
from sweep.results.spool import merge, spool, spooled

#: How long a flush waits for a client that holds the database before rows stay in the spool.
PATIENCE_S = 0.2
#: How long to wait for the database to set a study aside, which the spool cannot do.
SET_ASIDE_PATIENCE_S = 10.0


class Store:
    """A results database as a run uses it: rows are read, and rows are added.

    Raises
    ------
    StoreError
        When the database cannot be opened or created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[tuple[str, Row]] = []
        self._snapshot = Snapshot(path)
        if not path.parent.is_dir():
            raise StoreError(f"there is no folder {path.parent}", file=path)
        if not path.exists() or spooled(path):
            self._merge()

    def add(self, table: str, row: Row) -> None:
        """Add a row; it is acknowledged by the next `flush`."""
        self._pending.append((table, row))

    def flush(self) -> None:
        """Write the added rows to disk, and merge them unless another process holds the file."""
        # Rows stay pending until they are on disk: adding a row twice changes nothing.
        rows = list(self._pending)
        if rows:
            with told_errors(self.path):
                spool(self.path, rows)
            del self._pending[: len(rows)]
        if spooled(self.path):
            self._merge()

    def _merge(self) -> None:
        with suppress(LockedError):  # a client holds the file: rows stay in the spool
            merge(self.path, PATIENCE_S)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query over all rows that are acknowledged."""
        with open_for_reading(self.path, PATIENCE_S, self._snapshot) as connection:
            return read_rows(connection, sql, values)

    def set_aside(self, study: str) -> str:
        """Rename a study and all its rows, so that its name is free; return the new name.

        Raises
        ------
        LockedError
            When another process holds the file: a study cannot be renamed through the spool.
        """
        merge(self.path, SET_ASIDE_PATIENCE_S)
        with rewrite(self.path, SET_ASIDE_PATIENCE_S) as connection:
            taken = {name for (name,) in connection.execute("SELECT study FROM studies").fetchall()}
            aside = name_aside(study, taken)
            connection.execute("BEGIN")
            for table in TABLES:
                connection.execute(f"UPDATE {table} SET study = ? WHERE study = ?", [aside, study])
            connection.execute("COMMIT")
        return aside


def name_aside(study: str, taken: Container[str]) -> str:
    """Return the name under which a study is set aside: the first ``NAME~1`` that is not taken."""
    number = 1
    while f"{study}~{number}" in taken:
        number += 1
    return f"{study}~{number}"
