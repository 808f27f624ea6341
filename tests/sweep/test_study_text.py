"""Whatever a study's text and the files that it names are, it is read or refused in lines."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from study_mistakes import STUDIES, TRACE, changed, mistakes

from sweep.study.model import Study
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError

TOP = ", ".join(Study.model_fields)


@pytest.mark.parametrize("text", ["", "# a study\n", "~", "- a\n- b\n", "hello"])
def test_what_is_no_mapping_is_no_study(text: str) -> None:
    assert mistakes(text) == [f"1:1: a study is a mapping with the keys {TOP}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('study: a\nx: "\\U00110000"', "2:7: not YAML: a number out of range"),
        ('study: a\nx: "\\UFFFFFFFF"', "2:7: not YAML: a number out of range"),
        (f"# c\n%YAML 1.{'1' * 5000}\n---\na: 1", "2:9: not YAML: a number out of range"),
        ("# c\n%YAML 1.3\n---\na: 1", "2:1: not YAML 1.1 or 1.2, the versions that can be read"),
    ],
)
def test_what_the_parser_itself_fails_at_is_refused_at_its_place(text: str, told: str) -> None:
    assert mistakes(text) == [told]


def test_aliases_without_end_are_refused_before_they_fill_the_memory() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        text += f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    (line,) = mistakes(text)
    assert line == "1:29: more than 25000 values, aliases counted wherever they stand"


def test_nesting_without_end_is_refused() -> None:
    assert mistakes("[" * 600 + "]" * 600) == ["1:51: nested too deep"]
    assert mistakes("[" * 100_000) == ["1:51: nested too deep"]
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
    (tmp_path / "return").write_bytes(b"study: s\r\r\n  \xff")
    (tmp_path / "folder").mkdir()
    for name, expected in (
        ("latin", "2:11: byte 0xff is not UTF-8"),
        ("return", "3:3: byte 0xff is not UTF-8"),
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
