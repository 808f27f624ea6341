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

import pyarrow as pa

from core.files import DISK, remove_unfinished
from sweep.results.arrow import arrow_table
from sweep.results.database import Database, DuckDB
from sweep.results.errors import LockedError, StoreError, told_errors
from sweep.results.file import REWRITE, make_if_missing, rewrite, spool_folder
from sweep.results.inserting import merge
from sweep.results.schema import TABLES, Row
from sweep.results.spool import Spool

#: How long to wait for the database to set a study aside, which the spool cannot do.
SET_ASIDE_PATIENCE_S = 10.0


class RunStore:
    """What the trials of a run write through, and what they ask of earlier ones.

    Parameters
    ----------
    path
        The database, for messages.
    spool
        Where rows are safe.
    database
        Where they go from there.
    """

    def __init__(self, path: Path, spool: Spool, database: Database) -> None:
        self.path, self.spool, self.database = path, spool, database
        self._pending: list[tuple[str, pa.Table]] = []

    def add(self, table: str, *rows: Row) -> None:
        """Add rows; they are acknowledged by the next `acknowledge`."""
        self.add_table(table, arrow_table(table, rows))

    def add_table(self, table: str, rows: pa.Table) -> None:
        """Add rows that are an Arrow table."""
        self._pending.append((table, rows))

    def acknowledge(self) -> None:
        """Write the added rows to disk: from then on they survive a crash."""
        # Rows stay pending until they are on disk: adding a row twice changes nothing.
        rows = list(self._pending)
        if rows:
            with told_errors(self.path):
                self.spool.write(rows)
            del self._pending[: len(rows)]

    def merge(self) -> None:
        """Bring acknowledged rows into the database, unless another process holds it."""
        with told_errors(self.path):
            if self.spool.names():
                with suppress(LockedError):  # a client holds the file: rows stay in the spool
                    self.database.merge()

    def flush(self) -> None:
        """Acknowledge the added rows, and merge them."""
        self.acknowledge()
        self.merge()


class Store(RunStore):
    """A results database in a DuckDB file, as a run uses it: rows are read, and rows are added.

    Raises
    ------
    StoreError
        When the database cannot be opened or created.
    """

    database: DuckDB

    def __init__(self, path: Path) -> None:
        spool = Spool(spool_folder(path))
        super().__init__(path, spool, DuckDB(path, spool))
        if not path.parent.is_dir():
            raise StoreError(f"there is no folder {path.parent}", file=path)
        make_if_missing(path)
        with told_errors(path):
            remove_unfinished(spool.folder)
            if REWRITE in DISK.names(spool.folder):
                # A kill left it; only who has the lock may remove it, as each merge does.
                with suppress(LockedError):
                    self.database.merge()
        self.merge()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query over all rows that are acknowledged."""
        return self.database.rows(sql, values)

    def set_aside(self, study: str) -> str:
        """Rename a study and all its rows, so that its name is free; return the new name.

        Raises
        ------
        LockedError
            When another process holds the file: a study cannot be renamed through the spool.
        """
        merge(self.path, self.spool, SET_ASIDE_PATIENCE_S)
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
