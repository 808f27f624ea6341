"""Where the trace commands write: never over a folder, nor over what they read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import small_study
from block_events import Device, Truth
from captures import CAPTURE_PART
from commands import CommandInThisProcess

from core.event_files import write_table
from core.events import EventsError

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
        write_table(tmp_path / "folder", pa.table({"time_ns": [1]}))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
