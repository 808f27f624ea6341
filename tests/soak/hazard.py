"""Hazards: what goes wrong, one kind a file of this folder, and what is counted of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import NamedTuple


@dataclass
class Counts:
    """What came of the cases of a hazard.

    Parameters
    ----------
    cases
        How often it was tried: schedules, studies, traces, files.
    kills
        How many processes were killed.
    operations_failed
        How many operations on files were made to fail.
    losses, doubles, unequal
        Rows that were acknowledged and are gone, rows that are there twice, and tables that differ
        from those of an uninterrupted run.
    tracebacks, hangs, leftovers
        Errors that no user should see, what took longer than it may, and files and processes that
        nobody removes.
    reader_failures
        Readers that could not read what was there, showed what they should not, or changed it.
    failures
        What went wrong, with the seed that does it again: all that was counted, and all else.
    """

    cases: int = 0
    kills: int = 0
    operations_failed: int = 0
    losses: int = 0
    doubles: int = 0
    unequal: int = 0
    tracebacks: int = 0
    hangs: int = 0
    leftovers: int = 0
    reader_failures: int = 0
    failures: list[str] = field(default_factory=list)

    def fault(self, seed: int, what: str, kind: str = "", number: int = 1) -> None:
        """Tell what went wrong in the case of a seed, and count it as of a kind, if it has one."""
        self.failures.append(f"seed {seed}: {what}")
        if kind:
            setattr(self, kind, getattr(self, kind) + number)

    def add(self, other: Counts) -> None:
        """Add the counts of another hazard."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


#: Runs the cases of seeds ``first``, ``first + 1``, … while the third argument says that there is
#: time, at most as many as the second, and counts into the last as it goes.
Run = Callable[[int, int, Callable[[], bool], Counts], None]


class Hazard(NamedTuple):
    """One kind of what goes wrong.

    Parameters
    ----------
    name
        What it is called in the table of `make soak`.
    run
        Tries it.
    share
        Its part of the time, beside the others' parts.
    """

    name: str
    run: Run
    share: float = 1.0


class Until:
    """Whether there is time left; the first case always has it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __call__(self) -> bool:
        """Return whether there is time left."""
        return time.monotonic() < self._end


def each_case(
    case: Callable[[int, Counts], None],
    first: int,
    most: int,
    has_time: Callable[[], bool],
    counts: Counts,
) -> None:
    """Try a case of one seed after the other; one that raises is a fault, told with its seed."""
    for seed in range(first, first + most):
        if seed > first and not has_time():
            return
        counts.cases += 1
        try:
            case(seed, counts)
        except Exception as error:
            counts.fault(seed, f"{type(error).__name__}: {error}")
