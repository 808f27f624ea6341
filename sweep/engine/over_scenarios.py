"""A trial over its scenarios: what it is ranked by, whether it keeps its bounds, and its row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sweep.engine.rows import Evaluated
from sweep.results import OUTCOME_COLUMNS, Row
from sweep.study.goals import Goal, goals_of
from sweep.study.model import Study
from sweep.study.worlds import World


class Judged(NamedTuple):
    """What a trial is worth.

    Parameters
    ----------
    outcomes
        Each outcome, as its mean over the scenarios.
    objectives
        The values of the study's goals; None where one has no value.
    violations
        How far it is beyond each bound, in the scenario in which it is farthest; 0 or negative
        where the bound is kept; None where the outcome has no value.
    reason
        Why it can be neither ranked nor judged; None if it can.
    """

    outcomes: Row
    objectives: list[float | None]
    violations: list[float | None]
    reason: str | None

    @property
    def feasible(self) -> bool:
        """Whether it keeps every bound that its outcomes have a value for."""
        return all(beyond is None or beyond <= 0 for beyond in self.violations)


def judge(study: Study, worlds: Sequence[World], evaluated: Sequence[Evaluated]) -> Judged:
    """Return what a trial is worth.

    Parameters
    ----------
    study
        The study.
    worlds, evaluated
        Its worlds, and what became of the trial in each.  # [world]
    """
    by_scenario = {world.name: each.outcomes for world, each in zip(worlds, evaluated, strict=True)}
    goals = goals_of(study)
    objectives = [goal.value(by_scenario) for goal in goals]
    rows = list(by_scenario.values())
    reason = _reason(study, goals, objectives, by_scenario)
    outcomes = rows[0] if len(rows) == 1 else {name: _mean(name, rows) for name in OUTCOME_COLUMNS}
    return Judged(outcomes, objectives, _violations(study, rows), reason)


def _reason(
    study: Study, goals: list[Goal], objectives: list[float | None], by_scenario: dict[str, Row]
) -> str | None:
    read = [goal.metric for goal, value in zip(goals, objectives, strict=True) if value is None]
    read += [constraint.metric for constraint in study.constraints]
    missing = [
        (metric, name)
        for metric in dict.fromkeys(read)
        for name, row in by_scenario.items()
        if row[metric] is None
    ]
    if not missing:
        return None
    metrics = ", ".join(dict.fromkeys(metric for metric, _ in missing))
    where = f" in {missing[0][1]}" if len(by_scenario) > 1 else ""
    return f"{metrics} has no value (NULL){where}"


def _mean(name: str, rows: list[Row]) -> Any:
    """Return the mean of an outcome over the scenarios; of a whole number, to a whole number."""
    values = [row[name] for row in rows]
    if any(value is None for value in values):
        return None
    if OUTCOME_COLUMNS[name] == "BIGINT":
        return round(sum(values) / len(values))
    return float(sum(values) / len(values))


def bounds_of(study: Study) -> list[tuple[str, str, float]]:
    """Return each bound of a study: the metric, ``<=`` or ``>=``, and the number."""
    bounds = []
    for constraint in study.constraints:
        if constraint.upper is not None:
            bounds.append((constraint.metric, "<=", constraint.upper))
        if constraint.lower is not None:
            bounds.append((constraint.metric, ">=", constraint.lower))
    return bounds


def _violations(study: Study, rows: list[Row]) -> list[float | None]:
    beyond: list[float | None] = []
    for metric, sign, bound in bounds_of(study):
        values = [row[metric] for row in rows]
        if any(value is None for value in values):
            beyond.append(None)
        elif sign == "<=":
            beyond.append(float(max(values) - bound))
        else:
            beyond.append(float(bound - min(values)))
    return beyond
