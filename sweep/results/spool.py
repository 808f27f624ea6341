"""The spool: rows that are safe on disk, on their way into the database.

A file of it holds parts, each with a checksum: an Arrow stream, with the name of its table. Earlier
versions wrote Arrow streams without checksums, and before that rows as lines of JSON, which are
read still. A file of which something cannot be read is put aside whole; its other rows are taken.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from core.files import DISK, Files, writer
from sweep.results.arrow import NOT_ROWS, fitting
from sweep.results.earlier import RENAMED
from sweep.results.earlier_spool import read_json_lines
from sweep.results.errors import first_line
from sweep.results.frames import framed, is_framed, parts_of

#: Rows of one table of the database, with its name.
Rows = tuple[str, pa.Table]
_SUFFIX, _EARLIER_SUFFIX = ".arrows", ".jsonl"
_TABLE = b"table"
#: Where files go, in the folder of the spool, of which something could not be read.
ASIDE = "aside"


@dataclass
class SpoolFile:
    """What is in a file of the spool.

    Parameters
    ----------
    name
        Its name in the folder.
    rows
        The rows that a database can hold.
    faults
        What of it is no row of a database, each in some words.
    unread
        Why it could not be read at all, which may change.
    """

    name: str
    rows: list[Rows] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unread: str = ""

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier version wrote it."""
        return self.name.endswith(_EARLIER_SUFFIX)


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
        What no other process that writes to the folder has.
    """

    def __init__(
        self,
        folder: Path,
        files: Files = DISK,
        clock_ns: Callable[[], int] = time.time_ns,
        writer: Callable[[], str] = writer,
    ) -> None:
        self.folder, self.files = folder, files
        self._clock_ns, self._writer = clock_ns, writer
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
        stamps = [int(name[:20]) for name in self.names() if re.match(r"\d{20}-", name, re.ASCII)]
        newest = max(stamps, default=0)
        target = f"{max(self._clock_ns(), newest + 1):020d}-{self._writer()}{_SUFFIX}"
        partial = self.folder / f"rows.{self._writer()}.partial"
        self.files.write(partial, content_of(rows))
        self.files.sync(partial)
        self.files.rename(partial, self.folder / target)
        self.files.sync(self.folder)

    def read(self, names: Iterable[str], may_be_gone: bool = False) -> Iterator[SpoolFile]:
        """Yield what is in files of the spool.

        Parameters
        ----------
        names
            The files.
        may_be_gone
            Whether to pass over files that are removed meanwhile, since they are merged.
        """
        for name in names:
            try:
                content = self.files.read(self.folder / name)
            except FileNotFoundError:
                if may_be_gone:
                    continue
                raise
            except OSError as error:
                yield SpoolFile(name, unread=error.strerror or str(error))
            else:
                yield read_content(name, content)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files whose rows are in the database."""
        for name in names:
            self.files.remove(self.folder / name)
        if names:
            self.files.sync(self.folder)

    def put_aside(self, name: str) -> Path:
        """Move a file out of the way, as it is, and return where it is now."""
        aside = self.folder / ASIDE
        self.files.make_folder(aside)
        taken, number = self.files.names(aside), 1
        new = name
        while new in taken:
            number += 1
            new = f"{name}~{number}"
        with suppress(FileNotFoundError):  # another process has moved it
            self.files.rename(self.folder / name, aside / new)
        self.files.sync(aside)
        self.files.sync(self.folder)
        return aside / new


def content_of(rows: Iterable[Rows]) -> bytes:
    """Return the content of a file with rows of tables."""
    parts = []
    for table, of_table in rows:
        buffer = pa.BufferOutputStream()
        schema = of_table.schema.with_metadata({_TABLE: table.encode()})
        with pa.ipc.new_stream(buffer, schema) as stream:
            stream.write_table(of_table)
        parts.append(buffer.getvalue().to_pybytes())
    return framed(parts)


def read_content(name: str, content: bytes) -> SpoolFile:
    """Return what is in a file with such a name."""
    file = SpoolFile(name)
    if not content.strip(b"\0"):
        file.faults.append("it is empty")
    elif file.is_earlier:
        _keep_what_fits(file, read_json_lines(content, file.faults))
    elif is_framed(content):
        parts, damaged = parts_of(content)
        if damaged:
            file.faults.append(f"{damaged} of its {len(parts) + damaged} parts damaged")
        for part in parts:
            _keep_what_fits(file, _streams_in(part))
    else:
        _keep_what_fits(file, _streams_in(content))
    return file


def _keep_what_fits(file: SpoolFile, read: Iterator[Rows]) -> None:
    """Add the rows to a file that a database can hold, and what is wrong with the others."""
    while True:
        try:
            table, rows = next(read)
            fit, faults = fitting(table, rows)
        except StopIteration:
            return
        except NOT_ROWS as error:
            file.faults.append(f"no rows of a table ({first_line(error)})")
        else:
            file.faults += faults
            if len(fit):
                file.rows.append((table, fit))


def _streams_in(content: bytes) -> Iterator[Rows]:
    source = pa.BufferReader(content)
    while source.tell() < len(content):
        with pa.ipc.open_stream(source) as stream:
            table = stream.schema.metadata[_TABLE].decode()
            rows = stream.read_all().replace_schema_metadata(None)
            renamed = RENAMED.get(table, {})
            yield (
                table,
                rows.rename_columns([renamed.get(name, name) for name in rows.column_names]),
            )
