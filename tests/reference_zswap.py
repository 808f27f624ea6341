"""Slow, plain oracle of the zswap-like system, written from docs/model.md alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reference import (
    ALLOC,
    ATOMIC,
    FREE,
    INVALIDATE,
    INVALIDATE_INODE,
    RESTORE,
    STORE,
    TAGGED,
    WORKINGSET,
    Event,
    Page,
)

ANONYMOUS = 32


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
) -> tuple[dict[str, int], dict[tuple[bool, int, int, int], int]]:
    """Counters of a table under one policy, and how often each sample of latency came.

    Sizes are in sixteenths of a page; a sample is (atomic, blocks, dropped, written).
    """
    of_swap = [e for e in events if e.op <= INVALIDATE and e.flags & ANONYMOUS]
    if anonymous == "none":
        events = [event for event in events if event not in of_swap]
    dirty: set[Page] = set()
    samples: dict[tuple[bool, int, int, int], int] = {}
    whole = -(-data_pages // (32 * block))
    spared = int(headroom * whole)
    queue = list(range(spared * block, whole * block))  # of free slots, front first
    held: dict[int, list[Page]] = {}  # pages of each slot in use
    room: list[int] = []  # slots that have any, the latest change first
    ages: list[Page] = []  # cached pages, the least recently used first
    tagged: set[int] = set()
    names = "stored skipped stale restored missed reclaimed recalled invalidated overwritten"
    names += " compressed decompressed written failed_atomic"
    n = dict.fromkeys(names.split(), 0)

    def place(slot: int) -> tuple[str, int] | None:
        """What a slot has room for: pages of a class, or so much."""
        if in_pairs:
            used = sum(size_of(page) for page in held[slot])
            return ("room", 16 - used) if len(held[slot]) < 2 else None
        size = size_of(held[slot][0])
        return ("class", size) if len(held[slot]) < 16 // size else None

    def change(slot: int, page: Page, add: bool) -> None:
        before = place(slot) if held.get(slot) else None
        held.setdefault(slot, [])
        if add:
            held[slot].append(page)
        else:
            held[slot].remove(page)
        after = place(slot) if held[slot] else None
        if before != after or not held[slot]:
            room[:] = [other for other in room if other != slot]
            if after is not None:
                room.insert(0, slot)
        if not held[slot]:
            del held[slot]
            queue.append(slot)

    def drop(page: Page, counter: str) -> None:
        n[counter] += 1
        if page in dirty and counter in ("reclaimed", "recalled"):
            n["written"] += 1
        dirty.discard(page)
        ages.remove(page)
        change(next(slot for slot, pages in held.items() if page in pages), page, False)

    def find(size: int) -> int | None:
        for wanted in range(size, 16 if in_pairs else size + 1):
            for slot in room:
                if place(slot) == ("room" if in_pairs else "class", wanted):
                    return slot
        return queue[0] if queue else None

    def store(page: Page, admitted: bool) -> None:
        if not admitted:
            if page in ages:
                drop(page, "stale")
            else:
                n["skipped"] += 1
            return
        if size_of(page) >= 16:
            n["skipped"] += 1
            return
        n["compressed"] += 1
        if page in ages:
            ages.remove(page)
            ages.append(page)
            n["stored"] += 1
            n["overwritten"] += 1
            return
        while (slot := find(size_of(page))) is None and ages:
            drop(ages[0], "reclaimed")
        if slot is None:
            n["skipped"] += 1
            return
        if slot in queue:
            queue.remove(slot)
        change(slot, page, True)
        ages.append(page)
        n["stored"] += 1

    def tag(event: Event, on: bool) -> int:
        blocks_reserved = 0
        for frame in range(event.pfn, event.pfn + (1 << event.order)):
            if (frame in tagged) == on:
                continue
            number = frame // 32 // block
            mine = range(number * block, (number + 1) * block)
            tagged.symmetric_difference_update({frame})
            others = [
                other for other in tagged if other // 32 // block == number and other != frame
            ]
            if others:
                continue
            blocks_reserved += 1
            if number < spared:
                continue
            for slot in mine:
                if not on:
                    queue.append(slot)
                    continue
                # The page that came last goes first; all of them go.
                while held.get(slot):
                    drop(held[slot][-1], "recalled")
                queue.remove(slot)
        return blocks_reserved

    for event in events:
        if event.op == STORE:
            for page in event.pages():
                before = n["stored"]
                store(page, not workingset or bool(event.flags & WORKINGSET))
                if event not in of_swap:
                    continue
                if anonymous == "write_back" and n["stored"] > before:
                    dirty.add(page)
                else:
                    n["written"] += 1
        elif event.op == RESTORE:
            for page in event.pages():
                if page not in ages:
                    n["missed"] += 1
                    continue
                n["decompressed"] += 1
                if exclusive or event in of_swap:
                    drop(page, "restored")
                else:
                    n["restored"] += 1
                    ages.remove(page)
                    ages.append(page)
        elif event.op in (INVALIDATE, INVALIDATE_INODE):
            named = event.pages() if event.op == INVALIDATE else None
            for page in sorted(ages):
                if page in named if named is not None else page[0] == event.inode:
                    drop(page, "invalidated")
        elif event.op == ALLOC and event.flags & TAGGED:
            recalled, written = n["recalled"], n["written"]
            blocks = tag(event, True)
            atomic = bool(event.flags & ATOMIC)
            if blocks and atomic and n["written"] > written:
                n["failed_atomic"] += 1
            elif blocks:
                sample = (atomic, blocks, n["recalled"] - recalled, n["written"] - written)
                samples[sample] = samples.get(sample, 0) + 1
        elif event.op == FREE:
            tag(event, False)
    return n, samples
