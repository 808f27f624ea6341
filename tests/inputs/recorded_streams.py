"""Random tables of version 2: recorded requests, phases, reclaim that tasks wait for, MAPPED."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from reference import (
    ANONYMOUS,
    INVALIDATE,
    INVALIDATE_INODE,
    JOIN,
    MAPPED,
    NO_PHASE,
    PHASE,
    RESIZE,
    RESTORE,
    STORE,
    WANTED,
    WORKINGSET,
    Event,
)
from streams import frame_event

#: An address space with a swap device; other inodes are files.
ADDRESS_SPACE = 2


class Recorded(NamedTuple):
    """A table of version 2: its rows, and the names of its phases."""

    events: list[Event]
    phases: tuple[str, ...]


@st.composite
def recorded_streams(draw: st.DrawFn, data_pages: int, length: int = 120) -> Recorded:
    """Return a valid table in which requests, phases and everything else lie across each other."""
    phases = draw(st.sampled_from([(), ("boot",), ("boot", "launch", "scroll")]))
    largest = draw(st.sampled_from([0, 0, 2, 3]))
    steps = draw(st.sampled_from([(0, 4), (0, 1), (0, 200)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    stream = _Stream(rng, largest, data_pages, len(phases))
    events: list[Event] = []
    time_ns = draw(st.sampled_from([0, 5_000]))
    for _ in range(draw(st.integers(0, length))):
        time_ns += int(rng.integers(*steps))
        event = stream.next_event()
        if event is not None:
            events.append(event._replace(time_ns=time_ns))
    return Recorded(events, phases)


class _Stream:
    """What the rows of a random table so far leave to the next."""

    def __init__(
        self, rng: np.random.Generator, largest: int, data_pages: int, phases: int
    ) -> None:
        self.rng, self.largest, self.phases = rng, largest, phases
        self.frames = np.zeros(data_pages, dtype=np.uint8)
        self.restore: Event | None = None  # the last one

    def next_event(self) -> Event | None:
        rng = self.rng
        kind = rng.choice(6, p=[0.3, 0.46, 0.08, 0.1, 0.02, 0.04])
        if kind == 0:
            bits = [bit for bit in (WORKINGSET, MAPPED, WANTED) if rng.random() < 0.6]
            return self._of_pages(STORE, sum(bits))
        if kind == 1:
            self.restore = self._restore()
            return self.restore
        if kind == 2:
            return self._of_pages(int(rng.choice([INVALIDATE, INVALIDATE, INVALIDATE_INODE])), 0)
        if kind == 3:
            row = frame_event(rng, self.frames, 0)
            return None if row is None else Event(*row)
        if kind == 4:
            return Event(0, RESIZE, 0, 0, 0, int(rng.integers(0, 12)), 0)
        number = int(rng.integers(-1, self.phases))
        return Event(0, PHASE, 0, NO_PHASE if number < 0 else number, 0, 0, 0)

    def _of_pages(self, op: int, flags: int) -> Event:
        order = int(self.rng.integers(0, self.largest + 1))
        index = int(self.rng.integers(0, 24)) >> order << order
        inode = int(self.rng.integers(0, 3))
        if op == INVALIDATE_INODE:
            inode = min(inode, ADDRESS_SPACE - 1)
        if inode == ADDRESS_SPACE:
            flags |= ANONYMOUS
        return Event(0, op, inode, index, order, 0, flags)

    def _restore(self) -> Event:
        """Return a restore that joins the one before it, or begins a request."""
        rng, before = self.rng, self.restore
        event = self._of_pages(RESTORE, WANTED * int(rng.random() < 0.4))
        if before is None or rng.random() < 0.3:
            return event
        if rng.random() < 0.7:  # goes on where the other ended, as far as orders allow
            index = before.index + (1 << before.order)
            order = min(event.order, (index & -index).bit_length() - 1)
            flags = event.flags & WANTED | before.flags & ANONYMOUS
            event = event._replace(inode=before.inode, index=index, order=order, flags=flags)
        joins = event.is_anonymous() == before.is_anonymous()
        return event._replace(flags=event.flags | JOIN * joins)
