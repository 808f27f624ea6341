"""Lines that are no events in the columns of heads.py: events in others, notes of loss, and others.

Each is understood or counted. An event is written anew in these columns. A note tells of events
that were lost; a header, a call chain or a fence around the text tells nothing that matters; and
what is left is counted by what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.workload.ftrace.other_heads import NO_HEAD, OtherHead, other_head, undecorated
from core.workload.ftrace.words import EVENT_WORDS, KEY_WORDS

#: A longer line is no event of a kernel.
_LONGEST_LINE_BYTES = 4096
_LOST = re.compile(
    rb"\[(?:(?:EVENTS? )?(?:LOST|DROPPED)|(?:LOST|DROPPED) EVENTS?"
    rb"|(?:LOST|DROPPED) (?P<after>\d+) EVENTS?|(?P<before>\d+) EVENTS? (?:LOST|DROPPED))\]"
    rb"|\blost (?P<said>\d+) (?:events|samples)\b|^dropped events: (?P<dropped>\d+)$"
    rb"|\blost (?P<chunks>\d+) chunks\b|PERF_RECORD_LOST(?:_SAMPLES)?\b.*?lost[: ]+(?P<perf>\d+)",
    re.IGNORECASE,
)
_WRITTEN = re.compile(
    rb"^# *entries-in-buffer/entries-written: *(\d+)/(\d+) +#P:(\d+)"
    rb"|^# *latency: .*#(\d+)/(\d+),.*#P:(\d+)"
)
_OVERRUN = re.compile(rb"^overrun: (\d+)$")
_BUFFER = re.compile(rb"^# *buffer: cpu *(\d+)")
_KERNEL = re.compile(rb"^# *(?:os release *: *|\S+ latency trace v\S+ on )(\d+\.\d+\S*)")
# Lines that tell nothing of the workload.
_HEADERS = re.compile(
    rb"#|cpus=\d+$|version = \d+$|CPU \d+ is empty$|CPU:\d+ \[SUBBUFFER START\]$|TRACE:$"
    rb"|Dumping ftrace buffer:$|\(ftrace buffer empty\)$|[-=_*~`]{3,}\w*$|</?pre>$|Warning:$"
    rb"|capturing trace|\[ perf record: |trace-cmd stat$|CPU: \d+$|Processed \d+ events"
    rb"|(?:entries|commit overrun|bytes|oldest event ts|now ts|read events): [\d.]+$"
)
# A function of a call chain: of tracefs, of trace-cmd, or of perf.
_CALL = re.compile(
    rb"=> |[0-9a-f]{6,16} \S.*\)$|[0-9a-f]{6,16} \[unknown\]$|<(?:user )?stack trace>$"
)
_RAW = re.compile(rb"(?:\d+ \d+ \d+|[0-9a-f]{8} [0-9a-f]{8} [0-9a-f]{8,16}) type: \d+$")
_FUNCTION = re.compile(rb"\S+ <-\S+")
_NAMES = b"|".join(name.encode() for name in EVENT_WORDS if len(name) > 1)
_NAMED = re.compile(rb"(?:^|[\s:])(?:%b)(?:: |:$|\()" % _NAMES)
_KEY = b"|".join(word.encode() for word in KEY_WORDS)
#: A word that begins the second part of a wrapped line, or stands in it.
_REST = re.compile(rb"(?:^|\s)(?:%b|page|migratetype|nr_reclaimed)=\S" % _KEY)
_RUN_TOGETHER = re.compile(rb"(?<=[0-9a-f)])(?=(?:%b|page|migratetype)=)" % _KEY)
_NEEDS_EVENT = re.compile(rb"\d\.\d{6}(?:\d{3})?:$")


class OtherLines:
    """What the odd lines of a trace are, counted by name."""

    def __init__(self) -> None:
        #: Events that an import does not use, by name.
        self.unused: dict[str, int] = {}
        #: How often, by the name of a loss.
        self.counts: dict[str, int] = {}
        #: The version of the kernel, if a header tells it.
        self.kernel = ""
        #: Whether there is a header of a trace.
        self.has_header = False
        #: Whether it is a histogram, which has no events.
        self.is_histogram = False
        #: Lines that are headers.
        self.header_lines = 0
        # What headers say of the buffer: events in it, and all that were written.
        self._in_buffer: set[tuple[int, int]] = set()
        self._first: dict[str, int] = {}
        self._written = 0
        self._buffers: set[int] = set()
        self._processors = 0

    def rewrite(self, text: bytes, odd: NDArray[np.int64]) -> bytes | None:
        """Return the text with the odd lines that are events in the columns of heads.py.

        The number of lines stays. None is returned where no odd line is an event.

        Parameters
        ----------
        text
            Whole lines.
        odd
            Of each odd line in order: where it begins and ends in the text, its number in the
            file, and whether it is an event in which something lacks.
        """
        out = [b""]
        last = 0  # place in `out` of the line before, if it is an event
        at = 0
        changed = False
        for first, end, number, is_event in odd.tolist():
            start = text.rfind(b"\n", 0, first) + 1
            if start > at:
                event = text.rfind(b"\n", at, start - 1) + 1
                event = max(event, at)
                out += [text[at:event], text[event:start]]
                last = len(out) - 1
            at = end + 1
            line = undecorated(text[first : min(end, first + _LONGEST_LINE_BYTES + 1)])
            if is_event:
                line = _RUN_TOGETHER.sub(b" ", line)
            head = other_head(line) if len(line) <= _LONGEST_LINE_BYTES else NO_HEAD
            before = out[last] if last else b""
            if is_event:
                changed = changed or (bool(head.line) and line != text[first:end].strip())
                out.append((head.line or text[first:end]) + b"\n")
                last = len(out) - 1
            elif head.line:
                changed = True
                out.append(head.line + b"\n")
                last = len(out) - 1
            elif before and not head.rest and self._goes_on(before, line):
                changed = True
                out[last] = self._joined(before, line)
                out.append(b"\n")
            elif _NEEDS_EVENT.search(line):  # wrapped before its event
                out.append(line + b"\n")
                last = len(out) - 1
            else:
                self._note(line, head, number)
                out.append(text[start : end + 1])
                last = 0
        return b"".join(out) + text[at:] if changed else None

    @staticmethod
    def _goes_on(before: bytes, line: bytes) -> bool:
        """Return whether a line is the rest of the one before, which a mail program wrapped."""
        before = before.rstrip()
        if _NEEDS_EVENT.search(before):
            return bool(_NAMED.match(line))
        return bool(_REST.search(line)) and bool(_NAMED.search(before)) and not _NAMED.search(line)

    @staticmethod
    def _joined(before: bytes, line: bytes) -> bytes:
        joined = undecorated(before) + b" " + line
        return (other_head(joined).line or joined) + b"\n"

    def _count(self, name: str, line: int, count: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + count
        self._first.setdefault(name, line)

    def _note_unused(self, name: str) -> None:
        self.unused[name] = self.unused.get(name, 0) + 1

    def _note(self, line: bytes, head: OtherHead, number: int) -> None:
        """Take in an odd line that is no event in known columns."""
        if len(line) > _LONGEST_LINE_BYTES:
            self._count("garbage_lines", number)
        elif self._is_note(line, number):
            pass
        elif head.why == "function_graph":
            self._note_unused("functions of function_graph")
        elif head.why:
            self._count(head.why, number)
        elif head.rest:
            self._note_rest(head.rest, number)
        elif _RAW.match(line):
            self._count("raw_lines", number)
        elif _NAMED.search(line):
            self._count("events_without_time", number)
        else:
            self._count("garbage_lines", number)

    def _is_note(self, line: bytes, number: int) -> bool:
        """Return whether a line is a note or a header, or is of a call chain; take it in."""
        line = re.sub(rb"^\S+\.dat: +|^\[ *\d+\.\d+\] ", b"", line)
        lost = _LOST.search(line)
        if lost:
            counts = [
                int(lost[name])
                for name in ("after", "before", "said", "dropped", "perf")
                if lost[name]
            ]
            if counts:
                self._count("lost_events", number, min(counts[0], 1 << 60))
            elif lost["chunks"] is None or "lost_events" not in self.counts:
                self._count("uncounted_losses", number, int(lost["chunks"] or 1))
            return True
        written = _WRITTEN.match(line)
        if written:
            kept, all_of_them, processors = (int(part) for part in written.groups() if part)
            self._written += all_of_them
            self._in_buffer.add((kept, all_of_them))
            self._processors = processors
            if all_of_them > kept:
                self._count("overwritten_events", number, all_of_them - kept)
        overrun = _OVERRUN.match(line)
        if overrun:
            self._count("overwritten_events", number, int(overrun[1]))
            return True
        buffer, kernel = _BUFFER.match(line), _KERNEL.match(line)
        if buffer:
            self._buffers.add(int(buffer[1]))
        if kernel:
            self.kernel = kernel[1].decode(errors="replace")
        self.header_lines += line.startswith(b"#")
        self.has_header = self.has_header or line.startswith(b"# tracer:")
        self.is_histogram = self.is_histogram or line.startswith(b"# event histogram")
        return bool(not line or _HEADERS.match(line) or _CALL.match(line))

    def _note_rest(self, rest: bytes, number: int) -> None:
        """Take in a line that has a time and a task, but no event's name and colon."""
        if _CALL.match(rest):
            return
        if _REST.search(rest) or rest.startswith(b"dev "):
            self._count("events_without_name", number)
        elif _FUNCTION.match(rest):
            self._note_unused("functions")
        else:
            self._note_unused(re.split(rb"[\s(:]", rest)[0].decode(errors="replace") or "?")

    def missing(self, lines: int) -> int:
        """Return how many events are missing at least of those that headers count.

        A header that is there again says nothing new. Of function_graph two events are one line.

        Parameters
        ----------
        lines
            All lines of the text.
        """
        if "functions of function_graph" in self.unused:
            return 0
        return max(0, sum(kept for kept, _ in self._in_buffer) - (lines - self.header_lines))

    def losses(self, place: Callable[[int], str]) -> tuple[Loss, ...]:
        """Return what was lost, and what is not understood, among the odd lines.

        Parameters
        ----------
        place
            Says where a line is, in words.
        """
        counts = dict(self.counts)
        if self._buffers and len(self._buffers) < self._processors:
            counts["missing_buffers"] = self._processors - len(self._buffers)
        where = {
            name: f"the first is {place(line)}"
            for name, line in self._first.items()
            if name != "lost_events"
        }
        where["overwritten_events"] = f"of {self._written:,} written" if self._written else ""
        return losses_of({name: (count, where.get(name, "")) for name, count in counts.items()})

    def why_nothing(self) -> str:
        """Return what a text without any event that an import uses is, or nothing."""
        for name, why in _WHY.items():
            if self.counts.get(name):
                return why
        if self.is_histogram:
            return "a histogram of events: it has sums, and no events"
        if self.has_header and not self.counts.get("garbage_lines"):
            return "no event was recorded: it has the header of a trace alone"
        return ""


#: What a text is in which all events lack something, by the name of the loss.
_WHY = {
    "counted_times": (
        "its trace clock counts (x86-tsc, counter, uptime) and tells no seconds: record with mono "
        "in the file trace_clock"
    ),
    "raw_lines": (
        "its lines are raw or hexadecimal: the option raw or hex of tracefs was on when it was read"
    ),
    "function_graph_events": (
        "its events are comments of function_graph without time or task: record with the tracer "
        "nop, or set the options funcgraph-abstime and funcgraph-proc"
    ),
    "events_without_time": (
        "its events have no time that can be read: seconds with a point and 6 or 9 digits after it "
        "(differences of times do not tell it); set the option context-info of tracefs, or perf "
        "script -F comm,tid,cpu,time,event,trace"
    ),
    "events_without_name": (
        "its events have no names: perf script -F comm,tid,cpu,time,event,trace prints them"
    ),
}
