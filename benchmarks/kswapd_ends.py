"""With how many free pages recorded kswapds begin and end their runs, counted from the watermarks.

``python benchmarks/kswapd_ends.py NAME.ftrace.txt.gz…``, with NAME.meta.tar.gz beside each, prints
the table of docs/fidelity.md. Free pages are those of the start less what was allocated since; they
include what the CPU keeps. A run counts as raised if it ends 600 pages above the high watermark:
without watermark_boost it ends 64 to 128 above.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from core.workload.ftrace.capture import import_ftrace
from core.workload.ftrace.memory import meta_beside, read_memory
from core.workload.text import read_chunks

_LINE = re.compile(
    rb"^ *(\S.*-\d+) +\[\d+\] \S+ +[\d.]+: "
    rb"(mm_page_alloc|mm_page_free|mm_vmscan_kswapd_sleep|copy_highpage): (?:.*order=(\d+))?",
    re.MULTILINE,
)
RAISED_PAGES = 600


def ends_of(path: Path, free_pages: int) -> list[int]:
    """Return the free pages at each end of a run of kswapd."""
    ends = []
    for _, chunk in read_chunks([path]):
        for task, event, order in _LINE.findall(chunk):
            if event == b"mm_vmscan_kswapd_sleep":
                ends.append(free_pages)
            elif event == b"copy_highpage":
                free_pages -= task.startswith(b"kcompactd")
            else:
                pages = 1 << int(order)
                free_pages += pages if event == b"mm_page_free" else -pages
    return ends


def main() -> None:
    print("| capture | runs that end | above high: a quarter of them less than | half | raised |")
    print("|---|---|---|---|---|")
    for path in map(Path, sys.argv[1:]):
        meta = meta_beside(path)
        assert meta is not None, f"{path}: no archive beside it"
        accesses = import_ftrace([path], read_memory(meta), path.name, with_accesses=True).accesses
        assert accesses is not None
        above = np.array(ends_of(path, accesses.free_pages)) - accesses.high_pages
        quarter, half = np.percentile(above, [25, 50])
        raised = np.mean(above > RAISED_PAGES)
        name = re.sub(r"\.ftrace.*", "", path.name)
        print(f"| `{name}` | {above.size} | {quarter:,.0f} | {half:,.0f} | {raised:.0%} |")


if __name__ == "__main__":
    main()
