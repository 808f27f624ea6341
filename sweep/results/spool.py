"""The spool: rows that are safe on disk, on their way into the database.

A file of it holds Arrow streams, one behind the other, each with the name of its table. Earlier
versions wrote rows as lines of JSON, which are read still.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from core.files import DISK, Files
from sweep.results.arrow import schema_of
from sweep.results.earlier import RENAMED
from sweep.results.earlier_spool import read_json_lines
from sweep.results.errors import StoreError
from sweep.results.schema import TABLES

#: Rows of one table of the database, with its name.
Rows = tuple[str, pa.Table]
_SUFFIX, _EARLIER_SUFFIX = ".arrows", ".jsonl"
_TABLE = b"table"


class Spool:
    """The files of rows that wait beside a database.

    Parameters
    ----------
    folder
        Where they are, of `spool_folder`; it is made when the first is written.
    files
        The file system.
    clock_ns
        The time of day in ns, by which files are named.
    writer
        What no other process that writes to the folder has: by default the number of this one.
    """

    def __init__(
        self,
        folder: Path,
        files: Files = DISK,
        clock_ns: Callable[[], int] = time.time_ns,
        writer: int | None = None,
    ) -> None:
        self.folder, self.files = folder, files
        self._clock_ns, self._writer = clock_ns, os.getpid() if writer is None else writer
        self._has_safe_name = False

    def names(self) -> list[str]:
        """Return the names of the files, oldest first."""
        names = self.files.names(self.folder)
        return [name for name in names if name.endswith((_SUFFIX, _EARLIER_SUFFIX))]

    def write(self, rows: Iterable[Rows]) -> None:
        """Write rows to a new file; once this returns they survive a crash."""
        self.files.make_folder(self.folder)
        if not self._has_safe_name:
            # Whoever made the folder may have been killed before that was synced.
            self.files.sync(self.folder.parent)
            self._has_safe_name = True
        # Even if the clock is set back, a file that is written later sorts later.
        stamps = [stamp for name in self.names() if (stamp := name.split("-")[0]).isdigit()]
        newest = max(map(int, stamps), default=0)
        target = f"{max(self._clock_ns(), newest + 1):020d}-{self._writer}{_SUFFIX}"
        partial = self.folder / f"{self._writer}.partial"
        self.files.write(partial, _streams(rows))
        self.files.sync(partial)
        self.files.rename(partial, self.folder / target)
        self.files.sync(self.folder)

    def read(self, names: Iterable[str], may_be_gone: bool = False) -> Iterator[Rows]:
        """Yield what is in files of the spool.

        Parameters
        ----------
        names
            The files.
        may_be_gone
            Whether to pass over files that are removed meanwhile, since they are merged.

        Raises
        ------
        StoreError
            When a file is not one of a spool.
        """
        for name in names:
            try:
                content = self.files.read(self.folder / name)
            except FileNotFoundError:
                if may_be_gone:
                    continue
                raise
            read = read_json_lines if name.endswith(_EARLIER_SUFFIX) else _read_streams
            try:
                yield from read(content)
            except (ValueError, KeyError, pa.ArrowException) as error:
                what = f"no file of a spool, move it away: {error}"
                raise StoreError(what, file=self.folder / name) from None

    def remove(self, names: Sequence[str]) -> None:
        """Remove files whose rows are in the database."""
        for name in names:
            self.files.remove(self.folder / name)
        if names:
            self.files.sync(self.folder)


def has_earlier_rows(names: Iterable[str]) -> bool:
    """Return whether some of the files were written by an earlier version."""
    return any(name.endswith(_EARLIER_SUFFIX) for name in names)


def _streams(rows: Iterable[Rows]) -> bytes:
    buffer = io.BytesIO()
    for table, of_table in rows:
        schema = of_table.schema.with_metadata({_TABLE: table.encode()})
        with pa.ipc.new_stream(buffer, schema) as stream:
            stream.write_table(of_table)
    return buffer.getvalue()


def _read_streams(content: bytes) -> Iterator[Rows]:
    source = pa.BufferReader(content)
    while source.tell() < len(content):
        with pa.ipc.open_stream(source) as stream:
            table = stream.schema.metadata[_TABLE].decode()
            of_table = stream.read_all().replace_schema_metadata(None)
        if table not in TABLES:
            raise ValueError(f"there is no table {table}")
        renamed = RENAMED.get(table, {})
        there = [renamed.get(name, name) for name in of_table.column_names]
        of_table = of_table.rename_columns(there)
        yield table, of_table.select([name for name in schema_of(table).names if name in there])
