"""The command that imports a capture of a kernel, and what every import needs."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from core.accesses import told_bits, write_accesses
from core.errors import check_output_name, shown_name
from core.event_files import write_events
from core.files import written_whole
from core.workload.formats import Format
from core.workload.ftrace.capture import Imported
from core.workload.ftrace.memory import UNKNOWN_START, Memory, meta_beside, read_memory
from core.workload.ftrace.shown_machine import PAGE_SIZES
from core.workload.perfetto.signature import looks_like_perfetto
from core.workload.text import TraceError, read_beginning
from sweep.cli.terminal import check_lines, note, print_json
from sweep.cli.waiting import telling_of_compiling, telling_of_progress
from sweep.study.values import size_in_bytes

#: A rate over a shorter time says nothing.
_SHORTEST_S = 1.0


def import_command(
    paths: Sequence[Path],
    output: Path,
    trace_format: Format,
    meta: Path | None,
    memory: str | None,
    memory_start: str | None,
    page_size: str | None,
    source: str | None,
    accesses: Path | None,
    as_json: bool,
) -> None:
    """Import a capture of a kernel, write its mm events, and say what was in it.

    Parameters
    ----------
    paths
        The files of the trace, in any order: parts of it, or one of each CPU.
    output, accesses
        Where the mm events go, and, if it is wanted, the access trace.
    trace_format
        The format of the parts.
    meta
        The archive of the recording; by default the one beside the first part, if it is there.
    memory, memory_start
        The size of the traced machine's memory and its first address, in place of the archive's.
    page_size
        The size of its pages, where the archive does not tell it.
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
    check_meta(meta)
    machine = _machine(paths, meta, memory, memory_start, page_size)
    about = source or ", ".join(shown_name(path.name) for path in paths)
    start = monotonic()
    with telling_of_progress("importing", "B") as advance:
        with telling_of_compiling("import") as compiling:
            imported: Imported = trace_format.load_importer()(
                *(paths, machine, about, advance, accesses is not None)
            )
        seconds = monotonic() - start
        write_events(output, imported.events)
        if accesses is not None and imported.accesses is not None:
            write_accesses(accesses, imported.accesses)
    bits = told_bits(imported.accesses) if imported.accesses is not None else None
    checks = [check.row for check in imported.events.checks]
    for line in check_lines(checks):
        note(line)
    for warning in imported.warnings:
        note(f"warning: {warning}")
    if as_json:
        print_json(
            {"output": str(output), "counts": imported.counts, "unused": imported.unused}
            | {"warnings": imported.warnings, "checks": checks}
            | {"losses": [loss._asdict() for loss in imported.events.losses]}
            | {"accessed_bits": bits}
        )
        return
    for name, count in imported.counts.items():
        print(f"{count:>14,}  {name}")
    if bits is not None:
        print(f"accessed bits: {bits}")
    if imported.unused:
        unused = ", ".join(f"{name} {count:,}" for name, count in imported.unused.items())
        print(f"not used: {unused}")
    unit, number = next(iter(imported.counts.items()))  # what was read: lines, or events
    took = took_words(seconds, compiling.seconds, number, unit.replace("_", " "))
    print(f"{output}: {took}; sweep trace info shows what it holds")


def took_words(seconds: float, compiled_s: float, number: int, unit: str) -> str:
    """Return how long an import took, and at what rate if that says anything.

    Parameters
    ----------
    seconds
        How long it took.
    compiled_s
        How long of these machine code was compiled, which the next import finds on disk.
    number, unit
        How much was read.
    """
    read_s = seconds - compiled_s
    rate = f", {number / read_s / 1e6:.2g} M {unit}/s" if read_s >= _SHORTEST_S else ""
    compiled = f", {compiled_s:.1f} s of which compiled" if compiled_s >= _SHORTEST_S else ""
    return f"{seconds:.1f} s{compiled}{rate}"


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
    InputError
        When it is ``-``, or has a line break in its name.
    TraceError
        When it is a folder or a device, when there is no folder for it or one that cannot be
        written, or when it is one of the files read.
    """
    check_output_name(output)
    if not output.parent.is_dir():
        raise TraceError(f"there is no folder {output.parent}", file=output)
    if output.is_dir():
        raise TraceError("is a folder; give the name of a file in it", file=output)
    if output.exists() and not output.is_file():
        raise TraceError("is a device or a pipe; give the name of a file", file=output)
    if not os.access(output.parent, os.W_OK):
        raise TraceError(f"the folder {output.parent} cannot be written", file=output)
    for path in read:
        if path is not None and path.exists() and output.exists() and output.samefile(path):
            raise TraceError(
                "is read by this command, which would overwrite it; give another name", file=output
            )


def check_meta(meta: Path | None) -> None:
    """Raise `TraceError` if a file that is typed as a recording's archive can be none.

    What is wrong inside an archive is told where it is read.
    """
    if meta is None:
        return
    if not meta.exists():
        raise TraceError("--meta: no such file", file=meta)
    with suppress(OSError, EOFError, zlib.error):
        # To open a pipe would wait for who writes into it.
        if meta.is_file() and tarfile.is_tarfile(meta):
            return
    what = (
        "--meta: no archive of a recording, which is the tar that sweep trace record's script makes"
    )
    raise TraceError(what, file=meta)


def check_no_perfetto(path: Path, advice: str) -> None:
    """Raise `TraceError` with some advice if a file is of Perfetto, which this command cannot read.

    What else keeps the file from being read is told as where it is read.
    """
    if looks_like_perfetto(read_beginning(path)):
        raise TraceError(f"a trace of Perfetto, binary data: {advice}", file=path)


def write_text(output: Path, text: str) -> None:
    """Write a file of text that appears whole or not at all.

    Raises
    ------
    TraceError
        When it cannot be written.
    """
    try:
        with written_whole(output) as file:
            file.write(text.encode())
    except OSError as error:
        raise TraceError(f"cannot be written: {error.strerror}", file=output) from None


def check_parts(paths: Sequence[Path]) -> None:
    """Raise `TraceError` when a file is given as two parts of a trace: it would count twice."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise TraceError("is given twice, and would count twice; give it once", file=path)
        seen.add(path.resolve())


def _machine(
    paths: Sequence[Path],
    meta: Path | None,
    memory: str | None,
    memory_start: str | None,
    page_size: str | None,
) -> Memory | None:
    """Return the traced machine's memory, as typed or by the archive beside the trace, if any."""
    pages = 0
    if page_size is not None:
        try:
            pages = size_in_bytes(page_size)
        except ValueError as error:
            raise TraceError(f"--page-size: {error}") from None
        if pages not in PAGE_SIZES:
            raise TraceError(f"--page-size: {page_size} is none of 4KiB, 16KiB and 64KiB")
    archive = meta or meta_beside(paths[0])
    machine = Memory(0, 0, 0)
    try:
        if archive:
            machine = read_memory(archive, needs_zones=memory is None)
    except TraceError as error:
        if memory is None:
            what = f"{error.what}; --memory SIZE reads the trace without this"
            raise TraceError(what, file=archive) from None
        if meta:
            raise
    if pages and machine.page_size not in (0, pages):
        what = f"--page-size: {page_size}, but pages are of {machine.page_size} bytes by this file"
        raise TraceError(what, file=archive)
    machine = machine._replace(page_size=pages or machine.page_size)
    if memory is None:
        return machine if archive or pages else None
    try:
        size = size_in_bytes(memory)
        start = UNKNOWN_START if memory_start is None else int(memory_start, 0)
    except ValueError as error:
        raise TraceError(f"--memory / --memory-start: {error}") from None
    if memory_start is None and machine.frames and machine.page_size:
        start = machine.first_frame * machine.page_size
    is_whole = start == UNKNOWN_START or (start >= 0 and not start % 4096)
    if size % 4096 or not size or not is_whole or (memory_start and start < 0):
        raise TraceError("--memory / --memory-start: not whole pages of 4096 bytes")
    # What was free is known of the archive's memory alone.
    typed = machine._replace(typed_bytes=(start, size), free_pages=0, low_pages=0, high_pages=0)
    return typed._replace(first_frame=0, frames=0, holes=0)
