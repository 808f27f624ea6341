"""The SQL behind what the commands show, each a query that a user could type, and its columns."""

from __future__ import annotations

from collections.abc import Sequence

from core.policy import POLICY_FIELDS, reads
from sweep.results.schema import MODEL_VERSION, Row
from sweep.study.model import Study

KEY_OUTCOMES = (
    "restored",
    "wait_saved_ratio",
    "read_commands",
    "time_saved_ratio",
    "share_of_ideal",
    "collateral_ratio",
    "reservation_p99_ns",
)

#: A Pareto set is found in two steps. First every point is compared with this many leaders, which
#: have the best sum of ranks over the objectives and dominate most others; then the points that
#: are left are compared with each other. `sweep best` of 20,000 trials takes 1.4 s, and 17 s where
#: each point is compared with each.
LEADERS = 100


def columns_shown(study: Study) -> list[str]:
    """Return the columns that tell a study's trials apart and say how good they are."""
    objectives = [objective.metric for objective in study.objectives]
    bounds = [constraint.metric for constraint in study.constraints]
    spaces = ["system"] if len(study.subspaces) > 1 else []
    names = ["number", *spaces, *study.searched, *objectives, *bounds, *KEY_OUTCOMES]
    return list(dict.fromkeys(names))


def shown_of(row: Row, names: Sequence[str]) -> Row:
    """Return the columns `names` of a row, with None for the fields its system does not read."""
    read = {"system", *reads(row["system"])}
    unread = [name for name in POLICY_FIELDS if name not in read]
    return {name: None if name in unread else row[name] for name in names}


def best_sql(study: Study, limit: int) -> str:
    """Return the query for a study's best trials: the Pareto set for several objectives.

    Where a parameter changes nothing, many trials have equal values: of these it returns the first.
    Of a study of several policies with one objective it returns the best trial of each policy.
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
    as_good = " AND ".join(f"other.{metric} {sign} point.{metric}" for metric, sign in signs)
    better = " OR ".join(f"other.{metric} {sign[0]} point.{metric}" for metric, sign in signs)
    distinct = ", ".join(metric for metric, _ in signs)
    ranks = " + ".join(f"rank() OVER (ORDER BY {ranked})" for ranked in order.split(", "))
    return (
        f"WITH usable AS (SELECT * FROM trials WHERE {usable}), "
        f"points AS (SELECT DISTINCT {distinct} FROM usable), "
        f"leaders AS (SELECT * FROM points ORDER BY {ranks} LIMIT {LEADERS}), "
        f"candidates AS (SELECT * FROM points point WHERE NOT EXISTS "
        f"(SELECT 1 FROM leaders other WHERE {as_good} AND ({better}))), "
        f"front AS (SELECT * FROM candidates point WHERE NOT EXISTS "
        f"(SELECT 1 FROM candidates other WHERE {as_good} AND ({better}))) "
        f"SELECT * FROM (SELECT DISTINCT ON ({distinct}) usable.* FROM usable "
        f"JOIN front USING ({distinct}) ORDER BY {order}, number) ORDER BY {order} LIMIT {limit}"
    )


def baselines_sql() -> str:
    """Return the query for a study's baselines."""
    return "SELECT * FROM trials WHERE study = $1 AND role = 'baseline' ORDER BY number"


def status_sql() -> str:
    """Return the query for how many trials of the study $1 are done, or of every study if NULL."""
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


def model_version_sql() -> str:
    """Return the query for the version of the model that ran the study $1."""
    return "SELECT coalesce(model_version, 1) AS model_version FROM studies WHERE study = $1"


def another_version(version: int) -> str:
    """Return the name of another version of the model: ``an earlier version of the model (…)``."""
    which = "an earlier" if version < MODEL_VERSION else "a later"
    return f"{which} version of the model ({version}; this is {MODEL_VERSION})"


def of_another_version(version: int) -> str:
    """Return the sentence that is told of results of another version of the model."""
    return (
        f"A{another_version(version)[1:]} made these results, whose times "
        "cannot be compared with those of this one."
    )


def next_questions(study: Study) -> list[str]:
    """Return two queries that a user may want to ask next of a study's results."""
    metric = study.objectives[0].metric
    direction = "desc" if study.objectives[0].direction == "maximize" else "asc"
    columns = ", ".join([*list(study.searched)[:4], metric])
    best = "max" if direction == "desc" else "min"
    name = "system" if study.policies else next(iter(study.searched))
    trials = f"trials where study = '{study.study}' and role = 'trial'"
    return [
        f"select distinct {columns} from {trials} order by {metric} {direction} limit 10",
        f"select {name}, count(*) as trials, {best}({metric}) as best, median({metric}) as median "
        f"from {trials} group by all order by best {direction}",
    ]
