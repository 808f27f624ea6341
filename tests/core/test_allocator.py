"""Which frames an allocation takes where its kind has none: mm/page_alloc.c, worked by hand."""

from __future__ import annotations

import pytest

from core.frontend.allocator import (
    MOVABLE,
    UNMOVABLE,
    Frames,
    kind_of_frame,
    make_frames,
    note_use,
    release,
    stolen,
    take_block,
)

BLOCK = 512


def used_block(kind: int, unmovable: int = 0) -> Frames:
    """Return a page block of a kind, all in use: the last frames as many unmovable, others movable.

    Beside it there is nothing.
    """
    frames = make_frames(BLOCK)
    release(frames, 0, 9)
    assert take_block(frames, kind, 9) == 0
    assert kind_of_frame(frames, 0) == kind
    note_use(frames, 0, MOVABLE, 9)
    for frame in range(BLOCK - unmovable, BLOCK):
        note_use(frames, frame, UNMOVABLE, 0)
    return frames


@pytest.mark.parametrize(("unmovable", "changes"), [(0, False), (127, False), (128, True)])
def test_a_block_becomes_unmovable_where_half_of_it_is_free_or_unmovable(
    unmovable: int, changes: bool
) -> None:
    frames = used_block(MOVABLE, unmovable)
    release(frames, 0, 7)  # 128 frames are free, and half are 256
    assert take_block(frames, UNMOVABLE, 0) == 0
    assert (kind_of_frame(frames, 0) == UNMOVABLE) == changes
    # What is left of the free block is of the block's kind.
    assert take_block(frames, UNMOVABLE if changes else MOVABLE, 6) == 64
    assert stolen(frames) == 1


@pytest.mark.parametrize(("unmovable", "changes"), [(384, False), (257, False), (256, True)])
def test_a_block_becomes_movable_where_half_of_it_is_free_or_movable(
    unmovable: int, changes: bool
) -> None:
    frames = used_block(UNMOVABLE, unmovable)
    release(frames, 0, 7)
    assert take_block(frames, MOVABLE, 0) == 0
    assert (kind_of_frame(frames, 0) == MOVABLE) == changes


def test_a_whole_page_block_changes_its_kind_and_counts_as_no_stolen_one() -> None:
    frames = make_frames(2 * BLOCK)
    release(frames, 0, 10)
    assert take_block(frames, UNMOVABLE, 0) == 0
    assert [kind_of_frame(frames, frame) for frame in (0, BLOCK)] == [UNMOVABLE, UNMOVABLE]
    assert stolen(frames) == 0


def pieces(kind: int, *orders: int) -> Frames:
    """Return a block in use as its kind, but for a free piece of each order, at 32 times that."""
    frames = used_block(kind, 0 if kind == MOVABLE else BLOCK)
    for order in orders:
        release(frames, 32 * order, order)
    return frames


def test_one_movable_page_is_taken_from_the_smallest_block() -> None:
    assert take_block(pieces(UNMOVABLE, 1, 2, 3), MOVABLE, 0) == 32
    assert take_block(pieces(UNMOVABLE, 1, 2, 3), MOVABLE, 1) == 32
    assert take_block(pieces(UNMOVABLE, 1, 2, 3), MOVABLE, 2) == 64


def test_it_is_taken_from_the_largest_block_where_that_has_16_pages() -> None:
    assert take_block(pieces(UNMOVABLE, 1, 2, 4), MOVABLE, 0) == 128


def test_an_unmovable_page_is_taken_from_the_largest_block() -> None:
    assert take_block(pieces(MOVABLE, 1, 2, 3), UNMOVABLE, 0) == 96


def test_a_kind_that_has_frames_steals_none() -> None:
    frames = used_block(UNMOVABLE, BLOCK)
    release(frames, 64, 3)
    assert take_block(frames, UNMOVABLE, 0) == 64
    assert (kind_of_frame(frames, 0), stolen(frames)) == (UNMOVABLE, 0)


def test_what_was_stolen_is_told_once() -> None:
    frames = pieces(MOVABLE, 1, 3)
    take_block(frames, UNMOVABLE, 2)
    take_block(frames, UNMOVABLE, 0)
    assert stolen(frames)
    assert not stolen(frames)
