"""Phases of a traced workload: the marks that programs write into the trace."""

from __future__ import annotations

import numpy as np

from core.events import NO_PHASE
from core.workload.ftrace.lines import Records
from core.workload.ftrace.words import ABSENT, MARK, NEW_PHASE, PHASE_NUMBER, TEXT_END, TEXT_FIRST

_LAUNCHING = "launching: "


def marks_in(records: Records) -> list[int]:
    """Return which records are marks whose text can be of a phase."""
    marks = np.flatnonzero(records.kind == MARK)
    found: list[int] = marks[records.fields[marks, TEXT_FIRST] != ABSENT].tolist()
    return found


class Phases:
    """The phases that marks begin and end.

    ``PHASE name`` begins a phase. Android marks its launches by spans: an asynchronous one begins
    with ``S|pid|launching: NAME|cookie`` and ends with ``F`` and the same; a synchronous one begins
    with ``B|pid|launching: NAME`` and ends with the ``E|pid`` of the same thread that closes it.
    Of the spans that are open, the last begun is the phase; where none is, there is no phase.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        # The spans that are open, by what ends each, in the order in which they began.
        self._open: dict[tuple[object, ...], int] = {}
        # Of each thread in a synchronous span, how many it has open.
        self._depth: dict[int, int] = {}
        self._now = NO_PHASE

    def mark(self, records: Records, text: bytes) -> None:
        """Make a NEW_PHASE of each record of a mark that begins or ends a phase.

        Parameters
        ----------
        records
            The records of `text`, which are changed.
        text
            The lines that they were read from.
        """
        for record in marks_in(records):
            first, end = records.fields[record, [TEXT_FIRST, TEXT_END]].tolist()
            self.mark_one(records, record, text[first:end])

    def mark_one(self, records: Records, record: int, mark: bytes) -> None:
        """Make a NEW_PHASE of the record of a mark, if what a program wrote there changes it."""
        words = mark.decode(errors="replace").strip()
        number = self.after(words, int(records.pid[record]))
        if number is not None:
            records.kind[record] = NEW_PHASE
            records.fields[record, PHASE_NUMBER] = number

    def after(self, mark: str, thread: int) -> int | None:
        """Return the number of the phase that a mark begins, `NO_PHASE`, or None: nothing changes.

        Parameters
        ----------
        mark
            What a program wrote, without white space around it.
        thread
            The thread that wrote it.
        """
        before = self._now
        word, _, rest = mark.partition(" ")
        if word == "PHASE":
            self._now = self._number(rest.strip()) if rest.strip() else NO_PHASE
            return self._now
        kind, _, rest = mark.partition("|")
        process, _, name = rest.partition("|")
        if kind in ("S", "F"):
            name, _, cookie = name.rpartition("|")
        is_launch = name.startswith(_LAUNCHING)
        if kind == "S" and is_launch:
            self._begin(("S", process, name, cookie), name)
            return self._now
        if kind == "F" and is_launch:
            self._end(("S", process, name, cookie))
        elif kind == "B" and (is_launch or thread in self._depth):
            self._depth[thread] = self._depth.get(thread, 0) + 1
            if is_launch:
                self._begin(("B", thread, self._depth[thread]), name)
                return self._now
        elif kind == "E" and thread in self._depth:
            self._end(("B", thread, self._depth[thread]))
            self._depth[thread] -= 1
            if self._depth[thread] == 0:
                del self._depth[thread]
        return None if self._now == before else self._now

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]

    def _begin(self, span: tuple[object, ...], name: str) -> None:
        self._now = self._number(name.removeprefix(_LAUNCHING).strip() or name)
        self._open.pop(span, None)
        self._open[span] = self._now

    def _end(self, span: tuple[object, ...]) -> None:
        """End a span; if it was the phase, the one begun last of those still open is it again."""
        if span not in self._open:
            return
        was_last = next(reversed(self._open)) == span
        del self._open[span]
        if was_last:
            self._now = next(reversed(self._open.values()), NO_PHASE)
