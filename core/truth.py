"""A kernel with a cleancache built in, beside its replay: what it counted, and what we count.

Such a kernel takes the decisions of the series posted in October 2025 and counts them; its
counters come with the recording (`core.events.Events.cache_counters`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from core.backend import replay
from core.events import ALLOC, FREE, Events, EventsError, rows_of
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine
from core.outcomes import measure
from core.policy import PRESETS, Policy

#: Of each outcome the counters of the kernel that make it up: it counts a page that is stored again
#: apart, and a page that a single read asks for apart from those of a readahead window.
COUNTED_AS: dict[str, tuple[str, ...]] = {
    "stored": ("stored", "overwritten"),
    "overwritten": ("overwritten",),
    "restored": ("restored_one", "restored_walk"),
    "stale": ("stale",),
    "reclaimed": ("reclaimed",),
    "recalled": ("recalled",),
    "invalidated": ("invalidated",),
    "reservations": ("reservations",),
    "releases": ("releases",),
}


class Compared(NamedTuple):
    """One outcome of a kernel and of its replay."""

    name: str
    kernel: int
    replay: int

    @property
    def difference(self) -> int:
        """How much more the replay counts."""
        return self.replay - self.kernel

    @property
    def difference_ratio(self) -> float | None:
        """The difference over what the kernel counted; None if that is nothing."""
        return self.difference / self.kernel if self.kernel else None


def compare_with_kernel(
    events: Events, policy: Policy = PRESETS["gcma"], name: str = "events"
) -> list[Compared]:
    """Return what a kernel with a cleancache counted, and what a replay of its recording counts.

    Where no tagged page reserved tag storage in that kernel, the replay leaves tagged pages out,
    and has as many slots as the kernel had.

    Parameters
    ----------
    events
        The recording.
    policy
        What its cleancache does.
    name
        The file that an error names.

    Raises
    ------
    EventsError
        When the recording has no counters of a cleancache.
    """
    kernel = dict(events.cache_counters)
    lacking = [name for name in ("slots", "stored", "restored_walk") if name not in kernel]
    if lacking:
        raise EventsError(
            f"has no counters of a kernel with a cleancache ({', '.join(lacking)}): they come "
            "from the file cc.after of the recording's archive",
            file=name,
        )
    machine = Machine(events.page_size, events.data_pages)
    if not kernel.get("reservations", 0):
        events = rows_of(events, (events.op != ALLOC) & (events.op != FREE))
        machine = Machine(events.page_size, kernel["slots"] * DATA_PAGES_PER_TAG_PAGE)
        events = events._replace(data_pages=machine.data_pages)
    if machine.slots != kernel["slots"]:
        raise EventsError(
            f"the kernel had {kernel['slots']} slots, but the tag storage of "
            f"{events.data_pages} pages has {machine.slots}",
            file=name,
        )
    columns: Any = measure(replay(events, machine, policy))
    return [
        Compared(name, sum(kernel.get(part, 0) for part in parts), int(columns[name][0]))
        for name, parts in COUNTED_AS.items()
    ]
