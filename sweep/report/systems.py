"""What was found, policy beside policy: the systems compared, and the Pareto front."""

from __future__ import annotations

from typing import Any

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
from sweep.report.queries import front_sql, systems_sql
from sweep.report.stored import Source
from sweep.report.wording import (
    axis_title,
    label_of,
    percent,
    readable,
    scale_of,
    settings_of,
    subspace_labels,
    system_of,
)

Row = dict[str, Any]

SECTION = "Systems compared"
FRONT_SECTION = "Pareto front"
#: Bars of one figure at most; the best come first.
BARS = 40
#: Letters of a name beside a bar: on a phone more leave the bar no room.
NAME_LETTERS = 24


def systems_figure(source: Source, objective: int) -> Figure:
    """Draw the best trial of each subspace and system beside the baselines, sorted."""
    study = source.study
    metric = study.objectives[objective].metric
    sql = systems_sql(study, source.name, objective)
    rows = source.read(sql)
    shown = rows[:BARS]
    scale = scale_of(metric, [row[metric] for row in shown])
    labels = []
    for row in shown:
        share = row["share_of_ideal"]
        ideal = f", {percent(share)} of ideal" if share is not None else ""
        labels.append(f"<b>{_named(source, row)}</b><br>{readable(metric, row[metric])}{ideal}")
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": scaled([row[metric] for row in shown], scale),
        "y": list(range(len(shown))),
        "text": [escaped(_described(source, row)) for row in shown],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{x}<extra></extra>",
        "marker": {"color": [_colour(source, row) for row in shown]},
    }
    y = {
        "tickvals": bar["y"],
        "ticktext": labels,
        "autorange": "reversed",
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    } | TICKS
    drawn = plot([bar], axis(metric, scale, nticks=4, tickangle=0), y, 70 + 44 * len(shown))
    left = f" The best {BARS} of {len(rows)} are drawn." if len(rows) > BARS else ""
    return Figure(
        SECTION,
        f"Best by {metric}",
        "The best feasible trial of each subspace and system (blue; the chosen one orange), and "
        f"the baselines (grey), best first.{left}",
        sql,
        [drawn] if shown else [],
    )


def _named(source: Source, row: Row) -> str:
    label = label_of(source.study, row)
    if row["role"] == "baseline":
        return escaped(_cut(label))
    return f"{escaped(_cut(system_of(source.study, row)))}</b>, {label}<b>"


def _cut(name: str) -> str:
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"


def _described(source: Source, row: Row) -> str:
    label = label_of(source.study, row)
    return label if row["role"] == "baseline" else f"{label}: {settings_of(source.study, row)}"


def _colour(source: Source, row: Row) -> str:
    if row["role"] == "baseline":
        return MUTED
    chosen = source.chosen
    return CHOSEN if chosen and row["number"] == chosen["number"] else COLOURS[0]


def front_figure(source: Source) -> Figure:
    """Draw the trials in the space of the objectives, with the front and the marked policies."""
    study = source.study
    sql = front_sql(study, source.name)
    rows = source.read(sql)
    trials = [row for row in rows if row["role"] == "trial"]
    first, *others = [one.metric for one in study.objectives]
    number = trials[0]["points"] if trials else 0
    sampled = (
        f"{len(trials):,} of {number:,} complete trials are drawn: the front, and every so many-th."
        if len(trials) < number
        else f"All {number:,} complete trials are drawn."
    )
    plots = [_front_plot(source, rows, first, other) for other in others]
    caption = (
        f"{sampled} Outlined: the Pareto front; star: the chosen policy; diamonds: baselines. "
        + ("Faint crosses break a constraint." if study.constraints else "")
    ).strip()
    return Figure(FRONT_SECTION, "Trials by their objectives", caption, sql, plots)


def _front_plot(source: Source, rows: list[Row], first: str, other: str) -> dict[str, Any]:
    across = scale_of(first, [row[first] for row in rows])
    up = scale_of(other, [row[other] for row in rows])
    labels = subspace_labels(source.study)
    chosen = source.chosen["number"] if source.chosen else None
    data = []

    def add(name: str, some: list[Row], colour: str, **look: Any) -> dict[str, Any]:
        x = scaled([row[first] for row in some], across)
        y = scaled([row[other] for row in some], up)
        data.append(points(name, x, y, [_described(source, row) for row in some], colour, **look))
        return data[-1]

    trials = [row for row in rows if row["role"] == "trial"]
    broken = [row for row in trials if not row["feasible"]]
    if broken:
        add("infeasible", broken, MUTED, symbol="x-thin-open", opacity=0.35)
    for space, label in enumerate(labels):
        name = label if len(labels) > 1 else "trials"
        colour = COLOURS[space % len(COLOURS)]
        mine = [row for row in trials if row["feasible"] and (row["subspace"] or 0) == space]
        inner = [row for row in mine if not row["on_front"]]
        edge = [row for row in mine if row["on_front"]]
        if inner:
            add(name, inner, colour)
        if edge:
            trace = add(f"{name}, on the front", edge, colour, size=9, opacity=1.0)
            trace["marker"]["line"] = {"width": 1.5, "color": CHOSEN}
    for row in rows:
        if row["role"] == "baseline" and row[first] is not None and row[other] is not None:
            colour = source.colour_of(row)
            add(label_of(source.study, row), [row], colour, symbol="diamond", size=12, opacity=1.0)
    star = [row for row in trials if row["number"] == chosen]
    if star:
        add(f"chosen, trial {chosen}", star, CHOSEN, symbol="star", size=16, opacity=1.0)
    title = f"{axis_title(other, up)} against {axis_title(first, across)}"
    return plot(data, axis(first, across), axis(other, up), 460, title)
