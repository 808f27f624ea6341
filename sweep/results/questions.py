"""The SQL behind what the commands show, each a query that a user could type, and its columns."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.results.schema import MODEL_VERSION, Row
from sweep.study.goals import goals_of
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

_USABLE = "study = $1 AND role = 'trial' AND state = 'complete' AND feasible"


def columns_shown(study: Study) -> list[str]:
    """Return the columns that tell a study's trials apart and say how good they are."""
    goals = [goal.name for goal in goals_of(study)]
    bounds = [constraint.metric for constraint in study.constraints]
    spaces = ["system"] if len(study.subspaces) > 1 else []
    names = ["number", *spaces, *study.searched, *goals, *bounds, *KEY_OUTCOMES]
    return list(dict.fromkeys(names))


def shown_of(study: Study, row: Row, names: Sequence[str]) -> Row:
    """Return the columns `names` of a row of `trials`, those of goals by the name of the goal."""
    goals = [goal.name for goal in goals_of(study)]
    values = row["objectives"] or [None] * len(goals)
    named = row | dict(zip(goals, values, strict=True))
    return {name: named[name] for name in names}


def best_first(study: Study, goal: int = 0) -> str:
    """Return the ORDER BY of one goal, and for equal values of the others."""
    places = [goal, *(place for place in range(len(goals_of(study))) if place != goal)]
    directions = {"maximize": "DESC", "minimize": "ASC"}
    goals = goals_of(study)
    return ", ".join(
        f"objectives[{place + 1}] {directions[goals[place].direction]}" for place in places
    )


def best_sql(study: Study, limit: int) -> str:
    """Return the query for a study's best trials: the Pareto set for several goals.

    Of trials that are equal in every goal it returns the first, and how many `ties` there are. Of a
    study of several policies with one goal it returns the best trial of each policy. What is never
    the answer, such as the ideal, is left out: `beyond_sql` returns it.
    """
    order = best_first(study)
    if len(goals_of(study)) == 1:
        among = "subspace" if study.policies else "objectives"
        return (
            f"SELECT * FROM (SELECT DISTINCT ON ({among}) *, "
            "count(*) OVER (PARTITION BY subspace, objectives) AS ties FROM trials "
            f"WHERE {_USABLE} AND attainable IS NOT FALSE "
            f"ORDER BY {among}, {order}, number) ORDER BY {order}, number LIMIT {limit}"
        )
    return (
        "SELECT * FROM (SELECT DISTINCT ON (objectives) *, "
        "count(*) OVER (PARTITION BY objectives) AS ties FROM best_trials WHERE study = $1 "
        f"ORDER BY objectives, number) ORDER BY {order}, number LIMIT {limit}"
    )


def beyond_sql(study: Study) -> str:
    """Return the query for the best trial of each policy that is never the answer."""
    order = best_first(study)
    return (
        f"SELECT * FROM (SELECT DISTINCT ON (subspace, system) * FROM trials WHERE {_USABLE} "
        f"AND NOT attainable ORDER BY subspace, system, {order}, number) ORDER BY {order}, number"
    )


def baselines_sql() -> str:
    """Return the query for a study's baselines."""
    return "SELECT * FROM trials WHERE study = $1 AND role = 'baseline' ORDER BY number"


def status_sql() -> str:
    """Return the query for how many trials of the study $1 are done, or of every study if NULL."""
    return "SELECT * FROM study_status WHERE $1 IS NULL OR study = $1 ORDER BY study"


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


def next_questions(study: Study, stored: str) -> list[str]:
    """Return queries that a user may want to ask next of a study's results.

    Parameters
    ----------
    study
        The study.
    stored
        Its name in the database, which differs from its own once it was set aside.
    """
    goal = goals_of(study)[0]
    columns = ", ".join([*list(study.searched)[:4], "objectives"])
    order, best = ("desc", "max") if goal.direction == "maximize" else ("asc", "min")
    name = "system" if study.policies else next(iter(study.searched))
    trials = f"trials where study = '{stored}' and role = 'trial'"
    questions = [
        f"select distinct {columns} from {trials} order by objectives[1] {order} limit 10",
        f"select {name}, count(*) as trials, {best}(objectives[1]) as best, "
        f"median(objectives[1]) as median from {trials} group by all order by best {order}",
    ]
    if study.scenarios:
        # Both tables have every outcome.
        value = f"outcomes.{goal.metric}"
        questions.append(
            f"select scenario, {name}, {best}({value}) as best from outcomes join trials "
            f"using (study, role, number) where study = '{stored}' and role = 'trial' "
            f"group by all order by scenario, best {order}"
        )
    return questions
