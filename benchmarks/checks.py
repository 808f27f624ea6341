"""What checks of all that is read see and cost, and how good the estimates before work are.

``python benchmarks/checks.py`` prints the figures of docs/reliability.md and docs/decisions.md, in
five minutes.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

from core import kept_code, table_files
from core.accesses import digest_accesses, read_accesses
from core.errors import InputError
from core.event_files import digest_events, read_events
from core.frontend.run import FrontEnd
from core.jit import code_folder
from core.workload.expected import expect
from core.workload.recipe import Recipe
from core.workload.synthetic import GENERATORS, parameters_of
from sweep.results import frames

TRACES = Path(__file__).parents[1] / "studies" / "traces"
#: One-byte damages of each shipped capture.
DAMAGES = 125
#: Settings of each generator: how much it does, in pages of how much memory.
SIZES = {"asks": (20_000, 120_000), "compiles": (20, 120), "launches": (20, 120)}
MEMORIES_PAGES = (4_096, 16_384, 65_536)


def main() -> None:
    """Print the three parts."""
    print(damages())
    print(costs())
    print(estimates())


def damages() -> str:
    """Return what became of one-byte damages to copies of the shipped captures."""
    chance, came = random.Random(1), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "x.parquet")
        for capture in sorted(TRACES.glob("*.parquet")):
            content = capture.read_bytes()
            copy.write_bytes(content)
            whole = said_by(copy)
            for _ in range(DAMAGES):
                damaged = bytearray(content)
                damaged[chance.randrange(len(damaged))] ^= chance.choice([1, 16, 128, 255])
                copy.write_bytes(damaged)
                found = said_by(copy)
                came[
                    "refused" if found is None else "as before" if found == whole else "other"
                ] += 1
    return f"damages: {came.total():,}, of which {dict(came)}"


def said_by(path: Path) -> str | None:
    """Return the digest of all that a table says, or None where it is refused."""
    for read, digest in ((read_events, digest_events), (read_accesses, digest_accesses)):
        try:
            table: Any = read(path)
        except InputError:
            continue
        return digest(table) + repr(table[7:])
    return None


def costs() -> str:
    """Return how long the checks of a file of code, of a table, and of spooled rows take."""
    codes = list(code_folder().glob("*.code"))
    of_code_ns = median(timed(lambda file=file: kept_code._read(file)) for file in codes)
    events = read_events(TRACES / "database-mglru-256w.parquet")
    of_table_ns = timed(lambda: table_files._digest(b"", events.columns))
    rows = random.Random(1).randbytes(20_000)
    framed = frames.framed([rows])
    of_rows_ns = timed(lambda: frames.parts_of(framed))
    return (
        f"to check a file of code takes {of_code_ns / 1e6:.2f} ms ({len(codes)} files), a table of "
        f"{events.op.size:,} rows {of_table_ns / 1e6:.1f} ms, {len(rows):,} bytes of spooled rows "
        f"{of_rows_ns / 1e6:.3f} ms"
    )


def timed(work: Callable[[], object]) -> float:
    """Return the median time of seven calls, in nanoseconds."""
    times = []
    for _ in range(7):
        begin = perf_counter_ns()
        work()
        times.append(perf_counter_ns() - begin)
    return median(times)


def estimates() -> str:
    """Return the least and the most of estimated over made events, over all settings."""
    ratios: dict[float, str] = {}
    for generator in sorted(GENERATORS):
        for data_pages in MEMORIES_PAGES:
            for size in range(2):
                told = {
                    name: SIZES[name][size] if name in SIZES else default
                    for name, default in parameters_of(generator).items()
                }
                made = Recipe("it", tuple(told.items()), 0, data_pages, 4096, FrontEnd(), generator)
                try:
                    ratio = expect(made, None).events / made.cook().events.op.size
                except InputError as error:  # too little memory for what it does
                    print(f"{generator}, {data_pages:,} pages: {error}", file=sys.stderr)
                    continue
                ratios[ratio] = f"{generator}, {data_pages:,} pages, size {size}"
    least, most = min(ratios), max(ratios)
    return (
        f"estimates: {least:.2f} ({ratios[least]}) to {most:.2f} ({ratios[most]}) of the made "
        f"events, in {len(ratios)} settings"
    )


if __name__ == "__main__":
    main()
