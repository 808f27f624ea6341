"""Facts: what a verdict is read off, a study and its rows in a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.results import Row, read_rows
from sweep.results.questions import baselines_sql, best_first, best_sql, beyond_sql, status_sql
from sweep.results.wording import (
    NOTHING_STORED,
    UNTOLD_RECLAIM,
    label_of,
    readable,
    settings_of,
)
from sweep.study.goals import Goal, goals_of
from sweep.study.model import FixedPolicy, Study
from sweep.study.worlds import POLICY_WORLD
from sweep.verdict.pairs import PolicyKey

if TYPE_CHECKING:
    from sweep.results.reading import Connection

#: The design that was posted to the kernel's list, which every answer is held against.
POSTED = "gcma"
#: Columns of `trials` that a verdict reads of every trial.
_COLUMNS = "role, number, subspace, system, attainable, objectives, asked, policy_key"


class Finding(NamedTuple):
    """One thing that is said of a study.

    Parameters
    ----------
    kind
        What it is about, such as ``carve_out`` or ``tie``.
    text
        The sentence.
    numbers
        What the sentence says in words, for programs.
    """

    kind: str
    text: str
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """A study and its results in a database.

    Parameters
    ----------
    connection
        The database, open for reading.
    study
        The study as it was stored.
    name
        Its name in the database, which differs from the study's own once it was set aside.
    """

    connection: Connection
    study: Study
    name: str

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query."""
        return read_rows(self.connection, sql, [self.name, *values])

    @cached_property
    def goals(self) -> list[Goal]:
        """What its trials are ranked by."""
        return goals_of(self.study)

    @cached_property
    def counts(self) -> Row:
        """How many trials are complete, failed, feasible and distinct."""
        return self.read(status_sql())[0]

    @cached_property
    def warnings(self) -> list[str]:
        """What was told of its traces when it was run."""
        (row,) = self.read("SELECT warnings FROM studies WHERE study = $1")
        return list(row["warnings"] or ())

    @cached_property
    def reasons_against(self) -> list[str]:
        """What was told of traces from which nothing follows: they do not tell reclaim."""
        reasons = (UNTOLD_RECLAIM, NOTHING_STORED)
        return [told for told in self.warnings if any(reason in told for reason in reasons)]

    @cached_property
    def _offers(self) -> dict[str, bool]:
        """Whether a page was offered to a cache, or one restored, by workload."""
        rows = self.read(
            "SELECT workload, bool_or(stored + skipped + stale <> 0 OR restored <> 0) AS offers "
            "FROM runs WHERE study = $1 GROUP BY workload ORDER BY workload"
        )
        return {str(row["workload"]): bool(row["offers"]) for row in rows}

    @cached_property
    def without_offers(self) -> list[str]:
        """The workloads in which no page was ever offered to a cache."""
        return [workload for workload, offers in self._offers.items() if not offers]

    @property
    def offers_nothing(self) -> bool:
        """Whether no page was offered to a cache in any workload."""
        return bool(self._offers) and not any(self._offers.values())

    @cached_property
    def scenarios(self) -> list[str]:
        """The names of its scenarios, in their order."""
        sql = "SELECT scenario FROM scenarios WHERE study = $1 ORDER BY place"
        return [row["scenario"] for row in self.read(sql)]

    @cached_property
    def ranked(self) -> list[Row]:
        """Its feasible trials that may be the answer, the best by the first goal first."""
        return self.read(
            f"SELECT {_COLUMNS} FROM trials WHERE study = $1 AND role = 'trial' AND feasible "
            "AND state = 'complete' AND attainable IS NOT FALSE AND objectives[1] IS NOT NULL "
            f"ORDER BY {best_first(self.study)}, number"
        )

    @cached_property
    def chosen(self) -> Row | None:
        """The best trial; of a Pareto set, the one with the best first goal."""
        rows = self.read(best_sql(self.study, 1))
        return rows[0] if rows else None

    @cached_property
    def beyond(self) -> list[Row]:
        """The best trial of each policy that is a bound or other hardware."""
        return self.read(beyond_sql(self.study))

    @cached_property
    def baselines(self) -> list[Row]:
        """The baselines that are complete, in the order of the study."""
        return [row for row in self.read(baselines_sql()) if row["state"] == "complete"]

    @cached_property
    def posted(self) -> Row | None:
        """The design that was posted, as a baseline, or as a policy that searches nothing."""
        for row in self.baselines:
            if _is_posted(self.study.baselines[row["number"]]):
                return row
        for place, space in enumerate(self.study.subspaces):
            if _is_posted(space.policy) and not space.parameters:
                rows = self.read(
                    "SELECT * FROM trials WHERE study = $1 AND role = 'trial' "
                    "AND state = 'complete' AND subspace = $2 ORDER BY number LIMIT 1",
                    [place],
                )
                return rows[0] if rows else None
        return None

    def key(self, row: Row) -> PolicyKey:
        """Return the place of a policy in the database."""
        return PolicyKey(self.name, row["role"], row["number"])

    def named(self, row: Row) -> str:
        """Return what a policy is called in a sentence: ``trial 12 (gcma, eviction sieve)``."""
        label = label_of(self.study, row)
        return label if row["role"] == "baseline" else f"{label} ({settings_of(self.study, row)})"

    def valued(self, place: int, value: float | None) -> str:
        """Return the value of a goal with its unit."""
        return readable(self.goals[place].metric, value)


def _is_posted(policy: FixedPolicy) -> bool:
    given = policy.model_dump(exclude_unset=True)
    decided = {name: value for name, value in given.items() if name not in POLICY_WORLD}
    return bool(decided == {"preset": POSTED})


def listed(words: Sequence[str], most: int = 8) -> str:
    """Return words as a sentence has them: ``a, b and c``, or ``a, b and 7 more``."""
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
