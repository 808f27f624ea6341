"""The command that brings databases together, with its options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.options import DONE, AsJson

if TYPE_CHECKING:
    from sweep.results.merging import MergedDatabase


def merge(
    into: Annotated[Path, typer.Argument(metavar="INTO.DUCKDB", help="What gets the rows.")],
    sources: Annotated[
        list[Path], typer.Argument(metavar="FROM.DUCKDB…", help="What is read, and stays.")
    ],
    as_json: AsJson = False,
) -> int:
    """Bring results databases together, such as those of shards; merging again changes nothing."""
    from core.errors import InputError
    from sweep.cli.terminal import note, print_json, print_table
    from sweep.results import open_for_reading, read_rows
    from sweep.results.file_system import check_file_system
    from sweep.results.merging import merge_databases
    from sweep.results.questions import status_sql

    # INTO may be among them, as *.duckdb has it.
    there = os.path.realpath(into)
    read = {name: each for each in sources if (name := os.path.realpath(each)) != there}
    if not read:
        raise InputError("there is nothing to merge into it: name other databases", file=into)
    warning = check_file_system(into)
    if warning:
        note(f"warning: {warning}")
    merged: list[MergedDatabase] = []

    def tell(each: MergedDatabase) -> None:
        merged.append(each)
        what = f"{each.trials:,} trials and baselines, {each.added:,} of them new"
        note(f"{len(merged)} of {len(read)}: {each.database}: {what}")

    merge_databases(into, list(read.values()), tell)
    with open_for_reading(into) as connection:
        rows = read_rows(connection, status_sql(), [None])
    if as_json:
        databases = [each._asdict() | {"database": str(each.database)} for each in merged]
        print_json({"database": str(into), "merged": databases, "studies": rows})
    else:
        print_table(rows)
    return DONE
