"""Laws of tag storage that only makes memory larger: ``more_memory``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from access_rows import Row, as_accesses, crowded_rows, read
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import compiled

from core.accesses import (
    ANONYMOUS,
    BY_WRITE,
    GIVE,
    READ,
    TAKE,
    TRUNCATE,
    UNMAP,
    read_accesses,
)
from core.events import ALLOC, ATOMIC, FREE, INVALIDATE, RESTORE, STORE, TAGGED, Events
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend
from core.frontend.tag_storage_as_memory import TagMemory
from core.machine import Machine
from core.workload.resized import on_machine
from core.workload.synthetic import parameters_of, synthesise

DATA_PAGES, BLOCKS = 1024, 8
MEMORY = TagMemory(BLOCKS, 4, only_enlarges=True)


def read_pages(fronted: Fronted) -> int:
    events = fronted.events
    return int((1 << events.order[events.op == RESTORE].astype(np.int64)).sum())


def file_rows(events: Events) -> list[tuple[int, ...]]:
    kept = events.op <= INVALIDATE
    columns = [events.columns[name][kept].tolist() for name in ("time_ns", "op", "index", "order")]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("reclaim", list(Reclaim))
def test_without_tags_it_is_a_machine_with_so_many_more_pages(reclaim: Reclaim) -> None:
    # Of folios of four pages: single pages lie in frames that the CPU keeps, or in slots.
    chance = np.random.default_rng(3)
    rows: list[Row] = [
        (READ, 0, 4 * index, 2, 0, 0 if chance.random() < 0.8 else BY_WRITE)
        for index in chance.integers(0, 100, size=3000).tolist()
    ]
    front_end = FrontEnd(reclaim)
    plain = run_frontend(as_accesses(rows, free_pages=200 + 32, low=8, high=16), front_end)
    enlarged = run_frontend(as_accesses(rows, free_pages=200, low=8, high=16), front_end, MEMORY)
    assert plain.counts["evictions"] > 100
    assert file_rows(plain.events) == file_rows(enlarged.events)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(Reclaim)), st.integers(1000, 1024))
def test_it_never_holds_more_than_data_memory_and_the_slots_that_are_left(
    seed: int, reclaim: Reclaim, free_pages: int
) -> None:
    rows = crowded_rows(np.random.default_rng(seed), 600)
    accesses = as_accesses(rows, free_pages=free_pages, low=8, high=16)
    fronted = run_frontend(accesses, FrontEnd(reclaim), MEMORY)
    assert fronted.counts["failed_pinned"] == fronted.counts["failed_atomic"] == 0
    assert fronted.counts["migrated_pages"] == fronted.counts["dropped_pages"] == 0
    assert fronted.samples.size == 0
    # Each tagged page has its block, at once; and a block goes with its last tagged page.
    events = fronted.events
    change = {RESTORE: 1, STORE: -1, INVALIDATE: 0}
    tags, size, used, cached = np.zeros(BLOCKS, dtype=int), {}, 0, set()
    reserved = dict.fromkeys(range(len(rows)), 0)
    for ns, blocks in fronted.reserved.tolist():
        reserved[ns] += blocks
    held = 0
    there: set[int] = set()
    at = np.searchsorted(events.time_ns, np.arange(len(rows) + 1)).tolist()
    columns = list(zip(*(column.tolist() for column in events.columns.values()), strict=True))
    for ns, (op, _, index, order, handle, _) in enumerate(rows):
        for _, kind, _, first, rank, pfn, flags in columns[at[ns] : at[ns + 1]]:
            if kind in change:
                pages = set(range(first, first + (1 << rank)))
                cached = cached | pages if kind == RESTORE else cached - pages
            elif kind in (ALLOC, FREE):
                for frame in range(pfn, pfn + (1 << rank)):
                    tags[frame // 128] += 1 if kind == ALLOC and flags & TAGGED else -1
        if op == TAKE:
            size[handle] = 1 << order
            used += 1 << order
        elif op == GIVE:
            used -= size.pop(handle)
        elif op == ANONYMOUS:
            there.add(index)
        elif op == UNMAP:
            there.discard(index)
        held += reserved[ns]
        assert held == (tags > 0).sum()
        assert used + len(there) + len(cached) <= free_pages + 4 * (BLOCKS - held)


def test_a_tagged_page_gets_a_frame_that_another_page_gives_up() -> None:
    # The page cache fills memory but for eight frames; what lay in tag storage is truncated, so
    # that 40 pages are free. Each tagged page still gets a frame, and nothing is evicted for it.
    rows: list[Row] = [read(4 * number, order=2) for number in range(8)]
    rows += [read(32 + number) for number in range(12)]
    rows += [(TRUNCATE, 0, 0, 5, 0, 0)]
    rows += [(TAKE, 0, 0, 0, handle, TAGGED | ATOMIC) for handle in range(15)]
    fronted = run_frontend(as_accesses(rows, free_pages=20), FrontEnd(), MEMORY)
    assert not (fronted.events.op == STORE).any()
    frames = fronted.events.pfn[fronted.events.op == ALLOC]
    assert np.unique(frames).size == frames.size == 15
    assert frames.min() >= 0
    assert frames.max() < DATA_PAGES


def test_a_large_folio_lies_in_it_whole() -> None:
    # All frames but the lowest few are in use: a folio of 16 pages has no room among them.
    rows: list[Row] = [read(0, order=4), read(16, order=4)]
    events = run_frontend(as_accesses(rows, free_pages=8, low=1, high=2), FrontEnd(), MEMORY).events
    assert events.order.tolist() == [4, 4]


# Captures under the reclaim that they were recorded with: no law says that the classic lists read
# less with more memory, and on database-mglru-256w they read 0.1 % more.
@compiled
@pytest.mark.parametrize(
    ("name", "reclaim"),
    [
        (name, reclaim)
        for name in ("database-mglru-256w", "launch-mglru-224w", "app_launch", "build")
        for reclaim in Reclaim
        if "mglru" not in name or reclaim == Reclaim.MGLRU
    ],
)
def test_it_reads_no_more_than_a_machine_without_tag_storage(
    name: str, reclaim: Reclaim, traces: Path
) -> None:
    if name in parameters_of_all():
        accesses = synthesise(name, parameters_of_all()[name], 1, 32_768, 4096)
    else:
        accesses = read_accesses(traces / f"{name}.accesses.parquet")
    machine = Machine(accesses.page_size, accesses.data_pages)
    memory = TagMemory(machine.tag_blocks, machine.tag_block_pages, only_enlarges=True)
    front_end = FrontEnd(reclaim, zram_size=32 << 20)
    plain = run_frontend(accesses, front_end)
    enlarged = run_frontend(accesses, front_end, memory)
    assert read_pages(enlarged) <= read_pages(plain)


@compiled
def test_it_reads_what_an_ordinary_machine_of_its_size_reads(traces: Path) -> None:
    # Recorded reads of large folios: here any larger machine reads more pages, 1.5 % of them.
    accesses = read_accesses(traces / "database-xfs-256w.accesses.parquet")
    machine = Machine(accesses.page_size, accesses.data_pages)
    memory = TagMemory(machine.tag_blocks, machine.tag_block_pages, only_enlarges=True)
    # Its kernel sets nothing more aside: the map of pages has those of tag storage already.
    pages = accesses.data_pages + machine.slots
    ordinary = on_machine(accesses, pages)._replace(
        free_pages=accesses.free_pages + machine.slots,
        free_ranges=(*accesses.free_ranges, (accesses.data_pages, pages)),
    )
    pages = [
        read_pages(run_frontend(*machine_and_memory))
        for machine_and_memory in ((ordinary, FrontEnd()), (accesses, FrontEnd(), memory))
    ]
    assert pages[1] == pytest.approx(pages[0], rel=0.002)


def parameters_of_all() -> dict[str, dict[str, float]]:
    """Return the parameters of the synthetic workloads that are run here."""
    short = {"app_launch": {"launches": 100}, "build": {"compiles": 400}}
    return {name: parameters_of(name) | changed for name, changed in short.items()}
