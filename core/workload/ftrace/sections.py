"""Sections of a file in which the traces of several CPUs stand one behind the other.

``cat per_cpu/cpu*/trace`` makes such a file: each of its sections begins with the header of a
trace, and has the events of one CPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from core.workload.text import Progress, read_chunks

#: The CPUs of a section are looked for in so much of its text.
_LOOKED_AT_BYTES = 1 << 18
_HEADER = b"# tracer:"
_CPU = re.compile(rb"^[^\n\[#]*\[(\d{3,5})\]", re.MULTILINE)


class Section(NamedTuple):
    """A part of the text of a file."""

    name: str  # in words
    path: str
    first: int  # place in the text, in bytes
    end: int
    lines_before: int  # of the file

    def chunks(self, progress: Progress | None = None) -> Iterator[tuple[str, bytes]]:
        """Yield whole lines of it, as `read_chunks` does of a file."""
        at = 0
        for _, text in read_chunks([self.path], progress):
            begin, end = max(self.first - at, 0), min(self.end - at, len(text))
            if begin < end:
                yield self.name, text[begin:end]
            at += len(text)
            if at >= self.end:
                return


class _Found:
    """A section while the text is looked through."""

    def __init__(self, first: int, lines_before: int) -> None:
        self.first, self.lines_before = first, lines_before
        self.looked_at = 0
        self.cpus: set[bytes] = set()

    def look(self, text: bytes) -> None:
        """Take in the CPUs of more of its text."""
        if self.looked_at < _LOOKED_AT_BYTES:
            beginning = text[:_LOOKED_AT_BYTES]
            self.cpus |= set(_CPU.findall(beginning))
            self.looked_at += len(beginning)


def sections_of(path: str) -> list[Section]:
    """Return the sections of a file that are of one CPU each; none where it is one trace.

    Only a file that begins with a header and one CPU's events is read for it.

    Parameters
    ----------
    path
        The file, plain or compressed.
    """
    found = [_Found(0, 0)]
    at = lines = 0
    for _, text in read_chunks([path]):
        if not at and _HEADER not in text:
            return []
        begin = 0
        for place in [*_headers(text), len(text)]:
            found[-1].look(text[begin:place])
            lines += text.count(b"\n", begin, place)
            is_looked_at = found[0].looked_at >= _LOOKED_AT_BYTES
            if len(found[0].cpus) > 1 or (is_looked_at and not found[0].cpus):
                return []
            if at + place > 0 and place < len(text):
                found.append(_Found(at + place, lines))
            begin = place
        at += len(text)
    return _sections(path, found, at)


def _headers(text: bytes) -> Iterator[int]:
    """Yield where headers of traces begin in whole lines of text."""
    if text.startswith(_HEADER):
        yield 0
    place = text.find(b"\n" + _HEADER) + 1
    while place:
        yield place
        place = text.find(b"\n" + _HEADER, place) + 1


def _sections(path: str, found: list[_Found], end: int) -> list[Section]:
    """Return the sections, if each with events is of one CPU that no other is of."""
    with_events = [each for each in found if each.cpus]
    cpus = [cpu for each in with_events for cpu in each.cpus]
    if len(with_events) < 2 or len(cpus) > len(with_events) or len(set(cpus)) < len(cpus):
        return []
    ends = [each.first for each in found[1:]] + [end]
    return [
        Section(f"{path} from line {each.lines_before + 1:,} on", path, each.first, last,
                each.lines_before)
        for each, last in zip(found, ends, strict=True)
    ]  # fmt: skip
