"""Whatever a study's text and the files that it names are, it is read or refused in lines."""

from __future__ import annotations

import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from study_mistakes import STUDIES, TRACE, changed, mistakes

from sweep.study.model import Study
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError

TOP = ", ".join(Study.model_fields)


@pytest.mark.parametrize("text", ["", "# a study\n", "~", "- a\n- b\n", "hello"])
def test_what_is_no_mapping_is_no_study(text: str) -> None:
    assert mistakes(text) == [f"1:1: a study is a mapping with the keys {TOP}"]


def test_aliases_without_end_are_refused_before_they_fill_the_memory() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        text += f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    (line,) = mistakes(text)
    assert line == "1:35: more than 100000 values, aliases counted wherever they stand"


def test_nesting_without_end_is_refused() -> None:
    assert mistakes("[" * 600 + "]" * 600) == ["1:1: nested too deep"]
    assert "1:1: an alias of what it stands in" in mistakes("&a [*a]")
    assert "1:4: an alias of what it stands in" in mistakes("a: &a {b: *a, c: [*a]}")


def spoil(name: str, folder: Path) -> str:
    """Write a file that is no mm event table; return how its message begins."""
    whole, path = (STUDIES / TRACE).read_bytes(), folder / f"{name}.parquet"
    if name == "plain":
        parquet.write_table(pa.table({"a": [1]}), path)
        return "no metadata mm_events"
    if name != "missing":
        path.write_bytes({"truncated": whole[:-100], "text": b"hello\n", "empty": b""}[name])
        return "truncated, corrupt, or not a Parquet file"
    return "no such file, did you mean missin.parquet?"


@pytest.mark.parametrize("name", ["truncated", "text", "empty", "plain", "missing"])
def test_a_trace_that_is_none_is_refused_where_the_study_names_it(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "missin.parquet").write_bytes(b"")
    why = spoil(name, tmp_path)
    text = changed((TRACE, f"{name}.parquet"))
    (line,) = mistakes(text, tmp_path / "s.yaml")
    assert line.startswith(f"2:20: {tmp_path / name}.parquet: {why}")


@pytest.mark.parametrize(
    "trace", [".", '"a\\0b"', '"a\\nb"', "a" * 5000, "s.yaml/x", "~", "''", "3"]
)
def test_a_strange_name_of_a_trace_is_one_line(trace: str) -> None:
    (line,) = mistakes(changed((TRACE, trace)))
    assert line.startswith(("2:20: ", "2:13: "))


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"study: s\nquestion: \xff\n")
    (tmp_path / "folder").mkdir()
    for name, expected in (
        ("latin", "2:11: byte 0xff is not UTF-8"),
        ("folder", "1:1: cannot be read: Is a directory"),
        ("nothing", "1:1: no such file"),
    ):
        with pytest.raises(SourceError) as caught:
            load_study(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}:{expected}"


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    text = changed((TRACE, str(STUDIES / TRACE)), ("random", "rndom"))
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with pytest.raises(SourceError) as caught:
        load_study(path)
    assert [(m.line, m.column) for m in caught.value.mistakes] == [(8, 17)]


# What a hand may put in the place of something else.
ANYTHING: list[Any] = [
    None, True, 0, -1, 3, 2**70, 0.5, 1e308, float("nan"), float("inf"), "", "4KiB", "4GB", "none",
    "a/b", "é\n\u2028\ud83d", "grid", "cmaes", "carveout", "int", [], {}, [[]], [1, "x"], {"a": 1},
    {"type": "int", "low": 5, "high": 1, "step": 0}, {"type": "float", "low": 0, "high": 0.5},
    "type", "step", "log", "seed", "tag_block_size", "lookup_ns", "constraints", "machine", "1",
]  # fmt: skip


def mutate(data: Any, rng: random.Random) -> None:
    """Change one thing somewhere in `data`."""
    at = data
    while (inner := [x for x in (at.values() if isinstance(at, dict) else at)
                     if isinstance(x, dict | list) and x]) and rng.random() < 0.7:  # fmt: skip
        at = rng.choice(inner)
    places = list(at) if isinstance(at, dict) else list(range(len(at)))
    value = json.loads(json.dumps(rng.choice(ANYTHING)))
    if not places or rng.random() < 0.25:
        if isinstance(at, dict):
            at[str(rng.choice(ANYTHING))] = value
        else:
            at.append(value)
    elif rng.random() < 0.3:
        del at[rng.choice(places)]
    else:
        at[rng.choice(places)] = value


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.randoms(use_true_random=True),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["quickstart", "headroom"]),
)
def test_a_study_changed_anyhow_is_read_or_refused(
    rng: random.Random, changes: int, in_text: bool, study: str
) -> None:
    yaml, written = YAML(typ="safe", pure=True), StringIO()
    data = yaml.load((STUDIES / f"{study}.yaml").read_text())
    for _ in range(changes):
        mutate(data, rng)
    yaml.dump(data, written)
    text = written.getvalue()
    if in_text:
        at = rng.randrange(len(text) + 1)
        scrap = rng.choice(["\t", ":", "- ", "[", "}", '"', "*a", "&a ", "\n", "\0", "!", "|", "%"])
        text = text[:at] + scrap + text[at + rng.choice([0, 1, 5]) :]
    lines = text.splitlines() or [""]
    for mistake in mistakes(text):
        line, column = (int(number) for number in mistake.split(":")[:2])
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
        assert "\n" not in mistake
        assert "Input should" not in mistake  # the words of pydantic
