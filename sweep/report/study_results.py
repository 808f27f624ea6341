"""What a report is made from: a study, its rows in the database, and the policies to compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sweep.report.plotting import CHOSEN, COLOURS, MUTED
from sweep.report.sql import FRONT, quoted
from sweep.results import Row, read_rows
from sweep.results.questions import (
    baselines_sql,
    best_sql,
    beyond_sql,
    model_version_sql,
    status_sql,
)
from sweep.results.wording import label_of, system_of
from sweep.study.goals import Goal, goals_of
from sweep.study.model import Study
from sweep.study.worlds import AS_GIVEN

if TYPE_CHECKING:
    from sweep.results.reading import Connection

#: The most policies that are compared over time and in latency.
MOST_COMPARED = 8
#: The most trials that the table of policies shows.
BEST_SHOWN = 8


@dataclass(frozen=True)
class StudyResults:
    """A study and its results in a database.

    Parameters
    ----------
    study
        The study as it was stored.
    name
        Its name in the database, which differs from the study's own once it was set aside.
    connection
        The database, open for reading.
    """

    study: Study
    name: str
    connection: Connection

    @cached_property
    def goals(self) -> list[Goal]:
        """What its trials are ranked by."""
        return goals_of(self.study)

    def read(self, sql: str) -> list[Row]:
        """Return the rows of a query."""
        return read_rows(self.connection, sql)

    @property
    def study_condition(self) -> str:
        """The SQL condition that a row belongs to the study."""
        return f"study = {quoted(self.name)}"

    @cached_property
    def study_row(self) -> Row:
        """The study's row in the table `studies`."""
        sql = "SELECT * FROM studies WHERE study = ?"
        return read_rows(self.connection, sql, [self.name])[0]

    @cached_property
    def scenarios(self) -> list[str]:
        """The names of its scenarios, in their order."""
        sql = "SELECT scenario FROM scenarios WHERE study = ? ORDER BY place"
        rows = read_rows(self.connection, sql, [self.name])
        return [row["scenario"] for row in rows] or [AS_GIVEN]

    @property
    def model_version(self) -> int:
        """The version of the model that ran the study."""
        return int(read_rows(self.connection, model_version_sql(), [self.name])[0]["model_version"])

    @cached_property
    def counts(self) -> Row:
        """How many trials are complete, failed and feasible."""
        return read_rows(self.connection, status_sql(), [self.name])[0]

    @property
    def best_sql(self) -> str:
        """The query for the best trials, or for the Pareto set."""
        most = FRONT if len(self.goals) > 1 else BEST_SHOWN
        return best_sql(self.study, most).replace("$1", quoted(self.name))

    @cached_property
    def best(self) -> list[Row]:
        """The best trials; or the Pareto set, sorted by the first objective, best first."""
        return self.read(self.best_sql)

    @property
    def baselines_sql(self) -> str:
        """The query for the baselines."""
        return baselines_sql().replace("$1", quoted(self.name))

    @cached_property
    def baselines(self) -> list[Row]:
        """The baselines that are complete."""
        return [row for row in self.read(self.baselines_sql) if row["state"] == "complete"]

    @cached_property
    def beyond(self) -> list[Row]:
        """The best trial of each policy that is a bound or other hardware, and never the answer."""
        return self.read(self._beyond_sql)

    @property
    def _beyond_sql(self) -> str:
        return beyond_sql(self.study).replace("$1", quoted(self.name))

    @property
    def policies_sql(self) -> str:
        """The queries for the table of policies, one after the other."""
        return f"{self.best_sql};\n\n{self._beyond_sql};\n\n{self.baselines_sql}"

    @property
    def chosen(self) -> Row | None:
        """The best trial; of a Pareto set, the one with the best first objective."""
        return next(iter(self.best), None)

    @property
    def compared_policies(self) -> list[Row]:
        """The chosen trial, the best of each other subspace, and the baselines."""
        chosen = [self.chosen] if self.chosen else []
        others: list[Row] = []
        if self.study.policies and len(self.goals) == 1:
            subspaces = {row["subspace"] for row in chosen}
            for row in self.best:
                if row["subspace"] not in subspaces:
                    subspaces.add(row["subspace"])
                    others.append(row)
        # Baselines come before other subspaces: they are few, and every trial is judged by them.
        room = max(0, MOST_COMPARED - len(chosen) - len(self.baselines))
        return [*chosen, *others[:room], *self.baselines][:MOST_COMPARED]

    def title_of(self, policy: Row) -> str:
        """Return the name of a compared policy, with its subspace where there are several."""
        label = label_of(self.study, policy)
        if policy["role"] == "trial" and len(self.study.subspaces) > 1:
            return f"{system_of(self.study, policy)}, {label}"
        return label

    def colour_of(self, policy: Row) -> str:
        """Return the colour that a compared policy has in every figure."""
        key = (policy["role"], policy["number"])
        keys = [(row["role"], row["number"]) for row in self.compared_policies]
        if self.chosen and key == ("trial", self.chosen["number"]):
            return CHOSEN
        # Counted from the end, because the points of the subspaces have the first colours.
        return COLOURS[-1 - keys.index(key) % len(COLOURS)] if key in keys else MUTED
