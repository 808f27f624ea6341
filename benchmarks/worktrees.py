"""The speed of the kernels in two worktrees of the project, one after the other in the same run.

Usage: python benchmarks/worktrees.py BEFORE [AFTER] [--repeats N]

Each worktree replays the same capture under the same policies in a process of its own; the two take
turns, and a second process of BEFORE takes turns with them, so that what it says of itself is the
noise. Printed are medians of CPU time: M policy-events/s before and after, their ratio, the noise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
CASES = {
    "lru": "eviction='lru'",
    "lru, units of order 9": "eviction='lru', folio_order=9",
    "lru, spread": "eviction='lru', placement='spread'",
    "fifo": "eviction='fifo'",
    "clock": "eviction='clock'",
    "sieve": "eviction='sieve'",
    "s3fifo": "eviction='s3fifo'",
    "random": "eviction='random'",
    "gcma": "admission='workingset', large_folios='refuse'",
    "exclusive, whole folios": "folio_order=4, drop='folio', restore='exclusive'",
    "zswap": "system='zswap'",
}
#: Reads a policy's arguments a line, and answers with M policy-events a CPU second. Modules are
#: where they were in the version of the worktree.
PROBE = """
import sys, time
# An editable installation would give modules of its own where the worktree has none.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
from core.machine import Machine
from core.policy import Policy, pack
try:
    from core.backend import replay_timeline, view_of
    from core.timeline.view import prepare_view
except ImportError:
    from core.replay import replay_timeline
    from core.view import prepare_view, view_of
try:
    from core.event_files import read_events
except ImportError:
    from core.events import read_events
events = read_events(sys.argv[1])
machine = Machine(events.page_size, events.data_pages)
kept = {}
for line in sys.stdin:
    policy = eval(f"Policy({line})")
    lanes = 4 if policy.system == "zswap" else 40
    if line not in kept:
        view = view_of(policy, machine)
        kept[line] = prepare_view(events, machine, view), pack([policy] * lanes)
        replay_timeline(kept[line][0], machine, pack([policy]), ideal=1)
    timeline, policies = kept[line]
    start = time.process_time()
    replay_timeline(timeline, machine, policies, ideal=1)
    taken = time.process_time() - start
    print(lanes * events.op.size / taken / 1e6, flush=True)
"""


class Probe:
    """A process that replays in a worktree."""

    def __init__(self, worktree: Path, trace: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROBE, str(trace.resolve())],
            cwd=worktree,
            env=os.environ | {"PYTHONPATH": str(worktree.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def rate(self, case: str) -> float:
        """Return M policy-events per second of CPU time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--trace", type=Path, default=None)
    options = parser.parse_args()
    trace = options.trace or ROOT / "studies" / "traces" / "database-mglru-256w.parquet"
    probes = [Probe(options.before, trace), Probe(options.after, trace)]
    probes.append(Probe(options.before, trace))
    print(f"{trace.name}, median of {options.repeats}, M policy-events/s of CPU time")
    print(f"{'':26} {'before':>8} {'after':>8} {'ratio':>7} {'noise':>7}")
    for name, case in CASES.items():
        for probe in probes:
            probe.rate(case)  # compiled, or loaded from disk, and the timeline made
        rates: list[list[float]] = [[], [], []]
        for _ in range(options.repeats):
            for probe, taken in zip(probes, rates, strict=True):
                taken.append(probe.rate(case))
        before, after, again = (median(taken) for taken in rates)
        noise = abs(again / before - 1)
        print(f"{name:26} {before:8.1f} {after:8.1f} {after / before:7.3f} {noise:7.3f}")


if __name__ == "__main__":
    main()
