"""The head of a line of ftrace text: the task, the CPU and the time, whatever its event is.

An import reads the lines of events that it uses (`core.workload.ftrace.lines`). A cut keeps the
others as well, and so has to know when they came, and by whom.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload.ftrace.state import JITTER_NS

# What is possessive (*+, ++) would else be tried anew from each of many blanks in a row.
_HEAD = re.compile(
    rb"[ \t>|:]*+(?P<comm>.*?)(?:-|(?<![ \t])[ \t]++|)"
    rb"(?P<pid>\d{1,10})(?:/(?P<tid>\d{1,10}))?[ \t]+"
    rb"(?:\([ \t]*(?P<tgid>\d{1,10}|-+)\)[ \t]+)?(?:\[(?P<cpu>\d{1,5})\][ \t]+)?(?:\S{4,6}[ \t]+)?"
    rb"(?P<seconds>\d{1,10})\.(?P<fraction>\d{9}|\d{6}):[ \t]+"
    rb"(?:[\w-]+:)?(?P<event>\w+):(?:[ \t]|$)(?P<fields>.*)"
)
#: Names that stand for a task whose name the recorder did not know.
UNKNOWN_COMMS = (b"<...>", b"")


class Head(NamedTuple):
    """The head of a line, and the event behind it."""

    comm: bytes
    pid: int
    tgid: int  # -1: not known
    cpu: bytes  # empty: not known
    time_ns: int
    event: bytes
    fields: bytes  # the text of its fields


def head_of(line: bytes) -> Head | None:
    """Return the head of a line; None of a comment, a stack trace, and whatever else has none."""
    match = _HEAD.match(line)
    if match is None:
        return None
    comm, pid, tid, tgid, cpu, seconds, fraction, event, fields = match.groups()
    return Head(
        comm.rstrip(),
        int(tid or pid),
        int(pid) if tid else int(tgid) if tgid and tgid.isdigit() else -1,
        cpu or b"",
        int(seconds) * 10**9 + int(fraction.ljust(9, b"0")),
        event,
        fields,
    )


class Clock:
    """The clock of a trace, in which time never goes backwards: an import's, line by line."""

    def __init__(self) -> None:
        self._last_ns = -(2**62)
        self._moved_ns = 0

    def advance(self, stamps_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the times of the next stamps of the trace."""
        times = stamps_ns + self._moved_ns
        while times.size:
            latest = np.maximum(np.maximum.accumulate(times), self._last_ns)
            behind = np.flatnonzero(latest - times > JITTER_NS)
            if not behind.size:
                self._last_ns = int(latest[-1])
                return latest
            step = int(latest[behind[0]] - times[behind[0]])
            times[behind[0] :] += step
            self._moved_ns += step
        return times
