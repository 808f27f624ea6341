"""The best trial beside what else could be the answer: baselines, and the best of each policy."""

from __future__ import annotations

from collections.abc import Iterator

from sweep.results import Row
from sweep.results.questions import best_sql
from sweep.results.wording import label_of, plain_goal, subspace_labels
from sweep.verdict.facts import Facts, Finding, listed
from sweep.verdict.pairs import adds_up, over_scenarios, over_workloads, pairs_of, time_shared_by

#: Policies whose best is told.
TOLD = 6


def baselines(facts: Facts) -> Iterator[Finding]:
    """Yield which baselines are better than every trial by the first goal."""
    chosen, goal = facts.chosen, facts.goals[0]
    if chosen is None:
        return
    better = [
        row
        for row in facts.baselines
        if row["attainable"] is not False
        and row["objectives"][0] is not None
        and goal.sign * row["objectives"][0] < goal.sign * chosen["objectives"][0]
    ]
    if better:
        named = [
            f"{label_of(facts.study, row)} ({facts.valued(0, row['objectives'][0])})"
            for row in better
        ]
        verb = "is" if len(better) == 1 else "are"
        text = (
            f"By {plain_goal(goal)}, which is asked for, {listed(named)} {verb} better than every "
            f"trial: a baseline beats the search."
        )
        labels = [label_of(facts.study, row) for row in better]
        yield Finding("baseline", text, {"baselines": labels})


def policies(facts: Facts) -> Iterator[Finding]:
    """Yield the best of each policy, and whether the first two can be told apart."""
    if facts.chosen is None or len(facts.study.subspaces) < 2 or len(facts.goals) > 1:
        return
    rows = facts.read(best_sql(facts.study, TOLD))
    if len(rows) < 2:
        return
    labels = subspace_labels(facts.study)
    parts = [
        f"{labels[row['subspace']]} {facts.valued(0, row['objectives'][0])} (trial {row['number']})"
        for row in rows
    ]
    text = f"Best {plain_goal(facts.goals[0])} of each policy: {'; '.join(parts)}."
    told = _told_apart(facts, rows[0], rows[1])
    numbers = {"trials": [row["number"] for row in rows], "first_two_told_apart": told}
    if told is not None:
        text += (
            " The first two can be told apart (95 %)." if told
            else " The first two cannot be told apart (95 %)."
        )  # fmt: skip
    yield Finding("policies", text, numbers)


def _told_apart(facts: Facts, first: Row, second: Row) -> bool | None:
    """Return whether 0 lies outside the interval of a difference; None if there is no interval."""
    metric = facts.goals[0].metric
    if not (adds_up(metric) or time_shared_by(metric)):
        return None
    pairs = pairs_of(facts.connection, facts.study, facts.key(first), facts.key(second), metric)
    total = over_workloads(over_scenarios(pairs), metric)
    if total is None or total.interval is None or total.interval.low is None:
        return None
    return total.interval.sign in (1, -1)
