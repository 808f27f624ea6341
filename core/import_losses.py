"""What a table lacks, or what had to be guessed in it: counts by name, which stay with the table.

A result on lost or guessed information says so on its face: ``sweep trace info``, ``sweep
validate`` and the report show a sentence for each loss of a table.
"""

from __future__ import annotations

from typing import NamedTuple

#: The sentence of each loss by its name; ``{count}`` stands for how often.
SENTENCES = {
    "lost_events": "{count} events were lost while recording: every count is too low by them",
    "garbage_lines": "{count} lines are no events",
    "incomplete_events": "{count} events lack a field, and are left out",
    "clock_steps": "{count} times the clock stepped back by more than 1 ms: time goes on there",
    "misaligned_folios": "{count} folios lie at no multiple of their size: left out",
    "frames_outside": "{count} events are of frames outside the memory: left out",
    "missed_frees": "{count} tagged frames were allocated anew and their free not seen",
    "unknown_orders": (
        "orders: unknown: {count} insertions and deletions do not tell the size of their folio: "
        "taken as single pages"
    ),
    "lost_packets": "{count} times packets were lost while recording: every count is too low",
    "overwritten_chunks": (
        "{count} chunks of the recorder's buffer were overwritten: what they held is missing"
    ),
    "discarded_chunks": (
        "{count} chunks came when the recorder's buffer was full: what they held is missing"
    ),
    "unreadable_ftrace": "{count} times the recorder could not read the kernel's buffer",
    "unreadable_bundles": "{count} bundles of events are damaged: the rest of each is missing",
    "unreadable_packets": "{count} packets cannot be read: what they held is missing",
    "cut_off_packets": "{count} files end inside a packet: what came after it is missing",
    "unread_bytes": "{count} bytes are no packets, and are not read",
    "other_machines": "{count} bundles of events are of another machine, and are left out",
    "unknown_clocks": (
        "{count} events have times of a clock that nothing ties to the others: left out"
    ),
    "garbled_events": "{count} events are damaged, and are left out",
    "undescribed_events": (
        "{count} events are of a kind that the trace does not describe, and are left out"
    ),
    "empty_probes": (
        "{count} events of probes have no arguments, and are left out: define the probes in tracefs"
    ),
    "partial_events": (
        "{count} events are of a time of which other CPUs' events are already overwritten"
    ),
    "repeated_events": "{count} events are in the trace twice, and count once",
    "guessed_gfp_numbers": (
        "{count} allocations have flags as numbers, and no version of the kernel is told: read as "
        "those of Linux 5.14 and later"
    ),
    "unknown_gfp_numbers": (
        "{count} allocations have flags as numbers of an unknown kernel: none is taken as tagged"
    ),
    "copies_before_base": (
        "{count} page copies came before the first tagged allocation: taken as untagged"
    ),
}


class Loss(NamedTuple):
    """Something that a table lacks, or that was guessed.

    Parameters
    ----------
    name
        One of `SENTENCES`.
    count
        How often.
    where
        What else helps to find it, such as ``the first in line 12``; empty where nothing does.
    """

    name: str
    count: int  # type: ignore[assignment]  # hides tuple.count
    where: str = ""

    @property
    def warning(self) -> str:
        """The loss as a sentence."""
        known = SENTENCES.get(self.name, "{count} " + self.name.replace("_", " "))
        return known.format(count=f"{self.count:,}") + (f" ({self.where})" if self.where else "")


def losses_of(counted: dict[str, tuple[int, str]]) -> tuple[Loss, ...]:
    """Return the losses among (count, where) by name: those of which there is at least one."""
    return tuple(Loss(name, int(count), where) for name, (count, where) in counted.items() if count)
