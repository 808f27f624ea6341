"""What a study needs is told in numbers before any table is made, and held against the machine."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import pytest

from core import available_memory
from core.accesses import read_accesses
from core.available_memory import kills_for_memory, memory_limit_bytes
from core.event_files import read_events
from core.frontend.run import FrontEnd
from core.workload import kept_tables
from core.workload.expected import expect, touched_by
from core.workload.recipe import Recipe
from core.workload.synthetic import GENERATORS, parameters_of, synthesise
from sweep.cli.main import app
from sweep.engine import needs
from sweep.engine.inputs import load_inputs
from sweep.engine.needs import needs_of, needs_warnings
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError

ROOT = Path(__file__).parents[2]
STUDY = """\
study: large
workload: {workload}
machine: {{data_memory: {memory}}}
parameters: {{headroom: {{type: float, low: 0.0, high: 0.5}}}}
objectives: [{{metric: time_saved_ns, direction: maximize}}]
sampler: random
n_trials: {trials}
"""


def written(
    folder: Path,
    workload: str = "{synthetic: zipf}",
    memory: str = "64MiB",
    trials: int = 20,
    more: str = "",
) -> Path:
    path = folder / "large.yaml"
    path.write_text(STUDY.format(workload=workload, memory=memory, trials=trials) + more)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        app(["validate", str(path)], standalone_mode=False)
    return str(caught.value).removeprefix(f"{path}:")


@pytest.fixture
def nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tables where there are none, and let none be made."""
    for module in (kept_tables, needs):
        monkeypatch.setattr(module, "KEPT_FOLDER", tmp_path / "kept")

    def make(*_: object) -> None:
        raise AssertionError("a table is made")

    monkeypatch.setattr(Recipe, "cook", make)


def short(generator: str) -> dict[str, float]:
    """Return the parameters of a generator's short run."""
    lengths = {"asks": 60_000, "compiles": 60, "launches": 60}
    return parameters_of(generator) | {
        name: length for name, length in lengths.items() if name in parameters_of(generator)
    }


@pytest.mark.parametrize("data_pages", [16_384, 131_072])
@pytest.mark.parametrize("generator", sorted(GENERATORS))
def test_the_rows_of_a_generator_are_known_within_a_quarter(
    generator: str, data_pages: int
) -> None:
    told = GENERATORS[generator](**short(generator)).load(data_pages).rows
    rows = synthesise(generator, short(generator), 0, data_pages, 4096).op.size
    assert rows / 1.25 <= told <= 1.25 * rows


@pytest.mark.parametrize("generator", sorted(GENERATORS))
def test_the_events_of_a_generator_are_known_within_2x(generator: str) -> None:
    told = tuple(short(generator).items())
    made = Recipe("it", told, 0, 16_384, 4096, FrontEnd(), generator)
    told_events = expect(made, None).events
    events = made.cook().events.op.size
    assert events / 2 <= told_events <= 2 * events


@pytest.mark.parametrize("capture", ["database-xfs-256w", "launch-mglru-224w"])
def test_the_events_of_a_capture_are_told_as_a_bound(capture: str) -> None:
    accesses = read_accesses(ROOT / "studies" / "traces" / f"{capture}.accesses.parquet")
    tenant = (("tagged_ratio", 0.0), ("burstiness", 0.3))
    made = Recipe("it", tenant, 0, 65_536, 4096, FrontEnd(), accesses=accesses)
    recorded = read_events(ROOT / "studies" / "traces" / f"{capture}.parquet")
    told = expect(made, touched_by(accesses)).events
    assert 0.5 * recorded.op.size <= told <= 3 * recorded.op.size


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize(
    ("workload", "memory", "more", "told"),
    [
        ("{synthetic: zipf}", "4TiB", "replicates: 3\n", "3:24: zipf comes to about 2"),
        ("{synthetic: build, compiles: 1000000}", "4GiB", "", "3:24: build comes to about "),
        ("{synthetic: kasan, asks: 100000000}", "1GiB", "scenarios: {tagged_ratio: [0.3, 0.9]}\n",
         "8:12: kasan in the scenario tagged_ratio 0.3 comes to about "),
    ],
)  # fmt: skip
def test_what_is_beyond_the_machine_is_refused_in_a_second_at_its_line(
    workload: str, memory: str, more: str, told: str, tmp_path: Path
) -> None:
    path = written(tmp_path, workload, memory, more=more)
    start = time.process_time()
    message = refusal(path)
    assert time.process_time() - start < 2
    assert message.startswith(told)
    assert " GB of memory, and this machine has " in message


@pytest.mark.usefixtures("nothing_is_made")
def test_memory_and_disk_are_those_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, memory="512MiB", more="replicates: 20\n")
    monkeypatch.setattr(needs, "memory_limit_bytes", lambda: 10**8)
    message = refusal(path)
    assert message.startswith("3:24: zipf comes to about 549,444 accesses and ")
    assert message.endswith(
        " of memory, and this machine has 0.1 GB: less data_memory or asks, or fewer workers"
    )
    monkeypatch.setattr(needs, "memory_limit_bytes", lambda: 10**11)
    monkeypatch.setattr(needs, "free_disk_bytes", lambda folder: 10**8)
    message = refusal(path)
    assert message.startswith("8:13: the tables of the study take about 0.2 GB on disk, ")
    assert ", and 0.1 GB are free there: less data_memory or asks" in message


@pytest.mark.usefixtures("nothing_is_made")
def test_what_is_large_is_said_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, memory="512MiB", trials=10_000_000, more="replicates: 1000\n")
    app(["validate", str(path), "--json"], standalone_mode=False)
    out, err = capsys.readouterr()
    told = json.loads(out)["needs"]
    assert told["tables"] == 1000
    assert told["replays"] == 10**10
    assert told["cache_bytes"] > told["cache_bound_bytes"]
    assert "1,000 tables of events take about " in err
    assert "10,000,000,000 replays take about " in err
    assert "tables are kept on disk: the rest is made again" in err
    app(["validate", str(path)], standalone_mode=False)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{path}: needs about ")
    assert "zipf (about 3" in second
    assert second.endswith("events, not made yet) and 980 more")


def test_the_limits_are_of_the_machine_of_its_cgroups_and_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory_limit_bytes()
    (tmp_path / "batch" / "job").mkdir(parents=True)
    (tmp_path / "batch" / "memory.max").write_text("1000000\n")
    (tmp_path / "batch" / "job" / "memory.max").write_text("max\n")
    (tmp_path / "own").write_text("1:cpu:/x\n0::/batch/job\n")
    monkeypatch.setattr(available_memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(available_memory, "_OWN_CGROUPS", tmp_path / "own")
    assert memory_limit_bytes() == 1_000_000
    (tmp_path / "memory" / "job").mkdir(parents=True)
    (tmp_path / "memory" / "job" / "memory.limit_in_bytes").write_text("2000000\n")
    (tmp_path / "own").write_text("5:cpu,memory:/job\n")
    assert memory_limit_bytes() == 2_000_000
    (tmp_path / "own").write_text("nonsense\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (whole - 1, hard))
    try:
        assert memory_limit_bytes() == whole - 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_kills_for_memory_are_counted_of_the_cgroup_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "batch" / "job", tmp_path / "memory" / "job"):
        folder.mkdir(parents=True)
    (tmp_path / "batch" / "memory.events").write_text("oom 9\noom_kill 9\n")
    (tmp_path / "batch" / "job" / "memory.events").write_text("oom 5\noom_kill 2\n")
    (tmp_path / "memory" / "job" / "memory.oom_control").write_text("under_oom 0\noom_kill 3\n")
    monkeypatch.setattr(available_memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(available_memory, "_OWN_CGROUPS", tmp_path / "own")
    assert kills_for_memory() == 0
    (tmp_path / "own").write_text("1:cpu:/x\n0::/batch/job\n")
    assert kills_for_memory() == 2
    (tmp_path / "own").write_text("5:cpu,memory:/job\n1:name=systemd:/batch\n0::/\n")
    assert kills_for_memory() == 3


def test_a_small_study_is_told_without_a_warning(tmp_path: Path) -> None:
    study, source = load_study(ROOT / "studies" / "quickstart.yaml")
    needed = needs_of(study, load_inputs(study, source), 2)
    assert list(needs_warnings(needed)) == []
    assert needed.runs >= needed.replays > 0
