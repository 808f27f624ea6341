"""What is asked of a cut: which part of a trace, and whether it is to name nobody."""

from __future__ import annotations

from typing import NamedTuple

from core.workload.text import TraceError


class Moment(NamedTuple):
    """A time in a trace.

    Parameters
    ----------
    ns
        Nanoseconds since the trace begins; or, if `is_stamp`, as the trace's own clock stamps them.
    is_stamp
        Whether it is a stamp.
    """

    ns: int
    is_stamp: bool = False

    def after(self, begin_ns: int) -> int:
        """Return the stamp of the moment in a trace that begins at the stamp `begin_ns`."""
        return self.ns if self.is_stamp else begin_ns + self.ns

    @property
    def words(self) -> str:
        """The moment as it is typed."""
        return f"{'@' if self.is_stamp else ''}{self.ns / 1e9:.9g}s"


class Asked(NamedTuple):
    """The part of a trace that a cut keeps: what all of these keep.

    Parameters
    ----------
    begin, end
        From when on, and up to when; what happens at `end` itself is left out.
    phase, occurrence
        The name of a phase, and which of its occurrences, from 1.
    task
        The number or the name of a task; with those that it starts, where the trace tells.
    cgroup
        The path of a cgroup, whose tasks are kept, and those of the cgroups below it.
    anonymise
        Whether names are dropped, and numbers that identify are replaced.
    """

    begin: Moment | None = None
    end: Moment | None = None
    phase: str | None = None
    occurrence: int = 1
    task: str | None = None
    cgroup: str | None = None
    anonymise: bool = False

    @property
    def by_tasks(self) -> bool:
        """Whether tasks are told from one another."""
        return self.task is not None or self.cgroup is not None

    @property
    def words(self) -> str:
        """How the trace is cut, in words; they name nobody if it is anonymised."""
        parts = []
        if self.begin is not None:
            parts.append(f"from {self.begin.words}")
        if self.end is not None:
            parts.append(f"to {self.end.words}")
        for what, name in (("phase", self.phase), ("task", self.task), ("cgroup", self.cgroup)):
            if name is not None:
                parts.append(f"by {what}" if self.anonymise else f"{what} {name}")
        return ", ".join(parts)


class NoSuchPhase(TraceError):
    """A phase that a trace does not have.

    Parameters
    ----------
    what
        What is wrong.
    file
        The trace.
    phases
        The names of the phases that it has.
    """

    def __init__(self, what: str, file: str, phases: list[str]) -> None:
        super().__init__(what, file=file)
        self.phases = phases


class NoSuchTask(TraceError):
    """A task or cgroup that a trace does not tell of; `known` are those that it has."""

    def __init__(self, what: str, file: str, known: list[str]) -> None:
        super().__init__(what, file=file)
        self.known = known
