"""Read requests: what one readahead call, or one fault, asks of the disk.

A request that is missed in part reads what it misses in commands, each of consecutive pages of one
file; a task waits for it if a page that it wants was missed. Which rows are a request is recorded,
or guessed; what of it is missed depends on the policy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import JOIN, RESTORE, WANTED, Events, is_anonymous
from core.jit import entry, kernel, wide
from core.lane import (
    LAST_MISSED,
    MISSED,
    READ_COMMANDS,
    READ_PAGES,
    REQUEST_COMMANDS,
    REQUEST_PAGES,
    REQUEST_WAITED,
    RUN_PAGE,
    RUN_STOPPED,
    WAITED_COMMANDS,
    WAITED_PAGES,
    WAITED_REQUESTS,
    Register,
)
from core.timeline.steps import BEGINS, ENDS, WAITED

#: A guessed request has at most so many pages: the default window of Linux, 128 KiB of 4 KiB pages.
GUESSED_PAGES = 32
# What RUN_PAGE and LAST_MISSED hold where there is no page: none follows it.
_NO_PAGE = -2


class Requests(NamedTuple):
    """Which rows begin and end a read request, and which a task waits for.  # each [event]"""

    begins: NDArray[np.bool_]
    ends: NDArray[np.bool_]
    waited: NDArray[np.bool_]


def find_requests(events: Events) -> Requests:
    """Return the read requests of a table: as recorded, or guessed by docs/model.md's rule.

    Requests are made of the whole table; a system that leaves anonymous pages out leaves whole
    requests out.
    """
    restores = events.op == RESTORE
    rows = np.flatnonzero(restores)
    begins, ends = np.zeros_like(restores), np.zeros_like(restores)
    if events.requests:
        begins[rows] = events.flags[rows] & JOIN == 0
        waited = events.flags & WANTED != 0
    else:
        begins[rows] = _guess(
            *(events.inode[rows], events.index[rows], events.order[rows]),
            is_anonymous(events)[rows],
        )
        waited = restores
    ends[rows[:-1]] = begins[rows[1:]]
    ends[rows[-1:]] = True
    return Requests(begins, ends, waited)


@entry
def _guess(
    inode: NDArray[np.uint32],
    index: NDArray[np.uint32],
    order: NDArray[np.uint8],
    anonymous: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which restores begin a request, as far as their pages tell.  # [restore]"""
    begins = np.ones(inode.size, dtype=np.bool_)
    pages = wide(0)
    following = wide(-1)
    for row in range(inode.size):
        size = wide(1) << wide(order[row])
        if (
            row > 0
            and inode[row] == inode[row - 1]
            and anonymous[row] == anonymous[row - 1]
            and wide(index[row]) == following
            and pages + size <= GUESSED_PAGES
        ):
            begins[row] = False
            pages += size
        else:
            pages = size
        following = wide(index[row]) + size
    return begins


@kernel
def begin_row(register: Register, word: int) -> None:
    """Take in a row of restore, before its pages: it begins a request, or goes on with one."""
    if word & BEGINS:
        register[RUN_PAGE] = _NO_PAGE
        register[RUN_STOPPED] = 0
        register[LAST_MISSED] = _NO_PAGE
        register[REQUEST_COMMANDS] = 0
        register[REQUEST_PAGES] = 0
        register[REQUEST_WAITED] = 0


@kernel
def is_stopped(register: Register, page: int, follows: bool) -> bool:
    """Return whether a page is behind a miss of its run, and so is not looked up.

    `follows` says whether the page before it in number is its neighbour in the file.
    """
    if not (follows and page == register[RUN_PAGE] + 1):
        register[RUN_STOPPED] = 0
    register[RUN_PAGE] = page
    return bool(register[RUN_STOPPED])


@kernel
def count_miss(register: Register, page: int, follows: bool, word: int) -> None:
    """Count a page that is read from storage; `word` is its row's."""
    register[MISSED] += 1
    register[RUN_STOPPED] = 1
    register[REQUEST_PAGES] += 1
    if not (follows and page == register[LAST_MISSED] + 1):
        register[REQUEST_COMMANDS] += 1
    register[LAST_MISSED] = page
    if word & WAITED:
        register[REQUEST_WAITED] = 1


@kernel
def end_row(register: Register, word: int) -> None:
    """Count what a request reads, if the row is its last."""
    if word & ENDS:
        commands, pages = register[REQUEST_COMMANDS], register[REQUEST_PAGES]
        register[READ_COMMANDS] += commands
        register[READ_PAGES] += pages
        if register[REQUEST_WAITED]:
            register[WAITED_REQUESTS] += 1
            register[WAITED_COMMANDS] += commands
            register[WAITED_PAGES] += pages
