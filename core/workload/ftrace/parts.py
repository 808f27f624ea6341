"""Puts the parts of a trace together: files that follow one another, or one of each CPU.

The files are read side by side, and their records merged by time. Where a file begins after the end
of another, no more than its first chunk is held until then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.workload.ftrace.lines import Records, joined, some_of
from core.workload.ftrace.phases import Phases, marks_in
from core.workload.ftrace.sections import Section
from core.workload.ftrace.words import TEXT_END, TEXT_FIRST
from core.workload.text import Progress, TraceError, read_chunks

#: Files overlap if one has events that are older by more than this than the first of another.
OVERLAP_NS = 1_000_000
#: The CPUs of a file are looked for in so much of its text.
_LOOKED_AT_BYTES = 1 << 18
_CPU = re.compile(rb"^[^\n\[]*\[(\d{3,5})\]", re.MULTILINE)
_BUFFER = re.compile(rb"^# buffer: cpu(\d+)", re.MULTILINE)
#: Returns the records of (the name of a file, whole lines of it), and the text they were read from.
Parse = Callable[[str, bytes], tuple[Records, bytes]]


class _Part:
    """A file, and those of its records that are not handed on."""

    def __init__(
        self,
        name: str,
        chunks: Iterator[tuple[str, bytes]],
        parse: Parse,
    ) -> None:
        self.name = name
        self.is_at_end = False
        self.cpus: set[int] = set()
        self.first_ns = 0
        #: What programs wrote into the trace, by the number that is in the record's `TEXT_FIRST`.
        self.marks: dict[int, bytes] = {}
        self._chunks, self._parse, self._marks = chunks, parse, 0
        self._looked_at = 0
        self._last_ns = -(1 << 62)
        self.records = joined([])
        #: Times by which the records are merged: those of a clock that never steps back.
        self.keys: NDArray[np.int64] = self.records.time_ns
        self.fill()
        if self.keys.size:
            self.first_ns = int(self.keys[0])

    def fill(self) -> None:
        """Read on until there is a record or the file ends."""
        while not self.keys.size and not self.is_at_end:
            _, text = next(self._chunks, ("", b""))
            if not text:
                self.is_at_end = True
                return
            if self._looked_at < _LOOKED_AT_BYTES:
                beginning = text[:_LOOKED_AT_BYTES]
                found = _CPU.findall(beginning) + _BUFFER.findall(beginning)
                self.cpus |= {int(number) for number in set(found)}
                self._looked_at += len(beginning)
            records, parsed = self._parse(self.name, text)
            for record in marks_in(records):
                first, end = records.fields[record, [TEXT_FIRST, TEXT_END]].tolist()
                self.marks[self._marks] = parsed[first:end]
                records.fields[record, TEXT_FIRST] = self._marks
                self._marks += 1
            self.records = records
            self.keys = np.maximum.accumulate(np.maximum(records.time_ns, self._last_ns))
            if self.keys.size:
                self._last_ns = int(self.keys[-1])

    def take(self, until_ns: int) -> tuple[Records, NDArray[np.int64]]:
        """Return the records up to a time, and their times; they are handed on then."""
        count = int(np.searchsorted(self.keys, until_ns, side="right"))
        taken = some_of(self.records, slice(count))
        keys = self.keys[:count]
        self.records = some_of(self.records, slice(count, None))
        self.keys = self.keys[count:]
        return taken, keys


class MergedParts:
    """The records of several files, in the order of time.

    Parameters
    ----------
    paths
        The files.
    progress
        Called with the bytes read so far of all files together, and with their size.
    parse
        Makes the records of some text.
    phases
        The phases of the workload, which marks change in the order of time.
    sections
        In place of the files: the parts of a single one.
    """

    def __init__(
        self,
        paths: Sequence[str],
        progress: Progress | None,
        parse: Parse,
        phases: Phases,
        sections: Sequence[Section] = (),
    ) -> None:
        self._sections = {section.name: section for section in sections}
        paths = [*self._sections] or list(paths)
        self._paths, self._progress, self._parse, self._phases = paths, progress, parse, phases
        self._read = dict.fromkeys(paths, 0)
        self._overlapping: set[tuple[_Part, _Part]] = set()
        self._in_order = list(paths)

    def records(self) -> Iterator[Records]:
        """Yield records of all files, merged by time.

        Raises
        ------
        TraceError
            When two files overlap in time and have events of the same CPU.
        """
        parts = [_Part(path, self._chunks(path), self._parse) for path in self._paths]
        parts = sorted((part for part in parts if part.keys.size), key=lambda part: part.first_ns)
        self._in_order = [part.name for part in parts]
        while parts:
            # No file can still bring a record that is older than the last that is read of it.
            last = [int(part.keys[-1]) for part in parts if not part.is_at_end]
            until_ns = min(last, default=max(int(part.keys[-1]) for part in parts))
            self._check(parts)
            taken = [(part, *part.take(until_ns)) for part in parts]
            yield self._merged([one for one in taken if one[2].size])
            for part in parts:
                part.fill()
            parts = [part for part in parts if part.keys.size]

    def warnings(self) -> list[str]:
        """Return how the files were put together, unless they follow each other as given."""
        if self._sections:
            return [
                f"{len(self._sections)} traces of a CPU each stand in it one behind the other: "
                "merged by time"
            ]
        if self._overlapping:
            return [f"{len(self._paths)} files overlap in time: merged as parts of one trace"]
        if self._in_order != [path for path in self._paths if path in self._in_order]:
            return [f"the files are read in the order of their times: {', '.join(self._in_order)}"]
        return []

    def _chunks(self, path: str) -> Iterator[tuple[str, bytes]]:
        section = self._sections.get(path)
        files = [each.path for each in self._sections.values()] or self._paths
        size = sum(os.path.getsize(one) for one in files if os.path.exists(one))

        def progress(done: int, _: int) -> None:
            self._read[path] = done
            if self._progress is not None:
                self._progress(sum(self._read.values()), size)

        if section is not None:
            return section.chunks(progress)
        return read_chunks([path], progress)

    def _check(self, parts: list[_Part]) -> None:
        """Take in which files overlap; those of the same CPU cannot be parts of one trace."""
        ends = np.array([part.keys[-1] for part in parts], dtype=np.int64)
        firsts = np.array([part.first_ns for part in parts], dtype=np.int64)
        overlap = np.triu(ends[:, np.newaxis] > firsts + OVERLAP_NS, 1)
        for early, late in np.argwhere(overlap).tolist():
            pair = parts[early], parts[late]
            if pair in self._overlapping:
                continue
            self._overlapping.add(pair)
            same = sorted(pair[0].cpus & pair[1].cpus)
            if same:
                what = (
                    f"overlaps {pair[0].name} in time, and both have events of CPU {same[0]}: "
                    "they are no parts of one trace; import each by itself"
                )
                raise TraceError(what, file=pair[1].name)

    def _merged(self, taken: list[tuple[_Part, Records, NDArray[np.int64]]]) -> Records:
        """Return records of several files in the order of time, with the phases that they begin."""
        records = joined([one for _, one, _ in taken])
        part_of = np.repeat(np.arange(len(taken)), [keys.size for _, _, keys in taken])
        if len(taken) > 1:
            order = np.argsort(np.concatenate([keys for _, _, keys in taken]), kind="stable")
            part_of = part_of[order]
            records = some_of(records, order)
        for record in marks_in(records):
            marks = taken[int(part_of[record])][0].marks
            mark = marks.pop(int(records.fields[record, TEXT_FIRST]))
            self._phases.mark_one(records, record, mark)
        return records
