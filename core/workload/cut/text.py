"""Cuts the text of a capture: the lines that are kept stay as they are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import NO_PHASE
from core.import_losses import Loss
from core.workload.cut.anonymous_text import AnonymousText
from core.workload.cut.asked import Asked, NoSuchPhase, NoSuchTask
from core.workload.cut.heads import Clock, Head, head_of
from core.workload.cut.tasks import TaskFilter
from core.workload.ftrace import lines
from core.workload.ftrace.lines import LineParser, Records
from core.workload.ftrace.phases import Phases
from core.workload.ftrace.reader import CUT_NOTE, LOSS_NOTE
from core.workload.ftrace.words import ABSENT, NEW_PHASE, PHASE_NUMBER
from core.workload.text import Progress, TraceError, read_chunks

#: Lines in which a recorder says what it is, and which events it lost.
_NOTE = re.compile(rb"^[ \t>|:]*#|LOST|DROPPED")
#: A line is looked at so far: an event's own line is no longer.
_HEAD_BYTES = 4096


class CutText(NamedTuple):
    """What a cut of text kept."""

    lines: int
    kept_lines: int  # those written; anonymised, what an import does not read is not
    left_out_lines: int  # those that are not of what was asked for
    begin_ns: int  # stamps of the whole trace
    end_ns: int
    phases: list[str]
    occurrences: int  # of the phase that was asked for


class _Chunk(NamedTuple):
    """Some lines of a trace, and what is known of each."""

    lines: list[bytes]
    heads: list[Head | None]
    record: NDArray[np.int64]  # [line] its record, or -1
    records: Records


def cut_text(
    path: str | os.PathLike[str],
    write: Callable[[bytes], object],
    asked: Asked,
    cgroups: Sequence[tuple[int, str]] = (),
    page_size: int = 4096,
    progress: Progress | None = None,
    kernel: str = "",
) -> CutText:
    """Cut the text of a capture, chunk by chunk.

    Parameters
    ----------
    path
        The text, plain or compressed.
    write
        Is called with the bytes that are kept, piece by piece.
    asked
        What is kept.
    cgroups
        (pid, path) of tasks as the recording's archive has them.
    page_size
        That of the traced machine, in bytes.
    progress
        Called with the bytes read so far, and with the size of the file.
    kernel
        What says the version of the traced kernel; empty where nothing beside the text does.

    Raises
    ------
    NoSuchPhase, NoSuchTask
        When what was asked for is not in the trace.
    TraceError
        When the file cannot be read, has no event, or nothing of it is left.
    """
    cutter = _Cutter(asked, cgroups, page_size, kernel)
    name = os.fspath(path)
    for _, text in read_chunks([path], progress):
        if kept := cutter.take(text):
            write(kept)
    done = cutter.finish(name)
    if asked.anonymise:
        for loss in cutter.losses():
            write(LOSS_NOTE + f"{loss.name} {loss.count}\n".encode())
    if done.left_out_lines:
        how = f", {asked.words}" if asked.words else ""
        write(
            CUT_NOTE + f"{done.left_out_lines} of {done.lines} lines are left out{how}\n".encode()
        )
    return done


class _Cutter:
    """The state of a cut between two chunks."""

    def __init__(
        self, asked: Asked, cgroups: Sequence[tuple[int, str]], page_size: int, kernel: str
    ) -> None:
        self._asked = asked
        self._parser = LineParser(kernel, page_size)
        self._phases, self._clock = Phases(), Clock()
        self._tasks = None
        if asked.by_tasks:
            self._tasks = TaskFilter(asked.task, asked.cgroup, cgroups, page_size)
        self._anonymous = AnonymousText() if asked.anonymise else None
        self._lines = self._kept = self._written = self._kept_events = 0
        self._begin_ns: int | None = None
        # What the last line of the chunk before had: lines without a head go with it.
        self._last_ns: int | None = None
        self._was_inside = self._was_kept = True
        self._phase, self._occurrences = NO_PHASE, 0
        self._in_phase = False

    def losses(self) -> tuple[Loss, ...]:
        """Return what the whole text lacks, or had to be guessed of it."""
        return self._parser.losses()

    def take(self, text: bytes) -> bytes:
        """Return what is kept of a chunk of whole lines."""
        chunk = self._read(text)
        count = len(chunk.lines)
        has_time, is_inside = self._in_time(chunk)
        if self._asked.phase is not None:
            is_inside &= self._in_the_phase(chunk)
        keeps = is_inside
        if self._tasks is not None:
            keeps = is_inside & self._of_the_tasks(self._tasks, chunk, has_time)
        # A line without a head goes with the one before it; what a recorder says, by time alone.
        last = np.maximum.accumulate(np.where(has_time, np.arange(count), -1))
        is_inside = np.where(last >= 0, is_inside[last], self._was_inside)
        keeps = np.where(last >= 0, keeps[last], self._was_kept)
        self._was_inside, self._was_kept = bool(is_inside[-1]), bool(keeps[-1])
        for place in np.flatnonzero(is_inside & ~keeps & ~has_time).tolist():
            keeps[place] = _NOTE.search(chunk.lines[place]) is not None
        self._lines += count
        self._kept += int(keeps.sum())
        self._kept_events += int((keeps & has_time).sum())
        if self._anonymous is not None:
            written = self._anonymous.text_of(chunk.heads, chunk.record, chunk.records, keeps)
            self._written += written.count(b"\n")
            return written
        self._written = self._kept
        if keeps.all():
            return text
        kept = [chunk.lines[place] for place in np.flatnonzero(keeps).tolist()]
        return b"\n".join([*kept, b""]) if kept else b""

    def finish(self, name: str) -> CutText:
        """Return what was kept, or say why nothing was."""
        asked = self._asked
        if self._begin_ns is None or self._last_ns is None:
            what = "no line of it is an event: is it the text of an ftrace?"
            raise TraceError(what, file=name)
        if asked.phase is not None and self._occurrences < asked.occurrence:
            if self._occurrences:
                what = f"the phase {asked.phase} occurs {self._occurrences} times"
                raise TraceError(f"{what}: --occurrence is at most that", file=name)
            raise NoSuchPhase(f"no phase {asked.phase}", name, self._phases.names)
        if self._tasks is not None and not self._tasks.own_lines:
            whose = f"task {asked.task}" if asked.cgroup is None else f"cgroup {asked.cgroup}"
            raise NoSuchTask(f"nothing of {whose}", name, self._tasks.known())
        if not self._kept_events:
            raise TraceError(
                f"nothing is left {asked.words}: it lasts "
                f"{(self._last_ns - self._begin_ns) / 1e9:.9g}s, from @{self._begin_ns / 1e9:.9f}s "
                f"to @{self._last_ns / 1e9:.9f}s",
                file=name,
            )
        return CutText(
            *(self._lines, self._written, self._lines - self._kept),
            *(self._begin_ns, self._last_ns),
            *(self._phases.names, self._occurrences),
        )

    def _read(self, text: bytes) -> _Chunk:
        before = int(self._parser.counts[lines.LINES])
        records = self._parser.parse(text)
        self._phases.mark(records, self._parser.text)
        all_lines = text.split(b"\n")[:-1]
        record = np.full(len(all_lines), -1, dtype=np.int64)
        record[records.line - before - 1] = np.arange(records.line.size)
        wants_names = self._tasks is not None or self._anonymous is not None
        heads = [
            head_of(line) if (wants_names or of < 0) and len(line) < _HEAD_BYTES else None
            for line, of in zip(all_lines, record.tolist(), strict=True)
        ]
        return _Chunk(all_lines, heads, record, records)

    def _in_time(self, chunk: _Chunk) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which lines have a time, and which of them are in the time asked for."""
        stamps = np.array(
            [0 if head is None else head.time_ns for head in chunk.heads], dtype=np.int64
        )
        has_time = np.array([head is not None for head in chunk.heads], dtype=np.bool_)
        of_records = chunk.record >= 0
        stamps[of_records] = chunk.records.time_ns[chunk.record[of_records]]
        has_time |= of_records
        times = np.zeros(stamps.size, dtype=np.int64)
        times[has_time] = self._clock.advance(stamps[has_time])
        keeps = np.ones(stamps.size, dtype=np.bool_)
        if has_time.any():
            known = times[has_time]
            self._begin_ns = int(known[0]) if self._begin_ns is None else self._begin_ns
            self._last_ns = int(known[-1])
        if self._begin_ns is not None:
            if self._asked.begin is not None:
                keeps &= times >= self._asked.begin.after(self._begin_ns)
            if self._asked.end is not None:
                keeps &= times < self._asked.end.after(self._begin_ns)
        return has_time, keeps

    def _in_the_phase(self, chunk: _Chunk) -> NDArray[np.bool_]:
        """Return which lines are in the occurrence of the phase that is asked for."""
        keeps = np.empty(len(chunk.lines), dtype=np.bool_)
        place = 0
        of_phases = chunk.records.kind == NEW_PHASE
        marks = np.flatnonzero(np.isin(chunk.record, np.flatnonzero(of_phases)))
        for mark in marks.tolist():
            keeps[place:mark] = self._in_phase
            place = mark
            number = int(chunk.records.fields[chunk.record[mark], PHASE_NUMBER])
            named = number != NO_PHASE and self._phases.names[number] == self._asked.phase
            self._occurrences += named
            self._in_phase = named and self._occurrences == self._asked.occurrence
        keeps[place:] = self._in_phase
        return keeps

    def _of_the_tasks(
        self, tasks: TaskFilter, chunk: _Chunk, has_time: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        kinds, pids = chunk.records.kind.tolist(), chunk.records.pid.tolist()
        fields = chunk.records.fields.tolist()
        keeps = has_time.tolist()
        for place, (line, head, record) in enumerate(
            zip(chunk.lines, chunk.heads, chunk.record.tolist(), strict=True)
        ):
            if not keeps[place]:
                continue
            if record >= 0:
                pid = pids[record]
                keeps[place] = tasks.keeps(head, pid, kinds[record], fields[record], line)
            elif head is not None:
                keeps[place] = tasks.keeps(head, head.pid, ABSENT, [], line)
        return np.array(keeps, dtype=np.bool_)
