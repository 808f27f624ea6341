"""A small trace of each form of every format of traces."""

from __future__ import annotations

import gzip
from functools import cache
from typing import NamedTuple

import perfetto_traces
import request_files as files
from captures import CAPTURE_PART

from core.workload.formats import FORMATS, Format


class Example(NamedTuple):
    """A trace of a format, with as many lines or records that count as there are requests."""

    format: Format
    form: str
    content: bytes


@cache
def examples() -> tuple[Example, ...]:
    """Return an example of each form; those of requests have 60."""
    requests = files.whole_files(60)
    made = [
        Example(row, form, writer.content(requests))
        for row in FORMATS
        for form, writer in files.WRITERS.items()
        if writer.format == row.name
    ]
    perfetto = next(row for row in FORMATS if row.name == "perfetto")
    packets = perfetto_traces.as_text_form(perfetto_traces.example("inline"))
    return (
        Example(FORMATS[0], "ftrace", capture_text(500)),
        Example(perfetto, "perfetto", perfetto_traces.example()),
        Example(perfetto, "perfetto_text", packets.encode()),
        *made,
    )


def capture_text(lines: int) -> bytes:
    """Return the first lines of a capture."""
    with gzip.open(CAPTURE_PART) as capture:
        return b"".join(line for line, _ in zip(capture, range(lines), strict=False))
