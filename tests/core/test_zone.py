"""What the CPU of a zone keeps follows mm/page_alloc.c of Linux 6.12, by cases worked by hand.

The zone has 16,384 pages, so that a batch is of (16,384 / 4,096) * 1.5 = 6, rounded down to a power
of two, minus 1: 3 pages.
"""

from __future__ import annotations

import numpy as np
import pytest
from access_rows import Row, as_accesses, read
from hypothesis import given, settings
from hypothesis import strategies as st

from core.accesses import BOOT_HANDLE, GIVE
from core.frontend.allocator import (
    MOVABLE,
    NONE,
    UNMOVABLE,
    Frames,
    kind_of_frame,
    make_frames,
    release,
    take_block,
)
from core.frontend.lists import Register
from core.frontend.run import FrontEnd, Reclaim, run_frontend
from core.frontend.zone import (
    BOOST,
    CACHED,
    FREE_PAGES,
    HIGH,
    LOW,
    NOW_NS,
    RECLAIMS,
    ZONE_REGISTERS,
    begin_zone,
    boost,
    drain_all,
    give_frame,
    pass_second,
    take_frame,
    zone_free,
)

PAGES, BLOCK_PAGES, SECOND_NS = 16_384, 512, 10**9
Zone = tuple[Frames, Register]


def make_zone(free_pages: int = 8192, low: int = 8, high: int = 12) -> Zone:
    """Return a zone whose last pages are free, in whole page blocks."""
    frames, register = make_frames(PAGES), np.zeros(ZONE_REGISTERS, dtype=np.int64)
    register[[FREE_PAGES, LOW, HIGH]] = free_pages, low, high
    begin_zone(register, PAGES)
    for block in range(PAGES - free_pages, PAGES, BLOCK_PAGES):
        release(frames, block, 9)
    return frames, register


def take(zone: Zone, kind: int = MOVABLE) -> int:
    zone[1][FREE_PAGES] -= 1
    return int(take_frame(*zone, kind))


def give(zone: Zone, frame: int) -> None:
    zone[1][FREE_PAGES] += 1
    give_frame(*zone, kind_of_frame(zone[0], frame), frame)


def give_others(zone: Zone, pages: int) -> list[int]:
    """Free so many pages that the CPU did not keep; return what it keeps after each."""
    kept = []
    for _ in range(pages):
        zone[1][FREE_PAGES] -= 1
        give(zone, int(take_block(zone[0], MOVABLE, 0)))
        kept.append(int(zone[1][CACHED]))
    return kept


def refills(zone: Zone, count: int) -> list[int]:
    """Take pages until there were so many refills; return how many pages each had."""
    sizes: list[int] = []
    while len(sizes) < count:
        had = int(zone[1][CACHED])
        take(zone)
        if not had:
            sizes.append(int(zone[1][CACHED]) + 1)
    return sizes


def test_what_the_cpu_keeps_is_not_free_for_the_watermarks() -> None:
    zone = make_zone()
    assert zone_free(zone[1]) == 8192
    frame = take(zone)  # a refill of 3, of which one is in use
    assert (zone[1][FREE_PAGES], zone[1][CACHED], zone_free(zone[1])) == (8191, 2, 8189)
    give(zone, frame)
    assert (zone[1][FREE_PAGES], zone[1][CACHED], zone_free(zone[1])) == (8192, 3, 8189)


@pytest.mark.parametrize(("pages", "batch"), [(4096, 1), (8192, 1), (16_384, 3), (65_536, 15)])
def test_a_refill_takes_a_batch_of_about_a_4096th_of_memory(pages: int, batch: int) -> None:
    frames, register = make_frames(PAGES), np.zeros(ZONE_REGISTERS, dtype=np.int64)
    release(frames, 0, 9)
    begin_zone(register, pages)
    take_frame(frames, register, MOVABLE)
    assert register[CACHED] == batch - 1


def test_refills_double_up_to_32_batches_while_nothing_is_freed() -> None:
    zone = make_zone()
    assert refills(zone, 8) == [3, 6, 12, 24, 48, 96, 96, 96]
    # A page that is freed halves the doublings: from five to two.
    give_others(zone, 1)
    assert refills(zone, 1) == [12]


def test_below_the_high_watermark_refills_keep_to_the_low_one() -> None:
    # Of the 20 pages that the CPU may keep a batch stays room: 17.
    zone = make_zone(free_pages=1024, low=20, high=1200)
    assert refills(zone, 6) == [3, 6, 12, 17, 17, 17]


def test_what_was_freed_last_is_taken_first() -> None:
    zone = make_zone()
    first, second = take(zone), take(zone)
    give(zone, first)
    give(zone, second)
    assert [take(zone), take(zone)] == [second, first]


def test_the_bound_decays_by_an_eighth_a_second_to_the_low_watermark() -> None:
    zone = make_zone(low=30, high=40)
    pass_second(*zone)
    assert refills(zone, 4) == [3, 6, 12, 24]  # which raise the bound from 30 to 75
    while zone[1][CACHED]:
        take(zone)
    assert give_others(zone, 74)[-1] == 74
    kept = []
    for second in range(1, 10):
        zone[1][NOW_NS] = second * SECOND_NS
        pass_second(*zone)
        kept.append(int(zone[1][CACHED]))
    # 75 - 9 = 66, 66 - 8 = 58, 58 - 7, 51 - 6, 45 - 5, 40 - 5, 35 - 4, then 30.
    assert kept == [66, 58, 51, 45, 40, 35, 31, 30, 30]


def test_seconds_in_which_nothing_happens_pass_too() -> None:
    steps, at_once = make_zone(), make_zone()
    for zone, seconds in ((steps, (1, 2, 3)), (at_once, (3,))):
        pass_second(*zone)
        refills(zone, 5)
        give_others(zone, 40)
        for second in seconds:
            zone[1][NOW_NS] = second * SECOND_NS
            pass_second(*zone)
    assert steps[1][CACHED] == at_once[1][CACHED] > 0


def test_while_reclaim_runs_the_cpu_keeps_four_batches() -> None:
    zone = make_zone(low=60, high=80)
    assert give_others(zone, 50)[-1] == 50
    zone[1][RECLAIMS] = 1
    # After a row of frees each sheds 12 - 3 pages, until fewer than 4 * 3 are kept.
    kept = give_others(zone, 40)
    assert kept[:5] == [50 + 1 - 9, 34, 26, 18, 10]
    assert max(kept[4:]) == 12 - 1
    zone[1][RECLAIMS] = 0
    assert give_others(zone, 40)[-1] > 40


def test_below_the_high_watermark_the_bound_falls_to_the_low_one() -> None:
    zone = make_zone(low=20)
    refills(zone, 5)  # the bound is 20 + 3 + 6 + 12 + 24 + 48 = 113
    while zone[1][CACHED]:
        take(zone)
    assert give_others(zone, 100)[-1] == 100
    zone[1][HIGH] = PAGES  # memory is short now, as the next allocation notes
    take(zone)
    kept = give_others(zone, 60)
    assert kept[0] < 100
    assert max(kept[10:]) == 20 - 1
    # What is left of the bound: refills have 20 - 3 at most.
    assert max(refills(zone, 6)) == 20 - 3


def test_a_drain_frees_all_that_the_cpu_keeps() -> None:
    zone = make_zone(free_pages=1024)
    held = [take(zone, kind) for kind in (MOVABLE, UNMOVABLE, MOVABLE)]
    assert zone[1][CACHED] > 0
    drain_all(*zone)
    assert zone[1][CACHED] == 0
    assert zone_free(zone[1]) == zone[1][FREE_PAGES] == 1024 - 3
    for frame in held:
        give(zone, frame)
    drain_all(*zone)
    # All is one run of free frames again.
    assert take_block(zone[0], MOVABLE, 9) != NONE
    assert take_block(zone[0], MOVABLE, 9) != NONE


def fragmented() -> Zone:
    """Return a zone with a free half of each page block, all of them movable."""
    frames, register = make_frames(PAGES), np.zeros(ZONE_REGISTERS, dtype=np.int64)
    register[[FREE_PAGES, LOW, HIGH]] = PAGES // 2, 300, 400
    begin_zone(register, PAGES)
    for block in range(0, PAGES, BLOCK_PAGES):
        release(frames, block, 8)
    return frames, register


def test_each_stolen_block_raises_the_watermarks_by_150_percent_of_high() -> None:
    zone = fragmented()
    for _ in range(3):
        # Each takes a whole free half: the next one has to steal another.
        assert take_block(zone[0], UNMOVABLE, 8) != NONE
        boost(*zone)
        assert zone[1][BOOST] == 600
    boost(*zone)
    assert zone[1][BOOST] == 600


def test_watermarks_are_raised_by_a_page_block_at_least() -> None:
    zone = fragmented()
    zone[1][HIGH] = 100
    take_block(zone[0], UNMOVABLE, 0)
    boost(*zone)
    assert zone[1][BOOST] == BLOCK_PAGES


def test_a_whole_page_block_that_changes_its_kind_raises_nothing() -> None:
    zone = make_zone()
    take(zone, UNMOVABLE)
    boost(*zone)
    assert zone[1][BOOST] == 0


def test_a_memory_of_less_than_four_page_blocks_is_never_raised() -> None:
    zone = fragmented()
    begin_zone(zone[1], 4 * BLOCK_PAGES - 1)
    take_block(zone[0], UNMOVABLE, 0)
    boost(*zone)
    assert zone[1][BOOST] == 0


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_reclaim_begins_though_the_cpu_keeps_enough(reclaim: Reclaim) -> None:
    # A program gave 40 pages one by one, and the CPU keeps them. Ten folios of 4 pages leave 60
    # free beside those, which is the low watermark; the next one needs reclaim.
    gone: list[Row] = [(GIVE, 0, 0, 0, BOOT_HANDLE + frame, 0) for frame in range(40)]
    runs = []
    for folios in (10, 11):
        rows = [*gone, *(read(4 * number, order=2) for number in range(folios))]
        accesses = as_accesses(rows, free_pages=100, low=60, high=70, free_ranges=((500, 600),))
        runs.append(run_frontend(accesses, FrontEnd(reclaim)).counts["kswapd_runs"])
    assert runs == [0, 1]
    # As many free pages that no CPU keeps do.
    accesses = as_accesses(rows[40:], free_pages=140, low=60, high=70)
    assert run_frontend(accesses, FrontEnd(reclaim)).counts["kswapd_runs"] == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "give", "give", "second", "drain", "reclaim"]),
        st.integers(0, 9),
        st.sampled_from([MOVABLE, UNMOVABLE]),
        st.integers(0, 1 << 20),
    ),
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([0, 5, 600]))
def test_frames_that_are_free_kept_and_in_use_are_all_frames(
    steps: list[tuple[str, int, int, int]], high: int
) -> None:
    pages = 1100  # two page blocks, and a part of a third
    frames, register = make_frames(pages), np.zeros(ZONE_REGISTERS, dtype=np.int64)
    register[[FREE_PAGES, LOW, HIGH]] = pages, high // 2, high
    begin_zone(register, PAGES)
    for frame in range(0, pages, 4):
        release(frames, frame, 2)
    zone = frames, register
    held: list[tuple[int, int]] = []
    for what, order, kind, chosen in steps:
        if what == "take":
            # Half of the allocations are of single frames.
            order = max(0, order - 5)
            frame = take_block(frames, kind, order) if order else take_frame(frames, register, kind)
            if frame != NONE:
                assert frame % (1 << order) == 0
                held.append((int(frame), order))
                register[FREE_PAGES] -= 1 << order
        elif what == "give" and held:
            frame, order = held.pop(chosen % len(held))
            if order:
                register[FREE_PAGES] += 1 << order
                release(frames, frame, order)
            else:
                give(zone, frame)
        elif what == "second":
            register[NOW_NS] += order * SECOND_NS
            pass_second(*zone)
        elif what == "drain":
            drain_all(*zone)
        elif what == "reclaim":
            register[RECLAIMS] = order % 2
        used = {page for frame, order in held for page in range(frame, frame + (1 << order))}
        assert len(used) == sum(1 << order for _, order in held)
        # In the first frame of a free block stands 1 + its order.
        orders = frames[:pages, 2]
        in_lists = int((1 << (orders[orders > 0] - 1)).sum())
        assert in_lists + register[CACHED] + len(used) == pages
        assert in_lists == zone_free(register)
    drain_all(*zone)
    rest = []
    while (frame := take_block(frames, MOVABLE, 0)) != NONE:
        rest.append(int(frame))
    assert sorted([*used, *rest] if steps else rest) == list(range(pages))
