"""Slow, plain oracle of the zswap-like system, written from model.md and docs/model.md alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reference_events import (
    ALLOC,
    ATOMIC,
    FREE,
    INVALIDATE,
    INVALIDATE_INODE,
    MAPPED,
    PHASE,
    RESTORE,
    STORE,
    TAGGED,
    WORKINGSET,
    Event,
    Page,
    Reads,
    Requests,
)
from reference_spending import moments_of

Samples = dict[tuple[bool, int, int, int], int]
COUNTERS = """stored skipped stale restored missed reclaimed recalled invalidated overwritten
    compressed decompressed written failed_atomic lookups bypassed waited_stored waited_reclaimed
    cached_page_ns peak_cached"""


def replay_zswap(
    events: Sequence[Event],
    data_pages: int,
    block: int,
    size_of: Callable[[Page], int],
    *,
    workingset: bool,
    exclusive: bool,
    in_pairs: bool,
    headroom: float,
    anonymous: str,
    offer: str = "all",
    lookup: str = "each",
    requests: bool = False,
    mapped: bool = False,
    warm_up: int = 0,
) -> tuple[dict[str, int], Samples]:
    """Counters of a table under one policy, and how often each sample of latency came.

    Sizes are in sixteenths of a page; a sample is (atomic, blocks, dropped, written). `requests`
    and `mapped` are what the table's metadata says. The first `warm_up` parts of its time do not
    count.
    """
    slots = _Slots(data_pages, block, size_of, in_pairs, headroom)
    state = _Replay(slots, Requests(events, requests))
    warm_up_end_ns = moments_of(events)[warm_up - 1] if warm_up else -math.inf
    is_warm = not warm_up
    last_ns = 0
    for row, event in enumerate(events):
        if event.op == PHASE:
            continue
        if not is_warm and event.time_ns > warm_up_end_ns:
            state.forget()
            is_warm, last_ns = True, moments_of(events)[warm_up - 1]
        state.n["cached_page_ns"] += len(slots.held) * (event.time_ns - last_ns)
        last_ns = event.time_ns
        is_anonymous = event.is_anonymous()
        if is_anonymous and anonymous == "none":
            continue
        if event.op == STORE:
            if offer == "mapped" and mapped and not (is_anonymous or event.flags & MAPPED):
                state.turn_away(event)
            else:
                is_admitted = not workingset or bool(event.flags & WORKINGSET)
                state.store(event, is_admitted, writes_back=anonymous == "write_back")
        elif event.op == RESTORE:
            in_prefix = lookup == "prefix" and not is_anonymous
            state.restore(row, event, in_prefix, takes_out=exclusive or is_anonymous)
        elif event.op in (INVALIDATE, INVALIDATE_INODE):
            state.invalidate(event)
        elif event.op == ALLOC and event.flags & TAGGED:
            state.alloc(event)
        elif event.op == FREE:
            state.tag(event, on=False)
    if not is_warm:
        state.forget()
    reads = state.requests.missed
    state.n["read_commands"] = reads.commands
    state.n["waited_requests"] = reads.waited_requests
    state.n["waited_commands"] = reads.waited_commands
    state.n["waited_pages"] = reads.waited_pages
    return state.n, state.samples


class _Slots:
    """Slots, and the compressed pages in them."""

    def __init__(
        self,
        data_pages: int,
        block: int,
        size_of: Callable[[Page], int],
        in_pairs: bool,
        headroom: float,
    ) -> None:
        self.block, self.size_of, self.in_pairs = block, size_of, in_pairs
        whole = -(-data_pages // (32 * block))
        self.spared = int(headroom * whole)  # blocks
        self.queue = list(range(self.spared * block, whole * block))  # free slots, front first
        self.held: dict[int, list[Page]] = {}  # pages of each slot in use
        self.room: list[int] = []  # slots that have any, the latest change first

    def place(self, slot: int) -> tuple[str, int] | None:
        """What a slot has room for: pages of a class, or so much."""
        if not self.held.get(slot):
            return None
        if self.in_pairs:
            used = sum(self.size_of(page) for page in self.held[slot])
            return ("room", 16 - used) if len(self.held[slot]) < 2 else None
        size = self.size_of(self.held[slot][0])
        return ("class", size) if len(self.held[slot]) < 16 // size else None

    def change(self, slot: int, page: Page, add: bool) -> None:
        before = self.place(slot)
        self.held.setdefault(slot, [])
        if add:
            self.held[slot].append(page)
        else:
            self.held[slot].remove(page)
        after = self.place(slot)
        if before != after or not self.held[slot]:
            self.room = [other for other in self.room if other != slot]
            if after is not None:
                self.room.insert(0, slot)
        if not self.held[slot]:
            del self.held[slot]
            self.queue.append(slot)

    def put(self, slot: int, page: Page) -> None:
        if slot in self.queue:
            self.queue.remove(slot)
        self.change(slot, page, True)

    def take_out(self, page: Page) -> None:
        self.change(next(slot for slot, pages in self.held.items() if page in pages), page, False)

    def find(self, size: int) -> int | None:
        for wanted in range(size, 16 if self.in_pairs else size + 1):
            for slot in self.room:
                if self.place(slot) == ("room" if self.in_pairs else "class", wanted):
                    return slot
        return self.queue[0] if self.queue else None


class _Replay:
    """State of one replay."""

    def __init__(self, slots: _Slots, requests: Requests) -> None:
        self.slots, self.requests = slots, requests
        self.ages: list[Page] = []  # cached pages, the least recently used first
        self.dirty: set[Page] = set()
        self.tagged: set[int] = set()
        self.n = dict.fromkeys(COUNTERS.split(), 0)
        self.samples: Samples = {}

    def forget(self) -> None:
        """End the warm-up: what was counted so far does not count, the state is what it is."""
        self.n = dict.fromkeys(self.n, 0)
        self.n["peak_cached"] = len(self.ages)
        self.samples = {}
        self.requests.missed = Reads()

    def drop(self, page: Page, counter: str) -> None:
        self.n[counter] += 1
        if page in self.dirty and counter in ("reclaimed", "recalled"):
            self.n["written"] += 1
        self.dirty.discard(page)
        self.ages.remove(page)
        self.slots.take_out(page)

    def turn_away(self, event: Event) -> None:
        """Invalidate a store that is not offered."""
        for page in event.pages():
            if page in self.ages:
                self.drop(page, "invalidated")
            self.n["skipped"] += 1

    def store(self, event: Event, is_admitted: bool, writes_back: bool) -> None:
        n, stored, reclaimed = self.n, self.n["stored"], self.n["reclaimed"]
        for page in event.pages():
            before = n["stored"]
            self.store_page(page, is_admitted)
            if event.is_anonymous():
                if writes_back and n["stored"] > before:
                    self.dirty.add(page)
                else:
                    n["written"] += 1
        if self.requests.is_waited_for(event):
            n["waited_stored"] += n["stored"] - stored
            n["waited_reclaimed"] += n["reclaimed"] - reclaimed

    def store_page(self, page: Page, is_admitted: bool) -> None:
        n, slots = self.n, self.slots
        if not is_admitted:
            if page in self.ages:
                self.drop(page, "stale")
            else:
                n["skipped"] += 1
            return
        size = slots.size_of(page)
        if size >= 16:
            n["skipped"] += 1
            return
        n["compressed"] += 1
        if page in self.ages:
            self.touch(page)
            n["stored"] += 1
            n["overwritten"] += 1
            return
        while (slot := slots.find(size)) is None and self.ages:
            self.drop(self.ages[0], "reclaimed")
        if slot is None:
            n["skipped"] += 1
            return
        slots.put(slot, page)
        self.ages.append(page)
        n["peak_cached"] = max(n["peak_cached"], len(self.ages))
        n["stored"] += 1

    def touch(self, page: Page) -> None:
        self.ages.remove(page)
        self.ages.append(page)

    def restore(self, row: int, event: Event, in_prefix: bool, takes_out: bool) -> None:
        self.requests.begin_row(row)
        for page in event.pages():
            is_bypassed = in_prefix and self.requests.run_has_missed(*page)
            is_missed = is_bypassed or page not in self.ages
            if is_bypassed:
                self.n["bypassed"] += page in self.ages
            else:
                self.n["lookups"] += 1
            self.requests.take(page, is_missed, self.requests.is_waited_for(event))
            if is_missed:
                self.n["missed"] += 1
                continue
            self.n["decompressed"] += 1
            if takes_out:
                self.drop(page, "restored")
            else:
                self.n["restored"] += 1
                self.touch(page)
        self.requests.end_row(row)

    def invalidate(self, event: Event) -> None:
        named = event.pages() if event.op == INVALIDATE else None
        for page in sorted(self.ages):
            if page in named if named is not None else page[0] == event.inode:
                self.drop(page, "invalidated")

    def alloc(self, event: Event) -> None:
        recalled, written = self.n["recalled"], self.n["written"]
        blocks = self.tag(event, on=True)
        atomic = bool(event.flags & ATOMIC)
        if blocks and atomic and self.n["written"] > written:
            self.n["failed_atomic"] += 1
        elif blocks:
            sample = (atomic, blocks, self.n["recalled"] - recalled, self.n["written"] - written)
            self.samples[sample] = self.samples.get(sample, 0) + 1

    def tag(self, event: Event, on: bool) -> int:
        """Count frames as tagged, or no more; the blocks that this reserves or releases."""
        block, queue, held = self.slots.block, self.slots.queue, self.slots.held
        blocks_changed = 0
        for frame in range(event.pfn, event.pfn + (1 << event.order)):
            if (frame in self.tagged) == on:
                continue
            number = frame // 32 // block
            self.tagged.symmetric_difference_update({frame})
            if any(other // 32 // block == number and other != frame for other in self.tagged):
                continue
            blocks_changed += 1
            if number < self.slots.spared:
                continue
            for slot in range(number * block, (number + 1) * block):
                if not on:
                    queue.append(slot)
                    continue
                # The page that came last goes first; all of them go.
                while held.get(slot):
                    self.drop(held[slot][-1], "recalled")
                queue.remove(slot)
        return blocks_changed
