"""Tagged placement: other frames for the tagged pages of a table, by an allocator that knows.

When a page is allocated tagged in a free frame, that frame trades places with another free frame
for the rest of the table: what the table later does in either of them is then done in the other. So
no frame is used twice, no more is allocated than before, and nothing changes but where tagged pages
lie. In a table of tagged allocations alone, every frame that is not tagged counts as free: such a
placement is the best that an allocator could do if it kept other memory out of the way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events import (
    ALLOC,
    FRAME_FREE,
    FRAME_TAGGED,
    FRAME_UNTAGGED,
    FREE,
    SCHEMA,
    TAGGED,
    Events,
    make_events,
)
from core.jit import entry, kernel, wide
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine

_NONE = -1
#: In place of the block below, of a block that is on no stack.
_UNSTACKED = -2
# Elements of `heads`: blocks without tagged pages, the last released first: of the headroom, and
# the others; and the lowest block that may have tagged pages and room.
_HEADROOM, _OTHERS, _LOWEST = range(3)


def place_tagged(
    events: Events, machine: Machine, headroom_blocks: int, hosts: int | None = None
) -> Events:
    """Return `events` with tagged pages where an allocator that knows would put them.

    A page goes to the lowest block that is reserved and has a free frame; where there is none, to a
    block of the headroom; and else to the block that was released last. That one caches least,
    since free slots are used in the order in which they became free.

    Parameters
    ----------
    events
        The table.
    machine
        Its machine.
    headroom_blocks
        How many blocks, the first, are headroom.
    hosts
        How many blocks, the first, may be chosen; by default all of them.
    """
    frames = (events.op == ALLOC) | (events.op == FREE)
    sizes = np.where(frames, 1 << events.order.astype(np.int64), 1)
    source = np.repeat(np.arange(sizes.size), sizes)
    pfn = events.pfn[source]
    _place(
        *(events.op, events.order, events.pfn, events.flags, pfn, machine.data_pages),
        *(DATA_PAGES_PER_TAG_PAGE * machine.tag_block_pages, machine.tag_blocks, headroom_blocks),
        machine.tag_blocks if hosts is None else hosts,
    )
    columns = {name: column[source] for name, column in events.columns.items()}
    columns["pfn"] = pfn
    columns["order"] = np.where(frames[source], 0, columns["order"])
    return make_events(
        {name: columns[name] for name in SCHEMA.names},
        **events.about | {"data_pages": max(events.data_pages, machine.data_pages)},
    )


@kernel
def _push(heads: NDArray[np.int64], below: NDArray[np.int64], block: int, headroom: int) -> None:
    head = _HEADROOM if block < headroom else _OTHERS
    below[block] = heads[head]
    heads[head] = block


@kernel
def _pull(heads: NDArray[np.int64], below: NDArray[np.int64], block: int, headroom: int) -> None:
    """Take a block off its stack; it is on top unless a page is tagged in place."""
    head = _HEADROOM if block < headroom else _OTHERS
    if heads[head] == block:
        heads[head] = below[block]
    else:
        above = wide(heads[head])
        while below[above] != block:
            above = wide(below[above])
        below[above] = below[block]
    below[block] = _UNSTACKED


@kernel
def _choose_block(
    heads: NDArray[np.int64],
    below: NDArray[np.int64],
    tagged_in: NDArray[np.int64],
    free_in: NDArray[np.int64],
) -> int:
    """Return the block whose frame the next tagged page gets, or none if no frame is free."""
    block = wide(heads[_LOWEST])
    while block < tagged_in.size and (tagged_in[block] == 0 or free_in[block] == 0):
        block += 1
    heads[_LOWEST] = block
    if block < tagged_in.size:
        return block
    for head in (_HEADROOM, _OTHERS):
        block = wide(heads[head])
        while block != _NONE:
            if free_in[block] > 0:
                return block
            block = wide(below[block])
    return wide(_NONE)


@entry
def _place(
    op: NDArray[np.uint8],
    order: NDArray[np.uint8],
    recorded: NDArray[np.int64],
    flags: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    data_pages: int,
    covered: int,
    blocks: int,
    headroom: int,
    hosts: int,
) -> None:
    frame_of = np.arange(data_pages)
    recorded_of = np.arange(data_pages)
    state = np.full(data_pages, FRAME_FREE, dtype=np.uint8)
    tagged_in = np.zeros(blocks, dtype=np.int64)
    free_in = np.full(blocks, covered, dtype=np.int64)
    free_in[blocks - 1] = data_pages - (blocks - 1) * covered
    heads = np.array([_NONE, _NONE, blocks])
    below = np.full(blocks, _UNSTACKED)
    for block in range(hosts - 1, -1, -1):
        _push(heads, below, block, headroom)
    # Guests' blocks are never chosen, whatever is free in them.
    free_in[hosts:] = 0
    place = 0
    for row in range(op.size):
        kind = wide(op[row])
        if kind not in (ALLOC, FREE):
            place += 1
            continue
        tags = kind == ALLOC and wide(flags[row]) & TAGGED != 0
        for old in range(recorded[row], recorded[row] + (1 << wide(order[row]))):
            frame = wide(frame_of[old])
            before = wide(state[frame])
            if tags and before == FRAME_FREE:
                block = _choose_block(heads, below, tagged_in, free_in)
                if block != _NONE:
                    chosen = block * covered
                    while state[chosen] != FRAME_FREE:
                        chosen += 1
                    other = wide(recorded_of[chosen])
                    frame_of[old], frame_of[other] = chosen, frame
                    recorded_of[chosen], recorded_of[frame] = old, other
                    frame = chosen
            pfn[place] = frame
            place += 1
            after = FRAME_FREE if kind == FREE else FRAME_TAGGED if tags else FRAME_UNTAGGED
            if after == before:
                continue
            state[frame] = after
            block = frame // covered
            if block >= hosts:
                continue
            free_in[block] += (1 if after == FRAME_FREE else 0) - (1 if before == FRAME_FREE else 0)
            if after == FRAME_TAGGED:
                tagged_in[block] += 1
                if tagged_in[block] == 1:
                    _pull(heads, below, block, headroom)
            elif before == FRAME_TAGGED:
                tagged_in[block] -= 1
                if tagged_in[block] == 0:
                    _push(heads, below, block, headroom)
            if tagged_in[block] > 0 and free_in[block] > 0:
                heads[_LOWEST] = min(heads[_LOWEST], block)
