"""The formats of traces: one row for each, with what imports it.

A new format is a file with its importer, and a row of `FORMATS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from core.workload.perfetto.signature import is_perfetto
from core.workload.requests.oracle_general import RECORD
from core.workload.text import read_pieces


class Beginning(NamedTuple):
    """What a format is recognised by: the path of a file, and the beginning of its content."""

    path: Path
    content: bytes  # decompressed
    first_line: bytes  # the first line of text that is not blank; empty where the file is binary


class Format(NamedTuple):
    """A format of traces.

    Parameters
    ----------
    name
        What ``--format`` calls it.
    importer
        The function that imports it, as ``module:function``; it is loaded when it is used. An
        importer of requests returns `core.workload.requests.collector.ImportedRequests`, one of
        captures returns `core.workload.ftrace.capture.Imported`.
    is_recognised
        Whether a file is of this format, by how it begins.
    options
        The options of ``sweep trace import`` that fit this format; those that fit every format are
        left out.
    of_requests
        Whether the traces hold requests for bytes of files; if not, they are captures of a kernel.
    """

    name: str
    importer: str
    is_recognised: Callable[[Beginning], bool]
    options: tuple[str, ...]
    of_requests: bool = True

    def load_importer(self) -> Callable[..., Any]:
        """Return the function that imports a trace of this format."""
        module, _, function = self.importer.partition(":")
        importer: Callable[..., Any] = getattr(import_module(module), function)
        return importer


def first_line_is(pattern: bytes) -> Callable[[Beginning], bool]:
    """Return a test of whether a file is text whose first line begins as `pattern` says."""
    compiled = re.compile(pattern)
    return lambda beginning: compiled.match(beginning.first_line) is not None


def _is_oracle_general(beginning: Beginning) -> bool:
    if "oraclegeneral" in beginning.path.name.lower():
        return True
    if b"\0" not in beginning.content or is_perfetto(beginning.content):
        return False
    # The size of compressed data is not known before its end, so that any size may be right.
    is_compressed = beginning.path.suffix in (".zst", ".gz")
    return is_compressed or beginning.path.stat().st_size % RECORD.itemsize == 0


#: Options of every format of requests.
REQUEST_OPTIONS = ("--page-size", "--plain", "--ignore-size")

#: Every format. A file that is not recognised as any other is taken to be of the first.
FORMATS: tuple[Format, ...] = (
    Format(
        "ftrace",
        "core.workload.ftrace.capture:import_ftrace",
        lambda beginning: True,
        ("--meta", "--memory-start", "--page-size", "--accesses"),
        of_requests=False,
    ),
    Format(
        "perfetto",
        "core.workload.perfetto.reader:import_perfetto",
        lambda beginning: is_perfetto(beginning.content),
        ("--meta", "--memory-start", "--page-size", "--accesses"),
        of_requests=False,
    ),
    Format(
        "oracle_general",
        "core.workload.requests.oracle_general:import_oracle_general",
        _is_oracle_general,
        REQUEST_OPTIONS,
    ),
    Format(
        "csv",
        "core.workload.requests.csv_text:import_csv",
        # A header is a list of names without the signs that the text of an event has.
        first_line_is(rb'(\xef\xbb\xbf)?["A-Za-z_][^:=\[,]*(,[^:=\[,]+)+$'),
        (*REQUEST_OPTIONS, "--columns", "--time-unit"),
    ),
    Format(
        "msr",
        "core.workload.requests.csv_text:import_msr",
        first_line_is(rb"(?i)\d+,[^,]*,\d+,(read|write),\d+,\d+,\d+\s*$"),
        REQUEST_OPTIONS,
    ),
    Format(
        "fio",
        "core.workload.requests.fio_and_blkparse:import_fio",
        first_line_is(rb"fio version \d+ iolog"),
        REQUEST_OPTIONS,
    ),
    Format(
        "blktrace",
        "core.workload.requests.fio_and_blkparse:import_blkparse",
        first_line_is(rb"\s*\d+,\d+\s+\d+\s+\d+\s+\d+\.\d+\s+\d+\s+[A-Z]+\s"),
        REQUEST_OPTIONS,
    ),
)


def detect(path: str | os.PathLike[str]) -> Format:
    """Return the format of a trace, by the beginning of its content and by its name.

    A file that no other format recognises is taken to be of ftrace.

    Raises
    ------
    TraceError
        When the file is missing, empty, or damaged where it begins.
    """
    content = next((piece for _, piece in read_pieces([path])), b"")
    lines = () if b"\0" in content else content.splitlines()
    first_line = next((line for line in lines if line.strip()), b"")
    beginning = Beginning(Path(path), content, first_line)
    any_file, *formats = FORMATS
    return next((row for row in formats if row.is_recognised(beginning)), any_file)
