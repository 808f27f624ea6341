"""What a user says of a table's columns, as typed and as understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from core.workload.requests.column_names import closest
from core.workload.requests.columns import PLAIN_COLUMNS, TIME_DIGITS
from core.workload.requests.recognition import DELIMITERS
from core.workload.text import TraceError


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
