"""The command `trace costs`, behind its options: what it reads, does and shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.cost_presets import COST_PRESETS, DEFAULT_PRESET
from core.errors import quoted_name, shown_name
from core.workload.ftrace.block_lines import (
    BlockRequests,
    BlockTrace,
    device_name,
    read_block_requests,
)
from core.workload.ftrace.emulation import emulation_shown
from core.workload.ftrace.memory import meta_beside, read_memory
from core.workload.ftrace.read_costs import Estimate, Lack, ReadCosts, estimate_read_costs
from core.workload.text import TraceError
from sweep.cli.import_command import (
    check_meta,
    check_no_perfetto,
    check_output,
    check_parts,
    write_text,
)
from sweep.cli.terminal import note, print_json
from sweep.cli.waiting import telling_of_progress

_RECORD = "sweep trace record makes the script that turns these events on"
_FIRST, _PARALLEL = "read_random_ns", "read_parallel_ns"


def costs_command(
    paths: Sequence[Path], output: Path | None, meta: Path | None, device: str | None, as_json: bool
) -> bool:
    """Estimate what reads cost on a recorded device, and print that as a study's costs.

    Parameters
    ----------
    paths
        The parts of the trace.
    output
        Where the YAML is written, if it is not printed.
    meta
        The archive of the recording; by default the one beside the first part, if it is there.
    device
        ``major:minor`` of the device; by default the one with the most reads.
    as_json
        Whether the estimates are printed as JSON.

    Returns
    -------
    bool
        Whether there were enough samples for all costs. What lacks them is told on stderr.

    Raises
    ------
    TraceError
        When the trace cannot be read, has no reads, or enough of them for no cost.
    """
    check_parts(paths)
    archive = meta or meta_beside(paths[0])
    if output is not None:
        check_output(output, *paths, archive)
    check_meta(meta)
    page_size = _page_size(archive)
    for path in paths:
        name = quoted_name(path)
        made = f"make text of it (`traceconv systrace {name} > trace.txt`), and give that"
        check_no_perfetto(path, made)
    with telling_of_progress("reading", "B") as advance:
        trace = read_block_requests(paths, advance)
    requests = _requests_of(trace, device, paths[0])
    number = int(requests.device[0])
    emulated = emulation_shown(number, archive)
    found = estimate_read_costs(requests, page_size)
    lacks = {name: cost for name, cost in found.costs.items() if isinstance(cost, Lack)}
    told = [
        f"{name}: {lack.found:,} {lack.what}; {lack.needed:,} are needed"
        for name, lack in lacks.items()
    ]
    if len(lacks) == len(found.costs):
        raise TraceError(
            f"device {device_name(number)} has too few reads for any cost ({_RECORD}):\n  "
            + "\n  ".join(told),
            file=paths[0],
        )
    _tell(trace, told, emulated)
    about = f"{', '.join(shown_name(path.name) for path in paths)}, device {device_name(number)}"
    text = _as_yaml(found, about, emulated)
    if output is not None:
        write_text(output, text)
    if as_json:
        print_json(
            {"device": device_name(number), "page_size": page_size, "emulated": emulated}
            | {"reads": int(requests.is_read.sum()), "depth": found.depth}
            | {"costs": {name: cost._asdict() for name, cost in found.costs.items()}}
        )
    elif output is None:
        print(text, end="")
    else:
        print(f"{output}: costs: {{measured: {output.name}}} in a study beside it uses them")
    return not lacks


def _page_size(archive: Path | None) -> int:
    """Return the size of a page of the recorded machine, 4 KiB if nothing tells it."""
    try:
        return (read_memory(archive).page_size if archive else 0) or 4096
    except TraceError:
        return 4096  # An archive that does not describe memory; one that cannot be read is told of.


def _requests_of(trace: BlockTrace, device: str | None, path: Path) -> BlockRequests:
    """Return the requests of the device that is asked for, or else of the one with most reads.

    Raises
    ------
    TraceError
        When there are no reads of it.
    """
    if not trace.lines:
        raise TraceError(f"has no block_rq_issue and block_rq_complete; {_RECORD}", file=path)
    requests = trace.requests
    devices, reads = np.unique(requests.device[requests.is_read], return_counts=True)
    names = {device_name(int(number)): number for number in devices}
    if not names:
        raise TraceError("has no read of which both issue and completion are there", file=path)
    if device is None:
        return requests.of(int(devices[np.argmax(reads)]))
    match = re.fullmatch(r"(\d+)[:,](\d+)", device)
    name = f"{int(match[1])}:{int(match[2])}" if match else device
    if name not in names:
        raise TraceError(f"--device: no read of {device}; there are {', '.join(names)}", file=path)
    return requests.of(int(names[name]))


def _tell(trace: BlockTrace, told: list[str], emulated: str | None) -> None:
    """Print what keeps the costs from being all there, or from being believed."""
    if trace.unreadable_lines:
        note(f"warning: {trace.unreadable_lines:,} lines of block events have another form")
    if trace.unpaired_lines:
        note(f"warning: {trace.unpaired_lines:,} lines of block events lack their other half")
    if emulated is not None:
        note(f"warning: emulated ({emulated}): these are no times of a real device")
    for line in told:
        note(f"left out: {line}; {_RECORD}")


def _as_yaml(found: ReadCosts, about: str, emulated: str | None) -> str:
    """Return the costs of a study, with how sure each of them is as a comment."""
    lines = [f"# Measured by sweep trace costs: {about}."]
    if emulated is not None:
        lines.append(f"# emulated ({emulated}): no times of a real device.")
    lines += ["costs:", f"  preset: {DEFAULT_PRESET}  # of what was not measured"]
    first = found.costs[_FIRST]
    if isinstance(first, Estimate):
        most_ns = first.cost_ns
    else:
        most_ns = getattr(COST_PRESETS[DEFAULT_PRESET], _FIRST)
    for name, cost in found.costs.items():
        preset_ns = getattr(COST_PRESETS[DEFAULT_PRESET], name)
        if isinstance(cost, Estimate):
            why = f"95 %: {cost.low_ns} to {cost.high_ns}; {cost.samples} samples"
            value_ns = cost.cost_ns
            if name == _PARALLEL:
                why += f"; {found.depth} more reads in flight"
        elif name == _PARALLEL and preset_ns > most_ns:
            value_ns, why = preset_ns, f"not measured; {cost.found} of {cost.needed} samples"
        else:
            lines.append(
                f"  # {name}: {cost.found} of {cost.needed} samples; that of the preset holds"
            )
            continue
        if name == _PARALLEL and value_ns > most_ns:
            value_ns, why = most_ns, f"as {_FIRST}, which it cannot be above; {why}"
        lines.append(f"  {name}: {value_ns}  # {why}")
    return "\n".join(lines) + "\n"
