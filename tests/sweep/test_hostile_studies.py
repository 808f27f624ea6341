"""Whatever a study is, it is good or refused in lines with places, soon and in little memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from hazard import Counts
from study_mistakes import STUDIES, TRACE, changed, mistakes

import studies
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError


def test_mutated_studies_are_good_or_refused() -> None:
    counts = Counts()
    studies.run(1, 200, lambda: True, counts)
    assert (counts.cases, counts.failures) == (200, [])


def test_what_is_no_regular_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, expected in (
        ("pipe", "it is no regular file"),
        ("/dev/zero", "it is no regular file"),
        ("loop", "Too many levels of symbolic links"),
        ("x" * 5000, "File name too long"),
        ("a\0b", "embedded null byte"),
    ):
        with pytest.raises(SourceError) as caught:
            load_study(tmp_path / name)
        assert str(caught.value).endswith(f":1:1: cannot be read: {expected}")
    for name in ("pipe", "/dev/zero"):
        (line,) = mistakes(changed((TRACE, name)), tmp_path / "s.yaml")
        assert line == f"2:20: {tmp_path / name}: a pipe or a device, not a Parquet file"
    (line,) = mistakes(changed((TRACE, "loop")), tmp_path / "s.yaml")
    assert line.startswith(f"2:20: {tmp_path / 'loop'}")


def test_a_study_has_a_size_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(SourceError, match="it has more than 1,048,576 bytes"):
        load_study(path)
    assert mistakes("#" * (1 << 20 | 1)) == ["1:1: it has more than 1,048,576 characters"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("study: s", "study: rewrite.duckdb",
         "1:8: rewrite.duckdb is the name of a database's own file: choose another"),
        ("study: s", 'study: "s\\n"', "1:8: study should be of letters, digits, "),
        ("study: s", "study: ..", "1:8: study should be of letters, digits, "),
        ("study: s", f"study: {'s' * 10_000}", "1:8: study should have at most 100 characters"),
        (TRACE, '"a\\e[31m.parquet"', "2:20: trace: 'a\\x1b[31m.parquet' has a character that is "),
        ("n_trials: 4", "n_trials: 9223372036854775808", "9:11: n_trials: a number beyond 64 bits"),
        ("n_trials: 4", "n_trials: 9223372036854775807", "9:11: n_trials should be at most 100000"),
        ("n_trials: 4", "n_trials: 4\ngeneration: 1000000000000", "10:13: generation should be at"),
        ("n_trials: 4", "n_trials: 4\nmachine: {page_size: 2GiB}", "10:22: page_size: 2147483648 "),
        ("n_trials: 4", "n_trials: 4\nmachine: {data_memory: 999999999999999TiB}",
         "10:24: data_memory should be "),
        ("n_trials: 4", "n_trials: 4\ncosts: {lookup_ns: 9223372036854775807}",
         "10:20: lookup_ns should be "),
        ("high: 3", "high: 1000000000000000000", "5:42: folio_order should be at most 9"),
        ("n_trials: 4", f"n_trials: 4\nscenarios: [{{name: {'x' * 201}}}]",
         "10:20: a name has at most 200 characters, not 201"),
        ("n_trials: 4", 'n_trials: 4\nscenarios: [{name: "a\\e"}]', "10:20: a scenario of a list"),
    ],
)  # fmt: skip
def test_names_and_numbers_that_nothing_can_keep_are_refused_at_their_line(
    old: str, new: str, expected: str
) -> None:
    assert [line for line in mistakes(changed((old, new))) if line.startswith(expected)]


def test_tables_have_an_end() -> None:
    many = "workload: [" + ", ".join(f"{{synthetic: zipf, seed: {i}}}" for i in range(11)) + "]"
    text = changed(("workload: [{trace: traces/database-mglru-256w.parquet}]", many))
    (line,) = mistakes(f"{text}replicates: 1000\n")
    assert line.startswith("2:11: there are more than 10,000 tables of events: ")
    assert mistakes(f"{text}replicates: 900\n") == []
    memories = "scenarios: {data_memory: [64MiB, 128MiB]}\n"
    assert mistakes(f"{text}replicates: 900\n{memories}") == [line]
    assert (
        mistakes(f"{text}replicates: 900\nscenarios: {{read_random_ns: [52000, 250000]}}\n") == []
    )


def test_sizes_that_only_a_traces_metadata_claims_are_refused_where_it_is_named(
    tmp_path: Path,
) -> None:
    table = parquet.read_table(STUDIES / TRACE).slice(0, 1000)
    for claimed in ({"page_size": 2**63}, {"page_size": 2**31}, {"data_pages": 2**31}):
        metadata = {
            key: json.dumps(json.loads(value) | claimed) if key == b"mm_events" else value
            for key, value in table.schema.metadata.items()
        }
        parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "poison.parquet")
        (line,) = mistakes(changed((TRACE, "poison.parquet")), tmp_path / "s.yaml")
        assert line.startswith("2:20: ")
        assert next(iter(claimed)) in line
