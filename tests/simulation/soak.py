"""Run schedules of the deterministic driver: ``soak.py --time SECONDS``, or one, ``--seed N``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from schedule import run_seed  # noqa: E402
from simulated_world import LawBroken  # noqa: E402

#: How often the rate is told.
_TELL_S = 30.0


def main() -> int:
    """Run schedules until the time is over or a law is broken; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=float, default=600.0, help="seconds to go on for")
    parser.add_argument("--seed", type=int, help="the one schedule to run")
    parser.add_argument("--first", type=int, help="the first seed; by default the time")
    options = parser.parse_args()
    if options.seed is not None:
        return _run(options.seed)
    start = told = time.monotonic()
    first = int(time.time()) if options.first is None else options.first
    seed = first
    while (now := time.monotonic()) < start + options.time:
        if _run(seed):
            return 1
        seed += 1
        if now > told + _TELL_S:
            told = now
            _tell(seed - first, now - start)
    _tell(seed - first, time.monotonic() - start)
    print(f"{seed - first} schedules from seed {first} on: every law held")
    return 0


def _run(seed: int) -> int:
    try:
        run_seed(seed)
    except LawBroken as broken:
        print(f"{broken}\nagain: python tests/simulation/soak.py --seed {seed}")
        return 1
    return 0


def _tell(schedules: int, seconds: float) -> None:
    of_processor = time.process_time() / max(schedules, 1) * 1e3
    rate = f"{schedules / seconds:.1f} a second, {of_processor:.0f} ms of processor each"
    print(f"{schedules} schedules, {rate}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
