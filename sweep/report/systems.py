"""The figures of the systems compared: the best of each, beside the baselines."""

from __future__ import annotations

from sweep.report.plotting import (
    CHOSEN,
    COLOURS,
    MUTED,
    TICKS,
    Figure,
    axis,
    escaped,
    plot,
    scaled,
)
from sweep.report.sql import best_first, columns
from sweep.report.study_results import StudyResults
from sweep.report.wording import described, label_of, percent, readable, scale_of, system_of
from sweep.results import Row

#: The most bars of a figure; the best come first.
BARS = 40
#: Letters of a name beside a bar: more would leave the bar no room on a phone.
NAME_LETTERS = 24


def systems_sql(results: StudyResults, objective: int) -> str:
    """Return the query for the best trial of each subspace and system, beside the baselines."""
    study = results.study
    metric = study.objectives[objective].metric
    names = ["role", "number", "subspace", "system", metric, "share_of_ideal", *study.searched]
    return f"""\
WITH ranked AS (
  SELECT *, row_number() OVER (
    PARTITION BY role, subspace, system, CASE role WHEN 'baseline' THEN number END
    ORDER BY {best_first(study, objective)}, number
  ) AS place
  FROM trials
  WHERE {results.study_condition} AND state = 'complete' AND {metric} IS NOT NULL
    AND (feasible OR role = 'baseline')
)
SELECT {columns(names)}
FROM ranked WHERE place = 1
ORDER BY {best_first(study, objective)}, role DESC, number"""


def draw_systems(results: StudyResults) -> list[Figure]:
    """Draw the best trial of each subspace and system beside the baselines, for each objective."""
    return [_systems_figure(results, place) for place in range(len(results.study.objectives))]


def _systems_figure(results: StudyResults, objective: int) -> Figure:
    metric = results.study.objectives[objective].metric
    sql = systems_sql(results, objective)
    rows = results.read(sql)
    shown = rows[:BARS]
    scale = scale_of(metric, [row[metric] for row in shown])
    labels = []
    for row in shown:
        share = row["share_of_ideal"]
        ideal = f", {percent(share)} of ideal" if share is not None else ""
        labels.append(f"<b>{_named(results, row)}</b><br>{readable(metric, row[metric])}{ideal}")
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": scaled([row[metric] for row in shown], scale),
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
    drawn = plot([bars], axis(metric, scale, nticks=4, tickangle=0), y, 70 + 44 * len(shown))
    left_out = f" The best {BARS} of {len(rows)} are drawn." if len(rows) > BARS else ""
    return Figure(
        f"Best by {metric}",
        "The best feasible trial of each subspace and system (blue; the chosen one orange), and "
        f"the baselines (grey), best first.{left_out}",
        sql,
        [drawn] if shown else [],
        of=metric,
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
    chosen = results.chosen
    return CHOSEN if chosen and row["number"] == chosen["number"] else COLOURS[0]
