"""One trace in every form that people bring: each makes a line of tracefs into one of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_LINE = re.compile(
    r"^ *(?P<comm>.*?)-(?P<pid>\d+) +\[(?P<cpu>\d+)\] \S+ +(?P<seconds>\d+)\.(?P<micro>\d{6}): "
    r"(?P<event>\w+): (?P<fields>.*)$"
)


class Line(NamedTuple):
    """The parts of a line of tracefs."""

    comm: str
    pid: str
    cpu: str
    seconds: str
    micro: str
    event: str
    fields: str

    @property
    def rest(self) -> str:
        """The event and its fields."""
        return f"{self.event}: {self.fields}"

    @property
    def stamp(self) -> str:
        """The time as tracefs prints it."""
        return f"{self.seconds}.{self.micro}"

    @property
    def us(self) -> int:
        """The time in microseconds."""
        return int(self.seconds) * 1_000_000 + int(self.micro)


def line_of(text: str) -> Line:
    """Return the parts of a line of tracefs."""
    found = _LINE.match(text)
    assert found, text
    return Line(*found.groups())


def _tracefs(line: Line, task: str = "", before: str = "", flags: str = ".....") -> str:
    task = task or f"{line.comm:>16}-{line.pid:<7}"
    return f"{before}{task} [{line.cpu}] {flags} {line.stamp:>12}: {line.rest}"


def _latency(line: Line, mark: str = " ", before: str = "") -> str:
    task = f"{line.comm[:8]:>8}-{line.pid:<5} {int(line.cpu):>3}d..1."
    return f"{before}{task} {line.us:>8}us{mark}: {line.rest}"


def _verbose(line: Line) -> str:
    milli = f"{line.us // 1000}.{line.us % 1000:03}"
    task = f"{line.comm:>16} {line.pid:>7} {int(line.cpu):>3} 0 00000000 [{line.us:08x}]"
    return f"{task} {milli}ms (+0.001ms): {line.rest}"


def _perf(line: Line, task: str, before_event: str = "filemap:") -> str:
    return f"{task} {line.stamp:>12}: {before_event:>20}{line.rest}"


def _graph(line: Line) -> str:
    columns = f"{line.stamp:>12} |   {int(line.cpu)})  {line.comm:>9}-{line.pid:<4} |"
    return f"{columns}               |  /* {line.rest} */"


def _perf_trace(line: Line) -> str:
    milli = f"{line.us // 1000}.{line.us % 1000:03}"
    return f"   {milli} {line.comm}/{line.pid} filemap:{line.event}({line.fields})"


def _wrapped(line: Line, quote: str = "") -> str:
    words = _tracefs(line).split(" ")
    middle = len(words) - (2 if len(words) - words.index(f"{line.event}:") > 3 else 1)
    if middle <= words.index(f"{line.event}:"):
        return quote + " ".join(words)
    return f"{quote}{' '.join(words[:middle])}\n{quote}{' '.join(words[middle:])}"


#: Each form by its name. All of them tell the same, but some have no name of the task.
DIALECTS: dict[str, Callable[[Line], str]] = {
    "tracefs": _tracefs,
    "tgid": lambda line: _tracefs(line, f"{line.comm:>16}-{line.pid} (  101)"),
    "no tgid": lambda line: _tracefs(line, f"{line.comm:>16}-{line.pid} (-------)"),
    "no irq-info": lambda line: f"{line.comm}-{line.pid} [{line.cpu}]  {line.stamp}: {line.rest}",
    "four flags": lambda line: _tracefs(line, flags="dNh2"),
    "nanoseconds": lambda line: _tracefs(line._replace(micro=line.micro + "000")),
    "blanks for zeros": lambda line: _tracefs(line._replace(micro=f"{int(line.micro):6}")),
    "a date": lambda line: _tracefs(
        line._replace(seconds=f"1970-01-01 00:00:{int(line.seconds):02}")
    ),
    "no cpu": lambda line: f"{line.comm:>16}-{line.pid} ..... {line.stamp}: {line.rest}",
    "trace-cmd": lambda line: (
        f"{line.comm:>16}-{line.pid:<5} [{line.cpu}] {line.stamp:>12}: "
        f"{line.event + ':':<21} {line.fields}"
    ),
    "trace-cmd -R": lambda line: (
        f"{line.comm}-{line.pid} [{line.cpu}]-0x1 {line.stamp}: {line.rest}"
    ),
    "trace-cmd -l": lambda line: (
        f"{line.comm:>8}-{line.pid:<5} {int(line.cpu):>3}d..1. {line.stamp}: {line.rest}"
    ),
    "trace-cmd --ts-diff": lambda line: (
        f"{line.comm}-{line.pid} [{line.cpu}] ..... {line.stamp}: (+1)     {line.rest}"
    ),
    "several traces": lambda line: _tracefs(line, before="  a.dat: "),
    "latency format": _latency,
    "latency format with marks": lambda line: _latency(line, "!"),
    "latency format, verbose": _verbose,
    "dump in the kernel's log": lambda line: _latency(line, before="[   42.100000] "),
    "perf": lambda line: _perf(line, f"{line.comm:>16} {line.pid:>7} [{line.cpu}]"),
    "perf pid/tid": lambda line: _perf(line, f"{line.comm} 7/{line.pid:<5} [{line.cpu}]"),
    "perf without cpu": lambda line: _perf(line, f"{line.comm:>16} {line.pid:>7}"),
    "perf pid/tid without cpu": lambda line: _perf(line, f"{line.comm} 7/{line.pid:<5}"),
    "perf with a period": lambda line: _perf(
        line, f"{line.comm} {line.pid} [{line.cpu}]", "1   vmscan:"
    ),
    "perf trace": _perf_trace,
    "function_graph": _graph,
    "quoted mail": lambda line: _tracefs(line, before="> "),
    "mail quoted twice": lambda line: _tracefs(line, before=">> "),
    "quoted with bars": lambda line: _tracefs(line, before="| "),
    "added in a patch": lambda line: _tracefs(line, before="+"),
    "indented": lambda line: _tracefs(line, before="\t    "),
    "numbered": lambda line: _tracefs(line, before="   12\t"),
    "found in a file": lambda line: _tracefs(line, before="trace.txt:12:"),
    "in quotation marks": lambda line: f'"{_tracefs(line).strip()}"',
    "with colours": lambda line: (
        "\x1b[32m" + _tracefs(line).replace("mm_", "\x1b[01;31m\x1b[Kmm_\x1b[m\x1b[K") + "\x1b[0m"
    ),
    "with no-break spaces": lambda line: _tracefs(line).replace("  ", "\N{NO-BREAK SPACE} "),
    "kernel's log": lambda line: _tracefs(line, before="[   42.000001] "),
    "kernel's log with callers": lambda line: _tracefs(line, before="[   42.000001][  T101] "),
    "kernel's log with levels": lambda line: _tracefs(line, before="<4>"),
    "syslog": lambda line: _tracefs(line, before="Nov 28 03:00:00 host kernel: [   42.000000] "),
    "dump in syslog": lambda line: _latency(line, before="Nov 28 03:00:00 host kernel: "),
    "wrapped": _wrapped,
    "wrapped and quoted": lambda line: _wrapped(line, "> "),
    "wrapped before the event": lambda line: _tracefs(line).replace(": mm_", ":\nmm_"),
    "call chains": lambda line: (
        f"{_tracefs(line)}\n{line.comm}-{line.pid} [{line.cpu}] ..... {line.stamp}: <stack trace>\n"
        " => filemap_add_folio\n => 0xffff9e0e8571e000"
    ),
    "perf with call chains": lambda line: (
        f"{line.comm} {line.pid} [{line.cpu}] {line.stamp}: kmem:{line.rest}\n"
        "        ffffffff9aca933a __alloc_pages+0x22e ([kernel.kallsyms])\n"
    ),
}
