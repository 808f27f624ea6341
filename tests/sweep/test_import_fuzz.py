"""No damaged trace brings a traceback, a file that is half written, or a table that is wrong."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
from commands import CommandInThisProcess
from format_examples import capture_text
from mutated_traces import Mutant, bombs, mutant, originals
from taken_or_refused import check_said
from typer.main import get_command

from sweep.cli.main import app

MUTANTS = 2000
#: What the process may grow by over all of them; one that kept what it reads would need more.
GROWTH_KIB = 400 << 10
LONGEST_S = 5.0


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    # Else every call would build the commands anew, which takes longer than an import.
    monkeypatch.setattr("sweep.cli.main.app", get_command(app))
    return CommandInThisProcess(monkeypatch, capsys)


def import_one(
    say_here: CommandInThisProcess, folder: Path, damaged: Mutant
) -> tuple[int, float, str]:
    """Import a file, check what came, and return the exit code, the seconds, and stderr."""
    path = folder / damaged.name
    path.write_bytes(damaged.content)
    words = [str(folder / word) if word == "accesses.parquet" else word for word in damaged.words]
    start = time.monotonic()
    said = say_here("trace", "import", path, "-o", folder / "out.parquet", *words)
    seconds = time.monotonic() - start
    check_said(said, folder, path)
    for file in folder.iterdir():
        file.unlink()
    return said[0], seconds, said[2]


def warm_up(say_here: CommandInThisProcess, folder: Path) -> None:
    """Import undamaged files: what is compiled and loaded once takes no time and memory later."""
    for name, content in originals():
        import_one(say_here, folder, Mutant(name, name, content, ()))
    # An access trace of a machine of unknown size looks at 64 Mi frames.
    accesses = ("--format", "ftrace", "--accesses", "accesses.parquet")
    import_one(say_here, folder, Mutant("x", "x", capture_text(60), accesses))


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_damaged_trace_is_imported_or_refused_in_one_line(
    say_here: CommandInThisProcess, tmp_path: Path
) -> None:
    warm_up(say_here, tmp_path)
    before = peak_kib()
    codes = []
    for seed in range(MUTANTS):
        damaged = mutant(seed)
        try:
            code, seconds, _ = import_one(say_here, tmp_path, damaged)
        except Exception as error:
            error.add_note(f"seed {seed}: {damaged.origin} {' '.join(damaged.words)}")
            raise
        assert seconds < LONGEST_S, f"seed {seed}: {damaged.origin}"
        codes.append(code)
    assert peak_kib() - before < GROWTH_KIB
    # Else the mutants would test one of both alone.
    assert MUTANTS / 5 < codes.count(0) < 4 * MUTANTS / 5


def test_a_small_file_of_many_bytes_takes_little_time_and_memory(
    say_here: CommandInThisProcess, tmp_path: Path
) -> None:
    warm_up(say_here, tmp_path)
    files = bombs()
    before = peak_kib()
    for name, content in files.items():
        _, seconds, _ = import_one(say_here, tmp_path, Mutant(name, name, content, ()))
        assert seconds < LONGEST_S, name
    assert peak_kib() - before < GROWTH_KIB


def test_a_long_line_takes_little_time(say_here: CommandInThisProcess, tmp_path: Path) -> None:
    warm_up(say_here, tmp_path)
    contents = {
        "columns without names": b"5," * 32_000 + b"R\n",
        "columns with names": b"device_id,op,time," + b"1," * 30_000 + b"\nx,R,1\n",
        "blanks in a name": b"time,a" + b" " * 60_000 + b"b\n1,2\n",
        "digits": b"time,file\n" + b"9" * 60_000 + b"x,2\n",
        "digits after a blank": b"a " + b"9" * 60_000 + b"x\n",
        "blanks before a time": (b"a" + b" " * 4000 + b"b.c 1.000001: mm_x: y=1\n") * 30,
    }
    for name, content in contents.items():
        _, seconds, _ = import_one(say_here, tmp_path, Mutant(name, name, content, ()))
        assert seconds < LONGEST_S, name
