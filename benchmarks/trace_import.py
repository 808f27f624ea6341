"""How fast, and in how much memory, text of a trace is imported: one core, a part repeated."""

from __future__ import annotations

import gzip
import re
import resource
import tempfile
from pathlib import Path
from time import perf_counter

from core.workload.ftrace.capture import import_ftrace
from core.workload.ftrace.memory import Memory

PART = Path(__file__).parents[1] / "tests" / "inputs" / "data" / "database-xfs-part.ftrace.txt.gz"
TIMES = 200
#: The CPU, the flags and the time of a line.
LATENCY = re.compile(rb"\[(\d+)\] (\S+) +(\d+)\.(\d{6})\d*:")
MEMORY = Memory(0x40000, 65536, 4096)


def measure(text: bytes, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.txt"
        with path.open("wb") as file:
            for _ in range(times):
                file.write(text)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = perf_counter()
        imported = import_ftrace([path], MEMORY)
        seconds = perf_counter() - start
        size_mib = path.stat().st_size / 2**20
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    lines = imported.counts["lines"]
    print(f"{lines:,} lines, {size_mib:.0f} MiB: {lines / seconds / 1e6:.2f} M lines/s")
    print(f"  peak memory grew by {grown_mib:.0f} MiB for {imported.counts['rows']:,} rows")


def main() -> None:
    text = gzip.decompress(PART.read_bytes())
    import_ftrace([PART], MEMORY)  # compiles, or loads
    measure(text, TIMES)
    print("the same in the latency format, whose lines are first written anew:")
    measure(LATENCY.sub(rb"\1\2 \3\4us :", text), TIMES // 10)


if __name__ == "__main__":
    main()
