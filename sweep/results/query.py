"""The reader: SQL that can neither change the database nor touch another file."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.results.schema import (
    LockedError,
    Row,
    StoreError,
    connect,
    connect_patiently,
    create,
    first_line,
    told_errors,
)
from sweep.results.spool import insert, merge, spooled, unspool

if TYPE_CHECKING:
    import duckdb

    Connection = duckdb.DuckDBPyConnection


#: Tries to open, or else to copy, a file that is being written.
TRIES = 8
#: A database and the logs that DuckDB keeps beside it, those of a checkpoint under way included.
SUFFIXES = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
#: What keeps SQL from other files. Read-only and without external access alone, DuckDB 2.0 let
#: ``COPY t TO 'results.duckdb'`` destroy the database.
CONFINEMENT = (
    # Stored times are UTC: now() - finished_at must not depend on where it is asked.
    "TimeZone = 'UTC'",
    "temp_directory = ''",
    "enable_external_access = false",
    "python_enable_replacements = false",
    "disabled_filesystems = 'LocalFileSystem'",
    "lock_configuration = true",
)


Version = tuple[int, int, int]
State = list[Version | None]  # of each file of a database


class Answer(NamedTuple):
    """The rows of a query, in column order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


@contextmanager
def open_for_reading(
    path: Path, patience_s: float = 3.0, snapshot: Snapshot | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database, with all that is spooled beside it, for reading alone.

    Waits while another process writes; if it is held for longer, a copy is read: that of
    `snapshot`, if given, brought up to date.
    """
    with told_errors(path):
        if not path.exists() and not spooled(path):
            raise StoreError(f"{path}: no such database; sweep run makes it, --db names another")
        snapshot = snapshot or Snapshot(path)
        for attempt in range(1, TRIES + 1):
            try:
                # Only the first time is for a client; then it is for a gap between two writes.
                connection = _connect(path, patience_s if attempt == 1 else min(patience_s, 0.2))
                break
            except LockedError:
                try:
                    connection = snapshot.connect()
                    break
                except StoreError:
                    if attempt == TRIES:
                        raise
                    time.sleep(0.02 * attempt)
        with connection:
            yield connection


def _connect(path: Path, patience_s: float) -> duckdb.DuckDBPyConnection:
    """Open a database, once what is spooled for it is in it."""
    if spooled(path):
        needed = [path.resolve().parent, *([path] if path.exists() else [])]
        if not all(os.access(place, os.W_OK) for place in needed):
            raise LockedError(f"{path}: may only be read")
        merge(path, patience_s)
    before = _version(os.stat(path))
    connection = connect_patiently(path, patience_s, read_only=True)
    if _version(os.stat(path)) != before:
        # A newer file took the name while this one was being opened.
        connection.close()
        raise LockedError(f"{path}: it is being written")
    return connection


def _version(stat: os.stat_result) -> Version:
    """Return what tells a file from one that takes its name, and from itself once written to."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


class Snapshot:
    """A copy of a database that another process holds, with what is spooled for it.

    It is kept, so that opening it again costs only what was spooled since.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._folder: str | None = None
        self._copied: State | None = None
        self._merged: set[Path] = set()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open the copy for reading alone, as the database and its spool are now.

        Raises
        ------
        StoreError
            When either changed before it was copied.
        """
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="sweep-snapshot-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        copy = Path(self._folder) / self._path.name
        try:
            steady, why = self._renew(copy), "it is being written"
        except (StoreError, FileNotFoundError) as error:
            steady, why = False, str(error)
        if not steady:
            self._copied = None
            raise StoreError(f"{self._path}: held by another process, and no copy is had: {why}")
        return connect_patiently(copy, 0.0, read_only=True)

    def _renew(self, copy: Path) -> bool:
        """Bring the copy up to date; return whether what was copied is whole."""
        state, waiting = self._state(), spooled(self._path)
        stale = state != self._copied or not self._merged.issubset(waiting)
        if stale:
            self._copied, self._merged = None, set()
        fresh = [file for file in waiting if file not in self._merged]
        # Read before the database is copied: what is merged meanwhile is in that.
        rows = list(unspool(fresh))
        if stale and not self._copy(copy, state):
            return False
        if rows or stale:
            with connect(copy) as connection:
                create(connection, self._path)
                insert(connection, rows)
        self._merged.update(fresh)
        self._copied = state
        return True

    def _copy(self, copy: Path, state: State) -> bool:
        """Copy the database as it was in `state`; return whether no client wrote to it meanwhile.

        That a newer file takes its name does no harm: the one that is copied stays as it is.
        """
        for suffix in SUFFIXES:
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
        if state[0] is None:
            return True
        with self._path.open("rb") as file, copy.open("wb") as target:
            opened = _version(os.fstat(file.fileno()))
            shutil.copyfileobj(file, target, 2**20)
            for suffix, stat in zip(SUFFIXES[1:], state[1:], strict=True):
                if stat is not None:
                    shutil.copyfile(f"{self._path}{suffix}", f"{copy}{suffix}")
            unwritten = _version(os.fstat(file.fileno())) == opened == state[0]
        return unwritten and self._state()[1:] == state[1:]

    def _state(self) -> State:
        """Return what tells whether a file of the database was written or replaced."""
        found: State = []
        for suffix in SUFFIXES:
            try:
                found.append(_version(os.stat(f"{self._path}{suffix}")))
            except FileNotFoundError:
                found.append(None)
        return found


def ask(path: Path, sql: str, patience_s: float = 3.0) -> Answer:
    """Return the answer to a user's SQL, one SELECT that reaches nothing but the database.

    Raises
    ------
    StoreError
        With what DuckDB says against it.
    """
    import duckdb

    with open_for_reading(path, patience_s) as connection, told_errors("query"):
        try:
            statements = connection.extract_statements(sql)
            if [one.type for one in statements] != [duckdb.StatementType.SELECT]:
                raise StoreError("query: one SELECT is answered, nothing else")
            confine(connection)
            table = connection.sql(statements[0]).to_arrow_table()
            columns = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
        except duckdb.Error as error:
            raise StoreError(f"query: {_explain(error)}") from None
        except (OverflowError, ValueError) as error:
            raise StoreError(f"query: a value has no form in Python: {first_line(error)}") from None
    return Answer(_distinct(table.column_names), list(zip(*columns, strict=True)))


def confine(connection: duckdb.DuckDBPyConnection) -> None:
    """Take from a connection, for good, all that is not its database."""
    for setting in CONFINEMENT:
        connection.execute(f"SET {setting}")


def _explain(error: Exception) -> str:
    text = str(error)
    if "has been disabled by configuration" in text:
        return "only the tables of the database can be asked; no other file is read or written"
    return text.split("Please try installing")[0].strip()


def _plain(value: Any) -> Any:
    """Return a value as JSON and people know it: sums are whole numbers, not decimals."""
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    if hasattr(value, "nanoseconds"):  # an interval
        days = 30 * value.months + value.days
        return timedelta(days=days, microseconds=value.nanoseconds // 1000)
    return value


def _distinct(names: Sequence[str]) -> list[str]:
    """Return column names that all differ, as DuckDB itself tells them apart: a, a_1."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        distinct.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return distinct


def read_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()
) -> list[Row]:
    """Return the rows of one of our own queries, by column name."""
    result = connection.execute(sql, list(values))
    columns = [column[0] for column in result.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
