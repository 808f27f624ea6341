"""How far a run of reclaim goes, worked by hand: balance_pgdat and MGLRU's batches."""

from __future__ import annotations

import pytest
from access_rows import Row, as_accesses, read

from core.accesses import TAKE
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend

MGLRU = FrontEnd(Reclaim.MGLRU)


def folios(count: int) -> list[Row]:
    """Read folios of 4 pages, which come from the zone: the CPU keeps none."""
    return [read(4 * number, order=2) for number in range(count)]


@pytest.mark.parametrize(("high", "evicted"), [(30, 128), (78, 128), (90, 192)])
def test_a_run_of_generations_ends_64_pages_above_high_in_batches_of_64(
    high: int, evicted: int
) -> None:
    # 300 pages are free, and the 71st folio finds 20. 30 + 64 - 20 = 74 pages are two batches, and
    # so are 78 + 64 - 20 = 122; 90 + 64 - 20 = 134 are three.
    counts = run_frontend(as_accesses(folios(71), free_pages=300, low=20, high=high), MGLRU).counts
    assert (counts["kswapd_runs"], counts["evicted_pages"]) == (1, evicted)


def test_the_first_run_begins_where_a_folio_would_leave_less_than_low() -> None:
    accesses = as_accesses(folios(70), free_pages=300, low=20, high=30)
    assert run_frontend(accesses, MGLRU).counts["kswapd_runs"] == 0


def steal(handle: int) -> Row:
    """Take 256 frames for the kernel: all that is free of a page block of programs."""
    return (TAKE, 0, 0, 8, handle, 0)


def run_fragmented(rows: list[Row], front_end: FrontEnd) -> Fronted:
    """Run on 64 MiB with a free half of each of 32 page blocks, and watermarks at 300 and 400."""
    halves = tuple((first, first + 256) for first in range(0, 16_384, 512))
    accesses = as_accesses(rows, free_pages=8192, low=300, high=400, free_ranges=())
    return run_frontend(accesses._replace(data_pages=16_384, free_ranges=halves), front_end)


def test_a_stolen_block_raises_the_watermarks_until_the_next_run() -> None:
    # Reads leave 8192 - 7300 = 892 pages, and a stolen block 636. Its steal raises low and high by
    # 150 % of high, 600: the next page finds fewer than 300 + 600. The run frees up to 400 + 600
    # + 64 pages: 1064 - 636 = 428 are seven batches of 64.
    rows = [*(read(page) for page in range(7300)), steal(0), read(7300)]
    assert run_fragmented(rows[:-1], MGLRU).counts["kswapd_runs"] == 0
    counts = run_fragmented(rows, MGLRU).counts
    assert (counts["kswapd_runs"], counts["evicted_pages"]) == (1, 7 * 64)
    # 636 + 448 - 1 = 1083 pages are free, and no watermark is raised: no run.
    assert run_fragmented([*rows, read(7301)], MGLRU).counts["kswapd_runs"] == 1
    # Another steal leaves 827, fewer than 300 + 600.
    assert run_fragmented([*rows, steal(1), read(7301)], MGLRU).counts["kswapd_runs"] == 2
