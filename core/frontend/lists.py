"""The state of a front end: file pages on doubly linked lists, and registers.

A node of the lists is a folio's first page; the last nodes are the heads. A list runs from its
head's NEXT (newest) to its head's PREV (oldest).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide

HEADS = 4

# Columns of `pages`: links, the shadow entry (0: none), and what is known of the folio.
PREV, NEXT, SHADOW, LIST, ORDER, REFS, MAPS, HEAD = range(8)
PAGE_COLUMNS = 8
ABSENT = -1
# REFS: accesses beyond the first (0-4), and bits.
REFERENCED, WORKINGSET = 8, 16
COUNT = 7

# Elements of `register`: what a front end counts comes first.
COUNTED = (
    "insertions",
    "inserted_pages",
    "evictions",
    "evicted_pages",
    "refaults",
    "activations",
    "restored_workingset",
    "promotions",
    "deactivations",
    "protections",
    "agings",
    "kswapd_runs",
    "failures",
)
(
    INSERTIONS,
    INSERTED,
    EVICTIONS,
    EVICTED,
    REFAULTS,
    ACTIVATIONS,
    RESTORES,
    PROMOTIONS,
    DEACTIVATIONS,
    PROTECTIONS,
    AGINGS,
    RUNS,
    FAILURES,
    RESIDENT,
    MIN_SEQ,
    MAX_SEQ,
    BATCH,
    TIER,
    AGE,
    PRIORITY,
    LEFT_INACTIVE,
    LEFT_ACTIVE,
    SCANNED,
    LAST_ACTIVATIONS,
    SIZES,  # four of them, of the lists in pages
) = range(25)
AVERAGE_REFAULTED = SIZES + 4
AVERAGE_TOTAL = AVERAGE_REFAULTED + 4
NOW_REFAULTED = AVERAGE_TOTAL + 4
NOW_EVICTED = NOW_REFAULTED + 4
NOW_PROTECTED = NOW_EVICTED + 4
REGISTERS = NOW_PROTECTED + 4

Pages = NDArray[np.int32]
Register = NDArray[np.int64]


class State(NamedTuple):
    """Pages and registers of a front end at its start."""

    pages: Pages  # [page + HEADS, PAGE_COLUMNS]
    register: Register  # [REGISTERS]


def make_state(pages: int) -> State:
    """Return an empty page cache that knows so many distinct file pages: 32 bytes each."""
    table = np.zeros((pages + HEADS, PAGE_COLUMNS), dtype=np.int32)
    table[:, LIST] = ABSENT
    table[:, HEAD] = ABSENT
    for head in range(pages, pages + HEADS):
        table[head, PREV] = table[head, NEXT] = head
    return State(table, np.zeros(REGISTERS, dtype=np.int64))


@kernel
def head_of(pages: Pages, which: int) -> int:
    """Return the node that heads a list."""
    return int(pages.shape[0]) - HEADS + which


@kernel
def oldest(pages: Pages, which: int) -> int:
    """Return the oldest folio of a list, or its head if it is empty."""
    return wide(pages[head_of(pages, which), PREV])


@kernel
def is_empty(pages: Pages, which: int) -> bool:
    """Return whether a list has no folio."""
    return oldest(pages, which) == head_of(pages, which)


@kernel
def leave(pages: Pages, register: Register, folio: int) -> None:
    """Take a folio off its list."""
    before, after = pages[folio, PREV], pages[folio, NEXT]
    pages[before, NEXT] = after
    pages[after, PREV] = before
    register[SIZES + pages[folio, LIST]] -= 1 << pages[folio, ORDER]
    pages[folio, LIST] = ABSENT


@kernel
def enter(pages: Pages, register: Register, folio: int, which: int, new: bool) -> None:
    """Put a folio at the new end of a list, or at its old end."""
    head = head_of(pages, which)
    if new:
        before, after = head, wide(pages[head, NEXT])
    else:
        before, after = wide(pages[head, PREV]), head
    pages[folio, PREV] = before
    pages[folio, NEXT] = after
    pages[before, NEXT] = folio
    pages[after, PREV] = folio
    pages[folio, LIST] = which
    register[SIZES + which] += 1 << pages[folio, ORDER]
