"""The rows that the loop of the front end writes, as a table of mm events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.accesses import READ, Accesses
from core.events import INVALIDATE, JOIN, PHASE, SCHEMA, WANTED, Events, make_events
from core.frontend.extents import Extents
from core.jit import entry, wide


def events_of(accesses: Accesses, extents: Extents, parts: list[NDArray[np.int32]]) -> Events:
    """Return the table of mm events of the rows that the loop wrote for `accesses`."""
    rows = sum(part.shape[0] for part in parts)
    columns = {field.name: np.zeros(rows, dtype=field.type.to_pandas_dtype()) for field in SCHEMA}
    start = 0
    for part in parts:
        targets = (column[start : start + part.shape[0]] for column in columns.values())
        _name(
            part,
            accesses.time_ns,
            extents.chunk_order,
            extents.extent_of,
            extents.first,
            extents.inode,
            extents.index,
            *targets,
        )
        start += part.shape[0]
    # Lookups tell what is one request; reads that were recorded without it leave it to a guess.
    requests = accesses.requests or not bool((accesses.op == READ).any())
    if not requests:
        columns["flags"] &= 0xFF & ~(JOIN | WANTED)
    return make_events(
        columns,
        page_size=accesses.page_size,
        data_pages=accesses.data_pages,
        source=accesses.source,
        losses=accesses.losses,
        requests=requests,
        phases=accesses.phases,
        workingset_inferred_ratio=0.0,
        # Compiled code replays the rows: a bad one, from a machine that none is like, ends here.
        name=accesses.source,
    )


@entry
def _name(
    rows: NDArray[np.int32],
    access_ns: NDArray[np.int64],
    chunk_order: int,
    extent_of: NDArray[np.int32],
    extent_first: NDArray[np.int64],
    extent_inode: NDArray[np.uint32],
    extent_index: NDArray[np.uint32],
    time_ns: NDArray[np.int64],
    op: NDArray[np.uint8],
    inode: NDArray[np.uint32],
    index: NDArray[np.uint32],
    order: NDArray[np.uint8],
    pfn: NDArray[np.int64],
    flags: NDArray[np.uint8],
) -> None:
    """Write rows of output into columns, with their pages named by inode and index."""
    for row in range(rows.shape[0]):
        time_ns[row] = access_ns[rows[row, 0]]
        op[row] = rows[row, 1]
        order[row] = rows[row, 3]
        pfn[row] = rows[row, 4]
        flags[row] = rows[row, 5]
        if rows[row, 1] == PHASE:
            index[row] = wide(rows[row, 2]) & 0xFFFF_FFFF
        elif rows[row, 1] <= INVALIDATE:
            page = wide(rows[row, 2])
            extent = extent_of[page >> chunk_order]
            inode[row] = extent_inode[extent]
            index[row] = wide(extent_index[extent]) + page - extent_first[extent]
