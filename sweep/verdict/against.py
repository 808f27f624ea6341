"""The verdict against doing nothing, and against the design that was posted."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from sweep.results import Row
from sweep.results.wording import MINUS, label_of, percent, plain_name
from sweep.verdict.facts import POSTED, Facts, Finding, listed
from sweep.verdict.intervals import Interval, Units
from sweep.verdict.pairs import over_workloads, pairs_of, saved_pairs_of

#: What is saved, and of what.
WAIT, TIME = "wait_saved_ns", "time_saved_ns"
#: Outcomes that are savings, of the wait (0) or of the disk time (1): a carve-out has 0.
SAVINGS = {WAIT: 0, "wait_saved_ratio": 0, TIME: 1, "time_saved_ratio": 1}
NOTHING = "the carve-out of today"


class Saved(NamedTuple):
    """What a policy saves more than another in one scenario, over all workloads.

    Both are shares of what a carve-out has: of its tasks' wait for the disk, and of its disk time.
    """

    scenario: str
    wait: Interval | None
    time: Interval | None

    @property
    def both(self) -> tuple[Interval | None, Interval | None]:
        """Of the wait, and of the disk time."""
        return self.wait, self.time


class Stands(StrEnum):
    """How a policy stands against another in one scenario, as far as intervals tell."""

    BEATS = "beats"
    EQUALS = "equals"
    LOSES = "loses to"
    MIXED = "gains and loses against"
    UNSURE = "cannot be told from"
    AHEAD = "seems ahead of"
    BEHIND = "seems behind"
    UNKNOWN = "is not known against"


def stands(saved: Saved) -> Stands:
    """Return how a policy stands: by what is sure, or, of too few units, by what was seen."""
    if saved.wait is None or saved.time is None:
        return Stands.UNKNOWN
    if any(each.low is None for each in (saved.wait, saved.time)):
        means = {saved.wait.mean, saved.time.mean}
        if min(means) == max(means) == 0:
            return Stands.EQUALS
        if min(means) >= 0:
            return Stands.AHEAD
        return Stands.BEHIND if max(means) <= 0 else Stands.MIXED
    signs = {saved.wait.sign, saved.time.sign}
    if 1 in signs and -1 in signs:
        return Stands.MIXED
    if signs == {0}:
        return Stands.EQUALS
    if None in signs and len(signs - {None, 0}) == 0:
        return Stands.UNSURE
    return Stands.BEATS if 1 in signs else Stands.LOSES


def saved_by(facts: Facts, row: Row, than: Row | None = None) -> list[Saved]:
    """Return what a policy saves more than another, or than a carve-out, in each scenario."""
    effects: dict[str, dict[str, Interval | None]] = {WAIT: {}, TIME: {}}
    for metric in (WAIT, TIME):
        if than is None:
            pairs = saved_pairs_of(facts.connection, facts.study, facts.key(row), metric)
        else:
            keys = facts.key(row), facts.key(than)
            pairs = pairs_of(facts.connection, facts.study, *keys, metric)
        for scenario in dict.fromkeys(pair.scenario for pair in pairs):
            total = over_workloads([each for each in pairs if each.scenario == scenario], metric)
            effects[metric][str(scenario)] = total.effect(metric) if total else None
    return [Saved(name, wait, effects[TIME].get(name)) for name, wait in effects[WAIT].items()]


def against(facts: Facts) -> Iterator[Finding]:
    """Yield what the best trial saves more than a carve-out, and than the posted design."""
    if facts.chosen is None:
        return
    saved = saved_by(facts, facts.chosen)
    if saved:
        yield _against_nothing(facts, facts.chosen, saved)
        yield _against_posted(facts, facts.chosen)


def _against_nothing(facts: Facts, chosen: Row, saved: list[Saved]) -> Finding:
    most, asked, policies = _most_saved(facts), facts.goals[0], len(facts.ranked)
    feasible = "feasible policies" if facts.study.constraints else "policies"
    name = label_of(facts.study, chosen)
    lead = ""
    if max(most) <= 0 and policies > 1:
        lead = f"None of {policies:,} {feasible} saves more than {NOTHING}. "
    elif asked.metric in SAVINGS and most[SAVINGS[asked.metric]] <= 0:
        of = f"none of {policies:,} {feasible} does" if policies > 1 else "the best does no"
        metric = plain_name(asked.metric)
        lead = f"By {metric}, which is asked for and is 0 of {NOTHING}, {of} better. "
    judged = [stands(each) for each in saved]
    # Of a trace that does not tell reclaim, no policy could have gained.
    is_told = not facts.reasons_against and not facts.without_offers
    is_lost = is_told and set(judged) <= {Stands.LOSES, Stands.EQUALS}
    alone = " Leave tag storage alone." if is_lost else ""
    beats = set(judged) <= {Stands.BEATS} and not lead
    text = f"{lead}{_sentence(name, NOTHING, saved)}{alone}"
    return Finding("carve_out", text, _numbers(saved) | {"beats": beats})


def _most_saved(facts: Facts) -> tuple[float, float]:
    """Return the most of the wait, and of the disk time, that any trial saves in a scenario."""
    (row,) = facts.read(
        "SELECT max(outcomes.wait_saved_ns) AS wait, max(outcomes.time_saved_ns) AS time "
        "FROM outcomes JOIN trials USING (study, role, number) "
        "WHERE study = $1 AND role = 'trial' AND attainable IS NOT FALSE AND feasible"
    )
    return row["wait"] or 0, row["time"] or 0


def _against_posted(facts: Facts, chosen: Row) -> Finding:
    posted = facts.posted
    if posted is None:
        text = (
            f"Whether it beats the posted design is not known: {POSTED} did not run "
            f"(baselines: [{{preset: {POSTED}}}])."
        )
        return Finding(POSTED, text, {"ran": False})
    if facts.key(chosen) == facts.key(posted):
        return Finding(POSTED, f"The best is {POSTED} itself, the posted design.", {"ran": True})
    more, alone = saved_by(facts, chosen, posted), saved_by(facts, posted)
    name = label_of(facts.study, chosen)
    text = (
        f"{_sentence(name, f'{POSTED} as posted', more)} "
        f"{_sentence('the posted design', NOTHING, alone, doubt='')}"
    )
    beats = {stands(each) for each in more} == {Stands.BEATS}
    return Finding(POSTED, text, {"ran": True, "beats": beats} | _numbers(more))


def _sentence(name: str, other: str, saved: list[Saved], doubt: str | None = None) -> str:
    """Return how a policy stands against another, and by how much, in a sentence."""
    doubt = _doubt(saved) if doubt is None else doubt
    name = name[:1].upper() + name[1:]
    if len(saved) == 1:
        (only,) = saved
        verb = stands(only)
        if verb is Stands.UNKNOWN:
            return f"How {name} stands against {other} is not known."
        told = f"{name} {verb.value} {other}"
        return f"{told}: it {_of_one(only.wait, 0)}, and {_of_one(only.time, 1)}{doubt}."
    by_verb: dict[Stands, list[str]] = {}
    for each in saved:
        by_verb.setdefault(stands(each), []).append(each.scenario)
    parts = [
        f"{verb.value} {other if place == 0 else 'it'} in {len(names)} of {len(saved)} scenarios"
        + (f" ({listed(names, 4)})" if len(names) < len(saved) else "")
        for place, (verb, names) in enumerate(by_verb.items())
    ]
    return f"{name} {listed(parts)}: it {_over(saved, 0)}, and {_over(saved, 1)}{doubt}."


#: What is said where more is saved than by the other policy, and where less is.
_WORDS = (
    ("makes tasks wait {} less for the disk", "makes tasks wait {} longer for the disk"),
    ("takes {} less of disk and CPU time", "takes {} more of disk and CPU time"),
)


def _of_one(interval: Interval | None, place: int) -> str:
    """Return what is saved in one scenario, with its interval in the same direction."""
    if interval is None:
        return "what it saves is not known"
    sign = -1 if interval.mean < 0 else 1
    words = _WORDS[place][0 if sign > 0 else 1].format(percent(abs(interval.mean)))
    if interval.low is None or interval.high is None or interval.low == interval.high:
        return words
    low, high = sorted((sign * interval.low, sign * interval.high))
    return f"{words} ({100 * low:.3g} to {100 * high:.3g} %)".replace("-", MINUS)


def _over(saved: list[Saved], place: int) -> str:
    """Return the least and the most that is saved, and in which scenarios."""
    known = [(each.both[place], each.scenario) for each in saved]
    ranked = sorted(
        ((interval.mean, scenario) for interval, scenario in known if interval is not None)
    )
    if not ranked:
        return "what it saves is not known"
    (least, worst), (most, best) = ranked[0], ranked[-1]
    less, more = (words.replace("{} ", "") for words in _WORDS[place])
    if least == most:
        words = (less if least >= 0 else more).split(" ")
        return f"{' '.join(words)} by {percent(abs(least))} in every scenario"
    if most <= 0:
        return f"{more}, by {percent(-most)} ({best}) to {percent(-least)} ({worst})"
    return f"{less}, by {signed(least)} ({worst}) to {signed(most)} ({best})"


def signed(share: float) -> str:
    """Return a share as a percentage with its sign."""
    return percent(share).replace("-", MINUS)


def _doubt(saved: list[Saved]) -> str:
    """Return what intervals are over, or why there are none."""
    intervals = [each for of in saved for each in of.both if each is not None]
    few = [each for each in intervals if each.low is None]
    if few and few[0].kind is Units.PARTS:
        return "; of so short a capture it cannot be said how sure that is"
    if few:
        units = few[0].units
        seeds = "one seed is" if units == 1 else f"{units} seeds are"
        return f"; {seeds} too few to say how sure that is (replicates: 5)"
    kinds = {each.kind for each in intervals}
    if kinds == {Units.REPLICATES}:
        return f"; 95 % intervals over {intervals[0].units} seeds"
    within = "over the parts of the captures' time, within these captures only"
    if kinds == {Units.PARTS}:
        return f"; 95 % intervals {within}"
    return f"; 95 % intervals over seeds, and {within}"


def _numbers(saved: list[Saved]) -> dict[str, object]:
    def of(interval: Interval | None) -> dict[str, object] | None:
        if interval is None:
            return None
        names = ("mean", "low", "high", "units")
        return {name: getattr(interval, name) for name in names} | {"over": interval.kind.value}

    return {
        "scenarios": {
            each.scenario: {
                "stands": stands(each).value,
                "wait_saved_share": of(each.wait),
                "time_saved_share": of(each.time),
            }
            for each in saved
        }
    }
