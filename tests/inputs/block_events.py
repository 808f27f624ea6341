"""Traces of block events whose costs are known: lines as kernels and their tools print them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SECTORS = 8  # of a page


def named_fields(rest: str, raw: bool = False) -> str:
    """Return the fields of an event with their names, as options/fields or a raw report has them.

    Parameters
    ----------
    rest
        The fields as the kernel prints them by default.
    raw
        Whether they are those of ``trace-cmd report -R``.
    """
    device, kind, *_ = rest.split()
    major, minor = device.split(",")
    sector, sectors = (int(word) for word in rest.partition(") ")[2].split()[:3:2])
    number = int(major) << 20 | int(minor)
    if raw:
        letters = ", ".join(f"{letter:02x}" for letter in kind.encode().ljust(8, b"\0"))
        return f"dev={number} sector={sector} nr_sector={sectors} bytes=0 rwbs=ARRAY[{letters}]"
    return (
        f"dev={number:#x} ({number}) sector={sector:#x} ({sector}) "
        f"nr_sector={sectors:#x} ({sectors}) bytes=0x0 (0) rwbs={kind} comm=cat cmd="
    )


#: What stands around an event of a device, by where the text is from.
FORMS: dict[str, Callable[[str, int, str], str]] = {
    "tracefs": lambda event, ns, rest: (
        f"  my task-9-1203  [002] d..1. {ns // 10**9}.{ns % 10**9:09d}: {event}: {rest}"
    ),
    "trace-cmd": lambda event, ns, rest: (
        f"     cat-1203  [002]  {ns // 10**9}.{ns % 10**9 // 1000:06d}: {event}:       {rest}"
    ),
    "perf": lambda event, ns, rest: (
        f"cat  1203 [002] {ns // 10**9}.{ns % 10**9 // 1000:06d}: block:{event}: {rest}"
    ),
    "time difference": lambda event, ns, rest: (
        f"cat-1203  [002]  {ns // 10**9}.{ns % 10**9 // 1000:06d}: (+17) {event}: {rest}"
    ),
    "tgid": lambda event, ns, rest: (
        f"  <...>-1203  (-----) [002] d..1. {ns // 10**9}.{ns % 10**9:09d}: {event}: {rest}"
    ),
    "quoted": lambda event, ns, rest: (
        f"> >   cat-1203  [002] d..1. {ns // 10**9}.{ns % 10**9:09d}: {event}: {rest}"
    ),
    "latency": lambda event, ns, rest: f"     cat-1203     2d..1. {ns // 1000}us : {event}: {rest}",
    "oops": lambda event, ns, rest: (
        f"[  99.123456]   cat-1203     2d..1. {ns // 1000}us : {event}: {rest}"
    ),
    "perf without a CPU": lambda event, ns, rest: (
        f"cat  1203/1204 {ns // 10**9}.{ns % 10**9:09d}:      block:{event}: {rest}"
    ),
    "fields": lambda event, ns, rest: (
        f"  <...>-1203  [002] d..1. {ns // 10**9}.{ns % 10**9:09d}: {event}: {named_fields(rest)}"
    ),
    "raw": lambda event, ns, rest: (
        f" cat-1203  [002] {ns // 10**9}.{ns % 10**9:09d}: {event}:   {named_fields(rest, True)}"
    ),
}


class Truth(NamedTuple):
    """The costs that a made-up device has."""

    read_random_ns: int
    read_parallel_ns: int
    read_sequential_ns: int


class Device:
    """A made-up device, which notes its events.

    Parameters
    ----------
    truth
        What reads cost on it.
    seed
        Of the noise: of a tenth of each time, with one read in twenty delayed by a millisecond.
    number
        ``major,minor``.
    """

    def __init__(self, truth: Truth, seed: int, number: str = "8,0") -> None:
        self.truth, self.number = truth, number
        self.events: list[tuple[int, str, str]] = []
        self._draws = np.random.default_rng(seed)
        self._now_ns, self._sector = 5 * 10**9, 4096

    def request(self, start_ns: int, end_ns: int, pages: int, kind: str, sector: int) -> None:
        """Note the issue and the completion of a request."""
        where = f"{sector} + {pages * SECTORS}"
        issue = f"{self.number} {kind} {pages * 4096} () {where} [cat]"
        self.events.append((start_ns, "block_rq_issue", issue))
        self.events.append((end_ns, "block_rq_complete", f"{self.number} {kind} () {where} [0]"))

    def alone(self, count: int, longest_pages: int = 32) -> None:
        """Read here and there, one request after the other; a tenth goes on where the last ended.

        Those that go on are ten times as fast, as where a device reads ahead.
        """
        for _ in range(count):
            pages = int(self._draws.choice([1, 1, 1, min(4, longest_pages), longest_pages]))
            latency = self.truth.read_random_ns + (pages - 1) * self.truth.read_sequential_ns
            sector = int(self._draws.integers(10**6, 10**9)) * SECTORS
            if self._draws.random() < 0.1:
                latency, sector = latency // 10, self._sector
            end_ns = self._now_ns + self._noisy(latency) + self._delay()
            self.request(self._now_ns, end_ns, pages, "RA", sector)
            self._now_ns, self._sector = end_ns + 50_000, sector + pages * SECTORS

    def parallel(self, count: int, depth: int) -> None:
        """Keep so many reads in flight, of one page or four."""
        started: list[tuple[int, int, int]] = []
        for _ in range(count):
            while len(started) < depth:
                pages = int(self._draws.choice([1, 4]))
                sector = int(self._draws.integers(10**6, 10**9)) * SECTORS
                started.append((self._now_ns, pages, sector))
            start_ns, pages, sector = started.pop(0)
            further = (pages - 1) * self.truth.read_sequential_ns
            self._now_ns += self._noisy(self.truth.read_parallel_ns + further)
            self.request(start_ns, self._now_ns, pages, "R", sector)
        self._now_ns += 10**7

    def writes(self, count: int) -> None:
        """Write with reads beside it, which are therefore slow and tell nothing."""
        for _ in range(count):
            start, end = self._now_ns, self._now_ns + 9_000_000
            self.request(start, end, 16, "WS", int(self._draws.integers(10**6)) * SECTORS)
            sector = int(self._draws.integers(10**6, 10**9)) * SECTORS
            self.request(start + 1000, end - 1000, 1, "R", sector)
            self._now_ns = end + 50_000

    def text(self, form: str = "tracefs", priority: str = "") -> bytes:
        """Return the trace; kernels from 6.13 on print the priority behind the sectors."""
        lines = ["# tracer: nop", "#"]
        for time_ns, event, rest in sorted(self.events, key=lambda noted: noted[0]):
            before, bracket, last = rest.rpartition("[")
            lines.append(FORMS[form](event, time_ns, f"{before}{priority}{bracket}{last}"))
        return ("\n".join(lines) + "\n").encode()

    def _noisy(self, time_ns: int) -> int:
        return max(1, round(time_ns * self._draws.normal(1, 0.1)))

    def _delay(self) -> int:
        return 1_000_000 if self._draws.random() < 0.05 else 0
