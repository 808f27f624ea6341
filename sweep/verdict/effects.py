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
from sweep.verdict.facts import Facts, Finding, listed

#: A number of more values than this is shown in so many equal parts of its range.
FEW_VALUES, PARTS = 12, 8
#: A parameter that moves the best by a smaller share than this of what the largest one moves it by
#: does not decide.
LITTLE = 0.02


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
    for place, (name, parameter) in enumerate(study.searched.items()):
        value, order = _grouped(name, parameter)
        parts.append(
            f"SELECT {place} AS place, '{name}' AS parameter, {order} AS part, "
            f"any_value({value}) AS value, {best}({objective}) AS best, "
            f"median({objective}) AS median, count(*) AS trials FROM usable "
            f'WHERE "{name}" IS NOT NULL GROUP BY {order}'
        )
    return (
        "WITH usable AS (SELECT * FROM trials WHERE study = $1 AND role = 'trial' "
        "AND state = 'complete' AND feasible AND attainable IS NOT FALSE)\n"
        + "\nUNION ALL ".join(parts)
        + "\nORDER BY place, part"
    )


def _grouped(name: str, parameter: Parameter) -> tuple[str, str]:
    """Return the SQL of a value as it is shown, and of what is grouped and sorted by."""
    column = f'"{name}"'
    if isinstance(parameter, Categorical):
        words = [choice for choice in parameter.choices if isinstance(choice, str)]
        if len(words) == len(parameter.choices):
            listed_words = ", ".join(f"'{word}'" for word in words)
            return column, f"list_position([{listed_words}], {column})"
        return f"{column}::VARCHAR", column
    wide = isinstance(parameter, FloatRange) and parameter.step is None
    wide = wide or (parameter.high - parameter.low) / (parameter.step or 1) >= FEW_VALUES
    if not wide or parameter.high == parameter.low:
        return f"{column}::VARCHAR", column
    low, high = parameter.low, parameter.high
    share = f"({column} - {low}) / {high - low}"
    ends = f"{low} + {high - low} / {PARTS}.0 *"
    if parameter.log:
        share = f"ln({column} / {low}) / ln({high / low})"
        ends = f"{low} * pow({high / low}, 1 / {PARTS}.0) **"
    part = f"least({PARTS - 1}, floor({share} * {PARTS}))::BIGINT"
    shown = (
        f"format('{{:.3g}} to {{:.3g}}', ({ends} {part})::DOUBLE, ({ends} ({part} + 1))::DOUBLE)"
    )
    return shown, part


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
    found = effects_in(facts.read(effects_sql(facts.study)))
    moved = {name: _moves(goal, values) for name, values in found.items() if len(values) > 1}
    most = max(moved.values(), default=0.0)
    if most == 0.0:
        if moved:
            text = (
                f"No parameter moves the best {plain_name(goal.metric)}: at each value it is seen."
            )
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
