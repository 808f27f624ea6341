"""At zero tags and order 0, miss counts equal libCacheSim's on a real and on a skewed trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streams import compiled

from core.backend import replay
from core.event_files import read_events
from core.events import RESTORE, STORE, Events, make_events
from core.lane import MISSED
from core.machine import Machine
from core.policy import Policy

lcs = pytest.importorskip("libcachesim")
PEERS = {"fifo": "FIFO", "lru": "LRU", "clock": "Clock", "sieve": "Sieve", "s3fifo": "S3FIFO"}


def real_requests(traces: Path) -> np.ndarray:
    """Return the page-cache insertions of a capture, each file page asked for once a visit."""
    events = read_events(traces / "database-mglru-256w.parquet")
    wanted = events.op == RESTORE
    return (events.inode[wanted].astype(np.uint64) << np.uint64(32)) | events.index[wanted]


def skewed_requests() -> np.ndarray:
    rng = np.random.default_rng(11)
    return (rng.zipf(1.2, 60_000) % 20_000).astype(np.uint64)


def as_events(requests: np.ndarray, slots: int) -> Events:
    """Return requests as a restore and a store each, on a machine of so many slots and no tags."""
    size = 2 * requests.size
    keys = np.repeat(requests, 2)
    columns = {
        "time_ns": np.arange(size),
        "op": np.tile([RESTORE, STORE], requests.size),
        "inode": keys >> np.uint64(32),
        "index": keys & np.uint64(0xFFFFFFFF),
        **{name: np.zeros(size, dtype=np.int64) for name in ("order", "pfn", "flags")},
    }
    return make_events(columns, page_size=4096, data_pages=32 * slots, source="requests")


def their_misses(name: str, requests: np.ndarray, slots: int) -> int:
    cache = getattr(lcs, PEERS[name])(slots, hashpower=18)
    request = lcs.Request(obj_size=1, obj_id=0)
    hits = 0
    for key in requests.tolist():
        request.obj_id = key
        hits += cache.get(request)
    return requests.size - hits


@compiled
@pytest.mark.parametrize("slots", [20, 500, 2048, 8192])
@pytest.mark.parametrize("kind", ["real", "skewed"])
def test_misses_equal_those_of_libcachesim(traces: Path, kind: str, slots: int) -> None:
    requests = real_requests(traces) if kind == "real" else skewed_requests()
    batch = [Policy(eviction=name) for name in PEERS]
    outcomes = replay(as_events(requests, slots), Machine(4096, 32 * slots), batch)
    mine = dict(zip(PEERS, outcomes.tallies[:, MISSED].tolist(), strict=True))
    assert mine == {name: their_misses(name, requests, slots) for name in PEERS}
