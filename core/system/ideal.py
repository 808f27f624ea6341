"""Ideal: the bound that results are quoted against. It knows what comes, and pays nothing.

It holds as many file pages as there are unreserved slots, wherever those lie; a reservation takes
the page that is restored last of all. A page is kept after a store, or after a restore that missed,
if the next event of the page is a restore. No cleancache restores more. To keep a page from one
event to its restore takes a slot for that interval of time and saves one read; at most as many
intervals may overlap as slots are unreserved; and to give up the interval that ends last is then
best (Belady 1966; with a capacity that changes, Carlisle and Lloyd 1995).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from core.events import INVALIDATE_INODE, RESTORE, STORE
from core.jit import entry, wide
from core.lane import (
    CACHED,
    CACHED_PAGE_NS,
    CAPACITY,
    LAST_MISSED,
    MISSED,
    MISSED_SEQUENTIAL,
    NO_PAGE_MISSED,
    PEAK_CACHED,
    RECLAIMED,
    REGISTERS,
    RESTORED,
    SKIPPED,
    STORED,
    TALLIES,
    Register,
    count_miss,
)
from core.machine import Machine
from core.policy import Policies, Policy
from core.policy_words import Metadata
from core.system.contract import Counted, Larger, System, nothing_counted, nothing_paid
from core.system.larger_memory import tag_memory
from core.timeline.prepare import Timeline
from core.timeline.steps import (
    FRAMES,
    RELEASE,
    RESERVE,
    RESIZE,
    Steps,
    is_flagged,
    kind_of,
    order_of,
)
from core.timeline.view import View, tagged_view

_NEVER = -1
_PAGE_BITS = 31
#: Entries of pages that are no longer kept stay in the heap until there are this many more of them
#: than of others.
_SPARE = 1024


def _view(policy: Policy, machine: Machine) -> View:
    return tagged_view(policy, machine, static_headroom=False)


def ideal_beside(view: View) -> Policy:
    """Return the ideal with the guests of a view: what outcomes of that view are quoted against."""
    return Policy(system="ideal", guests=view.guests, guest_ratio=view.guest_ratio)


def larger_view(policy: Policy, machine: Machine) -> View:
    """Return the view of a page cache that is larger by the tag storage, emptied at no cost."""
    memory = tag_memory(machine, policy.guests, policy.guest_ratio)
    return View(tag_memory=memory._replace(is_ideal=True))


def _replay(
    timeline: Timeline, policies: Policies, larger: Larger | None
) -> tuple[Timeline, Counted]:
    """Return what lanes count: the same in each.

    Where a larger page cache would be `larger`, and restore more, they count what it does.
    """
    counted = nothing_counted(timeline, policies.size)
    register, counted.series[:] = bound(timeline)
    if larger is not None and larger.restored > register[RESTORED]:
        # What tag storage holds over time remains that of the clairvoyant cleancache.
        held = register[[CACHED_PAGE_NS, PEAK_CACHED]]
        register[:] = 0
        register[[CACHED_PAGE_NS, PEAK_CACHED]] = held
        register[[RESTORED, MISSED, MISSED_SEQUENTIAL]] = larger
        register[SKIPPED] = timeline.offered_pages
    counted.tallies[:] = register[: len(TALLIES)]
    return timeline, counted


def restored_by_ideal(timeline: Timeline, larger: Larger | None) -> int:
    """Return the pages that the ideal restores."""
    clairvoyant = int(bound(timeline)[0][RESTORED])
    return clairvoyant if larger is None else max(clairvoyant, larger.restored)


def bound(timeline: Timeline) -> tuple[Register, NDArray[np.int64]]:
    """Return the register of the bound at the end, and the pages it holds over time."""
    register = np.zeros(REGISTERS, dtype=np.int64)
    series = np.zeros(timeline.series_steps.size - 1, dtype=np.int64)
    named_pages = timeline.restore_pages + timeline.offered_pages
    following = _following(timeline.steps, timeline.pages, named_pages)
    _replay_bound(
        *(timeline.steps, following, timeline.pages, timeline.slots, timeline.block_pages),
        *(register, series),
    )
    return register, series


@entry
def _following(steps: Steps, pages: int, named_pages: int) -> NDArray[np.int32]:
    """Return when each page that a store or restore names is restored next: a step, or _NEVER.

    Where the page's next event is no restore, to keep it is of no use: that is _NEVER too.
    """
    following = np.empty(named_pages, dtype=np.int32)
    upcoming = np.full(pages, _NEVER, dtype=np.int32)
    place = named_pages
    for step in range(steps.word.size - 1, -1, -1):
        word = wide(steps.word[step])
        kind = kind_of(word)
        if kind in (RESERVE, RELEASE, RESIZE, FRAMES):
            continue
        first = wide(steps.argument[step])
        end = first + (1 << order_of(word))
        if kind in (STORE, RESTORE):
            for page in range(end - 1, first - 1, -1):
                place -= 1
                following[place] = upcoming[page]
                upcoming[page] = step if kind == RESTORE else _NEVER
            continue
        if kind == INVALIDATE_INODE:
            first, end = wide(steps.inode_pages[first, 0]), wide(steps.inode_pages[first, 1])
        upcoming[first:end] = _NEVER
    return following


@entry
def _replay_bound(
    steps: Steps,
    following: NDArray[np.int32],
    pages: int,
    slots: int,
    block_pages: int,
    register: Register,
    series: NDArray[np.int64],
) -> None:
    register[CAPACITY] = slots
    register[LAST_MISSED] = NO_PAGE_MISSED
    kept = np.zeros(pages, dtype=np.bool_)
    # Of what is kept, minus (step of its next restore, page): the first is restored last.
    heap = [wide(0) for _ in range(0)]
    place = 0
    for part in range(series.size):
        for step in range(steps.series_steps[part], steps.series_steps[part + 1]):
            word = wide(steps.word[step])
            kind = kind_of(word)
            left = wide(steps.remaining_ns[step])
            if kind == RESERVE:
                register[CAPACITY] -= block_pages
            elif kind == RELEASE:
                register[CAPACITY] += block_pages
            elif kind == RESIZE:
                register[CAPACITY] = steps.argument[step]
            elif kind in (STORE, RESTORE):
                first = wide(steps.argument[step])
                follows = is_flagged(word)
                for page in range(first, first + (1 << order_of(word))):
                    if kind == RESTORE and kept[page]:
                        kept[page] = False
                        register[RESTORED] += 1
                        register[CACHED] -= 1
                        register[CACHED_PAGE_NS] -= left
                    elif kind == RESTORE:
                        count_miss(register, page, follows)
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
                heap = [pair for pair in heap if -pair >> _PAGE_BITS > step]
                heapify(heap)
        series[part] = register[CACHED]


IDEAL = System(
    meaning="an oracle, the bound that results are quoted against: it knows what comes, at no cost",
    view=_view,
    replay=_replay,
    pays=nothing_paid,
    metadata=Metadata.NONE,
    is_bound=True,
)
