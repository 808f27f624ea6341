"""Sentences: what an interval allows to be said of two policies, and with which doubt."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import NamedTuple

from sweep.results.wording import MINUS, plain_name, readable
from sweep.verdict.intervals import CONFIDENCE, LEAST_UNITS, Interval, Units
from sweep.verdict.pairs import Paired, has_parts

#: Names that a sentence lists; of more it says how many there are.
MOST_NAMED = 4

_SURE = f"{100 * CONFIDENCE:.0f} %"


class Verb(NamedTuple):
    """How a sentence says that the first policy's metric is larger, smaller or equal."""

    topic: str
    larger: str
    smaller: str
    equal: str
    whole: str  # what a difference is quoted against


_WAITS = "of what a carve-out waits"
_READS = "of what a carve-out reads"
_WAITING = ("waits longer than", "waits less than", "waits as long as")
_TAKING = (
    "takes more disk and CPU time than",
    "takes less disk and CPU time than",
    "takes as much disk and CPU time as",
)
_LESS_WAITING = Verb("waiting", _WAITING[1], _WAITING[0], _WAITING[2], _WAITS)
_LESS_TAKING = Verb("disk and CPU time", _TAKING[1], _TAKING[0], _TAKING[2], _READS)
_VERBS: dict[str, Verb] = {
    "wait_saved_ns": _LESS_WAITING,
    "wait_saved_ratio": _LESS_WAITING,
    "time_saved_ns": _LESS_TAKING,
    "time_saved_ratio": _LESS_TAKING,
    "wait_ns": Verb("waiting", *_WAITING, _WAITS),
}


def verb_of(metric: str) -> Verb:
    """Return how sentences speak of a metric."""
    name = plain_name(metric)
    words = (f"has a larger {name} than", f"has a smaller {name} than", f"has the same {name} as")
    whole = _READS if has_parts(metric) else "of the latter's"
    return _VERBS.get(metric, Verb(name, *words, whole))


def verdict(
    metric: str, a: str, b: str, total: Paired | None, pairs: Sequence[Paired], scenarios: int = 1
) -> str:
    """Return the sentence on a metric of two policies, over all workloads that are paired.

    Parameters
    ----------
    metric
        The metric.
    a, b
        The names of the policies.
    total
        The total over the workloads, or None where the metric does not add up over them.
    pairs
        Its workloads, each the mean over the scenarios.
    scenarios
        How many scenarios that is the mean over.
    """
    verb = verb_of(metric)
    mean = f"in the mean over {scenarios} scenarios" if scenarios > 1 else ""
    if total is None or total.interval is None or total.interval.low is None:
        said = by_workload(metric, pairs) or "no workload has a value"
        return _sentence([mean], f"{a} against {b} in {verb.topic}: {said}")
    prefix = [_within(pairs), mean]
    units = units_of(pairs)
    if total.interval.sign == 0:
        return _sentence(prefix, f"{a} {verb.equal} {b}: a tie over {units}")
    effect = total.effect(metric)
    if effect is None and total.interval.sign is not None:
        low, high = (readable(metric, end) for end in (total.interval.low, total.interval.high))
        larger = verb.larger if total.interval.sign > 0 else verb.smaller
        return _sentence(prefix, f"{a} {larger} {b}, by {low} to {high} ({_SURE}, over {units})")
    if effect is None or total.interval.sign is None:
        bounds = f"{_range(effect)} {verb.whole}, " if effect else ""
        what = f"no difference in {verb.topic} can be told between {a} and {b}"
        return _sentence(prefix, f"{what} ({bounds}{_SURE}, over {units})")
    word = verb.larger if total.interval.sign > 0 else verb.smaller
    size = effect.scaled(total.interval.sign)
    return _sentence(
        prefix,
        f"{a} {word} {b}, by {_percent(size)} {verb.whole} ({_range(size)}, {_SURE}, over {units})",
    )


def _sentence(prefix: Sequence[str], said: str) -> str:
    """Return a sentence with what limits it before it.

    It begins with a capital, unless it begins with the name of a policy.
    """
    limits = ", ".join(limit for limit in prefix if limit)
    text = f"{limits}: {said}." if limits else f"{said}."
    return text[0].upper() + text[1:] if limits or said.startswith("no difference") else text


def _within(pairs: Sequence[Paired]) -> str:
    """Return the words that keep an answer within captures, if it has nothing else."""
    kinds = {pair.interval.kind for pair in pairs if pair.interval is not None}
    if kinds != {Units.PARTS}:
        return ""
    return "within this capture only" if len(pairs) == 1 else "within these captures only"


def by_workload(metric: str, pairs: Sequence[Paired]) -> str:
    """Return what can be said on each workload: ``waits less on X; too few to say on Y``."""
    said: dict[str, list[str]] = {}
    for pair in pairs:
        head, detail = _of_workload(metric, pair)
        name = f"{pair.workload}{f' ({detail})' if detail else ''}"
        said.setdefault(head, []).append(name)
    return "; ".join(f"{head} on {listed(names)}" for head, names in said.items())


def _of_workload(metric: str, pair: Paired) -> tuple[str, str]:
    """Return what can be said of a workload, and its numbers."""
    interval = pair.interval
    if interval is None or pair.a is None or pair.b is None:
        return "no value", ""
    values = f"{readable(metric, pair.a)} against {readable(metric, pair.b)}"
    words = _words(metric)
    if interval.sign is not None:
        low, high = (readable(metric, value) for value in (interval.low, interval.high))
        numbers = f"{values}; difference {low} to {high}" if interval.sign else ""
        return words[interval.sign], numbers
    if interval.low is not None:
        low, high = (readable(metric, value) for value in (interval.low, interval.high))
        return words[None], f"{values}; difference {low} to {high}"
    if interval.kind is Units.PARTS:
        sign = (interval.mean > 0) - (interval.mean < 0)
        return f"{words[sign]}, in one run and without an interval,", values
    needed = LEAST_UNITS[interval.kind]
    return (
        f"too few to say, since {needed} seeds are needed,",
        f"{values}; {units_in_words(interval)}",
    )


def scenarios_told(metric: str, totals: Sequence[Paired]) -> str:
    """Return in which scenarios the first policy has more, less, or what cannot be told."""
    words = _words(metric)
    said: dict[str, list[str]] = {}
    for total in totals:
        sign = total.interval.sign if total.interval else None
        name = str(total.scenario)
        effect = total.effect(metric)
        if effect is not None and sign != 0:
            name += f" ({_range(effect)})"
        said.setdefault(words[sign], []).append(name)
    return "; ".join(f"{word} in {listed(names)}" for word, names in said.items())


def _words(metric: str) -> dict[int | None, str]:
    """Return what is said where the sign of a difference is known, or is not (None)."""
    verb = _VERBS.get(metric)
    return {
        1: verb.larger.removesuffix(" than") if verb else "larger",
        -1: verb.smaller.removesuffix(" than") if verb else "smaller",
        0: "a tie",
        None: "no difference can be told",
    }


def units_of(pairs: Sequence[Paired]) -> str:
    """Return what an interval is over: ``5 seeds of X, and 64 parts of the time of Y``."""
    said: dict[tuple[str, Units], list[str]] = {}
    for pair in pairs:
        if pair.interval is not None:
            units = units_in_words(pair.interval), pair.interval.kind
            said.setdefault(units, []).append(str(pair.workload))
    mixed = len({kind for _, kind in said}) > 1
    parts = []
    for (words, kind), names in said.items():
        only = f", within {'it' if len(names) == 1 else 'them'} only"
        parts.append(f"{words} of {listed(names)}{only if mixed and kind is Units.PARTS else ''}")
    return listed(parts, len(parts))


def units_in_words(interval: Interval) -> str:
    """Return what an interval is over: ``5 seeds``, ``64 parts`` of the time, or ``1 run``."""
    number, kind = interval.units, interval.kind
    if kind is Units.BOTH:
        return "seeds and parts"
    if kind is Units.PARTS and number == 1:
        return "1 run"
    unit = "seed" if kind is Units.REPLICATES else "part"
    return f"{number} {unit}{'s' if number > 1 else ''}"


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Return names as a list in words: ``a, b and c``; of many, the first and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def effect_in_words(effect: Interval | None) -> str:
    """Return an effect for a table: ``3.1 % (2.8 to 3.4 %)``."""
    if effect is None:
        return "-"
    return _percent(effect) + (f" ({_range(effect)})" if effect.low is not None else "")


def _percent(effect: Interval) -> str:
    return f"{_number(100 * effect.mean, _decimals(effect))} %"


def _range(effect: Interval | None) -> str:
    """Return the bounds of an effect in per cent: ``2.8 to 3.4 %``."""
    if effect is None or effect.low is None or effect.high is None:
        return "unknown"
    low, high = (_number(100 * x, _decimals(effect)) for x in (effect.low, effect.high))
    return f"{low} to {high} %"


def _decimals(effect: Interval) -> int:
    """Return how many decimals of a percentage are shown: no bound is rounded to 0."""
    bounds = [100 * (effect.mean if each is None else each) for each in effect[:3]]
    half = abs(bounds[2] - bounds[1]) / 2
    size = half or abs(bounds[0])
    decimals = (_digits(half) if half else 3) - 1 - floor(log10(size)) if size else 0
    decimals = max(0, min(6, decimals))
    while decimals < 6 and any(each and not float(f"{each:.{decimals}f}") for each in bounds):
        decimals += 1
    return decimals


def _digits(half: float) -> int:
    """Return how many digits of half a width are worth showing: two of 1.4, and one of 7."""
    return 2 if half / 10 ** floor(log10(half)) < 3 else 1


def _number(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)
