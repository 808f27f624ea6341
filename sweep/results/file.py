"""The database file: how it is opened, created, locked, and replaced by a changed copy."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from core.errors import InputError
from sweep.results.schema import TABLES

if TYPE_CHECKING:
    import duckdb


class StoreError(InputError):
    """The error that a database, or a file beside it, cannot be used."""


class LockedError(StoreError):
    """The error that another process holds a database open."""


def spool_folder(path: Path) -> Path:
    """Return the folder beside a database for the files that belong to it.

    It holds the spooled rows, the locks of runs, and a new or changed database until it is whole.
    A symbolic link to the database leads to the same folder.
    """
    real = path.resolve()
    return real.with_name(real.name + ".spool")


@contextmanager
def told_errors(path: Path) -> Iterator[None]:
    """Turn the errors of DuckDB and of the file system into a `StoreError` of one line.

    Parameters
    ----------
    path
        The file that the code inside works on; the error names it.

    Raises
    ------
    StoreError
        In place of an error of DuckDB or an `OSError`.
    KeyboardInterrupt
        When Ctrl-C stopped a query.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise StoreError(first_line(error), file=path) from None
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise StoreError(f"{error.strerror or error}{place}", file=path) from None
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # how DuckDB tells of Ctrl-C
            raise KeyboardInterrupt from None
        raise


def first_line(error: Exception) -> str:
    """Return the first line of an error, without the class that DuckDB puts before it."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return re.sub(r"^[\w ]+ Error: ", "", line)


def connect(path: Path, **settings: Any) -> duckdb.DuckDBPyConnection:
    """Open a database file.

    Parameters
    ----------
    path
        The file; DuckDB creates it if there is none.
    settings
        Further arguments of `duckdb.connect`, such as ``read_only=True``.

    Raises
    ------
    LockedError
        When another process holds it.
    StoreError
        When it is not a database.
    """
    import duckdb

    try:
        return duckdb.connect(str(path), config={"threads": 1}, **settings)
    except duckdb.Error as error:
        text = first_line(error)
        if "Could not set lock" in text:
            holder = re.search(r"PID \d+", text)
            who = f" ({holder.group()})" if holder else ""
            raise LockedError(f"another process{who} holds it open", file=path) from None
        raise StoreError(f"cannot be opened as a database: {text}", file=path) from None


def connect_patiently(path: Path, patience_s: float, **settings: Any) -> duckdb.DuckDBPyConnection:
    """Open a database file, trying again for `patience_s` while another process holds it.

    Raises
    ------
    LockedError
        When another process still holds it then.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            return connect(path, **settings)
        except LockedError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)


@contextmanager
def rewrite(path: Path, patience_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to a copy of a database, which takes the database's place at the end.

    DuckDB 2.0 rewrites a block of its file in place at every checkpoint: a process killed inside
    that write left a file that no longer opened. A rename leaves the old file or the new one, so
    either all changes are made or none.

    Raises
    ------
    LockedError
        When another process holds the database open for longer than `patience_s`.
    """
    real = path.resolve()
    with told_errors(path):
        if not real.exists():
            _make(real)
        if Path(f"{real}.wal").exists():
            # A client that was killed left this log: opening the database makes DuckDB replay it.
            connect_patiently(real, patience_s).close()
        with _locked(real, patience_s) as file:
            copy = spool_folder(path) / "rewrite.duckdb"
            for leftover in copy.parent.glob("rewrite.duckdb*"):
                leftover.unlink()
            _copy(file, real, copy)
            with connect(copy) as connection:
                create(connection, path)
                yield connection
                connection.execute("CHECKPOINT")
            sync(copy)
            os.replace(copy, real)
            sync(real.parent)


@contextmanager
def _locked(real: Path, patience_s: float) -> Iterator[BinaryIO]:
    """Take the lock on a database that DuckDB itself takes, and give the file to read."""
    end = time.monotonic() + patience_s
    while True:
        with real.open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                held = True
            else:
                held = False
                # Another writer's copy may have taken the name while the lock was waited for.
                if os.path.samestat(os.fstat(file.fileno()), os.stat(real)):
                    yield file
                    return
        if held and time.monotonic() >= end:
            connect(real).close()  # raises LockedError, which names the process
        time.sleep(0.02)


def _copy(file: BinaryIO, real: Path, copy: Path) -> None:
    """Copy a database from its locked file.

    The file must not be opened a second time: closing that would release the lock.
    """
    copy.parent.mkdir(exist_ok=True)
    with copy.open("wb") as target:
        shutil.copyfileobj(file, target, 2**20)
    shutil.copymode(real, copy)


def _make(path: Path) -> None:
    """Create a database, which gets its name only when it is whole, so a kill leaves no half."""
    folder = spool_folder(path)
    folder.mkdir(exist_ok=True)
    draft = folder / f"{os.getpid()}.draft"
    draft.unlink(missing_ok=True)
    with connect(draft) as connection:
        create(connection, path)
        connection.execute("CHECKPOINT")
    sync(draft)
    try:
        os.link(draft, path.resolve())
    except FileExistsError:
        pass  # another process was faster
    except OSError:
        draft.rename(path.resolve())  # a file system without links
    draft.unlink(missing_ok=True)
    sync(folder.parent)


def sync(place: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create the tables that a database does not have yet.

    Raises
    ------
    StoreError
        When it has a table of the same name that lacks some of our columns.
    """
    import duckdb

    absent_tables = []
    for table, (columns, _) in TABLES.items():
        try:
            # The catalog of all columns takes ten times as long to ask.
            described = connection.execute(f"SELECT * FROM main.{table} LIMIT 0").description or ()
        except duckdb.CatalogException:
            absent_tables.append(table)
            continue
        present = {name for name, *_ in described}
        missing = [name for name in columns if name not in present]
        if missing:
            first = missing[:3]
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise StoreError(
                f"table {table} has no column {', '.join(first)}{more}: the file is of "
                "another program, or of another version of this one; name another with --db",
                file=path,
            )
    if absent_tables:
        connection.execute("BEGIN")
        for table in absent_tables:
            columns, key = TABLES[table]
            fields = ", ".join(f'"{name}" {type_name}' for name, type_name in columns.items())
            connection.execute(f"CREATE TABLE {table} ({fields}, PRIMARY KEY ({', '.join(key)}))")
        connection.execute("COMMIT")
