"""Slow, plain oracle of what is spent: costs, and the times that parts and phases take."""

from collections.abc import Sequence
from dataclasses import dataclass

from reference_events import NO_PHASE, PHASE, Event, Reads

PARTS = 64  # equal parts of the time of a table
SPENT = ["read_ns", "wait_ns", "cpu_ns", "all_missed_read_ns", "all_missed_wait_ns"]


@dataclass(frozen=True)
class Costs:
    """Prices of the back end's work, integers in nanoseconds."""

    reserve_base_ns: int
    cache_line_ns: int
    slot_drop_ns: int
    read_sequential_ns: int
    read_random_ns: int
    read_parallel_ns: int
    copy_in_ns: int
    copy_out_ns: int
    lookup_ns: int
    tmem_copy_in_ns: int
    tmem_copy_out_ns: int


def read_ns(reads: Reads, costs: Costs) -> int:
    """Time of the device for what requests read."""
    latency = costs.read_random_ns - costs.read_parallel_ns
    follow = reads.pages - reads.commands
    return (
        reads.waited_requests * latency
        + reads.commands * costs.read_parallel_ns
        + follow * costs.read_sequential_ns
    )


def waited_read_ns(reads: Reads, costs: Costs) -> int:
    """Part of `wait_ns` that tasks wait for the device."""
    waited = reads.waited_requests, reads.waited_commands, reads.waited_pages
    return read_ns(Reads(waited[2], waited[1], *waited), costs)


def moments_of(events: Sequence[Event]) -> list[int]:
    """When each part of a table's time ends."""
    times = [event.time_ns for event in events if event.op != PHASE] or [0]
    start, span = times[0], times[-1] - times[0]
    return [start + span * (part + 1) // PARTS for part in range(PARTS)]


class Spending:
    """What is spent, by the parts of the time and by the phases that rows lie in."""

    def __init__(self, events: Sequence[Event], phases: Sequence[str]) -> None:
        self.moments = moments_of(events)
        self.names = phases
        self.parts: dict[str, list[int]] = {name: [0] * PARTS for name in SPENT}
        self.phases: list[tuple[str, int, int]] = []
        self.is_in_phase = False

    def forget(self) -> None:
        """Leave out of phases what lies in the warm-up, and the occurrences that ended there."""
        self.phases = [(name, 0, 0) for name, *_ in self.phases[-1:] if self.is_in_phase]

    def mark(self, event: Event) -> None:
        """Begin an occurrence of a phase, or none."""
        self.is_in_phase = event.index != NO_PHASE
        if self.is_in_phase:
            self.phases.append((self.names[event.index], 0, 0))

    def add(self, time_ns: int, spent: dict[str, int]) -> None:
        """Add what a row spends."""
        part = next(part for part in range(PARTS) if self.moments[part] >= time_ns)
        for name, ns in spent.items():
            self.parts[name][part] += ns
        if self.is_in_phase:
            name, wait_ns, all_missed_wait_ns = self.phases[-1]
            wait_ns += spent["wait_ns"]
            self.phases[-1] = (name, wait_ns, all_missed_wait_ns + spent["all_missed_wait_ns"])
