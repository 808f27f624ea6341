"""The figures of parameter importance: how far each parameter decides."""

from __future__ import annotations

import json

from sweep.engine.search import MIN_TRIALS_OF_IMPORTANCE, importances
from sweep.report.plotting import COLOURS, TICKS, Figure, PlotTrace, escaped, plot
from sweep.report.sql import columns, evenly_sampled
from sweep.report.study_results import StudyResults
from sweep.results.wording import subspace_labels

#: The most trials that importance is computed from, in one subspace and in all together: Optuna
#: takes a second for 3,000.
WEIGHED, ALL_WEIGHED = 3_000, 6_000


def importance_sql(results: StudyResults, subspace: int) -> str:
    """Return the query for the parameters of a subspace's trials, and their objectives."""
    study = results.study
    names = ["number", "asked", "objectives"]
    most = min(WEIGHED, max(200, ALL_WEIGHED // len(study.subspaces)))
    return f"""\
WITH counted AS (
  SELECT *, row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS points
  FROM trials WHERE {results.study_condition} AND role = 'trial' AND state = 'complete'
    AND subspace = {subspace}
)
SELECT {columns(names)}, points FROM counted
WHERE {evenly_sampled(most)}
ORDER BY number"""


def draw_importance(results: StudyResults) -> list[Figure]:
    """Draw how far each parameter decides, for each subspace that searches several."""
    return [
        _importance_figure(results, place)
        for place, space in enumerate(results.study.subspaces)
        if len(space.parameters) > 1
    ]


def _importance_figure(results: StudyResults, subspace: int) -> Figure:
    """Draw the importance in a subspace; without plots where it has too few trials."""
    study = results.study
    sql = importance_sql(results, subspace)
    # An earlier version did not tell apart what was asked.
    rows = [row for row in results.read(sql) if row["asked"]]
    rows = [row | {"asked": json.loads(row["asked"])} for row in rows]
    among = subspace_labels(study)[subspace] if len(study.subspaces) > 1 else ""
    title = f"Among {among}" if among else "Of each parameter"
    if len(rows) < MIN_TRIALS_OF_IMPORTANCE:
        return Figure(title, "", sql)
    within = study.within(study.subspaces[subspace])
    data: list[PlotTrace] = []
    order: list[str] = []
    undecided: list[str] = []
    for place, (colour, goal) in enumerate(zip(COLOURS, results.goals, strict=False)):
        shares = importances(within, place, rows)
        order = order or list(shares)
        if not any(shares.values()):
            undecided.append(goal.name)
        bars = {
            "type": "bar",
            "orientation": "h",
            "name": escaped(goal.name),
            "x": [float(f"{shares[name]:.6g}") for name in order],
            "y": [escaped(name) for name in order],
            "marker": {"color": colour},
            "hovertemplate": "%{y}<br>%{x:.1%}<extra></extra>",
        }
        data.append(bars)
    x = {"title": {"text": "share"}, "tickformat": ".0%", "rangemode": "tozero", "automargin": True}
    y = {"autorange": "reversed", "automargin": True, "showgrid": False} | TICKS
    height_px = 90 + (18 + 14 * len(data)) * len(order)
    none = f" None decides over {' or '.join(undecided)}." if undecided else ""
    return Figure(
        title,
        "How far each parameter decides whether a trial is among the best tenth: Optuna's "
        f"PED-ANOVA ({len(rows):,} of {rows[0]['points']:,} complete trials, feasible or not). "
        f"Where the sampler settled early, little is left to decide.{none}",
        sql,
        [plot(data, x, y, height_px, barmode="group")],
        of=among,
    )
