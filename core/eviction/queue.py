"""The doubly linked queues in a lane's table, and the hooks of an eviction that ranks by age.

A kernel that several evictions share stands here; one that a single eviction needs stands with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core.jit import kernel, wide
from core.lane import ENDS, NEXT, PREV, SHAPE, State, Table


@kernel
def make_empty(table: Table, end: int) -> None:
    """Make the queue whose end is row `end` an empty one."""
    table[end, PREV] = end
    table[end, NEXT] = end


@kernel
def push(table: Table, end: int, member: int) -> None:
    """Put `member` at the new end of the queue `end`."""
    newest = table[end, PREV]
    table[member, PREV] = newest
    table[member, NEXT] = end
    table[newest, NEXT] = member
    table[end, PREV] = member


@kernel
def unlink(table: Table, member: int) -> None:
    """Take `member` out of its queue."""
    older = table[member, PREV]
    newer = table[member, NEXT]
    table[older, NEXT] = newer
    table[newer, PREV] = older


@kernel
def units_end(table: Table) -> int:
    """Return the row that ends the queue of units."""
    return int(table.shape[0]) - ENDS


@kernel
def ignore_expect(state: State, page: int) -> None:
    """Do nothing: the `expect` of an eviction that forgets what left."""


@kernel
def insert_newest(state: State, unit: int) -> None:
    """Put the unit at the new end: the `insert` of every eviction that ranks by age."""
    push(state.table, units_end(state.table), unit)


@kernel
def remove_from_queue(state: State, unit: int) -> None:
    """Unlink the unit: the `remove` of every eviction that has nothing else to forget."""
    unlink(state.table, unit)


@kernel
def oldest_victim(state: State, keep: int) -> int:
    """Return the oldest unit other than `keep`."""
    table = state.table
    unit = wide(table[units_end(table), NEXT])
    if unit == keep:
        unit = wide(table[unit, NEXT])
    return unit


@kernel
def ignore_touch(state: State, unit: int, restored: bool) -> None:
    """Do nothing: the `touch` of an eviction that ranks by insertion alone."""


@kernel
def mark_touch(state: State, unit: int, restored: bool) -> None:
    """Set the unit's bit: the `touch` of clock and sieve."""
    state.table[unit, SHAPE] |= 1


class Eviction(NamedTuple):
    """An eviction: five hooks over the state of a lane; by default those of fifo.

    Parameters
    ----------
    expect
        ``expect(state, page)``: a new unit will begin with `page`; room for it is made next.
    insert
        ``insert(state, unit)``: a new unit enters at the new end, its mark cleared.
    touch
        ``touch(state, unit, restored)``: the unit was restored (`restored`) or stored again.
    remove
        ``remove(state, unit)``: the unit ceases.
    victim
        ``victim(state, keep)``: return the unit to reclaim, never `keep`; there is another one.
    evicts
        False where there are no victims: what is stored stays until something else takes it.
    draws
        Whether a seed changes what it does.
    remembers_pages
        Whether it keeps a number of each file page, in the second half of `State.slot_of` (-1 at
        first).
    meaning
        One line: which unit goes.
    """

    expect: Callable[[State, int], None] = ignore_expect
    insert: Callable[[State, int], None] = insert_newest
    touch: Callable[[State, int, bool], None] = ignore_touch
    remove: Callable[[State, int], None] = remove_from_queue
    victim: Callable[[State, int], int] = oldest_victim
    evicts: bool = True
    draws: bool = False
    remembers_pages: bool = False
    meaning: str = ""
