"""Pairs of policies: which runs are paired, and what they differ by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from paired_runs import ALL_MISSED_NS, CAPTURE, PARTS, SEEDED, Made, Waits, evenly, write

from sweep.results import open_for_reading
from sweep.results.studies import read_study
from sweep.verdict.intervals import Units, interval_of
from sweep.verdict.pairs import (
    Paired,
    PolicyKey,
    adds_up,
    all_pairs_of,
    outcomes_that_differ,
    over_scenarios,
    over_workloads,
    pairs_of,
)

NOISE = np.random.default_rng(3).integers(0, 20_000, 100)


def noisy(scenario: str, workload: str, replicate: int) -> list[int]:
    """Wait for as long as the seed makes every policy wait."""
    return evenly(20_480 + int(NOISE[replicate]) // PARTS * PARTS)


def shorter(by_ns: int) -> Waits:
    return lambda *run: [part - by_ns // PARTS for part in noisy(*run)]


def bursts(scenario: str, workload: str, replicate: int) -> list[int]:
    parts = np.random.default_rng(5 + replicate).integers(0, 900, PARTS)
    return [int(part) for part in parts]


TWO: dict[tuple[str, int], Waits] = {("trial", 0): shorter(6_400), ("trial", 1): noisy}


@contextmanager
def database_of(folder: Path, *studies: Made) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    database = folder / "results.duckdb"
    for made in studies:
        write(database, made)
    yield database


def pairs(
    folder: Path, *studies: Made, metric: str = "wait_saved_ns", b: tuple[str, int] = ("trial", 1)
) -> list[Paired]:
    """Return the pairs of the first study's trial 0 and a policy of the last one."""
    with (
        database_of(folder, *studies) as database,
        open_for_reading(database) as connection,
    ):
        first, last = studies[0].name, studies[-1].name
        study = read_study(connection, first, database)
        keys = PolicyKey(first, "trial", 0), PolicyKey(last, *b)
        return pairs_of(connection, study, *keys, metric)


def test_what_a_seed_does_to_both_policies_cancels(tmp_path: Path) -> None:
    seeded, _ = pairs(tmp_path, Made("one", TWO))
    assert (seeded.workload, seeded.scenario) == (SEEDED, "as given")
    assert seeded.differences.tolist() == [6_400] * 8
    assert seeded.interval is not None
    assert seeded.interval[:5] == (6_400, 6_400, 6_400, 8, Units.REPLICATES)
    assert seeded.a is not None
    assert seeded.b is not None
    assert seeded.a - seeded.b == pytest.approx(6_400)


def test_several_policies_are_paired_as_each_of_them_is(tmp_path: Path) -> None:
    three = TWO | {("trial", 2): shorter(12_800)}
    with (
        database_of(tmp_path, Made("one", three)) as database,
        open_for_reading(database) as connection,
    ):
        study = read_study(connection, "one", database)
        first, *others = (PolicyKey("one", "trial", number) for number in (0, 2, 1, 0, 9))
        several = all_pairs_of(connection, study, first, others, "wait_saved_ns")
        alone = [pairs_of(connection, study, first, b, "wait_saved_ns") for b in others]
    assert repr(several) == repr(alone)
    assert [len(each) for each in several] == [2, 2, 2, 0]
    assert several[0][0].a != several[1][0].b


def test_a_capture_is_paired_part_by_part(tmp_path: Path) -> None:
    waits = {("trial", 0): bursts, ("trial", 1): noisy}
    _, capture = pairs(tmp_path, Made("one", waits))
    assert capture.workload == CAPTURE
    by_part = np.array(noisy("", "", 0)) - np.array(bursts("", "", 0))
    assert capture.interval == interval_of(by_part * PARTS, Units.PARTS)
    assert capture.interval.units == PARTS
    assert capture.a is not None
    assert capture.b is not None
    assert capture.interval.mean == pytest.approx(capture.a - capture.b)


def test_an_effect_is_a_share_of_what_a_carve_out_waits(tmp_path: Path) -> None:
    for metric, share in (("wait_saved_ns", 0.1), ("wait_saved_ratio", 0.1), ("read_ns", -0.05)):
        seeded, capture = pairs(tmp_path / metric, Made("one", TWO), metric=metric)
        for pair in (seeded, capture):
            effect = pair.effect(metric)
            assert effect is not None
            assert effect.mean == pytest.approx(share)
            assert pair.all_missed_ns == ALL_MISSED_NS


def test_a_metric_that_is_no_time_has_no_interval_on_a_capture(tmp_path: Path) -> None:
    seeded, capture = pairs(
        tmp_path, Made("one", TWO), Made("two", TWO, restored=5), metric="restored"
    )
    assert seeded.interval is not None
    assert (seeded.interval.mean, seeded.interval.low) == (-5, -5)
    assert capture.interval is not None
    assert (capture.interval.mean, capture.interval.low, capture.interval.units) == (-5, None, 1)


def test_a_metric_without_a_value_has_no_interval(tmp_path: Path) -> None:
    for pair in pairs(tmp_path, Made("one", TWO), metric="reservation_p99_ns"):
        assert (pair.a, pair.b, pair.interval, pair.effect("reservation_p99_ns")) == (None,) * 4


def test_two_studies_are_paired_where_events_and_worlds_are_equal(tmp_path: Path) -> None:
    one = Made("one", TWO)
    same = pairs(tmp_path, one, Made("two", TWO, scenarios={"as given": 1_000}))
    assert [pair.workload for pair in same] == [SEEDED, CAPTURE]
    # Fewer replicates: those that both ran.
    fewer = pairs(tmp_path, one, Made("three", TWO, replicates=6))
    assert [pair.differences.size for pair in fewer] == [6, PARTS]
    assert pairs(tmp_path, one, Made("four", TWO, events="others")) == []
    assert pairs(tmp_path, one, Made("five", TWO, scenarios={"as given": 2_000})) == []
    named = Made("six", TWO, scenarios={"slow": 2_000, "fast": 1_000})
    assert {pair.scenario for pair in pairs(tmp_path, one, named)} == {"as given"}


def test_scenarios_share_their_seeds_and_are_averaged_seed_by_seed(tmp_path: Path) -> None:
    def slow_costs_more(scenario: str, workload: str, replicate: int) -> list[int]:
        factor = 3 if scenario == "slow" else 1
        return [part - 10 * factor for part in noisy(scenario, workload, replicate)]

    waits: dict[tuple[str, int], Waits] = {("trial", 0): slow_costs_more, ("trial", 1): noisy}
    found = pairs(tmp_path, Made("one", waits, scenarios={"slow": 2_000, "fast": 1_000}))
    assert [(pair.scenario, pair.workload) for pair in found] == [
        *(("slow", SEEDED), ("slow", CAPTURE)),
        *(("fast", SEEDED), ("fast", CAPTURE)),
    ]
    means = over_scenarios(found)
    assert [(mean.scenario, mean.workload) for mean in means] == [(None, SEEDED), (None, CAPTURE)]
    for mean, units in zip(means, (8, PARTS), strict=True):
        assert mean.interval is not None
        assert (mean.interval.mean, mean.interval.units) == (20 * PARTS, units)


def test_a_total_adds_up_workloads_and_weighs_shares_by_what_a_carve_out_waits(
    tmp_path: Path,
) -> None:
    found = pairs(tmp_path, Made("one", TWO))
    total = over_workloads(found, "wait_saved_ns")
    assert total is not None
    assert total.interval is not None
    # Eight seeds of one workload and one capture: nine runs, of 6,400 each.
    assert (total.interval.mean, total.all_missed_ns) == (9 * 6_400, 9 * ALL_MISSED_NS)
    assert (total.interval.units, total.interval.kind) == (8, Units.BOTH)
    share = over_workloads(
        pairs(tmp_path, Made("one", TWO), metric="wait_saved_ratio"), "wait_saved_ratio"
    )
    assert share is not None
    assert share.interval is not None
    assert share.interval.mean == pytest.approx(6_400 / ALL_MISSED_NS)
    assert over_workloads(found, "hit_ratio") is None


def test_peaks_quantiles_and_ratios_do_not_add_up() -> None:
    assert all(map(adds_up, ("wait_saved_ns", "restored", "reservations", "cpu_ns")))
    none = ("peak_reserved", "metadata_bytes", "hit_ratio", "reservation_p99_ns", "amplification")
    assert not any(map(adds_up, (*none, "atomic_reservation_max_ns", "wait_saved_ratio")))


def test_outcomes_that_differ_are_counted_by_run(tmp_path: Path) -> None:
    studies = Made("one", TWO), Made("two", TWO, restored=5), Made("three", TWO, events="others")
    with (
        database_of(tmp_path, *studies) as database,
        open_for_reading(database) as connection,
    ):
        one, two, three = (PolicyKey(made.name, "trial", 0) for made in studies)
        assert outcomes_that_differ(connection, one, one) == {}
        assert outcomes_that_differ(connection, one, two) == {"restored": 9}
        assert outcomes_that_differ(connection, one, three) is None
