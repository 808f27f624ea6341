"""What a table lacks, or what had to be guessed in it: counts by name, which stay with the table.

A result on lost or guessed information says so on its face: ``sweep trace info``, ``sweep
validate`` and the report show a sentence for each loss of a table.
"""

from __future__ import annotations

from typing import NamedTuple

#: The sentence of each loss by its name; ``{count}`` stands for how often.
SENTENCES = {
    "lost_events": "{count} events were lost while recording: every count is too low by them",
    "uncounted_losses": "{count} times an unknown number of events was lost while recording",
    "overwritten_events": (
        "{count} events were overwritten in the ring buffer before they were read: every count is "
        "too low by them"
    ),
    "missing_buffers": "the buffers of {count} CPUs are not in it: their events lack",
    "garbage_lines": "{count} lines are no events",
    "raw_lines": "{count} lines are raw or hexadecimal (options raw and hex of tracefs): left out",
    "counted_times": (
        "{count} events have a time that counts (trace clock x86-tsc, counter or uptime) and "
        "tells no seconds: left out"
    ),
    "late_times": "{count} events have a time of more than 64 bits: left out",
    "events_without_time": "{count} events have no time that can be read: left out",
    "events_without_name": "{count} events have no name: left out",
    "function_graph_events": (
        "{count} events in lines of function_graph have no time or no task: left out"
    ),
    "unknown_tasks": (
        "{count} events do not tell their task: reclaim and requests of tasks are taken together"
    ),
    "missing_orders": (
        "{count} folios lack the order that others have: taken as single pages (cut lines?)"
    ),
    "allocations_without_flags": (
        "{count} page allocations have no gfp_flags: taken as untagged (cut lines?)"
    ),
    "guessed_gfp_numbers": (
        "{count} page allocations have gfp_flags as numbers, and nothing tells the kernel's version"
    ),
    "undecoded_gfp_numbers": (
        "{count} page allocations have gfp_flags as numbers that fit no known kernel: taken as "
        "untagged"
    ),
    "unclear_gfp_numbers": (
        "{count} page allocations have bit 0x800000 of gfp_flags and are of no zeroed user page: "
        "taken as untagged (__GFP_NOLOCKDEP before Linux 5.14?)"
    ),
    "no_tagged_allocations": (
        "of {count} page allocations none asks for tags: were MTE and a program that uses it on?"
    ),
    "incomplete_events": "{count} events lack a field, and are left out",
    "clock_steps": "{count} times the clock stepped back by more than 1 ms: time goes on there",
    "misaligned_folios": "{count} folios lie at no multiple of their size: left out",
    "frames_outside": "{count} events are of frames outside the memory: left out",
    "missed_frees": "{count} tagged frames were allocated anew and their free not seen",
    "cut": "it is a part of a longer trace, of which {count} lines or rows were left out",
    "carried_frames": (
        "{count} frames were in use where it was cut: they are allocated at its first row"
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
