"""Perfetto as a user types it: the configuration to record with, import, and what info shows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import perfetto_traces as made
import pytest
from commands import CommandInThisProcess
from google.protobuf import text_format
from perfetto_traces import protos

from core.workload.perfetto.slots import OTHER, kind_of


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def config_of(text: str) -> protos.TraceConfig:
    return text_format.Parse(text, protos.TraceConfig())


def test_the_configuration_is_one_that_perfetto_reads_and_is_bounded(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    code, out, _ = say_here("trace", "record", "--perfetto", "-t", 30, "-m", 100)
    config = config_of(out)
    assert code == 0
    assert (config.duration_ms, config.max_file_size_bytes) == (30_000, 100 << 20)
    assert config.write_into_file
    assert config.file_write_period_ms > 0
    assert sum(buffer.size_kb for buffer in config.buffers) < 100 * 1024
    sources = {source.config.name: source.config for source in config.data_sources}
    assert set(sources) == {
        *("linux.ftrace", "linux.process_stats", "linux.sys_stats", "linux.system_info"),
    }
    assert sources["linux.sys_stats"].sys_stats_config.psi_period_ms > 0
    ftrace = sources["linux.ftrace"].ftrace_config
    assert 0 < ftrace.buffer_size_kb <= 16384
    default = config_of(say_here("trace", "record", "--perfetto")[1])
    assert (default.duration_ms, default.max_file_size_bytes) == (60_000, 1 << 30)
    path = tmp_path / "config.txt"
    code, printed, err = say_here("trace", "record", "--perfetto", "-o", path)
    assert (code, printed) == (0, "")
    assert "perfetto --txt -c -" in err
    assert config_of(path.read_text()) == default


def test_every_event_and_probe_of_the_configuration_is_one_that_an_import_reads(
    say_here: CommandInThisProcess,
) -> None:
    _, out, _ = say_here("trace", "record", "--perfetto")
    with_probes = out.replace("# ftrace_events:", "  ftrace_events:")
    names = config_of(with_probes).data_sources[0].config.ftrace_config.ftrace_events
    plain = config_of(out).data_sources[0].config.ftrace_config.ftrace_events
    assert len(names) == len(set(names)) == len(plain) + 11
    used = {name.partition("/")[2] for name in names if kind_of(name.partition("/")[2]) != OTHER}
    told = {name.partition("/")[2] for name in names}
    assert told - used <= {
        *("mm_vmscan_kswapd_wake", "mm_vmscan_kswapd_sleep"),
        "block_rq_complete",
    }
    # Of a request's issue alone nothing tells what it cost.
    assert {"block/block_rq_issue", "block/block_rq_complete"} <= set(plain)


def test_bounds_of_the_configuration_are_none_of_the_script(
    say_here: CommandInThisProcess,
) -> None:
    code, out, err = say_here("trace", "record", "-t", 5)
    assert (code, out) == (2, "")
    assert "need --perfetto; the script takes -t and -m" in err
    code, out, _ = say_here("trace", "record", "--perfetto", "-t", 0)
    assert (code, out) == (2, "")


def test_an_import_and_info_say_what_perfetto_could_not_tell(
    tmp_path: Path, say_here: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("phone.pftrace").write_bytes(made.example())
    words = ("trace", "import", "phone.pftrace", "-o", "t.parquet", "--accesses", "a.parquet")
    code, out, err = say_here(*words)
    assert code == 0, err
    assert "t.parquet: " in out
    assert "warning: phone.pftrace: orders: unknown: 14 insertions and deletions" in err
    code, out, err = say_here(*words, "--json")
    assert code == 0, err
    assert json.loads(out)["unused"]["compact_sched"] == 2
    code, out, _ = say_here("trace", "info", "t.parquet")
    assert code == 0
    assert "warning: orders: unknown: 14 insertions" in out
    assert "samples of the recording: nr_free_pages_least 1,000" in out
    code, out, _ = say_here("trace", "info", "a.parquet")
    assert "warning: orders: unknown: 14 insertions" in out


def test_without_the_extra_an_import_says_what_to_install(
    tmp_path: Path, say_here: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("phone.pftrace").write_bytes(made.example())
    monkeypatch.setitem(sys.modules, "perfetto.protos.perfetto.trace", None)
    code, out, err = say_here("trace", "import", "phone.pftrace", "-o", "t.parquet")
    assert (code, out) == (2, "")
    assert err.strip() == (
        "phone.pftrace: reading Perfetto needs the extra: pip install "
        "'tag-storage-sweep[perfetto]', or traceconv systrace"
    )
    assert not Path("t.parquet").exists()
