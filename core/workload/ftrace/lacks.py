"""What follows from the events that a trace lacks, as a production kernel or a short list does."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.workload.ftrace import frames
from core.workload.ftrace.words import (
    ADD,
    COPY_PAGE,
    DELETE,
    PAGE_ALLOC,
    PAGE_FREE,
    SYNC_TAGS,
    TAG_CLEAR,
)


def lacks(
    seen: NDArray[np.int64], numbers: NDArray[np.int64], recorded: Collection[str]
) -> tuple[Loss, ...]:
    """Return what a trace lacks.

    Parameters
    ----------
    seen
        Records of each kind.
    numbers
        The counts of `core.workload.ftrace.state.KernelState`.
    recorded
        The tracepoints that are known to have been recorded: one without an event is no lack.
    """
    of_files = int(seen[ADD] + seen[DELETE])
    allocations, tagged = int(seen[PAGE_ALLOC]), int(numbers[frames.TAGGED_ALLOCATIONS])

    def lacking(kind: int, event: str) -> bool:
        return not seen[kind] and event not in recorded

    no_pages = lacking(PAGE_ALLOC, "mm_page_alloc")
    probes = seen[[TAG_CLEAR, SYNC_TAGS, COPY_PAGE]]
    return losses_of(
        {
            "no_page_alloc": (of_files if no_pages else 0, ""),
            "no_page_free": (tagged if lacking(PAGE_FREE, "mm_page_free") else 0, ""),
            "no_tag_probes": (tagged if not probes.any() else 0, ""),
            "no_file_events": (0 if of_files or not no_file_events(recorded) else allocations, ""),
            "no_insertions": (
                int(seen[DELETE]) if lacking(ADD, "mm_filemap_add_to_page_cache") else 0,
                "",
            ),
            "no_deletions": (
                int(seen[ADD]) if lacking(DELETE, "mm_filemap_delete_from_page_cache") else 0,
                "",
            ),
        }
    )


def no_file_events(recorded: Collection[str]) -> bool:
    """Return whether events of the page cache are not known to have been recorded."""
    return "mm_filemap_add_to_page_cache" not in recorded
