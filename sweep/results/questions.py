"""The SQL behind what the commands show; each is one that a user could ask."""

from __future__ import annotations

from sweep.study.model import Study

KEY_OUTCOMES = (
    "time_saved_ns",
    "refault_hit_ratio",
    "share_of_ideal",
    "collateral_ratio",
    "reservation_p99_ns",
    "restored",
)

#: Points that are good in all objectives, which the others are held against first: what they beat
#: is beaten. `sweep best` of 20,000 trials: 1.4 s, and 17 s where each is held against each.
LEADERS = 100


def columns_shown(study: Study) -> list[str]:
    """Return the columns that tell a study's trials apart and say how good they are."""
    objectives = [objective.metric for objective in study.objectives]
    bounds = [constraint.metric for constraint in study.constraints]
    spaces = ["system"] if len(study.subspaces) > 1 else []
    names = ["number", *spaces, *study.searched, *objectives, *bounds, *KEY_OUTCOMES]
    return list(dict.fromkeys(names))


def best_sql(study: Study, limit: int) -> str:
    """Return the query for a study's best trials: the Pareto set for several objectives.

    Of trials with equal values, which are many where a parameter changes nothing, it has the first;
    of a study of several policies, the best of each.
    """
    order = ", ".join(
        f"{objective.metric} {'ASC' if objective.direction == 'minimize' else 'DESC'}"
        for objective in study.objectives
    )
    usable = "study = $1 AND role = 'trial' AND state = 'complete' AND feasible"
    if len(study.objectives) == 1 and study.policies:
        return (
            f"SELECT * FROM (SELECT DISTINCT ON (subspace) * FROM trials WHERE {usable} "
            f"ORDER BY subspace, {order}, number) ORDER BY {order}, number LIMIT {limit}"
        )
    if len(study.objectives) == 1:
        return (
            f"SELECT * FROM (SELECT DISTINCT ON ({study.objectives[0].metric}) * FROM trials "
            f"WHERE {usable} ORDER BY {order}, number) ORDER BY {order} LIMIT {limit}"
        )
    signs = [
        (objective.metric, "<=" if objective.direction == "minimize" else ">=")
        for objective in study.objectives
    ]
    as_good = " AND ".join(f"other.{metric} {sign} one.{metric}" for metric, sign in signs)
    better = " OR ".join(f"other.{metric} {sign[0]} one.{metric}" for metric, sign in signs)
    distinct = ", ".join(metric for metric, _ in signs)
    ranks = " + ".join(f"rank() OVER (ORDER BY {one})" for one in order.split(", "))
    return (
        f"WITH usable AS (SELECT * FROM trials WHERE {usable}), "
        f"points AS (SELECT DISTINCT {distinct} FROM usable), "
        f"leaders AS (SELECT * FROM points ORDER BY {ranks} LIMIT {LEADERS}), "
        f"candidates AS (SELECT * FROM points one WHERE NOT EXISTS "
        f"(SELECT 1 FROM leaders other WHERE {as_good} AND ({better}))), "
        f"front AS (SELECT * FROM candidates one WHERE NOT EXISTS "
        f"(SELECT 1 FROM candidates other WHERE {as_good} AND ({better}))) "
        f"SELECT * FROM (SELECT DISTINCT ON ({distinct}) usable.* FROM usable "
        f"JOIN front USING ({distinct}) ORDER BY {order}, number) ORDER BY {order} LIMIT {limit}"
    )


def baselines_sql() -> str:
    """Return the query for a study's baselines."""
    return "SELECT * FROM trials WHERE study = $1 AND role = 'baseline' ORDER BY number"


def status_sql() -> str:
    """Return the query for how far the study $1 is, or every study where that is NULL."""
    return (
        "SELECT study, n_trials, "
        "count(*) FILTER (role = 'trial' AND state = 'complete') AS complete, "
        "count(*) FILTER (state = 'fail') AS failed, "
        "count(*) FILTER (role = 'trial' AND feasible) AS feasible, "
        "count(*) FILTER (role = 'baseline' AND state = 'complete') AS baselines, "
        "max(finished_at) AS last_finished_at, any_value(question) AS question "
        "FROM studies LEFT JOIN trials USING (study) "
        "WHERE $1 IS NULL OR study = $1 GROUP BY study, n_trials ORDER BY study"
    )


def next_questions(study: Study) -> list[str]:
    """Return queries worth asking of a study's results."""
    metric = study.objectives[0].metric
    direction = "desc" if study.objectives[0].direction == "maximize" else "asc"
    columns = ", ".join([*list(study.searched)[:4], metric])
    best = "max" if direction == "desc" else "min"
    name = "system" if study.policies else next(iter(study.searched))
    mine = f"where study = '{study.study}' and role = 'trial'"
    return [
        f"select distinct {columns} from trials {mine} order by {metric} {direction} limit 10",
        f"select {name}, count(*) as trials, {best}({metric}) as best, median({metric}) as median "
        f"from trials {mine} group by all order by best {direction}",
    ]
