"""What a timeline's restores read if all of them miss: what is counted where nothing is cached.

It is what every saving is measured against, and what a carve-out counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events import RESTORE, STORE
from core.jit import entry, wide
from core.lane import MISSED, REGISTERS, SKIPPED, TALLIES, WRITTEN
from core.timeline.requests import end_row, follows_in_request, read_page
from core.timeline.steps import OF_SWAP, Steps, kind_of, order_of


def count_all_missed(steps: Steps) -> NDArray[np.int64]:
    """Return what is counted up to each mark if every restore misses.  # [mark, tally]

    Pages that are swapped out count as `written`: without a system, all are.
    """
    counted = np.zeros((steps.mark_steps.size - 1, len(TALLIES)), dtype=np.int64)
    _count(steps, counted)
    return counted


@entry
def _count(steps: Steps, counted: NDArray[np.int64]) -> None:
    register = np.zeros(REGISTERS, dtype=np.int64)
    for mark in range(counted.shape[0]):
        for step in range(steps.mark_steps[mark], steps.mark_steps[mark + 1]):
            word = wide(steps.word[step])
            pages = 1 << order_of(word)
            if kind_of(word) == STORE:
                register[SKIPPED] += pages
                register[WRITTEN] += pages if word & OF_SWAP else 0
            elif kind_of(word) == RESTORE:
                first, follows = wide(steps.argument[step]), follows_in_request(word)
                for page in range(first, first + pages):
                    read_page(register, page, follows)
                    follows = True
                register[MISSED] += pages
                end_row(register, word, True)
        counted[mark] = register[: counted.shape[1]]
