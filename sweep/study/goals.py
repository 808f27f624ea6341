"""Goals: what the trials of a study are ranked by, an objective over its scenarios each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sweep.study.model import Study
from sweep.study.worlds import scenarios_of

#: Goals of a study at most: of five and more, nearly every policy is on the Pareto front.
MAX_GOALS = 4


class Goal(NamedTuple):
    """A number that is to become large or small.

    Parameters
    ----------
    name
        What it is called: ``wait_saved_ratio``, ``worst wait_saved_ratio`` of several scenarios, or
        ``wait_saved_ratio in slow``.
    metric
        The outcome.
    direction
        ``minimize`` or ``maximize``.
    over
        What it is of several scenarios: the ``worst``, the ``mean``, or that of ``each``.
    scenario
        The scenario that it is of, if it is that of each.
    """

    name: str
    metric: str
    direction: Literal["minimize", "maximize"]
    over: str
    scenario: str | None = None

    @property
    def sign(self) -> int:
        """-1 where larger is better and 1 where smaller is: a value times it is a loss."""
        return 1 if self.direction == "minimize" else -1

    def best(self, values: Sequence[float]) -> float:
        """Return the best of some values."""
        return min(values) if self.direction == "minimize" else max(values)

    def value(self, outcomes: Mapping[str, Mapping[str, Any]]) -> float | None:
        """Return its value from the outcomes in each scenario; None if one of them has none."""
        if self.scenario is not None:
            value = outcomes[self.scenario][self.metric]
            return None if value is None else float(value)
        values = [row[self.metric] for row in outcomes.values()]
        if any(value is None for value in values):
            return None
        if self.over == "mean":
            return float(sum(values) / len(values))
        return float(max(values) if self.direction == "minimize" else min(values))


def goals_of(study: Study) -> list[Goal]:
    """Return the goals of a study, in the order of its objectives and scenarios."""
    scenarios = [name for name, _ in scenarios_of(study.scenarios)]
    goals = []
    for objective in study.objectives:
        metric, direction, over = objective.metric, objective.direction, objective.over
        if len(scenarios) == 1:
            goals.append(Goal(metric, metric, direction, over))
        elif over == "each":
            goals += [Goal(f"{metric} in {name}", metric, direction, over, name)
                      for name in scenarios]  # fmt: skip
        else:
            goals.append(Goal(f"{over} {metric}", metric, direction, over))
    return goals
