"""What a file is that was given as a table, and the command that makes a table of it."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

from core.errors import TraceError

_PARQUET = b"PAR1"


def import_advice(path: Path, kind: str = "trace") -> str:
    """Return the command that makes a table of a trace; empty where a file is none, or a table.

    Parameters
    ----------
    path
        The file.
    kind
        The key of a study that it is given as: ``trace`` or ``accesses``.
    """
    # Loaded only where a study is wrong: every command that reads a study would wait for it.
    from core.workload.formats import detect, is_capture

    found = None
    with suppress(OSError, TraceError):
        if path.is_file() and path.open("rb").read(len(_PARQUET)) != _PARQUET:
            found = detect(path)
    if found is None or not (found.of_requests or is_capture(path)):
        return ""
    table = f"{path.name.split('.')[0] or path.stem}.parquet"
    command = f"sweep trace import {shlex.quote(path.name)} -o {shlex.quote(table)}"
    if not found.of_requests and kind == "accesses":
        command += f" --accesses {shlex.quote(table.replace('.parquet', '.accesses.parquet'))}"
    use = f"makes an access trace, for accesses: {table}" if found.of_requests else "makes one"
    return f"is of the format {found.name}, not a table: `{command}` {use}"
