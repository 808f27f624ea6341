"""The best trials of a study: which they are, what ties with them, and which is best where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sweep.results import OUTCOME_COLUMNS, Row
from sweep.results.wording import label_of, percent, plain_goal, plain_name, readable
from sweep.verdict.facts import Facts, Finding, listed
from sweep.verdict.intervals import Interval
from sweep.verdict.pairs import (
    adds_up,
    all_pairs_of,
    over_scenarios,
    over_workloads,
    time_shared_by,
)

#: The policies next to the best that are tried for a difference from it, and bounds that are told.
NEIGHBOURS, BOUNDS = 24, 8


def best(facts: Facts) -> Iterator[Finding]:
    """Yield what the best trial has; of several goals, the best of each."""
    complete, chosen = facts.counts["complete"], facts.chosen
    trials = f"{complete:,} complete {'trial' if complete == 1 else 'trials'}"
    if chosen is None:
        yield Finding("best", _none(facts, trials), {"trial": None})
        return
    numbers = {"trial": chosen["number"], "objectives": chosen["objectives"]}
    if len(facts.goals) == 1:
        text = (
            f"{_most(facts, 0)} of {trials}: {facts.named(chosen)} with {_values(facts, chosen)}."
        )
        yield Finding("best", text, numbers)
        return
    front = facts.read("SELECT objectives, number FROM best_trials WHERE study = $1")
    points = len({tuple(row["objectives"]) for row in front})
    kinds = "one policy that no other beats" if points == 1 else (
        f"{points:,} trade-offs that no policy beats in every goal (the Pareto set)"
    )  # fmt: skip
    text = (
        f"Of {trials}, {kinds}. {_most(facts, 0)}: {facts.named(chosen)} with "
        f"{_values(facts, chosen)}."
    )
    yield Finding("best", text, numbers | {"trade_offs": points})
    for place in range(1, len(facts.goals)):
        yield from _end(facts, place, chosen)


def _none(facts: Facts, trials: str) -> str:
    """Return why no trial is the best."""
    if not facts.counts["complete"]:
        return "No trial is complete."
    nearest = facts.read(
        "SELECT number, violations FROM trials WHERE study = $1 AND role = 'trial' "
        "AND state = 'complete' AND attainable IS NOT FALSE "
        "ORDER BY list_max(violations), number LIMIT 1"
    )
    if not nearest:
        return "Every policy of the study is a bound or other hardware: none is an answer."
    bounds = ", ".join(constraint.metric for constraint in facts.study.constraints)
    number, beyond = nearest[0]["number"], nearest[0]["violations"] or []
    worst = max((value for value in beyond if value is not None), default=None)
    near = "" if worst is None else f"; nearest is trial {number}, {worst:.4g} beyond one of them"
    return f"None of {trials} keeps every constraint (on {bounds}){near}."


def _end(facts: Facts, place: int, chosen: Row) -> Iterator[Finding]:
    """Yield the best trial by another goal than the first, if it is another trial."""
    goal = facts.goals[place]
    value = goal.best([row["objectives"][place] for row in facts.ranked])
    # Of trials with this value, the first in the list has the best first goal.
    number = next(row for row in facts.ranked if row["objectives"][place] == value)["number"]
    if number == chosen["number"]:
        return
    (row,) = facts.read(
        "SELECT * FROM trials WHERE study = $1 AND role = 'trial' AND number = $2", [number]
    )
    text = f"{_most(facts, place)}: {facts.named(row)} with {_values(facts, row)}."
    yield Finding("best", text, {"trial": number, "objectives": row["objectives"]})


def _most(facts: Facts, place: int) -> str:
    goal = facts.goals[place]
    most, metric = "Most" if goal.direction == "maximize" else "Least", plain_name(goal.metric)
    if len(facts.scenarios) < 2 or goal.scenario is not None:
        return f"{most} {plain_goal(goal)}"
    over = "in the worst scenario" if goal.over == "worst" else "in the mean of the scenarios"
    return f"{most} {metric} {over}"


def _values(facts: Facts, row: Row) -> str:
    """Return the values of a trial's goals in words."""
    return ", ".join(
        f"{plain_goal(goal) if goal.scenario else plain_name(goal.metric)} "
        f"{facts.valued(place, row['objectives'][place])}"
        for place, goal in enumerate(facts.goals)
    )


def ties(facts: Facts) -> Iterator[Finding]:
    """Yield which trials are equal to the best, and which cannot be told from it."""
    chosen = facts.chosen
    if chosen is None:
        return
    equal = [row for row in facts.ranked if row["objectives"] == chosen["objectives"]]
    policies = {row["policy_key"]: row for row in reversed(equal)}
    if len(policies) > 1:
        yield _tie(facts, sorted(row["number"] for row in policies.values()))
    yield from _unsure(facts, chosen)


def _tie(facts: Facts, numbers: list[int]) -> Finding:
    columns = ", ".join(f'"{name}"' for name in OUTCOME_COLUMNS)
    (counted,) = facts.read(
        f"SELECT count(DISTINCT ({columns})) AS outcomes FROM trials WHERE study = $1 "
        "AND role = 'trial' AND list_contains($2, number)",
        [numbers],
    )
    what = "every outcome" if counted["outcomes"] == 1 else "every goal"
    rest = "Which of them is taken makes no difference here."
    if counted["outcomes"] > 1:
        rest = _ranges(facts, numbers)
    rows = facts.read(
        "SELECT * FROM trials WHERE study = $1 AND role = 'trial' AND list_contains($2, number) "
        "ORDER BY number",
        [numbers],
    )
    differ = []
    for name in facts.study.searched:
        values = list(dict.fromkeys(row[name] for row in rows if row[name] is not None))
        if len(values) > 1:
            differ.append(f"{name} ({listed([readable(name, value) for value in values], 6)})")
    shown = listed([str(number) for number in numbers], 6)
    among = f": they differ in {listed(differ)}" if differ else ""
    text = (
        f"{len(numbers):,} policies tie for the best, equal in {what} (trials {shown}){among}. "
        f"{rest}"
    )
    return Finding("tie", text, {"trials": numbers, "equal_in": what})


def _ranges(facts: Facts, numbers: list[int]) -> str:
    """Return how trials that are equal in every goal differ in what they save."""
    (row,) = facts.read(
        "SELECT min(wait_saved_ratio) AS wait, max(wait_saved_ratio) AS most_wait, "
        "min(time_saved_ratio) AS time, max(time_saved_ratio) AS most_time FROM trials "
        "WHERE study = $1 AND role = 'trial' AND list_contains($2, number)",
        [numbers],
    )
    if row["wait"] == row["most_wait"] and row["time"] == row["most_time"]:
        return "They save the same, and differ in other outcomes."
    ranges = " and ".join(
        f"{name}_saved_ratio {readable('wait_saved_ratio', row[name])} to "
        f"{readable('wait_saved_ratio', row[f'most_{name}'])}"
        for name in ("wait", "time")
    )
    return f"In other outcomes they differ: {ranges}."


def _unsure(facts: Facts, chosen: Row) -> Iterator[Finding]:
    """Yield which of the next best trials cannot be told from the best by the first goal."""
    metric = facts.goals[0].metric
    if not (adds_up(metric) or time_shared_by(metric)):
        return
    seen = [chosen["objectives"]]
    next_best: list[Row] = []
    for row in facts.ranked:
        if len(next_best) == NEIGHBOURS:
            break
        if row["objectives"] not in seen:
            seen.append(row["objectives"])
            next_best.append(row)
    keys = [facts.key(row) for row in next_best]
    of_all = all_pairs_of(facts.connection, facts.study, facts.key(chosen), keys, metric)
    alike: list[tuple[Row, Interval]] = []
    tried = 0
    for row, pairs in zip(next_best, of_all, strict=True):
        total = over_workloads(over_scenarios(pairs), metric)
        interval = total.interval if total else None
        tried += interval is not None and interval.low is not None
        if interval and interval.low is not None and interval.sign is None:
            alike.append((row, interval))
    if not alike:
        return
    numbers = [row["number"] for row, _ in alike]
    yield _alike(facts, chosen, numbers, tried, metric, [each for _, each in alike])


def _alike(
    facts: Facts,
    chosen: Row,
    numbers: list[int],
    tried: int,
    metric: str,
    intervals: list[Interval],
) -> Finding:
    shown = listed([str(number) for number in numbers], 6)
    of = "" if len(facts.scenarios) < 2 else " in the mean over the scenarios"
    text = (
        f"Of the {tried} next best policies {len(numbers)} cannot be told from trial "
        f"{chosen['number']} by {plain_name(metric)}{of} (trials {shown}): 0 lies in the 95 % "
        "interval of the difference."
    )
    bounds = [(each.low, each.high) for each in intervals]
    return Finding("noise", text, {"trials": numbers, "of": tried, "intervals": bounds})


def in_scenarios(facts: Facts) -> Iterator[Finding]:
    """Yield the best policy of each scenario, and the one that is never far from it."""
    if len(facts.scenarios) < 2 or facts.chosen is None:
        return
    goal = facts.goals[0]
    rows = facts.read(
        f"SELECT number, scenario, outcomes.{goal.metric} AS value "
        "FROM outcomes JOIN trials USING (study, role, number) WHERE study = $1 "
        f"AND role = 'trial' AND state = 'complete' AND feasible AND attainable IS NOT FALSE "
        f"AND outcomes.{goal.metric} IS NOT NULL ORDER BY number"
    )
    values: dict[str, dict[int, float]] = {name: {} for name in facts.scenarios}
    for row in rows:
        values[row["scenario"]][row["number"]] = row["value"]
    tops = {name: goal.best(list(of.values())) for name, of in values.items() if of}
    yield _best_in_each(facts, values, tops)
    regrets = {
        number: max(abs(top - values[name][number]) for name, top in tops.items())
        for number in next(iter(values.values()))
        if all(number in values[name] for name in tops)
    }
    if len(regrets) < 2:
        return
    least = min(regrets.values())
    number = next(number for number in regrets if regrets[number] == least)
    name = facts.named(_row_of(facts, number))
    how = (
        f"{name} is the best in every scenario." if least == 0 else
        f"{name} has the least regret: it is {readable(goal.metric, least)} of "
        f"{plain_name(goal.metric)} from the best of a scenario at most."
    )  # fmt: skip
    yield Finding("regret", how[:1].upper() + how[1:], {"trial": number, "regret": least})


def _best_in_each(
    facts: Facts, values: dict[str, dict[int, float]], tops: dict[str, float]
) -> Finding:
    metric = facts.goals[0].metric
    by_trial: dict[int, list[str]] = {}
    found: dict[str, Any] = {}
    for scenario, top in tops.items():
        number = next(number for number, value in values[scenario].items() if value == top)
        by_trial.setdefault(number, []).append(scenario)
        found[scenario] = {"trial": number, "value": top}
    parts = [
        f"{listed([f'{name} {readable(metric, tops[name])}' for name in names], 4)}: "
        f"{facts.named(_row_of(facts, number))}"
        for number, names in by_trial.items()
    ]
    more = f"; and {len(parts) - 6} more" if len(parts) > 6 else ""
    text = f"Best {plain_name(metric)} in each scenario: {'; '.join(parts[:6])}{more}."
    return Finding("scenario", text, {"best": found})


def _row_of(facts: Facts, number: int) -> Row:
    rows = facts.read(
        "SELECT * FROM trials WHERE study = $1 AND role = 'trial' AND number = $2", [number]
    )
    return rows[0]


def bounds(facts: Facts) -> Iterator[Finding]:
    """Yield how far the best is from what nobody can have."""
    chosen = facts.chosen
    share = chosen["share_of_ideal"] if chosen else None
    if share is not None:
        label = label_of(facts.study, chosen) if chosen else ""
        text = (
            f"{label[:1].upper()}{label[1:]} restores {percent(share)} of the pages that a "
            "clairvoyant cleancache would."
        )
        yield Finding("clairvoyant", text, {"share_of_ideal": share})
    rows = facts.beyond + [row for row in facts.baselines if row["attainable"] is False]
    for row in rows[:BOUNDS]:
        yield _bound(facts, row)


def _bound(facts: Facts, row: Row) -> Finding:
    from core.system import SYSTEMS

    values = _values_of_bound(facts, row)
    why = SYSTEMS[row["system"]].beyond if row["system"] in SYSTEMS else "of other hardware"
    named = facts.named(row)
    text = f"{named[:1].upper()}{named[1:]} has {values}; but it is no answer: {why}."
    return Finding("beyond", text, {"system": row["system"]})


def _values_of_bound(facts: Facts, row: Row) -> str:
    shown: Sequence[str] = [
        f"{plain_goal(goal)} {facts.valued(place, row['objectives'][place])}"
        for place, goal in enumerate(facts.goals)
        if row["objectives"][place] is not None
    ]
    return ", ".join(shown) or "no goal's value"
