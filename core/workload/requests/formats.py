"""The formats of traces, and which one a file is of."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path

from core.workload.requests.oracle_general import RECORD
from core.workload.text import read_pieces


class Format(StrEnum):
    """What a trace is written in."""

    FTRACE = "ftrace"
    ORACLE_GENERAL = "oracle_general"
    CSV = "csv"
    MSR = "msr"
    FIO = "fio"
    BLKTRACE = "blktrace"


_FIRST_LINES = (
    (Format.FIO, re.compile(rb"fio version \d+ iolog")),
    (Format.BLKTRACE, re.compile(rb"\s*\d+,\d+\s+\d+\s+\d+\s+\d+\.\d+\s+\d+\s+[A-Z]+\s")),
    (Format.MSR, re.compile(rb"\d+,[^,]*,\d+,(read|write),\d+,\d+,\d+\s*$", re.IGNORECASE)),
    # A header: names, none of them with the signs that the text of an event has.
    (Format.CSV, re.compile(rb'(\xef\xbb\xbf)?["A-Za-z_][^:=\[,]*(,[^:=\[,]+)+$')),
)


def detect(path: str | os.PathLike[str]) -> Format:
    """Return the format of a trace by its content, and by its name if it is oracleGeneral's.

    Text that no other format begins with is taken as ftrace.

    Raises
    ------
    TraceError
        When the file is missing, empty, or damaged where it begins.
    """
    if "oraclegeneral" in Path(path).name.lower():
        return Format.ORACLE_GENERAL
    begin = next((piece for _, piece in read_pieces([path])), b"")
    if b"\0" in begin:
        # The size of compressed data is not known before the end.
        plain = Path(path).stat().st_size % RECORD.itemsize == 0
        packed = Path(path).suffix in (".zst", ".gz")
        return Format.ORACLE_GENERAL if plain or packed else Format.FTRACE
    line = next((line for line in begin.splitlines() if line.strip()), b"")
    for name, pattern in _FIRST_LINES:
        if pattern.match(line):
            return name
    return Format.FTRACE
