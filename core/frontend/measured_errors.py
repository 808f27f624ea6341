"""Measured errors: how far the front end was from recorded kernels.

The file beside this one has a row for each thing that was held against a kernel: a recording's own
accesses, or those of another recording of the same workload on a machine of another size.
``benchmarks/fidelity.py --write`` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from core.accesses import READ, Accesses

ROWS_FILE = Path(__file__).with_name("measured_errors.json")
#: Memories whose sizes differ by less are alike.
_ALIKE_RATIO = 0.005


class Measured(NamedTuple):
    """How far the front end was from a kernel in one number, on one machine.

    Parameters
    ----------
    kind
        The workload, the first word of a recording's name: ``database``, ``launch``.
    reclaim
        How the kernel chose folios to evict.
    accesses, at
        The recording whose accesses they were, and the one whose kernel they were held against.
    memory_ratio
        The memory of the second over that of the first.
    what
        ``evictions`` or ``refaults``.
    error_ratio, least_error_ratio, most_error_ratio
        By what share the front end had more than the kernel; and the least and the most of it in
        the same run with somewhat more or fewer pages free when it begins.
    """

    kind: str
    reclaim: str
    accesses: str
    at: str
    memory_ratio: float
    what: str
    error_ratio: float
    least_error_ratio: float
    most_error_ratio: float

    @property
    def distance(self) -> float:
        """How much larger or smaller the asked memory was, as a share of the recorded one."""
        return _distance(self.memory_ratio)


def _distance(memory_ratio: float) -> float:
    distance = abs(memory_ratio - 1)
    return distance if distance >= _ALIKE_RATIO else 0.0


@cache
def measured_errors() -> tuple[Measured, ...]:
    """Return all that was measured."""
    return tuple(Measured(**row) for row in json.loads(ROWS_FILE.read_text()))


def is_recorded(accesses: Accesses) -> bool:
    """Return whether a kernel was recorded: a generator's programs have a machine, and look up."""
    return accesses.data_pages > 0 and bool((accesses.op == READ).any())


def errors_in_tests(
    source: str,
    reclaim: str,
    memory_ratio: float,
    rows: Sequence[Measured] | None = None,
) -> str:
    """Return in words how far the front end was off in tests that are near to what is asked.

    Parameters
    ----------
    source
        Where the accesses come from. If it names a kind of workload that was measured, others play
        no part.
    reclaim
        How folios are chosen to be evicted.
    memory_ratio
        The memory that is asked for over the one that was recorded.
    rows
        What was measured; by default, all of it.
    """
    rows = measured_errors() if rows is None else rows
    kinds = list(dict.fromkeys(row.kind for row in rows))
    named = [kind for kind in kinds if kind in source.lower()] or kinds
    parts = [
        f"{_several(kind)} on {_memory(memory_ratio)}: "
        + _near([row for row in rows if (row.kind, row.reclaim) == (kind, reclaim)], memory_ratio)
        for kind in named
    ]
    return f"the front end stands for a kernel; in tests under {reclaim}, {'; '.join(parts)}"


def _several(kind: str) -> str:
    return f"{kind}es" if kind.endswith(("ch", "s", "x")) else f"{kind}s"


def _memory(memory_ratio: float) -> str:
    distance = _distance(memory_ratio)
    return f"{_percent(distance)} {_side(memory_ratio)} memory" if distance else "their own memory"


def _side(memory_ratio: float) -> str:
    return "less" if memory_ratio < 1 else "more"


def _near(rows: Sequence[Measured], memory_ratio: float) -> str:
    """Return the ranges of the errors at the nearest distances on the same side.

    Between two distances it is those of both; the recorded memory itself is one of them.
    """
    side, asked = _side(memory_ratio), _distance(memory_ratio)
    errors: dict[float, list[Measured]] = {}
    for row in rows:
        if not row.distance or (asked and _side(row.memory_ratio) == side):
            errors.setdefault(row.distance, []).append(row)
    if not errors:
        return "not measured"
    farthest = max(errors)
    if asked > farthest + _ALIKE_RATIO:
        limits = (f"beyond {_percent(farthest)} {side}", "there") if farthest else (
            f"on {side}", "on their own")  # fmt: skip
        return f"not measured {limits[0]}; {limits[1]} {_ranges(errors[farthest])}"
    beyond = min(distance for distance in errors if distance >= asked - _ALIKE_RATIO)
    if beyond <= asked + _ALIKE_RATIO:
        return _ranges(errors[beyond])
    within = [distance for distance in errors if distance < asked]
    between = [*sorted(within)[-1:], beyond]
    names = [f"{_percent(place)} {side}" if place else "their own" for place in between]
    near = [row for place in between for row in errors[place]]
    return f"{_ranges(near)} (measured on {' and '.join(names)})"


def _ranges(rows: Sequence[Measured]) -> str:
    """Return from where to where the errors go, of each thing that was measured."""
    by_what: dict[str, list[int]] = {}
    for row in rows:
        ends = (row.least_error_ratio, row.most_error_ratio)
        by_what.setdefault(row.what, []).extend(round(100 * end) for end in ends)
    return ", ".join(
        f"{what} {_signed(min(errors))}"
        + (f" to {_signed(max(errors))} %" if min(errors) < max(errors) else " %")
        for what, errors in by_what.items()
    )


def _signed(number: int) -> str:
    return f"{number:+d}" if number else "0"


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"
