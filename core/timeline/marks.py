"""Marks: the moments of a timeline at which lanes are read.

They are the ends of equal parts of its time, and the rows at which a phase begins or ends. What a
lane counted between two marks is what it counted in that part, or in that phase.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import NO_PHASE, Events
from core.lane import SERIES_POINTS


class Occurrence(NamedTuple):
    """One occurrence of a phase: what is counted behind mark `begin`, up to mark `end`."""

    name: str
    begin: int
    end: int


class Marks(NamedTuple):
    """The marks of a timeline, in its order; the last is its end.

    A row belongs to the first part of the time whose end is not before it.
    """

    rows: NDArray[np.int64]  # [mark] rows of the table up to it
    time_ns: NDArray[np.int64]  # [mark]
    points: NDArray[np.int64]  # [SERIES_POINTS] marks that end a part of the time
    boundaries: NDArray[np.int64]  # [row of a phase] marks just before it
    phases: tuple[Occurrence, ...]

    def before(self, time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many of some ascending times come before each mark.  # [mark]

        A time that is a part's end belongs to that part; one that is a phase's, to what follows.
        """
        number = np.searchsorted(time_ns, self.time_ns, side="right")
        number[self.boundaries] = np.searchsorted(time_ns, self.time_ns[self.boundaries])
        number[-1] = time_ns.size
        return np.maximum.accumulate(number)

    def moved_to(self, other: Marks, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return values of these marks in the order of those of another timeline with them.

        `values` are of this timeline's marks.  # [mark, …]
        """
        moved = np.empty_like(values)
        moved[other.points] = values[self.points]
        moved[other.boundaries] = values[self.boundaries]
        return moved


def mark_rows(
    time_ns: NDArray[np.int64],
    start_ns: int,
    end_ns: int,
    phase_rows: NDArray[np.int64],
    phases: Events,
) -> Marks:
    """Return the marks of a table.

    Parameters
    ----------
    time_ns
        The times of its rows, without those of phases.  # [row]
    start_ns, end_ns
        Between which its time is divided.
    phase_rows
        Before which of these rows each row of a phase stands.  # [row of a phase]
    phases
        The rows of phases, and their names.
    """
    span_ns = end_ns - start_ns
    ends = [start_ns + span_ns * (part + 1) // SERIES_POINTS for part in range(SERIES_POINTS)]
    part_rows = np.searchsorted(np.minimum(time_ns, end_ns), ends, side="right")
    part_rows[-1] = time_ns.size
    rows = np.concatenate([phase_rows, part_rows]).astype(np.int64)
    # Where both stand before one row, the phase comes first, so that the last mark is the end.
    order = np.argsort(rows, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    boundaries, points = place[: phase_rows.size], place[phase_rows.size :]
    until = [*boundaries[1:].tolist(), rows.size - 1]
    occurrences = tuple(
        Occurrence(phases.phases[number], begin, end)
        for number, begin, end in zip(
            phases.index.tolist(), boundaries.tolist(), until[: boundaries.size], strict=True
        )
        if number != NO_PHASE
    )
    times = np.concatenate([phases.time_ns, np.array(ends, dtype=np.int64)])
    return Marks(rows[order], times[order], points, boundaries, occurrences)
