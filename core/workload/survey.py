"""What a table holds: the figures to know before one believes a study of it."""

from __future__ import annotations

from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import ACCESSES, TRUNCATE, USE, Accesses, told_bits
from core.events import (
    ALLOC,
    FREE,
    INVALIDATE_INODE,
    MAPPED,
    OPS,
    PHASE,
    RESTORE,
    STORE,
    TAGGED,
    WORKINGSET,
    Events,
    is_anonymous,
    without_anonymous,
)
from core.jit import entry, wide
from core.machine import Machine
from core.timeline.pages import distinct_pages, folio_pages
from core.timeline.prepare import prepare
from core.timeline.requests import find_requests

#: Equal parts of the time that the series has a point for.
POINTS = 60
#: Sizes of a block, in tag pages, that figures are given for.
BLOCK_PAGES = (1, 2, 4, 8)


class Survey(NamedTuple):
    """Figures of an mm event table, and its tagged pages over time."""

    figures: dict[str, Any]
    tagged_pages: NDArray[np.int64]  # [POINTS] the most at once in each of equal parts of the time


def survey_events(events: Events) -> Survey:
    """Return what an mm event table holds, in the words of docs/model.md."""
    of_swap = is_anonymous(events)
    sizes = 1 << events.order.astype(np.int64)
    whole, events = events, without_anonymous(events)
    orders = events.order[events.op < INVALIDATE_INODE]
    stores = events.op == STORE
    span_ns = int(events.time_ns[-1] - events.time_ns[0]) if events.time_ns.size else 0
    files = whole.inode[(whole.op <= INVALIDATE_INODE) & ~of_swap]
    figures: dict[str, Any] = {
        "source": events.source,
        "page_size": events.page_size,
        "data_pages": events.data_pages,
        "rows": int(whole.op.size),
        "span_s": round(span_ns / 1e9, 3),
        "events": {name: int((whole.op == op).sum()) for op, name in enumerate(OPS)},
        "swapped_out_pages": int(sizes[of_swap & (whole.op == STORE)].sum()),
        "swapped_in_pages": int(sizes[of_swap & (whole.op == RESTORE)].sum()),
        "folio_orders": None
        if any(loss.name == "unknown_orders" for loss in whole.losses)
        else {int(k): int((orders == k).sum()) for k in np.unique(orders)},
        "files": int(np.unique(files).size),
        "distinct_pages": int(distinct_pages(events).size),
        "workingset_stores": int((events.flags[stores] & WORKINGSET != 0).sum()),
    }
    blocks = {}
    for pages in BLOCK_PAGES:
        machine = Machine(events.page_size, events.data_pages, pages * events.page_size)
        timeline = prepare(events, machine)
        occupancy = timeline.occupancy
        mean = occupancy.amplification_ns / occupancy.tagged_ns if occupancy.tagged_ns else None
        blocks[pages] = {
            "reservations": occupancy.reservations,
            "peak_reserved": occupancy.peak_reserved,
            "tag_blocks": machine.tag_blocks,
            "amplification": None if mean is None else round(mean, 3),
        }
        figures["refaults"] = timeline.refaults
        figures["stored_pages"] = timeline.offered_pages
        figures["restored_pages"] = timeline.restore_pages
    tagged = _tagged_over_time(events)
    figures["peak_tagged_pages"] = int(tagged.max()) if tagged.size else 0
    figures["tag_blocks_by_pages"] = blocks
    figures |= _told(whole, int(figures["refaults"]))
    return Survey(figures, tagged)


def _told(events: Events, refaults: int) -> dict[str, Any]:
    """Return what a table tells beside its rows, and its requests; None is not known.

    `refaults` are those of its rows. The kernel counts those of metadata, and of some pages that
    writes make, as well; and of the rows only those whose shadow it still had.
    """
    inferred = events.workingset_inferred_ratio
    left_out = dict(events.left_out)
    of_rows = left_out.get("row_refaults", refaults)
    more = left_out.get("metadata_refaults", 0) + left_out.get("write_refaults", 0)
    stores = events.op == STORE
    return {
        "requests": _survey_requests(events),
        "phases": _rows_of_phases(events),
        "workingset_inferred_ratio": None if isnan(inferred) else round(inferred, 4),
        "mapped": events.mapped,
        "mapped_stores": int((events.flags[stores] & MAPPED != 0).sum()) if events.mapped else None,
        "left_out": left_out,
        "sampled": dict(events.sampled),
        "checks": [check.row for check in events.checks],
        "import_warnings": events.import_warnings(),
        "kernel_refaults": of_rows + more,
    }


def _survey_requests(events: Events) -> dict[str, Any]:
    """Return figures of the read requests of a table, as recorded or guessed.

    `commands` are what the device is asked for where nothing is cached: each run of next pages of
    one file within a request.
    """
    found = find_requests(events)
    restores = np.flatnonzero(events.op == RESTORE)
    begins = found.begins[restores]
    pages = 1 << events.order[restores].astype(np.int64)
    first = events.inode[restores].astype(np.int64) << 32 | events.index[restores]
    continues = np.zeros(restores.size, dtype=np.bool_)
    continues[1:] = (first[1:] == (first + pages)[:-1]) & ~begins[1:]
    number = np.cumsum(begins) - 1
    requests = int(begins.sum())
    sizes = np.bincount(number, weights=pages, minlength=requests)
    waited = np.bincount(number, weights=found.waited[restores], minlength=requests) > 0
    return {
        "recorded": events.requests,
        "count": requests,
        "pages_mean": round(float(sizes.mean()), 3) if requests else None,
        "pages_median": float(np.median(sizes)) if requests else None,
        "waited_ratio": round(float(waited.mean()), 4) if requests else None,
        "commands": int((~continues).sum()),
    }


def _rows_of_phases(events: Events) -> dict[str, int]:
    """Return the rows of each phase by its name, the mark itself left out."""
    marks = events.op == PHASE
    if not marks.any():
        return {}
    # The last place stands for rows in no phase.
    phase_of_mark = np.append(np.minimum(events.index[marks], len(events.phases)), 0)
    phase_of_mark[-1] = len(events.phases)
    phase = phase_of_mark[np.cumsum(marks)[~marks] - 1]
    rows = np.bincount(phase, minlength=len(events.phases) + 1)
    return dict(zip(events.phases, rows.tolist(), strict=False))


def survey_accesses(accesses: Accesses) -> dict[str, Any]:
    """Return what an access trace holds: figures of its machine, its accesses and its pages."""
    of_files = (accesses.op < TRUNCATE) | (accesses.op == USE)
    keys = accesses.inode[of_files].astype(np.uint64) << np.uint64(32) | accesses.index[of_files]
    order = accesses.order[of_files]
    span_ns = int(accesses.time_ns[-1] - accesses.time_ns[0]) if accesses.op.size else 0
    return {
        "source": accesses.source,
        "page_size": accesses.page_size,
        "data_pages": accesses.data_pages,
        "free_pages": accesses.free_pages,
        "rows": int(accesses.op.size),
        "span_s": round(span_ns / 1e9, 9),
        "accesses": {name: int((accesses.op == op).sum()) for op, name in enumerate(ACCESSES)},
        "files": int(np.unique(accesses.inode[of_files]).size),
        "requested_pages": int((1 << order.astype(np.int64)).sum()),
        "distinct_pages": int(folio_pages(keys, order).size),
        "accessed_bits": told_bits(accesses),
        "import_warnings": [loss.warning for loss in accesses.losses],
    }


def _tagged_over_time(events: Events) -> NDArray[np.int64]:
    peaks = np.zeros(POINTS, dtype=np.int64)
    if events.op.size:
        _tagged_peaks(
            *(events.time_ns, events.op, events.order, events.pfn, events.flags),
            *(np.zeros(events.data_pages, dtype=np.bool_), peaks),
        )
    return peaks


@entry
def _tagged_peaks(
    time_ns: NDArray[np.int64],
    op: NDArray[np.uint8],
    order: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    flags: NDArray[np.uint8],
    tagged: NDArray[np.bool_],
    peaks: NDArray[np.int64],
) -> None:
    """Fill `peaks` with the most pages tagged at once in each of equal parts of the time."""
    first_ns = wide(time_ns[0])
    part_ns = max(1, (wide(time_ns[time_ns.size - 1]) - first_ns) // peaks.size + 1)
    live = 0
    part = 0
    for row in range(op.size):
        now = min(peaks.size - 1, (wide(time_ns[row]) - first_ns) // part_ns)
        while part < now:
            part += 1
            peaks[part] = live
        kind = wide(op[row])
        if kind not in (ALLOC, FREE):
            continue
        tags = kind == ALLOC and wide(flags[row]) & TAGGED != 0
        for frame in range(wide(pfn[row]), wide(pfn[row]) + (1 << wide(order[row]))):
            if tags and not tagged[frame]:
                live += 1
            elif not tags and tagged[frame]:
                live -= 1
            tagged[frame] = tags
        peaks[part] = max(peaks[part], live)
    for rest in range(part + 1, peaks.size):
        peaks[rest] = live
