"""A machine that is too small ends where Linux would kill a task, says so, and always ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from access_rows import Row, as_accesses, read
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import compiled

from core.accesses import ANONYMOUS, BOOT_HANDLE, GIVE, IN_FAULT, LOOKUP, MAP, TAKE, read_accesses
from core.events import ATOMIC, MOVABLE, TAGGED, digest_events
from core.frontend import out_of_memory
from core.frontend.out_of_memory import OutOfMemory
from core.frontend.run import FrontEnd, Reclaim, run_frontend
from core.frontend.tag_storage_as_memory import TagMemory
from core.workload.resized import on_machine

WAYS = pytest.mark.parametrize("reclaim", list(Reclaim))
# A machine with 16 pages free, of which min keeps 4: an allocation leaves so many at least.
KEEPS_FOUR = {"free_pages": 16, "low": 5, "high": 6}


def heap(pages: int, flags: int = 0) -> list[Row]:
    return [(ANONYMOUS, 0, page, 0, 0, flags) for page in range(pages)]


def kernel(pages: int, flags: int = 0, order: int = 0) -> list[Row]:
    return [(TAKE, 0, 0, order, handle, flags) for handle in range(pages)]


def end_of(rows: list[Row], front_end: FrontEnd, **machine: int) -> str:
    with pytest.raises(OutOfMemory) as end:
        run_frontend(as_accesses(rows, **machine), front_end)
    return end.value.what


@WAYS
@pytest.mark.parametrize("before", [0, 9])
def test_it_ends_at_the_access_that_asks_for_a_page_more_than_there_are(
    reclaim: Reclaim, before: int
) -> None:
    # Pages of files, however many and in use or not, give way to those of programs.
    files = [(MAP, 0, page, 0, 7, 0) if page % 2 else read(page) for page in range(before)]
    front_end = FrontEnd(reclaim)
    run_frontend(as_accesses([*files, *heap(12)], **KEEPS_FOUR), front_end)
    assert end_of([*files, *heap(13)], front_end, **KEEPS_FOUR) == (
        f"out of memory at 0.0 s (access {before + 12}: 1 page of a program; 1,020 pages in use by "
        "programs and kernel, 0 of files, 4 free, no swap)"
    )


@WAYS
@pytest.mark.parametrize("pages", [1, 5])
def test_a_swap_device_holds_so_many_pages_more(reclaim: Reclaim, pages: int) -> None:
    front_end = FrontEnd(reclaim, swap_size=4096 * pages)
    run_frontend(as_accesses(heap(12 + pages), **KEEPS_FOUR), front_end)
    end = end_of(heap(13 + pages), front_end, **KEEPS_FOUR)
    assert f"(access {12 + pages}: 1 page of a program" in end
    assert end.endswith("4 free, swap full)")


@WAYS
def test_swap_that_saves_nothing_ends_too(reclaim: Reclaim) -> None:
    zram = FrontEnd(reclaim, zram_size=4096 * 100, zram_ratio=1.0)
    assert "4 free, room for" in end_of(heap(13), zram, **KEEPS_FOUR)


@pytest.mark.parametrize(
    ("flags", "order", "fits", "asked"),
    [
        (0, 0, 12, "1 page of the kernel"),
        (MOVABLE, 0, 12, "1 page of a program"),
        (TAGGED, 0, 12, "1 tagged page of the kernel"),
        (0, 2, 3, "4 pages of the kernel"),
        # What may fail has the reserve as well: atomic, or too large to kill a task for.
        (ATOMIC, 0, 16, "1 page of the kernel"),
        (0, 4, 1, "16 pages of the kernel"),
    ],
)
def test_the_kernel_is_served_down_to_min_and_what_may_fail_to_the_last_page(
    flags: int, order: int, fits: int, asked: str
) -> None:
    run_frontend(as_accesses(kernel(fits, flags, order), **KEEPS_FOUR), FrontEnd())
    end = end_of(kernel(fits + 1, flags, order), FrontEnd(), **KEEPS_FOUR)
    assert f"(access {fits}: {asked};" in end


def test_reclaim_goes_on_for_an_allocation_that_is_larger_than_the_watermarks() -> None:
    # Four folios fill memory. Eight pages for the kernel leave as many to it as min is.
    rows = [*(read(4 * number, order=2) for number in range(4)), *kernel(1, order=3)]
    classic = FrontEnd(Reclaim.ACTIVE_INACTIVE)
    assert run_frontend(as_accesses(rows, **KEEPS_FOUR), classic).counts["resident_pages"] == 4


def test_what_needs_frames_ends_though_tag_storage_is_free() -> None:
    memory = TagMemory(tag_blocks=32, tag_block_pages=1)
    run_frontend(as_accesses(kernel(12), **KEEPS_FOUR), FrontEnd(), memory)
    with pytest.raises(OutOfMemory) as end:
        run_frontend(as_accesses(kernel(13), **KEEPS_FOUR), FrontEnd(), memory)
    assert end.value.what.endswith("4 free, no swap, 32 free in tag storage, where it cannot lie)")
    # Programs' pages lie there.
    run_frontend(as_accesses(heap(12 + 32), **KEEPS_FOUR), FrontEnd(), memory)
    with pytest.raises(OutOfMemory):
        run_frontend(as_accesses(heap(13 + 32), **KEEPS_FOUR), FrontEnd(), memory)


def test_a_large_folio_that_does_not_fit_is_read_page_by_page() -> None:
    events = run_frontend(as_accesses([read(0, order=4)], **KEEPS_FOUR), FrontEnd()).events
    assert events.order.tolist()[:12] == [0] * 12


def test_memory_that_is_given_back_serves_again() -> None:
    boot: list[Row] = [(GIVE, 0, 0, 0, BOOT_HANDLE + frame, 0) for frame in range(5)]
    rows = [*heap(12), *boot, *((ANONYMOUS, 0, 100 + page, 0, 0, 0) for page in range(5))]
    run_frontend(as_accesses(rows, **KEEPS_FOUR), FrontEnd())


@compiled
@WAYS
def test_however_few_looks_a_call_has_the_events_are_the_same(
    reclaim: Reclaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(2)
    rows: list[Row] = [
        (LOOKUP, 0, page, 0, 0, IN_FAULT * (page % 2)) for page in chance.integers(0, 900, 3000)
    ]
    accesses = as_accesses(rows, free_pages=200, low=20, high=30)
    calls: list[int] = []
    whole = run_frontend(accesses, FrontEnd(reclaim))
    monkeypatch.setattr(out_of_memory, "MOST_LOOKS", 16)
    parts = run_frontend(accesses, FrontEnd(reclaim), progress=lambda at, _: calls.append(at))
    assert digest_events(parts.events) == digest_events(whole.events)
    assert parts.counts == whole.counts
    # Each run of reclaim evicts ten pages, so a call has one or two of them.
    assert len(calls) > whole.counts["kswapd_runs"] // 3 > 20


@compiled
@settings(max_examples=40, deadline=10_000)
@given(
    st.integers(0, 2**32),
    st.sampled_from(list(Reclaim)),
    st.sampled_from([0, 1, 40, 2000]),
    st.sampled_from([0, 1, 200]),
    st.sampled_from([16, 300, 1024]),
)
def test_it_goes_through_or_ends_with_nothing_left_to_evict(
    seed: int, reclaim: Reclaim, swap_pages: int, swappiness: int, free_pages: int
) -> None:
    chance = np.random.default_rng(seed)
    pages = chance.integers(0, 200_000, 2000)
    kinds = chance.choice([LOOKUP, ANONYMOUS, MAP], 2000, p=[0.6, 0.2, 0.2])
    rows: list[Row] = [
        (int(kind), 0, int(page), 0, int(kind == MAP), 0)
        for kind, page in zip(kinds, pages, strict=True)
    ]
    low = free_pages // 4
    accesses = as_accesses(rows, free_pages=free_pages, low=low, high=low + low // 4)
    front_end = FrontEnd(reclaim, swap_size=4096 * swap_pages, swappiness=swappiness)
    end = ""
    try:
        run_frontend(accesses, front_end)
    except OutOfMemory as error:
        end = error.what
    assert not end or (", 0 of files," in end and end.endswith(("swap full)", "no swap)")))


@compiled
@pytest.mark.parametrize("name", ["launch-mglru-224w", "database-mglru-256w", "database-xfs-256w"])
def test_a_recorded_machine_of_its_own_size_never_ends_and_a_small_one_does(
    traces: Path, name: str
) -> None:
    accesses = read_accesses(traces / f"{name}.accesses.parquet")
    assert run_frontend(accesses, FrontEnd()).counts["resident_pages"] > 10_000
    in_use = accesses.data_pages - accesses.free_pages
    with pytest.raises(OutOfMemory, match=r"pages? of (a|the) \w+; .* 0 of files"):
        run_frontend(on_machine(accesses, in_use + 2000), FrontEnd(zram_size=96 << 20))
