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
