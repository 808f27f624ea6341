"""Random replacement: every unit is as likely a victim, drawn by a counter keyed by the seed.

The units make a dense array here: row i of PREV is the unit at place i, NEXT a unit's place.
"""

from __future__ import annotations

from core.eviction.queue import Eviction
from core.jit import kernel, wide
from core.lane import DRAWS, EVICTION_REGISTERS, NEXT, PREV, SEED, State
from core.random_bits import bits_of

# The register of how many units there are.
_UNITS = EVICTION_REGISTERS


@kernel
def _insert(state: State, unit: int) -> None:
    """Append the unit to the dense array."""
    table, register = state.table, state.register
    place = wide(register[_UNITS])
    table[place, PREV] = unit
    table[unit, NEXT] = place
    register[_UNITS] = place + 1


@kernel
def _remove(state: State, unit: int) -> None:
    """Fill the unit's place with the last one."""
    table, register = state.table, state.register
    units = wide(register[_UNITS]) - 1
    register[_UNITS] = units
    place = wide(table[unit, NEXT])
    last = wide(table[units, PREV])
    table[place, PREV] = last
    table[last, NEXT] = place


@kernel
def _victim(state: State, keep: int) -> int:
    """Return a unit drawn from all but `keep`."""
    register = state.register
    draw = wide(register[DRAWS])
    register[DRAWS] = draw + 1
    bits = bits_of(wide(register[SEED]), draw)
    choices = wide(register[_UNITS])
    if keep >= 0:
        choices -= 1
    place = (bits * choices) >> 32
    if keep >= 0 and place >= state.table[keep, NEXT]:
        place += 1
    return wide(state.table[place, PREV])


RANDOM = Eviction(
    insert=_insert,
    remove=_remove,
    victim=_victim,
    draws=True,
    meaning="any unit goes, drawn by the seed",
)
