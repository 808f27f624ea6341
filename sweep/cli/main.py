"""The command line: data to stdout, progress to stderr, exit codes 0, 1, 2 and 130.

This file has the commands and their options. What a command does is in another file, which is
imported only when the command is called: `sweep --help` takes 0.1 s, and 0.9 s if it imported all.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

DONE, FAILED_TRIALS, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="sweep",
    help="Decide how arm64 MTE tag storage should be reused: replay kernel captures under many "
    "policies, and ask the results in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Commands inherit it.
    context_settings={"help_option_names": ["-h", "--help"]},
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.YAML", help="The study.")]
Database = Annotated[
    Path, typer.Option("--db", metavar="FILE", help="The results database.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Written = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="What is written.")]
DEFAULT_DATABASE = Path("results.duckdb")
DISTRIBUTION = "tag-storage-sweep"


def _print_version(wanted: bool) -> None:
    """Print the name and version and exit, if `--version` is given."""
    if not wanted:
        return
    try:
        print(f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}")
    except metadata.PackageNotFoundError:
        print(f"{DISTRIBUTION}, not installed")
    raise typer.Exit(DONE)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def run(
    study: StudyFile,
    database: Database = DEFAULT_DATABASE,
    executor: Annotated[
        str, typer.Option(metavar="ray|in-process", help="Where trials are replayed.")
    ] = "ray",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="A Ray cluster (or RAY_ADDRESS); none: a local one."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Actors; by default one a core of the cluster.")
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Start afresh; an older study of the name is kept aside.")
    ] = False,
    new_if_changed: Annotated[
        bool,
        typer.Option(
            "--new-if-changed",
            help="The same, if the older one differs or an earlier version ran it; else go on.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run a study; running it again goes on where it was."""
    from sweep.cli.study_commands import run_command
    from sweep.engine.register import start_afresh
    from sweep.engine.study_run import EXECUTORS, Where

    if executor not in EXECUTORS:
        what = f"{executor} is not {' or '.join(EXECUTORS)}"
        raise typer.BadParameter(what, param_hint="--executor")
    if executor == "in-process" and (address or workers):
        raise typer.BadParameter("in-process has no cluster", param_hint="--address / --workers")
    if new and new_if_changed:
        raise typer.BadParameter("choose one of --new and --new-if-changed", param_hint="--new")
    where = Where(executor, address, workers)
    afresh = start_afresh(new, new_if_changed)
    failed = run_command(study, database, where, afresh, as_json)
    return FAILED_TRIALS if failed else DONE


@app.command()
def validate(study: StudyFile, as_json: AsJson = False) -> int:
    """Check a study and its traces, and say what it would run."""
    from sweep.cli.study_commands import validate_command

    validate_command(study, as_json)
    return DONE


@app.command()
def status(
    study: Annotated[str | None, typer.Argument(help="A study, by name or file.")] = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> int:
    """Show how far studies are."""
    from sweep.cli.study_commands import status_command

    status_command(study, database, as_json)
    return DONE


@app.command()
def best(
    study: Annotated[str, typer.Argument(help="A study, by name or file.")],
    database: Database = DEFAULT_DATABASE,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 20,
    as_json: AsJson = False,
) -> int:
    """Show the best trials: the Pareto set where there are several objectives."""
    from sweep.cli.study_commands import best_command

    best_command(study, database, limit, as_json)
    return DONE


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="A study, by name or file.")],
    output: Written,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> int:
    """Write a study's answer as one HTML file, with figures and the SQL behind them."""
    from sweep.cli.study_commands import report_command

    report_command(study, database, output, as_json)
    return DONE


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Tables: studies, trials, runs.")],
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> int:
    """Ask the results in SQL (DuckDB's); nothing can be changed by it."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv", param_hint="--csv")
    from sweep.cli.study_commands import query_command

    query_command(sql, database, as_json, as_csv)
    return DONE


@app.command()
def schema() -> int:
    """Print the JSON Schema of study.yaml, for editors."""
    import json

    from sweep.study.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return DONE


trace = typer.Typer(
    help="Traces: record one on a device, import it, and see what it holds.", no_args_is_help=True
)
app.add_typer(trace, name="trace")
EventTable = Annotated[Path, typer.Argument(metavar="FILE.PARQUET", help="A table of mm events.")]
WrittenThere = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")
]
Meta = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The recording's archive, if it is not beside it."),
]


@trace.command("record")
def trace_record(output: WrittenThere = None) -> int:
    """Print the script that records a trace on a device: POSIX shell and tracefs alone."""
    from sweep.cli.trace_commands import record_command

    record_command(output)
    return DONE


@trace.command("import")
def trace_import(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE..",
            help="The text of an ftrace, or requests in another format; plain, gz or zst; "
            "parts in order.",
        ),
    ],
    output: Written,
    meta: Meta = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="The tagged memory, such as 8GiB (ftrace, --plain)."),
    ] = None,
    memory_start: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where it begins, such as 0x40000000.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="What the table says of itself.")] = None,
    accesses: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an access trace too, for trace reclaim."),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="ftrace|oracle_general|csv|msr|fio|blktrace",
            help="By default found out from the content.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="time=NAME,..", help="A CSV header's names of time, file, offset, size, op."
        ),
    ] = None,
    time_unit: Annotated[
        str | None, typer.Option(metavar="s|ms|us|ns|100ns", help="Of a CSV's times; s if unsaid.")
    ] = None,
    page_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Pages of requests; 4KiB if unsaid.")
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
    """Import a trace: of a kernel as a table of mm events, requests as an access trace."""
    if memory_start is not None and memory is None:
        raise typer.BadParameter("needs --memory", param_hint="--memory-start")
    from sweep.cli.request_commands import RequestOptions, find_format, import_requests, misfits
    from sweep.cli.trace_commands import import_command

    options = RequestOptions(columns, time_unit, page_size, plain, ignore_size, memory)
    trace_format = find_format(files, format_name)
    for option, why in misfits(trace_format, options, meta, memory_start, accesses):
        raise typer.BadParameter(why, param_hint=option)
    if trace_format.of_requests:
        import_requests(files, output, trace_format, options, source, as_json)
    else:
        import_command(
            files, output, trace_format, meta, memory, memory_start, source, accesses, as_json
        )
    return DONE


@trace.command("costs")
def trace_costs(
    captures: Annotated[
        list[Path],
        typer.Argument(metavar="CAPTURE..", help="The text of an ftrace; plain, gz or zst."),
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

    return DONE if costs_command(captures, output, meta, device, as_json) else BAD_INPUT


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
    from sweep.cli.request_commands import synthesise_command

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
    from sweep.cli.request_commands import info_command

    info_command(file, as_json)
    return DONE


@trace.command("repair")
def trace_repair(file: EventTable, output: Written, as_json: AsJson = False) -> int:
    """Drop the rows that no kernel could have produced, and say how many."""
    from sweep.cli.trace_commands import repair_command

    repair_command(file, output, as_json)
    return DONE


def main() -> None:
    """Run the command line and exit with its code; a mistake of the user is told without traceback.

    Raises
    ------
    SystemExit
        With 0 (done), 1 (a trial failed), 2 (wrong input) or 130 (interrupted).
    """
    try:
        code = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has seen enough, as in `sweep status | head`.
        sys.stderr.close()
        code = DONE
    except Exception as error:
        _tell(error)
        code = BAD_INPUT
    sys.exit(code if isinstance(code, int) else DONE)


def _tell(error: Exception) -> None:
    """Print an error that a user can put right; raise any other, which is one of this program."""
    from core.errors import InputError

    show = getattr(error, "show", None)  # typer's own errors show the usage too
    if show is not None:
        show()
    elif isinstance(error, InputError):
        print(error, file=sys.stderr)
    else:
        raise error
