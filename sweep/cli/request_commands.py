"""The trace commands for requests of other formats than a kernel's, and for access traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from core.accesses import ACCESSES, METADATA_KEY, TRUNCATE, read_accesses, write_accesses
from core.events import write_events
from core.timeline.prepare import folio_pages
from core.workload.requests.collector import ImportedRequests
from core.workload.requests.csv_text import TIME_DIGITS, import_csv, import_msr, parse_columns
from core.workload.requests.fio_and_blkparse import import_blkparse, import_fio
from core.workload.requests.formats import Format, detect
from core.workload.requests.oracle_general import import_oracle_general
from core.workload.requests.requests import accesses_of, plain_events
from core.workload.synthetic import GENERATORS, PARAMETERS, parameters_of, synthesise
from core.workload.text import TraceError
from sweep.cli import trace_commands as trace
from sweep.cli.terminal import note, print_json
from sweep.study.values import size_in_bytes
from sweep.study.wording import suggest

_IMPORTS: dict[Format, Callable[..., ImportedRequests]] = {
    Format.ORACLE_GENERAL: import_oracle_general,
    Format.CSV: import_csv,
    Format.MSR: import_msr,
    Format.FIO: import_fio,
    Format.BLKTRACE: import_blkparse,
}
_PAGE_SIZE = 4096


class RequestOptions(NamedTuple):
    """The options of an import of requests, as typed."""

    columns: str | None
    time_unit: str | None
    page_size: str | None
    plain: bool
    ignore_size: bool
    memory: str | None


def find_format(paths: Sequence[Path], name: str | None) -> Format:
    """Return the format that is told, or else that of the first part's content."""
    if name is None:
        return detect(paths[0])
    if name not in list(Format):
        raise TraceError(f"--format: unknown format {name}{suggest(name, list(Format))}")
    return Format(name)


def misfits(
    found: Format,
    options: RequestOptions,
    meta: Path | None,
    memory_start: str | None,
    accesses: Path | None,
) -> Iterator[tuple[str, str]]:
    """Yield (option, why) of what was typed and does not fit the format."""
    kernel, table = found is Format.FTRACE, found is Format.CSV
    fits = (
        ("--meta", meta, kernel, "of ftrace"),
        ("--memory-start", memory_start, kernel, "of ftrace"),
        ("--accesses", accesses, kernel, "of ftrace (an access trace is what -o gets)"),
        ("--columns", options.columns, table, "of csv"),
        ("--time-unit", options.time_unit, table, "of csv"),
        ("--page-size", options.page_size, not kernel, "of requests"),
        ("--plain", options.plain or None, not kernel, "of requests"),
        ("--ignore-size", options.ignore_size or None, not kernel, "of requests"),
    )
    for option, given, fit, whose in fits:
        if given is not None and not fit:
            yield option, f"is {whose}, and the format is {found}"
    if not kernel and options.plain and options.memory is None:
        yield "--plain", "needs --memory: that of the machine"
    if not kernel and options.memory is not None and not options.plain:
        yield "--memory", "needs --plain: an access trace is of no machine"


def import_requests(
    paths: Sequence[Path],
    output: Path,
    found: Format,
    options: RequestOptions,
    source: str | None,
    as_json: bool,
) -> None:
    """Import a trace of requests, write accesses or mm events, and say what was in it."""
    trace.check_output(output)
    page_size, data_pages = _pages(options)
    run = _IMPORTS[found]
    if found is Format.CSV:
        unit = options.time_unit or "s"
        if unit not in TIME_DIGITS:
            raise TraceError(f"--time-unit: {unit} is none of {', '.join(TIME_DIGITS)}")
        columns = parse_columns(options.columns) if options.columns is not None else {}
        run = partial(run, columns=columns, time_unit=unit)
    about = source or ", ".join(path.name for path in paths)
    start = monotonic()
    with trace.progress_bar() as bar:
        task = bar.add_task("importing", total=None)
        imported = run(
            paths,
            page_size=page_size,
            ignore_size=options.ignore_size,
            source=about,
            progress=lambda done, size: bar.update(task, completed=done, total=size),
        )
    seconds = monotonic() - start
    if options.plain:
        events = plain_events(imported.requests, page_size, data_pages)
        write_events(output, events)
        rows = int(events.op.size)
    else:
        accesses = accesses_of(imported.requests, page_size)
        write_accesses(output, accesses)
        rows = int(accesses.op.size)
    _say_import(output, found, imported, rows, seconds, as_json)


def _pages(options: RequestOptions) -> tuple[int, int]:
    """Return the bytes of a page, and the pages of memory if it is told."""
    try:
        page_size = size_in_bytes(options.page_size or "4KiB")
    except ValueError as error:
        raise TraceError(f"--page-size: {error}") from None
    if page_size < 4096 or page_size & (page_size - 1):
        raise TraceError(f"--page-size: {page_size} is not a power of two of at least 4096")
    if options.memory is None:
        return page_size, 0
    try:
        size = size_in_bytes(options.memory)
    except ValueError as error:
        raise TraceError(f"--memory: {error}") from None
    if size % page_size or size // page_size >= 2**31:
        raise TraceError(
            f"--memory: {size} bytes are not whole pages of {page_size} bytes, fewer than 2**31"
        )
    return page_size, size // page_size


def _say_import(
    output: Path,
    found: Format,
    imported: ImportedRequests,
    rows: int,
    seconds: float,
    as_json: bool,
) -> None:
    counts = imported.counts | {"rows": rows}
    span_s = round(int(imported.requests.time_ns[-1]) / 1e9, 3)
    for warning in imported.warnings:
        note(f"warning: {warning}")
    if as_json:
        print_json(
            {"output": str(output), "format": str(found), "counts": counts, "span_s": span_s}
            | {"unused": imported.unused, "warnings": imported.warnings}
        )
        return
    for name, count in counts.items():
        print(f"{count:>14,}  {name}")
    print(f"{span_s:>14,}  seconds from the first to the last")
    if imported.unused:
        unused = ", ".join(f"{name} {count:,}" for name, count in imported.unused.items())
        print(f"not used: {unused}")
    rate = counts["requests"] / max(seconds, 1e-9) / 1e6
    print(
        f"{output}: {found}, {seconds:.1f} s, {rate:.2g} M requests/s; "
        "sweep trace info shows what it holds"
    )


def synthesise_command(
    name: str, output: Path, memory: str, seed: int, changed: Sequence[str], as_json: bool
) -> None:
    """Write the access trace of a synthetic workload, and say what is in it."""
    trace.check_output(output)
    if name not in GENERATORS:
        raise TraceError(f"unknown workload {name}{suggest(name, list(GENERATORS))}")
    defaults = parameters_of(name)
    known = {key: PARAMETERS[key] for key in defaults}
    parameters = defaults | trace.changed_values(known, changed, f"{name} has no parameter")
    try:
        size = size_in_bytes(memory)
    except ValueError as error:
        raise TraceError(f"--memory: {error}") from None
    if size % _PAGE_SIZE or not 1 <= size // _PAGE_SIZE < 2**31:
        raise TraceError(f"--memory: {size} bytes are not whole pages of {_PAGE_SIZE} bytes")
    write_accesses(output, synthesise(name, parameters, seed, size // _PAGE_SIZE, _PAGE_SIZE))
    info_command(output, as_json)


def info_command(path: Path, as_json: bool) -> None:
    """Show what an access trace or a table of mm events holds."""
    if not _is_accesses(path):
        trace.info_command(path, as_json)
        return
    figures = _survey(path)
    if as_json:
        print_json(figures)
        return
    print(f"{path}: {figures['source']}")
    print(f"  an access trace: {figures['rows']:,} rows over {figures['span_s']:,} s")
    used = ", ".join(f"{name} {count:,}" for name, count in figures["accesses"].items() if count)
    print(f"  accesses: {used}")
    print(
        f"  pages of {figures['page_size']} bytes: {figures['requested_pages']:,} asked for, "
        f"{figures['distinct_pages']:,} distinct in {figures['files']:,} files"
    )
    if not figures["data_pages"]:
        print("  machine: none; sweep trace reclaim needs --memory")
        return
    memory_mib = figures["data_pages"] * figures["page_size"] / 2**20
    free_mib = figures["free_pages"] * figures["page_size"] / 2**20
    print(f"  machine: {memory_mib:,.0f} MiB of memory, {free_mib:,.0f} free when it began")


def _is_accesses(path: Path) -> bool:
    try:
        return METADATA_KEY in (parquet.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException):
        # What is wrong with the file is said by who reads it.
        return False


def _survey(path: Path) -> dict[str, Any]:
    """Return the figures of an access trace."""
    accesses = read_accesses(path)
    file = accesses.op < TRUNCATE
    keys = accesses.inode[file].astype(np.uint64) << np.uint64(32) | accesses.index[file]
    order = accesses.order[file]
    span_ns = int(accesses.time_ns[-1] - accesses.time_ns[0]) if accesses.op.size else 0
    return {
        "source": accesses.source,
        "page_size": accesses.page_size,
        "data_pages": accesses.data_pages,
        "free_pages": accesses.free_pages,
        "rows": int(accesses.op.size),
        "span_s": round(span_ns / 1e9, 3),
        "accesses": {name: int((accesses.op == op).sum()) for op, name in enumerate(ACCESSES)},
        "files": int(np.unique(accesses.inode[file]).size),
        "requested_pages": int((1 << order.astype(np.int64)).sum()),
        "distinct_pages": int(folio_pages(keys, order).size),
    }
