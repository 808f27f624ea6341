"""Slow, plain oracle of the ideal on mm events, written from docs/model.md alone."""

from collections.abc import Sequence

from reference_events import (
    ALLOC,
    FREE,
    INVALIDATE,
    INVALIDATE_INODE,
    RESTORE,
    STORE,
    TAGGED,
    Event,
    Page,
)


def ideal_restored(events: Sequence[Event], data_pages: int, tag_block_pages: int) -> int:
    """Pages restored by the bound: it gives up the page that is restored last, when it must."""
    return len(ideal(events, data_pages, tag_block_pages)[0])


def ideal(
    events: Sequence[Event],
    data_pages: int,
    tag_block_pages: int,
    warm_up_end_ns: float = float("-inf"),
) -> tuple[set[tuple[int, Page]], list[int]]:
    """Pages that the bound restores, by row, and how many it keeps after each row.

    What is restored up to the end of the warm-up is worth nothing.
    """
    later: list[dict[Page, int]] = []  # of each row: its pages' next events, if they are restores
    upcoming: dict[Page, int] = {}
    for row in reversed(range(len(events))):
        event = events[row]
        if event.is_anonymous():
            later.append({})
            continue
        later.append(dict(upcoming) if event.op in (STORE, RESTORE) else {})
        if event.op == INVALIDATE_INODE:
            upcoming = {page: at for page, at in upcoming.items() if page[0] != event.inode}
        elif event.op in (STORE, RESTORE, INVALIDATE):
            for page in event.pages():
                upcoming.pop(page, None)
                if event.op == RESTORE and event.time_ns > warm_up_end_ns:
                    upcoming[page] = row
    later.reverse()
    slots = -(-data_pages // (32 * tag_block_pages)) * tag_block_pages
    tagged: set[int] = set()
    kept: dict[Page, int] = {}
    restored: set[tuple[int, Page]] = set()
    kept_after: list[int] = []
    for row, event in enumerate(events):
        frames = set(range(event.pfn, event.pfn + (1 << event.order)))
        if event.op in (STORE, RESTORE) and not event.is_anonymous():
            for page in event.pages():
                if event.op == RESTORE and kept.pop(page, None) is not None:
                    restored.add((row, page))
                if page in later[row]:
                    kept[page] = later[row][page]
        elif event.op == ALLOC and event.flags & TAGGED:
            tagged |= frames
        elif event.op == FREE:
            tagged -= frames
        reserved = {frame // 32 // tag_block_pages for frame in tagged}
        while len(kept) > slots - len(reserved) * tag_block_pages:
            del kept[max(kept, key=lambda page: (kept[page], page))]
        kept_after.append(len(kept))
    return restored, kept_after
