"""The marked policies: what tag storage holds over time, and how long reservations take."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePath
from typing import Any

from sweep.report.figure import Figure, axis, escaped, plot, scaled
from sweep.report.queries import latency_sql, series_sql
from sweep.report.stored import Source
from sweep.report.wording import Scale, scale_of

Row = dict[str, Any]

SECTION = "Occupancy of tag storage"
LATENCY_SECTION = "Reservation latency"
#: Plots of occupancy at most: so many of the first workloads are drawn as fit.
OCCUPANCIES = 16
#: Lines that lie on each other are told apart by these.
DASHES = ("solid", "dash", "dot", "dashdot")
#: What tag storage holds, from below, and its colours.
HOLDINGS = (("reserved", "#8a8f98"), ("cached", "#2a8bd2"), ("empty", "#e8c468"))


def occupancy_figure(source: Source) -> Figure | None:
    """Draw pages of tag storage reserved, caching and empty over time, of each marked policy."""
    marked = source.marked
    workloads = list(dict.fromkeys(source.entry["workloads"]))
    if not marked:
        return None
    shown = workloads[: max(1, OCCUPANCIES // len(marked))]
    sql = series_sql(source.name, marked, shown)
    rows = source.read(sql)
    by_run = {
        key: list(run)
        for key, run in groupby(rows, lambda row: (row["role"], row["number"], row["workload"]))
    }
    plots = []
    for workload in shown:
        for policy in marked:
            run = by_run.get((policy["role"], policy["number"], workload))
            if run:
                title = source.title_of(policy)
                if len(shown) > 1:
                    title += f" on {_short(workload)}"
                plots.append(_areas(run, title))
    left = "" if len(shown) == len(workloads) else f" The first {len(shown)} workloads are drawn."
    seeds = " Replicate 0 is drawn." if source.study.replicates > 1 else ""
    caption = (
        "Pages of tag storage over the workload's time: reserved for tags, caching, and empty "
        f"(headroom that is not reserved is empty).{left}{seeds}"
    )
    return Figure(SECTION, "What tag storage holds", caption, sql, plots)


def _short(workload: str) -> str:
    """Return a workload's name without the folder of its file."""
    return PurePath(workload).name.removesuffix(".parquet")


def _areas(run: list[Row], title: str) -> dict[str, Any]:
    along = scale_of("time_ns", [row["time_ns"] for row in run])
    x = scaled([row["time_ns"] for row in run], along)
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "caching" if name == "cached" else name,
            "x": x,
            "y": [row[f"{name}_pages"] for row in run],
            "stackgroup": "held",
            "line": {"width": 0.5, "color": colour},
            "fillcolor": colour,
            "hovertemplate": "%{y:,} pages<extra>%{fullData.name}</extra>",
        }
        for name, colour in HOLDINGS
    ]
    pages = Scale("pages", 1.0)
    # Time is said once, not as the name of a column.
    across = axis("time_ns", along) | {"rangemode": "tozero"}
    y = axis("tag storage", pages) | {"rangemode": "tozero"}
    return plot(data, across, y, 270, title, hovermode="x unified")


def latency_figure(source: Source) -> Figure | None:
    """Draw the distribution function of reservation latency, of each marked policy."""
    if not source.marked:
        return None
    sql = latency_sql(source.name, source.marked)
    rows = source.read(sql)
    by_policy = {
        key: list(some) for key, some in groupby(rows, lambda row: (row["role"], row["number"]))
    }
    scale = scale_of("latency_ns", [row["latency_ns"] for row in rows])
    data: list[dict[str, Any]] = []
    without = []
    for policy in source.marked:
        some = by_policy.get((policy["role"], policy["number"]))
        label = source.title_of(policy)
        if not some:
            without.append(label)
            continue
        dash = DASHES[len(data) % len(DASHES)]
        line = {"shape": "hv", "color": source.colour_of(policy), "width": 2, "dash": dash}
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escaped(label),
                "x": scaled([row["latency_ns"] for row in some], scale),
                "y": [float(f"{row['share']:.6g}") for row in some],
                "line": line,
                "marker": {"size": 5},
                "hovertemplate": "%{y:.2%} within %{x:.4g} " + scale.unit,
            }
        )
    x = axis("latency_ns", scale)
    if rows and min(row["latency_ns"] for row in rows) > 0:
        x["type"] = "log"
    y = {"title": {"text": "share of reservations"}, "tickformat": ".0%", "automargin": True}
    y["range"] = [0, 1.03]
    none = f" No reservation: {', '.join(without)}." if without else ""
    caption = (
        "The share of reservations that take no longer, over all workloads and replicates; a line "
        f"is true to 0.4 %.{none}"
    )
    return Figure(
        LATENCY_SECTION,
        "How long reservations take",
        caption,
        sql,
        [plot(data, x, y, 380)] if data else [],
    )
