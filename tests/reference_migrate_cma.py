"""Slow, plain oracle of tag storage that is memory, written from docs/model.md alone.

It is told what the page cache did (a front end's rows, every allocation of a frame among them) and
works out for itself which page lies in tag storage, what each reservation drops and migrates, and
why one fails. No page of a file is dirty here. Where it and the front end differ on where a page
lies, the rows do not fit, and it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from reference import ALLOC, ATOMIC, FREE, INVALIDATE, RESTORE, STORE, TAGGED, Event, Page

FOREVER = float("inf")


class Oracle:
    """Tag storage of `blocks` blocks of `block` slots, and the free memory beside it."""

    def __init__(
        self,
        free_frames: int,
        blocks: int,
        block: int,
        *,
        first: bool,
        drops: bool,
        pinned: Callable[[int], bool],
        pin_ns: int,
        adversary: int,
    ) -> None:
        self.free_frames = free_frames
        self.block = block
        self.free = list(range(blocks * block))  # slots, the next one first
        self.page_in: dict[int, Page] = {}
        self.pinned_until: dict[int, float] = {}
        self.tagged: set[int] = set()
        self.reserved: set[int] = set()
        self.first, self.drops = first, drops
        self.pinned, self.pin_ns, self.adversary = pinned, pin_ns, adversary
        self.draws = 0
        self.now = 0
        names = "dropped_pages migrated_pages failed_pinned failed_atomic used_ns reserved_ns"
        self.n = dict.fromkeys((*names.split(), "peak_reserved", "reservations", "releases"), 0)
        self.samples: list[tuple[int, int, int, int, int]] = []
        self.reserved_at: list[tuple[int, int]] = []
        self.log: list[tuple[int, str, int]] = []  # (when, what of n, how much more)
        self.held: list[tuple[int, int, int, int]] = []  # (from, to, slots in use, blocks reserved)
        self.rows: list[Event] = []  # of this moment, not looked at yet

    def run(
        self,
        events: Sequence[Event],
        arrivals: dict[int, Page],
        gone: dict[int, Page],
        unplaced: dict[int, int],
        end_ns: int,
    ) -> None:
        """Follow rows to the end; at their times anonymous pages arrive, or go.

        `unplaced` are pages that an allocation got, or gave back, for which no block was whole:
        nobody knows which frames they are, but they are not free.
        """
        moments = {event.time_ns for event in events} | arrivals.keys() | gone.keys()
        rows_at = {ns: list(rows) for ns, rows in groupby(events, key=lambda event: event.time_ns)}
        for now in self._moments(sorted(moments | unplaced.keys() | {end_ns})):
            self.now = now
            self.rows = rows_at.get(now, [])
            while self.rows:
                if len(self.rows) == 1 and self.now in arrivals and self._is_frame(self.rows[0]):
                    break
                self._next()
            if self.now in arrivals:
                self._arrive(arrivals[self.now], self.rows.pop() if self.rows else None)
            if self.now in gone:
                self._leave(gone[self.now])
            self.free_frames -= unplaced.get(self.now, 0)

    def after(self, ns: int, held_from_ns: int) -> dict[str, int]:
        """What is counted after a moment, and held from another on."""
        n = dict.fromkeys(self.n, 0)
        blocks = sum(change for at, change in self.reserved_at if at <= ns)
        n["peak_reserved"] = blocks
        for at, change in self.reserved_at:
            blocks += change if at > ns else 0
            n["peak_reserved"] = max(n["peak_reserved"], blocks)
        for at, what, more in self.log:
            n[what] += more if at > ns else 0
        for start, end, used, reserved in self.held:
            counted_ns = max(0, end - max(start, held_from_ns))
            n["used_ns"] += used * counted_ns
            n["reserved_ns"] += reserved * counted_ns
        return n

    def _count(self, what: str, more: int = 1) -> None:
        self.n[what] += more
        self.log.append((self.now, what, more))

    def _moments(self, times: list[int]) -> Iterator[int]:
        last = times[0] if times else 0
        for ns in times:
            self.n["used_ns"] += len(self.page_in) * (ns - last)
            self.n["reserved_ns"] += len(self.reserved) * (ns - last)
            self.held.append((last, ns, len(self.page_in), len(self.reserved)))
            last = ns
            yield ns

    def _is_frame(self, event: Event) -> bool:
        return event.op == ALLOC and event.order == 0 and not event.flags & TAGGED

    def _next(self) -> None:
        """Look at the next row, or at two that are one step: a frame, and the page for it."""
        event = self.rows.pop(0)
        follows = self.rows[0] if self.rows else None
        if self._is_frame(event) and follows and follows.op == RESTORE and follows.order == 0:
            self.rows.pop(0)
            self._arrive((follows.inode, follows.index), event)
        elif event.op == RESTORE and event.order == 0:
            self._arrive((event.inode, event.index), None)
        elif event.op == STORE or event.op == INVALIDATE:
            for page in event.pages():
                slots = [slot for slot, held in self.page_in.items() if held == page]
                pinned = [self.pinned_until.get(slot, 0) > self.now for slot in slots]
                assert not (event.op == STORE and any(pinned)), f"{page} is evicted, but pinned"
                self._leave(page)
        elif event.op == ALLOC:
            self.free_frames -= 1 << event.order
            if event.flags & TAGGED:
                self._tag(event)
        elif event.op == FREE:
            self.free_frames += 1 << event.order
            self._untag(event)

    def _arrive(self, page: Page, frame: Event | None) -> None:
        """A page that may lie in tag storage comes into memory, with a frame or without."""
        wanted = bool(self.free)
        if not self.first:
            wanted = wanted and 2 * len(self.free) > self.free_frames + len(self.free)
        wanted = wanted or (bool(self.free) and self.free_frames == 0)
        assert wanted == (frame is None), (page, self.now, len(self.free), self.free_frames)
        if frame is not None:
            self.free_frames -= 1
            return
        slot = self.free.pop(0)
        self.page_in[slot] = page
        self.draws += 1
        if self.pinned(self.draws - 1):
            self.pinned_until[slot] = self.now + self.pin_ns
        held = [
            self.pinned_until.get(other) == FOREVER for other in self._slots(slot // self.block)
        ]
        if self.adversary > 0 and not any(held):
            self.adversary -= 1
            self.pinned_until[slot] = FOREVER

    def _slots(self, number: int) -> range:
        return range(number * self.block, (number + 1) * self.block)

    def _vacate(self, slot: int) -> None:
        del self.page_in[slot]
        if self.pinned_until.pop(slot, 0) == FOREVER:
            self.adversary += 1

    def _leave(self, page: Page) -> None:
        for slot in [slot for slot, held in self.page_in.items() if held == page]:
            self._vacate(slot)
            self.free.insert(0, slot)

    def _tag(self, event: Event) -> None:
        """Reserve the blocks of an allocation, each with the rows of its reclaim and its moves."""
        blocks, dropped, moved, failed = 0, 0, 0, set()
        for frame in range(event.pfn, event.pfn + (1 << event.order)):
            self.tagged.add(frame)
            number = frame // 32 // self.block
            if number in self.reserved:
                continue
            used = [slot for slot in self._slots(number) if slot in self.page_in]
            if used:
                if event.flags & ATOMIC:
                    failed.add("failed_atomic")
                    continue
                if any(self.pinned_until.get(slot, 0) > self.now for slot in used):
                    failed.add("failed_pinned")
                    continue
            for slot in used if self.drops else ():
                if self.page_in[slot][0] >= 0:
                    gone = self.rows.pop(0)
                    page = (gone.inode, gone.index)
                    assert gone.op == STORE, f"slot {slot} at {self.now}: not dropped"
                    assert page == self.page_in[slot], f"{page} is dropped"
                    self._leave(page)
                    dropped += 1
            if any(slot in self.page_in for slot in used):
                while self.rows and self.rows[0].op in (STORE, FREE):
                    self._next()
            for slot in self._slots(number):
                if slot in self.page_in:
                    taken = self.rows.pop(0)
                    assert self._is_frame(taken), f"slot {slot} at {self.now}: not migrated"
                    self.free_frames -= 1
                    self._vacate(slot)
                    moved += 1
                else:
                    self.free.remove(slot)
            self.reserved.add(number)
            self.reserved_at.append((self.now, 1))
            blocks += 1
            self._count("reservations")
            self.n["peak_reserved"] = max(self.n["peak_reserved"], len(self.reserved))
        for what in failed:
            self._count(what)
        self._count("dropped_pages", dropped)
        self._count("migrated_pages", moved)
        if blocks:
            atomic = int(bool(event.flags & ATOMIC))
            self.samples.append((self.now, atomic, blocks, dropped, moved))

    def _untag(self, event: Event) -> None:
        for frame in range(event.pfn, event.pfn + (1 << event.order)):
            if frame not in self.tagged:
                continue
            self.tagged.remove(frame)
            number = frame // 32 // self.block
            left = any(frame // 32 // self.block == number for frame in self.tagged)
            if number in self.reserved and not left:
                self.reserved.remove(number)
                self.reserved_at.append((self.now, -1))
                self._count("releases")
                for slot in self._slots(number):
                    self.free.insert(0, slot)
