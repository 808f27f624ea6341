"""What the columns of a file hold: which they are, in which units, and which words mean what."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from core.workload.requests.columns import (
    PLAIN_COLUMNS,
    READS,
    TIME_DIGITS,
    WRITES,
    DelimitedFormat,
)
from core.workload.requests.delimited_formats import CSV
from core.workload.requests.recognition import (
    DELIMITERS,
    SAMPLE_BYTES,
    Sample,
    commented_header,
    fits_header,
    header_names,
    is_header,
    near_formats,
    number_columns,
    sample_of,
    split_line,
    usual_columns,
)
from core.workload.text import TraceError

#: Sectors and blocks: offsets in a column of such a name are hardly bytes.
SECTORS = re.compile(r"lba|lbn|sector|blk|block", re.IGNORECASE)
_UNIT_IN_NAME = re.compile(
    r"(?:[\s_(\[-])(s|sec|secs|seconds|ms|msec|us|usec|ns|nsec)[)\]]?$", re.IGNORECASE
)


class Options(NamedTuple):
    """What a user says of the columns; each is empty where nothing is said.

    Parameters
    ----------
    columns
        The name, or the number from 1, of each plain column that is called otherwise.
    time_unit
        One of `TIME_DIGITS`.
    delimiter
        What separates columns.
    offset_unit, size_unit
        Bytes of a unit of offsets and sizes.
    reads, writes
        Words for reads and writes, besides the usual ones.
    """

    columns: Mapping[str, str] = {}
    time_unit: str = ""
    delimiter: str = ""
    offset_unit: int = 0
    size_unit: int = 0
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


class Layout(NamedTuple):
    """What the columns of a file hold."""

    header: tuple[str, ...]  # names of all columns, made up where there are none
    places: dict[str, tuple[int, ...]]  # plain column → where it is; a file may be in several
    delimiter: str
    header_line: bytes  # the text of the header; empty where there is none
    time_unit: str  # one of TIME_DIGITS, `-` for none, or empty: unsaid
    offset_unit: int
    size_unit: int
    left_out: str = ""  # columns that seem to be of use, and the option that would use them

    @property
    def said(self) -> str:
        """The columns in words."""
        names = [
            f"{plain} is {'+'.join(self.header[place] for place in places)}"
            for plain, places in self.places.items()
        ]
        if len(self.header) == 1:
            return f"1 column: {names[0]}"
        apart = DELIMITERS.get(self.delimiter, "")
        return f"{len(self.header)} columns, separated by {apart}: {', '.join(names)}"


def words_of(form: DelimitedFormat, options: Options) -> dict[str, bool]:
    """Return whether each word writes."""
    reads, writes = form.reads, form.writes
    if not reads and not writes:
        reads, writes = tuple(READS), tuple(WRITES)
    words = {word.lower(): False for word in reads} | {word.lower(): True for word in writes}
    words |= {word.lower(): False for word in options.reads}
    return words | {word.lower(): True for word in options.writes}


def layout_of(
    name: str,
    text: bytes,
    form: DelimitedFormat,
    options: Options,
    before: Layout | None,
) -> tuple[Layout, int]:
    """Return a file's layout, and where in its text the rows begin.

    Parameters
    ----------
    name, text
        The file and how it begins: whole lines.
    form, options
        The format, and what the user says of it.
    before
        The layout of the part before: a part without a header has the same.

    Raises
    ------
    TraceError
        When there is no telling which column holds what.
    """
    delimiter = options.delimiter or (form.delimiter if form.line and not form.told_by else "")
    sample = sample_of(text[:SAMPLE_BYTES], delimiter)
    if not sample.rows:
        raise TraceError("holds no header, and no rows", file=name)
    begin = text.find(sample.lines[0])
    line = text.count(b"\n", 0, begin) + 1
    cells = _header_of(name, line, sample, form, options)
    units = (
        options.time_unit or form.time_unit,
        options.offset_unit or form.offset_unit,
        options.size_unit or form.size_unit,
    )
    if cells is None:
        if before is not None and (before.header_line or form is CSV):
            return before._replace(header_line=b""), 0
        header, places = _without_header(name, line, sample, form, options)
        return Layout(header, places, sample.delimiter, b"", *units), 0
    is_line = sample.has_header or not commented_header(sample)
    end = text.find(b"\n", begin) + 1 if is_line else 0
    header, left_out = tuple(cells), ""
    if form is CSV:
        places, left_out = _places(name, line, header, options.columns)
        units = (units[0] or _unit_in_name(header[places["time"][0]]), *units[1:])
    else:
        places = _named_places(form, header)
        if not fits_header(form, header):
            held, wanted = ", ".join(header), ", ".join(form.told_by)
            raise TraceError(
                f"columns {held} are not those of {form.name}: {wanted}", file=name, line=line
            )
    header_line = sample.lines[0] if is_line else b""
    return Layout(header, places, sample.delimiter, header_line, *units, left_out), end


def _without_header(
    name: str, line: int, sample: Sample, form: DelimitedFormat, options: Options
) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """Return what columns without a header are called, and where the plain ones are."""
    width, known = len(sample.rows[0]), len(form.columns)
    numbers = tuple(str(at + 1) for at in range(width))
    if form is CSV:
        return numbers, _numbered_places(name, line, sample, options)
    if width < known or (width > known and not form.more_columns):
        _refuse_width(name, line, sample, form)
    header = (*form.columns, *numbers[known:])
    return header, _named_places(form, header)


def _header_of(
    name: str, line: int, sample: Sample, form: DelimitedFormat, options: Options
) -> list[str] | None:
    """Return the names in a file's header, or None where it has none."""
    above = commented_header(sample)
    if b"\r" in sample.lines[0]:
        raise TraceError("a carriage return within the line", file=name, line=line)
    try:
        first = split_line(sample.lines[0].decode(errors="replace"), sample.delimiter)
    except csv.Error as error:
        what = f"no header: {str(error).partition(' - ')[0]}"
        raise TraceError(what, file=name, line=line) from None
    cells = [cell.strip() for cell in first]
    if form is not CSV:
        if form.line and not form.told_by:
            return None
        if fits_header(form, cells) or (not form.line and is_header(cells)):
            return cells
        return [cell.strip() for cell in above] if above and fits_header(form, above) else None
    named = {word for word in options.columns.values() if not word.isdigit()}
    if is_header(cells, {*named, "time"}):
        return cells
    return [cell.strip() for cell in above] or (cells if named else None)


def _unit_in_name(name: str) -> str:
    match = _UNIT_IN_NAME.search(name)
    unit = match[1].lower() if match else ""
    return {"sec": "s", "secs": "s", "seconds": "s", "msec": "ms", "usec": "us", "nsec": "ns"}.get(
        unit, unit
    )


def _named_places(form: DelimitedFormat, header: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return where the plain columns of a named format are."""
    names = header_names(header)
    places: dict[str, tuple[int, ...]] = {}
    for plain, alternatives in form.places.items():
        for alternative in alternatives:
            parts = [part.lower() for part in alternative.split("+")]
            if all(part in names for part in parts):
                places[plain] = tuple(names.index(part) for part in parts)
                break
    return places


def _refuse_width(name: str, line: int, sample: Sample, form: DelimitedFormat) -> None:
    seen = ", ".join(sample.rows[0])[:80]
    raise TraceError(
        f"{len(sample.rows[0])} columns, and {form.name} has {len(form.columns)} "
        f"({', '.join(form.columns)}): {seen!r}{_near(sample)}",
        file=name,
        line=line,
    )


def _near(sample: Sample) -> str:
    near = near_formats(sample)
    shown = [f"--format {row.name} ({','.join(row.told_by or row.columns)})" for row in near[:4]]
    return f"; formats that come near: {'; '.join(shown)}" if shown else ""


def _numbered_places(
    name: str, line: int, sample: Sample, options: Options
) -> dict[str, tuple[int, ...]]:
    """Return where the plain columns are by the numbers that the user gave."""
    width = len(sample.rows[0])
    seen = ", ".join(f"{at + 1} {cell[:24]!r}" for at, cell in enumerate(sample.rows[0][:16]))
    apart = f"separated by {DELIMITERS[sample.delimiter]}: {seen}" if sample.delimiter else seen
    if not options.columns:
        such = ",".join(f"{plain}={at}" for plain, at in number_columns(sample).items())
        raise TraceError(
            f"has no header; its columns, {apart}; say which are which by their numbers, such as "
            f"--columns {such or 'time=1,file=2'}{_near(sample)}",
            file=name,
            line=line,
        )
    places: dict[str, tuple[int, ...]] = {}
    for plain, word in options.columns.items():
        if not word.isdigit() or not 1 <= int(word) <= width:
            raise TraceError(
                f"--columns: {plain}={word} is none of 1 to {width}; the file's columns, {apart}",
                file=name,
                line=line,
            )
        places[plain] = (int(word) - 1,)
    _check_required(name, line, places, apart)
    return places


def _check_required(name: str, line: int, places: Mapping[str, tuple[int, ...]], held: str) -> None:
    if "time" not in places:
        raise TraceError(
            f"--columns: says no time; the file's columns, {held}", file=name, line=line
        )
    if "file" not in places and "offset" not in places:
        raise TraceError(
            f"--columns: says neither file nor offset; the file's columns, {held}",
            file=name,
            line=line,
        )


def _places(
    name: str, line: int, header: tuple[str, ...], columns: Mapping[str, str]
) -> tuple[dict[str, tuple[int, ...]], str]:
    """Return where the plain columns are in a header, and what seems to be left out."""
    places: dict[str, tuple[int, ...]] = {}
    missing: list[str] = []
    for plain in PLAIN_COLUMNS:
        if plain == "count" and plain not in columns:
            missing.append(plain)  # a column that happens to be called count says something else
            continue
        wanted = columns.get(plain, plain)
        if header.count(wanted) > 1:
            raise TraceError(
                f"there are {header.count(wanted)} columns {wanted}", file=name, line=line
            )
        if wanted in header:
            places[plain] = (header.index(wanted),)
        elif wanted.isdigit() and 1 <= int(wanted) <= len(header):
            places[plain] = (int(wanted) - 1,)
        else:
            missing.append(plain)
    taken = {header[place] for (place,) in places.values()}
    others = [word for word in header if word not in taken and word]
    found = _suggested(others, columns, missing)
    needed = [plain for plain in missing if plain in columns or plain == "time"]
    if "file" in missing and "offset" in missing:
        needed.append("file")
    said = {plain: columns[plain] for plain in columns if plain in places} | found
    such = ",".join(f"{plain}={said[plain]}" for plain in PLAIN_COLUMNS if plain in said)
    hint = f"; did you mean --columns {such}?" if found else ""
    if needed:
        wanted = columns.get(needed[0], needed[0])
        raise TraceError(
            f"no column {wanted} (for {needed[0]}) in {', '.join(header)}{hint}",
            file=name,
            line=line,
        )
    left = {plain: word for plain, word in found.items() if plain not in columns}
    if not left:
        return places, ""
    return places, f"{', '.join(left.values())}; did you mean --columns {such}?"


def _suggested(
    others: Sequence[str], columns: Mapping[str, str], missing: Sequence[str]
) -> dict[str, str]:
    """Return which of the other names of a header the missing plain columns may be."""
    usual = usual_columns(others)
    found: dict[str, str] = {}
    for plain in missing:
        left = [word for word in others if word not in found.values()]
        close = closest(columns.get(plain, plain), left)
        if usual.get(plain) in left and (plain not in columns or close is None):
            found[plain] = usual[plain]
        elif close is not None and (plain in columns or plain in ("time", "file")):
            found[plain] = close
    return found


def closest(word: str, known: Sequence[str]) -> str | None:
    """Return the word among those known that is spelled most alike, if one is."""
    lower = {name.lower(): name for name in reversed(known)}
    matches = get_close_matches(word.lower(), lower, n=1)
    return lower[matches[0]] if matches else None


def parse_columns(text: str) -> dict[str, str]:
    """Return the name or number of each plain column in text such as ``time=ts,file=2``.

    Raises
    ------
    TraceError
        When the text is not of that form, or a plain column is unknown or there twice.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        plain, equals, name = (word.strip() for word in part.partition("="))
        if not equals or not name:
            raise TraceError(f"--columns: {part!r} is not of the form time=NAME or time=NUMBER")
        if plain not in PLAIN_COLUMNS:
            known = ", ".join(PLAIN_COLUMNS)
            close = closest(plain, PLAIN_COLUMNS)
            hint = f"; did you mean {close}?" if close else ""
            raise TraceError(f"--columns: {plain} is none of {known}{hint}")
        if plain in columns:
            raise TraceError(f"--columns: {plain} is there twice")
        columns[plain] = name
    return columns


def parse_delimiter(text: str) -> str:
    """Return what separates columns, given as a sign or as a word such as ``tab``.

    Raises
    ------
    TraceError
        When it is neither.
    """
    words = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "bar": "|", "pipe": "|"}
    delimiter = {**words, "space": " ", "spaces": " "}.get(text.strip().lower(), text)
    if delimiter not in DELIMITERS:
        raise TraceError(f"--delimiter: {text!r} is none of comma, tab, semicolon, bar, space")
    return delimiter


def parse_time_unit(text: str) -> str:
    """Return the unit of times; raises `TraceError` where it is unknown."""
    if text not in TIME_DIGITS:
        raise TraceError(f"--time-unit: {text} is none of {', '.join(TIME_DIGITS)}")
    return text
