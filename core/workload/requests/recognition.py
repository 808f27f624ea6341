"""What text in columns looks like: what separates them, whether it has a header, which row fits."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePath
from typing import NamedTuple

from core.workload.requests.column_names import likely_columns, usual_columns
from core.workload.requests.columns import READS, WRITES, DelimitedFormat
from core.workload.requests.delimited_formats import BY_NAME, DELIMITED
from core.workload.whole_numbers import whole_number

#: How much of a file is looked at, and at most so many of its lines.
SAMPLE_BYTES = 1 << 16
SAMPLE_LINES = 60
#: Columns of requests are among so many.
_MOST_COLUMNS = 1000
#: What can separate columns, as it is said.
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "spaces"}
_NUMBER = re.compile(r"\s*[-+]?(0[xX][0-9a-fA-F]+|(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?)\s*")
_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?\s*")
#: Text of events, of fio and of blkparse: none of these is a table.
_OTHER_TEXT = re.compile(
    rb"# tracer|cpus=|fio version|Input file|[<{]|\s*\d+,\d+\s+\d+\s+\d+\s|"
    rb".*\s\[\d+\]\s|.*: [a-z_0-9]+: |.*\s\d[.\d]*: "
)

#: Names of events of a capture, and lines of its options raw and hex.
_OF_KERNEL = re.compile(rb"\bmm_(?:page|filemap|vmscan)_\w+[: ]|\btype: \d+\s*$", re.MULTILINE)


def is_of_kernel(content: bytes) -> bool:
    """Return whether text has events of a capture in it, or is headed as a tracer's."""
    return content.lstrip().startswith(b"# tracer") or _OF_KERNEL.search(content) is not None


class Sample(NamedTuple):
    """The beginning of text in columns."""

    lines: tuple[bytes, ...]  # those that are neither blank nor comments
    comment: bytes  # the last comment above them, which may be a header
    delimiter: str  # a key of `DELIMITERS`; empty for a single column
    rows: tuple[tuple[str, ...], ...]  # the cells of the lines
    has_header: bool


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line; raises `csv.Error` where there is no telling."""
    if delimiter == " ":
        line = re.sub(r"[ \t]+", " ", line.strip())
    if not delimiter:
        return [line.strip()]
    skip = delimiter != "\t"
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=skip), [])


def is_number(cell: str) -> bool:
    """Return whether a cell holds a number or a date."""
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))


def is_header(cells: Sequence[str], known: Iterable[str] = ()) -> bool:
    """Return whether cells are names of columns: no number among them, or names that are known."""
    words = [cell.strip() for cell in cells]
    if set(known) & set(words):
        return True
    return any(re.search("[A-Za-z_]", word) for word in words) and not any(map(is_number, words))


@lru_cache(maxsize=4)
def sample_of(beginning: bytes, delimiter: str = "") -> Sample:
    """Return the sample at the beginning of a file's text.

    Parameters
    ----------
    beginning
        At most `SAMPLE_BYTES` of its text.
    delimiter
        What separates columns; by default it is told from the lines.
    """
    text = beginning.removeprefix(b"\xef\xbb\xbf")
    lines = [line.rstrip(b"\r") for line in text.split(b"\n") if line.strip()]
    if len(lines) > 1 and len(beginning) >= SAMPLE_BYTES:
        lines.pop()  # may be cut
    comment = b""
    while lines and lines[0].lstrip().startswith(b"#"):
        comment = lines.pop(0).strip().lstrip(b"# ")
    lines = [line for line in lines if not line.lstrip().startswith(b"#")][:SAMPLE_LINES]
    decoded = [line.decode(errors="replace") for line in lines]
    delimiter = delimiter or _delimiter_of(decoded)
    rows = tuple(tuple(_cells(line, delimiter)) for line in decoded)
    return Sample(tuple(lines), comment, delimiter, rows, bool(rows) and is_header(rows[0]))


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return split_line(line, delimiter)
    except csv.Error:
        return []


def _delimiter_of(lines: list[str]) -> str:
    """Return what separates columns: what does in every line, or else in most."""
    even: dict[str, int] = {}
    mostly: dict[str, int] = {}
    for delimiter in DELIMITERS:
        counts = Counter(len(_cells(line, delimiter)) for line in lines)
        if delimiter == " " and (even or mostly):
            continue  # names and dates have spaces
        for width, count in counts.most_common(1):
            if width > 1 and count == len(lines):
                even[delimiter] = width
            elif width > 1 and 2 * count >= len(lines):
                mostly[delimiter] = width
    found = even or mostly
    if found:
        return max(found, key=lambda delimiter: found[delimiter])
    # A header that names a time makes a table, however uneven its rows are.
    heads = (
        delimiter
        for delimiter in ",\t;|"
        for line in lines[:1]
        if "time" in usual_columns(_cells(line, delimiter))
    )
    return next(heads, "")


def header_names(cells: Iterable[str]) -> list[str]:
    """Return names of a header as the formats write them: in small letters, without edges."""
    return [cell.strip().strip("#\"' ").lower() for cell in cells]


def fits_header(row: DelimitedFormat, cells: Iterable[str]) -> bool:
    """Return whether a header has all columns that tell a format."""
    names = set(header_names(cells))
    alternatives = {name: names_ for names_ in row.places.values() for name in names_}
    return bool(row.told_by) and all(
        any(word.lower() in names for word in alternatives.get(name, (name,)))
        for name in row.told_by
    )


@lru_cache(maxsize=4)
def recognise(path: str, content: bytes) -> DelimitedFormat | None:
    """Return the format of text in columns, or None where it is none.

    A table that no named format fits is `CSV`, whose import says what it lacks.

    Parameters
    ----------
    path
        Of the file: its ending decides between two formats that look alike.
    content
        How it begins: at most `SAMPLE_BYTES`.
    """
    if b"\0" in content or _OF_KERNEL.search(content):
        return None
    sample = sample_of(content)
    if not sample.lines or any(_OTHER_TEXT.match(line) for line in sample.lines[:9]):
        return None
    for cells in (sample.rows[0], _commented(sample)):
        named = [row for row in DELIMITED if fits_header(row, cells)]
        if named:
            # The one with the most columns that tell it: others have some of the same.
            return max(named, key=lambda row: len(row.told_by))
    for row in DELIMITED:
        # A line that does not fit is told by its number when it is imported.
        if row.line and 2 * sum(map(row.matches, sample.lines)) > len(sample.lines):
            if row.name in ("libcachesim_txt", "lirs"):
                return _block_or_object(path, sample)
            if row.name != "arc" or _counts_up(sample):
                return row
    return BY_NAME["csv"] if _is_table(sample) else None


def near_formats(sample: Sample) -> list[DelimitedFormat]:
    """Return the named formats that have as many columns as a sample, or most of its names."""
    if sample.has_header:
        names = set(header_names(sample.rows[0]))
        told = [(row, {name.lower() for name in row.told_by}) for row in DELIMITED[1:]]
        return [row for row, wanted in told if len(wanted & names) * 2 > len(wanted) > 0]
    return [
        row
        for row in DELIMITED
        if row.line
        and row.delimiter == sample.delimiter
        and _kinds(split_line(row.example.splitlines()[-1], row.delimiter))
        == _kinds(sample.rows[0])
    ]


def _kinds(cells: Sequence[str]) -> list[bool]:
    """Return which cells are numbers."""
    return list(map(is_number, cells))


def number_columns(sample: Sample) -> dict[str, str]:
    """Return which column, by its number, may be each plain one in rows without a header."""
    rows = [row for row in sample.rows if len(row) == len(sample.rows[0])]
    places = range(min(len(rows[0]), _MOST_COLUMNS))
    columns = [[row[place] for row in rows] for place in places]
    ops = columns_of_ops(sample, places)
    numeric = [at for at in places if all(map(is_number, columns[at]))]
    times = sorted(numeric, key=lambda at: -_time_likeness(columns[at]))[:1]
    left = [at for at in places if at not in (*ops[:1], *times)]
    # Text names a file; numbers that are all small are flags and kinds, others count the rows.
    named = [at for at in left if at not in numeric and len(set(columns[at])) > 1]
    flags = [at for at in left[1:] if at in numeric and not any(map(_is_large, columns[at]))]
    before = range(times[0]) if times and len(rows) > 2 else ()
    flags += [at for at in before if at in left and at in numeric and _counts(columns[at])]
    left = [*named, *(at for at in left if at not in (*named, *flags))] or left
    sizes = [at for at in left[1:] if at in numeric][:2]
    moves = {cell.strip()[:1] for at in ops[:1] for cell in columns[at]}
    if not named and len(left) == 2 and moves and moves <= set("rRwW"):
        sizes = left  # where and how much, of the only device
    files = [at for at in left if at not in sizes]
    offsets = sizes[:-1]
    found = {"time": times, "file": files, "offset": offsets, "size": sizes[-1:], "op": ops}
    return {plain: str(at[0] + 1) for plain, at in found.items() if at}


def columns_of_ops(sample: Sample, places: Iterable[int]) -> list[int]:
    """Return which of the columns hold nothing but usual words for reads and writes."""
    words = {*READS, *WRITES}
    rows = sample.rows[1 if sample.has_header else 0 :]
    rows = tuple(row for row in rows if len(row) == len(sample.rows[0]))
    return [at for at in places if rows and all(row[at].strip().lower() in words for row in rows)]


def _is_large(cell: str) -> bool:
    """Return whether a number, or a date, is more than a flag."""
    return _NUMBER.fullmatch(cell) is None or "x" in cell.lower() or float(cell) >= 8


def _counts(cells: Sequence[str]) -> bool:
    """Return whether each number is one more than that before."""
    return all(cell.isdecimal() and len(cell) < 20 for cell in cells) and all(
        int(after) == int(before) + 1 for before, after in pairwise(cells)
    )


def _time_likeness(column: list[str]) -> float:
    """Return how much a column of numbers looks like times: they go up, and are large or finer."""
    try:
        values = [float(cell) for cell in column]
    except ValueError:
        return 5.0 if all(map(_DATE.fullmatch, column)) else 0.0
    goes_up = values == sorted(values) and (len(set(values)) > 1 or len(values) == 1)
    return 2.0 * goes_up + (values[0] >= 1e9) + any("." in cell for cell in column)


def _commented(sample: Sample) -> list[str]:
    """Return the cells of a header that is a comment, as wide as the rows; else none."""
    cells = _cells(sample.comment.decode(errors="replace"), sample.delimiter)
    is_one = len(cells) == len(sample.rows[0]) > 1 and is_header(cells)
    return cells if is_one else []


def commented_header(sample: Sample) -> list[str]:
    """Return the names in a comment above the rows, if it is their header."""
    return [] if sample.has_header or not sample.rows else _commented(sample)


def _counts_up(sample: Sample) -> bool:
    """Return whether the last column counts requests, as ARC's does."""
    cells = (whole_number(row[-1]) for row in sample.rows if row)
    numbers = [number for number in cells if number is not None]
    # Files that were put one after the other begin at 0 again.
    return all(after in (before + 1, 0) for before, after in pairwise(numbers))


def _block_or_object(path: str, sample: Sample) -> DelimitedFormat:
    suffixes = {suffix.lower() for suffix in PurePath(path).suffixes}
    if b"*" in (line.strip() for line in sample.lines) or suffixes & {".lirs", ".trc"}:
        return BY_NAME["lirs"]
    return BY_NAME["libcachesim_txt"]


def _is_table(sample: Sample) -> bool:
    """Return whether lines are rows of a table of requests, whatever its columns are called."""
    if not sample.delimiter:
        return False
    if sample.has_header or commented_header(sample):
        if sample.delimiter != " ":
            names = sample.rows[0] if sample.has_header else commented_header(sample)
            return any(map(is_number, sum(sample.rows[1:4], ()))) or bool(usual_columns(names))
        names = sample.rows[0] if sample.has_header else commented_header(sample)
        found = likely_columns(names) | usual_columns(names)
        return "time" in found and ("file" in found or "offset" in found)
    if sample.delimiter == " " and len({len(row) for row in sample.rows}) > 1:
        return False
    numeric = sum(map(is_number, sample.rows[0]))
    return numeric >= (len(sample.rows[0]) / 2 if sample.delimiter == " " else 1)
