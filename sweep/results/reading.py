"""Reading a database, also while another process writes to it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.results.errors import LockedError, StoreError, told_errors
from sweep.results.file import connect, connect_patiently, spool_folder
from sweep.results.inserting import insert, merge, tell_of_faults
from sweep.results.schema import Row
from sweep.results.spool import Spool
from sweep.results.tables import bring_up_to_date, is_earlier

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    Connection = duckdb.DuckDBPyConnection


#: How often to try to open, or else to copy, a file that another process writes.
TRIES = 8
#: A database and the logs that DuckDB keeps beside it, those of a checkpoint under way included.
SUFFIXES = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
#: The inode number of a file, its size in bytes and the time of its last change in ns. They differ
#: once the file is written to, or another file has taken its name.
Version = tuple[int, int, int]
#: The version of each file of a database, in the order of `SUFFIXES`; None where there is no file.
State = list[Version | None]


class _CopyNeededError(StoreError):
    """The error that a database is not read itself, but only a copy of it can be."""


@contextmanager
def open_for_reading(
    path: Path, patience_s: float = 3.0, snapshot: Snapshot | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database for reading only, with all rows that are spooled beside it.

    A database that another process holds is waited for, and then read from a copy. One of an
    earlier version is read from a copy in the form of this one.

    Parameters
    ----------
    path
        The database.
    patience_s
        How long to wait for another process, in seconds.
    snapshot
        The copy to bring up to date and read; by default one that is made anew.

    Raises
    ------
    StoreError
        When there is no such database, or it cannot be read.
    """
    with told_errors(path):
        if not path.exists() and not _spool(path).names():
            raise StoreError("no such database; sweep run makes it, --db names another", file=path)
        snapshot = snapshot or Snapshot(path)
        for attempt in range(1, TRIES + 1):
            try:
                # The first try waits for another client to finish; the later ones only wait for a
                # gap between two writes.
                connection = _connect(path, patience_s if attempt == 1 else min(patience_s, 0.2))
                break
            except (LockedError, _CopyNeededError):
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
    """Open a database after the rows spooled for it are merged into it."""
    if _spool(path).names():
        needed = [path.resolve().parent, *([path] if path.exists() else [])]
        if not all(os.access(place, os.W_OK) for place in needed):
            raise _CopyNeededError("may only be read", file=path)
        try:
            merge(path, _spool(path), patience_s)
        except LockedError:
            raise
        except StoreError as error:  # a disk that is full, or may only be read
            raise _CopyNeededError(error.what, file=path) from None
    before = _version(os.stat(path))
    connection = connect_patiently(path, patience_s, read_only=True)
    if _version(os.stat(path)) != before:
        # A newer file took the name while this one was being opened.
        connection.close()
        raise _CopyNeededError("it is being written", file=path)
    if is_earlier(connection):
        connection.close()
        raise _CopyNeededError("is of an earlier version", file=path)
    return connection


def _spool(path: Path) -> Spool:
    return Spool(spool_folder(path))


def _version(stat: os.stat_result) -> Version:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


class Snapshot:
    """A copy of a database in the form of this version, with the rows spooled for it.

    The copy is kept: opening it again costs only what was spooled since.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._folder: str | None = None
        self._copied: State | None = None
        self._merged: set[str] = set()
        self._spool = _spool(path)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open the copy for reading only, brought up to date with the database and its spool.

        Raises
        ------
        StoreError
            When either changed while it was being copied.
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
            what = f"can only be read from a copy, and none is had: {why}"
            raise StoreError(what, file=self._path)
        return connect_patiently(copy, 0.0, read_only=True)

    def _renew(self, copy: Path) -> bool:
        """Bring the copy up to date; return False if the database changed while it was copied."""
        state, waiting = self._state(), self._spool.names()
        stale = state != self._copied or not self._merged.issubset(waiting)
        if stale:
            self._copied, self._merged = None, set()
        fresh = [name for name in waiting if name not in self._merged]
        # Read before the database is copied: rows that are merged in between are in the copy.
        files = list(self._spool.read(fresh))
        if stale and not self._copy(copy, state):
            return False
        if files or stale:
            with connect(copy) as connection:
                bring_up_to_date(connection, self._path)
                insert(connection, files)
            for file in files:
                tell_of_faults(self._spool, file, None)
        self._merged.update(fresh)
        self._copied = state
        return True

    def _copy(self, copy: Path, state: State) -> bool:
        """Copy the database as it was in `state`; return whether no client wrote to it meanwhile.

        A newer file may take its name meanwhile: the file that is being copied does not change.
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
        versions: State = []
        for suffix in SUFFIXES:
            try:
                versions.append(_version(os.stat(f"{self._path}{suffix}")))
            except FileNotFoundError:
                versions.append(None)
        return versions


def read_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()
) -> list[Row]:
    """Return the rows of one of this program's own queries.

    Parameters
    ----------
    connection
        An open database; the query is not confined to it, unlike a user's.
    sql
        The query.
    values
        The values of its parameters ``$1``, ``$2`` or ``?``, in order.
    """
    result = connection.execute(sql, list(values))
    columns = [column[0] for column in result.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def read_table(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()
) -> pa.Table:
    """Return the answer to one of this program's own queries as an Arrow table.

    Parameters are those of `read_rows`.
    """
    table: pa.Table = connection.sql(sql, params=list(values)).to_arrow_table()
    return table


def copy_of(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a copy of a database as it is now; the copy goes with the connection.

    Raises
    ------
    StoreError
        When there is no such database, or it cannot be read.
    """
    with told_errors(path):
        if not path.exists() and not _spool(path).names():
            raise StoreError("no such database; sweep run makes it, --db names another", file=path)
        attempt = 1
        while True:
            try:
                # The file goes when the snapshot does, and the open connection reads on.
                return Snapshot(path).connect()
            except StoreError:
                if attempt == TRIES:
                    raise
            time.sleep(0.02 * attempt)
            attempt += 1
