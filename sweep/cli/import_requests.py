"""The command that imports a trace of requests, and which format a file is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from core.accesses import write_accesses
from core.errors import told_of
from core.event_files import write_events
from core.import_losses import Loss
from core.workload import formats
from core.workload.formats import about
from core.workload.requests.collector import ImportedRequests
from core.workload.requests.requests import accesses_of, plain_events
from core.workload.requests.table_options import (
    Options,
    parse_columns,
    parse_delimiter,
    parse_time_unit,
)
from core.workload.text import TraceError
from sweep.cli.import_command import check_output, check_parts, took_words
from sweep.cli.terminal import note, print_json
from sweep.cli.waiting import telling_of_compiling, telling_of_progress
from sweep.study.values import size_in_bytes
from sweep.study.wording import suggest


class RequestOptions(NamedTuple):
    """The options of an import of requests, as typed."""

    columns: str | None
    delimiter: str | None
    time_unit: str | None
    offset_unit: str | None
    size_unit: str | None
    reads: str | None
    writes: str | None
    page_size: str | None
    plain: bool
    ignore_size: bool
    memory: str | None


def find_format(paths: Sequence[Path], name: str | None, options: RequestOptions) -> formats.Format:
    """Return the format called `name`, or, without a name, that of the first part's content.

    A table whose columns the user names is read as these say, whatever format it fits.

    Raises
    ------
    TraceError
        When there is no format of this name, the first part cannot be read, or another part is of
        another format.
    """
    rows = {row.name: row for row in formats.FORMATS}
    if name is None:
        found = formats.detect(paths[0])
        says = (options.columns, options.delimiter, options.reads, options.writes)
        if found.form is None or not any(word is not None for word in says):
            formats.check_same_format(paths)
        is_table = found.form is not None or not (found.of_requests or formats.is_capture(paths[0]))
        return rows["csv"] if is_table and any(word is not None for word in says) else found
    if name not in rows:
        raise TraceError(f"--format: unknown format {name}{suggest(name, rows)}")
    return rows[name]


def misfits(
    trace_format: formats.Format,
    options: RequestOptions,
    meta: Path | None,
    memory_start: str | None,
    accesses: Path | None,
) -> Iterator[tuple[str, str]]:
    """Yield (option, why) of each option that was typed and does not fit the format.

    Parameters
    ----------
    trace_format
        The format.
    options
        The options of an import of requests.
    meta, memory_start, accesses
        The options of an import of a kernel's trace; None where they were not typed.
    """
    typed = {
        "--meta": meta,
        "--memory-start": memory_start,
        "--accesses": accesses,
        "--columns": options.columns,
        "--delimiter": options.delimiter,
        "--time-unit": options.time_unit,
        "--offset-unit": options.offset_unit,
        "--size-unit": options.size_unit,
        "--reads": options.reads,
        "--writes": options.writes,
        "--page-size": options.page_size,
        "--plain": options.plain or None,
        "--ignore-size": options.ignore_size or None,
    }
    for option, value in typed.items():
        if value is not None and option not in trace_format.options:
            why = f"is of {_takers(option)}, and the format is {trace_format.name}"
            yield option, why
    if not trace_format.of_requests:
        return
    if options.plain and options.memory is None:
        yield "--plain", "needs --memory: that of the machine"
    if options.memory is not None and not options.plain:
        yield "--memory", "needs --plain: an access trace is of no machine"


def _takers(option: str) -> str:
    """Return the names of the formats that take an option, or what they have in common."""
    takers = [row for row in formats.FORMATS if option in row.options]
    if takers == [row for row in formats.FORMATS if row.of_requests]:
        return "requests"
    names = ", ".join(row.name for row in takers)
    return f"{names} (an access trace is what -o gets)" if option == "--accesses" else names


def import_requests(
    paths: Sequence[Path],
    output: Path,
    trace_format: formats.Format,
    is_told: bool,
    options: RequestOptions,
    source: str | None,
    as_json: bool,
) -> None:
    """Import a trace of requests, write accesses or mm events, and say what was in it.

    Parameters
    ----------
    paths
        The parts of the trace, in the order of time.
    output
        Where the access trace goes, or with ``--plain`` the mm events.
    trace_format, options
        The format of the parts, and the options that were typed; they fit each other.
    is_told
        Whether the user said the format; if not, how the content was read is said.
    source
        What the output says of where it comes from; by default the names of the parts.
    as_json
        Whether what was in the trace is printed as JSON.

    Raises
    ------
    TraceError
        When the trace cannot be imported, or an option has no usable value.
    """
    check_parts(paths)
    check_output(output, *paths)
    page_size, data_pages = _machine(options)
    arguments = _arguments(trace_format, options)
    start = monotonic()
    with telling_of_progress("importing", "B") as advance:
        with telling_of_compiling("import") as compiling:
            imported: ImportedRequests = trace_format.load_importer()(
                paths,
                page_size=page_size,
                ignore_size=options.ignore_size,
                source=source or ", ".join(path.name for path in paths),
                progress=advance,
                **arguments,
            )
        seconds, compiled_s = monotonic() - start, compiling.seconds
        form = trace_format.form
        if form is not None and form.looks_like and not is_told:
            loss = Loss("guessed_format", 1, f"it may be {form.looks_like}; --format decides")
            imported = imported._replace(losses=(*imported.losses, loss))
        if options.plain:
            with told_of(paths[0]):
                events = plain_events(imported.requests, page_size, data_pages, imported.losses)
            write_events(output, events)
            rows = int(events.op.size)
        else:
            with told_of(paths[0]):
                accesses = accesses_of(imported.requests, page_size, imported.losses)
            write_accesses(output, accesses)
            rows = int(accesses.op.size)
    read_as = _read_as(trace_format, imported, is_told)
    if read_as:
        note(read_as)
    took = took_words(seconds, compiled_s, imported.counts["requests"], "requests")
    _say_import(output, trace_format.name, imported, rows, took, read_as, as_json)


def _read_as(trace_format: formats.Format, imported: ImportedRequests, is_told: bool) -> str:
    """Return how the content was understood; empty where there is nothing to say."""
    if is_told and not imported.read_as:
        return ""
    what = about(trace_format).title
    title = f": {what}" if trace_format.name != "csv" else ""
    detail = f": {imported.read_as}" if imported.read_as else ""
    overrule = "" if is_told else "; --format to overrule"
    return f"read as {trace_format.name}{title}{detail}{overrule}"


def _arguments(trace_format: formats.Format, options: RequestOptions) -> dict[str, Any]:
    """Return the importer's arguments for those options that only some formats take."""
    time_unit = parse_time_unit(options.time_unit) if options.time_unit is not None else ""
    if trace_format.form is None:
        return {"time_unit": time_unit} if time_unit else {}
    columns = Options(
        columns=parse_columns(options.columns) if options.columns is not None else {},
        time_unit=time_unit,
        delimiter=parse_delimiter(options.delimiter) if options.delimiter is not None else "",
        offset_unit=_unit("--offset-unit", options.offset_unit),
        size_unit=_unit("--size-unit", options.size_unit),
        reads=_words("--reads", options.reads),
        writes=_words("--writes", options.writes),
    )
    both = {word.lower() for word in columns.reads} & {word.lower() for word in columns.writes}
    if both:
        raise TraceError(f"--reads, --writes: {', '.join(sorted(both))} is in both")
    return {"options": columns}


def _unit(option: str, text: str | None) -> int:
    """Return the bytes of a unit; 0 where none is typed."""
    if text is None:
        return 0
    try:
        size = size_in_bytes(text)
    except ValueError as error:
        raise TraceError(f"{option}: {error}") from None
    if not 1 <= size <= 1 << 30:
        raise TraceError(f"{option}: {text} is not from 1 byte to 1 GiB")
    return size


def _words(option: str, text: str | None) -> tuple[str, ...]:
    """Return the words in text such as ``R,0,GET``."""
    words = tuple(word.strip() for word in (text or "").split(","))
    if text is not None and not all(words):
        raise TraceError(f"{option}: {text!r} is not of the form WORD,WORD,..")
    return words if text is not None else ()


def _machine(options: RequestOptions) -> tuple[int, int]:
    """Return (page_size, data_pages); `data_pages` is 0 where no memory is given."""
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
    format_name: str,
    imported: ImportedRequests,
    rows: int,
    took: str,
    read_as: str,
    as_json: bool,
) -> None:
    counts = imported.counts | {"rows": rows}
    span_s = round(int(imported.requests.time_ns[-1]) / 1e9, 9)
    warnings = [*(loss.warning for loss in imported.losses), *imported.warnings]
    for warning in warnings:
        note(f"warning: {warning}")
    if as_json:
        print_json(
            {"output": str(output), "format": format_name, "counts": counts, "span_s": span_s}
            | {"unused": imported.unused, "warnings": warnings, "read_as": read_as}
            | {"losses": [loss._asdict() for loss in imported.losses]}
        )
        return
    for name, count in counts.items():
        print(f"{count:>14,}  {name}")
    print(f"{span_s:>14,}  seconds from the first to the last")
    if imported.unused:
        unused = ", ".join(f"{name} {count:,}" for name, count in imported.unused.items())
        print(f"not used: {unused}")
    print(f"{output}: {format_name}, {took}; sweep trace info shows what it holds")
