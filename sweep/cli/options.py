"""What the commands of every file share: exit codes and options."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.stopping import leave_at_once

DISTRIBUTION = "tag-storage-sweep"
DONE, FAILED_TRIALS, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Written = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="What is written.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try trials that failed earlier again, too.")
]
Database = Annotated[
    Path, typer.Option("--db", metavar="FILE", help="The results database.", show_default=True)
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Where to look for the files of a study that is given by name, or for those that a "
        "bundle leaves out.",
    ),
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Import the code that a bundle or a database names.")
]


def print_version(wanted: bool) -> None:
    """Print the name and version and exit, if `--version` is given."""
    if not wanted:
        return
    try:
        print(f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}")
    except metadata.PackageNotFoundError:
        print(f"{DISTRIBUTION}, not installed")
    raise typer.Exit(DONE)


def _limit(context: typer.Context, seconds: float) -> float:
    """Limit how long the command may ask databases, and how much memory it may take."""
    from sweep.results.limits import memory_limit, time_limit

    context.with_resource(memory_limit())
    context.with_resource(time_limit(seconds, lambda error: leave_at_once(str(error), BAD_INPUT)))
    return seconds


Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        max=1e6,
        callback=_limit,
        help="How long the database may be asked.",
    ),
]
