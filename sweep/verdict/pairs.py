"""Pairs: what two policies did on the same runs, and the interval of what they differ by.

Two runs are paired if they replayed the same events of a workload in the same scenario. A workload
that a seed changes has a paired difference a replicate. Of any other there is one run, whose times
are known for equal parts of its time, and each part has a paired difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.costs import COST_FIELDS
from core.outcome_declarations import DECLARED_OUTCOMES, Combined
from core.timeline.marks import parts_of_share
from sweep.results import OUTCOME_COLUMNS, Row, read_rows
from sweep.study.model import Study
from sweep.study.workloads import is_random, titles
from sweep.study.worlds import MACHINE_WORLD, POLICY_WORLD, varied_by
from sweep.verdict.intervals import Interval, Units, interval_of, total_of

if TYPE_CHECKING:
    from sweep.results.reading import Connection


class PolicyKey(NamedTuple):
    """The place of a policy in a database: a trial or a baseline of a study."""

    study: str  # its name in the database
    role: str  # trial or baseline
    number: int


class Paired(NamedTuple):
    """What two policies have of one metric on one workload, or on all, in one scenario or in all.

    `a` and `b` are means over the replicates. `interval` is of `a` - `b`, and has no bounds where
    there are too few units. Where one of the policies has no value, all three are None.
    """

    scenario: str | None  # None: the mean over all
    workload: str | None  # None: the total over all
    a: float | None
    b: float | None
    differences: NDArray[np.float64]  # [unit] whose mean is a - b; none of a total
    interval: Interval | None
    all_missed_ns: float | None  # of a metric of time: what a carve-out waits, or reads
    runs: int = 1  # of the workload in the scenario

    def effect(self, metric: str) -> Interval | None:
        """Return the difference as a share of what a carve-out waits or reads.

        Of a metric that is no time it is a share of what `b` has. It is None where that is 0.
        """
        if self.interval is None or metric in _SHARES:
            return self.interval
        whole = self.all_missed_ns if metric in _TIMES else abs(self.b or 0)
        return self.interval.scaled(1 / whole) if whole else None


class _Time(NamedTuple):
    """How a metric is made of the times of a part: what is added, and what is taken from it."""

    added: str
    taken: tuple[str, ...]
    all_missed: str


_WAIT_SAVED = _Time("all_missed_wait_ns", ("wait_ns",), "all_missed_wait_ns")
_TIME_SAVED = _Time("all_missed_read_ns", ("read_ns", "cpu_ns"), "all_missed_read_ns")
#: The metrics that are known of each part of a run.
_TIMES: dict[str, _Time] = {
    "wait_ns": _Time("wait_ns", (), "all_missed_wait_ns"),
    "read_ns": _Time("read_ns", (), "all_missed_read_ns"),
    "cpu_ns": _Time("cpu_ns", (), "all_missed_read_ns"),
    "wait_saved_ns": _WAIT_SAVED,
    "time_saved_ns": _TIME_SAVED,
    "wait_saved_ratio": _WAIT_SAVED,
    "time_saved_ratio": _TIME_SAVED,
}
#: Those of them that are shares of what a carve-out waits or reads, by the time that is shared.
_SHARES = {"wait_saved_ratio": "wait_saved_ns", "time_saved_ratio": "time_saved_ns"}
#: What a run waits or reads if all restores miss, by the part of it that is taken.
_ALL_MISSED_SQL = {
    "all_missed_wait_ns": "wait_ns + wait_saved_ns",
    "all_missed_read_ns": "read_ns + cpu_ns + time_saved_ns",
}


def adds_up(metric: str) -> bool:
    """Return whether a metric over several workloads is the sum of what it is on each."""
    return DECLARED_OUTCOMES[metric].combined is Combined.ADDED


def has_parts(metric: str) -> bool:
    """Return whether a metric is known of parts of a run, and quoted against a carve-out's."""
    return metric in _TIMES


def time_shared_by(metric: str) -> str | None:
    """Return the metric in ns of which another is the share; None of one that is no such share."""
    return _SHARES.get(metric)


def pairs_of(
    connection: Connection, study: Study, a: PolicyKey, b: PolicyKey, metric: str
) -> list[Paired]:
    """Return what two policies have of a metric on each workload and scenario that both ran.

    Parameters
    ----------
    connection
        The database, open for reading.
    study
        The study of `a` as it was stored, which says what workloads a seed changes.
    a, b
        The policies. They may be of two studies: then they are paired where the scenarios have
        equal values, whatever their names; the scenario has the name that `a` gives it.
    metric
        An outcome.

    Returns
    -------
    list of Paired
        In the order of the study's scenarios, and in each of its workloads. Where nothing is
        paired the list is empty.
    """
    return all_pairs_of(connection, study, a, [b], metric)[0]


def all_pairs_of(
    connection: Connection, study: Study, a: PolicyKey, others: Sequence[PolicyKey], metric: str
) -> list[list[Paired]]:
    """Return what `pairs_of` returns of a policy and each of several others, asked at once.

    A query of its own for each policy would take 4 ms, almost all of it to plan it.
    """
    matched = _matched(connection, a, others, _columns(metric))
    return [_grouped(study, pairs, metric) for pairs in matched]


def saved_pairs_of(
    connection: Connection, study: Study, key: PolicyKey, metric: str
) -> list[Paired]:
    """Return what a policy saves on each workload and scenario, beside a carve-out's nothing.

    A carve-out need not have run: all that is saved is saved against it.

    Parameters
    ----------
    connection, study, key
        As for `pairs_of`.
    metric
        A saving, such as ``wait_saved_ns``.
    """
    time = _TIMES[metric]
    pairs = []
    for run in _runs(connection, [key], _columns(metric))[key]:
        nothing = run | {"metric": 0}
        first, *others = (f"series_{name}" for name in time.taken)
        nothing[first] = run[f"series_{time.all_missed}"]
        for name in others:
            nothing[name] = None if run[name] is None else [0] * len(run[name])
        pairs.append((run, nothing))
    return _grouped(study, pairs, metric)


def _grouped(study: Study, pairs: list[tuple[Row, Row]], metric: str) -> list[Paired]:
    """Return pairs of runs by scenario and workload."""
    random = _random_workloads(study)
    grouped: dict[tuple[str, str], list[tuple[Row, Row]]] = {}
    for pair in pairs:
        grouped.setdefault((pair[0]["scenario"], pair[0]["workload"]), []).append(pair)
    return [
        _paired(
            scenario,
            workload,
            both,
            metric,
            Units.REPLICATES if workload in random else Units.PARTS,
        )
        for (scenario, workload), both in grouped.items()
    ]


def outcomes_that_differ(
    connection: Connection, a: PolicyKey, b: PolicyKey
) -> dict[str, int] | None:
    """Return in how many of the runs that two policies have in common each outcome differs.

    Outcomes that are equal in all of them are left out. It is None where no run is in common.
    """
    columns = [f'runs."{name}"' for name in OUTCOME_COLUMNS]
    (pairs,) = _matched(connection, a, [b], columns)
    if not pairs:
        return None
    counts = {
        name: sum(mine[name] != other[name] for mine, other in pairs) for name in OUTCOME_COLUMNS
    }
    return {name: count for name, count in counts.items() if count}


def _random_workloads(study: Study) -> set[str]:
    """Return the names of the workloads that a seed changes."""
    given = [workload.given_fields for workload in study.workload]
    named = zip(titles(given), given, strict=True)
    return {name for name, fields in named if is_random(fields, varied_by(study))}


#: What a world is beside the events of its workloads, which have a digest.
_WORLD = ("warm_up", *POLICY_WORLD, *MACHINE_WORLD, *COST_FIELDS)


def _world_of(run: Row, by_name: bool) -> tuple[Any, ...]:
    """Return all that decides a run but for the policy; its scenario counts by name, if wanted."""
    scenario = run["scenario"] if by_name else None
    digest = run["events_digest"]
    world = [run[name] for name in _WORLD]
    world[0] = world[0] or 0.0  # A database of an earlier version knows no warm-up.
    return (scenario, run["workload"], run["replicate"], digest, *world)


def _matched(
    connection: Connection, a: PolicyKey, others: Sequence[PolicyKey], columns: list[str]
) -> list[list[tuple[Row, Row]]]:
    """Return the runs of a policy and each of others on the same events in the same world.

    They are in the order of `a`.
    """
    runs = _runs(connection, [a, *others], columns)
    matched = []
    for b in others:
        by_name = a.study == b.study
        of_world = {_world_of(run, by_name): run for run in runs[b]}
        pairs = [(run, of_world.get(_world_of(run, by_name))) for run in runs[a]]
        matched.append([(run, other) for run, other in pairs if other is not None])
    return matched


def _runs(
    connection: Connection, keys: Sequence[PolicyKey], columns: list[str]
) -> dict[PolicyKey, list[Row]]:
    """Return policies' runs with their worlds, in the order of scenarios, workloads, replicates.

    They have some more `columns` of `runs`, given in SQL.
    """
    columns = ["scenario", "workload", "replicate", "events_digest", *columns]
    columns += [f'scenarios."{name}"' for name in _WORLD]
    rows = read_rows(
        connection,
        f"SELECT study, role, number, {', '.join(columns)} FROM runs JOIN studies USING (study) "
        "LEFT JOIN scenarios USING (study, scenario) "
        f"WHERE (study, role, number) IN ({', '.join(['(?, ?, ?)'] * len(keys))}) "
        "ORDER BY place, scenario, list_position(workloads, workload), workload, replicate",
        [value for key in keys for value in key],
    )
    runs: dict[PolicyKey, list[Row]] = {key: [] for key in keys}
    for row in rows:
        runs[PolicyKey(row.pop("study"), row.pop("role"), row.pop("number"))].append(row)
    return runs


def _columns(metric: str) -> list[str]:
    """Return a metric of `runs` in SQL, and of a time what it is quoted against and its parts."""
    columns = [f'"{metric}" AS metric']
    time = _TIMES.get(metric)
    if time is not None:
        columns.append(f"{_ALL_MISSED_SQL[time.all_missed]} AS all_missed_ns")
        series = dict.fromkeys([time.added, *time.taken, time.all_missed])
        columns += [f"series_{name}" for name in series]
    return columns


def _paired(
    scenario: str, workload: str, both: Sequence[tuple[Row, Row]], metric: str, kind: Units
) -> Paired:
    """Return what the runs of two policies on one workload in one scenario have of a metric."""
    known = [pair for pair in both if all(row["metric"] is not None for row in pair)]
    all_missed_ns = _all_missed_ns(both) if metric in _TIMES else None
    if not known:
        return Paired(scenario, workload, None, None, np.empty(0), None, all_missed_ns)
    values = np.array([[row["metric"] for row in pair] for pair in known], dtype=np.float64)
    differences = values[:, 0] - values[:, 1]
    if kind is Units.PARTS and metric in _TIMES and _have_parts(known[0]):
        first, second = (_parts(row, metric) for row in known[0])
        differences = (first - second) * first.size
    a, b = values.mean(axis=0).tolist()
    interval = interval_of(differences, kind)
    return Paired(scenario, workload, a, b, differences, interval, all_missed_ns, len(known))


def _all_missed_ns(both: Sequence[tuple[Row, Row]]) -> float | None:
    """Return what a carve-out waits or reads in a run, where the two policies see it differently.

    A system that takes anonymous pages too is quoted against more than one that leaves them out.
    """
    known = [[row["all_missed_ns"] for row in pair] for pair in both]
    if any(value is None for pair in known for value in pair):
        return None
    return float(np.mean([max(pair) for pair in known]))


def _have_parts(pair: tuple[Row, Row]) -> bool:
    return all(
        value is not None
        for row in pair
        for name, value in row.items()
        if name.startswith("series_")
    )


def _parts(run: Row, metric: str) -> NDArray[np.float64]:
    """Return the metric in each part of a run's time; of a share, the part of the whole share.

    The parts of a warm-up, which count in no outcome, are left out.
    """
    time, warm_up_parts = _TIMES[metric], parts_of_share(run["warm_up"] or 0.0)
    of: dict[str, Any] = {
        name: np.array(run[f"series_{name}"], dtype=np.float64)[warm_up_parts:]
        for name in (time.added, *time.taken, time.all_missed)
    }
    parts: NDArray[np.float64] = of[time.added] - sum(of[name] for name in time.taken)
    return parts / of[time.all_missed].sum() if metric in _SHARES else parts


def over_scenarios(pairs: Sequence[Paired]) -> list[Paired]:
    """Return the mean over the scenarios of each workload that was paired in all of them.

    Scenarios replay the same units, so they are averaged unit by unit.
    """
    scenarios = len({pair.scenario for pair in pairs})
    means = []
    for same in _by_workload(pairs):
        units = {pair.differences.size for pair in same}
        if len(same) < scenarios or len(units) > 1 or any(pair.interval is None for pair in same):
            continue
        differences = np.mean([pair.differences for pair in same], axis=0)
        means.append(
            Paired(
                None,
                same[0].workload,
                _mean([pair.a for pair in same]),
                _mean([pair.b for pair in same]),
                differences,
                interval_of(differences, _kind_of(same[0])),
                _mean([pair.all_missed_ns for pair in same]),
                same[0].runs,
            )
        )
    return means


def _kind_of(pair: Paired) -> Units:
    assert pair.interval is not None
    return pair.interval.kind


def _by_workload(pairs: Sequence[Paired]) -> Iterator[list[Paired]]:
    for workload in dict.fromkeys(pair.workload for pair in pairs):
        yield [pair for pair in pairs if pair.workload == workload]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(values) if len(known) == len(values) else None


def over_workloads(pairs: Sequence[Paired], metric: str) -> Paired | None:
    """Return the total over the workloads of one scenario, which are fixed and not sampled.

    It is that of all runs, as a trial's own outcome is: a workload of five seeds counts five times.
    It is None where the metric does not add up over workloads, or has no value on one of them. A
    share of what a carve-out waits or reads is that of all runs together.
    """
    if not pairs or not (adds_up(metric) or metric in _SHARES):
        return None
    weights = [float(pair.runs) for pair in pairs]
    whole = None
    if metric in _TIMES:
        missed = [(pair.all_missed_ns or 0.0) * pair.runs for pair in pairs]
        whole = sum(missed)
        if metric in _SHARES:
            weights = [each / whole if whole else 0.0 for each in missed]
    a, b, intervals = 0.0, 0.0, []
    for pair, weight in zip(pairs, weights, strict=True):
        if pair.a is None or pair.b is None or pair.interval is None:
            return None
        a, b = a + pair.a * weight, b + pair.b * weight
        intervals.append(pair.interval.scaled(weight))
    return Paired(pairs[0].scenario, None, a, b, np.empty(0), total_of(intervals), whole)
