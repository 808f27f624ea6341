"""The command `trace truth`, behind its options: a kernel's own counters beside a replay's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.event_files import read_events
from core.policy import DECLARED, PRESETS
from core.truth import compare_with_kernel
from core.workload.text import TraceError
from sweep.cli.terminal import note, print_json, print_table
from sweep.cli.trace_commands import changed_values
from sweep.study.check_policy import check_policies

# What such a kernel decides. It has no headroom, placement or guests, and its recording has where
# its tagged pages lie.
_DECIDED = (
    *("admission", "restore", "offer", "lookup", "large_folios", "eviction"),
    *("slot_reclaim", "slot_reclaim_batch", "drop", "folio_order"),
)


def truth_command(path: Path, changed: Sequence[str], as_json: bool) -> None:
    """Show what the recorded kernel's cleancache counted, and what its replay counts.

    Parameters
    ----------
    path
        A table that was imported from a recording of such a kernel.
    changed
        Fields of the policy, such as ``admission=all``, where the kernel's are not those of gcma.
    as_json
        Whether the rows are printed as JSON.

    Raises
    ------
    TraceError
        When such a kernel has no such field, when there is no such value, or when it would change
        nothing.
    EventsError
        When the table cannot be read, or has no counters of a cleancache.
    """
    known = {name: DECLARED[name] for name in _DECIDED}
    fields = changed_values(known, changed, "a kernel with a cleancache has no policy field")
    for mistake in check_policies({"policy": {"preset": "gcma", **fields}}):
        raise TraceError(f"--set: {mistake.message}")
    compared = compare_with_kernel(read_events(path), replace(PRESETS["gcma"], **fields), str(path))
    rows = [
        {
            "outcome": of.name,
            "kernel": of.kernel,
            "replay": of.replay,
            "difference": of.difference,
            "difference_ratio": of.difference_ratio,
        }
        for of in compared
    ]
    if as_json:
        print_json(rows)
        return
    print_table(rows, f"{path}: the kernel's own counters, and those of its replay")
    if changed:
        return
    note("what no event of the trace shows differs: inodes that go, and folios that are kept")
