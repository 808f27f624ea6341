"""The trace commands that neither import nor show: each makes something of a table, or a script."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from core.accesses import Accesses, read_accesses, write_accesses
from core.declaration import BELOW_ONE, Declaration
from core.errors import told_of
from core.event_files import read_events, write_events
from core.frontend.measured_errors import errors_in_tests, is_recorded
from core.frontend.out_of_memory import OutOfMemory
from core.frontend.run import SETTINGS, FrontEnd, Reclaim, run_frontend
from core.workload.repair import repair
from core.workload.resized import on_machine
from core.workload.synthetic import GENERATORS, PARAMETERS, parameters_of, synthesise
from core.workload.text import TraceError
from sweep.cli.import_command import check_output, write_text
from sweep.cli.info_command import info_command
from sweep.cli.perfetto_config import perfetto_config
from sweep.cli.terminal import note, print_json
from sweep.cli.waiting import telling_of_compiling, telling_of_progress
from sweep.study.values import SIZE_FIELDS, size_in_bytes
from sweep.study.wording import suggest

_PAGE_SIZE = 4096
#: A line of record.sh in place of which another file of the script comes.
_NAMES_FILE = re.compile(r'^\. "\$\(dirname "\$0"\)/(\w+\.sh)"\n', re.MULTILINE)


def changed_values(
    known: dict[str, Declaration], changed: Sequence[str], otherwise: str
) -> dict[str, Any]:
    """Return the values that ``--set NAME=VALUE`` gives, by the parameter's name.

    Parameters
    ----------
    known
        What is declared of each one that there is.
    changed
        What was typed, such as ``skew=0.7``.
    otherwise
        The beginning of the error for any other name, such as ``zipf has no parameter``.

    Raises
    ------
    TraceError
        When a name is unknown, or a value is none of its words, or no number between its bounds.
    """
    values: dict[str, Any] = {}
    for setting in changed:
        name, _, text = setting.partition("=")
        if name not in known:
            raise TraceError(f"--set: {otherwise} {name}{suggest(name, list(known))}")
        words, bounds = known[name].words, known[name].bounds
        if not text:
            example = next(iter(words)) if words is not None else f"{(bounds or (0,))[0]:g}"
            raise TraceError(f"--set: {name} has no value; give one as in {name}={example}")
        if words is not None:
            if text not in list(words):
                meant = suggest(text, [str(word) for word in words])
                raise TraceError(f"--set: {name} is one of {', '.join(words)}, not {text}{meant}")
            values[name] = text
            continue
        assert bounds is not None, f"{name} is neither a word nor a number"
        least, most = bounds
        try:
            if name in SIZE_FIELDS:
                value: float = size_in_bytes(int(text) if text.isdigit() else text, least=0)
            else:
                value = int(text) if isinstance(least, int) else float(text)
        except ValueError:
            raise TraceError(f"--set: {name}: {text!r} is no number of its kind") from None
        if not least <= value <= most:
            below_one = most == BELOW_ONE
            allowed = (
                f"at least {least:g} and below 1" if below_one else f"from {least:g} to {most:g}"
            )
            raise TraceError(f"--set: {name} is {allowed}, not {text}")
        values[name] = value
    return values


def reclaim_command(
    path: Path,
    output: Path,
    reclaim: str,
    memory: str | None,
    changed: Sequence[str],
    as_json: bool,
) -> None:
    """Run an access trace through the front end, and write the mm events that it causes.

    Parameters
    ----------
    path
        The access trace.
    output
        Where the mm events go.
    reclaim
        The way of reclaim: a value of `Reclaim`.
    memory
        The size of the machine's memory, if it is not that of the trace's own machine.
    changed
        Settings of the kernel, such as ``swap_size=1GiB``.
    as_json
        Whether what the front end counted is printed as JSON.

    Raises
    ------
    TraceError
        When a setting is wrong, or the trace is of no machine and `memory` is not given.
    OutOfMemory
        When the machine is too small.
    """
    check_output(output, path)
    known = {name: declared for name, declared in SETTINGS.items() if declared.bounds}
    settings: dict[str, Any] = changed_values(known, changed, "a kernel has no setting")
    try:
        front_end = FrontEnd(reclaim=Reclaim(reclaim), **settings)
    except ValueError as error:
        raise TraceError(f"--set: {error}") from None
    with telling_of_progress("reclaiming", "accesses") as advance, telling_of_compiling("reclaim"):
        recorded = read_accesses(path)
        accesses = _on_memory(recorded, path, memory)
        with told_of(path):
            try:
                fronted = run_frontend(accesses, front_end, progress=advance)
            except OutOfMemory as error:
                raise OutOfMemory(f"{error.what}: more --memory or swap") from None
        write_events(output, fronted.events)
    errors = None
    if is_recorded(recorded):
        ratio = accesses.data_pages / recorded.data_pages
        errors = errors_in_tests(recorded.source, reclaim, ratio)
    if as_json:
        print_json({"output": str(output), "counts": fronted.counts, "errors_in_tests": errors})
        return
    for name, count in fronted.counts.items():
        print(f"{count:>14,}  {name}")
    if errors:
        print(errors)
    print(f"{output}: {fronted.events.op.size:,} rows; sweep trace info shows what it holds")


def _on_memory(accesses: Accesses, path: Path, memory: str | None) -> Accesses:
    """Return the accesses in a file, on their own machine or one with other memory."""
    if memory is not None:
        return _resized(accesses, path, memory)
    if not accesses.data_pages:
        raise TraceError("was recorded on no machine: say how much --memory there is", file=path)
    return accesses


def _resized(accesses: Accesses, path: Path, memory: str) -> Accesses:
    """Return the same accesses on a machine with more or less memory."""
    try:
        size = size_in_bytes(memory)
    except ValueError as error:
        raise TraceError(f"--memory: {error}") from None
    if size % accesses.page_size:
        raise TraceError(f"--memory {memory}: not whole pages of {accesses.page_size} bytes")
    with told_of(path):
        return on_machine(accesses, size // accesses.page_size)


def synthesise_command(
    name: str, output: Path, memory: str, seed: int, changed: Sequence[str], as_json: bool
) -> None:
    """Write the access trace of a synthetic workload, and say what is in it.

    Parameters
    ----------
    name
        A generator, such as ``app_launch``.
    output
        Where the access trace goes.
    memory
        The machine's memory, such as ``512MiB``.
    seed
        Seed of what is random in it.
    changed
        Parameters of the generator, such as ``launches=400``; the others have their defaults.
    as_json
        Whether what is in it is printed as JSON.

    Raises
    ------
    TraceError
        When there is no such generator or parameter, or a value does not fit.
    """
    check_output(output)
    if name not in GENERATORS:
        raise TraceError(f"unknown workload {name}{suggest(name, list(GENERATORS))}")
    defaults = parameters_of(name)
    known = {key: PARAMETERS[key] for key in defaults}
    parameters = defaults | changed_values(known, changed, f"{name} has no parameter")
    try:
        size = size_in_bytes(memory)
    except ValueError as error:
        raise TraceError(f"--memory: {error}") from None
    if size % _PAGE_SIZE or not 1 <= size // _PAGE_SIZE < 2**31:
        raise TraceError(f"--memory: {size} bytes are not whole pages of {_PAGE_SIZE} bytes")
    machine = (size // _PAGE_SIZE, _PAGE_SIZE)
    with telling_of_progress("synthesising", "rows") as advance:
        write_accesses(output, synthesise(name, parameters, seed, *machine, progress=advance))
    info_command(output, as_json)


def repair_command(path: Path, output: Path, as_json: bool) -> None:
    """Write a table without the rows that no kernel could have produced."""
    check_output(output, path)
    with telling_of_progress("repairing"), telling_of_compiling("repair"):
        kept, dropped = repair(read_events(path, check=False))
        write_events(output, kept)
    if as_json:
        print_json({"output": str(output), "kept": int(kept.op.size), "dropped": dropped})
        return
    for what, count in dropped.items():
        print(f"{count:>14,}  rows dropped: {what}")
    print(f"{output}: {kept.op.size:,} rows kept, {sum(dropped.values()):,} dropped")


def record_command(output: Path | None) -> None:
    """Print, or write, the script that records a trace on a device."""

    def text(name: str) -> str:
        return files("sweep.cli").joinpath(name).read_text(encoding="utf-8")

    # One file travels to the device.
    script = _NAMES_FILE.sub(lambda named: text(named[1]), text("record.sh"))
    if output is None:
        sys.stdout.write(script)
        return
    check_output(output)
    write_text(output, script)
    os.chmod(output, 0o755)
    note(f"{output}: copy it to the device and run it there as root: sh {output.name} -h")


def record_perfetto_command(output: Path | None, seconds: int, mib: int) -> None:
    """Print, or write, the configuration with which Perfetto records a trace.

    Parameters
    ----------
    output
        Where it goes, if not to standard output.
    seconds, mib
        How long it records, and how large the trace becomes, at most.
    """
    config = perfetto_config(seconds, mib)
    if output is None:
        sys.stdout.write(config)
        return
    check_output(output)
    write_text(output, config)
    note(f"{output}: perfetto --txt -c - -o trace.pftrace < {output.name}, as root on the device")
