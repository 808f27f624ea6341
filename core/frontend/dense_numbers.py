"""Dense numbers, 0, 1, …, for what a trace names: inodes, address spaces, handles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, wide

#: The group of a row that has no name.
NAMELESS = 255
#: Names are looked up in a table if it has no more entries than this for each group and four for
#: each row. Larger names are sorted instead.
_TABLE_ENTRIES = 1 << 20


def number_names(
    kind: NDArray[np.uint8], group_of: NDArray[np.uint8], name: NDArray[Any], groups: int
) -> tuple[NDArray[np.int32], list[NDArray[np.int64]]]:
    """Return the number of each row's name, and the names of each group, ascending.

    The names of the first group get the first numbers, those of the second group the next ones, and
    so on.

    Parameters
    ----------
    kind, name
        Of each row [row].
    group_of
        The group of each kind [kind], or `NAMELESS`: such a row gets the number 0.
    groups
        How many groups there are.
    """
    number = np.zeros(kind.size, dtype=np.int32)
    largest = np.full(groups, -1, dtype=np.int64)
    _find_largest(kind, group_of, name, largest)
    total = sum(largest.tolist()) + groups
    if total > 4 * kind.size + groups * _TABLE_ENTRIES:
        return number, _by_sorting(group_of[kind], name, groups, number)
    first = np.cumsum(largest + 1) - (largest + 1)
    used = np.zeros(total, dtype=np.int32)
    _mark(kind, group_of, name, first, used)
    _look_up(kind, group_of, name, first, np.cumsum(used, dtype=np.int32), number)
    return number, [np.flatnonzero(marks) for marks in np.split(used, first[1:])]


def _by_sorting(
    group: NDArray[np.uint8], name: NDArray[Any], groups: int, number: NDArray[np.int32]
) -> list[NDArray[np.int64]]:
    names: list[NDArray[np.int64]] = []
    before = 0
    for i in range(groups):
        rows = np.flatnonzero(group == i)
        distinct, places = np.unique(name[rows], return_inverse=True)
        number[rows] = places + before
        before += distinct.size
        names.append(distinct.astype(np.int64))
    return names


@entry
def _find_largest(
    kind: NDArray[np.uint8],
    group_of: NDArray[np.uint8],
    name: NDArray[Any],
    largest: NDArray[np.int64],
) -> None:
    for row in range(kind.size):
        group = group_of[kind[row]]
        if group != NAMELESS:
            largest[group] = max(largest[group], wide(name[row]))


@entry
def _mark(
    kind: NDArray[np.uint8],
    group_of: NDArray[np.uint8],
    name: NDArray[Any],
    first: NDArray[np.int64],
    used: NDArray[np.int32],
) -> None:
    for row in range(kind.size):
        group = group_of[kind[row]]
        if group != NAMELESS:
            used[first[group] + wide(name[row])] = 1


@entry
def _look_up(
    kind: NDArray[np.uint8],
    group_of: NDArray[np.uint8],
    name: NDArray[Any],
    first: NDArray[np.int64],
    upto: NDArray[np.int32],
    number: NDArray[np.int32],
) -> None:
    """Write the number of each name; `upto` counts the names in use up to and with each name."""
    for row in range(kind.size):
        group = group_of[kind[row]]
        if group != NAMELESS:
            number[row] = upto[first[group] + wide(name[row])] - 1
