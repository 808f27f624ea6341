"""YAML's merge key: a mapping takes over what is in others, and errors point to where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweep.study.read import parse_study
from sweep.study.yaml_source import Source, SourceError, parse_source

STUDY = """\
study: merge-key
workload: [{synthetic: zipf, asks: 2000}]
machine: {data_memory: 64MiB}
parameters:
  headroom: {<<: {type: float, low: 0.0}, high: 0.5}
objectives: [{metric: time_saved_ns, direction: maximize}]
sampler: {name: random, seed: 1}
n_trials: 4
"""


def parse(text: str) -> Source:
    return parse_source(Path("f"), text)


def told(source: Source) -> list[str]:
    return [str(mistake) for mistake in source.mistakes]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", {"x": 3, "y": 2}),
        ("a: &a {x: 1, y: 2}\nb: {x: 3, <<: *a}", {"x": 3, "y": 2}),
        ("a: &a {x: 1}\nc: &c {x: 2, y: 3}\nb: {<<: [*a, *c], z: 4}", {"x": 1, "y": 3, "z": 4}),
        ("a: &a {x: 1}\nc: &c {<<: *a, y: 2}\nb: {<<: *c}", {"x": 1, "y": 2}),
        ("a: &a {x: 1}\nc: &c {<<: *a, x: 2}\nb: {<<: *c}", {"x": 2}),
        ("b: {<<: []}", {}),
        ("b: {'<<': 1}", {"<<": 1}),
        ("a: &a {x: {y: 1, z: 2}}\nb: {<<: *a, x: {y: 3}}", {"x": {"y": 3}}),
    ],
)
def test_own_keys_win_and_of_several_mappings_the_first(text: str, data: dict[str, Any]) -> None:
    source = parse(text)
    assert told(source) == []
    assert source.data["b"] == data


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: {<<: 3}", "f:1:9: << takes a mapping, or a list of them"),
        ("a:\n  <<: [1]", "f:2:7: << takes a mapping, or a list of them"),
        ("a: {<<: }", "f:1:8: << takes a mapping, or a list of them"),
        ("a: &a\n  x: 1\n  <<: *a", "f:3:3: << of what it stands in"),
        ("a: &a\n  b:\n    <<: [*a]", "f:3:5: << of what it stands in"),
        ("a: {<<: {x: 1}, <<: {y: 1}}", "f:1:17: a second <<"),
        ("a: {<<: {[x]: 1}}", "f:1:10: a key is a word"),
        ("a: {<<: {x: }}", "f:1:10: x has no value"),
    ],
)
def test_a_merge_of_anything_else_is_refused_by_its_line(text: str, mistake: str) -> None:
    source = parse(text)
    assert len(source.mistakes) == 1
    assert told(source)[0].startswith(mistake)


def test_a_study_with_merge_keys_is_good() -> None:
    study = parse_study(STUDY, Path("f"))
    assert list(study.searched) == ["headroom"]
    assert study.subspaces[0].parameters["headroom"].low == 0.0  # type: ignore[union-attr]


def test_an_error_in_what_is_taken_over_points_to_its_line() -> None:
    merged = "\n    <<:\n      type: float\n      low: x\n    high: 0.5"
    text = STUDY.replace("{<<: {type: float, low: 0.0}, high: 0.5}", merged)
    with pytest.raises(SourceError) as caught:
        parse_study(text, Path("f"))
    assert str(caught.value).startswith("f:8:12: ")
    # What a mapping lacks because its merge cannot be read is not told as well.
    with pytest.raises(SourceError) as caught:
        parse_study(STUDY.replace("{type: float, low: 0.0}", "7"), Path("f"))
    assert str(caught.value) == "f:5:18: << takes a mapping, or a list of them"


def test_merges_of_merges_cannot_fill_the_time() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{number}: 1" for number in range(99)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 99)}]}}" for n in range(1, 9)]
    with pytest.raises(SourceError, match="more than 25000 values"):
        parse("\n".join(lines))
