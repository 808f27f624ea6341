"""Least recently used: a touch moves the unit to the new end, the victim is the oldest."""

from __future__ import annotations

from core.eviction.queue import Eviction, push, units_end, unlink
from core.jit import kernel
from core.lane import NEXT, State


@kernel
def _make_newest(state: State, unit: int, restored: bool) -> None:
    end = units_end(state.table)
    if state.table[unit, NEXT] != end:
        unlink(state.table, unit)
        push(state.table, end, unit)


LRU = Eviction(touch=_make_newest, meaning="the unit that was touched longest ago goes")
