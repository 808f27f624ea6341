"""What the parameters do: the objectives against each, and how far each decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.report.figure import CHOSEN, COLOURS, MUTED, Figure, axis, escaped, plot, points, scaled
from sweep.report.queries import BEST, OTHERS, importance_sql, slice_sql
from sweep.report.source import Source
from sweep.report.wording import readable, scale_of, subspace_labels
from sweep.search import MIN_TRIALS_OF_IMPORTANCE, importances
from sweep.study import Categorical, Parameter, Subspace

Row = dict[str, Any]

SECTION = "Slices"
IMPORTANCE_SECTION = "Parameter importance"
#: Points of all slices together: more make a page that a phone is slow to draw.
ALL_POINTS = 24_000


def slice_figures(source: Source) -> list[Figure]:
    """Draw every objective against each searched parameter."""
    study = source.study
    plots = max(1, len(study.searched) * len(study.objectives))
    most = max(100, min(BEST + OTHERS, ALL_POINTS // plots))
    return [_slice(source, name, one, most) for name, one in study.searched.items()]


def _slice(source: Source, name: str, parameter: Parameter, most: int) -> Figure:
    sql = slice_sql(source.study, source.name, name, most)
    rows = source.read(sql)
    number = rows[0]["points"] if rows else 0
    caption = (
        f"{len(rows):,} of {number:,} complete trials are drawn: the best, and every so many-th."
        if len(rows) < number
        else f"All {number:,} complete trials that search it are drawn."
    )
    metrics = [one.metric for one in source.study.objectives]
    plots = [_slice_plot(source, rows, name, parameter, metric) for metric in metrics]
    return Figure(SECTION, name, caption, sql, plots if rows else [])


def _slice_plot(
    source: Source, rows: list[Row], name: str, parameter: Parameter, metric: str
) -> dict[str, Any]:
    up = scale_of(metric, [row[metric] for row in rows])
    labels = subspace_labels(source.study)
    words = isinstance(parameter, Categorical)
    across = scale_of("", []) if words else scale_of(name, [row[name] for row in rows])
    chosen = source.chosen["number"] if source.chosen else None

    def trace(called: str, some: list[Row], colour: str, **look: Any) -> dict[str, Any]:
        y = scaled([row[metric] for row in some], up)
        said = [f"trial {row['number']}" for row in some]
        if words:
            return _strip(called, [readable(name, row[name]) for row in some], y, said, colour)
        return points(called, scaled([row[name] for row in some], across), y, said, colour, **look)

    data = []
    broken = [row for row in rows if not row["feasible"]]
    if broken:
        data.append(trace("infeasible", broken, MUTED, symbol="x-thin-open", opacity=0.35))
    for space, label in enumerate(labels):
        mine = [row for row in rows if row["feasible"] and (row["subspace"] or 0) == space]
        called = label if len(labels) > 1 else "trials"
        if mine:
            colour = COLOURS[space % len(COLOURS)]
            data.append(trace(called, mine, colour, size=5, opacity=0.45))
    star = [row for row in rows if row["number"] == chosen]
    if star:
        x = [readable(name, star[0][name])] if words else scaled([star[0][name]], across)
        look: dict[str, Any] = {"symbol": "star", "size": 14, "opacity": 1.0}
        y = scaled([star[0][metric]], up)
        data.append(points("chosen", x, y, [f"trial {chosen}"], CHOSEN, **look))
    more: dict[str, Any] = {}
    if words:
        order = _choices(source, name)
        more = {"type": "category", "categoryorder": "array", "categoryarray": order}
    elif not isinstance(parameter, Categorical) and parameter.log:
        more = {"type": "log"}
    layout = {"boxmode": "overlay"} if words else {}
    return plot(data, axis(name, across, **more), axis(metric, up), 320, **layout)


def _choices(source: Source, name: str) -> list[str]:
    """Return the words of a parameter, in the order of the study."""
    found: list[str] = []
    for space in source.study.subspaces:
        one = space.parameters.get(name)
        if isinstance(one, Categorical):
            found += [readable(name, choice) for choice in one.choices]
    return list(dict.fromkeys(found))


def _strip(
    name: str, x: Sequence[str], y: Sequence[Any], words: Sequence[str], colour: str
) -> dict[str, Any]:
    """Return a trace of points beside each other over each word: no box, since it is a sample."""
    return {
        "type": "box",
        "name": escaped(name),
        "x": [escaped(one) for one in x],
        "y": list(y),
        "text": [escaped(one) for one in words],
        "boxpoints": "all",
        "jitter": 0.6,
        "pointpos": 0,
        "fillcolor": "rgba(0,0,0,0)",
        "line": {"width": 0},
        "hoveron": "points",
        "hovertemplate": "%{text}<br>%{x}<br>%{y}<extra></extra>",
        "marker": {"color": colour, "size": 5, "opacity": 0.45},
    }


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
    for colour, objective in zip(COLOURS * 9, source.study.objectives, strict=False):
        shares = importances(within, objective.metric, rows)
        order = order or list(shares)
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
    height = 90 + (18 + 14 * len(data)) * len(order)
    drawn = plot(data, x, y, height, barmode="group")
    called = subspace_labels(source.study)[place]
    number = rows[0]["points"]
    return Figure(
        IMPORTANCE_SECTION,
        f"Among {called}" if len(source.study.subspaces) > 1 else "Of each parameter",
        "How far each parameter decides whether a trial is among the best tenth: Optuna's "
        f"PED-ANOVA ({len(rows):,} of {number:,} complete trials, feasible or not).",
        sql,
        [drawn],
    )
