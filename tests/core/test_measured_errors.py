"""What the front end was off by in tests, in words: for the recorded memory, and for any other."""

from __future__ import annotations

import json

import pytest

from core.frontend.measured_errors import ROWS_FILE, Measured, errors_in_tests, measured_errors
from core.frontend.run import Reclaim


def row(kind: str, ratio: float, what: str, error: float, reclaim: str = "mglru") -> Measured:
    return Measured(kind, reclaim, f"{kind}-a", f"{kind}-b", ratio, what, error, error, error)


ROWS = [
    row("launch", 1.0, "evictions", -0.136),
    row("launch", 1.0, "evictions", 0.133),
    row("launch", 1.0, "refaults", -0.226),
    row("launch", 0.93, "evictions", -0.2),
    row("launch", 0.93, "refaults", -0.61),
    row("launch", 0.93, "refaults", 0.38),
    row("launch", 1.08, "refaults", 0.004),
    row("launch", 1.5, "refaults", 0.1),
    row("database", 1.0, "refaults", 0.06),
    row("database", 1.0, "refaults", -0.003, "active_inactive"),
]


@pytest.mark.parametrize(
    ("memory_ratio", "said"),
    [
        # the recorded memory; one that differs by less than half a percent is the same
        (1.0, "their own memory: evictions -14 to +13 %, refaults -23 %"),
        (1.004, "their own memory: evictions -14 to +13 %, refaults -23 %"),
        # smaller, and larger, where it was measured
        (0.93, "7 % less memory: evictions -20 %, refaults -61 to +38 %"),
        (1.08, "8 % more memory: refaults 0 %"),
        # between what was measured: the errors on both sides of it
        (0.96, "4 % less memory: evictions -20 to +13 %, refaults -61 to +38 % "
               "(measured on their own and 7 % less)"),
        (1.25, "25 % more memory: refaults 0 to +10 % (measured on 8 % more and 50 % more)"),
        # beyond what was measured
        (0.75, "25 % less memory: not measured beyond 7 % less; there evictions -20 %, refaults "
               "-61 to +38 %"),
        (2.0, "100 % more memory: not measured beyond 50 % more; there refaults +10 %"),
    ],
)  # fmt: skip
def test_errors_are_those_of_the_nearest_memories_on_the_same_side(
    memory_ratio: float, said: str
) -> None:
    sentence = errors_in_tests("launch-mglru-224w.ftrace.txt.zst", "mglru", memory_ratio, ROWS)
    assert (
        sentence == f"the front end stands for a kernel; in tests under mglru, launches on {said}"
    )


def test_a_side_on_which_nothing_was_measured_is_told_with_the_recorded_memory() -> None:
    said = errors_in_tests("a database", "mglru", 0.9, ROWS)
    assert said.endswith("databases on 10 % less memory: not measured on less; "
                         "on their own refaults +6 %")  # fmt: skip


def test_nothing_measured_under_a_reclaim_is_told() -> None:
    said = errors_in_tests("launch.parquet", "active_inactive", 1.0, ROWS)
    assert said.endswith("under active_inactive, launches on their own memory: not measured")


def test_a_workload_whose_name_tells_no_kind_is_told_all_kinds() -> None:
    said = errors_in_tests("phone.txt", "mglru", 1.5, ROWS)
    assert "launches on 50 % more memory: refaults +10 %; databases on 50 % more" in said


def test_the_rows_are_those_that_the_benchmark_writes() -> None:
    rows = json.loads(ROWS_FILE.read_text())
    assert rows
    assert {tuple(row) for row in rows} == {Measured._fields}
    for row in measured_errors():
        assert row.reclaim in list(Reclaim)
        assert row.what in ("evictions", "refaults")
        assert row.accesses.startswith(row.kind)
        assert row.at.startswith(row.kind)
        assert row.memory_ratio > 0
        assert row.error_ratio >= -1
    own = [row for row in measured_errors() if row.accesses == row.at]
    assert {row.memory_ratio for row in own} == {1.0}
    assert {row.accesses for row in measured_errors()} == {row.accesses for row in own}
