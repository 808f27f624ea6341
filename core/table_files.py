"""Files of tables: Parquet whose sizes, bytes and words are checked before they are believed.

A file that this package writes has a checksum in each page, and in its metadata a digest of all
that it says. Where a file `SHA256SUMS` lies beside it, as ``sha256sum`` writes one, and lists it,
the whole file has to be what is listed, and a list that cannot be looked through is told. A file
that has none of these is read as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from core.available_memory import available_bytes
from core.errors import quoted_name
from core.events import EventsError
from core.files import DISK, written_whole
from core.table_metadata import TableMetadata

#: The file beside tables that lists their digests.
SUMS = "SHA256SUMS"
#: No list of digests is longer, and no metadata of a table.
_MOST_SUMS_BYTES, _MOST_METADATA_BYTES = 1 << 20, 16 << 20
#: The key of the digest in a file's metadata.
_DIGEST_KEY = b"sha256"
#: Rows of recordings and of generators take 3 to 6 bytes of a file for the 27 of memory. What takes
#: more than so many times its file is no table, unless it is small.
_MOST_UNPACKED, _SMALL_BYTES = 500, 256 << 20
#: What reading takes at most, over what the columns take: some are there twice for a while.
_READING_TAKES = 3
# Columns whose values differ little from those of the row before: to keep the differences takes
# little more than half the space (cache-db-tags, 261,225 rows: 1.5 MB or 0.9).
_STEPPED = ("time_ns", "index", "pfn", "handle")
_GET_AGAIN = "copy, import or make it again"
# A damaged file may even have names of columns that are not UTF-8.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, OverflowError)


class TableForm(NamedTuple):
    """A form of tables: its name, its columns, and the key of the metadata that describes one."""

    name: str
    schema: pa.Schema
    key: bytes


def has_form(path: str | os.PathLike[str], form: TableForm) -> bool:
    """Return whether a file is a table of some form; of one that cannot be read it is not known."""
    return _has_key(path, form.key)


def is_checked(path: str | os.PathLike[str]) -> bool:
    """Return whether a file has the digest by which damage of it is seen."""
    return _has_key(path, _DIGEST_KEY)


def _has_key(path: str | os.PathLike[str], key: bytes) -> bool:
    with suppress(EventsError), _opened(os.fspath(path)) as (file, _):
        return key in (file.schema_arrow.metadata or {})
    return False


def read_metadata(path: str | os.PathLike[str], form: TableForm) -> TableMetadata:
    """Return what a file says of its table, without its rows.

    Raises
    ------
    EventsError
        When the file is missing, or is no table of that form.
    """
    name = os.fspath(path)
    with _opened(name) as (file, _):
        return _described(name, file.schema_arrow, form)


def read_table(
    path: str | os.PathLike[str], form: TableForm
) -> tuple[TableMetadata, dict[str, NDArray[Any]]]:
    """Return what a file says of its table, and the columns.

    Raises
    ------
    EventsError
        When the file is missing, damaged, or no table of that form; or when it has more rows than
        there is memory for, or than a table can have in so few bytes.
    """
    name = os.fspath(path)
    with _opened(name) as (file, raw):
        described = _described(name, file.schema_arrow, form)
        _check_columns(name, file.schema_arrow, form)
        _check_sizes(name, file, form, os.fstat(raw.fileno()).st_size)
        _check_sum(name, raw)
        columns = {column: _column(name, file, column) for column in form.schema.names}
        metadata = file.schema_arrow.metadata
    digest = _digest(metadata[form.key], columns)
    if metadata.get(_DIGEST_KEY, digest) != digest:
        raise EventsError(
            f"damaged: what it says has the sha256 {digest.decode()}, and was written with "
            f"{metadata[_DIGEST_KEY].decode(errors='backslashreplace')}: {_GET_AGAIN}",
            file=name,
        )
    return described, columns


def write_table(
    path: str | os.PathLike[str],
    form: TableForm,
    columns: dict[str, NDArray[Any]],
    described: dict[str, Any],
) -> None:
    """Write a table as Parquet; the file appears whole or not at all.

    Parameters
    ----------
    path
        The file; one of that name is replaced.
    form
        The form of the table.
    columns
        Its columns by name.
    described
        What the metadata says of it.

    Raises
    ------
    EventsError
        When it cannot be written, as where there is no space or no folder for it.
    """
    target = Path(path)
    text = json.dumps(described).encode()
    schema = form.schema.with_metadata({form.key: text, _DIGEST_KEY: _digest(text, columns)})
    table = pa.table([pa.array(columns[name]) for name in form.schema.names], schema=schema)
    stepped = [name for name in form.schema.names if name in _STEPPED]
    try:
        with written_whole(target) as file:
            parquet.write_table(
                table,
                file,
                compression="zstd",
                use_dictionary=[name for name in form.schema.names if name not in stepped],
                column_encoding=dict.fromkeys(stepped, "DELTA_BINARY_PACKED"),
                write_page_checksum=True,
            )
    except OSError as error:
        raise EventsError(f"cannot be written: {error.strerror or error}", file=target) from None


def _digest(text: bytes, columns: dict[str, NDArray[Any]]) -> bytes:
    """Return the digest of all that a table says."""
    digest = hashlib.sha256(text)
    for name, column in columns.items():
        digest.update(f" {name} {column.dtype} {column.size} ".encode())
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest().encode()


@contextmanager
def _opened(name: str) -> Iterator[tuple[parquet.ParquetFile, BufferedReader]]:
    """Open a file; what fails while it is open is told of it."""
    try:
        if os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name):
            # To open it may wait forever.
            raise EventsError("a pipe or a device, not a Parquet file", file=name)
        with open(name, "rb") as raw:
            _check_metadata_size(name, raw)
            with parquet.ParquetFile(raw, page_checksum_verification=True) as file:
                yield file, raw
    except FileNotFoundError:
        raise EventsError("no such file", file=name) from None
    except PermissionError as error:
        raise EventsError(f"cannot be read: {error.strerror}", file=name) from None
    except MemoryError:  # before those of Arrow, of which one is of memory
        what = "to read it takes more memory than this process may have"
        raise EventsError(what, file=name) from None
    except _UNREADABLE as error:
        if os.path.isdir(name):
            raise EventsError("a folder, not a Parquet file", file=name) from None
        reason = ("".join(str(error).splitlines()[:1]) or type(error).__name__).rstrip(".")
        what = f"truncated, corrupt, or not a Parquet file ({reason})"
        raise EventsError(what, file=name) from None


def _check_metadata_size(name: str, raw: BufferedReader) -> None:
    raw.seek(max(0, os.fstat(raw.fileno()).st_size - 8))
    end = raw.read(8)
    size_bytes = int.from_bytes(end[:4], "little")
    if end[4:] == b"PAR1" and size_bytes > _MOST_METADATA_BYTES:
        what = f"{size_bytes:,} bytes of metadata, and no table has more than"
        raise EventsError(f"{what} {_MOST_METADATA_BYTES:,}: not a table of traces", file=name)


def _described(name: str, schema: pa.Schema, form: TableForm) -> TableMetadata:
    """Return what a file says of its table."""
    key = form.key.decode()
    text = (schema.metadata or {}).get(form.key)
    if text is None:
        raise EventsError(f"no metadata {key}: not an {form.name}", file=name)
    try:
        described = json.loads(text)
        if not isinstance(described, dict):
            raise ValueError("it is no object of JSON")
        json.dumps(described, ensure_ascii=False).encode()  # halves of characters are none
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise EventsError(f"metadata {key} cannot be read ({reason})", file=name) from None
    return TableMetadata(name, key, described)


def _check_columns(name: str, schema: pa.Schema, form: TableForm) -> None:
    for field in form.schema:
        places = schema.get_all_field_indices(field.name)
        if not places:
            raise EventsError(f"column {field.name}: missing", file=name)
        if len(places) > 1:
            raise EventsError(f"column {field.name}: there are {len(places)} of it", file=name)
        if schema.field(places[0]).type != field.type:
            kind = schema.field(places[0]).type
            raise EventsError(f"column {field.name}: of type {kind}, not {field.type}", file=name)


def _check_sizes(name: str, file: parquet.ParquetFile, form: TableForm, size_bytes: int) -> None:
    """Hold what a file claims to hold against its size, and against the memory that is free."""
    about = file.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    if any(group.num_rows < 0 for group in groups) or about.num_rows != sum(
        group.num_rows for group in groups
    ):
        raise EventsError("truncated, corrupt, or not a Parquet file (its rows differ)", file=name)
    row_bytes = sum(field.type.byte_width for field in form.schema)
    # Of all columns: of one alone pyarrow aborts the process where its metadata is damaged.
    unpacked = sum(group.total_byte_size for group in groups)
    taken = max(about.num_rows * row_bytes, unpacked)
    if taken > max(_SMALL_BYTES, _MOST_UNPACKED * size_bytes):
        raise EventsError(
            f"claims {about.num_rows:,} rows, which take {taken:,} bytes of memory, in a file of "
            f"{size_bytes:,} bytes: no recording is packed {_MOST_UNPACKED} times",
            file=name,
        )
    if taken * _READING_TAKES > (free := available_bytes()):
        raise EventsError(
            f"{about.num_rows:,} rows, which to read takes {taken * _READING_TAKES:,} bytes of "
            f"memory, and {free:,} are free: sweep trace cut makes it smaller on a larger machine",
            file=name,
        )


def _column(name: str, file: parquet.ParquetFile, column: str) -> NDArray[Any]:
    values = file.read(columns=[column], use_threads=False).column(column)
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy()))
        raise EventsError(f"row {row}, column {column}: no value", file=name)
    if len(values) != file.metadata.num_rows:
        what = f"column {column}: {len(values):,} rows, not {file.metadata.num_rows:,}"
        raise EventsError(what, file=name)
    array: NDArray[Any] = values.to_numpy()
    return array


def _check_sum(name: str, raw: BufferedReader) -> None:
    """Check a file against the list of digests beside it, if there is one that lists it."""
    sums = Path(name).with_name(SUMS)
    try:
        if sums.stat().st_size > _MOST_SUMS_BYTES:
            raise EventsError(
                f"{SUMS} beside it has more than {_MOST_SUMS_BYTES:,} bytes, and is not looked "
                "through: put this table elsewhere, with a list of its own",
                file=name,
            )
        listed = DISK.read(sums).decode(errors="surrogateescape")
    except FileNotFoundError:
        return
    except OSError as error:
        what = f"{SUMS} beside it may list its digest, and cannot be read: {error.strerror}"
        raise EventsError(what, file=name) from None
    listed_name = re.escape(Path(name).name)
    line = re.search(rf"^([0-9a-f]{{64}}) [ *]{listed_name}\r?$", listed, re.MULTILINE)
    if line is None:
        return
    raw.seek(0)
    digest = hashlib.file_digest(raw, "sha256").hexdigest()
    if digest != line[1]:
        raise EventsError(
            f"damaged, or another file: its sha256 is {digest}, and {SUMS} beside it says "
            f"{line[1]}: {_GET_AGAIN}; if it was changed on purpose, renew its line "
            f"there (`sha256sum {quoted_name(Path(name).name)}`)",
            file=name,
        )
