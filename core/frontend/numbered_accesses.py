"""Accesses as the loop reads them: what they name has dense numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import ACCESSES, BOOT_HANDLE, EXIT, GIVE, MAP, PHASE, TAKE, Accesses
from core.events import ANONYMOUS
from core.frontend.dense_numbers import NAMELESS, number_names
from core.frontend.extents import Extents
from core.jit import entry, wide

# The kind of a row whose handle names memory from before the trace; it comes after those of
# accesses.
_FROM_BEFORE = len(ACCESSES)
# Memory, memory from before the trace, and tasks are numbered apart, since the names of each are
# dense, or nearly, by themselves.
_GROUP_OF = np.full(_FROM_BEFORE + 1, NAMELESS, dtype=np.uint8)
_GROUP_OF[[TAKE, GIVE]] = 0
_GROUP_OF[_FROM_BEFORE] = 1
_GROUP_OF[[MAP, EXIT]] = 2


#: What `next_map` says of a mapping that is gone with its task.
ENDED = -2


class NumberedAccesses(NamedTuple):
    """Accesses whose pages and handles are numbered, and who holds what."""

    time_ns: NDArray[np.int64]  # [access], as the next ones
    op: NDArray[np.uint8]
    # Of a row of phase, the number of its name, or -1 where none begins; of rows of take and give,
    # the page of a program that they are of, or -1.
    page: NDArray[np.int32]
    extent: NDArray[np.int32]  # empty if nothing is looked up
    order: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    request: NDArray[np.int64]  # pages of a lookup's request from this row on
    handle: NDArray[np.int32]
    # [handle] of memory, 1 + its frame, negative if it is tagged; of a task, its last mapping
    holder: NDArray[np.int32]
    # [access] of a mapping: the one of its task before it, or ENDED; the one of its page before it
    next_map: NDArray[np.int32]
    next_mapper: NDArray[np.int32]


def number_accesses(accesses: Accesses, extents: Extents) -> NumberedAccesses:
    """Return the accesses with their pages numbered as in `extents`, and with dense handles."""
    op = accesses.op
    phases = op == PHASE
    extents.page[phases] = accesses.index[phases].view(np.int32)
    extents.page[(op == TAKE) | (op == GIVE)] = -1
    kind, name = np.empty_like(op), np.empty(op.size, dtype=np.int64)
    _name_handles(op, accesses.handle, kind, name)
    handle, (taken, before, tasks) = number_names(kind, _GROUP_OF, name, 3)
    holder = np.zeros(taken.size + before.size + tasks.size, dtype=np.int32)
    # Without ranges the frames that were free are not known, nor is where older memory lies.
    if accesses.free_ranges:
        holder[taken.size :][: before.size] = before + 1
    holder[taken.size + before.size :] = -1
    return NumberedAccesses(
        time_ns=accesses.time_ns,
        op=op,
        page=extents.page,
        extent=extents.extent,
        order=accesses.order,
        flags=accesses.flags,
        request=accesses.handle,
        handle=handle,
        holder=holder,
        next_map=np.empty(op.size if tasks.size else 0, dtype=np.int32),
        next_mapper=np.empty(op.size if tasks.size else 0, dtype=np.int32),
    )


@entry
def number_programs(
    op: NDArray[np.uint8],
    flags: NDArray[np.uint8],
    handle: NDArray[np.int32],
    held: NDArray[np.int32],
    first: int,
    page: NDArray[np.int32],
) -> int:
    """Write the pages of memory that programs take and give, and return how many there are at most.

    Parameters
    ----------
    op, flags, handle
        Of accesses, the handles being dense numbers.
    held
        Room for a number of each handle, -1.
    first
        The number of the first page. A page that was given is taken again.
    page
        The pages [access], which are written.
    """
    spare = np.empty(held.size, dtype=np.int32)
    spares, pages = wide(0), wide(0)
    for row in range(op.size):
        if op[row] == TAKE and flags[row] & ANONYMOUS:
            if spares > 0:
                spares -= 1
                number = wide(spare[spares])
            else:
                number = first + pages
                pages += 1
            held[handle[row]] = number
            page[row] = number
        elif op[row] == GIVE and held[handle[row]] >= 0:
            number = wide(held[handle[row]])
            held[handle[row]] = -1
            page[row] = number
            spare[spares] = number
            spares += 1
    return pages


@entry
def _name_handles(
    op: NDArray[np.uint8],
    handle: NDArray[np.int64],
    kind: NDArray[np.uint8],
    name: NDArray[np.int64],
) -> None:
    """Write the kind and the name of each handle; memory from before the trace is its own kind."""
    for row in range(op.size):
        kind[row] = op[row]
        name[row] = handle[row]
        if (op[row] == TAKE or op[row] == GIVE) and handle[row] >= BOOT_HANDLE:
            kind[row] = _FROM_BEFORE
            name[row] = handle[row] - BOOT_HANDLE
