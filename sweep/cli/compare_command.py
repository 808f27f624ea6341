"""The command `compare`, behind its options: two policies, or two studies, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sweep.cli.study_commands import name_of
from sweep.cli.terminal import print_json, print_table
from sweep.results import Row, open_for_reading
from sweep.results.studies import read_study
from sweep.results.wording import readable
from sweep.verdict.compare import Compared, Comparison, compare, equal_sentence, metrics_of
from sweep.verdict.intervals import Interval, Units
from sweep.verdict.named import Database, StoredStudy, find_policy, references
from sweep.verdict.pairs import Paired
from sweep.verdict.sentences import effect_in_words, units_in_words
from sweep.verdict.versions import VersionsCompared, are_one_study, compare_versions


def compare_command(
    names: Sequence[str], study: str | None, database: Path, metrics: Sequence[str], as_json: bool
) -> None:
    """Show what two policies, or two versions of one study, differ by, and with which doubt.

    Parameters
    ----------
    names
        The two, as the user names them.
    study
        The study of a policy that is named without one, by its name or file; None for the only one.
    database
        The results database.
    metrics
        What they are compared by; if empty, the wait and the time saved, and the first objective.
    as_json
        Whether all numbers are printed as JSON.

    Raises
    ------
    InputError
        When a name is unknown, or the two have nothing in common.
    """
    home = name_of(study) if study else None
    with open_for_reading(database) as connection:
        source = Database(connection, database)
        a, b = references(source, names, home)
        if not a.policy and not b.policy:
            first, second = (
                StoredStudy(each.study, read_study(connection, each.study, database))
                for each in (a, b)
            )
            if are_one_study(first, second):
                _show_versions(compare_versions(source, first, second), as_json)
                return
        found = find_policy(source, a), find_policy(source, b)
        chosen = metrics_of(found[0].stored.study, metrics)
        comparison = compare(source, *found, chosen)
    if as_json:
        print_json(_as_json(comparison))
    else:
        _show(comparison)


def _show(comparison: Comparison) -> None:
    for compared in comparison.metrics:
        print_table(_rows(comparison, compared), compared.metric)
    print()
    for sentence in _sentences(comparison):
        print(sentence)


def _sentences(comparison: Comparison) -> list[str]:
    said = [sentence for compared in comparison.metrics for sentence in compared.sentences]
    if not comparison.outcomes_that_differ:
        return [equal_sentence(comparison), *comparison.notes]
    return [*said, equal_sentence(comparison), *comparison.notes]


def _all_pairs(compared: Compared) -> Iterator[Paired]:
    """Yield each scenario's workloads and their total, and the same of the mean of scenarios."""
    scenarios = dict.fromkeys(pair.scenario for pair in compared.pairs)
    several = len({pair.workload for pair in compared.pairs}) > 1
    for scenario in scenarios:
        yield from (pair for pair in compared.pairs if pair.scenario == scenario)
        if several:
            yield from (total for total in compared.totals if total.scenario == scenario)
    if len(scenarios) > 1:
        yield from compared.means
        if several and compared.overall is not None:
            yield compared.overall


def _rows(comparison: Comparison, compared: Compared) -> list[Row]:
    """Return a metric's table; its columns are named by the policies."""
    one_scenario = len({pair.scenario for pair in compared.pairs}) == 1
    a, b = comparison.label_a, comparison.label_b
    if a == b:
        b = f"{b} "  # a policy compared with itself has two columns, too
    metric = compared.metric
    rows = []
    for pair in _all_pairs(compared):
        interval = pair.interval
        row: Row = {} if one_scenario else {"scenario": pair.scenario or "mean of all"}
        row |= {
            "workload": pair.workload or "total",
            a: readable(metric, pair.a),
            b: readable(metric, pair.b),
            "difference": readable(metric, interval.mean) if interval else "-",
            "95 % interval": _bounds(metric, interval),
            "units": units_in_words(interval) if interval else "-",
            "effect": effect_in_words(pair.effect(metric)),
        }
        rows.append(row)
    return rows


def _bounds(metric: str, interval: Interval | None) -> str:
    if interval is None:
        return "-"
    if interval.low is not None:
        return f"{readable(metric, interval.low)} to {readable(metric, interval.high)}"
    # A metric that is no time is known of a capture as a whole.
    return "too few to say" if interval.kind is Units.REPLICATES else "none"


def _as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison with all of its numbers."""
    return {
        "a": _policy_json(
            comparison.label_a, comparison.a.key._asdict(), comparison.a.is_attainable
        ),
        "b": _policy_json(
            comparison.label_b, comparison.b.key._asdict(), comparison.b.is_attainable
        ),
        "metrics": [
            {
                "metric": compared.metric,
                "pairs": [_paired_json(pair, compared.metric) for pair in _all_pairs(compared)],
                "sentences": compared.sentences,
            }
            for compared in comparison.metrics
        ],
        "outcomes_that_differ": comparison.outcomes_that_differ,
        "sentences": _sentences(comparison),
    }


def _policy_json(label: str, key: dict[str, Any], attainable: bool) -> dict[str, Any]:
    return {"label": label} | key | {"attainable": attainable}


def _paired_json(pair: Paired, metric: str) -> dict[str, Any]:
    return {
        "scenario": pair.scenario,
        "workload": pair.workload,
        "a": pair.a,
        "b": pair.b,
        "all_missed_ns": pair.all_missed_ns,
        "difference": _interval_json(pair.interval),
        "effect_ratio": _interval_json(pair.effect(metric)),
    }


def _interval_json(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    numbers = interval._asdict()
    # The freedom of an interval without width is infinite, for which JSON has no number.
    numbers["freedom"] = None if interval.error == 0 else interval.freedom
    return numbers


def _show_versions(compared: VersionsCompared, as_json: bool) -> None:
    if as_json:
        numbers = compared._asdict() | {"a": compared.a.name, "b": compared.b.name}
        changes = [change._asdict() for change in compared.changes]
        print_json(numbers | {"changes": changes, "sentences": compared.sentences})
        return
    if compared.changes:
        print_table(
            [
                {
                    "outcome": change.outcome,
                    "runs that differ": f"{change.runs:,} of {compared.runs:,}",
                    "by at most": readable(change.outcome, change.most),
                    "in per cent": (
                        "-" if change.most_ratio is None else f"{100 * change.most_ratio:.3g}"
                    ),
                    "policy": change.policy or "-",
                }
                for change in compared.changes
            ]
        )
        print()
    for sentence in compared.sentences:
        print(sentence)
