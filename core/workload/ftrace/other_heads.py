"""Events in other columns than those of heads.py, which are written anew in its columns.

Read are: the microseconds of the latency format and of ``ftrace_dump_on_oops``, also verbose; the
dates and blanks that some tools print; ``trace-cmd report -l``; ``perf script`` without a column;
``perf trace``; events as comments of function_graph; and all of them behind what a kernel's log or
a mail puts at the beginning of the line.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from html import unescape
from typing import NamedTuple

#: What tells the task, before an event's time, is no longer: a file's name may stand there too.
_LONGEST_TASK_BYTES = 512
_COLOURS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_ENTITIES = re.compile(rb"&(?:#(?:12[0-6]|1[01]\d|[3-9]\d)|lt|gt|amp|quot|nbsp);")
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}".encode()
_WIDE, _BLANKS = b" " * 64, re.compile(rb"\s{64,}")
_QUOTED = re.compile(rb'^(?:[>|:+]\s*)+|^"|"$')
_QUOTES = (b">", b"|", b":", b"+", b'"')
_LOGGED = re.compile(
    rb"^(?:<\d+>\s*)?"
    rb"(?:\w{3} +\d+ [\d:]{8}(?:\.\d+)? \S+ \S+: *|\d{4}-\d\d-\d\dT\S+ \S+ \S+: *)?"
    rb"(?:\[ *(?P<seconds>\d+)\.(?P<fraction>\d{6})\](?:\[ *[TC]\d+\])? ?)?"
)
_TIME = re.compile(
    rb"(?:^|(?<=\s))(?:"
    rb"(?P<seconds>\d+)\.(?P<fraction>[ \d]{5}\d|\d{9})(?:\s+\(\+[\d.]+\))?"
    rb"|(?P<micro>\d+)us ?[^\w\s:]?"
    rb"|\[[0-9a-f]{8,16}\]\s+(?P<milli>\d+\.\d{3})ms \(\+[^)]*\)"
    rb"|(?P<date>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)\.(?P<part>\d{6}|\d{9})"
    rb"|(?P<count>\d+)"
    rb")\s*:(?=\s|[A-Za-z_])\s*"
)
_EVENT = re.compile(rb"(?:\(\+[\d.]*\)\s*)?(?:\d+\s+)?(?:[\w-]+:)?\w[\w.-]*:(?:\s|$)")
# What perf script -F +cgroup prints before an event.
_CGROUP = re.compile(rb"^/\S*\s+(?=(?:[\w-]+:)?\w[\w.-]*:(?:\s|$))")
_TASK_WITH_CPU = re.compile(rb"^(?P<task>.*?)\s*(?:\(\s*[-\d]+\)\s*)?\[\d+\]\s*\S*$")
_TASK_IN_LATENCY = re.compile(rb"^(?P<task>.*-\d+)\s+\d+[^\s\d\[\]]\S{3,7}$")
_TASK_IN_VERBOSE = re.compile(rb"^(?P<task>.*?\s\d+)\s+\d+\s+[0-9a-f]+\s+[0-9a-f]{8}$")
_TASK_AND_FLAGS = re.compile(rb"^(?P<task>.*\S)\s+(?=\S*\.)[.\w#*]{4,8}$")
_NAME_AND_PID = re.compile(rb"^(?P<name>.*?)-(?P<pid>\d+)$")
_NAME_SPACE_PID = re.compile(rb"^(?:(?P<name>.*?)\s+)?(?:\d+/\s*)?(?P<pid>\d+)$")
_GRAPH = re.compile(rb"^(?:\d+\.\d+\s+\|\s+)?\d+\)\s")
_GRAPH_EVENT = re.compile(
    rb"^(?P<seconds>\d+)\.(?P<fraction>\d{6}|\d{9})\s+\|\s+\d+\)\s+(?P<name>\S.*?|)-(?P<pid>\d+)\s+\|"
    rb".*?/\*\s*(?P<event>.*?)\s*\*/"
)
_PERF_TRACE = re.compile(
    rb"^(?P<milli>\d+\.\d{3}) (?:\([^)]*\): )?(?P<name>.*?)/(?P<pid>\d+) (?:\w+:)?(?P<event>\w+)"
    rb"\((?P<fields>.*)\)$"
)


class OtherHead(NamedTuple):
    """An odd line, as far as it is an event."""

    #: The event in the columns of heads.py; empty where there is none.
    line: bytes
    #: Why it is none, by the name of a loss; empty where nothing says that it should be one.
    why: str = ""
    #: What stands where its name should, if its time and its task are told.
    rest: bytes = b""


#: What an odd line is that nothing tells to be an event.
NO_HEAD = OtherHead(b"")


def _sign_of(entity: re.Match[bytes]) -> bytes:
    return unescape(entity[0].decode()).encode()


def without_decoration(text: bytes) -> bytes:
    """Return text without the colours of a terminal, entities of HTML, and no-break spaces."""
    if b"\x1b" in text:
        text = _COLOURS.sub(b"", text)
    if _ENTITIES.search(text):
        text = _ENTITIES.sub(_sign_of, text)
    if _NO_BREAK_SPACE in text:
        text = text.replace(_NO_BREAK_SPACE, b" ")
    return text


def undecorated(line: bytes) -> bytes:
    """Return a line without the signs of quoted mail, quotation marks, and colours."""
    line = without_decoration(line).strip()
    if _WIDE in line:  # or the expressions take their time
        line = _BLANKS.sub(b" ", line)
    if line[:1] == b"{":
        line = _logged_as_json(line)
    if line[:1] in _QUOTES or line[-1:] == b'"':
        line = _QUOTED.sub(b"", line).strip()
    return line


def _logged_as_json(line: bytes) -> bytes:
    """Return the line that a log in JSON holds: of its strings, the longest."""
    try:
        logged = json.loads(line)
    except (ValueError, RecursionError):
        return line
    texts = [text for text in logged.values() if isinstance(text, str)] + [""]
    return max(texts, key=len).strip().encode(errors="replace") or line


def other_head(line: bytes) -> OtherHead:
    """Return what an odd line is.

    Parameters
    ----------
    line
        As `undecorated` returns it.
    """
    if line[:1].isdigit() and _GRAPH.match(line):
        return _of_graph(line)
    logged = _LOGGED.match(line)
    rest = line[logged.end() :].strip() if logged else line
    first = None
    for time in _TIME.finditer(rest):
        found = _head(rest, time)
        if found is not None and found[0]:
            return found[1]
        first = first or found
    if first is not None:
        return first[1]
    traced = _PERF_TRACE.match(rest)
    if traced:
        fields = re.sub(rb"(\w+): ", rb"\1=", traced["fields"]).replace(b",", b" ")
        milli = int(traced["milli"].replace(b".", b""))
        event = traced["event"] + b": " + fields
        return OtherHead(_line(traced["name"], traced["pid"], *_parts(milli, 10**6), event))
    if logged and logged["seconds"] and _EVENT.match(rest):
        # The kernel's log instead of the ring buffer: tp_printk.
        return OtherHead(_line(b"", b"", logged["seconds"], logged["fraction"], rest))
    return NO_HEAD


def _head(line: bytes, time: re.Match[bytes]) -> tuple[bool, OtherHead] | None:
    """Return whether the CPU is told, and what a line is if a time of it is the event's."""
    if time.start() > _LONGEST_TASK_BYTES:
        return None
    rest = _CGROUP.sub(b"", line[time.end() :])
    task = _task(line[: time.start()].strip(), time["milli"] is not None)
    if task is None:
        return None
    knows_cpu, name, pid = task
    if not _EVENT.match(rest):
        is_told = time["count"] is None and (knows_cpu or pid)
        return (knows_cpu, OtherHead(b"", rest=rest)) if is_told else None
    if time["count"] is not None:
        return (True, OtherHead(b"", "counted_times")) if knows_cpu and pid else None
    seconds, fraction = time["seconds"], time["fraction"]
    if time["micro"] is not None:
        seconds, fraction = _parts(int(time["micro"]), 10**6)
    elif time["milli"] is not None:
        seconds, fraction = _parts(int(time["milli"].replace(b".", b"")), 10**6)
    elif time["date"] is not None:
        try:
            when = datetime.fromisoformat(time["date"].decode()).replace(tzinfo=UTC)
        except ValueError:
            return None
        seconds, fraction = b"%d" % max(0, int(when.timestamp())), time["part"]
    return knows_cpu, OtherHead(_line(name, pid, seconds, fraction.replace(b" ", b"0"), rest))


@lru_cache(maxsize=4096)
def _task(head: bytes, is_verbose: bool) -> tuple[bool, bytes, bytes] | None:
    """Return whether the CPU is told, the task's name, and its pid, which are empty if not told."""
    knows_cpu = True
    found = _TASK_WITH_CPU.match(head) or _TASK_IN_LATENCY.match(head)
    if found is None and is_verbose:
        found = _TASK_IN_VERBOSE.match(head)
    if found is None:
        knows_cpu = False
        found = _TASK_AND_FLAGS.match(head)
        if found is not None and not _NAME_AND_PID.match(found["task"]):
            found = None
    task = found["task"] if found else head
    numbered = _NAME_AND_PID.match(task) or _NAME_SPACE_PID.match(task)
    if numbered:
        return knows_cpu, numbered["name"] or b"", numbered["pid"]
    return knows_cpu, task, b""


def _of_graph(line: bytes) -> OtherHead:
    """Return what a line of function_graph is: of an event, it tells the time only if asked to."""
    found = _GRAPH_EVENT.match(line)
    if found and _EVENT.match(found["event"]):
        parts = (found["seconds"], found["fraction"])
        return OtherHead(_line(found["name"], found["pid"], *parts, found["event"]))
    comment = line.partition(b"/*")[2].strip()
    return OtherHead(b"", "function_graph_events" if _EVENT.match(comment) else "function_graph")


def _parts(units: int, per_second: int) -> tuple[bytes, bytes]:
    return b"%d" % (units // per_second), b"%06d" % (units % per_second)


def _line(name: bytes, pid: bytes, seconds: bytes, fraction: bytes, event: bytes) -> bytes:
    """Return an event in the columns of heads.py; ? stands for a pid that is not known."""
    task = name.replace(b": ", b"_") + b"-" + (pid or b"?")
    if task[0] in b'["':  # these begin an odd line
        task = b"_" + task
    return b"%s [000] ..... %s.%s: %s" % (task, seconds, fraction, event)
