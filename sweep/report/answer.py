"""The words at the top of a report: the verdict in sentences, and the table of policies."""

from __future__ import annotations

from sweep.report.study_results import BEST_SHOWN, StudyResults
from sweep.results import Row
from sweep.results.questions import columns_shown, shown_of
from sweep.results.wording import label_of, plain_goal, plain_name, readable
from sweep.verdict.verdict import verdict_of

#: The most baselines that the answer names; the figures show all.
MOST_NAMED = 8


def answer_sentences(results: StudyResults) -> list[str]:
    """Return the sentences that answer the study's question."""
    verdict = verdict_of(results.connection, results.study, results.name)
    return [*(finding.text for finding in verdict), *_baselines(results)]


def _baselines(results: StudyResults) -> list[str]:
    """Return what the baselines have, the best first."""
    rows = [row for row in results.baselines if row["objectives"][0] is not None]
    if not rows:
        return []
    first = results.goals[0]
    rows.sort(key=lambda row: row["objectives"][0], reverse=first.direction == "maximize")
    parts = [
        f"{label_of(results.study, row)} "
        + ", ".join(_value(results, row, place) for place in range(len(results.goals)))
        for row in rows[:MOST_NAMED]
    ]
    names = ", ".join(map(plain_goal, results.goals))
    more = f"; and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return [f"Baselines ({names}): {'; '.join(parts)}{more}."]


def _value(results: StudyResults, row: Row, place: int) -> str:
    """Return the value of a goal with its unit."""
    return readable(results.goals[place].metric, row["objectives"][place])


def policies_table(results: StudyResults) -> list[dict[str, str]]:
    """Return the rows of the table of policies, values in words: best trials, then baselines."""
    study = results.study
    goals = {goal.name: goal for goal in results.goals}
    names = list(dict.fromkeys([*goals, "share_of_ideal", *columns_shown(study)[1:]]))
    rows = []
    best = results.best if len(goals) == 1 else _spread(results.best)
    for row in [*best, *results.beyond, *results.baselines]:
        shown = shown_of(study, row, names)
        cells = {
            plain_goal(goals[name]) if name in goals else plain_name(name): readable(
                goals[name].metric if name in goals else name, value
            )
            for name, value in shown.items()
        }
        rows.append({"policy": label_of(study, row)} | cells)
    return rows


def policies_caption(results: StudyResults) -> str:
    """Return the caption of the table of policies."""
    trials, shown = len(results.best), len(_spread(results.best))
    if len(results.goals) == 1:
        kind = "The best trial of each policy" if results.study.policies else "The best trials"
        return (
            f"{kind} (of equal ones the first), then what is never the answer, and the baselines."
        )
    part = f"{shown} of its {trials:,} trials, from end to end" if shown < trials else "all of it"
    return f"The Pareto set, {part}; then bounds and the baselines."


def _spread(best: list[Row]) -> list[Row]:
    """Return as many rows as the table shows, evenly spread, the first and last among them."""
    if len(best) <= BEST_SHOWN:
        return best
    return [best[place * (len(best) - 1) // (BEST_SHOWN - 1)] for place in range(BEST_SHOWN)]
