"""Requests of other formats, imported as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import request_files as files
from commands import CommandInThisProcess, say

from core.accesses import read_accesses
from core.event_files import read_events
from core.workload import formats
from core.workload.synthetic import parameters_of, synthesise

CSV = "ts,path\n1,a\n2,b\n3,a\n"


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    """Return `say` in this process: the commands that are refused are many."""
    return CommandInThisProcess(monkeypatch, capsys)


@pytest.mark.parametrize("name", ["oracle_general", "blktrace"])
def test_a_trace_of_requests_becomes_an_access_trace(tmp_path: Path, name: str) -> None:
    requests = files.whole_files(200)
    path, out = files.write(tmp_path, name, requests, ".zst"), tmp_path / "out.parquet"
    code, said, err = say("trace", "import", path, "-o", out, "--page-size", "16KiB", "--json")
    assert code == 0, err
    told = json.loads(said)
    assert told["format"] == name
    assert told["counts"]["requests"] == 200
    accesses = read_accesses(out)
    assert (accesses.page_size, accesses.data_pages, accesses.source) == (16384, 0, path.name)
    assert told["counts"]["rows"] == accesses.op.size
    pages = [-(-request.size // 16384) for request in requests]
    assert told["counts"]["requested_pages"] == sum(pages)


@pytest.mark.parametrize("words", [(), ("--plain", "--memory", "64MiB")])
def test_more_rows_than_a_table_may_have_are_told_of_the_file(
    tmp_path: Path, say_here: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr("core.workload.requests.requests.MOST_ROWS", 100)
    path = files.write(tmp_path, "csv", files.whole_files(200))
    code, _, err = say_here("trace", "import", path, "-o", tmp_path / "x.parquet", *words)
    assert (code, err.startswith(f"{path}: would be ")) == (2, True), err


def test_an_access_trace_can_be_looked_at(tmp_path: Path, say_here: CommandInThisProcess) -> None:
    path, out = files.write(tmp_path, "csv", files.whole_files(200)), tmp_path / "out.parquet"
    code, said, err = say("trace", "import", path, "-o", out)
    assert code == 0, err
    assert "200  requests" in said
    code, said, err = say("trace", "info", out)
    assert code == 0, err
    assert "machine: none" in said
    assert "lookup" in said
    code, said, err = say_here("trace", "info", out, "--json")
    figures = json.loads(said)
    assert figures["files"] == len({request.file for request in files.whole_files(200)})
    assert figures["requested_pages"] >= figures["distinct_pages"] > 0
    code, _, err = say_here("trace", "reclaim", out, "-o", tmp_path / "events.parquet")
    assert (code, "say how much --memory" in err) == (2, True)


def test_a_plain_trace_is_a_restore_and_a_store_for_each_request(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    path, out = tmp_path / "t.csv", tmp_path / "out.parquet"
    path.write_text("ts,path,size\n1,a,9000\n2,b,1\n")
    words = ["trace", "import", path, "-o", out, "--plain", "--memory", "1MiB"]
    words += ["--columns", "time=ts,file=path", "--time-unit", "us"]
    code, _, err = say(*words)
    assert code == 0, err
    events = read_events(out)
    assert events.op.tolist() == [1, 0] * 4
    assert events.data_pages == 256
    assert np.unique(events.time_ns).tolist() == [0, 1000]
    code, _, err = say_here(*words, "--ignore-size")
    assert code == 0, err
    assert read_events(out).index.tolist() == [0] * 4
    code, said, err = say_here("trace", "info", out)
    assert (code, "restore 2" in said) == (0, True), err


def test_what_cannot_be_imported_is_one_line_and_leaves_nothing(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    whole = files.oracle_general(files.whole_files(9000))
    traces = {
        "cut.oracleGeneral.zst": (files.packed(whole, ".zst")[:-9], "cut off or damaged"),
        "odd.oracleGeneral": (whole[:-1], "record 8999: cut off: 23 bytes of 24"),
        "empty.csv": (b"", "is empty"),
        "missing.csv": (CSV.encode(), "no column time (for time) in ts, path"),
        "bad.csv": (b"time,file\n1,a\nb,a\n", "bad.csv:3: column time: 'b' is no number"),
    }
    for name, (content, told) in traces.items():
        (tmp_path / name).write_bytes(content)
        code, out, err = say_here(
            "trace", "import", tmp_path / name, "-o", tmp_path / "out.parquet"
        )
        assert (code, out) == (2, ""), err
        assert told in err
        assert "Traceback" not in err
    assert not list(tmp_path.glob("out*"))


def test_options_that_do_not_fit_the_format_are_refused(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(CSV)
    ftrace = tmp_path / "t.txt"
    ftrace.write_text("# tracer: nop\n")
    for trace, words, told in (
        (path, ["--accesses", "x"], "is of ftrace"),
        (path, ["--plain"], "needs --memory"),
        (path, ["--memory", "1GiB"], "needs --plain"),
        (path, ["--format", "csvv"], "did you mean csv?"),
        (path, ["--format", "msr", "--time-unit", "s"], "is of csv"),
        (path, ["--columns", "time=ts,file=path", "--time-unit", "sec"], "is none of s, ms"),
        (path, ["--page-size", "5000"], "not a power of two"),
        (ftrace, ["--plain"], "is of requests"),
    ):
        code, out, err = say_here("trace", "import", trace, "-o", tmp_path / "out.parquet", *words)
        assert (code, out) == (2, ""), err
        assert told in err
    assert not list(tmp_path.glob("out*"))


TOY_IMPORTER = """
import numpy as np
from core.workload.requests.collector import Collector
from core.workload.text import TraceError, read_chunks

def import_toy(paths, time_unit="s", page_size=4096, ignore_size=False, source="", progress=None):
    collector = Collector(page_size, ignore_size)
    for name, text in read_chunks(paths, progress):
        sizes = np.array([int(size) for size in text.splitlines()[1:]])
        zeros = np.zeros_like(sizes)
        steps = np.arange(sizes.size) * (1000 if time_unit == "us" else 10**9)
        collector.add(
            steps, zeros, zeros, sizes, zeros == 1, lambda row, what: TraceError(what, file=name)
        )
    return collector.finish(source)
"""


def test_a_format_is_added_by_a_file_and_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say_here: CommandInThisProcess
) -> None:
    (tmp_path / "toy_format.py").write_text(TOY_IMPORTER)
    monkeypatch.syspath_prepend(tmp_path)
    options = (*formats.REQUEST_OPTIONS, "--time-unit")
    toy = formats.Format("toy", "toy_format:import_toy", formats.first_line_is(rb"toy 1$"), options)
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, toy))
    path, out = tmp_path / "t", tmp_path / "out.parquet"
    path.write_text("toy 1\n1\n9000\n4096\n")
    for words in ([], ["--format", "toy"], ["--time-unit", "us"]):
        code, said, err = say_here("trace", "import", path, "-o", out, "--json", *words)
        assert code == 0, err
        assert json.loads(said)["format"] == "toy"
        assert json.loads(said)["counts"]["requested_pages"] == 5
        step_ns = 1000 if "us" in words else 10**9
        assert np.unique(read_accesses(out).time_ns).tolist() == [0, step_ns, 2 * step_ns]
    for words, told in (
        (["--columns", "time=a"], "is of csv, and the format is toy"),
        (
            ["--format", "msr", "--time-unit", "s"],
            "is of csv, libcachesim_csv, vscsi_csv, toy, and the format is msr",
        ),
        (["--format", "ftrace", "--plain"], "is of requests"),
        (["--format", "tyo"], "did you mean toy?"),
    ):
        code, _, err = say_here("trace", "import", path, "-o", out, *words)
        assert code == 2
        assert told in " ".join(err.replace("│", " ").split()), err


def test_a_synthetic_workload_is_written_as_its_access_trace(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    out = tmp_path / "zipf.parquet"
    words = ("trace", "synthesise", "zipf", "-o", out, "--memory", "16MiB", "--seed", 3)
    code, _, err = say_here(*words, "--set", "asks=500", "--set", "skew=0.7", "--json")
    assert code == 0, err
    parameters = parameters_of("zipf") | {"asks": 500, "skew": 0.7}
    made = synthesise("zipf", parameters, 3, 4096, 4096)
    for name, column in read_accesses(out).columns.items():
        assert np.array_equal(column, made.columns[name]), name


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("zip",), "unknown workload zip, did you mean zipf?"),
        (("zipf", "--set", "skw=1"), "no parameter skw, did you mean skew?"),
        (("zipf", "--set", "skew=9"), "skew is from 0 to 3, not 9"),
        (("zipf", "--set", "asks=1.5"), "'1.5' is no number of its kind"),
        (("zipf", "--memory", "5000"), "5000 bytes are not whole pages"),
    ],
)
def test_a_synthetic_workload_that_cannot_be_made_is_refused(
    tmp_path: Path, say_here: CommandInThisProcess, words: tuple[str, ...], told: str
) -> None:
    code, _, err = say_here("trace", "synthesise", *words, "-o", tmp_path / "out.parquet")
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert told in err
