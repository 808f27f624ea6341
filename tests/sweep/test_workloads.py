"""Studies on workloads that are made: every kind, every seed, the same table whoever runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_study

from core.accesses import write_accesses
from core.workload.synthetic import GENERATORS, parameters_of, synthesise
from sweep.engine.ray_cluster import RayCluster
from sweep.results import answer_query
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError

SHORT = {"asks": 6000, "launches": 4, "compiles": 16}
TEXT = """\
study: made
workload: {workload}
machine: {{data_memory: 16MiB, zram_size: 8MiB, {machine}}}
parameters:
  eviction: {{type: categorical, choices: [lru, none]}}
scenarios: {{{scenarios}}}
baselines: [{{preset: gcma}}]
objectives: [{{metric: restored, direction: maximize}}]
sampler: {{name: grid}}
replicates: {replicates}
"""


def write(
    folder: Path, workload: str, scenarios: str = "", machine: str = "", replicates: int = 1
) -> Path:
    path = folder / "made.yaml"
    path.write_text(
        TEXT.format(workload=workload, scenarios=scenarios, machine=machine, replicates=replicates)
    )
    return path


def synthetic(name: str) -> str:
    said = {key: SHORT[key] for key in SHORT if key in parameters_of(name)}
    return f"{{synthetic: {name}, {', '.join(f'{key}: {n}' for key, n in said.items())}}}"


def test_a_study_runs_on_every_synthetic_workload_and_seed(tmp_path: Path) -> None:
    path = write(tmp_path, f"[{', '.join(map(synthetic, GENERATORS))}]", replicates=2)
    database = tmp_path / "r.duckdb"
    small_study.run(path, database)
    sql = "SELECT workload, count(DISTINCT replicate), count(DISTINCT events_digest) FROM runs "
    rows = answer_query(database, f"{sql} GROUP BY ALL ORDER BY 1").rows
    assert rows == [(name, 2, 2) for name in sorted(GENERATORS)]
    ((failed,),) = answer_query(
        database, "SELECT count(*) FROM trials WHERE state <> 'complete'"
    ).rows
    assert failed == 0


def test_workloads_that_vary_give_one_table_whoever_runs_them(tmp_path: Path) -> None:
    scan = parameters_of("scan_loop") | {"asks": 4000, "tagged_ratio": 0.0}
    accesses = synthesise("scan_loop", scan, 1, 4096, 4096)
    write_accesses(tmp_path / "scan.parquet", accesses)
    path = write(
        tmp_path,
        f"[{synthetic('zipf')}, {{accesses: scan.parquet}}]",
        "tagged_ratio: [0.0, 0.1, 0.2], reclaim: [mglru, active_inactive]",
        replicates=2,
    )
    alone, cluster = tmp_path / "alone.duckdb", tmp_path / "cluster.duckdb"
    small_study.run(path, alone)
    small_study.run(path, cluster, lambda workloads: RayCluster(workloads, 2, None, []))
    assert small_study.tables(alone) == small_study.tables(cluster)
    sql = "SELECT tagged_ratio, max(reservations) FROM outcomes JOIN scenarios "
    sql += "USING (study, scenario) WHERE role = 'trial' GROUP BY ALL ORDER BY ALL"
    rows = answer_query(alone, sql).rows
    assert [ratio for ratio, _ in rows] == [0.0, 0.1, 0.2]
    assert rows[0][1] == 0 < rows[1][1] < rows[2][1]


@pytest.mark.parametrize(
    ("workload", "scenarios", "machine", "replicates", "expected"),
    [
        ("[{synthetic: zipff}]", "", "", 1, "unknown synthetic workload zipff, did you mean zipf"),
        ("[{synthetic: zipf, apps: 3}]", "", "", 1, "zipf has no apps: it has asks, file_ratio"),
        ("[{synthetic: zipf, trace: a.parquet}]", "", "", 1, "not trace and synthetic"),
        ("[{seed: 3}]", "", "", 1, "has the key trace, accesses or synthetic, one of them"),
        ("[{synthetic: zipf, skew: 9}]", "", "", 1, "skew should be at most 3"),
        ("[{synthetic: zipf}]", "apps: [1, 2]", "", 1, "has apps"),
        ("[{synthetic: zipf, skew: 1}]", "skew: [0, 1]", "", 1, "skew is both fixed and varied"),
        ("[{synthetic: zipf}]", "reclaim: [1, 2]", "", 1, "reclaim cannot be 1; expected one of"),
        ("[{synthetic: zipf}]", "", "swappiness: 300", 1, "swappiness should be at most 200"),
        ("[{accesses: none.parquet}]", "", "", 1, "no such file"),
    ],
)  # fmt: skip
def test_what_a_workload_cannot_be_is_told(
    tmp_path: Path, workload: str, scenarios: str, machine: str, replicates: int, expected: str
) -> None:
    with pytest.raises(SourceError) as raised:
        load_study(write(tmp_path, workload, scenarios, machine, replicates))
    assert expected in str(raised.value)


def test_nothing_random_is_not_replicated(tmp_path: Path) -> None:
    small_study.write_trace(tmp_path, 1000)
    with pytest.raises(SourceError, match="nothing is random") as raised:
        load_study(write(tmp_path, "[{trace: small.parquet}]", replicates=3))
    assert "zram_size acts on accesses and synthetic workloads" in str(raised.value)
