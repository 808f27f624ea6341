"""Dense numbers for what a trace names: inodes, address spaces, handles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.jit import entry, wide

#: The group of a row that has no name.
NAMELESS = 255
#: Names a group, beside four a row, that a table is made for; where they are larger, they are
#: sorted.
_SMALL = 1 << 20


def number_names(
    kind: NDArray[np.uint8], group_of: NDArray[np.uint8], name: NDArray[Any], groups: int
) -> tuple[NDArray[np.int32], list[NDArray[np.int64]]]:
    """Return the number of each row's name, and the names of each group, ascending.

    Numbers are dense, and go through the groups in turn; a row's group is `group_of` its kind. A
    row of no group has number 0.
    """
    number = np.zeros(kind.size, dtype=np.int32)
    largest = np.full(groups, -1, dtype=np.int64)
    _find_largest(kind, group_of, name, largest)
    total = sum(largest.tolist()) + groups
    if total > 4 * kind.size + groups * _SMALL:
        return number, _by_sorting(group_of[kind], name, groups, number)
    first = np.cumsum(largest + 1) - (largest + 1)
    used = np.zeros(total, dtype=np.int32)
    _mark(kind, group_of, name, first, used)
    _look_up(kind, group_of, name, first, np.cumsum(used, dtype=np.int32), number)
    return number, [np.flatnonzero(one) for one in np.split(used, first[1:])]


def _by_sorting(
    group: NDArray[np.uint8], name: NDArray[Any], groups: int, number: NDArray[np.int32]
) -> list[NDArray[np.int64]]:
    names: list[NDArray[np.int64]] = []
    before = 0
    for one in range(groups):
        mine = np.flatnonzero(group == one)
        distinct, places = np.unique(name[mine], return_inverse=True)
        number[mine] = places + before
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
    for row in range(kind.size):
        group = group_of[kind[row]]
        if group != NAMELESS:
            number[row] = upto[first[group] + wide(name[row])] - 1
