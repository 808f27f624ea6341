"""Commands print in every encoding, and say in one line what they cannot write."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import CommandInThisProcess, say

from core.event_files import read_events, write_events
from core.events import EventsError
from core.workload.ftrace.capture import import_ftrace
from sweep.cli.streams import print_to_anything

LINES = "".join(
    f"  app-1 [001] ..... 10.{number:06}: mm_page_alloc: pfn=0x{0x40000 + number:x} order=0 "
    "migratetype=1 gfp_flags=GFP_USER|__GFP_ZEROTAGS\n"
    for number in range(64)
)
ENCODINGS = (
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
)


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trace and its table; their names are not of ASCII."""
    folder = tmp_path_factory.mktemp("é")
    (folder / "é.txt").write_text(LINES)
    write_events(folder / "é.parquet", import_ftrace([folder / "é.txt"], source="日本 é").events)
    write_events(folder / "e.parquet", read_events(folder / "é.parquet"))
    return folder


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: "".join(encoding.values()))
def test_trace_info_is_printed_in_every_encoding(encoding: dict[str, str], table: Path) -> None:
    env = os.environ | encoding
    code, out, err = say("trace", "info", "e.parquet", cwd=table, env=env, errors="replace")
    assert code == 0, err
    # The first command that needs them compiles its functions, and says so.
    assert not err.removeprefix("compiling what no trace info has needed before\n")
    bars = next(line for line in out.splitlines() if "tagged pages over time" in line)
    # From few to many: 64 pages are allocated one after the other.
    levels = [".:-=+*#@".index(sign) for sign in bars.rpartition(": ")[2].strip()]
    assert levels == sorted(levels)
    assert set(levels) == set(range(8))
    assert r"\u65e5" in out  # a letter that no sign stands for


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: "".join(encoding.values()))
def test_an_error_with_a_name_that_cannot_be_encoded_is_one_line(
    encoding: dict[str, str], table: Path
) -> None:
    for name in ("none-日本.parquet", os.fsdecode(b"none-\xff.parquet")):
        code, out, err = say("trace", "info", name, cwd=table, env=os.environ | encoding)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("none-\\")


def test_utf_8_prints_as_ever(table: Path) -> None:
    env = os.environ | {"PYTHONIOENCODING": "utf-8"}
    code, out, _ = say("trace", "info", "é.parquet", cwd=table, env=env)
    assert code == 0
    assert "▁" in out
    assert out.startswith("é.parquet: 日本 é")


def test_signs_have_a_form_in_ascii(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open(os.dup(1), "w", encoding="ascii") as stream:
        before, sys.stdout = sys.stdout, stream
        try:
            print_to_anything()
            print("▁▄█ 3 µs … \N{MINUS SIGN}1 \udcff 日")
        finally:
            sys.stdout = before
    assert capfdbinary.readouterr().out == b".=@ 3 us ... -1 \\xff \\u65e5\n"


def test_a_full_disk_leaves_no_half_of_a_table(table: Path, tmp_path: Path) -> None:
    events = read_events(table / "é.parquet")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limit[1]))
        with pytest.raises(EventsError, match=r"out\.parquet: cannot be written: File too large"):
            write_events(tmp_path / "out.parquet", events)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("/dev/full", "is a device or a pipe"),
        ("/dev/null", "is a device or a pipe"),
        ("pipe", "is a device or a pipe"),
        ("no/x", "there is no folder no"),
        ("é.txt/x", "there is no folder é.txt"),
        (".", "is a folder"),
        ("n" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(
    output: str, said: str, table: Path, say_here: CommandInThisProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(table)
    if not Path("pipe").exists():
        os.mkfifo("pipe")
    before = sorted(os.listdir())
    for words in (
        ("import", "é.txt", "-o"),
        ("import", "é.txt", "-o", "x.parquet", "--accesses"),
        ("repair", "é.parquet", "-o"),
        ("record", "-o"),
        ("synthesise", "zipf", "-o"),
        ("costs", "é.txt", "-o"),
    ):
        code, out, err = say_here("trace", *words, output)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith(f"{output}: ")
        assert said in err
    assert sorted(os.listdir()) == before
    assert Path("/dev/full").is_char_device()
    assert Path("/dev/null").is_char_device()


def test_a_folder_that_cannot_be_written_is_told(
    table: Path, say_here: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    code, _, err = say_here("trace", "import", table / "é.txt", "-o", table / "x.parquet")
    assert (code, err) == (2, f"{table / 'x.parquet'}: the folder {table} cannot be written\n")


@pytest.mark.parametrize("name", ["pipe", "empty", "junk", ".", "none", "/dev/null"])
def test_what_is_no_table_and_no_archive_is_refused_in_one_line(
    name: str, table: Path, say_here: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table)
    if not Path("pipe").exists():
        os.mkfifo("pipe")
    Path("empty").touch()
    Path("junk").write_bytes(b"\xbbjunk" * 20)
    for words in (
        ("info", name),
        ("truth", name),
        ("repair", name, "-o", "x"),
        ("reclaim", name, "-o", "x"),
        ("import", "é.txt", "-o", "x", "--meta", name),
        ("costs", "é.txt", "--meta", name),
    ):
        code, out, err = say_here("trace", *words)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith(f"{name}: ")
    assert not Path("x").exists()


def test_a_stdout_that_is_full_is_told(table: Path) -> None:
    for words in (("explain",), ("trace", "info", "é.parquet"), ("trace", "record")):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "sweep", *words],
                cwd=table,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert (done.returncode, done.stderr) == (2, "output: No space left on device\n")


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        ("| true", 0, ""),
        ("2>&1 >/dev/null | true", 0, ""),
        ("--no-such-option 2>&-", 2, ""),
        (">/dev/full", 2, "output: No space left on device\n"),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_error_of_this_program(
    redirected: str, code: int, said: str
) -> None:
    command = f"set -o pipefail; {sys.executable} -m sweep trace formats {redirected}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, said)


def test_no_file_gets_the_number_of_a_stream_that_is_closed() -> None:
    program = (
        "import os\n"
        "from sweep.cli.streams import print_to_anything\n"
        "print_to_anything()\n"
        "print('nowhere')\n"
        "assert os.open(os.devnull, os.O_RDONLY) > 2"
    )
    command = f'{sys.executable} -c "{program}" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE).returncode == 0


@pytest.mark.parametrize("size", ["0", "1", "9" * 5000, "²", "-3", "wide"])
def test_a_terminal_of_no_size_is_of_the_usual_one(
    size: str, monkeypatch: pytest.MonkeyPatch, say_here: CommandInThisProcess
) -> None:
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, size)
    code, out, _ = say_here("--help")
    assert code == 0
    assert max(map(len, out.splitlines())) == 80


def test_too_few_addresses_are_told_before_a_library_aborts(
    monkeypatch: pytest.MonkeyPatch, say_here: CommandInThisProcess
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (2**28, 2**28))
    assert say_here("status") == (
        2,
        "",
        "256 MiB of addresses (ulimit -v): 3072 are needed\n",
    )
