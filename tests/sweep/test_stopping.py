"""A signal ends every command: in order, within its time, with one line of what is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import pytest
import signals
from hazard import Counts
from signals import BEGINS, wait_until_it_answers
from streams import compiled

from sweep.cli import waiting

#: The law is a second; a machine that does other things too takes its time to start a thread.
WITHIN_S = 3.0
Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with traces that take seconds to read."""
    folder = tmp_path_factory.mktemp("long")
    lines = "".join(f"{second},f{second % 97},{second * 4096},8192,R\n" for second in range(10**5))
    with (folder / "long.csv").open("w") as file:
        file.write("time,file,offset,size,op\n")
        file.writelines([lines] * 100)
    event = " app-1 [000] .... 1.000000: mm_filemap_add_to_page_cache: dev 0:1 ino 2 pfn=0x3 ofs=0"
    with (folder / "long.txt").open("w") as file:
        file.writelines([f"{event} order=0\n" * 10**5] * 40)
    return folder


def stopped(process: Process, number: int) -> tuple[float, str]:
    """Send a signal to a process; return how long it took to end, and what is on its stderr."""
    assert process.poll() is None, process.communicate()
    sent = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return time.monotonic() - sent, err


@pytest.mark.parametrize("number", BEGINS)
@pytest.mark.parametrize(
    "words",
    [
        "trace synthesise zipf --set asks=100000000 -o OUT.parquet",
        "trace import IN.csv -o OUT.parquet",
        "trace import IN.txt -o OUT.parquet",
        "trace cut IN.txt --to 9s -o OUT.txt.gz",
    ],
)
def test_a_signal_stops_a_long_command_within_a_second(
    folder: Path, tmp_path: Path, words: str, number: int
) -> None:
    typed = words.replace("IN", str(folder / "long")).replace("OUT", str(tmp_path / "out")).split()
    process = commands.start(*typed)
    wait_until_it_answers(process)
    time.sleep(0.3 + 0.4 * (number % 3))  # while it imports modules, reads, and replays
    took_s, err = stopped(process, number)
    assert process.returncode == 128 + number, err
    assert err.splitlines()[-1] == f"{BEGINS[number]}nothing is written"
    assert "Traceback" not in err
    assert took_s < WITHIN_S
    assert list(tmp_path.iterdir()) == []


def test_a_signal_stops_a_command_that_compiles(tmp_path: Path) -> None:
    table = tmp_path / "accesses.parquet"
    assert commands.say("trace", "synthesise", "zipf", "--set", "asks=5000", "-o", table)[0] == 0
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = commands.start("trace", "reclaim", table, "-o", tmp_path / "x", env=environment)
    compiling = "compiling what no reclaim has needed before\n"
    assert process.stderr
    assert process.stderr.readline() == compiling
    took_s, err = stopped(process, signal.SIGTERM)
    assert (process.returncode, err) == (143, "stopped by SIGTERM: nothing is written\n")
    assert took_s < WITHIN_S


@compiled
def test_ctrl_c_stops_a_run_whose_loops_are_compiled_and_its_processes() -> None:
    counts = Counts()
    signals.stop("threads, compiling", signal.SIGINT, 0.5, False, counts, 0, "compiling 1 of")
    assert (counts.kills, counts.failures) == (1, [])


#: The command line, which waits where it would import what it takes.
BEGINNING = """
import sys, time, types
late = sys.modules["sweep.cli.main"] = types.ModuleType("late")
late.main = lambda: print("begins", flush=True) or time.sleep(60)
from sweep.__main__ import main
main()
"""


@pytest.mark.parametrize("number", BEGINS)
def test_a_signal_stops_a_command_that_begins(number: int) -> None:
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", BEGINNING]
    process = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "begins\n"
    _, err = stopped(process, number)
    assert (process.returncode, err) == (128 + number, f"{BEGINS[number]}nothing is written\n")


PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
from sweep.cli.stopping import answering_signals, saying_what_is_kept
with answering_signals(), saying_what_is_kept(lambda: "all is kept", float(sys.argv[1])):
    print("ready", flush=True)
"""


def program(tmp_path: Path, in_order_s: float, inside: str) -> Process:
    """Start a program that stops as a command does, and has so long to do it in order."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM + "".join(f"    {line}\n" for line in inside.splitlines()))
    pipe = subprocess.PIPE
    words = [sys.executable, str(path), str(in_order_s)]
    process = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    return process


DEAF = """\
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
"""


def test_a_signal_that_gets_lost_ends_the_command_when_its_time_is_over(tmp_path: Path) -> None:
    process = program(tmp_path, 0.5, DEAF)
    took_s, err = stopped(process, signal.SIGHUP)
    assert (process.returncode, err) == (129, "stopped by SIGHUP: all is kept\n")
    assert 0.5 <= took_s < 0.5 + WITHIN_S


CALLED_BACK = """\
import ctypes
call = ctypes.CFUNCTYPE(None)(lambda: [time.sleep(0.01) for _ in range(100)])
while True:
    call()
"""


def test_a_signal_that_gets_lost_in_a_callback_prints_no_traceback(tmp_path: Path) -> None:
    process = program(tmp_path, 0.5, CALLED_BACK)
    _, err = stopped(process, signal.SIGTERM)
    assert (process.returncode, err) == (143, "stopped by SIGTERM: all is kept\n")


def test_a_signal_that_gets_lost_in_a_callback_is_sent_again(tmp_path: Path) -> None:
    inside = (
        "import ctypes\n"
        "try:\n"
        "    ctypes.CFUNCTYPE(None)(lambda: [time.sleep(0.01) for _ in range(40)])()\n"
        "    time.sleep(60)\n"
        "finally:\n"
        "    print('tidied')"
    )
    process = program(tmp_path, 50.0, inside)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("tidied\n", "interrupted: all is kept\n")
    assert process.returncode == 130
    assert time.monotonic() - sent < WITHIN_S


def test_a_second_signal_leaves_at_once_with_the_code_of_the_first(tmp_path: Path) -> None:
    process = program(tmp_path, 50.0, DEAF)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    took_s, err = stopped(process, signal.SIGINT)
    assert (process.returncode, err) == (143, "stopped by SIGTERM: all is kept\n")
    assert took_s < WITHIN_S


def test_a_signal_sent_twice_at_once_is_one(tmp_path: Path) -> None:
    tidy = "try:\n    time.sleep(60)\nfinally:\n    time.sleep(0.4)\n    print('tidied')\n"
    process = program(tmp_path, 5.0, tidy)
    for _ in range(2):  # as `timeout` does
        process.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    assert process.communicate() == ("tidied\n", "stopped by SIGTERM: all is kept\n")
    assert process.returncode == 143


def test_a_thread_in_native_code_holds_nothing_up(tmp_path: Path) -> None:
    sorts = "lambda: [np.sort(numbers) for _ in range(1000)]"
    inside = (
        "numbers = np.random.default_rng(1).random(10_000_000)\n"
        f"for daemon in (True, False):\n    threading.Thread(target={sorts}, daemon=daemon).start()"
        "\ntime.sleep(60)"
    )
    process = program(tmp_path, 5.0, inside)
    time.sleep(1)
    took_s, err = stopped(process, signal.SIGINT)
    assert (process.returncode, err) == (130, "interrupted: all is kept\n")
    assert took_s < WITHIN_S


def test_a_signal_to_a_forked_child_is_not_its_parents(tmp_path: Path) -> None:
    inside = (
        "child = os.fork()\n"
        "if child == 0:\n    time.sleep(60)\n    os._exit(3)\n"
        "time.sleep(0.2)\nos.kill(child, signal.SIGTERM)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\ntime.sleep(0.5)"
    )
    process = program(tmp_path, 0.1, inside)
    assert process.communicate() == ("-15\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["HUP", "INT"])
def test_what_is_ignored_at_the_start_stays_ignored(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.parquet"
    words = f"trace synthesise zipf --set asks=200000 -o {out}"
    command = f"trap '' {name}; exec {sys.executable} -m sweep {words}"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as process:
        wait_until_it_answers(process)
        process.send_signal(getattr(signal, f"SIG{name}"))
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.exists()


def test_without_a_terminal_progress_is_a_line_at_intervals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LINE_INTERVAL_S", 0.2)
    with waiting.telling_of_progress("reclaiming", "accesses") as advance:
        time.sleep(0.3)
        advance(1_500_000, 12_000_000)
        time.sleep(0.2)  # as if in a long call
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "reclaiming: 0 s so far",
        "reclaiming: 1.5 of 12.0 M accesses, 0 s so far",
    ]
