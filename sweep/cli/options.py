"""What the commands of every file share: exit codes and options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DONE, FAILED_TRIALS, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Written = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="What is written.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try trials that failed earlier again, too.")
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
    bool, typer.Option("--trust-code", help="Import the code that the study of a bundle names.")
]
