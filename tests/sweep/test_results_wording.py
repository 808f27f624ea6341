"""What a report says in words and shares: units, names of policies, importance."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import small_study

from sweep.engine.search import importances
from sweep.results.wording import baseline_labels, readable, scale_of, settings_of, subspace_labels
from sweep.study.read import parse_study

REPOSITORY = Path(__file__).parents[2]


def test_what_decides_is_important_and_what_changes_nothing_is_not(tmp_path: Path) -> None:
    path = small_study.write_study(tmp_path, objectives=small_study.TWO_OBJECTIVES)
    study = parse_study(path.read_text(), path)
    rows: list[dict[str, Any]] = [
        {
            "asked": {
                "restore": ("inclusive", "exclusive")[number % 2],
                "drop": ("page", "folio")[number // 2 % 2],
                "folio_order": number % 5,
                "headroom": number // 5 % 5 * 0.125,
            },
            # Of the two goals one is the same in all trials.
            "objectives": [0.5, float(number // 5 % 5)],
        }
        for number in range(100)
    ]
    shares = importances(study, 1, rows)
    assert max(shares, key=lambda name: shares[name]) == "headroom"
    assert shares["headroom"] > 0.9
    assert set(importances(study, 0, rows).values()) == {0.0}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("time_saved_ns", 209_652_900, "209.7 ms"),
        ("time_saved_ns", -37_908_950, "\N{MINUS SIGN}37.91 ms"),
        ("time_saved_ns", 0, "0 ns"),
        ("reservation_p99_ns", 2734, "2.734 µs"),
        ("time_saved_ns", 12_345_678_900_000, "12,346 s"),
        ("metadata_bytes", 131072, "128 KiB"),
        ("restored", 84807, "84,807 pages"),
        ("refault_hit_ratio", 0.04122, "0.04122"),
        ("tag_block_size", 4096, "4 KiB"),
        ("feasible", True, "yes"),
        ("collateral_ratio", None, "-"),
        ("eviction", "lru", "lru"),
    ],
)
def test_numbers_are_in_units_that_a_person_reads(name: str, value: Any, said: str) -> None:
    assert readable(name, value) == said


def test_the_largest_value_chooses_the_unit_of_a_figure() -> None:
    assert scale_of("time_saved_ns", [5, -2_000_000, None]) == ("ms", 1e6)
    assert scale_of("time_saved_ns", []) == ("ns", 1)
    assert scale_of("hit_ratio", [0.5]) == ("", 1)
    assert scale_of("restored", [1_000_000]) == ("pages", 1)


def test_policies_are_named_as_the_study_gives_them_and_all_differently(tmp_path: Path) -> None:
    path = small_study.write_study(tmp_path)
    text = path.read_text()
    lists = "[{preset: gcma}, {preset: gcma, eviction: sieve}, {preset: gcma}]"
    study = parse_study(text.replace("[{system: carveout}, {preset: gcma}]", lists), path)
    labels = ["gcma (baseline 0)", "gcma, eviction sieve", "gcma (baseline 2)"]
    assert baseline_labels(study) == labels
    assert subspace_labels(study) == ["cleancache, eviction lru"]
    row = {"system": "cleancache", "restore": "inclusive", "drop": "page", "folio_order": 3}
    said = settings_of(study, row | {"subspace": 0, "headroom": 0.125})
    assert said == (
        "cleancache, eviction lru, restore inclusive, drop page, folio_order 3, headroom 0.125"
    )
    # What its system does not read is NULL.
    unread = dict.fromkeys(("restore", "drop", "folio_order", "headroom"))
    assert settings_of(study, {"subspace": 0, "system": "carveout"} | unread) == (
        "cleancache, eviction lru"
    )


def test_the_wheel_carries_the_page_and_its_script() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    folder = REPOSITORY / "sweep" / "report"
    carried = {path.name for path in folder.iterdir() if path.suffix not in (".py", "")}
    assert carried == set(settings["package-data"]["sweep.report"])
