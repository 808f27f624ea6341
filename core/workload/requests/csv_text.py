"""Parses text in columns: chunks of lines become columns, and every fault has its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from core.workload.requests.decimal_text import NEGATIVE, TOO_LARGE, parse_decimals
from core.workload.requests.layout import Layout
from core.workload.text import TraceError

_BLANK_LINE = re.compile(rb"^[ \t]+(?=\r?$)", re.MULTILINE)
_SPACES = re.compile(rb"[ \t]{2,}|\t")
_EDGES = re.compile(rb"^ +| +(?=\r?$)", re.MULTILINE)


class Chunk(NamedTuple):
    """Some rows of a file, and where they are in it."""

    name: str
    text: bytes  # with blank lines for those that are no rows
    line: int  # of the text's first line
    layout: Layout
    columns: dict[int, pa.StringArray]  # place in the header → column
    rows: NDArray[np.int64] | None = None  # which rows are left, if not all

    @property
    def size(self) -> int:
        """How many rows are left."""
        return len(next(iter(self.columns.values())))

    def error_at(self, row: int, what: str) -> TraceError:
        """Return the error for a row; blank lines are no rows."""
        lines = [at for at, line in enumerate(self.text.split(b"\n")) if line.strip(b"\r")]
        at = row if self.rows is None else int(self.rows[row])
        return TraceError(what, file=self.name, line=self.line + lines[at])

    def column(self, plain: str) -> pa.StringArray:
        """Return the column of a plain name; several are joined by dots."""
        first, *others = self.layout.places[plain]
        joined = self.columns[first]
        for place in others:
            joined = pc.binary_join_element_wise(joined, self.columns[place], ".")
        return joined

    def refuse(self, plain: str, row: int, what: str) -> NoReturn:
        """Raise the error for a value of the plain column `plain`."""
        place = self.layout.places[plain][0]
        value = self.columns[place][row : row + 1].cast(pa.binary())[0].as_py()
        text = value.decode(errors="replace")[:80]
        name = self.layout.header[place]
        raise self.error_at(row, f"column {name}: {text!r} {what}")

    def keep(self, kept: NDArray[np.bool_]) -> Chunk:
        """Return the chunk with those rows only that are kept."""
        mask = pa.array(kept)
        columns = {place: column.filter(mask) for place, column in self.columns.items()}
        return self._replace(columns=columns, rows=np.flatnonzero(kept))

    def first(self) -> Chunk:
        """Return the chunk with its first row only."""
        columns = {place: column[:1] for place, column in self.columns.items()}
        return self._replace(columns=columns)

    def numbers(self, plain: str, digits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a column's whole numbers, and their fractions in units of 10**-digits."""
        return self._numbers(plain, self.column(plain), digits)

    def _numbers(
        self, plain: str, column: pa.StringArray, digits: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        whole, part, row, fault = parse_decimals(column, digits)
        if row >= 0:
            words = {NEGATIVE: "is negative", TOO_LARGE: "is too large"}
            value = column[row : row + 1].cast(pa.binary())[0].as_py()
            self.refuse(plain, row, words.get(fault, f"is no number{_why_none(value)}"))
        return whole, part

    def check_numbers(self, plain: str) -> None:
        """Raise unless a column holds numbers of any size."""
        good = pc.match_substring_regex(self.column(plain), r"^\s*\d+\s*$")
        if not pc.all(good).as_py():
            self.refuse(plain, good.index(False).as_py(), "is no number")

    def whole_numbers(self, plain: str, unit: int) -> NDArray[np.int64]:
        """Return a column of whole numbers of `unit`."""
        whole: NDArray[np.int64] | None = None
        for place in self.layout.places[plain]:  # several are added up
            more, part = self._numbers(plain, self.columns[place], 9)
            if part.any():
                self.refuse(plain, int(np.argmax(part != 0)), "is no whole number")
            whole = more if whole is None else whole + more
        assert whole is not None  # a plain column is in one at least
        far = whole > (2**63 - 1) // unit
        if far.any():
            self.refuse(plain, int(np.argmax(far)), f"times {unit} bytes is too large")
        return whole if unit == 1 else whole * unit


def _why_none(value: bytes) -> str:
    """Return what to do about text that people take for a number and that is none."""
    text = value.strip()
    if re.fullmatch(rb"[\d.]*\d,\d[\d,]*", text):
        return ": write decimal commas as points, and thousands without commas"
    if re.fullmatch(rb"[\d.]+ ?[A-Za-z]{1,3}", text):
        return ": take units out of the cells; --time-unit, --offset-unit and --size-unit say them"
    if re.match(rb"\d+[/:]\d+[/:]\d", text):
        return ", and no date such as 2026-01-02 03:04:05.678"
    return ""


def _first_signs(text: bytes) -> set[bytes]:
    """Return the bytes that lines begin with: one pass, where a search for each is slow."""
    signs = np.frombuffer(text, dtype=np.uint8)
    first = signs[np.flatnonzero(signs[:-1] == ord("\n")) + 1]
    return {text[:1], *(bytes([sign]) for sign in np.flatnonzero(np.bincount(first)).tolist())}


def without_other_lines(
    text: bytes, layout: Layout, mark: bytes = b"#"
) -> tuple[bytes, dict[str, int]]:
    """Return text with blank lines for those that are no rows, and how many these are, by kind.

    Parameters
    ----------
    text
        Whole lines.
    layout
        What they hold.
    mark
        What a comment begins with.
    """
    counted = {}
    begins = _first_signs(text)
    if mark in begins:
        comment = re.compile(rb"^%s[^\n]*" % re.escape(mark), re.MULTILINE)
        text, counted[f"lines of {mark.decode()}"] = comment.subn(b"", text)
    header = layout.header_line
    if header and header[:1] in begins:
        again = re.compile(rb"^%s(?=\r?$)" % re.escape(header), re.MULTILINE)
        text, counted["headers again"] = again.subn(b"", text)
    if begins & {b" ", b"\t"}:
        text = _BLANK_LINE.sub(b"", text)
    if layout.delimiter == " ":
        if b"  " in text or b"\t" in text:
            text = _SPACES.sub(b" ", text)
        if b" " in begins or b"\t" in begins or b" \n" in text or b" \r" in text:
            text = _EDGES.sub(b"", text)
    return text, counted


def without_more_columns(text: bytes, layout: Layout) -> bytes:
    """Return rows without the columns behind those of the layout, which only some may have."""
    delimiter, others = layout.delimiter.encode(), len(layout.header) - 1
    if text.count(delimiter) == others * text.count(b"\n"):
        return text
    column = rb"[^%s\r\n]*" % re.escape(delimiter)
    known = rb"(?:%s%s){%d}%s" % (column, re.escape(delimiter), others, column)
    return re.sub(rb"^(%s)%s[^\r\n]*" % (known, re.escape(delimiter)), rb"\1", text, flags=re.M)


def parse(chunk: Chunk) -> Chunk:
    """Return a chunk with the columns that are needed, as text."""
    if b"\r" in chunk.text and chunk.text.count(b"\r") != chunk.text.count(b"\r\n"):
        before = chunk.text[: re.search(rb"\r(?!\n)", chunk.text).start()]  # type: ignore[union-attr]
        line = chunk.line + before.count(b"\n")
        raise TraceError("a carriage return within the line", file=chunk.name, line=line)
    wanted = sorted({place for places in chunk.layout.places.values() for place in places})
    try:
        table = _read_table(chunk, chunk.text, wanted)
    except pa.ArrowInvalid as error:
        raise _error_of_row(chunk, str(error).splitlines()[0]) from None
    if table.num_rows != chunk.text.count(b"\n"):
        _check_quotes(chunk, table.num_rows)
    columns = {place: table.column(str(place)).combine_chunks() for place in wanted}
    return chunk._replace(columns=columns)


def _error_of_row(chunk: Chunk, why: str) -> TraceError:
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
    chunk: Chunk,
    text: bytes,
    wanted: list[int],
    note: Callable[[arrow_csv.InvalidRow], str] | None = None,
) -> pa.Table:
    """Return the columns at the places that are wanted, named by their places, as text.

    Names would not do, since a header may have a name twice.
    """
    names = [str(place) for place in range(len(chunk.layout.header))]
    # A single column has no delimiter; the sign is one that text does not have.
    delimiter = chunk.layout.delimiter or "\x1f"
    return arrow_csv.read_csv(
        pa.BufferReader(text),
        # Only without threads does a bad row have its number, and few cores parse faster.
        read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names),
        parse_options=arrow_csv.ParseOptions(invalid_row_handler=note, delimiter=delimiter),
        convert_options=arrow_csv.ConvertOptions(
            check_utf8=False,
            include_columns=[str(place) for place in wanted],
            column_types={name: pa.string() for name in names},
        ),
    )


def _check_quotes(chunk: Chunk, rows: int) -> None:
    """Raise when there are fewer rows than lines: a quote left open takes in the lines after it."""
    lines = [line for line in chunk.text.split(b"\n") if line.strip(b"\r")]
    if rows != len(lines):
        row = next((row for row, line in enumerate(lines) if line.count(b'"') % 2), 0)
        raise chunk.error_at(row, "a quote is not closed in its line")
