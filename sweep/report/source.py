"""What a report is made from: a study, its database, and which of its policies are marked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sweep.report.figure import CHOSEN, COLOURS, MUTED
from sweep.report.queries import FRONT, text
from sweep.results import read_rows
from sweep.sql import baselines_sql, best_sql, status_sql
from sweep.study import Study

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]

#: Policies that are marked at most: the chosen one, and the first baselines.
MARKED = 8
#: Rows of the table of the best.
BEST_SHOWN = 8


@dataclass(frozen=True)
class Source:
    """A stored study under the name it has in the database, which is open for reading."""

    study: Study
    name: str
    connection: duckdb.DuckDBPyConnection

    def read(self, sql: str) -> list[Row]:
        """Return the rows of a query."""
        return read_rows(self.connection, sql)

    @property
    def mine(self) -> str:
        """What picks the study's rows, in SQL."""
        return f"study = {text(self.name)}"

    @cached_property
    def entry(self) -> Row:
        """The study's own row."""
        sql = "SELECT * FROM studies WHERE study = ?"
        return read_rows(self.connection, sql, [self.name])[0]

    @cached_property
    def counts(self) -> Row:
        """How many trials are complete, failed and feasible."""
        return read_rows(self.connection, status_sql(), [self.name])[0]

    @property
    def best_sql(self) -> str:
        """The query for the best trials, or for the Pareto set."""
        most = FRONT if len(self.study.objectives) > 1 else BEST_SHOWN
        return best_sql(self.study, most).replace("$1", text(self.name))

    @cached_property
    def best(self) -> list[Row]:
        """The best trials, or the Pareto set from its best first objective on."""
        return self.read(self.best_sql)

    @property
    def baselines_sql(self) -> str:
        """The query for the baselines."""
        return baselines_sql().replace("$1", text(self.name))

    @cached_property
    def baselines(self) -> list[Row]:
        """The baselines that are complete."""
        return [row for row in self.read(self.baselines_sql) if row["state"] == "complete"]

    @property
    def chosen(self) -> Row | None:
        """The best trial; of a Pareto set, that with the best first objective."""
        return self.best[0] if self.best else None

    @property
    def marked(self) -> list[Row]:
        """The chosen policy and the baselines."""
        chosen = [self.chosen] if self.chosen else []
        return [*chosen, *self.baselines][:MARKED]

    def colour_of(self, row: Row) -> str:
        """Return the colour that a marked policy has in every figure."""
        if row["role"] == "trial":
            return CHOSEN
        place = [one["number"] for one in self.marked if one["role"] == "baseline"]
        if row["number"] not in place:
            return MUTED
        # From the end: the points of the subspaces have the first colours.
        return COLOURS[-1 - place.index(row["number"]) % len(COLOURS)]
