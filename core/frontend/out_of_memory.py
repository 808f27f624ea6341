"""Out of memory: the end of a machine that is too small for what its programs ask.

Linux serves an allocation down to the min watermark, and its reserve below that to those that may
not wait. Where reclaim finds nothing more and the allocation still does not fit, it kills a task
(mm/page_alloc.c, ``should_reclaim_retry`` and ``__alloc_pages_may_oom``). No trace tells what the
others would have done then, so the run ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.accesses import ANONYMOUS, TAKE, UNMAP, Accesses
from core.events import MOVABLE, TAGGED, EventsError
from core.frontend.lists import (
    AT,
    HEADS,
    RESIDENT,
    SIZES,
    SWAP_FREE,
    SWAPPINESS,
    Register,
    can_swap,
)
from core.frontend.node import (
    FOR_FRAMES,
    OUT_OF_MEMORY_REGISTERS,
    ROWS,
    TAG_STORAGE_REGISTERS,
    WAKES_AT,
    Node,
)
from core.frontend.tag_storage_as_memory import BLOCK_PAGES, GUEST_END, RESERVED, SLOTS_FREE
from core.frontend.zone import FREE_PAGES, HIGH, LOW, NOW_NS, zone_free
from core.jit import kernel, wide

#: A call of the loop ends after so many looks at folios, 0.2 to 0.5 s: Python then answers signals.
MOST_LOOKS = 1 << 22

# Elements of `register`.
(
    # The min watermark, and the pages that the allocation must leave free which is being made.
    MIN,
    MUST_LEAVE,
    # Looks at folios that are left to this call of the loop.
    LOOKS_LEFT,
    # Pages give up their frames where fewer frames than this are free, if memory is only larger.
    SPARES_AT,
    # Whether the allocation is for a block of tag storage.
    FOR_BLOCK,
    # Of the allocation that memory ran out at: its pages, or 0; whether it was for a block; and at
    # that moment the free pages, those of files, what swap could still take, and the free slots
    # that could not serve it.
    LACKED,
    LACKED_FOR_BLOCK,
    FREE_THEN,
    FILES_THEN,
    SWAP_THEN,
    SLOTS_THEN,
) = range(OUT_OF_MEMORY_REGISTERS, TAG_STORAGE_REGISTERS)
#: In MUST_LEAVE, of an allocation that is made otherwise where it does not fit.
CAN_DO_WITHOUT = -(1 << 40)


class OutOfMemory(EventsError):
    """A machine is too small for its accesses: when, what was asked for, and what was in use."""


def set_free_pages(register: Register, accesses: Accesses) -> None:
    """Set the free pages and the watermarks; min is as far below low as low is below high.

    That is how Linux sets them (``__setup_per_zone_wmarks``), and recordings tell the upper two.
    """
    low, high = accesses.low_pages, accesses.high_pages
    register[FREE_PAGES] = accesses.free_pages
    least = max(0, 2 * low - high)
    register[[MIN, MUST_LEAVE, LOW, HIGH, WAKES_AT, SPARES_AT]] = least, least, low, high, low, low


@kernel
def available(register: Register) -> int:
    """Return the free pages that the allocation which is being made can have."""
    return zone_free(register) - wide(register[SLOTS_FREE] * register[FOR_FRAMES])


@kernel
def reclaimable(register: Register) -> int:
    """Return how many pages could be evicted or swapped out: zone_reclaimable_pages."""
    if not can_swap(register):
        return wide(register[RESIDENT])
    pages = wide(0)
    for which in range(HEADS):
        pages += wide(register[SIZES + which])
    return pages


@kernel
def run_out(register: Register, pages: int) -> None:
    """Note that memory has run out at an allocation of `pages`: the loop ends at this access."""
    register[LACKED] = pages
    register[LACKED_FOR_BLOCK] = register[FOR_BLOCK]
    register[FREE_THEN] = available(register)
    register[FILES_THEN] = register[RESIDENT]
    register[SWAP_THEN] = register[SWAP_FREE]
    register[SLOTS_THEN] = register[SLOTS_FREE] * register[FOR_FRAMES]
    register[LOOKS_LEFT] = 0


def begin_call(register: Register) -> None:
    """Let a call of the loop write rows, and look at folios."""
    register[[ROWS, LOOKS_LEFT]] = 0, MOST_LOOKS


def check_memory(node: Node, accesses: Accesses) -> None:
    """Raise `OutOfMemory` if memory has run out."""
    register = node.register
    if not register[LACKED]:
        return
    at = int(register[AT])
    seconds = (int(register[NOW_NS]) - int(accesses.time_ns[0])) / 1e9
    free, files, slots = (int(register[each]) for each in (FREE_THEN, FILES_THEN, SLOTS_THEN))
    blocks = int(register[GUEST_END] - register[RESERVED])
    memory = accesses.data_pages + blocks * int(register[BLOCK_PAGES])
    in_use = memory - free - slots - files
    told = [f"{in_use:,} pages in use by programs and kernel", f"{files:,} of files"]
    told += [f"{free:,} free", _swap_told(register)]
    if slots:
        told.append(f"{slots:,} free in tag storage, where it cannot lie")
    raise OutOfMemory(
        f"out of memory at {seconds:.1f} s (access {at:,}: {_asked(register, accesses, at)}; "
        f"{', '.join(told)})"
    )


def _swap_told(register: NDArray[np.int64]) -> str:
    if not register[SWAPPINESS]:
        return "no swap"
    left = int(register[SWAP_THEN])
    return f"room for {left:,} in swap" if left > 0 else "swap full"


def _asked(register: NDArray[np.int64], accesses: Accesses, at: int) -> str:
    """Return what was asked for, in words."""
    pages, op, flags = int(register[LACKED]), int(accesses.op[at]), int(accesses.flags[at])
    noun = "page" if pages == 1 else "pages"
    if register[LACKED_FOR_BLOCK]:
        return f"{pages:,} {noun} for what lies in a block of tag storage"
    if op < ANONYMOUS:
        return f"{pages:,} {noun} of a file"
    tagged = "tagged " if flags & TAGGED else ""
    is_program = op in (ANONYMOUS, UNMAP) or (op == TAKE and flags & MOVABLE)
    return f"{pages:,} {tagged}{noun} of {'a program' if is_program else 'the kernel'}"
