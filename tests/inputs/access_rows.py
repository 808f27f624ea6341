"""Accesses by hand, for a machine of 1024 data pages: rows, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.accesses import ANONYMOUS, GIVE, READ, SCHEMA, TAKE, TOUCH, TRUNCATE, UNMAP, Accesses
from core.events import ATOMIC, TAGGED

# (op, inode, index, order, handle, flags)
Row = tuple[int, int, int, int, int, int]


def read(index: int, order: int = 0, inode: int = 0) -> Row:
    return (READ, inode, index, order, 0, 0)


def touch(index: int, inode: int = 0) -> Row:
    return (TOUCH, inode, index, 0, 0, 0)


def as_accesses(
    rows: Sequence[Row], free_pages: int = 16, low: int = 2, high: int = 4, **about: Any
) -> Accesses:
    """Return rows as a table, a nanosecond apart; `about` are more of the fields of `Accesses`."""
    columns = list(zip(*rows, strict=True)) or [()] * 6
    arrays = [np.arange(len(rows)), *map(np.array, columns)]
    typed = {
        field.name: array.astype(field.type.to_pandas_dtype())
        for field, array in zip(SCHEMA, arrays, strict=True)
    }
    return Accesses(
        **typed, page_size=4096, data_pages=1024, free_pages=free_pages, low_pages=low,
        high_pages=high, source="test", **about,
    )  # fmt: skip


def skewed_rows() -> list[Row]:
    """Return 3,000 reads and touches of popular and unpopular pages, with some tagged memory."""
    chance = np.random.default_rng(5)
    rows: list[Row] = []
    for number in range(3000):
        index = int(min(chance.zipf(1.3), 400))
        order = int(chance.integers(0, 3))
        rows.append(read(index >> order << order, order) if number % 3 else touch(index))
        if number % 40 == 0:
            rows.append((TAKE, 0, 0, 0, number, TAGGED))
        if number % 40 == 30:
            rows.append((GIVE, 0, 0, 0, number - 30, 0))
    return rows


def crowded_rows(chance: np.random.Generator, length: int) -> list[Row]:
    """Return accesses to a memory that is nearly full, most of them of file pages.

    They begin with memory in use, and holes in it everywhere: tags meet every block then.
    """
    first_handle = 1 << 20
    rows: list[Row] = [(TAKE, 0, 0, 3, first_handle + i, 0) for i in range(124)]
    for hole in chance.choice(124, size=24, replace=False).tolist():
        rows.append((GIVE, 0, 0, 3, first_handle + hole, 0))
    held: list[tuple[int, int]] = []
    in_memory: set[int] = set()
    kinds = [READ] * 10 + [TOUCH] * 4 + [TRUNCATE, TAKE, TAKE, TAKE, GIVE, GIVE]
    kinds += [ANONYMOUS] * 4 + [UNMAP] * 3
    for handle in range(length):
        op = int(chance.choice(kinds))
        order = int(chance.choice([0, 0, 0, 1, 2]))
        index = int(chance.integers(0, 400)) >> order << order
        if op == READ:
            rows.append((READ, 0, index, order, 0, 0))
        elif op == TOUCH:
            rows.append((TOUCH, 0, index, 0, 0, 0))
        elif op == TRUNCATE:
            rows.append((TRUNCATE, 0, index, order, 0, 0))
        elif op == TAKE and sum(1 << order for _, order in held) < 30:
            flags = int(chance.choice([0, TAGGED, TAGGED, TAGGED | ATOMIC]))
            rows.append((TAKE, 0, 0, order, handle, flags))
            held.append((handle, order))
        elif op == GIVE and held:
            given, order = held.pop(int(chance.integers(len(held))))
            rows.append((GIVE, 0, 0, order, given, 0))
        elif op == ANONYMOUS and len(in_memory) < 20:
            page = int(chance.integers(0, 80))
            in_memory.add(page)
            rows.append((ANONYMOUS, 0, page, 0, 0, 0))
        elif op == UNMAP and in_memory:
            page = int(chance.choice(sorted(in_memory)))
            in_memory.remove(page)
            rows.append((UNMAP, 0, page, 0, 0, 0))
    return rows
