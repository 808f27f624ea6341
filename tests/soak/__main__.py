"""Try every hazard for its share of some seconds, and print what came of it as a table.

``make soak TIME=60``; ``python tests/soak --only NAME --seed N`` is one case of one hazard again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    *(str(HERE.parent / name) for name in ("", "..", "simulation", "inputs")),
]

from hazard import Counts, Hazard, Until  # noqa: E402
from hazards import HAZARDS  # noqa: E402

_UNBOUNDED = sys.maxsize
_COLUMNS = {
    "cases": "cases",
    "kills": "kills",
    "operations_failed": "operations failed",
    "losses": "losses",
    "doubles": "doubles",
    "unequal": "unequal tables",
    "tracebacks": "tracebacks",
    "hangs": "hangs",
    "leftovers": "leftovers",
    "reader_failures": "reader failures",
}


def main() -> int:
    """Try the hazards, print the table, and return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--time", type=float, default=600.0, help="seconds to go on for")
    parser.add_argument("--only", choices=[each.name for each in HAZARDS], help="one hazard")
    parser.add_argument("--seed", type=int, help="the one case to try, of the hazard --only")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the first seed")
    options = parser.parse_args()
    chosen = [each for each in HAZARDS if options.only in (None, each.name)]
    if options.seed is not None:
        if len(chosen) > 1:
            parser.error("--seed is of one hazard: name it with --only")
        counts = Counts()
        chosen[0].run(options.seed, 1, lambda: True, counts)
        return _told({chosen[0].name: (counts, 0.0)})
    shares = sum(each.share for each in chosen)
    results = {}
    for hazard in chosen:
        print(f"{hazard.name} …", file=sys.stderr, flush=True)
        results[hazard.name] = _tried(hazard, options.first, options.time * hazard.share / shares)
    print(f"first seed {options.first}")
    return _told(results)


def _tried(hazard: Hazard, first: int, seconds: float) -> tuple[Counts, float]:
    counts, start = Counts(), time.monotonic()
    hazard.run(first, _UNBOUNDED, Until(seconds), counts)
    return counts, time.monotonic() - start


def _told(results: dict[str, tuple[Counts, float]]) -> int:
    """Print the table and what went wrong; return the exit code."""
    total = Counts()
    print("| hazard | seconds | " + " | ".join(_COLUMNS.values()) + " |")
    print("| --- |" + " ---: |" * (1 + len(_COLUMNS)))
    for name, (counts, seconds) in results.items():
        total.add(counts)
        print(f"| {name} | {seconds:.0f} | {_cells(counts)} |")
    print(f"| all | {sum(seconds for _, seconds in results.values()):.0f} | {_cells(total)} |")
    for name, (counts, _) in results.items():
        for failure in counts.failures[:10]:
            print(f"\n{name}, {failure}")
    return 1 if total.faults else 0


def _cells(counts: Counts) -> str:
    return " | ".join(f"{getattr(counts, name):,}" for name in _COLUMNS)


if __name__ == "__main__":
    sys.exit(main())
