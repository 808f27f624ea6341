"""The state of a lane, and what every lane counts.

A lane is one policy of a batch. One row of `State.table` holds all that is known of a slot and of a
unit of cached pages: 8 numbers, 32 bytes. There are never more units than slots; where every unit
is one page, a unit has the number of its slot.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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

#: What every lane counts: the first elements of `State.register`, in this order. Those from
#: ``sampled`` on add up its samples of reservation latency: how many there were, their blocks, the
#: pages that they dropped, wrote to a swap device, and migrated, and how many migrated any.
TALLIES = (
    *("stored", "skipped", "stale", "restored", "missed"),
    *("reclaimed", "recalled", "collateral", "invalidated", "overwritten"),
    *("lookups", "bypassed"),
    *("read_commands", "waited_requests", "waited_commands", "waited_pages"),
    *("waited_stored", "waited_reclaimed"),
    # Pages of requests that have ended, of those that were missed.
    "read_pages",
    *("cached", "peak_cached", "cached_page_ns", "withheld_page_ns"),
    *("migrated", "failed_pinned", "failed_atomic", "compressed", "decompressed", "written"),
    *("sampled", "sampled_blocks", "sampled_dropped", "sampled_written"),
    *("sampled_migrated", "sampled_migrating"),
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
    LOOKUPS,
    BYPASSED,
    READ_COMMANDS,
    WAITED_REQUESTS,
    WAITED_COMMANDS,
    WAITED_PAGES,
    WAITED_STORED,
    WAITED_RECLAIMED,
    READ_PAGES,
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
    SAMPLED,
    SAMPLED_BLOCKS,
    SAMPLED_DROPPED,
    SAMPLED_WRITTEN,
    SAMPLED_MIGRATED,
    SAMPLED_MIGRATING,
) = range(len(TALLIES))

#: Tallies that say how things stand, or add up over the time that counts: they are no sums of what
#: happened up to a mark, so that nothing is taken off them for a warm-up.
STANDINGS = (CACHED, PEAK_CACHED, CACHED_PAGE_NS, WITHHELD_PAGE_NS)

# The elements of `State.register` behind the tallies: the free slots, and the slots that are not
# withheld; the seed of what is drawn, and how often it was drawn.
FREE_SLOTS, CAPACITY, SEED, DRAWS = range(len(TALLIES), len(TALLIES) + 4)
# Those of the read request that goes on: the page that was looked at last, and whether the run that
# it is of has met a miss; the page that was missed last; its commands and its missed pages so far,
# and whether a task waits for one of them.
(
    RUN_PAGE,
    RUN_STOPPED,
    LAST_MISSED,
    REQUEST_COMMANDS,
    REQUEST_PAGES,
    REQUEST_WAITED,
) = range(DRAWS + 1, DRAWS + 7)
# From here on they belong to the system, to the placement and to the eviction of the lane, which
# name theirs beside their code.
SYSTEM_REGISTERS, PLACEMENT_REGISTERS, EVICTION_REGISTERS, REGISTERS = 48, 56, 64, 80

#: Moments at which a lane tells what tag storage holds: the ends of equal parts of its time.
SERIES_POINTS = 64

NOWHERE = -1

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
