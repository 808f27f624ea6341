"""Studies of a capture with a tagged tenant laid over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_study

from core.accesses import SCHEMA, Accesses
from core.event_files import read_events, write_events
from core.events import ALLOC, FREE, Events
from core.workload.overlay import with_tenant_over
from core.workload.recipe import Recipe
from core.workload.resized import on_machine
from core.workload.tenant import with_tenant
from sweep.engine.inputs import Inputs, load_inputs, make_events
from sweep.engine.ray_cluster import RayCluster
from sweep.results import answer_query
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError

TEXT = """\
study: tenant
workload: [{{trace: {trace}}}]
parameters: {{eviction: {{type: categorical, choices: [lru, none]}}}}
baselines: [{{preset: gcma}}]
objectives: [{{metric: restored, direction: maximize}}]
sampler: {{name: grid}}
{more}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a capture, and one of file events alone."""
    small_study.write_trace(tmp_path)
    events = read_events(tmp_path / "small.parquet")
    files = ~np.isin(events.op, (ALLOC, FREE))
    columns = {name: column[files] for name, column in events.columns.items()}
    write_events(tmp_path / "files.parquet", events._replace(**columns))  # type: ignore[arg-type]
    return tmp_path


def write(folder: Path, trace: str, more: str = "") -> Path:
    path = folder / "tenant.yaml"
    path.write_text(TEXT.format(trace=trace, more=more))
    return path


def load(folder: Path, trace: str, more: str = "") -> Inputs:
    study, source = load_study(write(folder, trace, more))
    inputs = load_inputs(study, source)
    make_events(study, source, inputs)
    return inputs


def told(folder: Path, trace: str, more: str = "") -> str:
    with pytest.raises(SourceError) as raised:
        load(folder, trace, more)
    return str(raised.value)


def test_a_capture_without_a_tenant_is_what_it_was(folder: Path) -> None:
    (plain,) = load(folder, "small.parquet").workloads.sources
    assert isinstance(plain, Events)
    expected = load(folder, "small.parquet").digests
    none = load(folder, "small.parquet, tagged_ratio: 0.0")
    assert (none.digests, isinstance(none.workloads.sources[0], Events)) == (expected, True)
    varied = load(folder, "small.parquet", "scenarios: {tagged_ratio: [0.0, 0.1]}")
    assert varied.digests == varied.digests_of({"tagged_ratio": 0.0}) == expected
    (recipe,) = varied.workloads.sources
    assert isinstance(recipe, Recipe)
    assert all((recipe.events().columns[name] == plain.columns[name]).all()
               for name in plain.columns)  # fmt: skip
    assert varied.digests_of({"tagged_ratio": 0.1}) != expected


def test_a_tenant_reserves_where_a_capture_of_file_events_has_no_tagged_page(folder: Path) -> None:
    more = "scenarios: {tagged_ratio: [0.0, 0.05, 0.15]}\nreplicates: 2"
    path = write(folder, "files.parquet, burstiness: 0.2", more)
    alone, cluster = folder / "alone.duckdb", folder / "cluster.duckdb"
    small_study.run(path, alone)
    small_study.run(path, cluster, lambda workloads: RayCluster(workloads, 2, None, []))
    assert small_study.tables(alone) == small_study.tables(cluster)
    sql = "SELECT tagged_ratio, burstiness, max(reservations) FROM outcomes JOIN scenarios "
    sql += "USING (study, scenario) WHERE role = 'trial' GROUP BY ALL ORDER BY ALL"
    rows = answer_query(alone, sql).rows
    assert [row[:2] for row in rows] == [(0.0, 0.2), (0.05, 0.2), (0.15, 0.2)]
    assert rows[0][2] == 0 < rows[1][2] < rows[2][2]
    digests = "SELECT count(DISTINCT events_digest) FROM runs"
    assert answer_query(alone, digests).rows == [(5,)]  # one without a tenant, two of each other


def test_a_tenant_may_have_the_share_that_was_sampled(folder: Path) -> None:
    assert "nobody counted tagged pages while files.parquet was recorded; give a number" in told(
        folder, "files.parquet, tagged_ratio: sampled"
    )
    if "sampled" not in Events._fields:
        pytest.skip("tables have no samples")
    events = read_events(folder / "files.parquet")
    sampled = (("tagged_pages_mean", 50), ("tagged_pages_peak", 100), ("sampled_pages", 1000))
    write_events(folder / "files.parquet", events._replace(sampled=sampled))
    inputs = load(folder, "files.parquet, tagged_ratio: sampled")
    assert "files.parquet: tagged_ratio is 0.1, as it was sampled at most" in inputs.warnings
    assert inputs.digests == load(folder, "files.parquet, tagged_ratio: 0.1").digests
    events = read_events(folder / "small.parquet")
    write_events(folder / "small.parquet", events._replace(sampled=sampled))
    (said,) = (line for line in load(folder, "small.parquet, tagged_ratio: sampled").warnings
               if "sampled" in line)  # fmt: skip
    assert said.endswith("at most; its own tagged pages were sampled too: both count")


def test_what_a_tenant_cannot_be_is_told_at_its_place(folder: Path) -> None:
    assert ":2:49: tagged_ratio: 'samplde' is neither a number nor sampled, did you mean" in told(
        folder, "small.parquet, tagged_ratio: samplde"
    )
    assert "small.parquet has no skew: it is as it was captured" in told(
        folder, "small.parquet, skew: 1.0"
    )
    events = read_events(folder / "files.parquet")
    columns = {name: np.insert(column, 0, 0) for name, column in events.columns.items()}
    columns["op"][0], columns["order"][0] = ALLOC, 9  # half of all frames, for good
    half = events._replace(**columns, data_pages=1024)  # type: ignore[arg-type]
    write_events(folder / "half.parquet", half)
    what = r"tenant.yaml:2:12: half.parquet: no frame is free for"
    assert what in told(folder, "half.parquet, tagged_ratio: 0.8")
    assert "no workload of the study has burstiness" in told(
        folder, "small.parquet", "scenarios: {burstiness: [0.1, 0.2]}"
    )
    assert "nothing is random in these workloads" in told(folder, "small.parquet", "replicates: 2")
    text = write(folder, "small.parquet").read_text()
    path = folder / "synthetic.yaml"
    path.write_text(
        text.replace("{trace: small.parquet}", "{synthetic: zipf, tagged_ratio: sampled}")
    )
    with pytest.raises(SourceError, match="sampled: of a trace alone"):
        load_study(path)


def test_a_capture_in_which_nothing_is_tagged_is_told_with_what_helps(folder: Path) -> None:
    (warning,) = [line for line in load(folder, "files.parquet").warnings if "tagged" in line]
    assert warning == (
        "files.parquet: no page in it is ever tagged, so no tag block is ever reserved; "
        "tagged_ratio lays a tenant over it that has tagged pages"
    )
    both = "small.parquet: tagged_ratio lays tagged pages over its own: both count"
    assert both in load(folder, "small.parquet, tagged_ratio: 0.1").warnings
    for trace, more in (("files.parquet, tagged_ratio: 0.1", ""), ("small.parquet", "")):
        assert not [line for line in load(folder, trace, more).warnings if "ever tagged" in line]


def test_a_recording_that_ends_before_its_tenant_has_a_page_is_what_it_was(folder: Path) -> None:
    columns = {field.name: np.zeros(3, dtype=field.type.to_pandas_dtype()) for field in SCHEMA}
    machine = dict.fromkeys(("data_pages", "free_pages", "low_pages", "high_pages"), 0)
    accesses = Accesses(**columns, page_size=4096, source="three reads", **machine)
    for ratio in (0.0001, 0.02):
        assert with_tenant(on_machine(accesses, 4096), ratio, 0.3, 1).op.size == 3
    events = read_events(folder / "files.parquet")
    assert with_tenant_over(events, 0.0001, 0.3, 1, 4096, "x").op.size == events.op.size
