"""A trial over its scenarios: what it is ranked by, whether it keeps its bounds, and its row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from sweep.results import OUTCOME_COLUMNS, Row
from sweep.study.goals import goals_of
from sweep.study.model import Study
from sweep.study.worlds import worlds_of


class Judged(NamedTuple):
    """What a trial is worth.

    Parameters
    ----------
    objectives
        The values of the study's goals; None where one has no value.
    violations
        How far it is beyond each bound, in the scenario in which it is farthest; 0 or negative
        where the bound is kept; None where the outcome has no value.
    reason
        Why it can be neither ranked nor judged; None if it can.
    """

    objectives: list[float | None]
    violations: list[float | None]
    reason: str | None

    @property
    def feasible(self) -> bool:
        """Whether it keeps every bound that its outcomes have a value for."""
        return all(beyond is None or beyond <= 0 for beyond in self.violations)


class Judge:
    """What a study asks of a trial: its goals and its bounds.

    Parameters
    ----------
    study
        The study.
    """

    def __init__(self, study: Study) -> None:
        self._names = [world.name for world in worlds_of(study)]
        self._goals = goals_of(study)
        self._bounds = bounds_of(study)
        bounded = [constraint.metric for constraint in study.constraints]
        #: The outcomes that it reads.
        self.metrics = tuple(dict.fromkeys([goal.metric for goal in self._goals] + bounded))
        self._bounded = bounded

    def __call__(self, rows: Sequence[Row]) -> Judged:
        """Return what a trial is worth, by its outcomes in each world.  # [world]"""
        by_scenario = dict(zip(self._names, rows, strict=True))
        objectives = [goal.value(by_scenario) for goal in self._goals]
        violations = [_violation(bound, rows) for bound in self._bounds]
        return Judged(objectives, violations, self._reason(objectives, by_scenario))

    def _reason(self, objectives: list[float | None], by_scenario: dict[str, Row]) -> str | None:
        pairs = zip(self._goals, objectives, strict=True)
        read = [goal.metric for goal, value in pairs if value is None] + self._bounded
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


def mean_outcomes(outcomes: pa.Table, worlds: int) -> pa.Table:
    """Return each outcome of trials as its mean over the worlds.

    Parameters
    ----------
    outcomes
        Those of each trial in each world.  # [trial x world], worlds fastest
    worlds
        How many worlds there are.
    """
    columns = {name: outcomes[name] for name in OUTCOME_COLUMNS}
    if worlds > 1:
        columns = {name: _means(name, column, worlds) for name, column in columns.items()}
    return pa.table(columns)


def _means(name: str, column: pa.ChunkedArray, worlds: int) -> pa.Array:
    """Return the mean of an outcome over worlds; of a whole number, to a whole number."""
    values = column.to_pylist()
    means: list[float | None] = []
    for first in range(0, len(values), worlds):
        of_trial = values[first : first + worlds]
        if any(value is None for value in of_trial):
            means.append(None)
        else:
            mean = sum(of_trial) / worlds
            means.append(round(mean) if OUTCOME_COLUMNS[name] == "BIGINT" else float(mean))
    return pa.array(means, column.type)


def bounds_of(study: Study) -> list[tuple[str, str, float]]:
    """Return each bound of a study: the metric, ``<=`` or ``>=``, and the number."""
    bounds = []
    for constraint in study.constraints:
        if constraint.upper is not None:
            bounds.append((constraint.metric, "<=", constraint.upper))
        if constraint.lower is not None:
            bounds.append((constraint.metric, ">=", constraint.lower))
    return bounds


def _violation(bound: tuple[str, str, float], rows: Sequence[Row]) -> float | None:
    """Return how far a trial is beyond a bound in the world in which it is farthest."""
    metric, sign, number = bound
    values = [row[metric] for row in rows]
    if any(value is None for value in values):
        return None
    return float(max(values) - number if sign == "<=" else number - min(values))
