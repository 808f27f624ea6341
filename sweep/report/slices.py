"""The figures of slices: the objectives against each searched parameter."""

from __future__ import annotations

from typing import Any

from sweep.report.plotting import (
    CHOSEN,
    COLOURS,
    MUTED,
    Figure,
    Plot,
    axis,
    escaped,
    goal_axis,
    plot,
    points,
    scaled,
)
from sweep.report.sql import POINTS, columns, evenly_sampled, in_list
from sweep.report.study_results import StudyResults
from sweep.results import Row
from sweep.results.questions import best_first
from sweep.results.wording import Scale, readable, scale_of, subspace_labels
from sweep.study.model import Categorical, FloatRange

#: The most points of all slices together: more would make a page that a phone is slow to draw.
ALL_POINTS = 24_000
#: A whole-numbered parameter with at most this many values is drawn like a categorical one, with
#: the trials of a value spread beside each other.
FEW_VALUES = 12
#: The fractional parts of multiples of the golden ratio lie far from each other.
GOLDEN_RATIO = 0.6180339887
CHOSEN_NAME = "chosen"
UNSCALED = Scale("", 1.0)


def slice_sql(results: StudyResults, parameter: str, most: int) -> str:
    """Return the query for every objective against a parameter.

    Parameters
    ----------
    results
        The study.
    parameter
        One that is searched.
    most
        Trials in the answer at most: a quarter of them are the best, and the others are spread
        evenly over all.
    """
    study = results.study
    searching = [
        place for place, space in enumerate(study.subspaces) if parameter in space.parameters
    ]
    everywhere = len(searching) == len(study.subspaces)
    among = "" if everywhere else f" AND subspace IN {in_list(searching)}"
    best = most // 4
    return f"""\
WITH counted AS (
  SELECT *, row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS points,
    row_number() OVER (ORDER BY feasible DESC, {best_first(study)}, number) AS rank
  FROM trials WHERE {results.study_condition} AND role = 'trial' AND state = 'complete'{among}
    AND {parameter} IS NOT NULL
)
SELECT {columns(["number", "subspace", "feasible", parameter, "objectives"])}, points FROM counted
WHERE rank <= {best} OR {evenly_sampled(most - best)}
ORDER BY number"""


def draw_slices(results: StudyResults) -> list[Figure]:
    """Draw every objective against each searched parameter."""
    study = results.study
    plots = max(1, len(study.searched) * len(results.goals))
    most = max(100, min(POINTS, ALL_POINTS // plots))
    return [_slice_figure(results, parameter, most) for parameter in study.searched]


def _slice_figure(results: StudyResults, parameter: str, most: int) -> Figure:
    sql = slice_sql(results, parameter, most)
    rows = results.read(sql)
    number = rows[0]["points"] if rows else 0
    caption = (
        f"{len(rows):,} of {number:,} complete trials are drawn: the best, and every so many-th."
        if len(rows) < number
        else f"All {number:,} complete trials that read it are drawn."
    )
    categories = _categories(results, parameter, rows)
    plots = [
        _slice_plot(results, rows, parameter, categories, place)
        for place in range(len(results.goals))
    ]
    return Figure(parameter, caption, sql, plots if rows else [], of=parameter)


def _slice_plot(
    results: StudyResults, rows: list[Row], parameter: str, categories: list[str], place: int
) -> Plot:
    """Draw an objective against a parameter: by its categories, or if it has none by its number."""
    goal = results.goals[place]
    y_scale = scale_of(goal.metric, [row["objectives"][place] for row in rows])
    x_scale = UNSCALED if categories else scale_of(parameter, [row[parameter] for row in rows])
    labels = subspace_labels(results.study)
    chosen_number = results.chosen["number"] if results.chosen else None
    data = []

    def add(name: str, trials: list[Row], colour: str, **look: Any) -> None:
        y = scaled([row["objectives"][place] for row in trials], y_scale)
        if categories:
            spread = name != CHOSEN_NAME
            x: list[float | None] = [
                _category_place(row, parameter, categories, spread) for row in trials
            ]
            texts = [
                f"trial {row['number']}: {readable(parameter, row[parameter])}" for row in trials
            ]
        else:
            x = scaled([row[parameter] for row in trials], x_scale)
            texts = [f"trial {row['number']}" for row in trials]
        data.append(points(name, x, y, texts, colour, **look))
        if categories:
            data[-1]["hovertemplate"] = "%{text}<br>%{y}<extra></extra>"

    infeasible = [row for row in rows if not row["feasible"]]
    if infeasible:
        add("infeasible", infeasible, MUTED, symbol="x-thin-open", opacity=0.35)
    for subspace, label in enumerate(labels):
        feasible = [row for row in rows if row["feasible"] and (row["subspace"] or 0) == subspace]
        if feasible:
            colour = COLOURS[subspace % len(COLOURS)]
            add(label if len(labels) > 1 else "trials", feasible, colour, size=5)
    chosen = [row for row in rows if row["number"] == chosen_number]
    if chosen:
        add(CHOSEN_NAME, chosen, CHOSEN, symbol="star", size=14, opacity=1.0)
    x_axis = axis(parameter, x_scale, zeroline=False)
    domain = results.study.searched[parameter]
    if categories:
        ticks = {
            "tickvals": list(range(len(categories))),
            "ticktext": list(map(escaped, categories)),
        }
        x_axis |= ticks | {"range": [-0.6, len(categories) - 0.4], "showgrid": False}
    elif not isinstance(domain, Categorical) and domain.log:
        x_axis |= {"type": "log"}
    return plot(data, x_axis, goal_axis(goal, y_scale), 300)


def _category_place(row: Row, parameter: str, categories: list[str], spread: bool) -> float:
    """Return where a trial is drawn along the axis; the same whenever the report is written.

    That is at its category or, if trials are spread, at most 0.3 to the side, by its number.
    """
    aside = (row["number"] * GOLDEN_RATIO % 1 - 0.5) * 0.6 if spread else 0.0
    return round(categories.index(readable(parameter, row[parameter])) + aside, 3)


def _categories(results: StudyResults, parameter: str, rows: list[Row]) -> list[str]:
    """Return the values of a parameter that has few, in the order of the study, or nothing."""
    domains = [
        space.parameters[parameter]
        for space in results.study.subspaces
        if parameter in space.parameters
    ]
    choices = [
        choice for domain in domains if isinstance(domain, Categorical) for choice in domain.choices
    ]
    values = {row[parameter] for row in rows}
    continuous = any(isinstance(domain, FloatRange) for domain in domains)
    if continuous or (not choices and len(values) > FEW_VALUES):
        return []
    words = dict.fromkeys(choice for choice in choices if isinstance(choice, str))
    order = {word: place for place, word in enumerate(words)}
    ranked = sorted(values, key=lambda value: (order.get(value, 0), value))
    return [readable(parameter, value) for value in ranked]
