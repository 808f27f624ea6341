"""What the front end does beside what the kernel did: captures' accesses, under their own memory.

``python benchmarks/fidelity.py NAME.ftrace.txt.gz…``, with NAME.meta.tar.gz beside each, prints the
table of docs/fidelity.md.
"""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path
from time import perf_counter

import numpy as np

from core.events import INVALIDATE
from core.frontend.run import FrontEnd, Reclaim, run_frontend
from core.workload.ftrace.capture import import_ftrace
from core.workload.ftrace.memory import meta_beside, read_memory
from core.workload.survey import survey_events


def kernel_counts(meta: Path) -> dict[str, int]:
    """Return the counters of /proc/vmstat at the end of a recording."""
    with tarfile.open(meta) as archive:
        file = archive.extractfile("meta/vmstat.after")
        assert file is not None
        lines = file.read().decode().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def rows_of(path: Path) -> list[tuple[str, float, float]]:
    meta = meta_beside(path)
    assert meta is not None, f"{path}: no archive beside it"
    truth = kernel_counts(meta)
    imported = import_ftrace([path], read_memory(meta), path.name, with_accesses=True)
    assert imported.accesses is not None
    classic = truth["workingset_refault_file"] > 10 * truth["workingset_activate_file"]
    reclaim = Reclaim.ACTIVE_INACTIVE if classic else Reclaim.MGLRU
    run_frontend(imported.accesses, FrontEnd(reclaim=reclaim))  # compiles, or loads
    start = perf_counter()
    fronted = run_frontend(imported.accesses, FrontEnd(reclaim=reclaim))
    rate = imported.accesses.op.size / (perf_counter() - start) / 1e6
    print(f"{path.name}: {reclaim}, {rate:.1f} M accesses/s", file=sys.stderr)
    seen, made = survey_events(imported.events).figures, survey_events(fronted.events).figures
    counts = fronted.counts
    # Metadata, and what writes make, are in no row: both sides count them here.
    kernel = imported.counts
    truncated = imported.events.order[imported.events.op == INVALIDATE].astype(np.int64)
    left = kernel["inserted_pages"] - kernel["reclaimed_pages"] - int((1 << truncated).sum())
    rows: list[tuple[str, float, float]] = [
        ("pages brought into the page cache", kernel["inserted_pages"], counts["inserted_pages"]),
        ("pages evicted", kernel["reclaimed_pages"], counts["evicted_pages"]),
        ("refaults, as the kernel counts them", seen["kernel_refaults"], counts["refaults"]),
        ("workingset activations", truth["workingset_activate_file"], counts["activations"]),
        ("workingset restores", truth["workingset_restore_file"], counts["restored_workingset"]),
        ("pages in the page cache at the end", left, counts["resident_pages"]),
        *(
            (what, seen["requests"][name], made["requests"][name])
            for what, name in (("read requests of files", "count"), ("their commands", "commands"))
        ),
    ]
    for pages, block in seen["tag_blocks_by_pages"].items():
        mine = made["tag_blocks_by_pages"][pages]
        rows.append(
            (f"reservations, block of {pages}", block["reservations"], mine["reservations"])
        )
        rows.append(
            (f"amplification, block of {pages}", block["amplification"], mine["amplification"])
        )
    return rows


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        title = re.sub(r"\.ftrace.*", "", path.name)
        print(f"\n| {title} | kernel | front end | difference |\n|---|---|---|---|")
        for what, truth, found in rows_of(path):
            difference = f"{100 * (found - truth) / truth:+.1f} %" if truth else ""
            print(f"| {what} | {truth:,.6g} | {found:,.6g} | {difference} |")


if __name__ == "__main__":
    main()
