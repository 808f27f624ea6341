"""The command line: data to stdout, progress to stderr, exit codes 0, 1, 2, 129, 130 and 143.

This file has the commands and their options. What a command does is in another file, which is
imported only when the command is called: `sweep --help` takes 0.1 s, and 0.9 s if it imported all.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.merge_command import merge
from sweep.cli.options import (
    BAD_INPUT,
    DONE,
    FAILED_TRIALS,
    INTERRUPTED,
    AsJson,
    Database,
    Folder,
    RetryFailed,
    Timeout,
    TrustCode,
    Written,
    print_version,
)
from sweep.cli.stopping import answering_signals, saying_what_is_written, was_stopped
from sweep.cli.streams import give_up_stdout_if_full, print_to_anything
from sweep.cli.trace import trace

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
DEFAULT_DATABASE = Path("results.duckdb")
#: With fewer addresses libraries of native code abort, where they should raise an error.
LEAST_ADDRESSES_BYTES = 3 * 2**30


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""
    limit_bytes = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit_bytes != resource.RLIM_INFINITY and limit_bytes < LEAST_ADDRESSES_BYTES:
        given, needed = limit_bytes // 2**20, LEAST_ADDRESSES_BYTES // 2**20
        print(f"{given} MiB of addresses (ulimit -v): {needed} are needed", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)


@app.command()
def run(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY.YAML", help="The study, or a bundle of one (x.tar).")
    ],
    database: Database = DEFAULT_DATABASE,
    executor: Annotated[
        str,
        typer.Option(
            metavar="auto|threads|ray|in-process",
            help="Where trials are replayed: in threads of this machine, on a Ray cluster (auto: "
            "where one is named), or one by one.",
        ),
    ] = "auto",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="A Ray cluster (or RAY_ADDRESS); none: a local one."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Threads, or actors of the cluster; by default one a core."),
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
    retry_failed: RetryFailed = False,
    folder: Folder = None,
    trust_code: TrustCode = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Run the I-th of N shares, to be merged (sweep merge)."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Record nothing: tell what it would replay, and how long."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run a study, or that of a bundle; running it again goes on where it was."""
    from sweep.cli.study_commands import dry_run_command, run_command
    from sweep.engine.register import start_afresh
    from sweep.engine.shards import parse_shard
    from sweep.engine.study_run import Where

    if new and new_if_changed:
        raise typer.BadParameter("choose one of --new and --new-if-changed", param_hint="--new")
    if (shard is not None or retry_failed) and (dry_run or study.suffix == ".tar"):
        hint = "--shard" if shard is not None else "--retry-failed"
        raise typer.BadParameter("not of a bundle, and not with --dry-run", param_hint=hint)
    where = Where(executor, address, workers, None if shard is None else parse_shard(shard))
    where.check()
    if dry_run and study.suffix == ".tar":
        what = "a bundle has no dry run: unpack its study"
        raise typer.BadParameter(what, param_hint="--dry-run")
    if dry_run:
        dry_run_command(study, where, as_json)
        return DONE
    afresh = start_afresh(new, new_if_changed)
    if study.suffix == ".tar":
        from sweep.cli.bundle_commands import run_bundle_command

        differs = run_bundle_command(study, database, where, afresh, folder, trust_code, as_json)
        return FAILED_TRIALS if differs else DONE
    if folder or trust_code:
        raise typer.BadParameter("it is of bundles alone", param_hint="--folder / --trust-code")
    failed = run_command(study, database, where, afresh, as_json, retry_failed)
    return FAILED_TRIALS if failed else DONE


app.command()(merge)


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
    timeout: Timeout = 60.0,
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
    timeout: Timeout = 60.0,
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
    timeout: Timeout = 60.0,
) -> int:
    """Write a study's answer as one HTML file, with figures and the SQL behind them."""
    from sweep.cli.study_commands import report_command

    with saying_what_is_written(output):
        report_command(study, database, output, as_json)
    return DONE


@app.command(name="compare")
def compare_policies(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A trial, baseline, preset, system, study.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="Another; STUDY:12 is one of a study.")],
    study: Annotated[
        str | None, typer.Option(help="The study of A and B, by name or file.", show_default=False)
    ] = None,
    database: Database = DEFAULT_DATABASE,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="METRIC", help="What to compare by; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    timeout: Timeout = 60.0,
) -> int:
    """Compare two policies or studies: what they differ by, and with which doubt."""
    from sweep.cli.compare_command import compare_command

    compare_command([a, b], study, database, metrics or [], as_json)
    return DONE


@app.command()
def figure(
    study: Annotated[str, typer.Argument(help="A study, by name or file.")],
    name: Annotated[
        str | None, typer.Argument(help="A figure, by its name; none: names are listed.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.svg|pdf|csv|tex", help="What is written of the figure."
        ),
    ] = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
    timeout: Timeout = 60.0,
) -> int:
    """Write one figure of a study's report for a paper, or list the figures."""
    if name is None and output is not None:
        what = f"which figure? sweep figure {study} lists their names"
        raise typer.BadParameter(what, param_hint="NAME")
    if name is not None and output is None:
        what = f"where to? a file, such as {name}.svg, .pdf, .csv or .tex"
        raise typer.BadParameter(what, param_hint="--output")
    from sweep.cli.figure_command import figure_command, list_figures_command

    if name is None or output is None:
        list_figures_command(study, database, as_json)
    else:
        with saying_what_is_written(output):
            figure_command(study, name, database, output, as_json)
    return DONE


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Tables: studies, trials, runs.")],
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    timeout: Timeout = 60.0,
) -> int:
    """Ask the results in SQL (DuckDB's); nothing can be changed by it."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv", param_hint="--csv")
    from sweep.cli.study_commands import query_command

    query_command(sql, database, as_json, as_csv)
    return DONE


@app.command()
def bundle(
    study: Annotated[str, typer.Argument(help="A study, by name or file.")],
    output: Written,
    database: Database = DEFAULT_DATABASE,
    folder: Folder = None,
    without_traces: Annotated[
        bool, typer.Option("--without-traces", help="Leave traces out, but for their digests.")
    ] = False,
    as_json: AsJson = False,
    timeout: Timeout = 60.0,
) -> int:
    """Write a study, its traces and its rows as one tar, which sweep run reproduces elsewhere."""
    from sweep.cli.bundle_commands import bundle_command

    with saying_what_is_written(output):
        bundle_command(study, database, output, folder, not without_traces, as_json)
    return DONE


@app.command()
def verify(
    study: Annotated[str, typer.Argument(help="A study, by name or file; or a bundle (x.tar).")],
    database: Database = DEFAULT_DATABASE,
    folder: Folder = None,
    sampled: Annotated[
        str, typer.Option("--sample", metavar="SHARE|N", help="How many trials: 1%, or 20.")
    ] = "100%",
    seed: Annotated[int, typer.Option(help="Of the choice of the sample.")] = 0,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> int:
    """Replay recorded trials, and compare every value with what is stored."""
    from sweep.cli.bundle_commands import verify_command

    differs = verify_command(study, database, folder, sampled, seed, trust_code, as_json)
    return FAILED_TRIALS if differs else DONE


@app.command()
def schema() -> int:
    """Print the JSON Schema of study.yaml, for editors."""
    import json

    from sweep.study.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return DONE


@app.command()
def explain(
    name: Annotated[
        str | None,
        typer.Argument(help="A metric, field, word, system, cost, preset, … ; none: list them."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say what a name of a study or a column of the results means."""
    from sweep.cli.explain_command import explain_command

    explain_command(name, as_json)
    return DONE


app.add_typer(trace, name="trace")


def main() -> None:
    """Run the command line and exit with its code; a mistake of the user is told without traceback.

    Raises
    ------
    SystemExit
        With 0 (done), 1 (a trial failed, or differs), 2 (wrong input); a signal ends the process
        with 130 (SIGINT), 143 (SIGTERM) or 129 (SIGHUP).
    """
    gc.set_threshold(100_000)  # cyclic garbage is rare: to look after 700 objects takes 60 ms
    # Nothing here multiplies large matrices; where a thread cannot be started, OpenBLAS sends its
    # own process the signal of Ctrl-C.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    print_to_anything()
    with answering_signals():
        try:
            code = app(standalone_mode=False)
            sys.stdout.flush()
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except (BrokenPipeError, SystemExit) as error:
            # The reader of the output has seen enough, as in `sweep status | head`: typer's own
            # code for that is 1.
            if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
                raise
            code = DONE
        except Exception as error:
            if not was_stopped():
                from sweep.cli.told_errors import tell

                tell(error)
            code = BAD_INPUT
        give_up_stdout_if_full()
    sys.exit(code if isinstance(code, int) else DONE)
