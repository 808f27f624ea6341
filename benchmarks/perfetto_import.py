"""How fast, and in how much memory, a trace of Perfetto is imported, of four CPUs: one core."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "inputs"))

import perfetto_traces as traces

from core.workload.ftrace.memory import Memory
from core.workload.perfetto.reader import import_perfetto

MEMORY = Memory(0x40000, 65536, 4096)
CPUS, DRAINED, DRAINS = 4, 4000, 300


def bodies() -> list[tuple[int, bytes]]:
    """Return (task, an event without its header) of a kernel that reads and reclaims files."""
    made = []
    for number in range(DRAINED // 8):
        task, frame = 100 + number % 7, number % 60000
        file = {"i_ino": 900 + number % 50, "s_dev": traces.DEVICE}
        sched = {"prev_comm": "app", "prev_pid": task, "prev_prio": 120, "prev_state": 1}
        for name, fields in (
            ("sched_switch", sched | {"next_comm": "swapper/0", "next_pid": 0, "next_prio": 120}),
            traces.alloc(frame, 0, traces.READAHEAD),
            traces.file_event(traces.ADD, number, frame),
            ("mm_filemap_get_pages", file | {"index": number, "last_index": number}),
            ("print", {"buf": f"B|{task}|draw frame\n"}),
            traces.file_event(traces.DELETE, number, frame),
            traces.free(frame),
            ("print", {"buf": f"E|{task}\n"}),
        ):
            event = traces.Event(0, name, fields, task)
            bundle = traces.protos.FtraceEventBundle.FromString(traces.bundle_of([event], 0))
            (inner,) = bundle.event
            inner.ClearField("timestamp")
            inner.ClearField("pid")
            made.append((task, inner.SerializeToString()))
    return made


def write(path: Path) -> int:
    """Write a trace, and return how many events it has."""
    events, time_ns = bodies(), 10**12
    with path.open("wb") as file:
        file.write(traces.system())
        for _ in range(DRAINS):
            by_cpu = [bytearray(b"\x08" + traces.varint(cpu)) for cpu in range(CPUS)]
            for number, (task, body) in enumerate(events):
                time_ns += 700
                head = b"\x08" + traces.varint(time_ns) + b"\x10" + traces.varint(task)
                by_cpu[number // 16 % CPUS] += traces.counted(2, head + body)
            for bundle in by_cpu:
                file.write(traces.packet(bytes(bundle)))
    return len(events) * DRAINS


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "trace.pftrace", Path(folder) / "small.pftrace"
        small.write_bytes(traces.trace(traces.spread(traces.ALL_KINDS)))
        import_perfetto([small], MEMORY)  # compiles, or loads
        events = write(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = perf_counter()
        imported = import_perfetto([path], MEMORY)
        seconds = perf_counter() - start
        size_mib = path.stat().st_size / 2**20
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{events:,} events, {size_mib:.0f} MiB: {events / seconds / 1e6:.2f} M events/s")
    print(f"  peak memory grew by {grown_mib:.0f} MiB for {imported.counts['rows']:,} rows")


if __name__ == "__main__":
    main()
