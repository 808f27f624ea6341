"""The tables: their columns under the names of docs/model.md, and how a file is opened."""

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

from core.costs import COST_FIELDS
from core.errors import InputError
from core.outcomes import SERIES, UNITS, is_double
from core.policy import POLICY_FIELDS, WHOLE_NUMBERS, WORDS
from sweep.study.workloads import WHOLE_FIELDS, WORD_FIELDS, WORKLOAD_FIELDS

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]


class StoreError(InputError):
    """A database that cannot be used, and why."""


class LockedError(StoreError):
    """A database that another process holds open."""


def _policy_type(name: str) -> str:
    return "VARCHAR" if name in WORDS else "BIGINT" if name in WHOLE_NUMBERS else "DOUBLE"


def _workload_type(name: str) -> str:
    if name in WORD_FIELDS:
        return "VARCHAR"
    return "BIGINT" if name in WHOLE_FIELDS else "DOUBLE"


POLICY_COLUMNS: dict[str, str] = {
    **{name: _policy_type(name) for name in POLICY_FIELDS},
    "tag_block_size": "BIGINT",
    **dict.fromkeys(COST_FIELDS, "BIGINT"),
    **{name: _workload_type(name) for name in WORKLOAD_FIELDS},
}
OUTCOME_COLUMNS: dict[str, str] = {
    name: "DOUBLE" if is_double(name) else "BIGINT" for name in UNITS
}
STUDY_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "question": "VARCHAR",
    "n_trials": "BIGINT",
    "yaml": "VARCHAR NOT NULL",
    "identity": "VARCHAR NOT NULL",
    "workloads": "VARCHAR[]",
    "events_digests": "VARCHAR[]",
    "core_digest": "VARCHAR",
    "git_revision": "VARCHAR",
    "versions": "VARCHAR",
    "host": "VARCHAR",
    "created_at": "TIMESTAMP",
}
TRIAL_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "state": "VARCHAR NOT NULL",
    "reason": "VARCHAR",
    "subspace": "BIGINT",
    "feasible": "BOOLEAN",
    **POLICY_COLUMNS,
    **OUTCOME_COLUMNS,
    "policy_key": "VARCHAR NOT NULL",
    "core_digest": "VARCHAR",
    "attempts": "BIGINT",
    "host": "VARCHAR",
    "finished_at": "TIMESTAMP",
}
SAMPLES = 'STRUCT(atomic BOOLEAN, blocks BIGINT, dropped BIGINT, written BIGINT, "count" BIGINT)[]'
RUN_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "workload": "VARCHAR NOT NULL",
    "replicate": "BIGINT NOT NULL",
    "events_digest": "VARCHAR",
    "page_size": "BIGINT",
    **OUTCOME_COLUMNS,
    "reservation_samples": SAMPLES,
    **dict.fromkeys(SERIES, "BIGINT[]"),
}
ATTEMPT_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "attempts": "BIGINT NOT NULL",
    "error": "VARCHAR",
}
TABLES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "studies": (STUDY_COLUMNS, ("study",)),
    "trials": (TRIAL_COLUMNS, ("study", "role", "number")),
    "runs": (RUN_COLUMNS, ("study", "role", "number", "workload", "replicate")),
    "attempts": (ATTEMPT_COLUMNS, ("study", "role", "number")),
}


def spool_folder(path: Path) -> Path:
    """Return the folder beside a database for what cannot be in it, by whatever name it is known.

    It holds the spool, the locks of runs, and a database until it is whole.
    """
    real = path.resolve()
    return real.with_name(real.name + ".spool")


@contextmanager
def told_errors(what: object) -> Iterator[None]:
    """Tell the errors of DuckDB and of the file system in one line, as `StoreError`."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise StoreError(f"{what}: {first_line(error)}") from None
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise StoreError(f"{what}: {error.strerror or error}{place}") from None
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

    Raises
    ------
    LockedError
        When another process holds it.
    StoreError
        When it is no database.
    """
    import duckdb

    try:
        return duckdb.connect(str(path), config={"threads": 1}, **settings)
    except duckdb.Error as error:
        text = first_line(error)
        if "Could not set lock" in text:
            holder = re.search(r"PID \d+", text)
            who = f" ({holder.group()})" if holder else ""
            raise LockedError(f"{path}: another process{who} holds it open") from None
        raise StoreError(f"{path}: cannot be opened as a database: {text}") from None


def connect_patiently(path: Path, seconds: float, **settings: Any) -> duckdb.DuckDBPyConnection:
    """Open a database file, trying again for `seconds` while another process holds it."""
    end = time.monotonic() + seconds
    while True:
        try:
            return connect(path, **settings)
        except LockedError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)


@contextmanager
def rewrite(path: Path, patience_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Change a database by a copy that takes its place, whole or not at all.

    DuckDB 2.0 rewrites a block of its file in place at every checkpoint: a process killed inside
    that write left a file that no longer opened. A rename leaves the old file or the new one.

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
            # A client that was killed left it: DuckDB knows how to bring it in.
            connect_patiently(real, patience_s).close()
        with _sole(real, patience_s) as file:
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
def _sole(real: Path, patience_s: float) -> Iterator[BinaryIO]:
    """Hold the lock on a database that DuckDB itself takes, and give the file to read."""
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
            connect(real).close()  # tells who holds it
        time.sleep(0.02)


def _copy(file: BinaryIO, real: Path, copy: Path) -> None:
    """Copy a database whose lock is held: to open it a second time would let go of the lock."""
    copy.parent.mkdir(exist_ok=True)
    with copy.open("wb") as target:
        shutil.copyfileobj(file, target, 2**20)
    shutil.copymode(real, copy)


def _make(path: Path) -> None:
    """Make a database: under its name only when it is whole, lest a kill leave half a file."""
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
    """Write a file, or the names in a folder, to disk."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create the tables that a database lacks; refuse one that has others under their names."""
    import duckdb

    lacking = []
    for table, (columns, _) in TABLES.items():
        try:
            # The catalog of all columns takes ten times as long to ask.
            found = connection.execute(f"SELECT * FROM main.{table} LIMIT 0").description or ()
        except duckdb.CatalogException:
            lacking.append(table)
            continue
        missing = columns.keys() - {name for name, *_ in found}
        if missing:
            first = [name for name in columns if name in missing][:3]
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise StoreError(
                f"{path}: table {table} has no column {', '.join(first)}{more}: the file is of "
                "another program, or of another version of this one; name another with --db"
            )
    if lacking:
        connection.execute("BEGIN")
        for table in lacking:
            columns, key = TABLES[table]
            fields = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            primary = ", ".join(key)
            connection.execute(f"CREATE TABLE {table} ({fields}, PRIMARY KEY ({primary}))")
        connection.execute("COMMIT")
