"""What an import had to guess of a trace: where the trace does not tell it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.workload.ftrace import frames
from core.workload.ftrace.page_flags import PageFlags
from core.workload.ftrace.requests import RequestState
from core.workload.ftrace.tables import FinishedRows
from core.workload.ftrace.words import (
    ASYNC_READAHEAD,
    BLOCK_ISSUE,
    GET_PAGES,
    READAHEAD,
    SYNC_READAHEAD,
    TOUCHED,
)


def guesses(
    requests: RequestState,
    numbers: NDArray[np.int64],
    finished: FinishedRows,
    bits: PageFlags | None,
) -> tuple[Loss, ...]:
    """Return what was guessed.

    Parameters
    ----------
    requests
        The read requests of the trace.
    numbers
        The counts of `KernelState`.
    finished
        The rows of its mm events.
    bits
        The numbers of the flags of folios, or None where nothing tells them.
    """
    stores, flagged = int(numbers[frames.STORES]), int(numbers[frames.FLAGGED_STORES])
    used = PageFlags()
    numbers_used = f"workingset {used.workingset} and mappedtodisk {used.mappedtodisk}"
    share = f"{1 - flagged / stores:.1%} of the stores" if stores else ""
    return losses_of(
        {
            "unflagged_stores": (stores - flagged if flagged else 0, share),
            "guessed_flag_bits": (flagged if bits is None else 0, numbers_used),
            "contradicted_flags": (finished.contradicted_flags, ""),
            **_requests(requests),
        }
    )


def _requests(requests: RequestState) -> dict[str, tuple[int, str]]:
    count = requests.requests
    if requests.seen[GET_PAGES]:
        return {}
    if requests.seen[[SYNC_READAHEAD, ASYNC_READAHEAD, READAHEAD]].any():
        return {"requests_by_readahead": (count, "")}
    if requests.seen[BLOCK_ISSUE]:
        return {"requests_by_device": (count, "")}
    return {"guessed_requests": (count, "")}


def inferred(
    requests: RequestState, numbers: NDArray[np.int64], finished: FinishedRows
) -> list[str]:
    """Return how many workingset bits a rule gave; the table has their share itself.

    The parameters are those of `guesses`.
    """
    if not finished.inferred_stores:
        return []
    rule = "two or more folio_mark_accessed" if requests.seen[TOUCHED] else "the refault before"
    return [
        f"{finished.inferred_stores:,} of {numbers[frames.STORES]:,} stores have their workingset "
        f"bit by a rule ({rule}): no workingset_eviction with folio->flags tells it"
    ]
