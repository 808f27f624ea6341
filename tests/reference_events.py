"""Slow, plain oracle of the mm event table: rows, their faults and their requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

STORE, RESTORE, INVALIDATE, INVALIDATE_INODE, ALLOC, FREE, RESIZE, PHASE = range(8)
WORKINGSET, ANONYMOUS, WANTED = 1, 32, 128  # bits of `flags` of a store
MAPPED = 2  # of a store
JOIN = 64  # of a restore
TAGGED, ATOMIC = 2, 4  # of an alloc; pinned and movable matter to no system here
NO_PHASE = 2**32 - 1
GUESSED_PAGES = 32  # of a request at most, where requests are guessed
Page = tuple[int, int]  # (inode, index)


class Event(NamedTuple):
    """One row of the mm event table."""

    time_ns: int
    op: int
    inode: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    order: int
    pfn: int
    flags: int

    def pages(self) -> list[Page]:
        """File pages of the folio (ops 0-2), ascending."""
        return [(self.inode, self.index + i) for i in range(1 << self.order)]

    def is_anonymous(self) -> bool:
        """Whether the folio goes to a swap device, comes back or is forgotten there."""
        return self.op <= INVALIDATE and bool(self.flags & ANONYMOUS)


def check(
    events: Sequence[Event], data_pages: int, requests: bool = False, phases: Sequence[str] = ()
) -> tuple[int, str] | None:
    """First faulty row of a table by section 2: (number from 0, column), or None if it is fine."""
    allocated: set[int] = set()
    restore_before: Event | None = None
    for row, event in enumerate(events):
        if not STORE <= event.op <= PHASE:
            return row, "op"
        if row > 0 and event.time_ns < events[row - 1].time_ns:
            return row, "time_ns"
        if event.op in (STORE, RESTORE, INVALIDATE) and event.index % (1 << event.order) != 0:
            return row, "index"
        if event.op == PHASE and event.index != NO_PHASE and event.index >= len(phases):
            return row, "index"
        if event.op in (ALLOC, FREE):
            if event.pfn < 0 or event.pfn + (1 << event.order) > data_pages:
                return row, "pfn"
            frames = set(range(event.pfn, event.pfn + (1 << event.order)))
            untagged = event.op == ALLOC and not event.flags & TAGGED
            if (untagged and frames & allocated) or (event.op == FREE and frames - allocated):
                return row, "pfn"
            allocated -= frames
            if event.op == ALLOC:
                allocated |= frames
        if requests and _names_no_request(event, restore_before):
            return row, "flags"
        if event.op == RESTORE:
            restore_before = event
    return None


def _names_no_request(event: Event, restore_before: Event | None) -> bool:
    """Whether JOIN or WANTED stands where the table says nothing by it."""
    if event.flags & WANTED and event.op not in (STORE, RESTORE):
        return True
    if not event.flags & JOIN:
        return False
    if event.op != RESTORE or restore_before is None:
        return True
    return event.is_anonymous() != restore_before.is_anonymous()


def requests_of(events: Sequence[Event], recorded: bool) -> list[list[int]]:
    """Rows of each request, in order; the whole table's, whatever a system leaves out."""
    requests: list[list[int]] = []
    for row, event in enumerate(events):
        if event.op != RESTORE:
            continue
        if recorded:
            joins = bool(event.flags & JOIN)
        else:
            joins = bool(requests) and _is_guessed_to_join(events, requests[-1], event)
        if joins:
            requests[-1].append(row)
        else:
            requests.append([row])
    return requests


def _is_guessed_to_join(events: Sequence[Event], request: list[int], event: Event) -> bool:
    before = events[request[-1]]
    pages = sum(1 << events[row].order for row in request) + (1 << event.order)
    return (
        event.is_anonymous() == before.is_anonymous()
        and event.inode == before.inode
        and event.index == before.index + (1 << before.order)
        and pages <= GUESSED_PAGES
    )


@dataclass
class Reads:
    """What requests read from the disk, each counted at its last row."""

    pages: int = 0
    commands: int = 0
    waited_requests: int = 0
    waited_commands: int = 0
    waited_pages: int = 0

    def add(self, pages: Sequence[Page], waited: bool) -> None:
        """Add a request that reads these pages, in this order."""
        commands = 0
        for i, (inode, index) in enumerate(pages):
            commands += i == 0 or pages[i - 1] != (inode, index - 1)
        self.pages += len(pages)
        self.commands += commands
        if waited:
            self.waited_requests += 1
            self.waited_commands += commands
            self.waited_pages += len(pages)


class Requests:
    """The requests of a table, while its rows are gone through."""

    def __init__(self, events: Sequence[Event], recorded: bool) -> None:
        requests = requests_of(events, recorded)
        self.recorded = recorded
        self.first_rows = {rows[0] for rows in requests}
        self.last_rows = {rows[-1] for rows in requests}
        self.missed, self.all_missed = Reads(), Reads()

    def is_waited_for(self, event: Event) -> bool:
        """Whether a task waits for a restore or for the reclaim of a store."""
        if not self.recorded:
            return event.op == RESTORE
        return bool(event.flags & WANTED)

    def begin_row(self, row: int) -> None:
        """Go to a restore."""
        if row in self.first_rows:
            self._pages: list[Page] = []
            self._missed_pages: list[Page] = []
            self._is_wanted = self._is_waited = self._run_missed = False

    def run_has_missed(self, inode: int, index: int) -> bool:
        """Whether the run that the next page goes on with has missed a page already."""
        goes_on = bool(self._pages) and self._pages[-1] == (inode, index - 1)
        return goes_on and self._run_missed

    def take(self, page: Page, is_missed: bool, is_wanted: bool) -> None:
        """Take the next page of the request."""
        self._run_missed = is_missed or self.run_has_missed(*page)
        self._pages.append(page)
        self._is_wanted |= is_wanted
        if is_missed:
            self._missed_pages.append(page)
            self._is_waited |= is_wanted

    def end_row(self, row: int) -> None:
        """Count the request, if this restore is its last."""
        if row in self.last_rows:
            self.missed.add(self._missed_pages, self._is_waited)
            self.all_missed.add(self._pages, self._is_wanted)
