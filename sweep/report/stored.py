"""What a report is made from: a study, its database, and which of its policies are marked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.policy import System
from sweep.report.figure import CHOSEN, COLOURS, MUTED
from sweep.report.queries import FRONT, text
from sweep.report.wording import label_of, system_of
from sweep.results import read_rows
from sweep.results.questions import baselines_sql, best_sql, status_sql
from sweep.study.model import Study

if TYPE_CHECKING:
    from sweep.results.reading import Connection

Row = dict[str, Any]

#: Policies that are marked at most.
MARKED = 8
#: Rows of the table of the best.
BEST_SHOWN = 8


@dataclass(frozen=True)
class Source:
    """A stored study under the name it has in the database, which is open for reading."""

    study: Study
    name: str
    connection: Connection

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
    def attainable(self) -> list[Row]:
        """The best but for the ideal, which is a bound and no policy, unless it is all there is."""
        return [row for row in self.best if row["system"] != System.IDEAL] or self.best

    @property
    def chosen(self) -> Row | None:
        """The best trial; of a Pareto set, that with the best first objective."""
        return next(iter(self.attainable), None)

    @property
    def marked(self) -> list[Row]:
        """The chosen policy, the best of each other subspace, and the baselines."""
        chosen = [self.chosen] if self.chosen else []
        others: list[Row] = []
        if self.study.policies and len(self.study.objectives) == 1:
            spaces = {row["subspace"] for row in chosen}
            for row in self.best:
                if row["subspace"] not in spaces:
                    spaces.add(row["subspace"])
                    others.append(row)
        # Baselines are few, and what there is to be better than.
        room = max(0, MARKED - len(chosen) - len(self.baselines))
        return [*chosen, *others[:room], *self.baselines][:MARKED]

    def title_of(self, row: Row) -> str:
        """Return the name of a marked policy, with its subspace where there are several."""
        label = label_of(self.study, row)
        if row["role"] == "trial" and len(self.study.subspaces) > 1:
            return f"{system_of(self.study, row)}, {label}"
        return label

    def colour_of(self, row: Row) -> str:
        """Return the colour that a marked policy has in every figure."""
        key = (row["role"], row["number"])
        keys = [(one["role"], one["number"]) for one in self.marked]
        if self.chosen and key == ("trial", self.chosen["number"]):
            return CHOSEN
        # From the end: the points of the subspaces have the first colours.
        return COLOURS[-1 - keys.index(key) % len(COLOURS)] if key in keys else MUTED
