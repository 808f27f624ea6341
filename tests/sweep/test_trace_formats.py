"""Tables of text and their formats, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import CommandInThisProcess

from core.accesses import WRITE, read_accesses
from core.event_files import read_events
from core.workload.formats import FORMATS

MICROSECONDS = (
    "ts,path,op\n1577808144360767,a,GET\n1577808144360891,b,TRIM\n1577808144360899,a,SET\n"
)
NAMED = ("--columns", "time=ts,file=path")


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def test_every_format_is_listed_with_its_units(say_here: CommandInThisProcess) -> None:
    code, out, err = say_here("trace", "formats")
    assert code == 0, err
    for row in FORMATS:
        assert f"\n{row.name}: " in "\n" + out
    assert "offset and size in sectors of 512 bytes; 0 reads, 1 writes" in out
    code, out, err = say_here("trace", "formats", "--json")
    told = json.loads(out)
    assert [row["name"] for row in told] == [row.name for row in FORMATS]
    assert {row["kind"] for row in told} == {"capture", "requests"}
    code, out, err = say_here("trace", "formats", "spc")
    assert "| 0,303567,3584,w,0.000000" in out
    code, _, err = say_here("trace", "formats", "spd")
    assert (code, "did you mean spc?" in err) == (2, True)


def test_a_guess_is_said_and_stays_with_the_table(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    path, out = tmp_path / "t.csv", tmp_path / "out.parquet"
    path.write_text(MICROSECONDS)
    code, said, err = say_here("trace", "import", path, "-o", out, *NAMED, "--json")
    assert code == 0, err
    told = json.loads(said)
    assert told["read_as"].startswith("read as csv: 3 columns, separated by commas: time is ts, ")
    assert told["read_as"].endswith("time in us; --format to overrule")
    assert told["read_as"] in err
    assert told["span_s"] == 132e-6
    assert told["unused"] == {"op TRIM": 1}
    names = ["guessed_time_unit", "skipped_operations"]
    assert [loss["name"] for loss in told["losses"]] == names
    assert [loss.name for loss in read_accesses(out).losses] == names
    code, said, err = say_here("trace", "info", out)
    assert "warning: 1 request neither reads nor writes, and is left out (TRIM 1)" in said
    words = ("--plain", "--memory", "1MiB", "--format", "csv")
    code, said, err = say_here("trace", "import", path, "-o", out, *NAMED, *words)
    assert code == 0, err
    assert [loss.name for loss in read_events(out).losses] == names
    assert "overrule)" not in err.split("warning")[0]


def test_a_named_format_that_is_recognised_is_said(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    path, out = tmp_path / "t", tmp_path / "out.parquet"
    path.write_text("128166372010810581,h,0,Write,8192,4096,54086\n")
    code, _, err = say_here("trace", "import", path, "-o", out)
    assert code == 0
    assert "read as msr: block traces of MSR Cambridge (2007): 7 columns" in err
    assert "time in 100ns; --format to overrule" in err
    path.write_text("7\n8\n")
    code, _, err = say_here("trace", "import", path, "-o", out)
    assert "it may be lirs; --format decides" in err
    assert "guessed_format" in [loss.name for loss in read_accesses(out).losses]
    code, _, err = say_here("trace", "import", path, "-o", out, "--format", "lirs")
    assert "guessed_format" not in [loss.name for loss in read_accesses(out).losses]
    assert read_accesses(out).index.tolist() == [7, 8]


def test_a_table_is_read_as_its_options_say(tmp_path: Path, say_here: CommandInThisProcess) -> None:
    path, out = tmp_path / "t", tmp_path / "out.parquet"
    path.write_text("5;16;8;w\n6;24;8;x\n")
    words = ["--columns", "time=1,offset=2,size=3,op=4", "--delimiter", ";", "--time-unit", "ms"]
    words += ["--offset-unit", "512", "--size-unit", "512", "--reads", "X,0", "--writes", "W"]
    code, said, err = say_here("trace", "import", path, "-o", out, *words, "--json")
    assert code == 0, err
    assert (json.loads(said)["span_s"], json.loads(said)["warnings"]) == (0.001, [])
    accesses = read_accesses(out)
    assert (accesses.index.tolist(), accesses.op.tolist()[0]) == ([2, 3], WRITE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--delimiter", "x"), "is none of comma, tab"),
        (("--offset-unit", "0"), "--offset-unit"),
        (("--size-unit", "much"), "--size-unit"),
        (("--reads", "R,,W"), "is not of the form WORD,WORD"),
        (("--reads", "R,W", "--writes", "w"), "w is in both"),
        (("--columns", "time=7,file=1"), "time=7 is none of 1 to 3"),
        ((), "say which are which by their numbers"),
        (("--format", "msr"), "3 columns, and msr has 7"),
        (("--format", "spc", "--reads", "r"), "is of csv, and the format is spc"),
    ],
)
def test_what_is_wrong_with_the_options_of_a_table_is_one_line(
    tmp_path: Path, say_here: CommandInThisProcess, words: tuple[str, ...], told: str
) -> None:
    path = tmp_path / "t"
    path.write_text("5;16;8\n6;24;8\n")
    code, out, err = say_here("trace", "import", path, "-o", tmp_path / "out.parquet", *words)
    assert (code, out) == (2, "")
    assert told in " ".join(err.replace("│", " ").split()), err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [path]
