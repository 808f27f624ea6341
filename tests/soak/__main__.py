"""Try every hazard for its share of some seconds, and print what came of it as a table.

``make soak TIME=60``; ``python tests/soak --only NAME --seed N`` is one case of one hazard again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    *(str(HERE.parent / name) for name in ("", "..", "simulation", "inputs")),
]

from hazard import Counts  # noqa: E402
from hazards import HAZARDS, tried  # noqa: E402

DOCS = HERE.parents[1] / "docs"
_COLUMNS = (
    "cases",
    "a second",
    "kills",
    "operations failed",
    "losses",
    "doubles",
    "unequal",
    "tracebacks",
    "hangs",
    "leftovers",
    "reader failures",
)


def main() -> int:
    """Try the hazards, print the table, and return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--time", type=float, default=600.0, help="seconds to go on for")
    parser.add_argument("--only", choices=[each.name for each in HAZARDS], help="one hazard")
    parser.add_argument("--seed", type=int, help="the one case to try, of the hazard --only")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the first seed")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("--write renews the table of all hazards: leave out --only")
    chosen = [each for each in HAZARDS if options.only in (None, each.name)]
    if options.seed is not None:
        if len(chosen) > 1:
            parser.error("--seed is of one hazard: name it with --only")
        counts = Counts()
        chosen[0].run(options.seed, 1, lambda: True, counts)
        return _told({chosen[0].name: (counts, 0.0)}, "")
    shares = sum(each.share for each in chosen)
    results = {}
    for hazard in chosen:
        print(f"{hazard.name} …", file=sys.stderr, flush=True)
        seconds = options.time * hazard.share / shares
        # In a process of its own: what one imports, or leaves, is no other's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            trying = process.submit(tried, hazard.name, options.first, seconds)
            results[hazard.name] = trying.result()
    cores = len(os.sched_getaffinity(0))
    command = f"`python tests/soak --time {options.time:.0f} --first {options.first}`"
    return _told(results, f"{command}, {cores} cores", options.write)


def _told(results: dict[str, tuple[Counts, float]], command: str, is_written: bool = False) -> int:
    """Print the table and what went wrong; return the exit code."""
    total, seconds = Counts(), 0.0
    lines = [f"| hazard | seconds | {' | '.join(_COLUMNS)} |", "| --- |" + " ---: |" * 12]
    for name, (counts, took) in results.items():
        total.add(counts)
        seconds += took
        lines.append(_row(name, counts, took))
    lines.append(_row("all", total, seconds))
    text = "\n".join([*lines, "", command])
    print(text)
    if is_written:
        page = DOCS / "reliability.md"
        before, _, rest = page.read_text().partition("<!-- soak -->\n")
        after = rest.partition("<!-- end -->")[2]
        page.write_text(f"{before}<!-- soak -->\n{text}\n<!-- end -->{after}")
    for name, (counts, _) in results.items():
        for failure in counts.failures[:10]:
            print(f"\n{name}, {failure}")
    return 1 if total.failures else 0


def _row(name: str, counts: Counts, seconds: float) -> str:
    values = [getattr(counts, each.replace(" ", "_")) for each in _COLUMNS if each != "a second"]
    rate = f"{counts.cases / seconds:,.1f}" if seconds else "-"
    cells = [f"{values[0]:,}", rate, *(f"{value:,}" for value in values[1:])]
    return f"| {name} | {seconds:.0f} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
