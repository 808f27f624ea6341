"""The views of a database: what is asked of every study, so that nobody has to type it."""

from __future__ import annotations

from sweep.study.goals import MAX_GOALS

#: Points of each study that are compared with all others first: those with the best sum of ranks,
#: which dominate most others. The best of 20,000 trials are found in a tenth of the time.
LEADERS = 100

_STATUS = """\
SELECT study, n_trials,
  count(*) FILTER (role = 'trial' AND state = 'complete') AS complete,
  count(*) FILTER (role = 'trial' AND state = 'fail') AS failed,
  count(*) FILTER (role = 'trial' AND feasible) AS feasible,
  count(*) FILTER (role = 'baseline' AND state = 'complete') AS baselines,
  count(*) FILTER (role = 'baseline' AND state = 'fail') AS failed_baselines,
  count(DISTINCT policy_key) FILTER (role = 'trial' AND state = 'complete') AS distinct_policies,
  any_value(stopped) AS stopped, max(finished_at) AS last_finished_at,
  any_value(question) AS question
FROM studies LEFT JOIN trials USING (study)
GROUP BY study, n_trials ORDER BY study"""


def _best() -> str:
    """Return the query for the trials that no other one beats: with one goal the best and its ties.

    A loss is a goal's value with the sign that makes the least the best.
    """
    places = range(1, MAX_GOALS + 1)
    losses = ",\n    ".join(
        f"coalesce(if(goals[{place}].direction = 'minimize', 1, -1) * objectives[{place}], 0) "
        f"AS loss_{place}"
        for place in places
    )
    names = ", ".join(f"loss_{place}" for place in places)
    as_good = " AND ".join(f"other.loss_{place} <= point.loss_{place}" for place in places)
    better = " OR ".join(f"other.loss_{place} < point.loss_{place}" for place in places)
    ranks = " + ".join(
        f"rank() OVER (PARTITION BY study ORDER BY loss_{place})" for place in places
    )
    return f"""\
WITH usable AS (
  SELECT trials.*, goals,
    {losses}
  FROM trials JOIN studies USING (study)
  WHERE role = 'trial' AND state = 'complete' AND feasible AND attainable IS NOT FALSE
), points AS (
  SELECT *, {ranks} AS sum_of_ranks FROM (SELECT DISTINCT study, {names} FROM usable)
), leaders AS (
  SELECT * FROM points QUALIFY row_number() OVER (PARTITION BY study ORDER BY sum_of_ranks)
    <= {LEADERS}
), candidates AS (
  SELECT * FROM points point WHERE NOT EXISTS (
    SELECT 1 FROM leaders other
    WHERE other.study = point.study AND {as_good} AND ({better}))
), front AS (
  SELECT * FROM candidates point WHERE NOT EXISTS (
    SELECT 1 FROM candidates other
    WHERE other.study = point.study AND {as_good} AND ({better}))
)
SELECT usable.* EXCLUDE (goals, {names}) FROM usable SEMI JOIN front USING (study, {names})
ORDER BY study, {names}, number"""


#: The query of each view, by name.
VIEWS: dict[str, str] = {"study_status": _STATUS, "best_trials": _best()}
