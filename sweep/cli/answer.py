"""The answer of a study on the terminal, or as JSON: the verdict, then the best trials."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from sweep.cli.console import SafeConsole
from sweep.cli.terminal import print_json, print_table
from sweep.results import Row, open_for_reading, read_rows
from sweep.results.questions import (
    baselines_sql,
    best_sql,
    beyond_sql,
    columns_shown,
    next_questions,
    shown_of,
    status_sql,
)
from sweep.results.wording import label_of, plain_goal, subspace_labels
from sweep.study.goals import goals_of
from sweep.study.model import Study
from sweep.verdict.facts import Finding
from sweep.verdict.verdict import verdict_of


class Answered(NamedTuple):
    """What a database answers to a study."""

    verdict: list[Finding]
    best: list[Row]
    beyond: list[Row]
    baselines: list[Row]
    counts: Row

    @property
    def has_failed(self) -> bool:
        """Whether a trial or a baseline failed, of this run or of an earlier one."""
        return bool(self.counts["failed"] or self.counts["failed_baselines"])

    @property
    def as_json(self) -> Row:
        """The same for programs."""
        verdict = [finding._asdict() for finding in self.verdict]
        return {"verdict": verdict, **self.counts} | {
            name: getattr(self, name) for name in ("best", "beyond", "baselines")
        }


def answer_of(study: Study, name: str, database: Path, limit: int) -> Answered:
    """Return what a database answers to a study.

    Parameters
    ----------
    study
        The study as it was stored.
    name
        Its name in the database.
    database
        The results database.
    limit
        The most of its best trials.
    """
    with open_for_reading(database) as connection:
        best, beyond, baselines, counts = (
            read_rows(connection, sql, [name])
            for sql in (best_sql(study, limit), beyond_sql(study), baselines_sql(), status_sql())
        )
        return Answered(verdict_of(connection, study, name), best, beyond, baselines, counts[0])


def show(study: Study, name: str, answered: Answered, as_json: bool) -> None:
    """Print an answer: the question, the verdict, the table, and what to ask next."""
    if as_json:
        print_json(answered.as_json)
        return
    # Without a terminal a sentence stays one line, so that another program finds it whole.
    console = SafeConsole() if SafeConsole().is_terminal else SafeConsole(width=10_000)
    console.print()
    if study.question:
        console.print(Text(study.question, style="italic"))
    for finding in answered.verdict:
        console.print(Text(f"* {finding.text}"))
    console.print()
    columns = columns_shown(study)[1:]
    groups = (answered.best, answered.beyond, answered.baselines)
    rows = [
        {"policy": _named(study, row)} | shown_of(study, row, columns)
        for group in groups
        for row in group
    ]
    goals = goals_of(study)
    goal = ", ".join(f"{goal.direction} {plain_goal(goal)}" for goal in goals)
    kind = "of the Pareto set" if len(goals) > 1 else "best"
    if len(goals) == 1 and study.policies:
        kind = "best of each policy"
    bounds = ", then what is never the answer" if answered.beyond else ""
    title = f"{name}: {goal} ({len(answered.best)} {kind}{bounds}, then baselines)"
    print_table(rows, title)
    print("Ask next:")
    for question in next_questions(study, name):
        print(f'  sweep query "{question}"')


def _named(study: Study, row: Row) -> str:
    """Return what a row of the table is called."""
    label = label_of(study, row)
    if row["role"] == "baseline" or len(study.subspaces) == 1:
        return label
    return f"{label}: {subspace_labels(study)[row['subspace'] or 0]}"
