"""Code that several processes compiled and kept on disk stays itself where it is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from streams import compiled

PROGRAM = """
import json, sys
from core.events import make_events
from core.machine import Machine
from core.policy import Policy
from core.backend import replay
import numpy as np
size = 4000
rng = np.random.default_rng(1)
index = rng.zipf(1.2, size) % 200
columns = dict(
    time_ns=np.arange(2 * size), op=np.tile([1, 0], size), inode=np.ones(2 * size),
    index=np.repeat(index, 2), order=np.zeros(2 * size), pfn=np.zeros(2 * size),
    flags=np.zeros(2 * size),
)
events = make_events(columns, page_size=4096, data_pages=1024, source="")
counts = {}
for name in sys.argv[1:]:
    for order in (0, 1):
        policy = Policy(eviction=name, folio_order=order)
        outcomes = replay(events, Machine(4096, 1024), [policy])
        counts[f"{name} {order}"] = outcomes.tallies.tolist()
print(json.dumps(counts))
"""
EVICTIONS = ("none", "lru", "clock")


def tallies(cache: Path, *evictions: str) -> dict[str, list[list[int]]]:
    """Replay under evictions in a process of its own."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *evictions],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    counts: dict[str, list[list[int]]] = json.loads(done.stdout)
    return counts


@compiled
def test_loops_compiled_by_different_processes_are_not_mixed_up(tmp_path: Path) -> None:
    alone: dict[str, list[list[int]]] = {}
    for eviction in EVICTIONS:
        alone |= tallies(tmp_path, eviction)
    assert len({json.dumps(value) for value in alone.values()}) == len(EVICTIONS)
    assert tallies(tmp_path, *EVICTIONS) == alone
    assert tallies(tmp_path, *reversed(EVICTIONS)) == alone
