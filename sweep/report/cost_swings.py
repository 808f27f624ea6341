"""The figure of cost assumptions: what the answer saves over the plausible range of each cost."""

from __future__ import annotations

from core.cost_presets import DEFAULT_PRESET
from core.costs import COST_FIELDS
from sweep.report.plotting import COLOURS, TICKS, Figure, Plot, axis, escaped, plot, scaled
from sweep.report.sql import columns, quoted
from sweep.report.study_results import StudyResults
from sweep.results import Row
from sweep.results.wording import Scale, readable, scale_of
from sweep.verdict.on_costs import SAVINGS, presets_of, swings

#: Costs that are drawn: those that move the saving most.
BARS = 10
#: Scenarios that are drawn, the first ones.
MOST_SCENARIOS = 4


def swings_sql(results: StudyResults) -> str:
    """Return the query for how often each cost is in what the chosen trial saves."""
    assert results.chosen is not None
    savings = [f"{saving}_saved_by_cost" for saving, _ in SAVINGS]
    return f"""\
SELECT scenario, place, {columns([*COST_FIELDS, *savings])}
FROM outcomes JOIN scenarios USING (study, scenario)
WHERE study = {quoted(results.name)} AND role = 'trial' AND number = {results.chosen["number"]}
  AND time_saved_by_cost IS NOT NULL AND {COST_FIELDS[0]} IS NOT NULL
ORDER BY place LIMIT {MOST_SCENARIOS}"""


def draw_swings(results: StudyResults) -> list[Figure]:
    """Draw a tornado of what the chosen trial saves, of the wait and of the disk time."""
    if results.chosen is None:
        return []
    sql = swings_sql(results)
    rows = results.read(sql)
    presets = presets_of(results.study)
    plots = [
        _tornado(row, saving, f"{of} in {row['scenario']}" if len(rows) > 1 else of, presets)
        for row in rows
        for saving, of in SAVINGS
    ]
    return [
        Figure(
            "What the chosen trial saves, cost by cost",
            "What is saved against a carve-out where one cost goes over the range in which it is "
            "plausible, and the others are as given; where a bar crosses 0, that cost turns the "
            "sign.",
            sql,
            [each for each in plots if each["data"]],
        )
    ]


def _tornado(row: Row, saving: str, of: str, presets: dict[str, str]) -> Plot:
    preset = presets.get(row["scenario"], DEFAULT_PRESET)
    found = swings(row[f"{saving}_saved_by_cost"], row, preset)[:BARS]
    ends = [(each.at_least_ns, each.at_most_ns) for each in found]
    scale = scale_of("_ns", [end for pair in ends for end in pair])
    bars = {
        "type": "bar",
        "orientation": "h",
        "base": scaled([min(pair) for pair in ends], scale),
        "x": scaled([max(pair) - min(pair) for pair in ends], scale),
        "y": list(range(len(found))),
        "text": [
            f"{each.cost} {readable('_ns', each.least_ns)} to {readable('_ns', each.most_ns)}: "
            f"saves {readable('_ns', each.at_least_ns)} to {readable('_ns', each.at_most_ns)}"
            for each in found
        ],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": COLOURS[0]},
    }
    y = {
        "tickvals": bars["y"],
        "ticktext": [escaped(each.cost) for each in found],
        "autorange": "reversed",
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    } | TICKS
    x = axis("saved_ns", Scale(scale.unit, scale.divisor), nticks=5)
    return plot([bars] if found else [], x, y, 80 + 26 * len(found), f"Saved {of}")
