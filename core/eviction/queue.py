"""The state of a lane, and the doubly linked queues in it.

One row of `table` holds all that is known of a slot and of a unit: 8 numbers, 32 bytes. There are
never more units than slots; where every unit is one page, a unit has the number of its slot.
Kernels take the three arrays of a `State` as arguments: out of a tuple, Numba counted references at
every access, and a replay took 5 times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel, wide

# Columns of a row, the slot's: the page it holds; the links of the free queue or, for one that
# caches, its unit in place of a link.
PAGE, FREE_PREV, FREE_NEXT = 0, 1, 2
OWNER = 1
# What PAGE holds when there is no page.
VACANT, WITHHELD = -1, -2  # free; reserved, or headroom

# Columns of a row, the unit's: links from old to new, its first page, and
# pages held << 8 | order << 4 | mark.
PREV, NEXT, FIRST, SHAPE = 3, 4, 5, 6
ORDER_SHIFT, ORDER_BITS = 4, 15
PAGES_SHIFT = 8
ONE_PAGE = 1 << PAGES_SHIFT
# Column of a row, the ghost queue's: a ring of pages (s3fifo alone).
GHOST = 7
COLUMNS = 8

# The last rows of the table end its queues: of units (two for s3fifo), and of free slots, which
# shares a row with the first since it has columns of its own.
ENDS = 2

# Elements of `register`: what a lane counts comes first (TALLIES).
TALLIES = (
    "stored",
    "skipped",
    "stale",
    "restored",
    "missed",
    "reclaimed",
    "recalled",
    "collateral",
    "invalidated",
    "overwritten",
    "missed_sequential",
    "cached",
    "peak_cached",
    "cached_page_ns",
    "withheld_page_ns",
    "migrated",
    "failed_pinned",
    "failed_atomic",
    "compressed",
    "decompressed",
    "written",
)
(
    STORED,
    SKIPPED,
    STALE,
    RESTORED,
    MISSED,
    RECLAIMED,
    RECALLED,
    COLLATERAL,
    INVALIDATED,
    OVERWRITTEN,
    MISSED_SEQUENTIAL,
    CACHED,
    PEAK_CACHED,
    CACHED_PAGE_NS,
    WITHHELD_PAGE_NS,
    MIGRATED,
    FAILED_PINNED,
    FAILED_ATOMIC,
    COMPRESSED,
    DECOMPRESSED,
    WRITTEN,
    LAST_MISSED,
    FREE_SLOTS,
    CAPACITY,
    SPARE_UNIT,
    HAND,
    UNITS,
    SEED,
    DRAWS,
    SMALL_UNITS,
    MAIN_UNITS,
    EVICTED,
    GHOST_HIT,
    GHOST_HEAD,
    GHOST_TAIL,
    GHOSTS,
    # What placements remember.
    PLACEMENT,
    BLOCK_PAGES,
    KEYS,
    LOWEST_KEY,
    CURSOR,
    RUN,
    KEPT_TARGET,
    KEPT_NOW,
    DISCARD,
    HANDED_BACK,
    SLOTS_USED,
    REGISTERS,
) = range(48)

NOWHERE = -1


Pages = NDArray[np.int32]
Table = NDArray[np.int32]
Register = NDArray[np.int64]
Places = NDArray[np.int64]


class State(NamedTuple):
    """What one lane remembers; made once and used for lane after lane."""

    slot_of: Pages  # [page] its slot, or -1; for s3fifo, [page] of the ghosts behind
    table: Table  # [slot + ENDS, COLUMNS]
    register: Register  # [REGISTERS]
    places: (
        Places  # [block or key, 6] of core.system.placement; one row where only the queue places
    )


def make_state(pages: int, slots: int, ghosts: bool, places: Places | None = None) -> State:
    """Return the state of a lane; `ghosts` for an eviction that remembers what it evicted."""
    return State(
        slot_of=np.empty(pages * (2 if ghosts else 1), dtype=np.int32),
        table=np.empty((slots + ENDS, COLUMNS), dtype=np.int32),
        register=np.empty(REGISTERS, dtype=np.int64),
        places=np.zeros((1, 1), dtype=np.int64) if places is None else places,
    )


def state_bytes(pages: int, slots: int, ghosts: bool) -> int:
    """Return the bytes of a lane's state: 4 a file page (8 with ghosts), 32 a slot, and more."""
    return (8 if ghosts else 4) * pages + 4 * COLUMNS * (slots + ENDS) + 8 * REGISTERS


@kernel
def make_empty(table: NDArray[np.int32], end: int) -> None:
    """Make the queue whose end is row `end` an empty one."""
    table[end, PREV] = end
    table[end, NEXT] = end


@kernel
def push(table: NDArray[np.int32], end: int, member: int) -> None:
    """Put `member` at the new end of the queue `end`."""
    newest = table[end, PREV]
    table[member, PREV] = newest
    table[member, NEXT] = end
    table[newest, NEXT] = member
    table[end, PREV] = member


@kernel
def unlink(table: NDArray[np.int32], member: int) -> None:
    """Take `member` out of its queue."""
    older = table[member, PREV]
    newer = table[member, NEXT]
    table[older, NEXT] = newer
    table[newer, PREV] = older


@kernel
def units_end(table: Table) -> int:
    """Return the row that ends the queue of units."""
    return int(table.shape[0]) - ENDS


@kernel
def ignore_expect(slot_of: Pages, table: Table, register: Register, page: int) -> None:
    """Do nothing: the expect of an eviction that forgets what left."""


@kernel
def insert_newest(slot_of: Pages, table: Table, register: Register, unit: int) -> None:
    """Insert at the new end: the hook of every eviction that ranks by age."""
    push(table, units_end(table), unit)


@kernel
def remove_from_queue(slot_of: Pages, table: Table, register: Register, unit: int) -> None:
    """Unlink: the hook of every eviction that has nothing else to forget."""
    unlink(table, unit)


@kernel
def oldest_victim(slot_of: Pages, table: Table, register: Register, keep: int) -> int:
    """Return the oldest unit other than `keep`."""
    unit = wide(table[units_end(table), NEXT])
    if unit == keep:
        unit = wide(table[unit, NEXT])
    return unit


@kernel
def ignore_touch(
    slot_of: Pages, table: Table, register: Register, unit: int, restored: bool
) -> None:
    """Do nothing: the touch of an eviction that ranks by insertion alone."""


@kernel
def mark_touch(slot_of: Pages, table: Table, register: Register, unit: int, restored: bool) -> None:
    """Set the unit's bit: the touch of clock and sieve."""
    table[unit, SHAPE] |= 1
