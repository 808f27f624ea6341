"""Ideal: the bound that results are quoted against. It knows what comes, and pays nothing.

As much of the tag storage as is unreserved at a moment holds file pages, wherever they lie: a
reservation makes room by the page that is restored last of all. It keeps what a store offers, or a
restore read, if the next event of the page is a restore. No cleancache restores more: kept pages
are intervals of time of which at most so many overlap as slots are unreserved, each worth a page,
and to give up the one that ends last is then best (Belady 1966; with a capacity that changes,
Carlisle and Lloyd 1995).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE_INODE, RESTORE, STORE
from core.eviction.queue import (
    CACHED,
    CACHED_PAGE_NS,
    CAPACITY,
    LAST_MISSED,
    MISSED,
    MISSED_SEQUENTIAL,
    PEAK_CACHED,
    RECLAIMED,
    REGISTERS,
    RESTORED,
    SKIPPED,
    STORED,
    TALLIES,
    Register,
)
from core.jit import entry, kernel, wide
from core.policy import Policies
from core.system.counted import Counted, nothing_counted
from core.system.migrate_cma import Larger
from core.timeline.prepare import (
    FLAG,
    FRAMES,
    ORDER_BITS,
    ORDER_SHIFT,
    RELEASE,
    RESERVE,
    RESIZE,
    Timeline,
)

_NEVER = -1
_PAGE_BITS = 31
#: Places of pages that are no longer kept stay in the heap until they are so many more than others.
_SPARE = 1024


def replay_ideal(timeline: Timeline, policies: Policies, larger: Larger | None) -> Counted:
    """Return what lanes count: the same in each.

    Where a larger page cache would be `larger`, and restore more, they count what it does.
    """
    counted = nothing_counted(timeline, policies.lanes)
    register, counted.series[:] = bound(timeline)
    if larger is not None and larger.restored > register[RESTORED]:
        # What tag storage holds over time remains that of the clairvoyant cleancache.
        held = register[[CACHED_PAGE_NS, PEAK_CACHED]]
        register[:] = 0
        register[[CACHED_PAGE_NS, PEAK_CACHED]] = held
        register[[RESTORED, MISSED, MISSED_SEQUENTIAL]] = larger
        register[SKIPPED] = timeline.offered_pages
    counted.tallies[:] = register[: len(TALLIES)]
    return counted


def bound(timeline: Timeline) -> tuple[Register, NDArray[np.int64]]:
    """Return the register of the bound at the end, and the pages it holds over time."""
    register = np.zeros(REGISTERS, dtype=np.int64)
    series = np.zeros(timeline.series_steps.size - 1, dtype=np.int64)
    following = _following(
        timeline.word,
        timeline.page,
        timeline.inode_pages,
        timeline.pages,
        timeline.restore_pages + timeline.offered_pages,
    )
    _replay(
        timeline.word,
        timeline.page,
        timeline.remaining_ns,
        timeline.series_steps,
        following,
        timeline.pages,
        timeline.slots,
        timeline.block_pages,
        register,
        series,
    )
    return register, series


@entry
def _following(
    words: NDArray[np.int16],
    arguments: NDArray[np.int32],
    inode_pages: NDArray[np.int32],
    pages: int,
    named: int,
) -> NDArray[np.int32]:
    """Return, of each page that a store or restore names, the step of its next event.

    That is, if it is a restore: to keep the page is of no use else.
    """
    following = np.empty(named, dtype=np.int32)
    upcoming = np.full(pages, _NEVER, dtype=np.int32)
    place = named
    for step in range(words.size - 1, -1, -1):
        word = wide(words[step])
        kind = word & 7
        if kind in (RESERVE, RELEASE, RESIZE, FRAMES):
            continue
        first = wide(arguments[step])
        end = first + (1 << (word >> ORDER_SHIFT & ORDER_BITS))
        if kind in (STORE, RESTORE):
            for page in range(end - 1, first - 1, -1):
                place -= 1
                following[place] = upcoming[page]
                upcoming[page] = step if kind == RESTORE else _NEVER
            continue
        if kind == INVALIDATE_INODE:
            first, end = wide(inode_pages[first, 0]), wide(inode_pages[first, 1])
        upcoming[first:end] = _NEVER
    return following


@kernel
def _miss(register: Register, page: int, follows: bool) -> None:
    register[MISSED] += 1
    if follows and page == register[LAST_MISSED] + 1:
        register[MISSED_SEQUENTIAL] += 1
    register[LAST_MISSED] = page


@entry
def _replay(
    words: NDArray[np.int16],
    arguments: NDArray[np.int32],
    remaining_ns: NDArray[np.int64],
    series_steps: NDArray[np.int64],
    following: NDArray[np.int32],
    pages: int,
    slots: int,
    block_pages: int,
    register: Register,
    series: NDArray[np.int64],
) -> None:
    register[CAPACITY] = slots
    register[LAST_MISSED] = -2
    kept = np.zeros(pages, dtype=np.bool_)
    # Of what is kept, minus (step of its next restore, page): the first is restored last.
    heap = [wide(0) for _ in range(0)]
    place = 0
    for part in range(series.size):
        for step in range(series_steps[part], series_steps[part + 1]):
            word = wide(words[step])
            kind = word & 7
            left = wide(remaining_ns[step])
            if kind == RESERVE:
                register[CAPACITY] -= block_pages
            elif kind == RELEASE:
                register[CAPACITY] += block_pages
            elif kind == RESIZE:
                register[CAPACITY] = arguments[step]
            elif kind in (STORE, RESTORE):
                first = wide(arguments[step])
                follows = word & FLAG != 0
                for page in range(first, first + (1 << (word >> ORDER_SHIFT & ORDER_BITS))):
                    if kind == RESTORE and kept[page]:
                        kept[page] = False
                        register[RESTORED] += 1
                        register[CACHED] -= 1
                        register[CACHED_PAGE_NS] -= left
                    elif kind == RESTORE:
                        _miss(register, page, follows)
                    following_step = wide(following[place])
                    place += 1
                    follows = True
                    if kind == STORE:
                        register[STORED if following_step != _NEVER else SKIPPED] += 1
                    if following_step != _NEVER:
                        kept[page] = True
                        register[CACHED] += 1
                        register[CACHED_PAGE_NS] += left
                        heappush(heap, -(following_step << _PAGE_BITS | page))
            while register[CACHED] > register[CAPACITY]:
                page = -heappop(heap) & ((1 << _PAGE_BITS) - 1)
                kept[page] = False
                register[RECLAIMED] += 1
                register[CACHED] -= 1
                register[CACHED_PAGE_NS] -= left
            register[PEAK_CACHED] = max(register[PEAK_CACHED], register[CACHED])
            if len(heap) > 2 * register[CACHED] + _SPARE:
                heap = [one for one in heap if -one >> _PAGE_BITS > step]
                heapify(heap)
        series[part] = register[CACHED]
