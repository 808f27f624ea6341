"""What an import had to guess of a trace, in words: where the trace does not tell it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    names: str,
    requests: RequestState,
    numbers: NDArray[np.int64],
    finished: FinishedRows,
    bits: PageFlags | None,
) -> list[str]:
    """Return what a user should know was guessed.

    Parameters
    ----------
    names
        The files of the trace.
    requests
        Its read requests.
    numbers
        The counts of `KernelState`.
    finished
        The rows of its mm events.
    bits
        The numbers of the flags of folios, or None where nothing tells them.
    """
    said = [_requests(requests), *_flags(requests, numbers, finished, bits)]
    return [f"{names}: {what}" for what in said if what]


def _requests(requests: RequestState) -> str:
    if requests.seen[GET_PAGES] or not requests.requests:
        return ""
    if requests.seen[[SYNC_READAHEAD, ASYNC_READAHEAD, READAHEAD]].any():
        return "no mm_filemap_get_pages in it: readahead:page_cache_ events tell requests"
    if requests.seen[BLOCK_ISSUE]:
        return (
            "no mm_filemap_get_pages in it: requests end where block_rq_issue sends them to the "
            "device, and each page of them is taken as waited for"
        )
    return (
        "requests are guessed: neither mm_filemap_get_pages nor readahead:page_cache_ events nor "
        "block_rq_issue is in it"
    )


def _flags(
    requests: RequestState,
    numbers: NDArray[np.int64],
    finished: FinishedRows,
    bits: PageFlags | None,
) -> list[str]:
    stores, flagged = int(numbers[frames.STORES]), int(numbers[frames.FLAGGED_STORES])
    said = []
    if finished.inferred_stores:
        rule = "two or more folio_mark_accessed" if requests.seen[TOUCHED] else "the refault before"
        said.append(
            f"{finished.inferred_stores:,} of {stores:,} stores have their workingset bit by a "
            f"rule ({rule}): no workingset_eviction with folio->flags tells it"
        )
    if 0 < flagged < stores:
        share = 1 - flagged / stores
        said.append(
            f"{share:.1%} of the stores have no flags of the folio: MAPPED is not taken as recorded"
        )
    if flagged and bits is None:
        bits = PageFlags()
        said.append(
            "nothing beside it tells the bits of folio->flags: taken as those of Linux 6.12, "
            f"workingset {bits.workingset} and mappedtodisk {bits.mappedtodisk}"
        )
    if finished.contradicted_flags:
        said.append(
            f"{finished.contradicted_flags:,} stores have another workingset bit in their flags "
            "than in the shadow of their refault: are the bits those of this kernel?"
        )
    return said
