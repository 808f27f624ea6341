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

from core.workload.requests.blkparse import is_blkparse
from core.workload.requests.lcs import is_lcs
from core.workload.requests.oracle_general import oracle_format
from core.workload.requests.vscsi import vscsi_version
from core.workload.text import read_beginning


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


def _is_oracle(name: str) -> Callable[[Beginning], bool]:
    """Return a test of whether a file is of libCacheSim's oracle format of this name."""
    return lambda beginning: oracle_format(beginning.path.name, beginning.content) == name


#: Options of every format of requests.
REQUEST_OPTIONS = ("--page-size", "--plain", "--ignore-size")

#: Every format. A file that is not recognised as any other is taken to be of the first.
FORMATS: tuple[Format, ...] = (
    Format(
        "ftrace",
        "core.workload.ftrace.capture:import_ftrace",
        lambda beginning: True,
        ("--meta", "--memory-start", "--accesses"),
        of_requests=False,
    ),
    Format(
        "oracle_general",
        "core.workload.requests.oracle_general:import_oracle_general",
        _is_oracle("oracle_general"),
        REQUEST_OPTIONS,
    ),
    Format(
        "oracle_general_op_ns",
        "core.workload.requests.oracle_general:import_oracle_general_op_ns",
        _is_oracle("oracle_general_op_ns"),
        REQUEST_OPTIONS,
    ),
    Format(
        "oracle_sys_twr_ns",
        "core.workload.requests.oracle_general:import_oracle_sys_twr_ns",
        _is_oracle("oracle_sys_twr_ns"),
        REQUEST_OPTIONS,
    ),
    Format(
        "lcs",
        "core.workload.requests.lcs:import_lcs",
        lambda beginning: is_lcs(beginning.content),
        REQUEST_OPTIONS,
    ),
    Format(
        "vscsi",
        "core.workload.requests.vscsi:import_vscsi",
        lambda beginning: vscsi_version(beginning.content) > 0,
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
        "core.workload.requests.fio:import_fio",
        first_line_is(rb"(\xef\xbb\xbf)?\s*fio version \d+ iolog"),
        REQUEST_OPTIONS,
    ),
    Format(
        "blktrace",
        "core.workload.requests.blkparse:import_blkparse",
        lambda beginning: is_blkparse(beginning.content),
        REQUEST_OPTIONS,
    ),
)


def detect(path: str | os.PathLike[str]) -> Format:
    """Return the format of a trace, by the beginning of its content and by its name.

    A file that no other format recognises is taken to be of ftrace.

    Raises
    ------
    TraceError
        When the file is missing, empty, damaged where it begins, or of a known binary form that no
        importer reads.
    """
    content = read_beginning(path)
    lines = () if b"\0" in content else content.splitlines()
    first_line = next((line for line in lines if line.strip()), b"")
    beginning = Beginning(Path(path), content, first_line)
    any_file, *formats = FORMATS
    return next((row for row in formats if row.is_recognised(beginning)), any_file)
