"""A front end that tells every allocation tells nothing else otherwise."""

from __future__ import annotations

import numpy as np

from core.events import ALLOC, FREE, INVALIDATE, TAGGED, Events
from core.frontend.run import FrontEnd, run_frontend
from core.machine import Machine
from core.timeline.prepare import prepare
from core.timeline.tagged_placement import place_tagged
from core.workload.synthetic import parameters_of, synthesise

MACHINE = Machine(4096, 4096)


def reservations_of(events: Events) -> int:
    return prepare(events, MACHINE).occupancy.reservations


def test_every_allocation_can_be_told_and_changes_nothing_else() -> None:
    parameters = parameters_of("app_launch") | {"launches": 6, "apps": 4}
    accesses = synthesise("app_launch", parameters, 2, 4096, 4096)
    front_end = FrontEnd(zram_size=4 << 20)
    plain = run_frontend(accesses, front_end).events
    # `make_events` refuses a frame that is allocated, or freed, twice.
    told = run_frontend(accesses, front_end, every_frame=True).events
    file = told.op <= INVALIDATE
    tagged = (told.op == ALLOC) & (told.flags & TAGGED != 0)
    for name in ("op", "inode", "index", "order", "flags", "time_ns"):
        column, other = getattr(told, name), getattr(plain, name)
        assert np.array_equal(column[file], other[plain.op <= INVALIDATE]), name
    assert np.array_equal(told.pfn[tagged], plain.pfn[plain.op == ALLOC])
    assert reservations_of(told) == reservations_of(plain)
    # What is in use at the end is what was not free, and never more than there is.
    size = 1 << told.order.astype(np.int64)
    change = np.where(told.op == ALLOC, size, np.where(told.op == FREE, -size, 0))
    used = np.cumsum(change)
    assert used.min() >= 0
    assert used.max() <= 4096
    # No page is tagged in place: an allocator could have put each elsewhere.
    placed = place_tagged(told, MACHINE, 0)
    assert reservations_of(placed) < reservations_of(told) / 2
