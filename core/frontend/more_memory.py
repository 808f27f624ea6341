"""A larger memory: frames for what needs them, where tag storage only makes memory larger.

Any page can lie anywhere then, but a tagged page needs a frame of data memory. Where these run out
while memory is left, pages that are not tagged give theirs up, at no cost.
"""

from __future__ import annotations

from core.frontend.lists import HEADS, TAGGED_PAGE, oldest
from core.frontend.node import Node, give
from core.frontend.out_of_memory import MIN, SPARES_AT
from core.frontend.tag_storage_as_memory import DATA_FRAMES, SLOTS_FREE, count_slots
from core.frontend.zone import FREE_PAGES, HIGH, LOW, drain_all, zone_free
from core.jit import apart, kernel, loop, wide


@kernel
def _gives_up_frame(node: Node, page: int) -> bool:
    """Return whether a folio is one page that is not tagged, and lies in a frame of data memory."""
    record = node.pages[page]
    is_single = wide(record.order) == 0 and wide(record.bits) & TAGGED_PAGE == 0
    return bool(is_single and 0 <= wide(record.place) < node.register[DATA_FRAMES])


@loop
def spare_frames(node: Node, pages: int) -> int:
    """Move pages from frames to tag storage, if `pages` more frames would leave too few free.

    Return the watermark that reclaim of frames then begins below. Where no page is left to move,
    the next search is for an allocation that cannot be served, and reclaim comes with it.
    """
    apart()
    register = node.register
    frames = zone_free(register) - register[SLOTS_FREE] - pages
    if register[SLOTS_FREE] <= 0 or frames >= register[SPARES_AT]:
        return wide(register[MIN])
    # What the CPU keeps are frames too, and what is given up is not for it to keep.
    drain_all(node.frames, register)
    frames = zone_free(register) - register[SLOTS_FREE] - pages
    wanted = min(wide(register[SLOTS_FREE]), wide(register[HIGH]) - frames)
    end = wide(node.pages.shape[0]) - HEADS
    for which in range(HEADS):
        page = oldest(node.pages, wide(which))
        while wanted > 0 and 0 <= page < end:
            if _gives_up_frame(node, page):
                give(node, wide(node.pages[page].place), wide(0))
                register[FREE_PAGES] -= 1
                node.pages[page].place = register[DATA_FRAMES]
                count_slots(register, wide(-1))
                wanted -= 1
            page = wide(node.pages[page].prev)
    drain_all(node.frames, register)
    searched_at = wide(register[SPARES_AT])
    register[SPARES_AT] = register[MIN] if wanted > 0 else register[LOW]
    return wide(register[HIGH] if wanted > 0 and searched_at == register[MIN] else register[MIN])
