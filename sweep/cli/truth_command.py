"""The command `trace truth`, behind its options: a kernel's own counters beside a replay's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.event_files import read_events
from core.policy import DECLARED, PRESETS, reads
from core.truth import compare_with_kernel
from sweep.cli.terminal import note, print_json, print_table
from sweep.cli.trace_commands import changed_values

_READ = reads(PRESETS["gcma"].system)


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
        When there is no such field, or no such value.
    EventsError
        When the table cannot be read, or has no counters of a cleancache.
    """
    known = {name: declared for name, declared in DECLARED.items() if name in _READ}
    fields = changed_values(known, changed, "a cleancache has no policy field")
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
    note("what no event of the trace shows differs: inodes that go, and folios that are kept")
