"""Guests: virtual machines with MTE, all of whose memory counts as tagged.

The host cannot know which of a guest's pages are tagged, so a guest reserves tag storage for its
whole size (D. Hildenbrand in "arm64 MTE tag storage reuse - alternatives to MIGRATE_CMA"). A
guest of plain KVM may have devices, so that all of its memory is allocated, and pinned, when it
starts. A guest of pKVM without devices gets each page when it first touches it; here it touches
its pages at an even rate over the whole table.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.events import ALLOC, FREE, PHASE, PINNED, RESIZE, TAGGED, Events, clock_of, make_events
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine
from core.policy_words import Guests

#: Guest memory is allocated in pieces that one tag page covers.
_ORDER = 5


def first_guest_block(machine: Machine, ratio: float) -> int:
    """Return the first tag block that covers guests' memory.

    Without guests it is the number of tag blocks.
    """
    return machine.tag_blocks - ceil(ratio * machine.tag_blocks)


def with_guests(events: Events, machine: Machine, ratio: float, guests: Guests) -> Events:
    """Return `events` on a host some of whose memory is that of guests with MTE.

    What the table allocates and frees there is left out: that memory is the guests' now.

    Parameters
    ----------
    events
        The table.
    machine
        Its machine.
    ratio
        The share of the tag blocks, the last ones, that covers the memory of guests.
    guests
        Whether it is tagged from the start, or at an even rate.
    """
    covered = DATA_PAGES_PER_TAG_PAGE * machine.tag_block_pages
    first = first_guest_block(machine, ratio) * covered
    recorded = _cut_at(events, first)
    frames = (recorded["op"] == ALLOC) | (recorded["op"] == FREE)
    stays = ~frames | (recorded["pfn"] < first)
    timed = np.flatnonzero(recorded["op"] != PHASE)
    if timed.size and not stays[timed[-1]]:
        # The table's time is that of its ends: the last row stays, as one that says nothing here.
        recorded["op"][timed[-1]] = RESIZE
        stays[timed[-1]] = True
    kept = np.flatnonzero(stays)
    whole = machine.data_pages - (machine.data_pages - first) % (1 << _ORDER)
    # What is left over at the end is allocated page by page.
    pieces = np.concatenate(
        [np.arange(first, whole, 1 << _ORDER), np.arange(whole, machine.data_pages)]
    )
    start, end = clock_of(events)
    time_ns = np.full(pieces.size, start, dtype=np.int64)
    if guests is Guests.PKVM:
        pages = machine.data_pages - first
        shares = [(end - start) * int(piece - first) // pages for piece in pieces]
        time_ns += np.array(shares, dtype=np.int64)
    rows = np.searchsorted(recorded["time_ns"][kept], time_ns, side="left")
    added: dict[str, Any] = {
        "time_ns": time_ns,
        "op": ALLOC,
        "inode": 0,
        "index": 0,
        "order": np.where(pieces < whole, _ORDER, 0),
        "pfn": pieces,
        "flags": TAGGED | PINNED if guests is Guests.KVM else TAGGED,
    }
    columns = {
        name: np.insert(column[kept], rows, added[name]) for name, column in recorded.items()
    }
    return make_events(
        columns,
        **events.about | {"data_pages": max(events.data_pages, machine.data_pages)},
    )


def _cut_at(events: Events, first: int) -> dict[str, NDArray[Any]]:
    """Return the columns of `events`, those of frames on both sides of `first` page by page."""
    size = 1 << events.order.astype(np.int64)
    frames = (events.op == ALLOC) | (events.op == FREE)
    cut = frames & (events.pfn < first) & (events.pfn + size > first)
    source = np.repeat(np.arange(size.size), np.where(cut, size, 1))
    columns: dict[str, NDArray[Any]] = {
        name: column[source] for name, column in events.columns.items()
    }
    places = np.arange(source.size) - np.searchsorted(source, source, side="left")
    columns["pfn"] = columns["pfn"] + np.where(cut[source], places, 0)
    columns["order"] = np.where(cut[source], 0, columns["order"])
    return columns
