"""The tables: their columns under the names of docs/model.md, and how a file is opened."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.costs import COST_FIELDS
from core.outcomes import UNITS, is_double
from core.policy import POLICY_FIELDS, WORDS

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]


class StoreError(RuntimeError):
    """A database that cannot be used, and why."""


class LockedError(StoreError):
    """A database that another process holds open."""


def _policy_type(name: str) -> str:
    return "VARCHAR" if name in WORDS else "DOUBLE" if name == "headroom" else "BIGINT"


POLICY_COLUMNS: dict[str, str] = {
    **{name: _policy_type(name) for name in POLICY_FIELDS},
    "tag_block_size": "BIGINT",
    **dict.fromkeys(COST_FIELDS, "BIGINT"),
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
    "feasible": "BOOLEAN",
    **POLICY_COLUMNS,
    **OUTCOME_COLUMNS,
    "policy_key": "VARCHAR NOT NULL",
    "core_digest": "VARCHAR",
    "attempts": "BIGINT",
    "host": "VARCHAR",
    "finished_at": "TIMESTAMP",
}
SAMPLES = 'STRUCT(atomic BOOLEAN, blocks BIGINT, dropped BIGINT, "count" BIGINT)[]'
RUN_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "workload": "VARCHAR NOT NULL",
    "events_digest": "VARCHAR",
    **OUTCOME_COLUMNS,
    "reservation_samples": SAMPLES,
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
    "runs": (RUN_COLUMNS, ("study", "role", "number", "workload")),
    "attempts": (ATTEMPT_COLUMNS, ("study", "role", "number")),
}


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
        text = str(error).splitlines()[0]
        if "Could not set lock" in text:
            raise LockedError(f"{path}: another process holds it open ({text})") from None
        raise StoreError(f"{path}: not a database that can be opened ({text})") from None


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


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of an empty database; refuse one that has others under their names."""
    found = dict(
        connection.execute(
            "SELECT table_name, list(column_name) FROM information_schema.columns GROUP BY ALL"
        ).fetchall()
    )
    for table, (columns, key) in TABLES.items():
        if table in found:
            missing = [name for name in columns if name not in found[table]]
            if missing:
                raise StoreError(
                    f"table {table} has no column {', '.join(missing)}: the file is of another "
                    "version of this program; name another with --db"
                )
            continue
        fields = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        primary = ", ".join(key)
        connection.execute(f"CREATE TABLE {table} ({fields}, PRIMARY KEY ({primary}))")
    if len(found) == 0:
        connection.execute("CHECKPOINT")
