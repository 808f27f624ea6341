"""What reads a capture: a source of records, chunk by chunk, with all that is known of it.

`TextReader` reads the text of ftrace. A reader of another form makes the same records, and
`core.workload.ftrace.capture` makes the same tables of them.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol

from core.import_losses import SENTENCES, Loss, losses_of
from core.workload.ftrace import lines
from core.workload.ftrace.lines import LineParser, Records
from core.workload.ftrace.parts import MergedParts
from core.workload.ftrace.phases import Phases
from core.workload.ftrace.sections import sections_of
from core.workload.ftrace.wholeness import is_cut_off, refuse_wrapped
from core.workload.text import Progress, read_chunks
from core.workload.whole_numbers import whole_number

#: Begins the last line of a trace that `core.workload.cut` has left lines out of.
CUT_NOTE = b"# cut: "
#: Begins lines before it: what the whole trace lacked, of one that was written anew.
LOSS_NOTE = b"# lost: "


class RecordReader(Protocol):
    """A source of records: a capture in some form."""

    #: The files that it reads, in words, for messages.
    names: str
    #: The phases of the workload; complete when all records have been read.
    phases: Phases

    def records(self) -> Iterator[Records]:
        """Yield the records of one chunk after the other, in the order of time.

        A `Records` can be changed by who gets it. Its marks of phases are NEW_PHASE already.

        Raises
        ------
        TraceError
            When a file cannot be read.
        """

    def counts(self) -> dict[str, int]:
        """Return what was read, by name, such as ``lines``."""

    def unused(self) -> dict[str, int]:
        """Return how many events an import does not use, by name."""

    def losses(self) -> tuple[Loss, ...]:
        """Return what was lost, or had to be guessed, in what was read."""

    def why_nothing(self) -> str:
        """Return why there is no event in it that an import uses."""

    def place(self, line: int) -> str:
        """Return where the line of a record is, in words."""
        return f"line {line}"

    def warnings(self) -> list[str]:
        """Return what else a user should know of how it was read."""
        return []


class TextReader:
    """The text of ftrace, in one file or in several parts, as records.

    Parts whose times do not overlap follow one another, whatever the order in which they are
    given. Parts that overlap are those of the CPUs of one trace, and are merged by time.

    Parameters
    ----------
    paths
        The parts, plain or compressed.
    progress
        Called with the bytes read so far of all files together, and with their size.
    kernel
        What says the version of the traced kernel; empty where nothing beside the text does.
    page_size
        The size of its pages in bytes; 0 where it is not known.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        progress: Progress | None = None,
        kernel: str = "",
        page_size: int = 4096,
    ) -> None:
        self.names = ", ".join(os.fspath(path) for path in paths)
        self.phases = Phases()
        self._paths, self._progress = [os.fspath(path) for path in paths], progress
        self._parser = LineParser(kernel, page_size or 4096)
        # Of each chunk: the lines of all chunks before it, its file, and the lines of that before.
        self._chunks: list[tuple[int, str, int]] = []
        self._lines_of: dict[str, int] = {}
        self._parts: MergedParts | None = None
        self._cuts: list[Loss] = []
        # The last line of each file, as far as they are read.
        self._ends: dict[str, bytes] = {}

    def records(self) -> Iterator[Records]:
        """Yield the records of one chunk of text after the other."""
        sections = sections_of(self._paths[0]) if len(self._paths) == 1 else []
        self._lines_of = {section.name: section.lines_before for section in sections}
        if len(self._paths) == 1 and not sections:
            for name, text in read_chunks(self._paths, self._progress):
                records, parsed = self._parse(name, text)
                self.phases.mark(records, parsed)
                yield records
            return
        self._parts = MergedParts(self._paths, self._progress, self._parse, self.phases, sections)
        yield from self._parts.records()

    def _parse(self, name: str, text: bytes) -> tuple[Records, bytes]:
        """Return the records of some text, and the text that their places of text count in."""
        self._note_cut(text)
        before = int(self._parser.counts[lines.LINES])
        if not before:
            refuse_wrapped(name, text)
        self._ends[name] = text[text.rfind(b"\n", 0, len(text) - 1) + 1 :]
        records = self._parser.parse(text)
        self._chunks.append((before, name, self._lines_of.get(name, 0)))
        read = int(self._parser.counts[lines.LINES]) - before
        self._lines_of[name] = self._lines_of.get(name, 0) + read
        return records, self._parser.text

    def place(self, line: int) -> str:
        """Return which line of its file a line is, counted through all that was read."""
        if not self._chunks:
            return f"line {line}"
        chunk = max(bisect_left(self._chunks, (line,)) - 1, 0)
        before, name, lines_of_file = self._chunks[chunk]
        place = f"line {line - before + lines_of_file}"
        return place if len(self._paths) == 1 else f"{place} of {name}"

    def warnings(self) -> list[str]:
        """Return how several parts were put together, unless it is as they were given."""
        return self._parts.warnings() if self._parts is not None else []

    def counts(self) -> dict[str, int]:
        """Return the number of lines."""
        return {"lines": int(self._parser.counts[lines.LINES])}

    def unused(self) -> dict[str, int]:
        """Return how many events an import does not use, by name."""
        return self._parser.others

    def losses(self) -> tuple[Loss, ...]:
        """Return what was lost in the text, and what of it is not understood."""
        losses = [*self._parser.losses(self.place), *self._cuts]
        if any(loss.name == "cut" for loss in losses):  # the header is of the whole
            losses = [loss for loss in losses if loss.name != "missing_events"]
        ends = sum(is_cut_off(line) for line in self._ends.values())
        return (*losses, *losses_of({"cut_off_flags": (ends, "")}))

    def _note_cut(self, text: bytes) -> None:
        """Take in what a cut says of itself, if its notes end these lines."""
        end = len(text) - 1
        while end > 0:
            first = text.rfind(b"\n", 0, end) + 1
            line = text[first:end]
            if line.startswith(CUT_NOTE):
                left_out = line.removeprefix(CUT_NOTE).split(b" ", 1)[0]
                how = line.decode(errors="replace").partition("left out, ")[2].strip()
                lines = whole_number(left_out)
                self._cuts += [] if lines is None else [Loss("cut", lines, how)]
            elif line.startswith(LOSS_NOTE):
                note = line.removeprefix(LOSS_NOTE).decode(errors="replace")
                name, _, told = note.partition(" ")
                count = whole_number(told) if name in SENTENCES else None
                self._cuts += [] if count is None else [Loss(name, count)]
            else:
                return
            end = first - 1

    def why_nothing(self) -> str:
        """Return why the text has no event that an import uses."""
        why = self._parser.other_lines.why_nothing()
        if why:
            return why
        if self.unused():
            names = ", ".join(list(self.unused())[:5])
            return (
                f"no event of the page cache or of tagged pages in it, only {names}: "
                "sweep trace record sets up those that are needed"
            )
        if self._parser.counts[lines.LATE_TIMES]:
            return "its events have times of more than 64 bits of nanoseconds"
        incomplete = int(self._parser.counts[lines.INCOMPLETE])
        if incomplete:
            first = self.place(int(self._parser.counts[lines.FIRST_INCOMPLETE]))
            what = "lack a field, or have one that cannot be"
            return f"all {incomplete:,} events in it {what}, the first in {first}"
        return (
            "no line of it is an event: is it ftrace, trace-cmd report or perf script text? "
            "`sweep trace formats` lists what else is read"
        )
