"""The studies that a database holds, as they were stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sweep.results.errors import StoreError
from sweep.results.reading import read_rows
from sweep.results.schema import Row
from sweep.study.model import Study
from sweep.study.pick import with_picked_sampler
from sweep.study.read import parse_study

if TYPE_CHECKING:
    from sweep.results.reading import Connection


def study_names(connection: Connection) -> list[str]:
    """Return the names of all studies of a database."""
    rows = read_rows(connection, "SELECT study FROM studies ORDER BY study")
    return [row["study"] for row in rows]


def study_row(connection: Connection, name: str, database: Path) -> Row:
    """Return the row of `studies` of a study of a database; parameters are those of `read_study`.

    Raises
    ------
    StoreError
        When it holds no study of that name; the message tells which it holds.
    """
    rows = read_rows(connection, "SELECT * FROM studies WHERE study = ?", [name])
    if not rows:
        names = ", ".join(study_names(connection)) or "no study"
        raise StoreError(f"no study {name}; it holds {names}", file=database)
    return rows[0]


def read_study(connection: Connection, name: str, database: Path) -> Study:
    """Return a study of a database as it was stored.

    Parameters
    ----------
    connection
        The database, open for reading.
    name
        The name of the study in the database.
    database
        The file that an error names.

    Raises
    ------
    StoreError
        When it holds no study of that name; the message tells which it holds.
    """
    row = study_row(connection, name, database)
    study = parse_study(row["yaml"], Path(f"{database}:{name}"))
    picked = (row["sampler"], row["sampler_reason"]) if row.get("sampler_reason") else None
    return with_picked_sampler(study, picked)
