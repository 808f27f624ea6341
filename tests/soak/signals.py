"""Signals: commands that are stopped at any moment end in time, with a line, and leave nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import small_study
from hazard import Counts, Hazard, each_case

ROOT = Path(__file__).parents[2]
#: Signals, and how the line begins that a command ends with.
BEGINS = {
    signal.SIGINT: "interrupted: ",
    signal.SIGTERM: "stopped by SIGTERM: ",
    signal.SIGHUP: "stopped by SIGHUP: ",
}
#: A command that is stopped has so long to end, and what it started so long after it.
WITHIN_S, AFTER_S = 5.0, 10.0
#: What names the processes of a case, in their environment.
_MARK = "SWEEP_SOAK_CASE"
#: Agents of Ray's, which try to reach a dead head for a minute.
_LINGER = ("/dashboard/agent.py", "/runtime_env/agent/main.py", "ray::DashboardAgent")
_RUN = "run small.yaml --db OUT/results.duckdb --executor"
_PAIRS = "select sum(a.range * b.range) from range(1000000) a, range(1000000) b"


class _Command(NamedTuple):
    """A command that takes its time, how long at most, and whether its machine code is made."""

    words: tuple[str, ...]
    lasts_s: float
    is_cold: bool = False


COMMANDS = {
    "threads": _Command((*_RUN.split(), "threads"), 5.0),
    "threads, compiling": _Command((*_RUN.split(), "threads"), 12.0, True),
    "in-process, compiling": _Command((*_RUN.split(), "in-process"), 12.0, True),
    "ray": _Command((*_RUN.split(), "ray"), 10.0),
    "ray, compiling": _Command((*_RUN.split(), "ray"), 15.0, True),
    "dry run, compiling": _Command(("run", "small.yaml", "--dry-run"), 8.0, True),
    "validate, compiling": _Command(("validate", "made.yaml"), 8.0, True),
    "import": _Command(("trace", "import", "long.txt", "-o", "OUT/x.parquet"), 5.0, True),
    "query": _Command(("query", _PAIRS, "--db", "results.duckdb"), 3.0),
}


@cache
def _folder() -> Path:
    """Return a folder with a study that never ends, and a trace that takes seconds to read."""
    folder = Path(tempfile.mkdtemp(prefix="soak-signals-"))
    small_study.write_trace(folder)
    path = small_study.write_study(folder, n_trials=2)
    small_study.run(path, folder / "results.duckdb")
    small_study.write_study(
        folder, n_trials=10**6, eviction="{type: categorical, choices: [lru, fifo, sieve]}"
    )
    path.write_text(path.read_text().replace("policy: {eviction: lru}\n", ""))
    (folder / "made.yaml").write_text(
        "study: made\nsampler: {name: random}\nn_trials: 4\n"
        "workload: {synthetic: zipf, asks: 20000000}\n"
        "policy: {system: cleancache}\nparameters: {headroom: {type: float, low: 0.0, high: 0.5}}\n"
        "objectives: [{metric: read_ns, direction: minimize}]\n"
    )
    event = " app-1 [000] .... 1.000000: mm_filemap_add_to_page_cache: dev 0:1 ino 2 pfn=0x3 ofs=0"
    (folder / "long.txt").write_text(f"{event} order=0\n" * 10**6)
    return folder


def _case(seed: int, counts: Counts) -> None:
    chance = random.Random(seed)
    name, number = chance.choice(list(COMMANDS)), chance.choice(list(BEGINS))
    moment_s = chance.uniform(0.0, COMMANDS[name].lasts_s)
    stop(name, number, moment_s, chance.random() < 0.5, counts, seed)


def stop(
    name: str, number: signal.Signals, moment_s: float, in_group: bool, counts: Counts, seed: int,
    once_it_says: str = "",
) -> None:  # fmt: skip
    """Stop a command by a signal, some time after it answers or says something, and look.

    Parameters
    ----------
    name
        Of one of `COMMANDS`.
    number, moment_s, in_group
        The signal; when it is sent; and whether to the process alone, or to its group.
    counts, seed
        Where it is counted, and as which case.
    once_it_says
        What the time begins with, if it is not when the command first answers to signals.
    """
    what = f"{name}, {number.name} after {moment_s:.2f} s{' to the group' if in_group else ''}"
    with tempfile.TemporaryDirectory(prefix="soak-signals-out-") as out, _marked() as mark:
        process, told = _started(COMMANDS[name], Path(out), mark), Path(out) / "stderr"
        wait_until_it_answers(process)
        while once_it_says not in told.read_text() and process.poll() is None:
            time.sleep(0.01)
        try:
            process.wait(moment_s)
            return  # it ended before
        except subprocess.TimeoutExpired:
            pass
        sent = time.monotonic()
        (os.killpg if in_group else os.kill)(process.pid, number)
        counts.kills += 1
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            counts.fault(seed, f"{what}: did not end", "hangs")
            return
        took_s = time.monotonic() - sent
        err = told.read_text()
        if "Traceback" in err or "***" in err:
            counts.fault(seed, f"{what}: {err[-2000:]}", "tracebacks")
        lines = [line for line in err.splitlines() if line.startswith(tuple(BEGINS.values()))]
        is_told = len(lines) == 1 and lines[0].startswith(BEGINS[number])
        if process.returncode != 128 + number or not is_told:
            counts.fault(seed, f"{what}: exit code {process.returncode}, {err[-500:]!r}")
        if took_s > WITHIN_S:
            counts.fault(seed, f"{what}: took {took_s:.1f} s", "hangs")
        if not _gone(mark, AFTER_S):
            counts.fault(seed, f"{what}: left {_left(mark)}", "leftovers")


def _started(command: _Command, out: Path, mark: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {_MARK: mark, "PYTHONPATH": str(ROOT)}
    if command.is_cold:
        environment["XDG_CACHE_HOME"] = str(out)
    words = [word.replace("OUT", str(out)) for word in command.words]
    with (out / "stderr").open("w") as err:  # a pipe would be read until the last process ends
        return subprocess.Popen(
            [sys.executable, "-m", "sweep", *words],
            cwd=_folder(), env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=err, preexec_fn=_heed_ctrl_c,
        )  # fmt: skip


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background job ignores


def wait_until_it_answers(process: subprocess.Popen[Any]) -> None:
    """Wait until a process has a handler for SIGTERM, or has ended."""
    bit = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        (caught,) = (line for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) & bit:
            return
        time.sleep(0.005)


@contextmanager
def _marked() -> Iterator[str]:
    """Yield a mark for the processes of a case, of which none is there at its end."""
    mark = uuid.uuid4().hex
    try:
        yield mark
    finally:
        for process in _left(mark, ()):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _left(mark: str, but: tuple[str, ...] = _LINGER) -> dict[int, str]:
    """Return the processes of a mark, but for those that linger, with what each was called."""
    left = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                # One that has ended, and waits for its parent, has none.
                if words and not any(name in words for name in but):
                    left[int(folder.name)] = words[-120:]
        except OSError:
            continue
    return left


def _gone(mark: str, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while _left(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


HAZARD = Hazard("signals", partial(each_case, _case))
