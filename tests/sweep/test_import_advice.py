"""What is said where files are no parts of one trace, no tables, or a command is cut short."""

from __future__ import annotations

from pathlib import Path
from time import sleep

import pytest
from commands import CommandInThisProcess
from ftrace_lines import add, text
from study_mistakes import TRACE, changed, mistakes

from core.workload.formats import check_same_format
from core.workload.text import TraceError
from sweep.cli import import_requests, waiting
from sweep.cli.import_command import took_words
from sweep.study.json_schema import json_schema

CSV = "time,file,offset,size,op\n" + "".join(f"{n}.5,a,{n},8,R\n" for n in range(9))
PLAIN = {
    "a.csv": CSV,
    "part.csv": CSV.partition("\n")[2],
    "spc.csv": "".join(f"0,{n},4096,W,{n}.5\n" for n in range(9)),
    "ali.csv": "".join(f"2,R,{n * 4096},4096,{1_700_000_000_000_000 + n}\n" for n in range(9)),
    "ftrace.txt": text(add(index) for index in range(9)),
    "more.txt": text((add(index) for index in range(9)), start=99_000_000),
}


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a trace of each of some formats."""
    for name, content in PLAIN.items():
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "formats"),
    [
        ("ftrace.txt a.csv", ("csv", "ftrace")),
        ("a.csv ftrace.txt", ("ftrace", "csv")),
        ("spc.csv ali.csv", ("alibaba", "spc")),
        ("a.csv ali.csv", ("alibaba", "csv")),
    ],
)
def test_files_of_two_formats_are_refused_by_the_names_of_both(
    names: str, formats: tuple[str, str], folder: Path, sweep: CommandInThisProcess
) -> None:
    first, second = names.split()
    paths = [folder / first, folder / second]
    code, _, said = sweep("trace", "import", *paths, "-o", folder / "x.parquet")
    assert code == 2
    told = f"{second}: is of the format {formats[0]}, and {first} is of {formats[1]}: "
    assert told in said
    assert "import them one by one" in said
    assert not (folder / "x.parquet").exists()


@pytest.mark.parametrize("names", ["a.csv part.csv", "ftrace.txt more.txt", "ali.csv ali.csv"])
def test_parts_of_one_format_are_parts(names: str, folder: Path) -> None:
    check_same_format([folder / name for name in names.split()])


def test_options_of_tables_are_refused_for_a_capture(
    folder: Path, sweep: CommandInThisProcess
) -> None:
    for option in (("--reads", "R"), ("--columns", "time=1")):
        said = sweep("trace", "import", folder / "ftrace.txt", *option, "-o", folder / "x")
        assert said[0] == 2
        assert f"{option[0]}: is of csv, and the format is ftrace" in said[2]


def test_a_folder_of_cpus_says_which_files_to_give(folder: Path) -> None:
    (folder / "per_cpu/cpu0").mkdir(parents=True)
    (folder / "per_cpu/cpu0/trace").write_text("# tracer: nop\n")
    with pytest.raises(TraceError, match=r"give these, .*/per_cpu/cpu\*/trace"):
        check_same_format([folder / "per_cpu", folder / "a.csv"])


def test_a_trace_in_the_place_of_a_table_is_told_with_the_command_that_makes_it_one(
    folder: Path, sweep: CommandInThisProcess
) -> None:
    for name, kind, command in (
        ("ftrace.txt", "trace", "`sweep trace import ftrace.txt -o ftrace.parquet` makes one"),
        ("ftrace.txt", "accesses", "-o ftrace.parquet --accesses ftrace.accesses.parquet`"),
        ("a.csv", "trace", "`sweep trace import a.csv -o a.parquet` makes an access trace"),
    ):
        (line,) = mistakes(changed((f"trace: {TRACE}", f"{kind}: {name}")), folder / "s.yaml")
        assert line.startswith(f"2:{15 + len(kind)}: {folder / name}: is of the format ")
        assert command in line
    code, _, said = sweep("trace", "info", folder / "ftrace.txt")
    assert code == 2
    assert "-o ftrace.parquet` makes one" in said


def test_a_ratio_out_of_bounds_is_told_in_one_line() -> None:
    tenant = f"{TRACE}, tagged_ratio: 1.2"
    assert mistakes(changed((TRACE, tenant))) == [
        "2:70: tagged_ratio should be at most 0.9, not 1.2"
    ]


def test_a_key_that_only_holds_anchors_begins_with_x() -> None:
    assert mistakes("x-of-all: &all {name: random}\n" + changed(("{name: random}", "*all"))) == []
    (line,) = mistakes("defaults: &all {name: random}\n" + changed(("{name: random}", "*all")))
    assert line.startswith("1:1: unknown key defaults; ")
    assert line.endswith("; a key that only holds anchors begins with x-")
    assert list(json_schema()["patternProperties"]) == ["^x-"]


def test_a_name_that_a_cut_asks_for_in_vain_is_answered_once(
    folder: Path, sweep: CommandInThisProcess
) -> None:
    said = sweep("trace", "cut", folder / "ftrace.txt", "--task", "nobody", "-o", folder / "x.txt")
    assert said[2] == f"{folder / 'ftrace.txt'}: nothing of task nobody; it has app one\n"


def test_an_interrupt_says_what_is_written(
    folder: Path, sweep: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(import_requests, "write_accesses", interrupt)
        said = sweep("trace", "import", folder / "a.csv", "-o", folder / "x.parquet")
    assert said == (130, "", "interrupted: nothing is written\n")
    monkeypatch.setattr(import_requests, "note", interrupt)  # after what it wrote
    path = folder / "y.parquet"
    said = sweep("trace", "import", folder / "a.csv", "-o", path)
    assert said == (130, "", f"interrupted: {path} is written\n")


def test_compiling_is_told_once_and_only_if_it_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LONG_S", 0.05)
    compiling = waiting.Compiling("import")
    for seconds in (0.0, 0.2, 0.2):
        compiling.begins()
        sleep(seconds)
        compiling.ends()
    assert capsys.readouterr().err == "compiling what no import has needed before\n"
    assert 0.4 <= compiling.seconds < 2


def test_a_rate_leaves_compiling_out_and_is_of_no_instant() -> None:
    assert took_words(26.0, 25.5, 7000, "lines") == "26.0 s, 25.5 s of which compiled"
    assert took_words(27.5, 25.5, 7_000_000, "lines").endswith(", 3.5 M lines/s")
    assert took_words(0.5, 0.0, 7_000_000, "lines") == "0.5 s"
