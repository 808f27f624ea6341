"""The trace commands, behind their options: what each reads, does and shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from core.accesses import Accesses, read_accesses, write_accesses
from core.declaration import BELOW_ONE, Declaration
from core.event_files import read_events, write_events
from core.frontend.run import SETTINGS, FrontEnd, Reclaim, run_frontend
from core.workload.formats import Format
from core.workload.ftrace.capture import Imported
from core.workload.ftrace.memory import Memory, meta_beside, read_memory
from core.workload.repair import repair
from core.workload.survey import survey_events
from core.workload.tenant import on_machine
from core.workload.text import TraceError
from sweep.cli.cache_filling import cache_filling, filling_lines
from sweep.cli.terminal import check_lines, note, print_json
from sweep.study.values import SIZE_FIELDS, size_in_bytes
from sweep.study.wording import suggest

_BARS = " ▁▂▃▄▅▆▇█"
_PHASES_SHOWN = 12


def import_command(
    paths: Sequence[Path],
    output: Path,
    trace_format: Format,
    meta: Path | None,
    memory: str | None,
    memory_start: str | None,
    source: str | None,
    accesses: Path | None,
    as_json: bool,
) -> None:
    """Import a capture of a kernel, write its mm events, and say what was in it.

    Parameters
    ----------
    paths
        The parts of the trace, in the order of time.
    output, accesses
        Where the mm events go, and, if it is wanted, the access trace.
    trace_format
        The format of the parts.
    meta
        The archive of the recording; by default the one beside the first part, if it is there.
    memory, memory_start
        The size of the traced machine's memory and its first address, in place of the archive's.
    source
        What the table says of where it comes from; by default the names of the parts.
    as_json
        Whether what was in the trace is printed as JSON.

    Raises
    ------
    TraceError
        When the trace cannot be imported.
    """
    check_parts(paths)
    read = [*paths, meta or meta_beside(paths[0])]
    check_output(output, *read)
    if accesses is not None:
        check_output(accesses, *read)
        if accesses.resolve() == output.resolve():
            raise TraceError("--accesses: is where the mm events go (-o)", file=accesses)
    machine = _memory(paths, meta, memory, memory_start)
    about = source or ", ".join(path.name for path in paths)
    start = monotonic()
    with progress_bar() as bar:
        task = bar.add_task("importing", total=None)
        imported: Imported = trace_format.load_importer()(
            paths,
            machine,
            about,
            lambda done, size: bar.update(task, completed=done, total=size),
            accesses is not None,
        )
    seconds = monotonic() - start
    write_events(output, imported.events)
    if accesses is not None and imported.accesses is not None:
        write_accesses(accesses, imported.accesses)
    checks = [check.row for check in imported.events.checks]
    for line in check_lines(checks):
        note(line)
    for warning in imported.warnings:
        note(f"warning: {warning}")
    if as_json:
        print_json(
            {"output": str(output), "counts": imported.counts, "unused": imported.unused}
            | {"warnings": imported.warnings, "checks": checks}
        )
        return
    for name, count in imported.counts.items():
        print(f"{count:>14,}  {name}")
    if imported.unused:
        unused = ", ".join(f"{name} {count:,}" for name, count in imported.unused.items())
        print(f"not used: {unused}")
    rate = imported.counts["lines"] / seconds / 1e6
    print(f"{output}: {seconds:.1f} s, {rate:.2g} M lines/s; sweep trace info shows what it holds")


def check_output(output: Path, *read: Path | None) -> None:
    """Refuse to write where nothing can be, or over a file that the command reads.

    Parameters
    ----------
    output
        What is to be written.
    read
        The files that are read; None stands for one that there is not.

    Raises
    ------
    TraceError
        When it is a folder, when there is no folder for it, or when it is one of the files read.
    """
    if not output.parent.is_dir():
        raise TraceError(f"there is no folder {output.parent}", file=output)
    if output.is_dir():
        raise TraceError("is a folder; give the name of a file in it", file=output)
    for path in read:
        if path is not None and path.exists() and output.exists() and output.samefile(path):
            raise TraceError(
                "is read by this command, which would overwrite it; give another name", file=output
            )


def check_parts(paths: Sequence[Path]) -> None:
    """Raise `TraceError` when a file is given as two parts of a trace: it would count twice."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise TraceError("is given twice, and would count twice; give it once", file=path)
        seen.add(path.resolve())


def progress_bar() -> Progress:
    """Return a progress bar of the bytes read, which is on stderr while the import runs."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _memory(
    paths: Sequence[Path], meta: Path | None, memory: str | None, memory_start: str | None
) -> Memory | None:
    """Return the traced machine's memory, as typed or by the archive beside the trace, if any."""
    if memory is not None:
        try:
            size, start = size_in_bytes(memory), int(memory_start or "0", 0)
        except ValueError as error:
            raise TraceError(f"--memory / --memory-start: {error}") from None
        if size % 4096 or start % 4096 or start < 0:
            raise TraceError("--memory / --memory-start: not whole pages of 4096 bytes")
        return Memory(start // 4096, size // 4096, 4096)
    archive = meta or meta_beside(paths[0])
    return read_memory(archive) if archive else None


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
    """
    check_output(output, path)
    known = {name: declared for name, declared in SETTINGS.items() if declared.bounds}
    settings: dict[str, Any] = changed_values(known, changed, "a kernel has no setting")
    try:
        front_end = FrontEnd(reclaim=Reclaim(reclaim), **settings)
    except ValueError as error:
        raise TraceError(f"--set: {error}") from None
    accesses = read_accesses(path)
    if memory is not None:
        accesses = _resized(accesses, memory)
    elif not accesses.data_pages:
        raise TraceError("was recorded on no machine: say how much --memory there is", file=path)
    fronted = run_frontend(accesses, front_end)
    if fronted.counts["failures"]:
        note(f"warning: {path}: memory ran out {fronted.counts['failures']:,} times")
    write_events(output, fronted.events)
    if as_json:
        print_json({"output": str(output), "counts": fronted.counts})
        return
    for name, count in fronted.counts.items():
        print(f"{count:>14,}  {name}")
    print(f"{output}: {fronted.events.op.size:,} rows; sweep trace info shows what it holds")


def _resized(accesses: Accesses, memory: str) -> Accesses:
    """Return the same accesses on a machine with more or less memory."""
    try:
        size = size_in_bytes(memory)
    except ValueError as error:
        raise TraceError(f"--memory: {error}") from None
    if size % accesses.page_size:
        raise TraceError(f"--memory {memory}: not whole pages of {accesses.page_size} bytes")
    return on_machine(accesses, size // accesses.page_size)


def info_command(path: Path, as_json: bool) -> None:
    """Show what an mm event table holds."""
    events = read_events(path)
    figures, tagged_pages = survey_events(events)
    filling = cache_filling(events) if figures["stored_pages"] else None
    if as_json:
        told = filling._asdict() if filling else None
        print_json(figures | {"tagged_pages": tagged_pages.tolist(), "cache_filling": told})
        return
    print(f"{path}: {figures['source']}")
    memory_mib = figures["data_pages"] * figures["page_size"] / 2**20
    print(
        f"  {figures['rows']:,} rows over {figures['span_s']:,} s; {memory_mib:,.0f} MiB of memory"
    )
    used = ", ".join(f"{name} {count:,}" for name, count in figures["events"].items() if count)
    print(f"  events: {used}")
    orders = ", ".join(f"{order}: {count:,}" for order, count in figures["folio_orders"].items())
    print(f"  folios by order: {orders or 'none'}")
    print(
        f"  pages: {figures['restored_pages']:,} restored, {figures['stored_pages']:,} stored, "
        f"{figures['refaults']:,} refaults; {figures['distinct_pages']:,} distinct in "
        f"{figures['files']:,} files; {figures['workingset_stores']:,} stores are workingset"
    )
    warnings = [f"warning: {warning}" for warning in figures["import_warnings"]]
    for line in (*_told(figures), *check_lines(figures["checks"]), *warnings):
        print(f"  {line}")
    if figures["swapped_out_pages"]:
        out, back = figures["swapped_out_pages"], figures["swapped_in_pages"]
        print(f"  a swap device: {out:,} pages went out, {back:,} came back")
    most = max(1, figures["peak_tagged_pages"])
    bars = "".join(_BARS[-(-int(live) * 8 // most)] for live in tagged_pages)
    print(f"  tagged pages over time, {figures['peak_tagged_pages']:,} at most: {bars}")
    for pages, block in figures["tag_blocks_by_pages"].items():
        print(
            f"  tag block of {pages} pages: {block['reservations']:,} reservations, "
            f"{block['peak_reserved']:,} of {block['tag_blocks']:,} reserved at most, "
            f"amplification {block['amplification']}"
        )
    for line in filling_lines(filling) if filling else ():
        print(f"  {line}")


def _told(figures: dict[str, Any]) -> list[str]:
    """Return lines on requests, flags of stores, what is left out, and phases."""
    requests, left_out = figures["requests"], figures["left_out"]
    lines = []
    if requests["count"]:
        lines.append(
            f"read requests ({'recorded' if requests['recorded'] else 'guessed'}): "
            f"{requests['count']:,}, of {requests['pages_mean']:.1f} pages (median "
            f"{requests['pages_median']:g}), {requests['waited_ratio']:.1%} waited for, "
            f"{requests['commands']:,} commands to the device where nothing is cached"
        )
    if figures["stored_pages"]:
        inferred, mapped = figures["workingset_inferred_ratio"], figures["mapped_stores"]
        known = "unknown" if inferred is None else f"inferred for {inferred:.1%} of the stores"
        lines.append(
            f"workingset bits: {'recorded' if inferred == 0 else known}; mapped to disk: "
            f"{'unknown' if mapped is None else f'recorded, {mapped:,} stores are'}"
        )
    if any(left_out.values()):
        lines.append(
            f"in no row: {left_out.get('metadata_pages', 0):,} pages of metadata and "
            f"{left_out.get('write_pages', 0):,} that writes made"
        )
        lines.append(
            f"refaults as the kernel counts them: {figures['kernel_refaults']:,} = "
            f"{left_out.get('row_refaults', figures['refaults']):,} of rows + "
            f"{left_out.get('metadata_refaults', 0):,} of metadata + "
            f"{left_out.get('write_refaults', 0):,} of writes"
        )
    if figures["phases"]:
        shown = list(figures["phases"].items())[:_PHASES_SHOWN]
        more = len(figures["phases"]) - len(shown)
        lines.append(
            "rows of phases: "
            + ", ".join(f"{name} {rows:,}" for name, rows in shown)
            + (f", and {more} more phases (--json)" if more else "")
        )
    return lines


def repair_command(path: Path, output: Path, as_json: bool) -> None:
    """Write a table without the rows that no kernel could have produced."""
    check_output(output, path)
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
    script = files("sweep.cli").joinpath("record.sh").read_text(encoding="utf-8")
    if output is None:
        sys.stdout.write(script)
        return
    check_output(output)
    output.write_text(script, encoding="utf-8")
    os.chmod(output, 0o755)
    note(f"{output}: copy it to the device and run it there as root: sh {output.name} -h")
