"""Effects: of each parameter, the best that was seen at each of its values.

What a parameter decides is read off the best trials. Where the sampler settled early, an importance
tells of the trials that it left, and not of what the parameter decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sweep.results import Row
from sweep.results.wording import plain_name, readable
from sweep.study.goals import Goal, goals_of
from sweep.study.model import Categorical, FloatRange, Parameter, Study
from sweep.study.samplers import SAMPLERS
from sweep.verdict.facts import Facts, Finding, listed

#: A number of more values than this is shown in so many equal parts of its range.
FEW_VALUES, PARTS = 12, 8
#: A parameter that moves the best by a smaller share than this of what the largest one moves it by
#: does not decide.
LITTLE = 0.02
#: Where a sampler asked for fewer trials at a value, what was seen there says little of the value.
FEWEST_TRIALS = 5


class AtValue(NamedTuple):
    """The best that was seen where a parameter had one value, or was in one part of its range."""

    value: str
    best: float
    median: float
    trials: int


def effects_sql(study: Study, goal: int = 0) -> str:
    """Return the query for the best seen at each value of each parameter of the study $1."""
    best = "min" if goals_of(study)[goal].direction == "minimize" else "max"
    objective = f"objectives[{goal + 1}]"
    parts = []
    for place, name in enumerate(study.searched):
        searching = [
            number for number, space in enumerate(study.subspaces) if name in space.parameters
        ]
        domains = [study.subspaces[number].parameters[name] for number in searching]
        value, order = _grouped(name, domains)
        among = ", ".join(map(str, searching))
        parts.append(
            f"SELECT {place} AS place, '{name}' AS parameter, {order} AS part, "
            f"any_value({value}) AS value, {best}({objective}) AS best, "
            f"median({objective}) AS median, count(*) AS trials FROM usable "
            f'WHERE "{name}" IS NOT NULL AND subspace IN ({among}) GROUP BY {order}'
        )
    return (
        "WITH usable AS (SELECT * FROM trials WHERE study = $1 AND role = 'trial' "
        "AND state = 'complete' AND feasible AND attainable IS NOT FALSE "
        f"AND {objective} IS NOT NULL)\n" + "\nUNION ALL ".join(parts) + "\nORDER BY place, part"
    )


def _grouped(name: str, domains: list[Parameter]) -> tuple[str, str]:
    """Return the SQL of a value as it is shown, and of what is grouped and sorted by.

    Parameters
    ----------
    name
        The parameter.
    domains
        What it may be in each of the policies that search it.
    """
    column = f'"{name}"'
    listed_values = [each.choices for each in domains if isinstance(each, Categorical)]
    choices = [choice for values in listed_values for choice in values]
    words = [choice for choice in choices if isinstance(choice, str)]
    if words and len(words) == len(choices):
        listed_words = ", ".join(f"'{word}'" for word in dict.fromkeys(words))
        return column, f"list_position([{listed_words}], {column})"
    ranges = [each for each in domains if not isinstance(each, Categorical)]
    ends = [end for each in ranges for end in (each.low, each.high)]
    low, high = min(ends, default=0), max(ends, default=0)
    wide = any(isinstance(each, FloatRange) and each.step is None for each in ranges) or any(
        (each.high - each.low) / (each.step or 1) >= FEW_VALUES for each in ranges
    )
    if choices or not wide or high == low:
        return f"{column}::VARCHAR", column
    share, begin = f"({column} - {low}) / {high - low}", f"{low} + {high - low} / {PARTS}.0 *"
    if all(each.log for each in ranges):
        share = f"ln({column} / {low}) / ln({high / low})"
        begin = f"{low} * pow({high / low}, 1 / {PARTS}.0) **"
    part = f"least({PARTS - 1}, floor({share} * {PARTS}))::BIGINT"
    shown = [f"({begin} {each})::DOUBLE" for each in (part, f"({part} + 1)")]
    return f"format('{{:.3g}} to {{:.3g}}', {', '.join(shown)})", part


def effects_in(rows: list[Row]) -> dict[str, list[AtValue]]:
    """Return the answer to `effects_sql`, by parameter."""
    effects: dict[str, list[AtValue]] = {}
    for row in rows:
        at = AtValue(row["value"], row["best"], row["median"], row["trials"])
        effects.setdefault(row["parameter"], []).append(at)
    return effects


def effects(facts: Facts) -> Iterator[Finding]:
    """Yield which parameters decide over the first goal, and which hardly do."""
    if facts.chosen is None or not facts.study.searched:
        return
    goal = facts.goals[0]
    grid = SAMPLERS[facts.study.sampler.name].enumerates
    found = {
        name: [each for each in values if grid or each.trials >= FEWEST_TRIALS]
        for name, values in effects_in(facts.read(effects_sql(facts.study))).items()
    }
    moved = {name: _moves(goal, values) for name, values in found.items() if len(values) > 1}
    most = max(moved.values(), default=0.0)
    if most == 0.0:
        if moved:
            metric = plain_name(goal.metric)
            text = f"No parameter moves the best {metric}: every value of each reaches it."
            yield Finding("effects", text, {"moves": moved})
        return
    ranked = sorted(moved, key=lambda name: -moved[name])
    decide = [name for name in ranked if moved[name] > LITTLE * most]
    parts = [_said(goal, name, found[name]) for name in decide[:4]]
    rest = [name for name in ranked if name not in decide]
    little = f" Hardly anything hangs on {listed(rest)}." if rest else ""
    text = f"What decides, by the best seen at each value: {'; '.join(parts)}.{little}"
    yield Finding("effects", text, {"moves": moved})


def _moves(goal: Goal, values: list[AtValue]) -> float:
    bests = [each.best for each in values]
    return max(bests) - min(bests)


def _said(goal: Goal, name: str, values: list[AtValue]) -> str:
    best = goal.best([each.best for each in values])
    at = next(each for each in values if each.best == best)
    worst = max(values, key=lambda each: abs(best - each.best))
    return (
        f"{name} ({readable(goal.metric, at.best)} at {at.value}, "
        f"{readable(goal.metric, worst.best)} at {worst.value})"
    )
