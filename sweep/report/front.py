"""The figure of the Pareto front: trials in the space of several objectives."""

from __future__ import annotations

from typing import Any

from sweep.report.plotting import (
    CHOSEN,
    COLOURS,
    MUTED,
    Figure,
    Plot,
    PlotTrace,
    goal_axis,
    goal_title,
    plot,
    points,
    scaled,
)
from sweep.report.sql import FRONT, POINTS, columns, evenly_sampled, quoted
from sweep.report.study_results import StudyResults
from sweep.results import Row
from sweep.results.questions import best_sql
from sweep.results.wording import described, label_of, scale_of, subspace_labels


def front_sql(results: StudyResults) -> str:
    """Return the query for trials in the space of several objectives, and which are on the front.

    The rows hold the baselines too, without a value of `points`.
    """
    study = results.study
    names = ["role", "number", "subspace", "system", "feasible", "objectives", *study.searched]
    return f"""\
WITH front AS (
  {best_sql(study, FRONT).replace("$1", quoted(results.name))}
), counted AS (
  SELECT *, row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS points,
    number IN (SELECT number FROM front) AS on_front
  FROM trials WHERE {results.study_condition} AND role = 'trial' AND state = 'complete'
)
SELECT {columns(names)}, on_front, points FROM counted
WHERE on_front OR {evenly_sampled(POINTS - FRONT)}
UNION ALL
SELECT {columns(names)}, false, NULL FROM trials
WHERE {results.study_condition} AND role = 'baseline' AND state = 'complete'
ORDER BY role DESC, number"""


def draw_front(results: StudyResults) -> list[Figure]:
    """Draw every other objective against the first, with the front and the compared policies."""
    study = results.study
    sql = front_sql(results)
    rows = results.read(sql)
    trials = [row for row in rows if row["role"] == "trial"]
    first, *others = range(len(results.goals))
    number = trials[0]["points"] if trials else 0
    sampled = (
        f"{len(trials):,} of {number:,} complete trials are drawn: the front, and every so many-th."
        if len(trials) < number
        else f"All {number:,} complete trials are drawn."
    )
    caption = (
        f"{sampled} Outlined: the Pareto front; star: the chosen policy; diamonds: baselines. "
        + ("Faint crosses break a constraint." if study.constraints else "")
    ).strip()
    plots = [_front_plot(results, rows, first, other) for other in others]
    return [Figure("Trials by their objectives", caption, sql, plots)]


def _front_plot(results: StudyResults, rows: list[Row], first: int, other: int) -> Plot:
    """Draw the goal at the place `other` upwards against the one at the place `first`."""
    x_goal, y_goal = results.goals[first], results.goals[other]
    x_scale = scale_of(x_goal.metric, [row["objectives"][first] for row in rows])
    y_scale = scale_of(y_goal.metric, [row["objectives"][other] for row in rows])
    labels = subspace_labels(results.study)
    chosen_number = results.chosen["number"] if results.chosen else None
    data = []

    def add(name: str, drawn: list[Row], colour: str, **look: Any) -> PlotTrace:
        x = scaled([row["objectives"][first] for row in drawn], x_scale)
        y = scaled([row["objectives"][other] for row in drawn], y_scale)
        texts = [described(results.study, row) for row in drawn]
        data.append(points(name, x, y, texts, colour, **look))
        return data[-1]

    trials = [row for row in rows if row["role"] == "trial"]
    infeasible = [row for row in trials if not row["feasible"]]
    if infeasible:
        add("infeasible", infeasible, MUTED, symbol="x-thin-open", opacity=0.35)
    for subspace, label in enumerate(labels):
        name = label if len(labels) > 1 else "trials"
        colour = COLOURS[subspace % len(COLOURS)]
        feasible = [row for row in trials if row["feasible"] and (row["subspace"] or 0) == subspace]
        dominated = [row for row in feasible if not row["on_front"]]
        on_front = [row for row in feasible if row["on_front"]]
        if dominated:
            add(name, dominated, colour)
        if on_front:
            outlined = add(f"{name}, on the front", on_front, colour, size=9, opacity=1.0)
            outlined["marker"]["line"] = {"width": 1.5, "color": CHOSEN}
    for row in rows:
        has_both = None not in (row["objectives"][first], row["objectives"][other])
        if row["role"] == "baseline" and has_both:
            colour = results.colour_of(row)
            add(label_of(results.study, row), [row], colour, symbol="diamond", size=12, opacity=1.0)
    chosen = [row for row in trials if row["number"] == chosen_number]
    if chosen:
        add(f"chosen, trial {chosen_number}", chosen, CHOSEN, symbol="star", size=16, opacity=1.0)
    title = f"{goal_title(y_goal, y_scale)} against {goal_title(x_goal, x_scale)}"
    return plot(data, goal_axis(x_goal, x_scale), goal_axis(y_goal, y_scale), 460, title)
