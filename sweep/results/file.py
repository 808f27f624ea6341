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

from core.files import DISK
from sweep.results.errors import LockedError, StoreError, first_line, told_errors
from sweep.results.tables import bring_up_to_date

if TYPE_CHECKING:
    import duckdb


def spool_folder(path: Path) -> Path:
    """Return the folder beside a database for the files that belong to it.

    It holds the spooled rows, the locks of runs, and a new or changed database until it is whole.
    A symbolic link to the database leads to the same folder.
    """
    real = path.resolve()
    return real.with_name(real.name + ".spool")


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
        # The name as the file system has it, whatever the locale.
        name = os.fsencode(path).decode("utf-8")
        return duckdb.connect(name, config={"threads": 1}, **settings)
    except UnicodeDecodeError:
        raise StoreError("a name that is not UTF-8; give another one", file=path) from None
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
        make_if_missing(path)
        if Path(f"{real}.wal").exists():
            # A client that was killed left this log: opening the database makes DuckDB replay it.
            connect_patiently(real, patience_s).close()
        with _locked(real, patience_s) as file:
            copy = spool_folder(path) / "rewrite.duckdb"
            for leftover in (copy, copy.with_name(f"{copy.name}.wal")):
                leftover.unlink(missing_ok=True)
            _copy(file, real, copy)
            with connect(copy) as connection:
                bring_up_to_date(connection, path)
                yield connection
                connection.execute("CHECKPOINT")
            DISK.sync(copy)
            os.replace(copy, real)
            DISK.sync(real.parent)


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


def make_if_missing(path: Path) -> None:
    """Create a database where there is none."""
    real = path.resolve()
    with told_errors(path):
        if not real.exists():
            _make(real)


def _make(path: Path) -> None:
    """Create a database, which gets its name only when it is whole, so a kill leaves no half."""
    folder = spool_folder(path)
    folder.mkdir(exist_ok=True)
    draft = folder / f"{os.getpid()}.draft"
    draft.unlink(missing_ok=True)
    with connect(draft) as connection:
        bring_up_to_date(connection, path)
        connection.execute("CHECKPOINT")
    DISK.sync(draft)
    try:
        os.link(draft, path.resolve())
    except FileExistsError:
        pass  # another process was faster
    except OSError:
        draft.rename(path.resolve())  # a file system without links
    draft.unlink(missing_ok=True)
    DISK.sync(folder.parent)
