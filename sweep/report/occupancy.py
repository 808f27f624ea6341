"""The figure of occupancy: what tag storage holds over time under each compared policy."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePath

from sweep.report.plotting import Figure, Plot, axis, plot, scaled
from sweep.report.sql import in_list, is_one_of, quoted
from sweep.report.study_results import StudyResults
from sweep.results import Row
from sweep.results.wording import Scale, scale_of

#: The most plots: as many of the first workloads are drawn as fit.
MOST_PLOTS = 16
#: What pages of tag storage do, from the bottom of a plot, and the colours.
HOLDINGS = (("reserved", "#8a8f98"), ("cached", "#2a8bd2"), ("empty", "#e8c468"))


def occupancy_sql(results: StudyResults, workloads: list[str]) -> str:
    """Return the query for what tag storage holds over time, under each compared policy."""
    return f"""\
SELECT role, number, workload,
  unnest(series_time_ns) AS time_ns,
  unnest(series_reserved_pages) AS reserved_pages,
  unnest(series_cached_pages) AS cached_pages,
  unnest(series_empty_pages) AS empty_pages
FROM runs
WHERE {results.study_condition} AND replicate = 0
  AND scenario = {quoted(results.scenarios[0])} AND workload IN {in_list(workloads)}
  AND {is_one_of(results.compared_policies)}
ORDER BY role DESC, number, workload, time_ns"""


def draw_occupancy(results: StudyResults) -> list[Figure]:
    """Draw the pages of tag storage reserved, caching and empty over time, policy by policy."""
    policies = results.compared_policies
    workloads = list(dict.fromkeys(results.study_row["workloads"]))
    shown = workloads[: max(1, MOST_PLOTS // len(policies))]
    sql = occupancy_sql(results, shown)
    rows = results.read(sql)
    by_run = {
        key: list(run)
        for key, run in groupby(rows, lambda row: (row["role"], row["number"], row["workload"]))
    }
    plots = []
    for workload in shown:
        for policy in policies:
            run = by_run.get((policy["role"], policy["number"], workload))
            if run:
                title = results.title_of(policy)
                if len(shown) > 1:
                    title += f" on {PurePath(workload).name.removesuffix('.parquet')}"
                plots.append(_areas(run, title))
    cut = "" if len(shown) == len(workloads) else f" The first {len(shown)} workloads are drawn."
    several = len(results.scenarios) > 1
    where = f" Drawn in the scenario {results.scenarios[0]}." if several else ""
    seeds = " Replicate 0 is drawn." if results.study.replicates > 1 else ""
    caption = (
        "Pages of tag storage over the workload's time: reserved for tags, caching, and empty "
        f"(headroom that is not reserved is empty).{cut}{where}{seeds}"
    )
    return [Figure("What tag storage holds", caption, sql, plots)]


def _areas(run: list[Row], title: str) -> Plot:
    """Draw the holdings of tag storage during a run as areas on top of each other."""
    time_scale = scale_of("time_ns", [row["time_ns"] for row in run])
    times = scaled([row["time_ns"] for row in run], time_scale)
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "caching" if name == "cached" else name,
            "x": times,
            "y": [row[f"{name}_pages"] for row in run],
            "stackgroup": "held",
            "line": {"width": 0.5, "color": colour},
            "fillcolor": colour,
            "hovertemplate": "%{y:,} pages<extra>%{fullData.name}</extra>",
        }
        for name, colour in HOLDINGS
    ]
    x = axis("time_ns", time_scale) | {"rangemode": "tozero"}
    y = axis("tag storage", Scale("pages", 1.0)) | {"rangemode": "tozero"}
    return plot(data, x, y, 270, title, hovermode="x unified")
