"""Laws of when a search ends before its last trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweep.engine.stopping import Stopping
from sweep.study.model import Study
from sweep.study.read import validate_source
from sweep.study.yaml_source import SourceError, parse_source

TEXT = """\
study: s
workload: {synthetic: zipf}
parameters: {folio_order: {type: int, low: 0, high: 3}}
objectives: OBJECTIVES
sampler: {name: random}
n_trials: 100
stop: STOP
"""
ONE = "[{metric: time_saved_ns, direction: maximize}]"
TWO = "[{metric: refault_hit_ratio, direction: maximize}, {metric: stored, direction: minimize}]"


def study_of(stop: str, objectives: str = ONE) -> Study:
    text = TEXT.replace("STOP", stop).replace("OBJECTIVES", objectives)
    return validate_source(parse_source(Path("s.yaml"), text), check_files=False)


def outcomes(*objectives: Any, violations: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    rows = [list(each) if isinstance(each, tuple) else [each] for each in objectives]
    return [{"objectives": row, "violations": list(violations)} for row in rows]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_study_that_says_nothing_never_stops() -> None:
    stopping = Stopping(study_of("{}"), Clock())
    stopping.tell([None] * 10_000)
    assert stopping.reason() is None


def test_time_ends_it_after_so_many_seconds_of_the_clock() -> None:
    clock = Clock()
    stopping = Stopping(study_of("{time: 2min}"), clock)
    clock.now += 119.9
    assert stopping.reason() is None
    clock.now += 0.1
    assert stopping.reason() == "120 s have passed (stop.time)"


def test_each_subspace_has_an_equal_part_of_the_time() -> None:
    clock = Clock()
    first, second = (Stopping(study_of("{time: 2min}"), clock, part) for part in (0.5, 1.0))
    clock.now += 60.0
    assert first.reason() == "60 s have passed (stop.time)"
    assert second.reason() is None
    clock.now += 60.0
    assert second.reason() == "120 s have passed (stop.time)"


def test_patience_ends_it_after_so_many_trials_without_a_better_value() -> None:
    stopping = Stopping(study_of("{patience: 4}"), Clock())
    stopping.tell(outcomes(1.0, 2.0, 2.0, 1.5, 2.0))
    assert stopping.reason() is None
    stopping.tell(outcomes(2.0 + 1e-12))
    stopping.tell([*outcomes(1.0, 1.0), None])
    assert stopping.reason() is None
    stopping.tell([None])
    assert stopping.reason() == "4 trials without gain (stop.patience: 4)"


def test_of_several_goals_a_gain_is_what_none_before_beats_by_more_than_a_sliver() -> None:
    stopping = Stopping(study_of("{patience: 2}", TWO), Clock())
    # The first is to be large, the second small.
    stopping.tell(outcomes((0.0, 0.0), (1.0, 1000.0)))
    stopping.tell(outcomes((0.5, 400.0)))
    assert stopping.reason() is None
    stopping.tell(outcomes((0.5, 401.0), (0.5004, 400.0)))
    assert stopping.reason() == "2 trials without gain (stop.patience: 2)"
    stopping.tell(outcomes((0.502, 400.0)))
    assert stopping.reason() is None


def test_slivers_that_add_up_are_a_gain() -> None:
    stopping = Stopping(study_of("{patience: 2}", TWO), Clock())
    stopping.tell(outcomes((0.0, 0.0), (1.0, 1000.0), (0.5, 400.0)))
    stopping.tell(outcomes((0.5008, 400.0), (0.5016, 400.0)))
    assert stopping.reason() is None


def test_until_a_trial_keeps_all_bounds_the_nearest_to_that_is_a_gain() -> None:
    stopping = Stopping(study_of("{patience: 2}"), Clock())
    stopping.tell(outcomes(9.0, violations=(5.0, 0.0)) + outcomes(9.0, violations=(5.0, -1.0)))
    stopping.tell(outcomes(1.0, violations=(4.0, -3.0)) + outcomes(1.0, violations=(4.5, 0.0)))
    assert stopping.reason() is None
    stopping.tell(outcomes(0.5, violations=(0.0, -1.0)) + outcomes(9.0, violations=(1.0, 0.0)))
    assert stopping.reason() is None
    stopping.tell(outcomes(0.4, violations=(0.0, -1.0)))
    assert stopping.reason() is not None


@pytest.mark.parametrize(
    ("said", "seconds"), [("10min", 600.0), ("1.5 h", 5400.0), ("90", 90.0), ("2d", 172800.0)]
)
def test_a_duration_is_said_with_its_unit(said: str, seconds: float) -> None:
    assert study_of(f"{{time: {said}}}").stop.time == seconds


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{time: soon}", "is not a duration such as 10min"),
        ("{time: 10mins}", "no unit mins (there are s, min, h, d), did you mean min?"),
        ("{time: 0}", "is no duration above 0"),
        ("{time: -3}", "is no duration above 0"),
        ("{time: true}", "is no duration above 0"),
        ("{patience: 0}", "should be at least 1"),
        ("{patiense: 3}", "did you mean patience?"),
    ],
)
def test_what_is_no_end_is_refused_with_what_was_meant(said: str, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        study_of(said)
    assert told in str(caught.value)


def test_when_it_stops_is_no_part_of_what_a_study_is() -> None:
    assert study_of("{patience: 3}").identity() == study_of("{time: 3h}").identity()
