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
from core.timeline.steps import BEGINS, ENDS, WAITED, is_flagged

#: A guessed request has at most so many pages: the default window of Linux, 128 KiB of 4 KiB pages.
GUESSED_PAGES = 32


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
def follows_in_request(word: int) -> bool:
    """Return whether the first page of a restore's row may go on with what is before it.

    It does if the page before it in number is its neighbour in the file, and the row begins no
    request: so nothing of the request before has to be forgotten.
    """
    return is_flagged(word) and word & BEGINS == 0


@kernel
def is_stopped(register: Register, page: int, follows: bool) -> bool:
    """Return whether a page is behind a miss of its run, and so is not looked up."""
    if not (follows and page == register[RUN_PAGE] + 1):
        register[RUN_STOPPED] = 0
    register[RUN_PAGE] = page
    return bool(register[RUN_STOPPED])


@kernel
def read_page(register: Register, page: int, follows: bool) -> None:
    """Take in that a page of a request is missed: it goes on with a command, or begins one."""
    # The page that was missed last may be of another request: this one then has no command yet.
    goes_on = follows and page == register[LAST_MISSED] + 1 and register[REQUEST_PAGES] > 0
    register[REQUEST_PAGES] += 1
    if not goes_on:
        register[REQUEST_COMMANDS] += 1
    register[LAST_MISSED] = page


@kernel
def end_row(register: Register, word: int, missed: bool) -> None:
    """Take in whether a row missed a page; if the row is its request's last, count the request."""
    if missed and word & WAITED:
        register[REQUEST_WAITED] = 1
    if word & ENDS and register[REQUEST_PAGES] > 0:
        commands, pages = register[REQUEST_COMMANDS], register[REQUEST_PAGES]
        register[READ_COMMANDS] += commands
        register[READ_PAGES] += pages
        if register[REQUEST_WAITED]:
            register[WAITED_REQUESTS] += 1
            register[WAITED_COMMANDS] += commands
            register[WAITED_PAGES] += pages
        register[REQUEST_COMMANDS] = 0
        register[REQUEST_PAGES] = 0
        register[REQUEST_WAITED] = 0
