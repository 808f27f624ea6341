"""Occupancy: which tag blocks are reserved when. It is the same under every policy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import (
    ALLOC,
    ATOMIC,
    FRAME_FREE,
    FRAME_TAGGED,
    FRAME_UNTAGGED,
    FREE,
    TAGGED,
    Events,
)
from core.jit import entry, kernel, wide
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine

# Elements of `counts`: time with a tagged page, blocks reserved and pages tagged now, transitions.
TAGGED_NS, RESERVED, TAGGED_NOW, STEPS = range(4)


class Occupancy(NamedTuple):
    """The blocks that events reserve and release, in order, and what follows from them.

    The transitions, the samples and the frees are those of the whole table; all else leaves out
    what lies in the warm-up.
    """

    row: NDArray[np.int64]  # [transition] of the event table
    block: NDArray[np.int32]  # [transition]
    released: NDArray[np.bool_]  # [transition] or else reserved
    last: NDArray[np.bool_]  # [transition] whether it ends a reserving allocation
    samples: NDArray[np.int64]  # [reserving allocation, (atomic, blocks)]
    block_reserved_ns: NDArray[np.int64]  # [block]
    reservations: int
    releases: int
    peak_reserved: int  # the state at the end of the warm-up included
    freed_row: NDArray[np.int64]  # [free of tagged pages] of the event table
    freed_pages: NDArray[np.int64]  # [free of tagged pages]
    tagged_ns: int  # time with at least one tagged page
    amplification_ns: float  # integral of the amplification over that time
    inverse_ideal_ns: float  # integral of 1 / ceil(tagged / (32 b)): B times it is a carve-out's


def occupy(
    events: Events,
    machine: Machine,
    end_ns: int,
    tagged: bool = True,
    warm_up_end_ns: int | None = None,
) -> Occupancy:
    """Return the occupancy of a machine's tag storage under `events`.

    Parameters
    ----------
    events
        The table.
    machine
        The machine.
    end_ns
        When the time ends up to which its last state holds.
    tagged
        False where no tag storage is looked at: nothing is then reserved.
    warm_up_end_ns
        Up to when nothing counts, that moment included; None: all counts.
    """
    from_ns = np.iinfo(np.int64).min if warm_up_end_ns is None else warm_up_end_ns
    rows = np.flatnonzero(((events.op == ALLOC) | (events.op == FREE)) & tagged)
    row, block, released, samples, reserved_ns, freed, tagged_ns, ratios = _occupy(
        *(events.time_ns, events.op, events.order, events.pfn, events.flags, rows),
        *(int(from_ns), end_ns),
        # What is of frames and blocks takes no memory before it is written.
        *(machine.tag_block_pages, np.zeros(machine.tag_blocks, dtype=np.int64)),
        *(
            np.zeros(machine.tag_blocks, dtype=np.int32),
            np.zeros(machine.data_pages, dtype=np.uint8),
        ),
    )
    frees = np.flatnonzero(freed)
    last = np.zeros(row.size, dtype=np.bool_)
    last[:-1] = row[1:] != row[:-1]
    last[-1:] = True
    held = np.concatenate([[0], np.cumsum(np.where(released, -1, 1))])
    first = int((np.minimum(events.time_ns[row], end_ns) <= from_ns).sum())
    return Occupancy(
        row,
        block,
        released,
        last & ~released,
        samples,
        reserved_ns,
        reservations=int((~released[first:]).sum()),
        releases=int(released[first:].sum()),
        peak_reserved=int(held[first:].max()),
        freed_row=rows[frees],
        freed_pages=freed[frees],
        tagged_ns=tagged_ns,
        amplification_ns=float(ratios[0]),
        inverse_ideal_ns=float(ratios[1]),
    )


@entry
def _occupy(
    time_ns: NDArray[np.int64],
    op: NDArray[np.uint8],
    order: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    flags: NDArray[np.uint8],
    rows: NDArray[np.int64],
    from_ns: int,
    end_ns: int,
    tag_block_pages: int,
    reserved_ns: NDArray[np.int64],
    tagged_in: NDArray[np.int32],
    frames: NDArray[np.uint8],
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.bool_],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    int,
    NDArray[np.float64],
]:
    covered = DATA_PAGES_PER_TAG_PAGE * tag_block_pages
    most = 0
    for row in rows:
        most += ((1 << wide(order[row])) + covered - 1) // covered + 1
    at = np.empty(most, dtype=np.int64)
    block = np.empty(most, dtype=np.int32)
    released = np.empty(most, dtype=np.bool_)
    samples = np.empty((rows.size, 2), dtype=np.int64)
    counts = np.zeros(4, dtype=np.int64)
    ratios = np.zeros(2, dtype=np.float64)
    freed = np.zeros(rows.size, dtype=np.int64)
    sampled = 0
    before = 0
    for number in range(rows.size):
        row = rows[number]
        now = min(max(wide(time_ns[row]), from_ns), end_ns)
        _pass_time(now - before, covered, counts, ratios)
        before = now
        reserved = counts[RESERVED]
        kind = wide(op[row])
        tags = kind == ALLOC and wide(flags[row]) & TAGGED != 0
        first = pfn[row]
        for frame in range(first, first + (1 << wide(order[row]))):
            held = frames[frame] == FRAME_TAGGED
            if held != tags and (held or tags):
                freed[number] += 0 if tags else 1
                of_frame = frame // covered
                step = counts[STEPS]
                if _change(of_frame, tags, end_ns - now, tagged_in, reserved_ns, counts):
                    at[step] = row
                    block[step] = of_frame
                    released[step] = not tags
            if kind == FREE:
                frames[frame] = FRAME_FREE
            else:
                frames[frame] = FRAME_TAGGED if tags else FRAME_UNTAGGED
        if counts[RESERVED] > reserved:
            samples[sampled, 0] = 1 if wide(flags[row]) & ATOMIC else 0
            samples[sampled, 1] = counts[RESERVED] - reserved
            sampled += 1
    _pass_time(end_ns - before, covered, counts, ratios)
    steps = counts[STEPS]
    return (
        at[:steps].copy(),
        block[:steps].copy(),
        released[:steps].copy(),
        samples[:sampled].copy(),
        reserved_ns,
        freed,
        counts[TAGGED_NS],
        ratios,
    )


@kernel
def _pass_time(
    elapsed: int, covered: int, counts: NDArray[np.int64], ratios: NDArray[np.float64]
) -> None:
    """Add the time that the state has held to the integrals over it."""
    if counts[TAGGED_NOW] > 0:
        ideal = (counts[TAGGED_NOW] + covered - 1) // covered
        counts[TAGGED_NS] += elapsed
        ratios[0] += elapsed * (counts[RESERVED] / ideal)
        ratios[1] += elapsed / ideal


@kernel
def _change(
    block: int,
    tags: bool,
    remaining_ns: int,
    tagged_in: NDArray[np.int32],
    reserved_ns: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> bool:
    """Tag or untag a page of a block; return whether that reserves or releases it."""
    if tags:
        counts[TAGGED_NOW] += 1
        tagged_in[block] += 1
        if tagged_in[block] > 1:
            return False
        counts[RESERVED] += 1
        reserved_ns[block] += remaining_ns
    else:
        counts[TAGGED_NOW] -= 1
        tagged_in[block] -= 1
        if tagged_in[block] > 0:
            return False
        counts[RESERVED] -= 1
        reserved_ns[block] -= remaining_ns
    counts[STEPS] += 1
    return True
