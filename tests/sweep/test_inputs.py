"""Mistakes that only a trace shows are told at the line of the study that they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_study import write_trace

from core.accesses import Accesses, write_accesses
from core.event_files import read_events, write_events
from core.events import STORE, make_events
from core.workload.synthetic import parameters_of, synthesise
from sweep.engine.inputs import load_inputs
from sweep.engine.inputs import make_events as make_tables
from sweep.study.read import load_study, validate_source
from sweep.study.yaml_source import SourceError, parse_source

TEXT = """\
study: s
workload:
  - {trace: small.parquet}
machine: {}
policy: {}
parameters:
  folio_order: {type: int, low: 0, high: 1}
baselines: [{system: ideal}]
objectives: [{metric: time_saved_ns, direction: maximize}]
sampler: {name: random}
n_trials: 4
"""
TRACE = "trace: small.parquet"
MACHINE = "machine: {}"
ORDER = "folio_order: {type: int, low: 0, high: 1}"


def changed(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def told(folder: Path, text: str) -> str:
    """Return what is wrong with a study on its traces, from the line on."""
    path = folder / "s.yaml"
    path.write_text(text)
    study, source = load_study(path)
    with pytest.raises(SourceError) as raised:
        make_tables(study, source, load_inputs(study, source))
    (mistake,) = raised.value.mistakes
    assert str(mistake) == str(raised.value)
    return str(raised.value).removeprefix(f"{path}:")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good capture, and good accesses."""
    folder = tmp_path_factory.mktemp("inputs")
    write_trace(folder, 5000)
    write_accesses(folder / "zipf.parquet", zipf())
    return folder


def zipf() -> Accesses:
    return synthesise("zipf", parameters_of("zipf") | {"asks": 100}, 1, 4096, 4096)


def write_changed_trace(folder: Path, name: str, change: dict[str, np.ndarray]) -> None:
    events = read_events(folder / "small.parquet")
    table = make_events(events.columns | change, **events.about, check=False)
    write_events(folder / name, table)


def test_a_bad_row_of_a_trace_is_told_where_the_study_names_it(folder: Path) -> None:
    time_ns = read_events(folder / "small.parquet").time_ns.copy()
    time_ns[7] = -1
    write_changed_trace(folder, "bad.parquet", {"time_ns": time_ns})
    what = f"{folder}/bad.parquet: row 7, column time_ns: time goes backwards to -1"
    assert told(folder, changed((TRACE, "trace: bad.parquet"))) == f"3:13: {what}"
    # A workload that stands alone is on its own line too.
    alone = TEXT.replace(f"\n  - {{{TRACE}}}", " {trace: bad.parquet}")
    assert told(folder, alone) == f"2:19: {what}"


def test_a_bad_row_of_accesses_is_told_where_the_study_names_them(folder: Path) -> None:
    accesses = zipf()
    op = accesses.op.copy()
    op[3] = 200
    write_accesses(folder / "bad-accesses.parquet", accesses._replace(op=op))
    assert told(folder, changed((TRACE, "accesses: bad-accesses.parquet"))) == (
        f"3:16: {folder}/bad-accesses.parquet: row 3, column op: unknown op"
    )


def test_a_memory_that_is_too_small_for_a_trace_is_told_where_it_stands(folder: Path) -> None:
    line = told(folder, changed((MACHINE, "machine: {data_memory: 4MiB}")))
    assert line.startswith(f"4:24: {folder}/small.parquet: row ")
    assert line.endswith("is outside the 1024 data pages")


def test_pages_that_accesses_were_not_recorded_with_are_told_where_they_stand(folder: Path) -> None:
    text = changed((TRACE, "accesses: zipf.parquet"), (MACHINE, "machine: {page_size: 16KiB}"))
    assert told(folder, text) == (
        f"4:22: {folder}/zipf.parquet: recorded with 4096-byte pages, not 16384"
    )


def test_a_placement_that_a_trace_does_not_allow_is_told_at_the_trace(folder: Path) -> None:
    size = read_events(folder / "small.parquet").op.size
    plain = np.zeros(size, np.uint8)
    change = {"op": np.full(size, STORE, np.uint8), "order": plain, "flags": plain}
    write_changed_trace(folder, "stores.parquet", change)
    text = changed((TRACE, "trace: stores.parquet"), ("policy: {}", "policy: {placement: far}"))
    line = told(folder, text)
    assert line.startswith(f"3:13: {folder}/stores.parquet: placement far looks for frames")


WHY = "anonymous would change nothing: no workload has pages that were swapped to a device"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ([("policy: {}", "policy: {system: zswap, anonymous: write_back}"),
          (ORDER, "headroom: {type: float, low: 0, high: 0.5}")], "5:36"),
        ([("policy: {}", "policy: {system: zswap}"),
          (ORDER, "anonymous: {type: categorical, choices: [none, write_back]}")], "7:14"),
        ([("{system: ideal}", "{system: ideal}, {system: zswap, anonymous: write_back}")], "8:57"),
    ],
)  # fmt: skip
def test_anonymous_without_swap_is_told_where_it_stands(
    folder: Path, changes: list[tuple[str, str]], place: str
) -> None:
    assert told(folder, changed(*changes)) == f"{place}: {WHY}"


@pytest.mark.parametrize(
    ("changes", "place", "where"),
    [
        ([(MACHINE, "machine: {data_memory: 512MiB, tag_block_size: 32MiB}")], "4:48", ""),
        ([(MACHINE, "machine: {data_memory: 512MiB}\nscenarios: {tag_block_size: [4KiB, 32MiB]}")],
         "5:12", " in the scenario tag_block_size 32MiB"),
        ([(MACHINE, "machine: {tag_block_size: 32MiB}\nscenarios: [{name: one, data_memory: 2GiB}, "
           "{name: two, data_memory: 512MiB}]")], "5:12", " in the scenario two"),
    ],
)  # fmt: skip
def test_a_tag_block_larger_than_tag_storage_is_told_where_it_stands(
    folder: Path, changes: list[tuple[str, str]], place: str, where: str
) -> None:
    text = changed(*changes, (TRACE, "synthetic: zipf"))
    assert told(folder, text) == (
        f"{place}: a tag block of 33554432 bytes is larger than the tag storage of a workload's "
        f"machine, 16777216 bytes{where}"
    )


def test_a_workload_whose_memory_runs_out_is_told_where_it_stands(folder: Path) -> None:
    much = "launches: 12, anonymous_ratio: 0.9, tagged_ratio: 0.5"
    text = changed(
        (TRACE, f"synthetic: zipf}}\n  - {{synthetic: app_launch, {much}"),
        (MACHINE, "machine: {data_memory: 4MiB}"),
    )
    line = told(folder, text)
    assert line.startswith("4:5: app_launch: out of memory at ")
    assert line.endswith(
        " 0 of files, 64 free, no swap): more data_memory or swap, or less tagged_ratio and "
        "anonymous_ratio"
    ), line


@pytest.mark.parametrize(
    ("memory", "what"),
    [("6KiB", "data_memory is not a whole number of 4096-byte pages"),
     ("100TiB", "machine: data_pages 26843545600 is not between 1 and 2**31 - 1")],
)  # fmt: skip
def test_a_study_without_a_file_is_told_by_the_name_that_its_text_has(
    folder: Path, memory: str, what: str
) -> None:
    text = changed((MACHINE, f"machine: {{data_memory: {memory}}}"))
    source = parse_source(folder / "results.duckdb:s", text)
    study = validate_source(source, check_files=False)
    with pytest.raises(SourceError) as raised:
        load_inputs(study, source)
    error = raised.value
    assert (error.file, error.line, error.column, error.what) == (source.path, 4, 24, what)
