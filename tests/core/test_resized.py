"""Access traces on a machine of another size have its free pages, watermarks and frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.accesses import BOOT_HANDLE, GIVE, SCHEMA, Accesses, check_accesses
from core.frontend.run import FrontEnd, run_frontend
from core.workload.resized import on_machine, set_aside
from core.workload.text import TraceError

MIB = 256  # pages


def trace(data_pages: int, free: tuple[tuple[int, int], ...], given: dict[int, int]) -> Accesses:
    """Return a trace that only frees memory of before it: frames with their orders."""
    columns: dict[str, Any] = {
        field.name: np.zeros(len(given), dtype=field.type.to_pandas_dtype()) for field in SCHEMA
    }
    columns["op"][:] = GIVE
    columns["order"][:] = list(given.values())
    columns["handle"][:] = [BOOT_HANDLE + frame for frame in given]
    free_pages = sum(end - first for first, end in free)
    machine = {"data_pages": data_pages, "free_pages": free_pages, "page_size": 4096}
    return Accesses(
        **columns, **machine, low_pages=580, high_pages=696, source="t", free_ranges=free
    )


def given_of(accesses: Accesses) -> list[int]:
    return (accesses.handle - BOOT_HANDLE).tolist()


# /proc/zoneinfo of one kernel, booted with these sizes: present - managed pages.
BOOTED = {208 * MIB: 10_773, 224 * MIB: 10_781, 256 * MIB: 10_797, 384 * MIB: 11_533}


def test_linux_sets_aside_what_it_was_seen_to() -> None:
    kept = {pages: taken - set_aside(pages, 4096, pages - taken) for pages, taken in BOOTED.items()}
    assert set(kept.values()) == {kept[256 * MIB]}


@pytest.mark.parametrize(
    ("size", "free", "low", "high"),
    [  # of zoneinfo of the same kernel, and of vmstat when the recording began
        (384 * MIB, 77_679, 732, 878),
        (224 * MIB, None, 535, 642),
        (208 * MIB, None, 511, 613),
    ],
)
def test_another_size_begins_with_the_free_pages_and_watermarks_that_linux_has(
    size: int, free: int | None, low: int, high: int
) -> None:
    accesses = trace(256 * MIB, ((19_882, 256 * MIB),), {7: 0})  # 45,654 free, as recorded
    resized = on_machine(accesses, size)
    assert resized.low_pages == pytest.approx(low, abs=2)
    assert resized.high_pages == pytest.approx(high, abs=3)
    if free is not None:
        assert resized.free_pages == pytest.approx(free, abs=12)
    back = on_machine(resized, 256 * MIB)
    assert back.free_pages == pytest.approx(accesses.free_pages, abs=1)
    assert back.low_pages == pytest.approx(580, abs=1)


def test_watermarks_that_somebody_set_grow_as_linux_would() -> None:
    # watermark_scale_factor 100: a hundredth of memory lies between the watermarks.
    accesses = trace(256 * MIB, ((19_882, 256 * MIB),), {7: 0})
    accesses = accesses._replace(low_pages=464 + 547, high_pages=464 + 2 * 547)
    there = on_machine(accesses, 512 * MIB)
    between = there.high_pages - there.low_pages
    assert between == pytest.approx(547 * 2.2, rel=0.03)
    assert there.low_pages - between == pytest.approx(464 * 2.2**0.5, rel=0.03)


def test_a_larger_memory_has_its_new_frames_at_its_end() -> None:
    accesses = trace(256 * MIB, ((30_000, 60_000),), {7: 0, 65_000: 0})
    resized = on_machine(accesses, 384 * MIB)
    (old, new) = resized.free_ranges
    assert old == (30_000, 60_000)
    assert new == (256 * MIB, 256 * MIB + resized.free_pages - 30_000)
    assert given_of(resized) == [7, 65_000]


def test_what_lay_beyond_the_end_of_a_smaller_memory_lies_in_its_last_free_frames() -> None:
    accesses = trace(256 * MIB, ((20_000, 63_488),), {7: 0, 63_490: 0, 65_535: 0})
    resized = on_machine(accesses, 128 * MIB)
    check_accesses(resized, "resized")
    moved = given_of(resized)
    assert moved == [7, 128 * MIB - 2048 + 2, 128 * MIB - 1]
    free = np.zeros(resized.data_pages, dtype=np.bool_)
    for first, end in resized.free_ranges:
        free[first:end] = True
    assert int(free.sum()) == resized.free_pages
    assert not free[moved].any()


def test_memory_of_several_frames_stays_together_and_aligned() -> None:
    accesses = trace(256 * MIB, ((20_000, 63_488),), {64_000: 3, 63_491: 0})
    resized = on_machine(accesses, 192 * MIB)
    (block, single) = given_of(resized)
    assert block % 8 == 0
    assert block - single == 64_000 - 63_491
    run_frontend(resized, FrontEnd())


def test_where_no_block_is_free_only_the_number_of_free_pages_is_known() -> None:
    scattered = tuple((frame, frame + 4) for frame in range(0, 256 * MIB, 8))
    accesses = trace(256 * MIB, scattered, {5: 0, 65_528 - 8 + 4: 2, 8 * 1000 + 4: 2})
    accesses = accesses._replace(order=np.array([0, 3, 2], dtype=np.uint8))
    resized = on_machine(accesses, 224 * MIB)
    assert resized.free_ranges == ()
    assert resized.free_pages == accesses.free_pages - 32 * MIB + 16


def test_a_memory_that_has_no_room_for_what_was_in_use_is_refused() -> None:
    accesses = trace(256 * MIB, ((19_882, 256 * MIB),), {7: 0})
    with pytest.raises(TraceError, match="were in use when it began"):
        on_machine(accesses, 70 * MIB)
    assert on_machine(accesses, 256 * MIB) is accesses
