"""Steps: what a replay goes through, one after the other, and how a step is written in a word.

A step is a file event of the table or a change of tag storage. Its word packs the kind in bits 0-2,
a flag in bit 3, the order of the folio in bits 4-7, and from bit 8 on what is said of its pages, of
its read request and of its allocation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel

#: Kinds beside the ops of file events (core.events.STORE to INVALIDATE_INODE).
RESERVE, RELEASE, RESIZE, FRAMES = 4, 5, 6, 7
KIND_BITS = 7
FLAG = 8
ORDER_SHIFT = 4
ORDER_BITS = 15
#: The pages are anonymous.
OF_SWAP = 256
#: Of a restore: it is the first, or the last, of its read request.
BEGINS, ENDS = 512, 1024
#: A task waits: for the folio of a restore, or for the reclaim that stores.
WAITED = 2048
#: Of a store: the file system has marked that the folio's blocks are on disk.
ON_DISK = 4096
#: Of a block that is reserved: the allocation is atomic.
IN_ATOMIC = 8192


class Steps(NamedTuple):
    """The steps of a timeline as kernels take them; arrays are read-only.

    What `argument` and the flag say depends on the kind of the step:

    =================  ================================  =========================================
    kind               argument                          flag
    =================  ================================  =========================================
    store              the folio's first page            the folio is of the workingset
    restore            the folio's first page            the page before it in number is its
                                                         neighbour in the file
    invalidate         the folio's first page
    invalidate_inode   a row of `inode_pages`
    reserve            the tag block                     the last block of its allocation
    release            the tag block
    resize             the new size of a region, pages   it shrinks
    frames             the tag block above 2**order      they are free now, else allocated
                       data frames
    =================  ================================  =========================================
    """

    word: NDArray[np.int16]  # [step]
    argument: NDArray[np.int32]  # [step]
    remaining_ns: NDArray[np.int64]  # [step] time that counts from the step to the last event
    inode_pages: NDArray[np.int32]  # [invalidate_inode, (first, end)]
    sample_bins: NDArray[np.int32]  # [sample] bin of a sample of its class that drops no page
    mark_steps: NDArray[np.int64]  # [mark + 1] steps up to each moment at which lanes are read
    warm_up_marks: int  # marks up to the end of the warm-up; 0: there is none


@kernel
def kind_of(word: int) -> int:
    """Return the kind of a step: the op of a file event, or a change of tag storage."""
    return word & KIND_BITS


@kernel
def is_flagged(word: int) -> bool:
    """Return whether the flag of a step is set."""
    return word & FLAG != 0


@kernel
def order_of(word: int) -> int:
    """Return the order of a step's folio."""
    return word >> ORDER_SHIFT & ORDER_BITS
