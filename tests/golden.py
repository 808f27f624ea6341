"""Golden outcomes of the shipped captures. `make golden` renews golden.json."""

from __future__ import annotations

import json
from pathlib import Path

from core.backend import replay
from core.event_files import read_events
from core.eviction import EVICTIONS
from core.machine import Machine
from core.outcomes import measure
from core.policy import PRESETS, Policy

FILE = Path(__file__).parent / "golden.json"
TRACES = Path(__file__).parent.parent / "studies" / "traces"
POLICIES = {
    **PRESETS,
    "carveout": Policy(system="carveout"),
    **{
        f"{eviction} folio": Policy(
            eviction=eviction, folio_order=4, drop="folio", headroom=0.1, metadata="compact"
        )
        for eviction in EVICTIONS
    },
}  # fmt: skip


def outcomes() -> dict[str, dict[str, dict[str, object]]]:
    """Return every outcome of every golden policy on every shipped capture."""
    outcomes_of: dict[str, dict[str, dict[str, object]]] = {}
    for path in sorted(TRACES.glob("*.parquet")):
        if path.stem.endswith(".accesses"):
            continue
        events = read_events(path)
        machine = Machine(events.page_size, events.data_pages, 8192)
        columns = measure(replay(events, machine, list(POLICIES.values())))
        lists = {name: column.tolist() for name, column in columns.items()}
        outcomes_of[path.stem] = {
            policy: {name: values[lane] for name, values in lists.items()}
            for lane, policy in enumerate(POLICIES)
        }
    return outcomes_of


if __name__ == "__main__":
    FILE.write_text(json.dumps(outcomes(), indent=1) + "\n")
