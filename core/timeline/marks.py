"""Marks: the moments of a timeline at which lanes are read.

They are the ends of equal parts of its time, and the rows at which a phase begins or ends. What a
lane counted between two marks is what it counted in that part, or in that phase.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import NO_PHASE, Events
from core.lane import SERIES_POINTS


def parts_of_share(share: float) -> int:
    """Return how many of the equal parts of the time a share of it is.

    Raises
    ------
    ValueError
        When it is no whole number of them, below 0, or the whole.
    """
    if not 0 <= share < 1:
        raise ValueError(f"a warm-up is at least 0 and below 1, not {share}")
    parts = share * SERIES_POINTS
    if parts != floor(parts):
        near = [part / SERIES_POINTS for part in (floor(parts), floor(parts) + 1)]
        nearest = " or ".join(f"{part:g}" for part in near if part < 1)
        raise ValueError(
            f"a warm-up is a whole number of 1/{SERIES_POINTS} of the time, not {share}: "
            f"nearest is {nearest}"
        )
    return int(parts)


def end_of_part(parts: int, start_ns: int, span_ns: int) -> int:
    """Return when the first so many of the equal parts of a time end."""
    return start_ns + span_ns * parts // SERIES_POINTS


class WarmUp(NamedTuple):
    """How far the parts of a timeline go that are replayed and do not count."""

    marks: int
    rows: int
    end_ns: int | None  # None: there is none


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

    def warm_up(self, parts: int) -> WarmUp:
        """Return how far the first so many equal parts of the time go."""
        if not parts:
            return WarmUp(0, 0, None)
        last = int(self.points[parts - 1])
        return WarmUp(last + 1, int(self.rows[last]), int(self.time_ns[last]))

    def counted_phases(self, warm_up_marks: int) -> list[Occurrence]:
        """Return the occurrences that do not end in a warm-up of so many marks.

        One that begins there counts from the end of the warm-up on.
        """
        if not warm_up_marks:
            return list(self.phases)
        warm = warm_up_marks - 1
        return [
            phase._replace(begin=max(phase.begin, warm))
            for phase in self.phases
            if phase.end > warm
        ]

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
    ends = [end_of_part(part + 1, start_ns, span_ns) for part in range(SERIES_POINTS)]
    part_rows = np.searchsorted(np.minimum(time_ns, end_ns), ends, side="right")
    part_rows[-1] = time_ns.size
    rows = np.concatenate([phase_rows, part_rows]).astype(np.int64)
    times = np.concatenate([phases.time_ns, np.array(ends, dtype=np.int64)])
    # Marks that stand before one row are in the order of time, a phase before a part that ends
    # then; the last mark is the end, whatever phases come after it.
    order = np.lexsort((np.append(times[:-1], np.iinfo(np.int64).max), rows))
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
    return Marks(rows[order], times[order], points, boundaries, occurrences)
