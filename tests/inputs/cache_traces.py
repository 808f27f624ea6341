"""Plain cache traces: requests for units of pages, and the misses of clairvoyant eviction."""

from __future__ import annotations

from collections.abc import Sequence

from reference import Event

from core.events import RESTORE, STORE
from core.machine import Machine


def belady_misses(requests: Sequence[int], slots: int) -> int:
    """Return the misses of clairvoyant eviction that may also refuse to store."""
    never = len(requests)
    next_request = [never] * len(requests)
    seen: dict[int, int] = {}
    for i in reversed(range(len(requests))):
        next_request[i] = seen.get(requests[i], never)
        seen[requests[i]] = i
    cached: dict[int, int] = {}
    misses = 0
    for i, page in enumerate(requests):
        misses += page not in cached
        cached[page] = next_request[i]
        if len(cached) > slots:
            del cached[max(cached, key=cached.__getitem__)]
    return misses


def pages_of_units(units: Sequence[int], order: int) -> list[int]:
    """Return the pages of units of ``1 << order`` pages, in order."""
    return [page for unit in units for page in range(unit << order, (unit + 1) << order)]


def as_stream(units: Sequence[int], slots: int, order: int = 0) -> tuple[Machine, list[Event]]:
    """Return a cache trace as events: a restore and a store of each unit, and no tags.

    Parameters
    ----------
    units
        The units that are requested; unit `n` is the pages from ``n << order`` on.
    slots
        Tag pages of the machine.
    order
        Order of the units.
    """
    machine = Machine(4096, 32 * slots)
    stream = [
        Event(i, op, 1, unit << order, order, 0, 1)
        for i, unit in enumerate(units)
        for op in (RESTORE, STORE)
    ]
    return machine, stream
