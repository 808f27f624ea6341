"""What a run asks of its results database, and what a DuckDB file answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pyarrow as pa

from sweep.results.errors import LockedError, StoreError, told_errors
from sweep.results.inserting import merge
from sweep.results.reading import Snapshot, open_for_reading, read_rows, read_table
from sweep.results.schema import Row
from sweep.results.spool import Spool

if TYPE_CHECKING:
    from sweep.results.reading import Connection

#: How long a merge waits for a client that holds the database before rows stay in the spool.
PATIENCE_S = 0.2


class Found(NamedTuple):
    """What became of policies that are recorded, whatever their study.

    Parameters
    ----------
    outcomes, runs
        Rows of the tables of those names, each with its policy's ``key``.
    """

    outcomes: pa.Table
    runs: pa.Table


class Database(Protocol):
    """A results database, with all rows that are spooled beside it."""

    def reading(self) -> AbstractContextManager[object]:
        """Let several questions be asked of the database opened once."""

    def merge(self) -> None:
        """Bring in the spooled rows, and remove them from the spool.

        Raises
        ------
        LockedError
            When another process holds the database: the rows stay in the spool.
        """

    def recorded(self, study: str) -> list[Row]:
        """Return the trials and baselines of a study: what is asked of them again."""

    def attempts(self, study: str) -> list[Row]:
        """Return how often trials of a study failed, with the last error and its cause."""

    def known(self, code_digest: str) -> set[str]:
        """Return the keys of policies of which one simulator has a complete trial."""

    def evaluated(self, keys: Sequence[str]) -> Found:
        """Return what became of policies, by key."""


class DuckDB:
    """A results database in a DuckDB file."""

    def __init__(self, path: Path, spool: Spool) -> None:
        self._path, self._spool = path, spool
        self._snapshot = Snapshot(path)
        self._held: Connection | None = None

    def merge(self) -> None:
        """Bring in the spooled rows, and remove them from the spool."""
        merge(self._path, self._spool, PATIENCE_S)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection, which whatever is asked meanwhile has too: each takes 20 ms to open.

        Others cannot write then, so that nothing but questions may stand within.
        """
        if self._held is not None:
            yield self._held
            return
        patience_s = PATIENCE_S
        with told_errors(self._path):
            is_waiting = bool(self._spool.names())
        if is_waiting:
            try:
                self.merge()
            except LockedError:  # rows are read from the spool
                patience_s = 0.0
            except StoreError:  # a full disk: likewise
                pass
        with open_for_reading(self._path, patience_s, self._snapshot) as connection:
            self._held = connection
            try:
                yield connection
            finally:
                self._held = None

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query over all rows that are acknowledged."""
        with self.reading() as connection:
            return read_rows(connection, sql, values)

    def recorded(self, study: str) -> list[Row]:
        """Return the trials and baselines of a study: what is asked of them again."""
        return self.rows(
            "SELECT role, number, state, asked, objectives, violations, feasible, attainable, "
            "retried FROM trials WHERE study = ?",
            [study],
        )

    def attempts(self, study: str) -> list[Row]:
        """Return how often trials of a study failed, with the last error and its cause."""
        return self.rows(
            "SELECT role, number, max(attempt) AS attempts, arg_max(error, attempt) AS error, "
            "arg_max(cause, attempt) AS cause FROM attempts WHERE study = ? GROUP BY role, number",
            [study],
        )

    def known(self, code_digest: str) -> set[str]:
        """Return the keys of policies of which one simulator has a complete trial."""
        rows = self.rows(
            "SELECT DISTINCT policy_key FROM trials WHERE state = 'complete' AND core_digest = ?",
            [code_digest],
        )
        return {row["policy_key"] for row in rows}

    def evaluated(self, keys: Sequence[str]) -> Found:
        """Return what became of policies, by key."""
        firsts = (
            "WITH firsts AS (SELECT DISTINCT ON (policy_key) policy_key, study, role, number "
            "FROM trials WHERE state = 'complete' AND list_contains($1, policy_key) "
            "ORDER BY policy_key, study, role, number) "
        )
        with self.reading() as connection:
            return Found(
                *(
                    read_table(
                        connection,
                        f"{firsts} SELECT {table}.*, firsts.policy_key AS key "
                        f"FROM {table} JOIN firsts USING (study, role, number)",
                        [list(keys)],
                    )
                    for table in ("outcomes", "runs")
                )
            )
