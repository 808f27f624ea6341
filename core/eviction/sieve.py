"""SIEVE: a hand walks from old to new and takes the first untouched unit; nothing moves.

Y. Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024).
"""

from __future__ import annotations

from core.eviction.queue import Eviction, mark_touch, units_end, unlink
from core.jit import kernel, wide
from core.lane import EVICTION_REGISTERS, NEXT, NOWHERE, SHAPE, State

# The register of the hand: 1 + the unit that it stands on, 0 where it stands nowhere.
_HAND = EVICTION_REGISTERS


@kernel
def _next_newer(state: State, unit: int) -> int:
    """Return the next newer unit, or NOWHERE."""
    newer = wide(state.table[unit, NEXT])
    return NOWHERE if newer == units_end(state.table) else newer


@kernel
def _remove(state: State, unit: int) -> None:
    """Unlink the unit, and move the hand on if it stands on it."""
    if state.register[_HAND] == unit + 1:
        state.register[_HAND] = _next_newer(state, unit) + 1
    unlink(state.table, unit)


@kernel
def _victim(state: State, keep: int) -> int:
    """Return the first untouched unit from the hand on, clearing bits on the way."""
    table = state.table
    unit = wide(state.register[_HAND]) - 1
    while True:
        if unit == NOWHERE:
            unit = wide(table[units_end(table), NEXT])
        if unit != keep:
            if table[unit, SHAPE] & 1 == 0:
                state.register[_HAND] = _next_newer(state, unit) + 1
                return unit
            table[unit, SHAPE] &= ~1
        unit = _next_newer(state, unit)


SIEVE = Eviction(
    touch=mark_touch,
    remove=_remove,
    victim=_victim,
    meaning="a hand goes from old to new, and takes the first unit not touched since it last came",
)
