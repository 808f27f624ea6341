"""What an import counted beside what the traced kernel counted itself: a check of the import.

The kernel's own counters and samples do not come from the trace. Where both differ, the trace lacks
events, the import reads them wrongly, or the two do not count quite the same; a study of the table
should know.
"""

from __future__ import annotations

from typing import Any, NamedTuple

#: A difference beyond this share of the kernel's count is warned of.
DIFFERENCE_RATIO = 0.01
#: A sample takes time to be taken, in which pages come and go: so much more is allowed.
SAMPLING_RATIO = 0.01
#: A difference of so few is none: counters are not read at the very event with which a trace ends.
LEAST_DIFFERENCE = 3


class Comparison(NamedTuple):
    """A thing that both count: what the kernel counts, and what another count may mean.

    Parameters
    ----------
    counter
        The kernel's counter, or where its samples are taken.
    ours
        What the import counts.
    reason
        Why both may differ, though the import is right.
    is_sampled
        Whether the kernel's count is the sum of samples.
    """

    counter: str
    ours: str
    reason: str
    is_sampled: bool = False


_NOT_TRACED = (
    "the trace lacks events, or the kernel also counted what was not traced: the recorder's own "
    "work, and what came before and after"
)
_TAGGED_BEFORE = "the trace lacks events, or pages were tagged before it began"
#: Every comparison by its name. docs/evidence.md has what came of them.
COMPARISONS = {
    "reclaimed_pages": Comparison(
        "pgsteal_file of /proc/vmstat",
        "pages of the page cache, metadata included, that reclaim deletes",
        _NOT_TRACED,
    ),
    "kernel_refaults": Comparison(
        "workingset_refault_file of /proc/vmstat",
        "pages of the folios whose workingset_refault is in the trace",
        _NOT_TRACED,
    ),
    "returned_pages": Comparison(
        "workingset_refault_file of /proc/vmstat",
        "pages, metadata included, that are read again after the trace shows their eviction",
        "the import alone counts pages whose shadow the kernel has dropped, the kernel alone the "
        "other pages of a large folio, and pages that were evicted before the trace began",
    ),
    "allocated_pages": Comparison(
        "pgalloc_* of /proc/vmstat", "pages of all mm_page_alloc, tagged or not", _NOT_TRACED
    ),
    "freed_pages": Comparison(
        "pgfree of /proc/vmstat", "pages of all mm_page_free, tagged or not", _NOT_TRACED
    ),
    "tagged_pages": Comparison(
        "samples of /proc/kpageflags",
        "live tagged pages, summed over the samples",
        _TAGGED_BEFORE,
        is_sampled=True,
    ),
    "tagged_groups": Comparison(
        "samples of /proc/kpageflags",
        "groups of 32 frames with a live tagged page, summed over the samples",
        _TAGGED_BEFORE,
        is_sampled=True,
    ),
    "reservations": Comparison(
        "reservations of the kernel's tag storage",
        "groups of 32 frames whose first page becomes tagged",
        _NOT_TRACED,
    ),
    "releases": Comparison(
        "releases of the kernel's tag storage",
        "groups of 32 frames whose last tagged page is freed",
        _NOT_TRACED,
    ),
}  # fmt: skip


class ImportCheck(NamedTuple):
    """A count of an import beside the traced kernel's own count of the same."""

    name: str  # of one of `COMPARISONS`
    theirs: int  # what the kernel counted
    ours: int  # what the import counted

    @property
    def difference_ratio(self) -> float | None:
        """How much more the import counted, over the kernel's count; None if that is nothing."""
        return (self.ours - self.theirs) / abs(self.theirs) if self.theirs else None

    @property
    def row(self) -> dict[str, Any]:
        """The check as a row of a table."""
        return self._asdict() | {"difference_ratio": self.difference_ratio}

    @property
    def is_beyond(self) -> bool:
        """Whether both differ by more than is allowed."""
        known = COMPARISONS.get(self.name)
        ratio = DIFFERENCE_RATIO + (SAMPLING_RATIO if known and known.is_sampled else 0)
        return abs(self.ours - self.theirs) > max(LEAST_DIFFERENCE, ratio * abs(self.theirs))

    @property
    def warning(self) -> str:
        """How both differ, as a sentence."""
        known = COMPARISONS.get(self.name)
        counter = f" ({known.counter})" if known else ""
        text = f"{self.name}: the kernel counted {self.theirs:,}{counter}, the import {self.ours:,}"
        if self.difference_ratio is not None:
            more = "more" if self.ours > self.theirs else "fewer"
            text += f", {abs(self.difference_ratio):.1%} {more}"
        return f"{text}: {known.reason}" if known else text
