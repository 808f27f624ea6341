"""What a report asks of the database: each is a query that `sweep query` answers as it stands.

A figure never has more than some 2,000 points, however long the study: the best of its trials and
every so many-th of all of them are drawn, and `points` says of how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.results.questions import best_sql
from sweep.study.model import Study

Row = dict[str, Any]

#: Trials of a figure at most, and of a front; a quarter are of the best, the rest of all.
POINTS, FRONT = 2_000, 500
#: Trials that importance is worked out from at most, in one subspace and in all together: Optuna
#: takes a second for 3,000.
WEIGHED, ALL_WEIGHED = 3_000, 6_000
#: A distribution function has a point for each so large a part of it.
DISTRIBUTION_STEPS = 250
#: What a data cache line holds (docs/model.md).
LINE_BYTES = 64


def text(value: str) -> str:
    """Return a word as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def _order(study: Study, objective: int = 0) -> str:
    """Return the order by an objective, and of equals by the others."""
    objectives = list(study.objectives)
    ranked = [objectives.pop(objective), *objectives]
    ways = {"maximize": "DESC", "minimize": "ASC"}
    return ", ".join(f"{one.metric} {ways[one.direction]}" for one in ranked)


def _columns(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def systems_sql(study: Study, name: str, objective: int) -> str:
    """Return the query for the best trial of each subspace and system, beside the baselines."""
    metric = study.objectives[objective].metric
    columns = ["role", "number", "subspace", "system", metric, "share_of_ideal", *study.searched]
    return f"""\
WITH ranked AS (
  SELECT *, row_number() OVER (
    PARTITION BY role, subspace, system, CASE role WHEN 'baseline' THEN number END
    ORDER BY {_order(study, objective)}, number
  ) AS place
  FROM trials
  WHERE study = {text(name)} AND state = 'complete' AND {metric} IS NOT NULL
    AND (feasible OR role = 'baseline')
)
SELECT {_columns(columns)}
FROM ranked WHERE place = 1
ORDER BY {_order(study, objective)}, role DESC, number"""


def front_sql(study: Study, name: str) -> str:
    """Return the query for trials in the space of several objectives, and which are on the front.

    Baselines are among them, and have no `points`.
    """
    metrics = [one.metric for one in study.objectives]
    columns = ["role", "number", "subspace", "system", "feasible", *metrics, *study.searched]
    others = POINTS - FRONT
    return f"""\
WITH front AS (
  {best_sql(study, FRONT).replace("$1", text(name))}
), counted AS (
  SELECT *, row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS points,
    number IN (SELECT number FROM front) AS on_front
  FROM trials WHERE study = {text(name)} AND role = 'trial' AND state = 'complete'
)
SELECT {_columns(columns)}, on_front, points FROM counted
WHERE on_front OR place % ((points + {others - 1}) // {others}) = 0
UNION ALL
SELECT {_columns(columns)}, false, NULL FROM trials
WHERE study = {text(name)} AND role = 'baseline' AND state = 'complete'
ORDER BY role DESC, number"""


def slice_sql(study: Study, name: str, parameter: str, most: int) -> str:
    """Return the query for every objective against a parameter, with at most `most` trials."""
    spaces = [i for i, space in enumerate(study.subspaces) if parameter in space.parameters]
    among = "" if len(spaces) == len(study.subspaces) else f" AND subspace IN {_listed(spaces)}"
    columns = ["number", "subspace", "feasible", parameter, *(o.metric for o in study.objectives)]
    best = most // 4
    others = most - best
    return f"""\
WITH counted AS (
  SELECT *, row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS points,
    row_number() OVER (ORDER BY feasible DESC, {_order(study)}, number) AS rank
  FROM trials WHERE study = {text(name)} AND role = 'trial' AND state = 'complete'{among}
)
SELECT {_columns(columns)}, points FROM counted
WHERE rank <= {best} OR place % ((points + {others - 1}) // {others}) = 0
ORDER BY number"""


def importance_sql(study: Study, name: str, subspace: int) -> str:
    """Return the query for what the trials of a subspace searched, and what became of it."""
    metrics = [one.metric for one in study.objectives]
    columns = ["number", *study.subspaces[subspace].parameters, *metrics]
    most = min(WEIGHED, max(200, ALL_WEIGHED // len(study.subspaces)))
    return f"""\
WITH counted AS (
  SELECT *, row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS points
  FROM trials WHERE study = {text(name)} AND role = 'trial' AND state = 'complete'
    AND subspace = {subspace}
)
SELECT {_columns(columns)}, points FROM counted
WHERE place % ((points + {most - 1}) // {most}) = 0
ORDER BY number"""


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(text(value) if isinstance(value, str) else str(value) for value in values)
    return f"({shown})"


def _marked(rows: Sequence[Row]) -> str:
    pairs = ", ".join(f"({text(row['role'])}, {row['number']})" for row in rows)
    return f"(role, number) IN ({pairs})"


def series_sql(name: str, marked: Sequence[Row], workloads: Sequence[str]) -> str:
    """Return the query for what tag storage holds over time, of marked policies."""
    return f"""\
SELECT role, number, workload,
  unnest(series_time_ns) AS time_ns,
  unnest(series_reserved_pages) AS reserved_pages,
  unnest(series_cached_pages) AS cached_pages,
  unnest(series_empty_pages) AS empty_pages
FROM runs
WHERE study = {text(name)} AND replicate = 0 AND workload IN {_listed(workloads)}
  AND {_marked(marked)}
ORDER BY role DESC, number, workload, time_ns"""


def latency_sql(name: str, marked: Sequence[Row]) -> str:
    """Return the query for the share of reservations that took no longer, of marked policies."""
    return f"""\
WITH samples AS (
  SELECT study, role, number, page_size, unnest(reservation_samples) AS one FROM runs
  WHERE study = {text(name)} AND {_marked(marked)}
), latencies AS (
  SELECT role, number,
    reserve_base_ns
    + one.blocks * (lcm(page_size, tag_block_size) // {LINE_BYTES}) * cache_line_ns + CASE
      WHEN one.dropped = 0 THEN 0
      WHEN system = 'migrate_cma' THEN migrate_base_ns + one.dropped * migrate_page_ns
      ELSE one.dropped * slot_drop_ns + one.written * swap_write_ns END AS latency_ns,
    sum(one."count") AS times
  FROM samples JOIN trials USING (study, role, number) GROUP BY ALL
), reached AS (
  SELECT role, number, latency_ns,
    sum(times) OVER longer / sum(times) OVER mine AS share,
    sum(times) OVER longer * {DISTRIBUTION_STEPS} // sum(times) OVER mine AS step
  FROM latencies
  WINDOW mine AS (PARTITION BY role, number), longer AS (mine ORDER BY latency_ns)
)
SELECT role, number, latency_ns, share FROM reached
QUALIFY step IS DISTINCT FROM lag(step) OVER (PARTITION BY role, number ORDER BY latency_ns)
ORDER BY role DESC, number, latency_ns"""
