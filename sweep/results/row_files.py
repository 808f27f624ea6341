"""The rows of one study as Parquet files, one for each table, to be read by another database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.results.errors import StoreError, told_errors
from sweep.results.file import rewrite
from sweep.results.limits import asking
from sweep.results.reading import open_for_reading
from sweep.results.schema import TABLES

#: Left empty in files that are handed on: names and folders of one machine, which are nobody else's
#: concern. A run makes its warnings anew.
PRIVATE = ("host", "hosts", "node", "warnings")
_BATCH_ROWS = 10_000


def write_row_files(path: Path, study: str, folder: Path) -> dict[str, int]:
    """Write the rows of a study, in the order of their keys, and return how many each table has.

    Parameters
    ----------
    path
        The database.
    study
        The name of the study in it.
    folder
        Where ``TABLE.parquet`` is written for each table.

    Raises
    ------
    StoreError
        When the database cannot be read, or a file cannot be written.
    """
    counts = {}
    with open_for_reading(path) as connection:
        for table, (columns, key) in TABLES.items():
            values = ", ".join(
                f'NULL::{of} AS "{name}"' if name in PRIVATE else f'"{name}"'
                for name, of in columns.items()
            )
            asked = f"SELECT {values} FROM {table} WHERE study = $1 ORDER BY {', '.join(key)}"
            with asking(connection):
                batches = connection.sql(asked, params=[study]).to_arrow_reader(_BATCH_ROWS)
                counts[table] = _write(batches, folder / f"{table}.parquet", path)
    return counts


def _write(batches: pa.RecordBatchReader, file: Path, database: Path) -> int:
    """Write the rows that are read from a database to a file, and return how many there are."""

    def read() -> Iterator[pa.RecordBatch]:
        with told_errors(database):
            yield from batches

    count = 0
    with told_errors(file), pq.ParquetWriter(file, batches.schema, compression="zstd") as written:
        for batch in read():
            written.write_batch(batch)
            count += batch.num_rows
    return count


def read_row_files(path: Path, study: str, folder: Path) -> None:
    """Add the rows in the files of `write_row_files` to a database, which is made if there is none.

    A file may come from a stranger, or from another version: columns that are not known are left
    out, columns that it lacks are NULL, and rows of another study are not read.

    Parameters
    ----------
    path
        The database; none of the rows are in it.
    study
        The name of the study.
    folder
        Where the files are.

    Raises
    ------
    StoreError
        When a file is not one of rows, or the rows contradict each other.
    """
    with rewrite(path, 0.0) as connection:
        for table, (columns, _) in TABLES.items():
            file = folder / f"{table}.parquet"
            with told_errors(file):
                asked = connection.execute("SELECT * FROM read_parquet(?) LIMIT 0", [str(file)])
                present = [column[0] for column in asked.description or ()]
                names = ", ".join(f'"{name}"' for name in columns if name in present)
                if "study" not in present:
                    raise StoreError("it has no column study", file=file)
                connection.execute(
                    f"INSERT INTO {table} BY NAME SELECT {names} FROM read_parquet(?) "
                    "WHERE study = ?",
                    [str(file), study],
                )
