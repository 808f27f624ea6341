"""Ideal: the bound that results are quoted against. It knows what comes, and pays nothing.

It holds as many file pages as there are unreserved slots, wherever those lie; a reservation takes
the page that is restored last of all. A page is kept after a store, or after a restore that missed,
if the next event of the page is a restore; one in the warm-up does not count, and so is worth
nothing. No cleancache restores more. To keep a page from one event to its restore takes a slot for
that interval of time and saves one read; at most as many intervals may overlap as slots are
unreserved; and to give up the interval that ends last is then best (Belady 1966; with a capacity
that changes, Carlisle and Lloyd 1995).
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
    PEAK_CACHED,
    RECLAIMED,
    REGISTERS,
    RESTORED,
    SKIPPED,
    STORED,
)
from core.machine import Machine
from core.policy import Policies, Policy
from core.policy_words import Metadata
from core.system.contract import (
    READ_TALLIES,
    Counted,
    System,
    count_missed,
    nothing_counted,
    nothing_paid,
)
from core.timeline.prepare import Timeline
from core.timeline.requests import end_row, follows_in_request, read_page
from core.timeline.steps import (
    FRAMES,
    RELEASE,
    RESERVE,
    RESIZE,
    Steps,
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


def _replay(timeline: Timeline, policies: Policies) -> tuple[Timeline, Counted]:
    """Return what lanes count: the same in each."""
    counted = nothing_counted(timeline, policies.size)
    counted.tallies[:] = tallies = _bound(timeline)
    count_missed(timeline, counted)
    counted.series[:] = tallies[timeline.marks.points, CACHED]
    return timeline, counted


def restored_by_ideal(timeline: Timeline) -> int:
    """Return the pages that the ideal restores after the warm-up: it restores none before."""
    return int(_bound(timeline)[-1, RESTORED])


def _bound(timeline: Timeline) -> NDArray[np.int64]:
    """Return what the bound counts up to each mark.  # [mark, tally]"""
    tallies = np.zeros_like(timeline.all_missed)
    named_pages = timeline.restore_pages + timeline.offered_pages
    following = _following(timeline.steps, timeline.pages, named_pages)
    _replay_bound(
        *(timeline.steps, following, timeline.pages, timeline.slots, timeline.block_pages),
        tallies,
    )
    return tallies


@entry
def _following(steps: Steps, pages: int, named_pages: int) -> NDArray[np.int32]:
    """Return when each page that a store or restore names is restored next: a step, or _NEVER.

    Where the page's next event is no restore, or one of the warm-up, to keep it is of no use: that
    is _NEVER too.
    """
    first_counted = wide(steps.mark_steps[steps.warm_up_marks])
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
                counts = kind == RESTORE and step >= first_counted
                upcoming[page] = step if counts else _NEVER
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
    tallies: NDArray[np.int64],
) -> None:
    register = np.zeros(REGISTERS, dtype=np.int64)
    register[CAPACITY] = slots
    kept = np.zeros(pages, dtype=np.bool_)
    # Of what is kept, minus (step of its next restore, page): the first is restored last.
    heap = [wide(0) for _ in range(0)]
    place = 0
    for mark in range(tallies.shape[0]):
        for step in range(steps.mark_steps[mark], steps.mark_steps[mark + 1]):
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
                follows = follows_in_request(word)
                missed = False
                for page in range(first, first + (1 << order_of(word))):
                    if kind == RESTORE and kept[page]:
                        kept[page] = False
                        register[RESTORED] += 1
                        register[CACHED] -= 1
                        register[CACHED_PAGE_NS] -= left
                    elif kind == RESTORE:
                        read_page(register, page, follows)
                        missed = True
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
                if kind == RESTORE:
                    end_row(register, word, missed)
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
        tallies[mark] = register[: tallies.shape[1]]
        if mark + 1 == steps.warm_up_marks:
            register[PEAK_CACHED] = register[CACHED]


IDEAL = System(
    meaning="an oracle, the bound that results are quoted against: it knows what comes, at no cost",
    view=_view,
    replay=_replay,
    pays=nothing_paid,
    metadata=Metadata.NONE,
    counts=READ_TALLIES
    | {"stored", "skipped", "reclaimed", "cached", "peak_cached", "cached_page_ns"},
    beyond="it knows the future, and bounds what is kept uncompressed",
)
