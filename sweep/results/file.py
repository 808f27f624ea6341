"""The database file: how it is opened, created, locked, and replaced by a changed copy."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from core.files import DISK, unfinished
from sweep.results.copies import Version, version_of
from sweep.results.errors import LockedError, StoreError, first_line, told_errors
from sweep.results.genuine import check_file, check_for_writing
from sweep.results.tables import bring_up_to_date

if TYPE_CHECKING:
    import duckdb

Result = TypeVar("Result")

#: What every connection is opened with: no file makes DuckDB fetch or load an extension, no table
#: is looked for among the variables of Python.
_SETTINGS: dict[str, Any] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}
#: The files that this process has written itself: to check one takes 50 ms.
_KNOWN: set[Version] = set()
#: The changed copy of a database, in its spool's folder, until it takes the database's place.
REWRITE = "rewrite.duckdb"
#: What a file system without links says.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


def spool_folder(path: Path) -> Path:
    """Return the folder beside a database for the files that belong to it.

    It holds the spooled rows, the locks of runs, and a new or changed database until it is whole.
    A symbolic link to the database leads to the same folder.

    Raises
    ------
    StoreError
        When the name is one of links that lead to each other.
    """
    try:
        real = path.resolve()
    except RuntimeError:  # how Python tells of it
        check_file(path)
        raise
    return real.with_name(real.name + ".spool")


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a database file of this program's own for writing; DuckDB creates it if there is none.

    Raises
    ------
    LockedError
        When another process holds it.
    StoreError
        When it is not a database.
    """
    import duckdb

    with _told(path):
        return duckdb.connect(_name(path), config=_SETTINGS)


def connect_beside() -> duckdb.DuckDBPyConnection:
    """Return a connection to an empty database in memory, which files can be attached to."""
    import duckdb

    return duckdb.connect(":memory:", config=_SETTINGS)


def attach(
    connection: duckdb.DuckDBPyConnection, file: Path, catalog: str, path: Path, patience_s: float
) -> None:
    """Attach a database to a connection, to be read only.

    Nothing in the file is looked up by a name alone: its views and macros stand in nobody's place.

    Parameters
    ----------
    connection
        What `connect_beside` returned.
    file
        The database.
    catalog
        What it is called in SQL.
    path
        The file that an error names.
    patience_s
        How long to wait for a process that holds it, in seconds.

    Raises
    ------
    LockedError
        When another process still holds it then.
    StoreError
        When it is no database.
    """
    name = _name(file).replace("'", "''")

    def attach_once() -> None:
        with _told(path):
            # Without its type, what begins as a file of SQLite would have an extension fetched.
            connection.execute(f"ATTACH '{name}' AS {catalog} (READ_ONLY, TYPE duckdb)")

    _patiently(attach_once, patience_s)


def _name(path: Path) -> str:
    """Return a name as the file system has it, whatever the locale."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        raise StoreError("a name that is not UTF-8; give another one", file=path) from None


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell what DuckDB says of a file that it opens."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        text = first_line(error)
        if "Could not set lock" in text:
            holder = re.search(r"PID \d+", text)
            who = f" ({holder.group()})" if holder else ""
            raise LockedError(f"another process{who} holds it open", file=path) from None
        if "WAL" in text:
            text += "; move that log away to go on without what it holds"
        elif "version number" in text:
            text += "; another version of DuckDB wrote it"
        raise StoreError(f"cannot be opened as a database: {text}", file=path) from None


def _patiently(attempt: Callable[[], Result], patience_s: float) -> Result:
    """Return what an attempt returns, trying again for a while if another process holds a file."""
    end = time.monotonic() + patience_s
    while True:
        try:
            return attempt()
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
    copy = spool_folder(path) / REWRITE
    real = path.resolve()
    with told_errors(path):
        make_if_missing(path)
        if Path(f"{real}.wal").exists():
            # A client that was killed left this log: opening the database makes DuckDB replay it.
            _patiently(lambda: connect(real), patience_s).close()
        with _locked(real, patience_s) as file:
            _remove_copy(copy)  # a kill left it
            try:
                # The file must not be opened a second time: closing that would release the lock.
                DISK.make_folder(copy.parent)
                DISK.copy(file, copy)
                if version_of(os.stat(real)) not in _KNOWN:
                    _check(copy, path)
                with connect(copy) as connection:
                    bring_up_to_date(connection, path)
                    yield connection
                    connection.execute("CHECKPOINT")
                DISK.sync(copy)
                DISK.rename(copy, real)
                _KNOWN.add(version_of(os.stat(real)))
            except BaseException:
                with suppress(OSError):
                    _remove_copy(copy)
                raise
            DISK.sync(real.parent)


def _remove_copy(copy: Path) -> None:
    for file in (copy, copy.with_name(f"{copy.name}.wal")):
        DISK.remove(file)


def _check(copy: Path, path: Path) -> None:
    """Raise `StoreError` if a database would do something of its own when it is written to."""
    with connect_beside() as connection:
        attach(connection, copy, "copied", path, 0.0)
        check_for_writing(connection, "copied", path)


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


def make_if_missing(path: Path) -> None:
    """Create a database where there is none."""
    check_file(path)
    real = path.resolve()
    with told_errors(path):
        if not real.exists():
            _make(real)


def _make(path: Path) -> None:
    """Create a database, which gets its name only when it is whole, so a kill leaves no half."""
    folder = spool_folder(path)
    DISK.make_folder(folder)
    draft = unfinished(folder / "draft")
    _remove_copy(draft)  # of a process that had the number of this one
    try:
        with connect(draft) as connection:
            bring_up_to_date(connection, path)
            connection.execute("CHECKPOINT")
        DISK.sync(draft)
        with suppress(FileExistsError):  # another process was faster
            give_name(draft, path)
    finally:
        with suppress(OSError):
            _remove_copy(draft)
    DISK.sync(folder.parent)


def give_name(draft: Path, path: Path) -> None:
    """Give a whole database its name, which no file has yet.

    Raises
    ------
    FileExistsError
        When another process has made a file of that name meanwhile.
    """
    try:
        DISK.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        DISK.rename(draft, path)
