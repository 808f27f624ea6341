"""The state of a lane, and what every lane counts.

A lane is one policy of a batch. One row of `State.table` holds all that is known of a slot and of a
unit of cached pages: 8 numbers, 32 bytes. There are never more units than slots; where every unit
is one page, a unit has the number of its slot.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel

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
# A column that an eviction may use as it likes.
EVICTION_COLUMN = 7
COLUMNS = 8

# The last rows of the table end its queues: of units (an eviction may have two), and of free slots,
# which shares a row with the first since it has columns of its own.
ENDS = 2

#: What every lane counts: the first elements of `State.register`, in this order.
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
) = range(len(TALLIES))

# The elements of `State.register` behind the tallies: the page that was missed last; the free
# slots, and the slots that are not withheld; the seed of what is drawn, and how often it was drawn.
LAST_MISSED, FREE_SLOTS, CAPACITY, SEED, DRAWS = range(len(TALLIES), len(TALLIES) + 5)
# From here on they belong to the system, to the placement and to the eviction of the lane, which
# name theirs beside their code.
SYSTEM_REGISTERS, PLACEMENT_REGISTERS, EVICTION_REGISTERS, REGISTERS = 32, 40, 48, 64

#: Moments at which a lane tells what tag storage holds: the ends of equal parts of its time.
SERIES_POINTS = 64

NOWHERE = -1
#: What LAST_MISSED holds at first: no page follows it.
NO_PAGE_MISSED = -2

PageSlots = NDArray[np.int32]
Table = NDArray[np.int32]
Register = NDArray[np.int64]
Places = NDArray[np.int64]


class State(NamedTuple):
    """What one lane remembers; made once and used for lane after lane."""

    slot_of: PageSlots  # [page] its slot, or -1; with room for as much again if an eviction asks
    table: Table  # [slot + ENDS, COLUMNS]
    register: Register  # [REGISTERS]
    places: Places  # [block or key, column] of the placement; one row where only the queue places


def make_state(pages: int, slots: int, remembers_pages: bool, places: Places | None) -> State:
    """Return room for the state of a lane.

    Parameters
    ----------
    pages
        Distinct file pages of the timeline.
    slots
        Tag pages.
    remembers_pages
        Whether the eviction keeps a number a page, beside its slot.
    places
        The placement's array, where more than the queue places.
    """
    return State(
        slot_of=np.empty(pages * (2 if remembers_pages else 1), dtype=np.int32),
        table=np.empty((slots + ENDS, COLUMNS), dtype=np.int32),
        register=np.empty(REGISTERS, dtype=np.int64),
        places=np.zeros((1, 1), dtype=np.int64) if places is None else places,
    )


def state_bytes(pages: int, slots: int) -> int:
    """Return the bytes of a lane's state at most: 8 a file page, 32 a slot, and the registers."""
    return 8 * pages + 4 * COLUMNS * (slots + ENDS) + 8 * REGISTERS


@kernel
def count_miss(register: Register, page: int, follows: bool) -> None:
    """Count a page that is read from storage.

    It is read in sequence if the page before it was missed last; `follows` says whether that is its
    neighbour in the file.
    """
    register[MISSED] += 1
    if follows and page == register[LAST_MISSED] + 1:
        register[MISSED_SEQUENTIAL] += 1
    register[LAST_MISSED] = page
