"""What a verdict hangs on: the costs that would turn it, each by itself.

What is saved is a sum of costs, each so many times (`outcomes.time_saved_by_cost`). So the cost at
which nothing is saved is worked out, and no replay is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from core.cost_presets import DEFAULT_PRESET, SOURCED_PRESETS
from core.costs import COST_FIELDS
from sweep.results import Row
from sweep.results.wording import readable
from sweep.study.worlds import PRESET, scenarios_of
from sweep.verdict.facts import POSTED, Facts, Finding, listed

#: What is saved, the column of how often each cost is in it, and what it is called.
SAVINGS = (("wait", "of the wait"), ("time", "of the disk time"))


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
        The preset in whose ranges they lie; of one that lies outside, nothing is known.
    """
    saved_ns = sum(times * world[cost] for cost, times in saved_by_cost.items())
    found = []
    for cost in COST_FIELDS:
        times, value = saved_by_cost.get(cost, 0), world[cost]
        least, most = SOURCED_PRESETS[preset].cost(cost).plausible_ns
        if not times or not least <= value <= most:
            continue
        at_least, at_most = (saved_ns + times * (end - value) for end in (least, most))
        turns = value - saved_ns / times
        between = least <= turns <= most and saved_ns != 0
        found.append(Swing(cost, value, least, most, at_least, at_most, turns if between else None))
    return sorted(found, key=lambda swing: (-swing.width_ns, swing.cost))


def at_worst_ns(saved_by_cost: dict[str, int], world: Row, preset: str) -> int:
    """Return what is saved if every cost is at the end of its plausible range that is worse for it.

    Worse is what brings a saving nearer to 0, and beyond. A cost outside its range stays as it is.
    """
    saved_ns = sum(times * world[cost] for cost, times in saved_by_cost.items())
    worst = {cost: world[cost] for cost in COST_FIELDS}
    for cost, times in saved_by_cost.items():
        ends = SOURCED_PRESETS[preset].cost(cost).plausible_ns
        if ends[0] <= world[cost] <= ends[1]:
            worst[cost] = ends[0] if (times > 0) == (saved_ns > 0) else ends[1]
    # A command in parallel is no slower than the first.
    worst["read_parallel_ns"] = min(worst["read_parallel_ns"], worst["read_random_ns"])
    return sum(times * worst[cost] for cost, times in saved_by_cost.items())


def on_costs(facts: Facts) -> Iterator[Finding]:
    """Yield which costs would turn the verdict on the best trial, in the scenario nearest to it."""
    chosen = facts.chosen
    if chosen is None:
        return
    yield from _holds_while(facts, chosen, None)
    posted = facts.posted
    if posted is not None and facts.key(posted) != facts.key(chosen):
        yield from _holds_while(facts, chosen, posted)


def _holds_while(facts: Facts, row: Row, than: Row | None) -> Iterator[Finding]:
    mine = _by_scenario(facts, row)
    others = _by_scenario(facts, than) if than else {}
    presets = presets_of(facts)
    nothing: dict[str, Any] = {}
    conditions, turned_at_once, numbers, known = [], [], {}, False
    for saving, of in SAVINGS:
        column = f"{saving}_saved_by_cost"
        nearest: tuple[int, str, list[Swing], int] | None = None
        for scenario, world in mine.items():
            if world[column] is None:
                continue
            other = others.get(scenario, nothing).get(column) or {}
            times = {cost: world[column].get(cost, 0) - other.get(cost, 0) for cost in COST_FIELDS}
            saved = sum(count * world[cost] for cost, count in times.items())
            preset = presets.get(scenario, DEFAULT_PRESET)
            if nearest is None or abs(saved) < abs(nearest[0]):
                worst = at_worst_ns(times, world, preset)
                nearest = (saved, scenario, swings(times, world, preset), worst)
        if nearest is None:
            continue
        known = True
        saved_ns, scenario, found, worst_ns = nearest
        if saved_ns * worst_ns < 0:
            turned_at_once.append(of)
        turned = [_condition(swing, saved_ns) for swing in found if swing.turns_ns is not None]
        where = f" in {scenario}" if len(mine) > 1 else ""
        if turned:
            verb = "saves" if saved_ns > 0 else "loses"
            conditions.append(f"it {verb} {of}{where} only while {listed(turned)}")
        numbers[saving] = {
            "saved_ns": saved_ns,
            "all_at_their_worst_ns": worst_ns,
            "swings": [swing._asdict() for swing in found],
        }
    if not known:
        return
    against = f"Against {POSTED}" if than else "Against the carve-out"
    at_once = (
        "all of them at the worse end at once would" if turned_at_once else "nor do all at once"
    )
    within = "no single cost turns the sign within the range in which it is plausible"
    each = f"{'; '.join(conditions)} (each cost by itself, the others as given)"
    text = f"{against}, {each if conditions else f'{within}; {at_once}'}."
    yield Finding("costs", text, {"against": POSTED if than else None} | numbers)


def _condition(swing: Swing, saved_ns: int) -> str:
    """Return between which costs the sign of a saving holds."""
    assert swing.turns_ns is not None
    sign = ">" if swing.turns_ns < swing.value_ns else "<"
    turns, value = readable("_ns", round(swing.turns_ns)), readable("_ns", swing.value_ns)
    return f"{swing.cost} {sign} {turns} (here {value})"


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


def presets_of(facts: Facts) -> dict[str, str]:
    """Return the preset of costs in each scenario."""
    own = facts.study.costs.preset or DEFAULT_PRESET
    return {name: given.get(PRESET, own) for name, given in scenarios_of(facts.study.scenarios)}
