"""All benchmarks, one after the other, and what was aimed at beside what was measured.

Usage: python benchmarks/all.py [--short] [--tune PYTHON]

`make bench` runs it. Each part prints what it measures; the table at the end has a line for each
aim, read off what the parts printed. `--tune` names a Python that has `ray[tune]` (`make bench`
makes one); without it those parts are left out. `--short` holds that tables are equal, and no aim.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

HERE = Path(__file__).parent
VERSIONS = ("numpy", "numba", "pyarrow", "duckdb", "optuna", "ray", "libcachesim")
#: The parts by name: what each runs.
PARTS = {
    "start": "start.py --cold",
    "search": "executors.py --ray",
    "search by nsga2": "executors.py --sampler nsga2 --trials 640 --rounds 5",
    "driver": "loop.py",
    "samplers": "search.py --seeds 20",
    "kernels": "kernels.py",
    "sleeping": "scaling.py",
    "at once": "scaling.py --trials 4000 --seconds 0.01 --workers 4 --at-once",
    "imports": "trace_import.py",
    "imports of Perfetto": "perfetto_import.py",
    # A process for each trial: 16 at a time would tell of two cores, not of Ray Tune.
    "Ray Tune as it comes": "ray_tune.py --trials 32 --workers 2",
    "Ray Tune, tuned": "ray_tune.py --trials 32 --workers 2 --tuned",
    "beside Ray Tune": "scaling.py --trials 32 --workers 2",
}
SHORT = {"search": "executors.py --ray --rounds 1 --trials 40"}


class Aim(NamedTuple):
    """What is aimed at.

    Parameters
    ----------
    what
        What is measured, in words.
    part
        The part that prints it.
    pattern
        Where it stands there: a number, or two of which the first is divided by the second.
    sign, bound
        ``>=`` or ``<=``, and the number.
    """

    what: str
    part: str
    pattern: str
    sign: str
    bound: float


NUMBER = r"([\d.]+)"
AIMS = (
    Aim("first trial safe after Enter, s", "start", rf"^warm +{NUMBER}", "<=", 1.5),
    Aim("the quickstart, compiled, s", "start", rf"^warm +\S+ +\S+ +{NUMBER}", "<=", 4),
    Aim("nothing to do, s", "start", rf"^nothing to do +\S+ +\S+ +{NUMBER}", "<=", 0.7),
    Aim("the quickstart, nothing compiled, s", "start", rf"^cold +\S+ +\S+ +{NUMBER}", "<=", 40),
    Aim("search, one core / two", "search", rf"^one core / all: {NUMBER}", ">=", 1.9),
    Aim("the same by nsga2", "search by nsga2", rf"^one core / all: {NUMBER}", ">=", 1.9),
    Aim("search, Ray / threads", "search", rf"^ray / threads: {NUMBER}", "<=", 1.1),
    Aim("driver, ms a trial", "driver", rf"driver's own: {NUMBER} ms", "<=", 0.3),
    Aim("asking by tpe, ms a trial", "samplers", rf"ours +tpe +{NUMBER} ms", "<=", 5),
    Aim("distinct policies, %", "samplers", rf"ours nsga2 +{NUMBER} % of its", ">=", 95),
    Aim(
        "front of our tpe's 213 trials / Optuna's nsga2's 640",
        "samplers",
        rf"(?s)optuna's nsga2 +640 trials {NUMBER}.*ours tpe +213 trials {NUMBER}",
        ">=",
        1,
    ),
    Aim(
        "front of our tpe / Optuna's, 213 trials each",
        "samplers",
        rf"(?s)optuna's tpe +213 trials {NUMBER}.*ours tpe +213 trials {NUMBER}",
        ">=",
        1,
    ),
    Aim("480 trials of 1 s on 16 workers, % more", "sleeping", rf"^ +{NUMBER}% more", "<=", 2),
)


def run_part(name: str, words: str, python: str) -> str:
    """Run a part, print what it prints, and return it."""
    print(f"\n== {name}: python benchmarks/{words}", flush=True)
    start, said = perf_counter(), []
    script, *options = words.split()
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(
        [python, str(HERE / script), *options], stdout=subprocess.PIPE, text=True, env=environment
    ) as part:
        assert part.stdout is not None
        for line in part.stdout:
            print(line, end="", flush=True)
            said.append(line)
    if part.returncode:
        raise SystemExit(f"{name} ended with exit code {part.returncode}")
    load = os.getloadavg()[0]
    print(f"-- {perf_counter() - start:.0f} s, load {load:.1f}", file=sys.stderr, flush=True)
    return "".join(said)


def measured(aim: Aim, said: str) -> float:
    """Return what was measured, by what the part printed."""
    found = re.search(aim.pattern, said, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{aim.part} does not say: {aim.what}")
    numbers = [float(number) for number in found.groups()]
    return numbers[0] if len(numbers) == 1 else numbers[1] / numbers[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--tune", metavar="PYTHON", help="a Python that has ray[tune]")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    cores = len(os.sched_getaffinity(0))
    print(f"Python {platform.python_version()}, {versions}; {cores} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}")
    said = {}
    for name, words in (SHORT if options.short else PARTS).items():
        needs_tune = words.startswith("ray_tune")
        if needs_tune and options.tune is None:
            print(f"\n== {name}: left out, as no --tune PYTHON is named")
            continue
        said[name] = run_part(name, words, options.tune if needs_tune else sys.executable)
    if options.short:
        return
    print(f"\n{'':62} {'aim':>9} {'measured':>9}")
    for aim in AIMS:
        value = measured(aim, said[aim.part])
        met = value >= aim.bound if aim.sign == ">=" else value <= aim.bound
        bound = f"{aim.sign} {aim.bound:g}"
        print(f"{aim.what:62} {bound:>9} {value:9.3f}  {'met' if met else 'NOT MET'}")


if __name__ == "__main__":
    main()
