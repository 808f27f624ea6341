"""What a verdict hangs on: the costs that would turn it, each by itself.

What is saved is a sum of costs, each so many times (`outcomes.time_saved_by_cost`). So the cost at
which nothing is saved is worked out, and no replay is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from core.cost_presets import DEFAULT_PRESET, SOURCED_PRESETS
from core.costs import COST_FIELDS
from sweep.results import Row
from sweep.results.wording import readable
from sweep.study.model import Study
from sweep.study.worlds import PRESET, scenarios_of
from sweep.verdict.facts import POSTED, Facts, Finding

#: What is saved, the column of how often each cost is in it, and what it is called.
SAVINGS = (("wait", "of the wait"), ("time", "of the disk time"))
#: Costs that are told of those that turn a sign.
TOLD = 3


class Swing(NamedTuple):
    """What a saving would be at the ends of a cost's plausible range, and where it is nothing.

    Parameters
    ----------
    cost
        The cost.
    value_ns
        What it is in the scenario.
    least_ns, most_ns
        The ends of its plausible range.
    at_least_ns, at_most_ns
        What is saved there, of the wait or of the disk time.
    turns_ns
        The cost at which nothing is saved, if it lies between these ends.
    """

    cost: str
    value_ns: int
    least_ns: int
    most_ns: int
    at_least_ns: int
    at_most_ns: int
    turns_ns: float | None

    @property
    def width_ns(self) -> int:
        """How far the saving swings."""
        return abs(self.at_most_ns - self.at_least_ns)


def swings(saved_by_cost: dict[str, int], world: Row, preset: str) -> list[Swing]:
    """Return how far a saving swings over the plausible range of each cost, the widest first.

    Parameters
    ----------
    saved_by_cost
        How often each cost is in the saving.
    world
        The costs of the scenario.
    preset
        The preset in whose ranges they lie; that of a cost beyond is widened to hold it.
    """
    saved_ns = sum(times * world[cost] for cost, times in saved_by_cost.items())
    found = []
    for cost in COST_FIELDS:
        times, value = saved_by_cost.get(cost, 0), world[cost]
        ends = SOURCED_PRESETS[preset].cost(cost).plausible_ns
        if not times:
            continue
        # A cost that a study sets beyond the range may be anything from there to its far end.
        least, most = min(ends[0], value), max(ends[1], value)
        at_least, at_most = (saved_ns + times * (end - value) for end in (least, most))
        turns = value - saved_ns / times
        between = least <= turns <= most and saved_ns != 0
        found.append(Swing(cost, value, least, most, at_least, at_most, turns if between else None))
    return sorted(found, key=lambda swing: (-swing.width_ns, swing.cost))


def at_worst_ns(saved_by_cost: dict[str, int], world: Row, preset: str) -> int:
    """Return what is saved if every cost is at the end of its plausible range that is worse for it.

    Worse is what brings a saving nearer to 0, and beyond.
    """
    saved_ns = sum(times * world[cost] for cost, times in saved_by_cost.items())
    worst = {cost: world[cost] for cost in COST_FIELDS}
    for swing in swings(saved_by_cost, world, preset):
        towards_least = (saved_by_cost[swing.cost] > 0) == (saved_ns > 0)
        worst[swing.cost] = swing.least_ns if towards_least else swing.most_ns
    # A command in parallel is no slower than the first.
    worst["read_parallel_ns"] = min(worst["read_parallel_ns"], worst["read_random_ns"])
    return sum(times * worst[cost] for cost, times in saved_by_cost.items())


def on_costs(facts: Facts) -> Iterator[Finding]:
    """Yield which costs would turn the verdict on the best trial."""
    chosen = facts.chosen
    if chosen is None:
        return
    yield from _holds_while(facts, chosen, None)
    posted = facts.posted
    if posted is not None and facts.key(posted) != facts.key(chosen):
        yield from _holds_while(facts, chosen, posted)


class _Hangs(NamedTuple):
    """What a saving hangs on in one scenario: what is saved, how it swings, and at the worst."""

    scenario: str
    saved_ns: int
    swings: list[Swing]
    at_worst_ns: int

    @property
    def turned(self) -> list[Swing]:
        """The costs that turn its sign, the one that has to move least first."""
        turned = [swing for swing in self.swings if swing.turns_ns is not None]
        return sorted(turned, key=lambda swing: abs((swing.turns_ns or 0) / swing.value_ns - 1))


def _holds_while(facts: Facts, row: Row, than: Row | None) -> Iterator[Finding]:
    """Yield which costs turn the sign of what a policy saves, of the wait and of the disk time."""
    against = f"Against {POSTED}" if than else "Against the carve-out"
    conditions, numbers = [], {}
    for saving, what in SAVINGS:
        hangs = _hanging(facts, row, than, f"{saving}_saved_by_cost")
        if not hangs:
            continue
        conditions.append(_condition(what, hangs))
        numbers[saving] = {
            each.scenario: {
                "saved_ns": each.saved_ns,
                "all_at_their_worst_ns": each.at_worst_ns,
                "swings": [swing._asdict() for swing in each.swings],
            }
            for each in hangs
        }
    if conditions:
        text = (
            f"{against}, within the ranges in which costs are plausible, {'; '.join(conditions)}."
        )
        yield Finding("costs", text, {"against": POSTED if than else None} | numbers)


def _hanging(facts: Facts, row: Row, than: Row | None, column: str) -> list[_Hangs]:
    """Return what a saving hangs on in each scenario in which it is known."""
    others = _by_scenario(facts, than) if than else None
    presets = presets_of(facts.study)
    hangs = []
    for scenario, world in _by_scenario(facts, row).items():
        other = {} if others is None else others.get(scenario, {}).get(column)
        if world[column] is None or other is None:
            continue
        times = {cost: world[column].get(cost, 0) - other.get(cost, 0) for cost in COST_FIELDS}
        saved = sum(count * world[cost] for cost, count in times.items())
        preset = presets.get(scenario, DEFAULT_PRESET)
        worst = at_worst_ns(times, world, preset)
        hangs.append(_Hangs(scenario, saved, swings(times, world, preset), worst))
    return hangs


def _condition(what: str, hangs: list[_Hangs]) -> str:
    """Return which single costs turn a sign, in the scenario where one has to move least."""
    turned = [each for each in hangs if each.turned]
    if not turned:
        at_once = any(each.saved_ns * each.at_worst_ns < 0 for each in hangs)
        rest = "all at the worse end at once would" if at_once else "nor do all of them at once"
        return f"no single cost turns the sign {what}; {rest}"
    first = min(turned, key=lambda each: abs((each.turned[0].turns_ns or 0)
                                             / each.turned[0].value_ns - 1))  # fmt: skip
    where = f" in the scenario {first.scenario}" if len(hangs) > 1 else ""
    more = f", or {len(first.turned) - TOLD} more" if len(first.turned) > TOLD else ""
    costs = " or ".join(map(_turning, first.turned[:TOLD]))
    return f"the sign {what} turns{where} at {costs}{more}, each by itself"


def _turning(swing: Swing) -> str:
    """Return the cost at which nothing is saved: ``read_random_ns 61 µs (here 110 µs)``."""
    turns, value = readable("_ns", round(swing.turns_ns or 0)), readable("_ns", swing.value_ns)
    return f"{swing.cost} {turns} (here {value})"


def _by_scenario(facts: Facts, row: Row) -> dict[str, Row]:
    """Return what a policy saves by cost in each scenario, and the costs of the scenario."""
    costs = ", ".join(COST_FIELDS)
    rows = facts.read(
        f"SELECT scenario, {costs}, time_saved_by_cost, wait_saved_by_cost "
        "FROM outcomes JOIN scenarios USING (study, scenario) "
        f"WHERE study = $1 AND role = $2 AND number = $3 AND {COST_FIELDS[0]} IS NOT NULL "
        "ORDER BY place",
        [row["role"], row["number"]],
    )
    return {each["scenario"]: each for each in rows}


def presets_of(study: Study) -> dict[str, str]:
    """Return the preset of costs in each scenario."""
    own = study.costs.preset or DEFAULT_PRESET
    return {name: given.get(PRESET, own) for name, given in scenarios_of(study.scenarios)}
