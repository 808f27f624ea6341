"""Where the trace commands write: never over a folder, nor over what they read."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import small_study
from block_events import Device, Truth
from captures import CAPTURE_PART
from commands import CommandInThisProcess
from perfetto_traces import example as perfetto_example

from core.event_files import FORM
from core.events import SCHEMA, EventsError
from core.files import written_whole
from core.table_files import write_table

CSV = "time,file\n1,a\n2,b\n3,a\n"


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    """Return `say` in this process: the commands that are refused are many."""
    return CommandInThisProcess(monkeypatch, capsys)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a folder, and a file of each kind that a command reads."""
    (tmp_path / "folder").mkdir()
    shutil.copy(CAPTURE_PART, tmp_path / "capture.gz")
    device = Device(Truth(110_000, 10_000, 2_800), 1)
    device.alone(500)
    (tmp_path / "block.txt").write_bytes(device.text())
    (tmp_path / "requests.csv").write_text(CSV)
    small_study.write_trace(tmp_path, 100)
    (tmp_path / "meta.tar").touch()
    return tmp_path


COMMANDS = {
    "import a capture": ("import", "capture.gz"),
    "import requests": ("import", "requests.csv"),
    "costs": ("costs", "block.txt"),
    "reclaim": ("reclaim", "small.parquet"),
    "repair": ("repair", "small.parquet"),
    "record": ("record",),
    "synthesise": ("synthesise", "zipf", "--memory", "16MiB"),
}
READING = [name for name, words in COMMANDS.items() if "." in words[-1]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_is_no_file_to_write(
    files: Path, say_here: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(files)
    before = sorted(files.rglob("*"))
    code, out, err = say_here("trace", *COMMANDS[name], "-o", "folder")
    assert (code, out) == (2, "")
    assert err == "folder: is a folder; give the name of a file in it\n"
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize("name", [*COMMANDS, "cut"])
@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("-", "-o -: nothing goes to standard output; give the name of a file\n"),
        ("a\nb", "a\\nb: holds a line break or the like; give another name\n"),
    ],
)
def test_no_file_is_called_a_dash_or_has_a_name_of_two_lines(
    files: Path,
    say_here: CommandInThisProcess,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    output: str,
    told: str,
) -> None:
    monkeypatch.chdir(files)
    before = sorted(files.rglob("*"))
    words = COMMANDS.get(name, ("cut", "capture.gz", "--from", "0s"))
    assert say_here("trace", *words, "-o", output) == (2, "", told)
    assert sorted(files.rglob("*")) == before


def test_the_name_of_a_file_never_splits_a_message(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    name = "two\nlines\x85.txt"
    (tmp_path / name).write_text("nothing\n")
    (tmp_path / "pf").mkdir()
    (tmp_path / "pf" / name).write_bytes(perfetto_example())
    for path in (tmp_path / name, tmp_path / "pf" / name, tmp_path / "none" / name):
        for command in (("import",), ("costs",), ("cut", "--from", "0s"), ("repair",)):
            if command == ("import",) and path.parent.name == "pf":
                continue  # It is read.
            out = tmp_path / ("out.txt" if "cut" in command else "out.parquet")
            code, _, err = say_here("trace", *command, path, "-o", out)
            assert (code, err.count("\n"), "two\\nlines\\x85.txt" in err) == (2, 1, True), err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"junk", "it is no tar, or a damaged one"),
        (gzip.compress(b""), "it is no tar, or a damaged one"),
        (
            gzip.compress(bytes(range(256)) * 90)[:-60],
            "a file of gzip, cut off or damaged inside its compressed data: Compressed file ended "
            "before the end-of-stream marker was reached (plain text, gzip, zstd, xz, bzip2, lz4 "
            "and zip are read)",
        ),
    ],
)
def test_an_archive_that_does_not_tell_the_memory_is_told_in_a_line_with_what_helps(
    files: Path, say_here: CommandInThisProcess, content: bytes, why: str
) -> None:
    archive, out = files / "capture.meta.tar.gz", files / "x.parquet"
    archive.write_bytes(content)
    code, _, err = say_here("trace", "import", files / "capture.gz", "-o", out)
    assert code == 2
    told = f"no archive of a recording: {why}"
    assert err == f"{archive}: {told}; --memory SIZE reads the trace without this\n"
    with tarfile.open(archive, "w:gz"):
        pass
    code, _, err = say_here("trace", "import", files / "capture.gz", "-o", out)
    assert code == 2
    told = "has no /proc/zoneinfo with a populated zone; --memory SIZE reads the trace without this"
    assert err == f"{archive}: {told}\n"


def test_a_folder_of_the_traces_of_cpus_names_them(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    folder = tmp_path / "per_cpu"
    (folder / "cpu0").mkdir(parents=True)
    (folder / "cpu0" / "trace").write_text("nothing\n")
    for given in (folder, tmp_path):
        code, _, err = say_here("trace", "import", given, "-o", tmp_path / "x.parquet")
        told = f"a folder, of a trace of each CPU: give these, {folder}/cpu*/trace\n"
        assert (code, err) == (2, f"{given}: {told}")


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("links", [False, True])
def test_what_a_command_reads_is_never_overwritten(
    files: Path,
    say_here: CommandInThisProcess,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    links: bool,
) -> None:
    monkeypatch.chdir(files)
    source = COMMANDS[name][-1]
    content, written = (files / source).read_bytes(), source
    if links:
        written = "link"
        (files / written).symlink_to(source)
    code, out, err = say_here("trace", *COMMANDS[name], "-o", written)
    assert (code, out) == (2, "")
    told = f"{written}: is read by this command, which would overwrite it; give another name\n"
    assert err == told
    assert (files / source).read_bytes() == content


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("import", "capture.gz", "-o", "x", "--accesses", "capture.gz"), "capture.gz: is read"),
        (("import", "capture.gz", "-o", "x", "--accesses", "folder"), "folder: is a folder"),
        (
            ("import", "capture.gz", "-o", "x", "--accesses", "folder/../x"),
            "is where the mm events",
        ),
        (("import", "capture.gz", "-o", "meta.tar", "--meta", "meta.tar"), "meta.tar: is read"),
        (("costs", "block.txt", "-o", "meta.tar", "--meta", "meta.tar"), "meta.tar: is read"),
        (("import", "capture.gz", "folder/../capture.gz", "-o", "x"), "is given twice"),
        (("import", "requests.csv", "requests.csv", "-o", "x"), "requests.csv: is given twice"),
        (("costs", "block.txt", "block.txt"), "block.txt: is given twice, and would count twice"),
    ],
)
def test_no_file_is_both_of_two_that_a_command_is_given(
    files: Path,
    say_here: CommandInThisProcess,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(files)
    before = {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
    code, out, err = say_here("trace", *words)
    assert (code, out) == (2, "")
    assert told in err
    assert {path: path.read_bytes() for path in files.iterdir() if path.is_file()} == before


def test_a_table_that_cannot_be_written_leaves_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(EventsError, match="cannot be written"):
        write_table(tmp_path / "folder", FORM, {name: np.zeros(1) for name in SCHEMA.names}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_no_file_takes_the_place_of_what_is_none(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "it")
    kind = (tmp_path / "it").stat().st_mode
    with (
        pytest.raises(OSError, match="a folder, a pipe or a device, and no file"),
        written_whole(tmp_path / "it"),
    ):
        pass
    assert (tmp_path / "it").stat().st_mode == kind
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
