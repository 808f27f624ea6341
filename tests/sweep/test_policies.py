"""Studies of several policies: subspaces searched in turn, into one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import run as run_study
from small_study import write_trace

from core.system import SYSTEMS
from sweep.engine.inputs import load_inputs
from sweep.results import answer_query
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError

TEXT = """\
study: systems
workload: [{trace: small.parquet}]
policies:
  - {policy: {system: ideal}}
  - policy: {preset: gcma}
    parameters: {restore: {type: categorical, choices: [inclusive, exclusive]}}
  - policy: {system: zswap, compression_ratio: 3.0}
    parameters: {headroom: {type: float, low: 0.0, high: 0.5}}
  - policy: {system: tmem, tmem_ratio: 0.05}
    parameters: {eviction: {type: categorical, choices: [none, lru]}}
  - policy: {system: cleancache, headroom: 0.1, headroom_mode: dynamic}
    parameters:
      placement: {type: categorical, choices: [queue, spread]}
      tagged_placement: {type: categorical, choices: [recorded, reserved_first]}
baselines: [{system: carveout}]
objectives: [{metric: time_saved_ns, direction: maximize}]
sampler: {name: random, seed: 3}
n_trials: 4
generation: 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies")
    write_trace(folder)
    return folder


def table(database: Path) -> list[tuple[object, ...]]:
    sql = (
        "SELECT number, subspace, system, restore, headroom, eviction, placement, "
        "asked, restored, time_saved_ns, share_of_ideal FROM trials ORDER BY role, number"
    )
    return list(answer_query(database, sql).rows)


def run(folder: Path, name: str, text: str = TEXT) -> Path:
    (folder / "systems.yaml").write_text(text)
    run_study(folder / "systems.yaml", folder / name)
    return folder / name


def test_every_policy_has_its_subspace_and_a_number_that_stays(folder: Path) -> None:
    rows = [row for row in table(run(folder, "one.duckdb")) if row[1] is not None]
    # The ideal searches nothing: one trial. The others have four each.
    assert [row[1] for row in rows] == [row[0] % 5 for row in rows]
    counts = {space: sum(row[1] == space for row in rows) for space in range(5)}
    assert counts == {0: 1, 1: 4, 2: 4, 3: 4, 4: 4}
    systems = {row[2] for row in rows}
    assert systems == {"ideal", "cleancache", "zswap", "tmem"} <= set(SYSTEMS)
    (ideal,) = [row for row in rows if row[2] == "ideal"]
    assert ideal[-1] == 1.0
    assert all(row[-1] <= 1.0 for row in rows if row[2] == "cleancache")


def test_more_trials_of_several_policies_go_on_from_those_that_were_run(folder: Path) -> None:
    whole = table(run(folder, "whole.duckdb", TEXT.replace("n_trials: 4", "n_trials: 6")))
    run(folder, "grown.duckdb")
    assert table(run(folder, "grown.duckdb", TEXT.replace("n_trials: 4", "n_trials: 6"))) == whole


def test_a_run_tells_what_tag_storage_held_over_time(folder: Path) -> None:
    database = run(folder, "series.duckdb")
    names = ("time_ns", "reserved_pages", "cached_pages", "empty_pages")
    columns = ", ".join(f"series_{name}" for name in names)
    rows = answer_query(database, f"SELECT system, {columns} FROM runs JOIN trials USING "
               "(study, role, number)").rows  # fmt: skip
    assert len(rows) == 18
    for system, times, reserved, cached, empty in rows:
        assert len(times) == len(reserved) == len(cached) == len(empty) == 64
        assert times == sorted(times)
        whole = {sum(pages) for pages in zip(reserved, cached, empty, strict=True)}
        assert len(whole) == 1, system
        assert min(*reserved, *cached, *empty) >= 0


def test_a_placement_that_wants_every_allocation_is_refused_on_tagged_ones(folder: Path) -> None:
    path = folder / "far.yaml"
    path.write_text(TEXT.replace("choices: [queue, spread]", "choices: [queue, far]"))
    with pytest.raises(SourceError, match=r"small\.parquet: placement far looks for frames"):
        load_inputs(*load_study(path))


def test_anonymous_pages_are_refused_where_nothing_is_swapped_to_a_device(folder: Path) -> None:
    path = folder / "swap.yaml"
    path.write_text(TEXT.replace("{system: zswap, ", "{system: zswap, anonymous: write_back, "))
    with pytest.raises(SourceError, match=r"swap\.yaml:7:40: anonymous would change nothing"):
        load_inputs(*load_study(path))


SWAP = """\
study: swap
workload: [{synthetic: app_launch, launches: 30, anonymous_ratio: 0.35}]
machine: {data_memory: 64MiB}
policy: {system: zswap}
parameters:
  anonymous: {type: categorical, choices: [none, write_through, write_back]}
scenarios: {swap_size: [0, 64MiB], tagged_ratio: 0.15}
baselines: [{preset: gcma}]
objectives: [{metric: swap_writes, direction: minimize}]
sampler: {name: grid}
"""


def test_a_swap_device_is_written_at_once_late_or_by_others(tmp_path: Path) -> None:
    (tmp_path / "swap.yaml").write_text(SWAP)
    run_study(tmp_path / "swap.yaml", tmp_path / "swap.duckdb")
    sql = (
        "SELECT swap_size, anonymous, r.swap_writes, list_sum(list_transform(reservation_samples, "
        "lambda sample: sample.written * sample.count)), r.recalled "
        "FROM trials JOIN runs r USING (study, role, number) JOIN scenarios USING (study, scenario)"
        " WHERE role = 'trial'"
    )
    rows = answer_query(tmp_path / "swap.duckdb", sql).rows
    counts_of = {(size, word): tuple(counts) for size, word, *counts in rows}
    through, back = counts_of[(64 << 20, "write_through")], counts_of[(64 << 20, "write_back")]
    # Of a recall, those are written that the device lacks: of files none, written through none.
    assert 0 < back[1] <= min(back[0], back[2])
    assert back[0] < through[0]
    assert counts_of[(64 << 20, "none")][0] == through[1] == 0
