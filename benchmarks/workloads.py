"""Synthetic workloads beside the captures: the table of docs/workloads.md, at 256 MiB.

``python benchmarks/workloads.py CAPTURE.parquet…``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from core.event_files import read_events
from core.events import ALLOC, TAGGED, Events
from core.frontend.run import FrontEnd, run_frontend
from core.workload.survey import survey_events
from core.workload.synthetic import GENERATORS, parameters_of, synthesise


def row_of(name: str, events: Events) -> str:
    figures = survey_events(events).figures
    tagged = events.pfn[(events.op == ALLOC) & (events.flags & TAGGED != 0)]
    block = figures["tag_blocks_by_pages"]
    one = block.get(1) or block["1"]
    cells = [
        f"{figures['restored_pages']:,}",
        f"{figures['refaults'] / max(1, figures['restored_pages']):.0%}",
        f"{figures['distinct_pages']:,}",
        f"{tagged.size:,}",
        f"{figures['peak_tagged_pages'] / figures['data_pages']:.0%}",
        f"{float((np.abs(np.diff(tagged)) == 1).mean()) if tagged.size > 1 else 0:.0%}",
        f"{one['amplification']}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    titles = "workload", "pages read", "refaults", "distinct pages", "tagged allocations"
    print(f"| {' | '.join(titles)} | peak tagged | neighbours | amplification |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sys.argv[1:]:
        print(row_of(Path(path).stem, read_events(path)))
    for name in GENERATORS:
        accesses = synthesise(name, parameters_of(name), 1, 65_536, 4096)
        print(row_of(f"`{name}`", run_frontend(accesses, FrontEnd(zram_size=64 << 20)).events))


if __name__ == "__main__":
    main()
