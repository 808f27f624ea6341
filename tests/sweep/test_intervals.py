"""Intervals of paired differences: what share of truths they hold, and where nothing is said."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from paired_differences import HELD, cases
from scipy.special import stdtrit

from sweep.verdict.intervals import LEAST_UNITS, Units, interval_of, t_quantile, total_of

TRUTHS = 1_000
#: How many units of each kind: a capture always has 64 parts.
SIZES = {Units.REPLICATES: (8, 12, 20, 64), Units.PARTS: (64,)}


@pytest.mark.parametrize(
    ("generator", "units"),
    [(name, units) for name, (_, kind) in HELD.items() for units in SIZES[kind]],
)
def test_a_95_percent_interval_holds_93_to_97_percent_of_truths(generator: str, units: int) -> None:
    draw, kind = HELD[generator]
    held = 0
    for case in cases(draw, units, TRUTHS, seed=7):
        interval = interval_of(case.differences, kind)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= case.truth <= interval.high
    assert 0.93 <= held / TRUTHS <= 0.97


def test_a_total_over_workloads_holds_93_to_97_percent_of_truths() -> None:
    # Of a workload with few noisy seeds, one with more, and a capture.
    sources = (("normal", 8, 3.0), ("lognormal", 12, 1.0), ("AR(1) 0.3", 64, 2.0))
    drawn = [
        list(cases(HELD[name][0], units, TRUTHS, seed=11 + place))
        for place, (name, units, _) in enumerate(sources)
    ]
    held = 0
    for together in zip(*drawn, strict=True):
        scaled = [
            (case.truth * factor, interval_of(case.differences, HELD[name][1]).scaled(factor))
            for case, (name, _, factor) in zip(together, sources, strict=True)
        ]
        total = total_of([interval for _, interval in scaled])
        assert total.low is not None
        assert total.high is not None
        held += total.low <= sum(truth for truth, _ in scaled) <= total.high
    assert 0.93 <= held / TRUTHS <= 0.97


def test_an_interval_of_replicates_is_student_s() -> None:
    interval = interval_of([1.0, 2.0, 3.0, 4.0, 5.0])
    # The quantile of t with 4 degrees of freedom is 2.776445, and the error sqrt(2.5 / 5).
    assert interval.low == pytest.approx(3 - 2.776445 * 0.5**0.5, abs=1e-6)
    assert interval.high == pytest.approx(3 + 2.776445 * 0.5**0.5, abs=1e-6)
    assert (interval.mean, interval.units, interval.freedom) == (3, 5, 4)


@pytest.mark.parametrize("freedom", [1, 2, 4, 4.3, 7.77, 19, 100.3, 999, 30_000, inf])
def test_the_quantile_is_student_s(freedom: float) -> None:
    assert t_quantile(freedom) == pytest.approx(float(stdtrit(freedom, 0.975)), rel=1e-10)


def test_parts_that_are_like_their_neighbours_make_a_wider_interval() -> None:
    slow = np.repeat([1.0, -1.0, 2.0, -2.0], 16)
    mixed = np.random.default_rng(3).permutation(slow)
    wide, narrow = (interval_of(values, Units.PARTS) for values in (slow, mixed))
    assert wide.error is not None
    assert narrow.error is not None
    assert wide.error > 2 * narrow.error


@pytest.mark.parametrize("kind", [Units.REPLICATES, Units.PARTS])
def test_too_few_units_have_a_mean_and_no_bounds(kind: Units) -> None:
    least = LEAST_UNITS[kind]
    few = interval_of(np.arange(least - 1), kind)
    assert (few.mean, few.low, few.high, few.sign) == ((least - 2) / 2, None, None, None)
    assert few.scaled(2).mean == least - 2
    enough = interval_of(np.arange(least), kind)
    assert enough.low is not None
    # Where a workload has too few, nothing can be said of the total.
    total = total_of([enough, few])
    assert (total.mean, total.low) == (enough.mean + few.mean, None)


def test_nothing_is_said_of_four_seeds() -> None:
    assert LEAST_UNITS[Units.REPLICATES] == 5


@pytest.mark.parametrize("kind", [Units.REPLICATES, Units.PARTS])
def test_equal_differences_have_an_interval_without_width(kind: Units) -> None:
    for value, sign in ((0.1, 1), (0.0, 0), (-7.3, -1)):
        interval = interval_of(np.full(64, value), kind)
        assert (interval.mean, interval.low, interval.high) == (value, value, value)
        assert (interval.error, interval.freedom, interval.sign) == (0, inf, sign)
    ties = interval_of(np.zeros(64), kind)
    assert total_of([ties, ties]).sign == 0


def test_the_sign_is_known_where_an_interval_leaves_out_0() -> None:
    noise = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    assert [interval_of(noise + shift).sign for shift in (5, -5, 0.5)] == [1, -1, None]


def test_a_scaled_interval_turns_with_the_sign_of_its_factor() -> None:
    interval = interval_of([1.0, 2.0, 3.0, 4.0, 5.0])
    turned = interval.scaled(-2)
    assert interval.low is not None
    assert interval.high is not None
    assert turned.mean == -6
    assert turned.low == pytest.approx(-2 * interval.high)
    assert turned.high == pytest.approx(-2 * interval.low)


def test_a_total_tells_the_fewest_units_and_whether_they_are_of_both_kinds() -> None:
    random = np.random.default_rng(5)
    seeds, more_seeds = (interval_of(random.normal(size=units)) for units in (8, 12))
    parts = interval_of(random.normal(size=64), Units.PARTS)
    assert total_of([more_seeds, seeds])[3:5] == (8, Units.REPLICATES)
    assert total_of([parts, seeds])[3:5] == (8, Units.BOTH)


@pytest.mark.parametrize("differences", [[], [1.0, np.nan], [[1.0]], [np.inf]])
def test_what_is_no_list_of_finite_numbers_is_refused(differences: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        interval_of(differences)
