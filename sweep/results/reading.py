"""Reading a database, also while another process writes to it, and without writing anything.

A reader has a database of its own in memory, which the file is attached to. There stand views of
this program over the tables of the file and the rows that are spooled beside it: so nothing else
in the file, which may be a stranger's, has a name that this program asks for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, shown_name
from sweep.results.copies import State, copied, state_of
from sweep.results.errors import LockedError, StoreError, first_line, tell_once, told_errors
from sweep.results.file import attach, connect_beside, spool_folder
from sweep.results.genuine import check_file, check_tables
from sweep.results.inserting import REPLACED, insert, tell_of_faults
from sweep.results.limits import asking
from sweep.results.precedence import replaces
from sweep.results.schema import TABLES, Row
from sweep.results.spool import Spool, SpoolFile
from sweep.results.tables import fill_tables, is_current, make_table, make_views, present_tables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    Connection = duckdb.DuckDBPyConnection


#: How often to try to open, or else to copy, a file that another process writes.
TRIES = 8
#: What a database is attached as, and where rows are that are not yet in it.
STORED, _SPOOLED = "stored", "spooled"
#: What keeps SQL from other files. Read-only and without external access alone, DuckDB 2.0 let
#: ``COPY t TO 'results.duckdb'`` destroy the database.
CONFINEMENT = (
    # Stored times are UTC: now() - finished_at must not depend on the local time zone.
    "TimeZone = 'UTC'",
    "temp_directory = ''",
    "enable_external_access = false",
    "python_enable_replacements = false",
    "disabled_filesystems = 'LocalFileSystem'",
    "lock_configuration = true",
)

#: The errors that this program's own reading of rows ends in where no run wrote them.
_CONTRADICTIONS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def open_for_reading(
    path: Path, patience_s: float = 3.0, snapshot: Snapshot | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database for reading only, with all rows that are spooled beside it.

    The connection reaches nothing else. A database that another process holds is waited for, and
    then read from a copy. One of an earlier version is read in the form of this one.

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
    with told_errors(path), told_contradictions(path):
        check_there(path)
        for attempt in range(1, TRIES + 1):
            try:
                # The first try waits for another client to finish; the later ones only wait for a
                # gap between two writes.
                connection = _open(path, patience_s if attempt == 1 else min(patience_s, 0.2))
                break
            except LockedError:
                try:
                    snapshot = snapshot or Snapshot(path)
                    connection = snapshot.connect()
                    break
                except StoreError:
                    if attempt == TRIES:
                        raise
                    time.sleep(0.02 * attempt)
        with connection:
            yield connection


@contextmanager
def told_contradictions(path: Path) -> Iterator[None]:
    """Tell in a line what comes of rows that no run writes: a file may be a stranger's.

    Parameters
    ----------
    path
        The database that the error names.

    Raises
    ------
    StoreError
        In place of what Python raises of such rows.
    """
    try:
        yield
    except (InputError, MemoryError, OSError):
        raise
    except _CONTRADICTIONS as error:
        raise StoreError(
            "its rows contradict each other, as no run writes them: another program made or "
            "changed it; let --db name another database, or a new one, and run the study into it "
            f"({type(error).__name__}: {first_line(error)})",
            file=path,
        ) from error


def check_there(path: Path) -> None:
    """Check that there is a database.

    Raises
    ------
    StoreError
        When there is none.
    """
    check_file(path)
    if not path.exists() and not _spool(path).names():
        raise StoreError("no such database; sweep run makes it, --db names another", file=path)


def _open(path: Path, patience_s: float) -> duckdb.DuckDBPyConnection:
    """Open the database itself, and add what is spooled."""
    spool = _spool(path)
    names = spool.names()

    def read() -> list[SpoolFile]:
        try:
            return list(spool.read(names))
        except FileNotFoundError:  # merged into a newer file than the one that is open
            raise LockedError("it is being written", file=path) from None

    return _connected(path, path if path.exists() else None, patience_s, read)


def _spool(path: Path) -> Spool:
    return Spool(spool_folder(path))


def _connected(
    path: Path, file: Path | None, patience_s: float, read: Callable[[], Sequence[SpoolFile]]
) -> duckdb.DuckDBPyConnection:
    """Return a confined connection to what a file holds, and some rows more.

    Parameters
    ----------
    path
        The database, for messages.
    file
        The database or a copy of it; None if there are spooled rows alone.
    patience_s
        How long to wait for a process that holds it, in seconds.
    read
        Returns what is in the files of its spool; it is called once the file is open, from when on
        nobody merges them into it.
    """
    connection = connect_beside()
    try:
        present = {}
        if file is not None:
            _attach(connection, file, path, patience_s)
            check_tables(connection, STORED, path)
            present = present_tables(connection, f"{STORED}.main", path)
        spooled = read()
        if not present and not spooled and (file is None or _holds_tables(connection)):
            what = "it has no table studies: not a results database of this program"
            raise StoreError(what, file=path)
        confine(connection)
        # What is missing beside damaged rows is asked of all rows.
        if not is_current(present) or any(each.is_earlier or each.faults for each in spooled):
            fill_tables(connection, f"{STORED}.main", present)
        else:
            connection.execute(f"CREATE SCHEMA {_SPOOLED}")
            for table in TABLES:
                connection.execute(f"CREATE VIEW {table} AS FROM {STORED}.main.{table}")
        _add(connection, path, spooled)
        make_views(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _holds_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether the file holds a table at all: one that does not may become ours."""
    asked = "SELECT 1 FROM duckdb_tables() WHERE database_name = ?"
    return bool(connection.execute(asked, [STORED]).fetchall())


def _attach(
    connection: duckdb.DuckDBPyConnection, file: Path, path: Path, patience_s: float
) -> None:
    """Attach a file; without what a client left in its log, if that cannot be read."""
    try:
        attach(connection, file, STORED, path, patience_s)
    except LockedError:
        raise
    except StoreError as error:
        real = file.resolve()
        if not Path(f"{real}.wal").exists():
            raise
        with copied(real, with_logs=False) as copy:
            attach(connection, copy, STORED, path, 0.0)
        what = f"a log that cannot be read, and what it holds is left out ({error.what})"
        tell_once(f"warning: {shown_name(path)}.wal: {what}")


def _add(connection: duckdb.DuckDBPyConnection, path: Path, spooled: Sequence[SpoolFile]) -> None:
    """Add what is spooled to what is seen of a database, and tell what of it is no row."""
    _add_rows(connection, spooled)
    for each in spooled:
        tell_of_faults(spool_folder(path), each)


def _add_rows(connection: duckdb.DuckDBPyConnection, spooled: Sequence[SpoolFile]) -> None:
    """Add rows to what is seen of a database; where both have a key, one is seen as if merged."""
    tables = {table for each in spooled for table, _ in each.rows}
    asked = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'memory'"
    if (_SPOOLED,) not in connection.execute(asked).fetchall():
        insert(connection, spooled)  # into tables that are filled, with no view over them
        return
    asked = "SELECT 1 FROM duckdb_tables() WHERE database_name = 'memory' AND schema_name = ?"
    if tables and not connection.execute(asked, [_SPOOLED]).fetchall():
        for table in TABLES:
            make_table(connection, table, f"{_SPOOLED}.{table}")
    insert(connection, spooled, _SPOOLED)
    for table in tables:
        connection.execute(f"CREATE OR REPLACE VIEW {table} AS {_seen(table)}")


def _seen(table: str) -> str:
    """Return the query for the rows of a table, as they would be if those spooled were merged."""
    stored, spooled = f"{STORED}.main.{table}", f"{_SPOOLED}.{table}"
    key = ", ".join(TABLES[table].key)
    if table in REPLACED:
        return f"FROM {stored} ANTI JOIN {spooled} USING ({key}) UNION ALL BY NAME FROM {spooled}"
    stays = f"FROM {stored}"
    where = replaces(table)
    if where:
        both = f"{stored} AS {table} JOIN {spooled} AS excluded USING ({key})"
        stays = f"FROM {stored} ANTI JOIN (SELECT {key} FROM {both}{where}) USING ({key})"
    return f"{stays} UNION ALL BY NAME FROM {spooled} ANTI JOIN ({stays}) USING ({key})"


def confine(connection: duckdb.DuckDBPyConnection) -> None:
    """Cut a connection off, for good, from everything but what is attached to it."""
    for setting in CONFINEMENT:
        connection.execute(f"SET {setting}")


class Snapshot:
    """A copy of a database in the form of this version, with the rows spooled for it.

    The copy is kept: opening it again costs only what was spooled since. It has no name, and is
    gone with this process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._copied: State = []
        self._merged: set[str] = set()
        self._spool = _spool(path)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the copy, brought up to date with the database and its spool.

        Raises
        ------
        StoreError
            When either changed while it was being copied.
        """
        try:
            return self._renewed().cursor()
        except (StoreError, FileNotFoundError) as error:
            self._connection = None
            why = error.what if isinstance(error, StoreError) else str(error)
            what = f"can only be read from a copy, and none is had: {why}"
            raise StoreError(what, file=self._path) from None

    def _renewed(self) -> duckdb.DuckDBPyConnection:
        state, waiting = state_of(self._path), self._spool.names()
        fresh = [name for name in waiting if name not in self._merged]
        # Read before the database is copied: rows that are merged in between are in the copy.
        spooled = list(self._spool.read(fresh, may_be_gone=True))
        is_stale = (
            state != self._copied
            or not self._merged.issubset(waiting)
            or len(spooled) < len(fresh)
            # What an earlier version wrote is brought to this one's form with all the rest, and of
            # all the rest is asked what is missing beside damaged rows.
            or any(each.is_earlier or each.faults for each in spooled)
        )
        if self._connection is None or is_stale:
            if self._merged:
                spooled = list(self._spool.read(waiting, may_be_gone=True))
                self._merged = set()
            if state[0] is None:
                self._connection = _connected(self._path, None, 0.0, lambda: spooled)
            else:
                with copied(self._path) as file:
                    self._connection = _connected(self._path, file, 0.0, lambda: spooled)
            self._copied = state
        else:
            _add(self._connection, self._path, spooled)
        self._merged.update(each.name for each in spooled if not each.unread)
        return self._connection


def read_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()
) -> list[Row]:
    """Return the rows of one of this program's own queries.

    Parameters
    ----------
    connection
        An open database.
    sql
        The query.
    values
        The values of its parameters ``$1``, ``$2`` or ``?``, in order.
    """
    with asking(connection):
        result = connection.execute(sql, list(values))
        columns = [column[0] for column in result.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def read_table(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()
) -> pa.Table:
    """Return the answer to one of this program's own queries as an Arrow table.

    Parameters are those of `read_rows`.
    """
    with asking(connection):
        table: pa.Table = connection.sql(sql, params=list(values)).to_arrow_table()
        return table


def copy_of(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a copy of a database as it is now; the copy goes with the connection.

    Raises
    ------
    StoreError
        When there is no such database, or it cannot be read.
    """
    with told_errors(path), told_contradictions(path):
        check_there(path)
        attempt = 1
        while True:
            try:
                return Snapshot(path).connect()
            except StoreError:
                if attempt == TRIES:
                    raise
            time.sleep(0.02 * attempt)
            attempt += 1
