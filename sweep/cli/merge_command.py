"""The command that brings databases together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.errors import InputError
from sweep.cli.terminal import note, print_json, print_table
from sweep.results import open_for_reading, read_rows
from sweep.results.file_system import check_file_system
from sweep.results.merging import MergedDatabase, merge_databases
from sweep.results.questions import status_sql


def merge_command(into: Path, sources: Sequence[Path], as_json: bool) -> None:
    """Bring the rows of databases into one, and show how far its studies are then.

    Parameters
    ----------
    into
        The database that gets the rows; it is made if there is none.
    sources
        The databases that are read. `into` itself may be among them, as ``*.duckdb`` has it.
    as_json
        Whether what is printed is JSON.

    Raises
    ------
    InputError
        When two databases contradict each other, or one cannot be used.
    """
    target = into.resolve()
    read = {source.resolve(): source for source in sources if source.resolve() != target}
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
