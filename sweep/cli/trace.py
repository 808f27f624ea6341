"""The trace commands and their options; what each does is in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import BAD_INPUT, DONE, AsJson, Written
from sweep.cli.stopping import saying_what_is_written

trace = typer.Typer(
    help="Traces: record one on a device, import it, and see what it holds.", no_args_is_help=True
)
EventTable = Annotated[Path, typer.Argument(metavar="FILE.PARQUET", help="A table of mm events.")]
WrittenThere = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")
]
Meta = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The recording's archive, if it is not beside it."),
]

Columns = Annotated[
    str | None,
    typer.Option(
        metavar="time=NAME,..",
        help="A table's columns of time, file, offset, size, op and count, by the header's "
        "names or by numbers from 1: time=1,offset=3.",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        metavar="comma|tab|semicolon|bar|space", help="Of a table; told from the content."
    ),
]
TimeUnit = Annotated[
    str | None,
    typer.Option(
        metavar="s|ms|us|ns|100ns",
        help="Of a table's times; if unsaid, told from a first time that is a date, else s.",
    ),
]
OffsetUnit = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Of a table's offsets: 512 for sectors; 1 if unsaid."),
]
SizeUnit = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Of a table's sizes: 512 for sectors; 1 if unsaid."),
]
Reads = Annotated[
    str | None,
    typer.Option(
        metavar="WORD,..", help="Ops of a table that read, such as R,0; usual words are known."
    ),
]
Writes = Annotated[
    str | None,
    typer.Option(metavar="WORD,..", help="Ops that write; other ops are skipped and counted."),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="By default told from the content; sweep trace formats lists them.",
    ),
]


@trace.command("record")
def trace_record(
    output: WrittenThere = None,
    perfetto: Annotated[
        bool, typer.Option("--perfetto", help="Print a configuration for perfetto --txt -c -.")
    ] = False,
    seconds: Annotated[
        int | None,
        typer.Option("--seconds", "-t", min=1, max=86_400, help="With --perfetto; 60 if unsaid."),
    ] = None,
    mib: Annotated[
        int | None,
        typer.Option("--mib", "-m", min=1, max=1 << 20, help="Of file, likewise; 1024 if unsaid."),
    ] = None,
) -> int:
    """Print the script that records a trace on a device: POSIX shell and tracefs alone."""
    if not perfetto and (seconds or mib):
        hint = "--seconds / --mib"
        raise typer.BadParameter("need --perfetto; the script takes -t and -m", param_hint=hint)
    from sweep.cli.trace_commands import record_command, record_perfetto_command

    if perfetto:
        record_perfetto_command(output, seconds or 60, mib or 1024)
    else:
        record_command(output)
    return DONE


@trace.command("import")
def trace_import(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE..",
            help="An ftrace (text, Perfetto), or requests in another format; plain or compressed; "
            "several files are parts of one trace.",
        ),
    ],
    output: Written,
    meta: Meta = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="The tagged memory, such as 8GiB (captures, --plain)."),
    ] = None,
    memory_start: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where it begins, such as 0x40000000."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="What the table says of itself.")] = None,
    accesses: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an access trace too, for trace reclaim."),
    ] = None,
    format_name: FormatName = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    time_unit: TimeUnit = None,
    offset_unit: OffsetUnit = None,
    size_unit: SizeUnit = None,
    reads: Reads = None,
    writes: Writes = None,
    page_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of a page: 4KiB for requests, what a capture tells."),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="Write mm events: a restore and a store for each page requested."
        ),
    ] = False,
    ignore_size: Annotated[
        bool, typer.Option("--ignore-size", help="Each request is for one page.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Import a trace: of a kernel as a table of mm events, requests as an access trace.

    The columns of a table of text (csv): time in seconds, or a date; file, any name or number;
    offset and size in bytes; op, read or write. sweep trace formats says those of each format.
    """
    if memory_start is not None and memory is None:
        raise typer.BadParameter("needs --memory", param_hint="--memory-start")
    from sweep.cli.import_command import import_command
    from sweep.cli.import_requests import RequestOptions, find_format, import_requests, misfits

    options = RequestOptions(
        columns, delimiter, time_unit, offset_unit, size_unit, reads, writes, page_size, plain,
        ignore_size, memory,
    )  # fmt: skip
    trace_format = find_format(files, format_name, options)
    for option, why in misfits(trace_format, options, meta, memory_start, accesses):
        raise typer.BadParameter(why, param_hint=option)
    with saying_what_is_written(output, accesses):
        if trace_format.of_requests:
            is_told = format_name is not None
            import_requests(files, output, trace_format, is_told, options, source, as_json)
        else:
            import_command(
                *(files, output, trace_format, meta, memory, memory_start, page_size),
                *(source, accesses, as_json),
            )
    return DONE


@trace.command("formats")
def trace_formats(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One format, with its first lines.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the formats that are read: what each is, how it is told, the units of its columns."""
    from sweep.cli.formats_command import formats_command

    formats_command(name, as_json)
    return DONE


@trace.command("costs")
def trace_costs(
    captures: Annotated[
        list[Path],
        typer.Argument(metavar="CAPTURE..", help="The text of an ftrace; plain or compressed."),
    ],
    output: WrittenThere = None,
    meta: Meta = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="MAJOR:MINOR", help="By default the one with the most reads."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Fit what reads cost to block events, for a study; exits with 2 if a cost lacks samples."""
    from sweep.cli.cost_commands import costs_command

    with saying_what_is_written(output):
        return DONE if costs_command(captures, output, meta, device, as_json) else BAD_INPUT


@trace.command("cut")
def trace_cut(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The text of an ftrace, plain or compressed; a table of mm events; or an access "
            "trace.",
        ),
    ],
    output: Written,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Since it begins, such as 10s; or a stamp, such as @133.5s.",
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to then; what is at it goes.")
    ] = None,
    phase: Annotated[
        str | None, typer.Option(metavar="NAME", help="While this phase lasts.")
    ] = None,
    occurrence: Annotated[
        int, typer.Option(min=1, metavar="N", help="Which time that the phase occurs.")
    ] = 1,
    task: Annotated[
        str | None,
        typer.Option(metavar="PID|COMM", help="A task, and those that it starts (text alone)."),
    ] = None,
    cgroup: Annotated[
        str | None, typer.Option(metavar="PATH", help="The tasks of a cgroup (text alone).")
    ] = None,
    anonymise: Annotated[
        bool,
        typer.Option(
            "--anonymise",
            help="Drop names, and renumber files and tasks; docs/traces.md lists what an "
            "anonymised trace still tells.",
        ),
    ] = False,
    meta: Meta = None,
    as_json: AsJson = False,
) -> int:
    """Cut a part out of a trace, of its form; drop the names in it, if that is wanted."""
    from sweep.cli.cut_command import asked_of, cut_command

    asked = asked_of(begin, end, phase, occurrence, task, cgroup, anonymise)
    with saying_what_is_written(output):
        cut_command(file, output, asked, meta, as_json)
    return DONE


@trace.command("reclaim")
def trace_reclaim(
    file: Annotated[Path, typer.Argument(metavar="ACCESSES", help="An access trace.")],
    output: Written,
    by: Annotated[
        str, typer.Option(metavar="mglru|active_inactive", help="How the kernel reclaims.")
    ] = "mglru",
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory, if not the trace's own.")
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE", help="A kernel's, such as swap_size=1GiB."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Run an access trace through the page cache of a kernel, into mm events."""
    from core.frontend.run import Reclaim
    from sweep.cli.trace_commands import reclaim_command

    if by not in list(Reclaim):
        raise typer.BadParameter(f"{by} is not {' or '.join(Reclaim)}", param_hint="--by")
    with saying_what_is_written(output):
        reclaim_command(file, output, by, memory, changed or (), as_json)
    return DONE


@trace.command("synthesise")
def trace_synthesise(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as app_launch.")],
    output: Written,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="The machine's.")] = "512MiB",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAMETER=VALUE", help="Once for each that is changed."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write the access trace of a synthetic workload (docs/workloads.md has their parameters)."""
    from sweep.cli.trace_commands import synthesise_command

    with saying_what_is_written(output):
        synthesise_command(name, output, memory, seed, changed or (), as_json)
    return DONE


@trace.command("info")
def trace_info(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.PARQUET", help="A table of mm events, or an access trace."),
    ],
    as_json: AsJson = False,
) -> int:
    """Show what a table holds: events, files, refaults, tagged pages; or accesses and pages."""
    from sweep.cli.info_command import info_command

    info_command(file, as_json)
    return DONE


@trace.command("repair")
def trace_repair(file: EventTable, output: Written, as_json: AsJson = False) -> int:
    """Drop the rows that no kernel could have produced, and say how many."""
    from sweep.cli.trace_commands import repair_command

    with saying_what_is_written(output):
        repair_command(file, output, as_json)
    return DONE


@trace.command("truth")
def trace_truth(
    file: EventTable,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Of the policy, else gcma."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show what a kernel with a cleancache counted, beside what its replay under gcma counts."""
    from sweep.cli.truth_command import truth_command

    truth_command(file, changed or (), as_json)
    return DONE
