"""The figures of the systems compared: the best of each, beside the baselines."""

from __future__ import annotations

from sweep.report.plotting import (
    BEYOND,
    CHOSEN,
    COLOURS,
    MUTED,
    TICKS,
    Figure,
    escaped,
    goal_axis,
    plot,
    scaled,
)
from sweep.report.sql import columns
from sweep.report.study_results import StudyResults
from sweep.results import Row
from sweep.results.questions import best_first
from sweep.results.wording import described, label_of, percent, readable, scale_of, system_of

#: The most bars of a figure; the best come first.
BARS = 40
#: Letters of a name beside a bar: more would leave the bar no room on a phone.
NAME_LETTERS = 24


def systems_sql(results: StudyResults, goal: int) -> str:
    """Return the query for the best trial of each subspace and system, beside the baselines."""
    study = results.study
    names = ["role", "number", "subspace", "system", "objectives", "share_of_ideal", "attainable"]
    names += study.searched
    return f"""\
WITH ranked AS (
  SELECT *, row_number() OVER (
    PARTITION BY role, subspace, system, CASE role WHEN 'baseline' THEN number END
    ORDER BY {best_first(study, goal)}, number
  ) AS place
  FROM trials
  WHERE {results.study_condition} AND state = 'complete' AND objectives[{goal + 1}] IS NOT NULL
    AND (feasible OR role = 'baseline')
)
SELECT {columns(names)}
FROM ranked WHERE place = 1
ORDER BY {best_first(study, goal)}, role DESC, number"""


def draw_systems(results: StudyResults) -> list[Figure]:
    """Draw the best trial of each subspace and system beside the baselines, for each objective."""
    return [_systems_figure(results, place) for place in range(len(results.goals))]


def _systems_figure(results: StudyResults, place: int) -> Figure:
    goal = results.goals[place]
    sql = systems_sql(results, place)
    rows = results.read(sql)
    shown = rows[:BARS]
    values = [row["objectives"][place] for row in shown]
    scale = scale_of(goal.metric, values)
    labels = []
    for row, value in zip(shown, values, strict=True):
        share = row["share_of_ideal"]
        ideal = f", {percent(share)} of ideal" if share is not None else ""
        labels.append(f"<b>{_named(results, row)}</b><br>{readable(goal.metric, value)}{ideal}")
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": scaled(values, scale),
        "y": list(range(len(shown))),
        "text": [escaped(described(results.study, row)) for row in shown],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{x}<extra></extra>",
        "marker": {"color": [_colour(results, row) for row in shown]},
    }
    y = {
        "tickvals": bars["y"],
        "ticktext": labels,
        "autorange": "reversed",
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    } | TICKS
    drawn = plot([bars], goal_axis(goal, scale, nticks=4, tickangle=0), y, 70 + 44 * len(shown))
    left_out = f" The best {BARS} of {len(rows)} are drawn." if len(rows) > BARS else ""
    return Figure(
        f"Best by {goal.name}",
        "The best feasible trial of each subspace and system (blue; the chosen one orange; pale: "
        f"a bound or other hardware), and the baselines (grey), best first.{left_out}",
        sql,
        [drawn] if shown else [],
        of=goal.name,
    )


def _named(results: StudyResults, row: Row) -> str:
    """Return the label beside a bar, which stands inside an element <b>."""
    label = label_of(results.study, row)
    if row["role"] == "baseline":
        return escaped(_shortened(label))
    return f"{escaped(_shortened(system_of(results.study, row)))}</b>, {label}<b>"


def _shortened(name: str) -> str:
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"


def _colour(results: StudyResults, row: Row) -> str:
    if row["role"] == "baseline":
        return MUTED
    if not row["attainable"]:
        return BEYOND
    chosen = results.chosen
    return CHOSEN if chosen and row["number"] == chosen["number"] else COLOURS[0]
