"""The time from Enter: to the first trial that is safe, to the last, and to the answer on screen.

Usage: python benchmarks/start.py [STUDY] [--rounds N] [--cold] [-- OPTIONS OF sweep run]

`sweep run` is started as a user starts it, in a process of its own, by turns on a database that it
has to make (warm) and on the one that it has just filled (nothing to do). `--cold` runs it once
before, with an empty folder of compiled code. A trial is safe when its row is in the spool beside
the database, which is looked at every 5 ms. What is printed is the median of the rounds, in
seconds; CPU time, of all threads, is beside the time that passed, which others on the machine
lengthen more.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, sleep

from sweep.results import spool_folder
from sweep.results.spool import Spool

STUDY = Path(__file__).parent.parent / "studies" / "quickstart.yaml"
LOOK_S = 0.005
PHASES = ("first trial safe", "last trial safe", "answer", "CPU time")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path, default=STUDY)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", action="store_true")
    given, options = parser.parse_known_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "duckdb", "pydantic"))
    cores = len(os.sched_getaffinity(0))
    print(f"{given.study.name}: Python {platform.python_version()}, {versions}, {cores} cores")
    print(f"{'':14}" + "".join(f"{phase:>18}" for phase in PHASES))
    with tempfile.TemporaryDirectory(prefix="sweep-start-") as name:
        folder = Path(name)
        if given.cold:
            cache = {"XDG_CACHE_HOME": str(folder / "cache")}
            _print("cold", [_run(given.study, folder / "cold.duckdb", options, cache)])
        rounds = [list(_round(given.study, folder / f"{i}.duckdb", options))
                  for i in range(given.rounds + 1)][1:]  # fmt: skip
        for kind, place in (("warm", 0), ("nothing to do", 1)):
            _print(kind, [each[place] for each in rounds])


def _round(study: Path, database: Path, options: list[str]) -> Iterator[list[float | None]]:
    for _ in range(2):
        yield _run(study, database, options, {})


def _run(
    study: Path, database: Path, options: list[str], more: dict[str, str]
) -> list[float | None]:
    """Return the seconds from the start of a run to each of `PHASES`, and its CPU time."""
    words = [sys.executable, "-m", "sweep", "run", str(study), "--db", str(database), *options]
    spool = Spool(spool_folder(database))
    seen: set[str] = set()
    start, first, last = perf_counter(), None, None
    child = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | more
    )
    while True:
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        now = perf_counter() - start
        for name in set(spool.names() if spool.folder.exists() else ()) - seen:
            seen.add(name)
            # A file that is merged meanwhile holds nothing that an earlier look did not see.
            with suppress(OSError):
                if any(table == "trials" for table, _ in spool.read([name])):
                    first, last = first or now, now
        sleep(LOOK_S)
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return [first, last, perf_counter() - start, used.ru_utime + used.ru_stime]


def _print(kind: str, runs: list[list[float | None]]) -> None:
    cells = []
    for values in zip(*runs, strict=True):
        known = [value for value in values if value is not None]
        cells.append(f"{statistics.median(known):.2f}" if known else "-")
    print(f"{kind:14}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
