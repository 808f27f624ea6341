"""What the parameters do: the objectives against each, and how far each decides."""

from __future__ import annotations

from typing import Any

from sweep.engine.search import MIN_TRIALS_OF_IMPORTANCE, importances
from sweep.report.figure import (
    CHOSEN,
    COLOURS,
    MUTED,
    TICKS,
    Figure,
    axis,
    escaped,
    plot,
    points,
    scaled,
)
from sweep.report.queries import POINTS, importance_sql, slice_sql
from sweep.report.stored import Source
from sweep.report.wording import Scale, readable, scale_of, subspace_labels
from sweep.study.model import Categorical, FloatRange, Subspace

Row = dict[str, Any]

SECTION = "Slices"
IMPORTANCE_SECTION = "Parameter importance"
#: Points of all slices together: more make a page that a phone is slow to draw.
ALL_POINTS = 24_000
#: A parameter with so few whole values is drawn as words are, its trials beside each other.
FEW = 12
#: The golden ratio: numbers one after the other fall far from each other.
GOLDEN = 0.6180339887
CHOSEN_NAME = "chosen"
NO_SCALE = Scale("", 1.0)


def slice_figures(source: Source) -> list[Figure]:
    """Draw every objective against each searched parameter."""
    study = source.study
    plots = max(1, len(study.searched) * len(study.objectives))
    most = max(100, min(POINTS, ALL_POINTS // plots))
    return [_slice(source, name, most) for name in study.searched]


def _slice(source: Source, name: str, most: int) -> Figure:
    sql = slice_sql(source.study, source.name, name, most)
    rows = source.read(sql)
    number = rows[0]["points"] if rows else 0
    caption = (
        f"{len(rows):,} of {number:,} complete trials are drawn: the best, and every so many-th."
        if len(rows) < number
        else f"All {number:,} complete trials that search it are drawn."
    )
    metrics = [one.metric for one in source.study.objectives]
    words = _words(source, name, rows)
    plots = [_slice_plot(source, rows, name, words, metric) for metric in metrics]
    return Figure(SECTION, name, caption, sql, plots if rows else [])


def _slice_plot(
    source: Source, rows: list[Row], name: str, words: list[str], metric: str
) -> dict[str, Any]:
    """Draw an objective against a parameter: a place for each of `words`, or else by its number."""
    up = scale_of(metric, [row[metric] for row in rows])
    along = scale_of(name, [row[name] for row in rows]) if not words else NO_SCALE
    labels = subspace_labels(source.study)
    chosen = source.chosen["number"] if source.chosen else None
    data = []

    def add(called: str, some: list[Row], colour: str, **look: Any) -> None:
        y = scaled([row[metric] for row in some], up)
        if words:
            x: list[float | None] = [
                _place(row, name, words, spread=called != CHOSEN_NAME) for row in some
            ]
            said = [f"trial {row['number']}: {readable(name, row[name])}" for row in some]
        else:
            x = scaled([row[name] for row in some], along)
            said = [f"trial {row['number']}" for row in some]
        data.append(points(called, x, y, said, colour, **look))
        if words:
            data[-1]["hovertemplate"] = "%{text}<br>%{y}<extra></extra>"

    broken = [row for row in rows if not row["feasible"]]
    if broken:
        add("infeasible", broken, MUTED, symbol="x-thin-open", opacity=0.35)
    for space, label in enumerate(labels):
        mine = [row for row in rows if row["feasible"] and (row["subspace"] or 0) == space]
        if mine:
            colour = COLOURS[space % len(COLOURS)]
            add(label if len(labels) > 1 else "trials", mine, colour, size=5)
    star = [row for row in rows if row["number"] == chosen]
    if star:
        add(CHOSEN_NAME, star, CHOSEN, symbol="star", size=14, opacity=1.0)
    across = axis(name, along, zeroline=False)
    parameter = source.study.searched[name]
    if words:
        across |= {"tickvals": list(range(len(words))), "ticktext": list(map(escaped, words))}
        across |= {"range": [-0.6, len(words) - 0.4], "showgrid": False}
    elif not isinstance(parameter, Categorical) and parameter.log:
        across |= {"type": "log"}
    return plot(data, across, axis(metric, up), 300)


def _place(row: Row, name: str, words: list[str], spread: bool) -> float:
    """Return where a trial is drawn over its word: beside others, and the same on every day."""
    aside = (row["number"] * GOLDEN % 1 - 0.5) * 0.6 if spread else 0.0
    return round(words.index(readable(name, row[name])) + aside, 3)


def _words(source: Source, name: str, rows: list[Row]) -> list[str]:
    """Return the values of a parameter that has few, in the order of the study, or nothing."""
    kinds = [space.parameters[name] for space in source.study.subspaces if name in space.parameters]
    choices = [word for one in kinds if isinstance(one, Categorical) for word in one.choices]
    values = {row[name] for row in rows}
    if any(isinstance(one, FloatRange) for one in kinds) or (not choices and len(values) > FEW):
        return []
    words = dict.fromkeys(word for word in choices if isinstance(word, str))
    order = {word: place for place, word in enumerate(words)}
    ranked = sorted(values, key=lambda value: (order.get(value, 0), value))
    return [readable(name, value) for value in ranked]


def importance_figures(source: Source) -> list[Figure]:
    """Draw how far each parameter decides, within each subspace that has enough trials."""
    found = []
    for place, space in enumerate(source.study.subspaces):
        if len(space.parameters) > 1:
            figure = _importance(source, place, space)
            if figure is not None:
                found.append(figure)
    return found


def _importance(source: Source, place: int, space: Subspace) -> Figure | None:
    sql = importance_sql(source.study, source.name, place)
    rows = source.read(sql)
    if len(rows) < MIN_TRIALS_OF_IMPORTANCE:
        return None
    within = source.study.within(space)
    data: list[dict[str, Any]] = []
    order: list[str] = []
    idle: list[str] = []
    for colour, objective in zip(COLOURS * 9, source.study.objectives, strict=False):
        shares = importances(within, objective.metric, rows)
        order = order or list(shares)
        if not any(shares.values()):
            idle.append(objective.metric)
        bar = {
            "type": "bar",
            "orientation": "h",
            "name": escaped(objective.metric),
            "x": [float(f"{shares[name]:.6g}") for name in order],
            "y": [escaped(name) for name in order],
            "marker": {"color": colour},
            "hovertemplate": "%{y}<br>%{x:.1%}<extra></extra>",
        }
        data.append(bar)
    x = {"title": {"text": "share"}, "tickformat": ".0%", "rangemode": "tozero", "automargin": True}
    y = {"autorange": "reversed", "automargin": True, "showgrid": False}
    y |= TICKS
    height = 90 + (18 + 14 * len(data)) * len(order)
    drawn = plot(data, x, y, height, barmode="group")
    called = subspace_labels(source.study)[place]
    number = rows[0]["points"]
    none = f" None decides over {' or '.join(idle)}." if idle else ""
    return Figure(
        IMPORTANCE_SECTION,
        f"Among {called}" if len(source.study.subspaces) > 1 else "Of each parameter",
        "How far each parameter decides whether a trial is among the best tenth: Optuna's "
        f"PED-ANOVA ({len(rows):,} of {number:,} complete trials, feasible or not). "
        f"Where the sampler settled early, little is left to decide.{none}",
        sql,
        [drawn],
    )
