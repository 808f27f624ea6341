"""How a cache fills: what `trace info` says of a table, so that one can choose a `warm_up`."""

from __future__ import annotations

from typing import NamedTuple

from core.backend import replay
from core.events import Events
from core.lane import SERIES_POINTS
from core.machine import Machine
from core.policy import Policy
from core.policy_words import Admission, Restore
from core.replayed import series_of

#: A cache has filled when no larger share of its slots is empty. It is not nothing, since
#: truncation and released blocks leave some empty for a moment in a cache that has long been full.
_EMPTY_RATIO = 0.01
_QUARTER = SERIES_POINTS // 4


class CacheFilling(NamedTuple):
    """How a plain cache in all of a machine's tag storage fills while a table is replayed.

    Parameters
    ----------
    slots
        Pages of tag storage.
    filled_part
        The first of the 64 parts of the time at whose end the cache has filled; None: it never has.
    warm_up
        The share of the time up to there; None where a warm-up cannot leave that out.
    cached_share_of_quarters
        The share of the slots that cache pages at the end of each quarter of the time.
    most_used_share, most_used_part
        The largest share of the slots that cache pages or are reserved at the end of a part, and
        the first such part.
    """

    slots: int
    filled_part: int | None
    warm_up: float | None
    cached_share_of_quarters: list[float]
    most_used_share: float
    most_used_part: int


def cache_filling(events: Events) -> CacheFilling:
    """Return how a plain cache fills: one that takes all that is offered, and keeps it.

    Only tags and truncation take pages from it, so it fills as fast as any. (Under an eviction that
    makes room, it fills at the same part in all captures that come with the project.)
    """
    machine = Machine(events.page_size, events.data_pages)
    policy = Policy(admission=Admission.ALL, restore=Restore.INCLUSIVE, eviction="none")
    series = series_of(replay(events, machine, policy).lane(0))
    empty = series["series_empty_pages"][0].tolist()
    cached = series["series_cached_pages"][0].tolist()
    ends = enumerate(empty, start=1)
    filled = next((part for part, left in ends if left <= _EMPTY_RATIO * machine.slots), None)
    least = min(empty)
    return CacheFilling(
        machine.slots,
        filled,
        filled / SERIES_POINTS if filled and filled < SERIES_POINTS else None,
        [round(pages / machine.slots, 4) for pages in cached[_QUARTER - 1 :: _QUARTER]],
        round(1 - least / machine.slots, 4),
        empty.index(least) + 1,
    )


def filling_lines(filling: CacheFilling) -> list[str]:
    """Return what is said of it, a line each."""
    cache = f"a cache of its tag storage ({filling.slots:,} pages)"
    part = f"part {filling.filled_part} of {SERIES_POINTS}"
    if filling.filled_part is None:
        told = (
            f"never fills: at most {filling.most_used_share:.1%} of it is cached pages or tags, at "
            f"the end of part {filling.most_used_part} of {SERIES_POINTS}"
        )
    elif filling.warm_up is None:
        told = f"has filled at the end of {part} only, which no warm_up leaves out"
    else:
        told = f"has filled at the end of {part} (warm_up: {filling.warm_up:g})"
    quarters = ", ".join(f"{share:.0%}" for share in filling.cached_share_of_quarters)
    return [f"{cache} {told}", f"cached pages of it at the end of each quarter: {quarters}"]
