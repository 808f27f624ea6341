"""The walk-through of CONTRIBUTING.md: its diffs apply to a copy of the project, which runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.event_files import read_events, write_events
from core.events import make_events

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "CONTRIBUTING.md"
DIFF = re.compile(r"^```diff\n(.*?)^```$", re.M | re.S)

#: Files and folders of the project that the page names, but for those that are to be added.
NAMED = re.compile(r"`((?:core|sweep|docs|studies|benchmarks)/[\w./-]+)`")

STUDY = """\
study: added
workload: [{trace: part.parquet}]
policies:
  - {policy: {system: overhead}}
  - policy: {system: tmem, eviction: mru, tmem_swing: 0.3, tmem_period_ns: 1000000000}
    parameters:
      metadata: {type: categorical, choices: [memmap, compact]}
scenarios:
  tmem_block_pages: [1, 512]
  tmem_shrink_ns: [0, 50000]
objectives: [{metric: time_saved_ns, direction: maximize, over: worst}]
sampler: {name: halton, seed: 1}
n_trials: 4
generation: 2
"""
TRIALS = """\
SELECT DISTINCT system, eviction, tmem_block_pages, typeof(tmem_block_pages) AS type,
  tmem_shrink_ns, o.restored, o.reserved_share, o.time_saved_ns
FROM outcomes o JOIN trials USING (study, role, number) JOIN scenarios USING (study, scenario)
WHERE role = 'trial' ORDER BY tmem_block_pages, tmem_shrink_ns
"""
# Two slots: pages 0, 1 and 2 are stored, and page 0 is asked for.
THREE_STORES = """
import numpy as np
from core import Machine, Policy, measure, replay
from core.events import RESTORE, STORE, make_events

columns = {name: np.zeros(4) for name in ("inode", "order", "pfn", "flags")}
columns |= {"time_ns": np.arange(4), "op": np.array([STORE, STORE, STORE, RESTORE])}
columns |= {"index": np.array([0, 1, 2, 0])}
events = make_events(columns, page_size=4096, data_pages=64, source="")
policies = [Policy(eviction="mru"), Policy(eviction="lru")]
print(measure(replay(events, Machine(4096, 64), policies))["restored"].tolist())
"""

#: Runs Python in the copy, and returns what it prints.
Python = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with all diffs of the page, a capture and a study in it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("core", "sweep"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / "docs").mkdir()
    for name in ("pyproject.toml", "docs/model.md"):
        shutil.copy(REPOSITORY / name, folder / name)
    for diff in DIFF.findall(PAGE.read_text()):
        applied = subprocess.run(
            ["git", "apply", "-"], input=diff, cwd=folder, capture_output=True, text=True
        )
        assert applied.returncode == 0, applied.stderr + diff
    events = read_events(REPOSITORY / "studies/traces/database-xfs-256w.parquet")
    first = {name: column[:40_000] for name, column in events.columns.items()}
    write_events(folder / "part.parquet", make_events(first, **events.about))
    (folder / "added.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def python(folder: Path) -> Python:
    environment = os.environ | {"PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}

    def run(*words: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env=environment | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def study_is_run(python: Python) -> None:
    python("-m", "sweep", "run", "added.yaml", "--executor", "in-process")


def test_every_file_that_the_page_names_is_there() -> None:
    named = {path for path in NAMED.findall(PAGE.read_text()) if "NAME" not in path}
    assert not {path for path in named if not (REPOSITORY / path).exists()}


def test_what_is_added_is_formatted_and_linted(python: Python) -> None:
    python("-m", "ruff", "check", "--no-cache", "core", "sweep")
    python("-m", "ruff", "format", "--no-cache", "--check", "core", "sweep")


def test_the_eviction_keeps_the_beginning_of_a_loop(python: Python) -> None:
    assert json.loads(python("-c", THREE_STORES, NUMBA_DISABLE_JIT="1")) == [1, 0]


@pytest.mark.usefixtures("study_is_run")
def test_a_study_tries_what_is_added(python: Python) -> None:
    rows = json.loads(python("-m", "sweep", "query", "--json", TRIALS))
    (overhead,) = {
        (row["restored"], row["time_saved_ns"]) for row in rows if row["system"] == "overhead"
    }
    restored, time_saved_ns = overhead
    assert restored == 0
    assert time_saved_ns < 0
    regions = [row for row in rows if row["system"] != "overhead"]
    assert {(row["system"], row["eviction"], row["type"]) for row in regions} == {
        ("tmem", "mru", "BIGINT")
    }
    pages, blocks = ([row for row in regions if row["tmem_block_pages"] == n] for n in (1, 512))
    # The swing is rounded down to whole blocks, and each shrinking costs.
    assert blocks[0]["reserved_share"] < pages[0]["reserved_share"]
    pairs = [of[place : place + 2] for of in (pages, blocks) for place in range(0, len(of), 2)]
    assert pairs
    for cheap, dear in pairs:
        assert (cheap["tmem_shrink_ns"], dear["tmem_shrink_ns"]) == (0, 50_000)
        assert cheap["restored"] == dear["restored"]
        assert cheap["time_saved_ns"] > dear["time_saved_ns"]


@pytest.mark.usefixtures("study_is_run")
def test_a_report_has_the_figure(python: Python, folder: Path) -> None:
    python("-m", "sweep", "report", "added", "-o", "added.html")
    assert "What the search found" in (folder / "added.html").read_text()
    python("-m", "sweep", "figure", "added", "history", "-o", "history.svg")
    assert "What the search found" in (folder / "history.svg").read_text()


def test_the_format_is_recognised_and_imported(python: Python, folder: Path) -> None:
    (folder / "reads.txt").write_text("1000 data/base.db 0 16384\n3000 log 4096 100\n")
    said = python("-m", "sweep", "trace", "import", "reads.txt", "-o", "reads.parquet", "--json")
    told = json.loads(said)
    assert (told["format"], told["losses"], told["span_s"]) == ("pread", [], 2e-6)
    assert (told["counts"]["requests"], told["counts"]["requested_pages"]) == (2, 5)
    assert "as a line of bpftrace prints" in python("-m", "sweep", "trace", "formats", "pread")


def test_the_schema_names_what_is_added(python: Python) -> None:
    definitions = json.loads(python("-m", "sweep", "schema"))["definitions"]
    fields, costs, sampler = (
        definitions[name]["properties"] for name in ("FixedPolicy", "CostFields", "Sampler")
    )
    assert "virtio-mem" in fields["tmem_block_pages"]["description"]
    assert "mru" in str(fields["eviction"])
    assert "overhead" in str(fields["system"])
    assert "tmem_shrink_ns" in costs
    assert "halton" in sampler["name"]["enum"]
