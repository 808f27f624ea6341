"""What the columns of a file hold: which they are, in which units, and which words mean what."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from core.workload.requests.column_names import (
    bytes_in,
    columns_option,
    suggested,
    time_unit_in,
    usual_columns,
)
from core.workload.requests.columns import PLAIN_COLUMNS, READS, WRITES, DelimitedFormat
from core.workload.requests.delimited_formats import CSV
from core.workload.requests.recognition import (
    DELIMITERS,
    SAMPLE_BYTES,
    Sample,
    columns_of_ops,
    commented_header,
    fits_header,
    header_names,
    is_header,
    near_formats,
    number_columns,
    recognise,
    sample_of,
    split_line,
)
from core.workload.requests.table_options import Options
from core.workload.text import TraceError

#: So much of a header, or of a row, is shown in a message.
_SHOWN_SIGNS = 120


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
        _check_options(places, options)
        left_out = _left_by_number(sample, places, options) if form is CSV else ""
        return Layout(header, places, sample.delimiter, b"", *units, left_out), 0
    is_line = sample.has_header or not commented_header(sample)
    end = text.find(b"\n", begin) + 1 if is_line else 0
    header, left_out = tuple(cells), ""
    if form is CSV:
        places, left_out = _places(name, line, header, sample, options)
        units = (units[0] or time_unit_in(header[places["time"][0]]), *units[1:])
    else:
        places = _named_places(form, header)
        if not fits_header(form, header):
            held, wanted = ", ".join(header), ", ".join(form.told_by)
            raise TraceError(
                f"columns {held} are not those of {form.name}: {wanted}", file=name, line=line
            )
    _check_options(places, options)
    header_line = sample.lines[0] if is_line else b""
    return Layout(header, places, sample.delimiter, header_line, *units, left_out), end


def _check_options(places: Mapping[str, tuple[int, ...]], options: Options) -> None:
    """Raise where the user says of a column what it holds, and no column is that one."""
    for plain, option, said in (
        ("op", "--reads, --writes", bool(options.reads or options.writes)),
        ("offset", "--offset-unit", bool(options.offset_unit)),
        ("size", "--size-unit", bool(options.size_unit)),
    ):
        if said and plain not in places:
            raise TraceError(f"{option}: no column is the {plain}; say which: --columns {plain}=..")
    taken: dict[tuple[int, ...], str] = {}
    for plain, place in places.items():
        if place in taken and options.columns:
            raise TraceError(f"--columns: {taken[place]} and {plain} are the same column")
        taken[place] = plain


def _without_header(
    name: str, line: int, sample: Sample, form: DelimitedFormat, options: Options
) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """Return what columns without a header are called, and where the plain ones are."""
    width, known = len(sample.rows[0]), len(form.columns)
    numbers = tuple(str(at + 1) for at in range(width))
    if form is CSV:
        return numbers, _numbered_places(name, line, sample, options)
    if width < known or (width > known and not form.more_columns):
        _refuse_lines(name, line, sample, form, f"{width} columns, and {form.name} has {known}")
    if form.line and not any(map(form.matches, sample.lines)):
        _refuse_lines(name, line, sample, form, f"no line is one of {form.name}")
    return form.columns, _named_places(form, form.columns)


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
    named = {word for word in options.columns.values() if not word.isdecimal()}
    if is_header(cells, {*named, "time"}):
        return cells
    return [cell.strip() for cell in above] or (cells if named else None)


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


def _refuse_lines(
    name: str, line: int, sample: Sample, form: DelimitedFormat, what: str
) -> NoReturn:
    seen = ", ".join(sample.rows[0])[:80]
    other = recognise(name, b"\n".join(sample.lines))
    looks = f"; it looks like --format {other.name}" if other not in (None, CSV, form) else ""
    raise TraceError(
        f"{what} ({', '.join(form.columns)}): {seen!r}{looks or _near(sample)}",
        file=name,
        line=line,
    )


def _near(sample: Sample) -> str:
    near = near_formats(sample)
    shown = [f"--format {row.name} ({','.join(row.told_by or row.columns)})" for row in near[:2]]
    return f"; formats that come near: {'; '.join(shown)}" if shown else ""


def _cut(text: str) -> str:
    """Return the beginning of what is shown, so that a message is read at once."""
    return text if len(text) <= _SHOWN_SIGNS else f"{text[:_SHOWN_SIGNS]}.."


def _numbered_places(
    name: str, line: int, sample: Sample, options: Options
) -> dict[str, tuple[int, ...]]:
    """Return where the plain columns are by the numbers that the user gave."""
    width = len(sample.rows[0])
    seen = _cut(", ".join(f"{at + 1} {cell[:24]!r}" for at, cell in enumerate(sample.rows[0])))
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
        if not _is_place(word, width):
            raise TraceError(
                f"--columns: {plain}={word} is none of 1 to {width}; the file's columns, {apart}",
                file=name,
                line=line,
            )
        places[plain] = (int(word) - 1,)
    _check_required(name, line, places, apart)
    return places


def _left_by_number(sample: Sample, places: Mapping[str, tuple[int, ...]], options: Options) -> str:
    """Return what the user's numbers leave out: a column of ops, or one that may be of sizes."""
    taken = {place for held in places.values() for place in held}
    found = {
        plain: at
        for plain, at in number_columns(sample).items()
        if plain in ("size", "op") and plain not in places and int(at) - 1 not in taken
    }
    if not found:
        return ""
    said = {**options.columns, **found}
    return f"{', '.join(found.values())}; did you mean {columns_option((), said)}?"


def _is_place(word: str, width: int) -> bool:
    """Return whether a word is the number of a column."""
    return word.isascii() and word.isdecimal() and len(word) < 7 and 1 <= int(word) <= width


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
    name: str, line: int, header: tuple[str, ...], sample: Sample, options: Options
) -> tuple[dict[str, tuple[int, ...]], str]:
    """Return where the plain columns are in a header, and what seems to be left out."""
    columns = options.columns
    places: dict[str, tuple[int, ...]] = {}
    missing: list[str] = []
    for plain in PLAIN_COLUMNS:
        if plain == "count" and plain not in columns:
            missing.append(plain)  # a column that happens to be called count says something else
            continue
        wanted = columns.get(plain, plain)
        if header.count(wanted) > 1:
            raise TraceError(
                f"there are {header.count(wanted)} columns {wanted}; say which by its number: "
                f"--columns {plain}={header.index(wanted) + 1}",
                file=name,
                line=line,
            )
        if wanted in header:
            places[plain] = (header.index(wanted),)
        elif _is_place(wanted, len(header)):
            places[plain] = (int(wanted) - 1,)
        else:
            missing.append(plain)
    taken = {header[place] for (place,) in places.values()}
    others = [word for word in header if word not in taken and word]
    found = suggested(others, columns, missing)
    if "op" in missing and "op" not in columns:
        free = [at for at, word in enumerate(header) if word in others]
        ops = [at for at in columns_of_ops(sample, free) if header[at] not in found.values()]
        if ops:
            found["op"] = header[ops[0]]
    needed = [plain for plain in missing if plain in columns or plain == "time"]
    if "file" in missing and "offset" in missing:
        needed.append("file")
    said = {plain: columns[plain] for plain in columns if plain in places} | found
    if needed:
        if found and not said.keys() & {"file", "offset"} and "file" in needed:
            said["file"] = "NAME"
        hint = f"; say which is: --columns {needed[0]}=.."
        if found:
            hint = f"; did you mean {columns_option(header, said)}{_units(said, options)}?"
        if "pfn" in header:
            hint += "; a capture's events are read from its text, not from a table of them"
        wanted = columns.get(needed[0], needed[0])
        raise TraceError(
            f"no column {wanted} (for {needed[0]}) in {_cut(', '.join(header))}{hint}",
            file=name,
            line=line,
        )
    left = {
        plain: word
        for plain, word in found.items()
        # Any name may be that of a file, so that only a usual one is told where none is needed.
        if plain not in columns and (plain != "file" or word in usual_columns(others).values())
    }
    if not left:
        return places, ""
    meant = f"{columns_option(header, said)}{_units(left, options)}"
    return places, f"{', '.join(left.values())}; did you mean {meant}?"


def _units(said: Mapping[str, str], options: Options) -> str:
    """Return the options that the names of offsets and sizes ask for, such as of sectors."""
    units = {"offset": options.offset_unit, "size": options.size_unit}
    told = {plain: bytes_in(said.get(plain, "")) for plain in units if not units[plain]}
    return "".join(f" --{plain}-unit {unit}" for plain, unit in told.items() if unit > 1)
