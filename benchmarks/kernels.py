"""Policy-events per second of every eviction, beside libCacheSim in the same run.

Usage: python benchmarks/kernels.py [TRACE.parquet] [--lanes N]

A policy-event is one row of the event table under one policy. libCacheSim replays the requests of
the same table (its restores) through a cache of as many slots; it is given them as it likes best, a
binary trace that its own C loop reads, and does less: no stores, tags, blocks or units.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

from core.backend import replay_bytes, replay_timeline
from core.event_files import read_events
from core.events import RESTORE, Events
from core.eviction import EVICTIONS
from core.machine import Machine
from core.policy import Policy, pack
from core.timeline.prepare import prepare

DEFAULT = Path(__file__).parent.parent / "studies" / "traces" / "database-mglru-256w.parquet"
TIMES = 5
PEERS = {"fifo": "FIFO", "lru": "LRU", "clock": "Clock", "sieve": "Sieve", "s3fifo": "S3FIFO"}


def seconds(*runs: Callable[[], object]) -> list[float]:
    """Return the CPU time of each, the median of 5 runs by turns; none has a second thread."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(TIMES):
        for run, times in zip(runs, taken, strict=True):
            start = process_time()
            run()
            times.append(process_time() - start)
    return [median(times) for times in taken]


def write_requests(events: Events, path: Path) -> int:
    """Write the restores of a table as libCacheSim reads them fastest; return how many they are."""
    wanted = events.op == RESTORE
    rows = np.zeros(
        int(wanted.sum()),
        dtype=[("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")],
    )
    rows["id"] = (events.inode[wanted].astype(np.uint64) << np.uint64(32)) | events.index[wanted]
    rows["size"] = 1
    rows.tofile(path)
    return rows.size


def peer(name: str, path: Path, slots: int) -> Callable[[], object]:
    """Return what has libCacheSim's C loop replay the requests in a file."""
    import libcachesim as lcs

    def run() -> object:
        reader = lcs.TraceReader(
            str(path), lcs.TraceType.ORACLE_GENERAL_TRACE, lcs.ReaderInitParam(ignore_obj_size=True)
        )
        return getattr(lcs, PEERS[name])(slots, hashpower=18).process_trace(reader)

    return run


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
    (prepare_s,) = seconds(lambda: prepare(events, machine))
    print(f"prepare: {size / prepare_s / 1e6:.1f} M events/s")
    print(f"memory: {replay_bytes(timeline, options.lanes) / 2**20:.1f} MiB")
    print("eviction  order 0  order 9  of M policy-events/s   libCacheSim M requests/s   ratio")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requests.bin"
        requests = write_requests(events, path)
        for eviction in EVICTIONS:
            batches = [
                pack([Policy(eviction=eviction, folio_order=order)] * options.lanes)
                for order in (0, 9)
            ]
            replay_timeline(timeline, machine, batches[0][:1])  # compiles it, or loads it
            replay_timeline(timeline, machine, batches[1][:1])
            runs = [partial(replay_timeline, timeline, machine, batch) for batch in batches]
            runs += [peer(eviction, path, machine.slots)] if eviction in PEERS else []
            taken = seconds(*runs)
            rates = [size * options.lanes / each / 1e6 for each in taken[:2]]
            line = f"{eviction:9} {rates[0]:7.1f}  {rates[1]:7.1f}"
            if eviction in PEERS:
                theirs = requests / taken[2] / 1e6
                line += f" {theirs:43.1f} {rates[0] / theirs:8.0f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
