"""The command that lists the formats of traces that are read."""

from __future__ import annotations

from core.workload.formats import FORMATS, about
from core.workload.text import TraceError
from sweep.cli.terminal import print_json
from sweep.study.wording import suggest


def formats_command(name: str | None, as_json: bool) -> None:
    """List every format, or show one with an example.

    Raises
    ------
    TraceError
        When there is no format of this name.
    """
    rows = {row.name: row for row in FORMATS}
    if name is not None and name not in rows:
        raise TraceError(f"unknown format {name}{suggest(name, rows)}")
    shown = {key: about(row) for key, row in rows.items() if name in (None, key)}
    if as_json:
        kinds = {key: "requests" if rows[key].of_requests else "capture" for key in shown}
        print_json(
            [
                {"name": key, "kind": kinds[key], **what._asdict()}
                | {"options": list(rows[key].options)}
                for key, what in shown.items()
            ]
        )
        return
    for key, what in shown.items():
        print(f"{key}: {what.title}")
        print(f"    told by  {what.recognised}")
        print(f"    holds    {what.columns}")
        if name is not None:
            print(f"    options  {' '.join(rows[key].options)}")
            for line in what.example.splitlines():
                print(f"    | {line}")
    if name is None:
        print("Plain or compressed. sweep trace formats NAME shows the first lines of one.")
