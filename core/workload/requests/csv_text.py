"""Imports traces in comma-separated values, with a header or in the form of MSR Cambridge."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from core.workload.requests.collector import Collector, ImportedRequests, TextKeys
from core.workload.requests.decimal_text import NEGATIVE, TOO_LARGE, parse_decimals
from core.workload.text import Progress, TraceError, read_chunks

#: The columns that an import knows, by their plain names; the first `REQUIRED` must be there.
PLAIN_COLUMNS = ("time", "file", "offset", "size", "op")
REQUIRED = 2
#: Decimal digits of a time's unit in nanoseconds.
TIME_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0, "100ns": 2}
#: The columns of MSR Cambridge block traces, which have no header, and their plain names.
MSR_HEADER = ("Timestamp", "Hostname", "DiskNumber", "Type", "Offset", "Size", "ResponseTime")
MSR_COLUMNS = {"time": "Timestamp", "offset": "Offset", "size": "Size", "op": "Type"}
_WRITES = {"read": False, "r": False, "write": True, "w": True}


def import_csv(
    paths: Sequence[str | os.PathLike[str]],
    columns: Mapping[str, str] | None = None,
    time_unit: str = "s",
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests in comma-separated values with a header.

    Parameters
    ----------
    paths
        The parts in the order of time, each plain, gzip or zstd, and each with its header.
    columns
        The header's names of ``time``, ``file``, ``offset``, ``size`` and ``op``, where they differ
        from these. A request without an offset begins at 0, one without a size is one page, and
        one without an op is a read. A file is named by text or by a number.
    time_unit
        ``s``, ``ms``, ``us``, ``ns`` or ``100ns``; times may have fractions of it.
    page_size
        Bytes of a page.
    ignore_size
        Whether each request is taken as the one page that it begins in.
    source
        What the trace says of itself.
    progress
        Called with the bytes read of all files, and their size.

    Raises
    ------
    TraceError
        When a file cannot be read, a column is missing, or a value does not fit its column.
    """
    return _import(
        paths, None, columns or {}, time_unit, Collector(page_size, ignore_size), page_size,
        source, progress,
    )  # fmt: skip


def import_msr(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests in a block trace of MSR Cambridge; a disk of a host is a file.

    Parameters and errors are those of `import_csv`.
    """
    return _import(
        paths, MSR_HEADER, MSR_COLUMNS, "100ns", Collector(page_size, ignore_size), page_size,
        source, progress,
    )  # fmt: skip


def parse_columns(text: str) -> dict[str, str]:
    """Return the header's name of each plain column in text such as ``time=ts,file=path``.

    Raises
    ------
    TraceError
        When the text is not of that form, or a plain column is unknown or there twice.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        plain, equals, name = (word.strip() for word in part.partition("="))
        if not equals or not name:
            raise TraceError(f"--columns: {part!r} is not of the form time=NAME")
        if plain not in PLAIN_COLUMNS:
            known = ", ".join(PLAIN_COLUMNS)
            raise TraceError(f"--columns: {plain} is none of {known}{_hint(plain, PLAIN_COLUMNS)}")
        if plain in columns:
            raise TraceError(f"--columns: {plain} is there twice")
        columns[plain] = name
    return columns


def _hint(word: str, known: Sequence[str]) -> str:
    closest = _closest(word, known)
    return f"; did you mean {closest}?" if closest else ""


def _closest(word: str, known: Sequence[str]) -> str | None:
    lower = {name.lower(): name for name in reversed(known)}
    matches = get_close_matches(word.lower(), lower, n=1)
    return lower[matches[0]] if matches else None


class _Chunk(NamedTuple):
    """Some rows of a file, and where they are in it."""

    name: str
    text: bytes
    line: int  # of the text's first line
    header: tuple[str, ...]
    places: dict[str, int]  # plain column → its place in the header
    columns: dict[int, pa.StringArray]  # place in the header → column

    def error_at(self, row: int, what: str) -> TraceError:
        """Return the error for a row; blank lines are no rows."""
        lines = [at for at, line in enumerate(self.text.split(b"\n")) if line.strip(b"\r")]
        return TraceError(what, file=self.name, line=self.line + lines[row])

    def refuse(self, plain: str, row: int, what: str) -> NoReturn:
        """Raise the error for a value of the plain column `plain`."""
        place = self.places[plain]
        value = self.columns[place][row : row + 1].cast(pa.binary())[0].as_py()
        text = value.decode(errors="replace")[:80]
        raise self.error_at(row, f"column {self.header[place]}: {text!r} {what}")


def _import(
    paths: Sequence[str | os.PathLike[str]],
    fixed: tuple[str, ...] | None,
    columns: Mapping[str, str],
    time_unit: str,
    collector: Collector,
    page_size: int,
    source: str,
    progress: Progress | None,
) -> ImportedRequests:
    """Return the requests of all parts; their header is `fixed`, or, without it, their own."""
    keys = TextKeys()
    begin: int | None = None
    current, line, lines = "", 1, 0
    header: tuple[str, ...] = ()
    places: dict[str, int] = {}
    for name, whole in read_chunks(paths, progress):
        text = whole
        if name != current:
            current, line = name, 1
            header, text, line = (fixed, text, 1) if fixed else _header(name, text)
            places = _places(name, line, header, columns, fixed is None, collector)
        lines += whole.count(b"\n")
        if text.strip():
            chunk = _parse(_Chunk(name, text, line, header, places, {}))
            begin = _add(chunk, collector, keys, TIME_DIGITS[time_unit], begin, page_size)
        line += text.count(b"\n")
    if begin is None:
        raise TraceError("holds no request", file=current)
    imported = collector.finish(source)
    return imported._replace(counts={"lines": lines} | imported.counts)


def _header(name: str, text: bytes) -> tuple[tuple[str, ...], bytes, int]:
    """Return a file's header, the text after it, and the line where that begins."""
    blank = len(text) - len(text.lstrip(b"\r\n\xef\xbb\xbf"))
    line, _, rest = text[blank:].partition(b"\n")
    number = text[:blank].count(b"\n") + 1
    try:
        names = next(csv.reader([line.decode(errors="replace").strip()]), [])
    except csv.Error as error:
        what = f"no header: {str(error).partition(' - ')[0]}"
        raise TraceError(what, file=name, line=number) from None
    if not names:
        raise TraceError("holds no header", file=name)
    return tuple(word.strip() for word in names), rest, number + 1


def _places(
    name: str,
    line: int,
    header: tuple[str, ...],
    columns: Mapping[str, str],
    named: bool,
    collector: Collector,
) -> dict[str, int]:
    """Return the place in the header of each plain column that is there.

    `line` is the line after the header. The columns of a header that is not `named` are fixed.
    """
    if not named:
        places = {plain: header.index(word) for plain, word in columns.items()}
        return places | {"file": header.index("Hostname")}
    above = line - 1
    places = {}
    for number, plain in enumerate(PLAIN_COLUMNS):
        wanted = columns.get(plain, plain)
        if header.count(wanted) > 1:
            raise TraceError(
                f"there are {header.count(wanted)} columns {wanted}", file=name, line=above
            )
        if wanted in header:
            places[plain] = header.index(wanted)
            continue
        others = [word for word in header if word not in (*columns.values(), *PLAIN_COLUMNS)]
        close = _closest(wanted, others)
        hint = f"; did you mean --columns {plain}={close}?" if close else ""
        if number < REQUIRED or plain in columns:
            held = ", ".join(header)
            raise TraceError(
                f"no column {wanted} (for {plain}) in {held}{hint}", file=name, line=above
            )
        if close:
            collector.warnings.append(f"{name}:{above}: no column {wanted}{hint}")
    return places


def _parse(chunk: _Chunk) -> _Chunk:
    """Return a chunk with the columns that are needed, as text."""
    wanted = sorted({*chunk.places.values(), *_disk(chunk)})
    try:
        table = _read_table(chunk, chunk.text, wanted)
    except pa.ArrowInvalid as error:
        raise _error_of_row(chunk, str(error).splitlines()[0]) from None
    if table.num_rows != chunk.text.count(b"\n"):
        _check_quotes(chunk, table.num_rows)
    columns = {place: table.column(str(place)).combine_chunks() for place in wanted}
    return chunk._replace(columns=columns)


def _error_of_row(chunk: _Chunk, why: str) -> TraceError:
    """Return the error of the first row that has too many columns or too few, or else `why`."""
    bad: list[arrow_csv.InvalidRow] = []

    def note(row: arrow_csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    # Arrow hands out no row whose bytes are not UTF-8.
    text = chunk.text.decode(errors="backslashreplace").encode()
    with suppress(pa.ArrowInvalid):
        _read_table(chunk, text, [0], note)
    if not bad:
        return chunk.error_at(0, why)
    row = bad[0]
    what = f"{row.actual_columns} columns, not {row.expected_columns}: {row.text[:80]!r}"
    return chunk.error_at(row.number - 1, what)


def _read_table(
    chunk: _Chunk,
    text: bytes,
    wanted: list[int],
    note: Callable[[arrow_csv.InvalidRow], str] | None = None,
) -> pa.Table:
    """Return the columns at the places that are wanted, named by their places, as text.

    Names would not do, since a header may have a name twice.
    """
    names = [str(place) for place in range(len(chunk.header))]
    return arrow_csv.read_csv(
        pa.BufferReader(text),
        # Only without threads does a bad row have its number, and few cores parse faster.
        read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names),
        parse_options=arrow_csv.ParseOptions(invalid_row_handler=note),
        convert_options=arrow_csv.ConvertOptions(
            check_utf8=False,
            include_columns=[str(place) for place in wanted],
            column_types={name: pa.string() for name in names},
        ),
    )


def _check_quotes(chunk: _Chunk, rows: int) -> None:
    """Raise when there are fewer rows than lines: a quote left open takes in the lines after it."""
    lines = [line for line in chunk.text.split(b"\n") if line.strip(b"\r")]
    if rows != len(lines):
        row = next((row for row, line in enumerate(lines) if line.count(b'"') % 2), 0)
        raise chunk.error_at(row, "a quote is not closed in its line")


def _disk(chunk: _Chunk) -> list[int]:
    """Return the place of the column that ends a file's name, if the header is that of MSR."""
    return [chunk.header.index("DiskNumber")] if chunk.header is MSR_HEADER else []


def _add(
    chunk: _Chunk,
    collector: Collector,
    keys: TextKeys,
    time_digits: int,
    begin: int | None,
    page_size: int,
) -> int:
    """Add the requests of a chunk; return the trace's first time in whole units."""
    whole, part = _numbers(chunk, "time", time_digits)
    begin = int(whole[0]) if begin is None else begin
    # Times are counted from the first one: a Windows file time in nanoseconds is beyond 64 bits.
    far = np.abs(whole - begin) >= (2**63 - 1) // 10**time_digits
    if far.any():
        chunk.refuse("time", int(np.argmax(far)), "is more than 292 years from the first time")
    time_ns = (whole - begin) * 10**time_digits + part
    names = chunk.columns[chunk.places["file"]]
    for place in _disk(chunk):
        names = pc.binary_join_element_wise(names, chunk.columns[place], ".")
    sizes = {"offset": np.zeros(whole.size, dtype=np.int64)}
    sizes["size"] = np.full(whole.size, page_size, dtype=np.int64)
    for plain in sizes:
        if plain in chunk.places:
            sizes[plain], part = _numbers(chunk, plain, 9)
            if part.any():
                chunk.refuse(plain, int(np.argmax(part != 0)), "is no whole number")
    writes = _writes(chunk) if "op" in chunk.places else np.zeros(whole.size, dtype=np.bool_)
    collector.add(time_ns, keys.keys(names), sizes["offset"], sizes["size"], writes, chunk.error_at)
    return begin


def _numbers(chunk: _Chunk, plain: str, digits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a column's whole numbers, and their fractions in units of 10**-digits."""
    whole, part, row, fault = parse_decimals(chunk.columns[chunk.places[plain]], digits)
    if row >= 0:
        words = {NEGATIVE: "is negative", TOO_LARGE: "is too large"}
        chunk.refuse(plain, row, words.get(fault, "is no number"))
    return whole, part


def _writes(chunk: _Chunk) -> NDArray[np.bool_]:
    """Return which requests write."""
    encoded = chunk.columns[chunk.places["op"]].cast(pa.binary()).dictionary_encode()
    words = [word.decode(errors="replace") for word in encoded.dictionary.to_pylist()]
    meanings = [_WRITES.get(word.strip().lower()) for word in words]
    indices = encoded.indices.to_numpy()
    if None in meanings:
        row = int(np.argmax(indices == meanings.index(None)))
        chunk.refuse("op", row, "is none of read, r, write, w")
    writes: NDArray[np.bool_] = np.array(meanings, dtype=np.bool_)[indices]
    return writes
