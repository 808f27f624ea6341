"""Traces from which nothing follows: said first, and never a recommendation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.event_files import write_events
from core.events import INVALIDATE, RESTORE, STORE, Events, make_events
from core.import_losses import Loss
from sweep.cli.main import app
from tests.inputs.judged_studies import Given, findings_of, store_study

STUDY = """\
study: judged
workload: [{trace: a.parquet}, {trace: b.parquet}]
policy: {system: cleancache}
parameters:
  eviction: {type: categorical, choices: [fifo, lru]}
baselines: [{system: carveout}, {preset: gcma}]
objectives: [{metric: wait_saved_ratio, direction: maximize}]
sampler: {name: grid}
"""
RUN = """\
study: lost
workload: [{trace: a.parquet}]
policy: {system: cleancache}
parameters:
  eviction: {type: categorical, choices: [fifo, lru]}
objectives: [{metric: wait_saved_ns, direction: maximize}]
sampler: {name: grid}
"""


def _stored(path: Path, offered: int) -> str:
    outcomes = {"skipped": offered}
    trials = [
        Given({"eviction": word}, {"as given": wait}, outcomes=outcomes)
        for word, wait in (("fifo", -0.02), ("lru", 0.0))
    ]
    baselines = [Given({}, {"as given": 0.0}, outcomes=outcomes) for _ in range(2)]
    return store_study(path, STUDY, trials, baselines)


@pytest.mark.parametrize("offered", [0, 1])
def test_where_no_page_was_ever_offered_nothing_is_recommended(
    tmp_path: Path, offered: int
) -> None:
    path = tmp_path / "r.duckdb"
    _stored(path, offered)
    found = findings_of(path, STUDY)
    assert ("no_answer" in found) is (offered == 0)
    assert ("best" in found) is ("carve_out" in found) is (offered == 1)
    texts = " ".join(finding.text for each in found.values() for finding in each)
    assert ("Leave tag storage alone" in texts) is (offered == 1)


def _table(ops: list[int], doubtful: int) -> Events:
    count = len(ops)
    columns = {
        "time_ns": np.arange(count, dtype=np.uint64) * 1_000_000,
        "op": np.array(ops, dtype=np.uint8),
        "inode": np.ones(count, dtype=np.uint32),
        "index": np.arange(count, dtype=np.uint32) % 40,
        "order": np.zeros(count, dtype=np.uint8),
        "pfn": np.zeros(count, dtype=np.uint32),
        "flags": np.zeros(count, dtype=np.uint8),
    }
    losses = (Loss("reclaim_or_truncation", doubtful),) if doubtful else ()
    return make_events(columns, page_size=4096, data_pages=65536, source="x", losses=losses)


@pytest.mark.parametrize(
    ("ops", "doubtful", "why"),
    [
        ([RESTORE, INVALIDATE] * 40, 40, "no reclaim can be told in this capture: nothing is ever"),
        ([RESTORE, INVALIDATE] * 40, 0, "no reclaim is in it: nothing is ever stored"),
        ([RESTORE, INVALIDATE, STORE] * 40, 60, "no reclaim can be told in this capture: 60"),
        ([RESTORE, INVALIDATE, STORE] * 40, 10, ""),
    ],
)
def test_a_capture_that_does_not_tell_reclaim_is_said_first_and_recommends_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ops: list[int],
    doubtful: int,
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_events(Path("a.parquet"), _table(ops, doubtful))
    Path("s.yaml").write_text(RUN)
    runner = CliRunner()
    validated = runner.invoke(app, ["validate", "s.yaml"])
    assert validated.exit_code == 0, validated.output
    first = re.findall("warning: (.*)", validated.stderr)[0]
    assert why in first if why else "no reclaim" not in first
    ran = runner.invoke(app, ["run", "s.yaml"])
    assert ran.exit_code == 0, ran.output
    said = " ".join(ran.output.split())
    assert ("No answer" in said) is bool(why)
    assert "Leave tag storage alone" not in said or not why
    assert "None of" not in said or STORE in ops
