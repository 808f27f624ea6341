"""The figures of effects: the best that was seen at each value of each parameter."""

from __future__ import annotations

from sweep.report.plotting import COLOURS, MUTED, TICKS, Figure, escaped, goal_axis, plot, scaled
from sweep.report.sql import quoted
from sweep.report.study_results import StudyResults
from sweep.results.wording import scale_of
from sweep.verdict.effects import AtValue, effects_in, effects_sql


def draw_effects(results: StudyResults) -> list[Figure]:
    """Draw the best at each value of each parameter, for each goal."""
    if not results.study.searched:
        return []
    return [_effects_figure(results, place) for place in range(len(results.goals))]


def _effects_figure(results: StudyResults, place: int) -> Figure:
    goal = results.goals[place]
    sql = effects_sql(results.study, place).replace("$1", quoted(results.name))
    effects = effects_in(results.read(sql))
    scale = scale_of(goal.metric, [at.best for values in effects.values() for at in values])
    plots = []
    for name, values in effects.items():
        if len(values) < 2:
            continue
        bars = {
            "type": "bar",
            "orientation": "h",
            "x": scaled([at.best for at in values], scale),
            "y": list(range(len(values))),
            "text": [f"{at.trials:,} trials" for at in values],
            "textposition": "none",
            "hovertemplate": "%{x}, of %{text}<extra></extra>",
            "marker": {"color": [_colour(goal.best, values, at) for at in values]},
        }
        y = {
            "tickvals": bars["y"],
            "ticktext": [escaped(at.value) for at in values],
            "autorange": "reversed",
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        } | TICKS
        height_px = 70 + 26 * len(values)
        plots.append(plot([bars], goal_axis(goal, scale, nticks=4), y, height_px, name))
    return Figure(
        f"Best {goal.name} at each value",
        "The best feasible trial at each value of a parameter, or in each eighth of its range, "
        "among policies that read it; the best value is dark.",
        sql,
        plots,
        of=goal.name,
    )


def _colour(best: object, values: list[AtValue], at: AtValue) -> str:
    assert callable(best)
    return COLOURS[0] if at.best == best([each.best for each in values]) else MUTED
