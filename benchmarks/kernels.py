"""Policy-events per second of every eviction, beside libCacheSim in the same run.

Usage: python benchmarks/kernels.py [TRACE.parquet] [--lanes N]

A policy-event is one row of the event table under one policy. libCacheSim replays the requests of
the same table (its restores) through a cache of as many slots; it is given them as it likes best, a
binary trace that its own C loop reads, and does less: no stores, tags, blocks or units.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from core.backend import replay_bytes, replay_timeline
from core.event_files import read_events
from core.events import RESTORE, Events
from core.eviction import EVICTIONS
from core.machine import Machine
from core.policy import Policy, pack
from core.timeline.prepare import prepare

DEFAULT = Path(__file__).parent.parent / "studies" / "traces" / "database-mglru-256w.parquet"
PEERS = {"fifo": "FIFO", "lru": "LRU", "clock": "Clock", "sieve": "Sieve", "s3fifo": "S3FIFO"}


def seconds(run: object, times: int = 3) -> float:
    """Return the shortest of several runs."""
    best = float("inf")
    for _ in range(times):
        start = perf_counter()
        run()  # type: ignore[operator]
        best = min(best, perf_counter() - start)
    return best


def peer_rate(name: str, events: Events, slots: int) -> float:
    """Return requests per second of libCacheSim's C loop over the restores of a table."""
    import libcachesim as lcs

    wanted = events.op == RESTORE
    rows = np.zeros(
        int(wanted.sum()),
        dtype=[("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")],
    )
    rows["id"] = (events.inode[wanted].astype(np.uint64) << np.uint64(32)) | events.index[wanted]
    rows["size"] = 1
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "requests.bin")
        rows.tofile(path)

        def run() -> None:
            reader = lcs.TraceReader(
                path, lcs.TraceType.ORACLE_GENERAL_TRACE, lcs.ReaderInitParam(ignore_obj_size=True)
            )
            getattr(lcs, PEERS[name])(slots, hashpower=18).process_trace(reader)

        return rows.size / seconds(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trace", nargs="?", default=DEFAULT, type=Path)
    parser.add_argument("--lanes", type=int, default=100)
    options = parser.parse_args()
    events = read_events(options.trace)
    machine = Machine(events.page_size, events.data_pages)
    timeline = prepare(events, machine)
    size = events.op.size
    print(f"{options.trace.name}: {size:,} events, {machine.slots} slots, {options.lanes} lanes")
    print(f"prepare: {size / seconds(lambda: prepare(events, machine)) / 1e6:.1f} M events/s")
    print(f"memory: {replay_bytes(timeline, options.lanes) / 2**20:.1f} MiB")
    print("eviction  order 0  order 9  of M policy-events/s   libCacheSim M requests/s   ratio")
    for eviction in EVICTIONS:
        rates = []
        for order in (0, 9):
            policies = pack([Policy(eviction=eviction, folio_order=order)] * options.lanes)
            replay_timeline(timeline, machine, pack([Policy(eviction=eviction, folio_order=order)]))
            taken = seconds(lambda batch=policies: replay_timeline(timeline, machine, batch))
            rates.append(size * options.lanes / taken / 1e6)
        line = f"{eviction:9} {rates[0]:7.1f}  {rates[1]:7.1f}"
        if eviction in PEERS:
            peer = peer_rate(eviction, events, machine.slots) / 1e6
            line += f" {peer:43.1f} {rates[0] / peer:8.0f}"
        print(line)


if __name__ == "__main__":
    main()
