"""The figure of reservation latency: its distribution under each compared policy."""

from __future__ import annotations

from itertools import groupby

from sweep.report.plotting import Figure, PlotTrace, axis, escaped, plot, scaled
from sweep.report.sql import is_one_of
from sweep.report.study_results import StudyResults
from sweep.results.wording import scale_of

#: Lines that lie on top of each other are told apart by their dashes.
DASHES = ("solid", "dash", "dot", "dashdot")
#: A distribution function is drawn in at most this many steps: true to 1/250, which is 0.4 %.
DISTRIBUTION_STEPS = 250
#: The size of a data cache line (docs/model.md).
LINE_BYTES = 64
MIGRATED = "reservation.migrated"


def latency_sql(results: StudyResults) -> str:
    """Return the query for the share of reservations that took no longer than each latency."""
    compared = is_one_of(results.compared_policies)
    # The first version of the model told the pages that migrate_cma migrated as dropped ones.
    first = results.model_version == 1
    migrated = "if(system = 'migrate_cma', reservation.dropped, 0)" if first else MIGRATED
    dropped = f"reservation.dropped - {migrated}" if first else "reservation.dropped"
    return f"""\
WITH samples AS (
  SELECT study, role, number, scenario, runs.page_size,
    unnest(reservation_samples) AS reservation FROM runs
  WHERE {results.study_condition} AND {compared}
), latencies AS (
  SELECT role, number,
    scenarios.reserve_base_ns
    + reservation.blocks * (lcm(samples.page_size, scenarios.tag_block_size) // {LINE_BYTES})
      * scenarios.cache_line_ns
    + ({dropped}) * scenarios.slot_drop_ns
    + reservation.written * scenarios.swap_write_ns
    + {migrated} * scenarios.migrate_page_ns
    + if({migrated} > 0, scenarios.migrate_base_ns, 0) AS latency_ns,
    sum(reservation."count") AS times
  FROM samples JOIN trials USING (study, role, number) JOIN scenarios USING (study, scenario)
  GROUP BY ALL HAVING latency_ns IS NOT NULL
), reached AS (
  SELECT role, number, latency_ns,
    sum(times) OVER no_longer / sum(times) OVER policy AS share,
    sum(times) OVER no_longer * {DISTRIBUTION_STEPS} // sum(times) OVER policy AS step
  FROM latencies
  WINDOW policy AS (PARTITION BY role, number), no_longer AS (policy ORDER BY latency_ns)
)
SELECT role, number, latency_ns, share FROM reached
QUALIFY step IS DISTINCT FROM lag(step) OVER (PARTITION BY role, number ORDER BY latency_ns)
ORDER BY role DESC, number, latency_ns"""


def draw_latency(results: StudyResults) -> list[Figure]:
    """Draw the distribution function of reservation latency of each compared policy."""
    sql = latency_sql(results)
    rows = results.read(sql)
    by_policy = {
        key: list(steps) for key, steps in groupby(rows, lambda row: (row["role"], row["number"]))
    }
    scale = scale_of("latency_ns", [row["latency_ns"] for row in rows])
    data: list[PlotTrace] = []
    without_reservation = []
    for policy in results.compared_policies:
        steps = by_policy.get((policy["role"], policy["number"]))
        label = results.title_of(policy)
        if not steps:
            without_reservation.append(label)
            continue
        dash = DASHES[len(data) % len(DASHES)]
        line = {"shape": "hv", "color": results.colour_of(policy), "width": 2, "dash": dash}
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escaped(label),
                "x": scaled([row["latency_ns"] for row in steps], scale),
                "y": [float(f"{row['share']:.6g}") for row in steps],
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
    none = f" No reservation: {', '.join(without_reservation)}." if without_reservation else ""
    caption = (
        "The share of reservations that take no longer, over all scenarios, workloads and "
        "replicates; a line "
        f"is true to 0.4 %.{none}"
    )
    plots = [plot(data, x, y, 380)] if data else []
    return [Figure("How long reservations take", caption, sql, plots)]
