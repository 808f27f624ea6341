"""One study under two versions of the simulator: its policies paired, and what became otherwise."""

from __future__ import annotations

from typing import NamedTuple

from sweep.results import OUTCOME_COLUMNS, Row, read_rows
from sweep.results.wording import label_of, readable
from sweep.verdict.named import Database, StoredStudy
from sweep.verdict.sentences import listed

#: Trials are paired by what the sampler asked of them; of those that were asked the same, the first
#: with the first. Baselines are paired by their places in the study.
_PAIRED_SQL = """
WITH policies AS (
  SELECT study, role, number, coalesce(subspace, 0) AS subspace,
    CASE role WHEN 'trial' THEN coalesce(asked, number::VARCHAR) ELSE number::VARCHAR END AS asked,
    row_number() OVER (
      PARTITION BY study, role, subspace, CASE role WHEN 'trial' THEN asked ELSE number::VARCHAR END
      ORDER BY number
    ) AS time
  FROM trials WHERE state = 'complete' AND study IN ($1, $2)
), paired AS (
  SELECT a.role, a.number AS number_a, b.number AS number_b
  FROM policies a JOIN policies b USING (role, subspace, asked, time)
  WHERE a.study = $1 AND b.study = $2 AND (role = 'trial' OR a.number = b.number)
)"""


class OutcomeChange(NamedTuple):
    """How an outcome differs between two versions."""

    outcome: str
    runs: int  # in which it differs, or one version has no value
    most: float | None  # the largest difference, in its own unit; None where no run has two values
    most_ratio: float | None  # the largest difference as a share of what it was
    policy: str | None  # of the run with the largest difference, as the first study calls it


class VersionsCompared(NamedTuple):
    """What two versions of the simulator made of one study."""

    a: StoredStudy
    b: StoredStudy
    simulators: tuple[str, str]
    trials: int  # paired
    baselines: int
    unpaired: tuple[int, int]  # policies of either that the other has not
    runs: int  # paired
    other_events: int  # of those, runs whose events differ
    changes: list[OutcomeChange]

    @property
    def sentences(self) -> list[str]:
        """What can be said of it."""
        a, b = self.a.name, self.b.name
        paired = (
            f"{self.trials:,} trials and {self.baselines:,} baselines of {a} and {b} are paired"
        )
        said = [f"{paired}, in {self.runs:,} runs (simulator {' and '.join(self.simulators)})."]
        if any(self.unpaired):
            said.append(f"Policies only in {a}: {self.unpaired[0]:,}; only in {b}: "
                        f"{self.unpaired[1]:,}.")  # fmt: skip
        if self.other_events:
            said.append(f"In {self.other_events:,} of the runs the events differ too.")
        if not self.runs:
            return [*said, "Nothing can be compared."]
        if not self.changes:
            return [*said, f"{a} and {b} are equal in every outcome."]
        most = max(self.changes, key=lambda change: change.most_ratio or 0)
        number = f"{len(self.changes)} of {len(OUTCOME_COLUMNS)}"
        names = listed([change.outcome for change in self.changes])
        said.append(f"{a} and {b} differ in {number} outcomes: {names}.")
        if most.most_ratio is not None and most.most is not None:
            said.append(
                f"The most in proportion: {most.outcome}, by {readable(most.outcome, most.most)}"
                f" at most and {100 * most.most_ratio:.3g} % at most."
            )
        return said


def are_one_study(a: StoredStudy, b: StoredStudy) -> bool:
    """Return whether two studies of a database ask the same, as a study and what `--new` keeps."""
    return a.name != b.name and a.study.identity() == b.study.identity()


def compare_versions(database: Database, a: StoredStudy, b: StoredStudy) -> VersionsCompared:
    """Return what became otherwise in every outcome of every policy that two studies share."""
    names = [a.name, b.name]
    counts = _one(
        database,
        "SELECT count(*) FILTER (role = 'trial') AS trials, "
        "count(*) FILTER (role = 'baseline') AS baselines, "
        "(SELECT count(*) FROM policies WHERE study = $1) AS of_a, "
        "(SELECT count(*) FROM policies WHERE study = $2) AS of_b FROM paired",
        names,
    )
    runs = _one(database, f"SELECT {_changes_sql()} {_RUNS_SQL}", names)
    paired = counts["trials"] + counts["baselines"]
    simulators = tuple(
        str(_one(database, "SELECT core_digest FROM studies WHERE study = $1 AND $2 = $2", [
            name, name])["core_digest"])
        for name in names
    )  # fmt: skip
    return VersionsCompared(
        a,
        b,
        (simulators[0], simulators[1]),
        counts["trials"],
        counts["baselines"],
        (counts["of_a"] - paired, counts["of_b"] - paired),
        runs["runs"],
        runs["other_events"],
        [_change(a, name, runs) for name in OUTCOME_COLUMNS if runs[f"{name} runs"]],
    )


_RUNS_SQL = (
    "FROM paired JOIN runs a ON a.study = $1 AND a.role = paired.role AND a.number = number_a "
    "JOIN runs b ON b.study = $2 AND b.role = paired.role AND b.number = number_b "
    "AND a.scenario = b.scenario AND a.workload = b.workload AND a.replicate = b.replicate"
)


def _changes_sql() -> str:
    """Return the columns that tell of each outcome in how many runs it differs, and by how much."""
    columns = [
        "count(*) AS runs",
        "count(*) FILTER (a.events_digest IS DISTINCT FROM b.events_digest) AS other_events",
    ]
    for name in OUTCOME_COLUMNS:
        a, b = f'a."{name}"', f'b."{name}"'
        size = f"abs({a} - {b})"
        columns += [
            f'count(*) FILTER ({a} IS DISTINCT FROM {b}) AS "{name} runs"',
            f'max({size}) AS "{name} most"',
            f'max({size} / nullif(abs({a}), 0)) AS "{name} most_ratio"',
            f"arg_max({{'role': a.role, 'number': a.number}}, {size}) AS \"{name} policy\"",
        ]
    return ", ".join(columns)


def _one(database: Database, sql: str, names: list[str]) -> Row:
    """Return the only row of a query on the policies that two studies share."""
    return read_rows(database.connection, f"{_PAIRED_SQL} {sql}", names)[0]


def _change(a: StoredStudy, outcome: str, runs: Row) -> OutcomeChange:
    most, policy = runs[f"{outcome} most"], runs[f"{outcome} policy"]
    return OutcomeChange(
        outcome,
        runs[f"{outcome} runs"],
        None if most is None else float(most),
        runs[f"{outcome} most_ratio"],
        label_of(a.study, policy) if policy and most else None,
    )
