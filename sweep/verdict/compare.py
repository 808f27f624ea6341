"""Comparing two policies: what each metric is, what they differ by, and what can be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.errors import InputError
from core.outcomes import UNITS
from sweep.results import OUTCOME_COLUMNS, Row, read_rows
from sweep.results.wording import described
from sweep.study.goals import goals_of
from sweep.study.model import Study
from sweep.study.wording import suggest
from sweep.verdict.named import Database, Named
from sweep.verdict.pairs import (
    Paired,
    outcomes_that_differ,
    over_scenarios,
    over_workloads,
    pairs_of,
    time_shared_by,
)
from sweep.verdict.sentences import by_workload, listed, scenarios_told, verdict

#: What two policies are compared by, beside the study's first objective.
METRICS = ("wait_saved_ns", "time_saved_ns")


class Compared(NamedTuple):
    """One metric of two policies.

    Parameters
    ----------
    metric
        The metric.
    pairs
        A workload in a scenario each.
    totals
        The total over the workloads in each scenario; empty where the metric does not add up, or
        there is one workload.
    means
        The mean over the scenarios of each workload; where there is one scenario, its `pairs`.
    overall
        The total over the workloads of `means`.
    sentences
        What can be said of it.
    """

    metric: str
    pairs: list[Paired]
    totals: list[Paired]
    means: list[Paired]
    overall: Paired | None
    sentences: list[str]


class Comparison(NamedTuple):
    """Two policies compared: each metric, and in how many runs each outcome differs."""

    a: Named
    b: Named
    label_a: str
    label_b: str
    metrics: list[Compared]
    outcomes_that_differ: dict[str, int]
    notes: list[str]


def metrics_of(study: Study, given: Sequence[str] = ()) -> list[str]:
    """Return the metrics to compare by: those that are given, or else the usual ones.

    Raises
    ------
    InputError
        When there is no such metric.
    """
    for metric in given:
        if metric not in UNITS:
            raise InputError(f"--metric: unknown metric {metric}{suggest(metric, UNITS)}")
    if given:
        return list(dict.fromkeys(given))
    first = goals_of(study)[0].metric
    known = first in METRICS or time_shared_by(first) in METRICS
    return [*METRICS] if known else [*METRICS, first]


def compare(database: Database, a: Named, b: Named, metrics: Sequence[str]) -> Comparison:
    """Return two policies compared by some metrics on all that both of them ran.

    Raises
    ------
    InputError
        When there is no run of the same events in the same world under both.
    """
    differing = outcomes_that_differ(database.connection, a.key, b.key)
    if differing is None:
        what = (
            f"{_full(a)} and {_full(b)} share no run: both have to run a workload of the same "
            "name and events in a scenario of the same values"
        )
        raise InputError(what, file=database.path)
    labels = _labels(a, b)
    compared = []
    for metric in metrics:
        pairs = pairs_of(database.connection, a.stored.study, a.key, b.key, metric)
        compared.append(_compared(metric, pairs, *labels))
    notes = list(dict.fromkeys([*_notes(database, a, b), *_holds_for(compared)]))
    return Comparison(a, b, *labels, compared, differing, notes)


def _compared(metric: str, pairs: list[Paired], a: str, b: str) -> Compared:
    scenarios = list(dict.fromkeys(pair.scenario for pair in pairs))
    workloads = {pair.workload for pair in pairs}
    totals = []
    for scenario in scenarios:
        total = over_workloads([pair for pair in pairs if pair.scenario == scenario], metric)
        totals += [total] if total is not None else []
    means = pairs if len(scenarios) == 1 else over_scenarios(pairs)
    overall = over_workloads(means, metric)
    sentences = [verdict(metric, a, b, overall, means, len(scenarios))]
    if overall and overall.interval and overall.interval.low is not None:
        if len(scenarios) > 1 and len(totals) == len(scenarios):
            sentences.append(f"By scenario: {scenarios_told(metric, totals)}.")
        if len(workloads) > 1:
            sentences.append(f"By workload: {by_workload(metric, means)}.")
    return Compared(metric, pairs, totals, means, overall, sentences)


def _labels(a: Named, b: Named) -> tuple[str, str]:
    """Return names of two policies that differ, with the study where it is not the same."""
    if a.stored.name == b.stored.name:
        return a.label, b.label
    return _full(a), _full(b)


def _full(named: Named) -> str:
    return f"{named.stored.name}:{named.label}"


def _notes(database: Database, a: Named, b: Named) -> Iterator[str]:
    """Yield what has to be known of two policies beside what they differ by."""
    for named, label in zip((a, b), _labels(a, b), strict=True):
        if named.row["role"] == "trial":
            yield f"{described(named.stored.study, named.row).replace(named.label, label, 1)}."
        if not named.is_attainable:
            yield f"{label} is a bound, or needs other hardware: it is never an answer."
    one, other = (_simulator(database, named) for named in (a, b))
    if one != other:
        yield (
            f"Two versions of the simulator ran them ({one} and {other}): "
            "what they differ by may be the simulator's."
        )
    for named in (a, b):
        sql = "SELECT warnings FROM studies WHERE study = ?"
        (row,) = read_rows(database.connection, sql, [named.stored.name])
        yield from (f"Mind: {warning}" for warning in row["warnings"] or ())


def _simulator(database: Database, named: Named) -> str:
    sql = "SELECT core_digest FROM studies WHERE study = ?"
    row: Row = read_rows(database.connection, sql, [named.stored.name])[0]
    return str(named.row["core_digest"] or row["core_digest"])


def _holds_for(compared: Sequence[Compared]) -> Iterator[str]:
    """Yield what the answer holds for: the workloads that are named, and no others."""
    if compared:
        names = dict.fromkeys(str(pair.workload) for pair in compared[0].pairs)
        yield (
            f"An answer holds for the workloads named: {listed(list(names), len(names))}. "
            "They are fixed, and no sample of others."
        )


def equal_sentence(comparison: Comparison) -> str:
    """Return in how many outcomes two policies differ."""
    a, b, differing = comparison.label_a, comparison.label_b, comparison.outcomes_that_differ
    if not differing:
        return f"{a} and {b} are equal in every outcome."
    number = f"{len(differing)} of {len(OUTCOME_COLUMNS)}"
    return f"{a} and {b} differ in {number} outcomes; the others are equal in every run."
