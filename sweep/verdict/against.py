"""The verdict against doing nothing, and against the design that was posted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sweep.results import Row
from sweep.results.wording import MINUS, percent, plain_name
from sweep.verdict.facts import POSTED, Facts, Finding, listed
from sweep.verdict.intervals import Interval, Units
from sweep.verdict.pairs import over_workloads, pairs_of, saved_pairs_of

#: What is saved, and of what.
WAIT, TIME = "wait_saved_ns", "time_saved_ns"
#: Outcomes that are savings, of the wait (0) or of the disk time (1): a carve-out has 0.
SAVINGS = {WAIT: 0, "wait_saved_ratio": 0, TIME: 1, "time_saved_ratio": 1}


class Saved(NamedTuple):
    """What a policy saves more than another in one scenario, over all workloads.

    Both are shares of what a carve-out has: of its tasks' wait for the disk, and of its disk time.
    """

    scenario: str
    wait: Interval | None
    time: Interval | None

    @property
    def means(self) -> tuple[float, float]:
        """The mean share of the wait, and of the disk time."""
        return tuple(each.mean if each else 0.0 for each in (self.wait, self.time))  # type: ignore[return-value]


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
    if not saved:
        return
    yield _against_nothing(facts, saved)
    yield _against_posted(facts)


def _against_nothing(facts: Facts, saved: list[Saved]) -> Finding:
    numbers = _numbers(saved)
    assert facts.chosen is not None
    best = _most_saved(facts)
    if max(best) <= 0:
        trials = facts.counts["complete"]
        lead = (
            f"No policy of {trials:,} beats the carve-out of today"
            if trials > 1 else "It does not beat the carve-out of today"
        )  # fmt: skip
        text = f"{lead}: {_what(facts, saved, 'the best')} Leave tag storage alone."
        return Finding("carve_out", text, numbers | {"beats": False})
    asked = facts.goals[0]
    if asked.metric in SAVINGS and best[SAVINGS[asked.metric]] <= 0:
        trials = facts.counts["complete"]
        text = (
            f"By {plain_name(asked.metric)}, which is asked for, none of {trials:,} policies beats "
            f"the carve-out of today, which has 0: {_what(facts, saved, 'the best')} "
            "Leave tag storage alone."
        )
        return Finding("carve_out", text, numbers | {"beats": False})
    waits, times = [each.means[0] for each in saved], [each.means[1] for each in saved]
    wins = [each for each in saved if min(each.means) > 0]
    if len(wins) == len(saved):
        lead = "It beats the carve-out of today"
    elif max(waits) <= 0 and max(times) <= 0:
        lead = "It loses to the carve-out of today, which other trials beat"
    elif len(saved) == 1:
        lead = "Against the carve-out of today it gains and loses"
    else:
        lost = [each.scenario for each in saved if each not in wins]
        lead = (
            f"It beats the carve-out of today in {len(wins)} of {len(saved)} scenarios, "
            f"not in {listed(lost)}"
        )
    text = f"{lead}: {_what(facts, saved, 'it')}"
    return Finding("carve_out", text, numbers | {"beats": len(wins) == len(saved)})


def _most_saved(facts: Facts) -> tuple[float, float]:
    """Return the most of the wait, and of the disk time, that any trial saves in a scenario."""
    (row,) = facts.read(
        "SELECT max(outcomes.wait_saved_ns) AS wait, max(outcomes.time_saved_ns) AS time "
        "FROM outcomes JOIN trials USING (study, role, number) "
        "WHERE study = $1 AND role = 'trial' AND attainable IS NOT FALSE AND feasible"
    )
    return row["wait"] or 0, row["time"] or 0


def _what(facts: Facts, saved: list[Saved], subject: str) -> str:
    """Return what a policy saves of the wait and of the disk time, in a sentence's rest."""
    if len(saved) == 1:
        (only,) = saved
        wait, time = _share(only.wait), _share(only.time)
        spares = _verb(only.wait, "spares tasks", "makes tasks wait longer, by")
        pays = _verb(only.time, "the disk and the CPU", "costs the disk and the CPU")
        doubt = _doubt(only.wait)
        return (
            f"{subject} {spares} {wait} of their wait for the disk{_bounds(only.wait)}, and "
            f"{pays} {time} of the disk time{_bounds(only.time)}{doubt}."
        )
    return (
        f"{subject} {_range(saved, 0, 'of the wait for the disk')}, and "
        f"{_range(saved, 1, 'of the disk time')}{_sure_in(saved)}."
    )


def _sure_in(saved: list[Saved]) -> str:
    """Return in how many scenarios the sign of the wait that is saved is sure."""
    signs = [each.wait.sign for each in saved if each.wait and each.wait.low is not None]
    if len(signs) < len(saved):
        return ""
    sure = sum(sign is not None for sign in signs)
    return f"; the sign of the wait is sure (95 %) in {sure} of {len(saved)}"


def _range(saved: list[Saved], place: int, of: str) -> str:
    """Return the least and the most that is saved, and in which scenario."""
    ranked = sorted(saved, key=lambda each: each.means[place])
    least, most = ranked[0], ranked[-1]
    if least.means[place] == most.means[place]:
        return f"saves {signed(least.means[place])} {of} in every scenario"
    return (
        f"saves {signed(least.means[place])} ({least.scenario}) to {signed(most.means[place])} "
        f"({most.scenario}) {of}"
    )


def _verb(interval: Interval | None, good: str, bad: str) -> str:
    return bad if interval is not None and interval.mean < 0 else good


def _share(interval: Interval | None) -> str:
    return "an unknown share" if interval is None else percent(abs(interval.mean))


def signed(share: float) -> str:
    """Return a share as a percentage with its sign."""
    return percent(share).replace("-", MINUS)


def _bounds(interval: Interval | None) -> str:
    """Return the interval of a share, without what it is over."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    low, high = sorted((interval.low, interval.high), key=abs)
    if interval.mean >= 0:
        low, high = interval.low, interval.high
    elif interval.high < 0:
        low, high = -interval.high, -interval.low
    else:
        low, high = -interval.high, -interval.low
    unsure = ": it may be none" if interval.sign is None else ""
    return f" ({100 * low:.3g} to {100 * high:.3g} %{unsure})".replace("-", MINUS)


def _doubt(interval: Interval | None) -> str:
    """Return what an interval is over, or why there is none."""
    if interval is None:
        return ""
    if interval.low is None:
        if interval.kind is Units.PARTS:
            return "; how sure that is cannot be said of so short a capture"
        return f"; {_seeds(interval.units)} too few to say how sure that is (replicates: 5)"
    if interval.kind is Units.REPLICATES:
        return f"; 95 % intervals over {interval.units} seeds"
    if interval.kind is Units.PARTS:
        return "; 95 % intervals over the parts of the captures' time, within these captures only"
    return "; 95 % intervals over seeds, and over the parts of captures within these captures only"


def _seeds(units: int) -> str:
    return "one seed is" if units == 1 else f"{units} seeds are"


def _against_posted(facts: Facts) -> Finding:
    chosen, posted = facts.chosen, facts.posted
    assert chosen is not None
    if posted is None:
        text = (
            f"Whether it beats the posted design is not known: {POSTED} did not run "
            f"(baselines: [{{preset: {POSTED}}}])."
        )
        return Finding(POSTED, text, {"ran": False})
    if facts.key(chosen) == facts.key(posted):
        return Finding(POSTED, f"The best is {POSTED} itself, the posted design.", {"ran": True})
    alone, more = saved_by(facts, posted), saved_by(facts, chosen, posted)
    numbers = {"ran": True} | _numbers(more)
    own = _what(facts, alone, f"{POSTED} itself")
    words = [_compared(each) for each in more]
    if len(more) == 1:
        return Finding(POSTED, f"Against the posted design it {words[0]}; {own}", numbers)
    wins = [each for each in more if min(each.means) > 0]
    lost = [each.scenario for each in more if each not in wins]
    lead = f"It beats the posted design in {len(wins)} of {len(more)} scenarios"
    lead += f", not in {listed(lost)}" if lost and wins else ""
    text = (
        f"{lead}: against it, it {_range(more, 0, 'more of the wait')}, and "
        f"{_range(more, 1, 'more of the disk time')}; {own}"
    )
    return Finding(POSTED, text, numbers)


def _compared(saved: Saved) -> str:
    wait, time = saved.wait, saved.time
    if wait is None or time is None:
        return "cannot be compared"
    if wait.mean == time.mean == 0:
        return "saves the same"
    parts = []
    for each, of in ((wait, "of the wait"), (time, "of the disk time")):
        unsure = each.low is not None and each.sign is None
        more = "no more nor less that can be told, " if unsure else ""
        word = "more" if each.mean >= 0 else "less"
        parts.append(f"{more}{percent(abs(each.mean))} {word} {of}{_bounds(each)}")
    return f"saves {parts[0]} and {parts[1]}"


def _numbers(saved: list[Saved]) -> dict[str, object]:
    def of(interval: Interval | None) -> dict[str, object] | None:
        if interval is None:
            return None
        names = ("mean", "low", "high", "units")
        return {name: getattr(interval, name) for name in names} | {"over": interval.kind.value}

    return {
        "scenarios": {
            each.scenario: {"wait_saved_share": of(each.wait), "time_saved_share": of(each.time)}
            for each in saved
        }
    }
