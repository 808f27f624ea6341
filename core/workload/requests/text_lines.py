"""The lines of a trace of requests, a chunk at a time: which match a pattern, and what is unused.

`read_matches` yields the lines that match; `UnusedLines` counts those that ask for no page.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.workload.requests.collector import ErrorAt
from core.workload.text import Progress, TraceError, read_chunks

#: The kind of lines that have not the form of their format, unless an importer knows them.
OTHER_FORM = "lines of another form"
_SHOWN_CHARACTERS = 80


class Beginning(NamedTuple):
    """How the lines of a file are read, and where the text of its lines begins.

    Parameters
    ----------
    pattern
        A regular expression of a line, with named groups; fast.
    text
        The file's first chunk from its first line on.
    first_line
        The number of that line, from 1.
    slow_pattern
        One with the same groups for the lines that do not match `pattern`; none if empty.
    """

    pattern: str
    text: bytes
    first_line: int
    slow_pattern: str = ""


class Matches(NamedTuple):
    """The lines of a chunk of text that match a pattern."""

    name: str
    text: bytes
    first_line: int  # the number of the chunk's first line, from 1
    ends: NDArray[np.int64]  # [line] where it ends in the text
    rows: NDArray[np.int64]  # [match] which line of the chunk it is
    fields: dict[str, pa.Array]  # [match] each; a field that is absent is empty
    others: NDArray[np.int64]  # the lines that do not match and are not blank

    def line(self, at: int) -> bytes:
        """Return a line of the chunk, without its end."""
        return self.text[int(self.ends[at - 1]) if at else 0 : int(self.ends[at])].strip()

    def error_at(self, matches: NDArray[np.int64]) -> ErrorAt:
        """Return what makes the error for one of some matches, by its place among them."""
        return lambda row, what: TraceError(
            what, file=self.name, line=self.first_line + int(self.rows[matches[row]])
        )


def read_matches(
    paths: Sequence[str | os.PathLike[str]],
    begin: Callable[[str, bytes], Beginning],
    progress: Progress | None = None,
) -> Iterator[Matches]:
    """Yield the lines of each chunk of text that match the pattern of their file.

    Parameters
    ----------
    paths
        The parts in the order of time.
    begin
        Says how the lines of a file are read, from its name and its first chunk.
    progress
        Called with the bytes read of all files, and their size.

    Raises
    ------
    TraceError
        When a file cannot be read.
    """
    current, how, first_line = "", Beginning("", b"", 1), 1
    for name, whole in read_chunks(paths, progress):
        text = whole
        if name != current:
            current, how = name, begin(name, whole)
            text, first_line = how.text, how.first_line
        ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
        offsets = np.concatenate([[0], ends]).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
        lines = pa.Array.from_buffers(pa.binary(), ends.size, buffers)
        found, rows, others = _match(lines, np.arange(ends.size), how.pattern)
        if how.slow_pattern and others.size:
            more, more_rows, others = _match(lines, others, how.slow_pattern)
            rows = np.concatenate([rows, more_rows])
            order = np.argsort(rows)
            found, rows = pa.concat_arrays([found, more]).take(pa.array(order)), rows[order]
        fields = dict(zip(found.type.names, found.flatten(), strict=True))
        yield Matches(
            name,
            text,
            first_line,
            ends,
            rows,
            # A file's name may be in any encoding; the patterns of the other fields match ASCII.
            {
                key: column if key == "file" else column.cast(pa.string())
                for key, column in fields.items()
            },
            others,
        )
        first_line += ends.size


def _match(
    lines: pa.BinaryArray, rows: NDArray[np.int64], pattern: str
) -> tuple[pa.StructArray, NDArray[np.int64], NDArray[np.int64]]:
    """Return the groups of the lines at `rows` that match, which these are, and the others."""
    chosen = lines if rows.size == len(lines) else lines.take(pa.array(rows))
    found = pc.extract_regex(chosen, pattern)
    valid = found.is_valid()
    matching = valid.to_numpy(zero_copy_only=False)
    return found.filter(valid), rows[matching], _not_blank(lines, rows[~matching])


def _not_blank(lines: pa.BinaryArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    if not rows.size:
        return rows
    text = pc.match_substring_regex(lines.take(pa.array(rows)), r"\S")
    not_blank: NDArray[np.int64] = rows[text.to_numpy(zero_copy_only=False)]
    return not_blank


def whole(numbers: pa.StringArray) -> NDArray[np.int64]:
    """Return the numbers of a column of digits."""
    values: NDArray[np.int64] = numbers.cast(pa.int64()).to_numpy()
    return values


def places(chosen: pa.BooleanArray) -> NDArray[np.int64]:
    """Return the places at which a column is true; null counts as false."""
    return np.flatnonzero(pc.fill_null(chosen, False).to_numpy(zero_copy_only=False))


class _Line(NamedTuple):
    """A line of a file."""

    file: str
    number: int  # from 1
    text: str

    @property
    def place(self) -> str:
        """Where it is, as a loss says it."""
        return f"the first is {os.path.basename(self.file)}:{self.number}: {self.text!r}"


class UnusedLines:
    """The lines that ask for no page: how many of each kind, and the first of them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lines = 0
        self._first: _Line | None = None
        self._first_of_another_form: _Line | None = None
        self._file = ""

    def add(self, matches: Matches, kinds: pa.StringArray, others: NDArray[np.int64]) -> None:
        """Count the lines of a chunk.

        Parameters
        ----------
        matches
            The lines that match.
        kinds
            Why a line is not used [match]; empty where it is used, and null where it is neither
            used nor counted.
        others
            Those of `matches.others` whose form nothing knows.
        """
        self._file = matches.name
        self.lines += matches.ends.size
        for entry in pc.value_counts(kinds):
            kind = entry["values"].as_py()
            if kind:
                self.counts[kind] += entry["counts"].as_py()
        foreign = places(pc.equal(kinds, OTHER_FORM))
        others = np.sort(np.concatenate([others, matches.rows[foreign]]))
        if others.size:
            self.counts[OTHER_FORM] += int(others.size - foreign.size)
        if self._first_of_another_form is None and others.size:
            self._first_of_another_form = _line(matches, int(others[0]))
        if self._first is None:
            unused = matches.rows[places(pc.not_equal(kinds, ""))]
            candidates = [int(rows[0]) for rows in (unused, others) if rows.size]
            if candidates:
                self._first = _line(matches, min(candidates))

    @property
    def of_another_form(self) -> tuple[int, str]:
        """How many lines have not the form of the format, and where the first of them is."""
        first = self._first_of_another_form
        return self.counts[OTHER_FORM], first.place if first else ""

    def error(self, what: str) -> TraceError:
        """Return the error of a trace of which no line can be used; `what` ends its message."""
        if self._first is None:
            return TraceError(what, file=self._file)
        text = f"{self._first.text!r}: {what}"
        return TraceError(text, file=self._first.file, line=self._first.number)


def _line(matches: Matches, at: int) -> _Line:
    text = matches.line(at).decode(errors="replace")[:_SHOWN_CHARACTERS]
    return _Line(matches.name, matches.first_line + at, text)
