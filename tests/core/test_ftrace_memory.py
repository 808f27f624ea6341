"""The machine of a trace: what its archive says, what somebody typed, else what the trace shows."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from ftrace_lines import ADD, DELETE, add, alloc, read, rows, text

from core.accesses import read_accesses, write_accesses
from core.event_files import read_events, write_events
from core.workload.ftrace import archive
from core.workload.ftrace.capture import Imported
from core.workload.ftrace.memory import UNKNOWN_FRAMES, Memory, read_memory, samples_of
from core.workload.text import TraceError

SIXTEEN, SIXTY_FOUR = 16384, 65536


def at(offset: int, order: int = 0, frame: int = 0x40001) -> str:
    return f"{ADD}: dev 8:1 ino a pfn={frame:#x} ofs={offset} order={order}"


def lost(imported: Imported) -> dict[str, int]:
    return {loss.name: loss.count for loss in imported.events.losses}


@pytest.mark.parametrize(
    ("places", "page_size", "is_guess"),
    [
        ([(0, 0), (4096, 0), (SIXTEEN, 0)], 4096, False),
        ([(SIXTEEN * n, 0) for n in range(5)], SIXTEEN, True),
        ([(SIXTEEN * n, 0) for n in range(4)], 4096, True),  # they may be so by chance
        ([(SIXTEEN * 4 * n, 2) for n in range(1, 5)], SIXTEEN, True),  # folios of 4 pages
        ([(SIXTEEN * n, 2) for n in range(1, 5)], 4096, False),  # folios of 4 smaller pages
        ([(SIXTY_FOUR * n, 0) for n in range(1, 5)], SIXTY_FOUR, True),
        ([(2 * SIXTY_FOUR * n, 0) for n in range(1, 5)], SIXTY_FOUR, True),
        ([(2 * 4096 * n, 0) for n in range(1, 9)], 4096, False),  # no page has 8 KiB
        ([(0, 0), (0, 4)], 4096, True),
    ],
)
def test_the_places_of_folios_tell_the_size_of_a_page(
    tmp_path: Path, places: list[tuple[int, int]], page_size: int, is_guess: bool
) -> None:
    imported = read(tmp_path, text([at(*place) for place in places]), None)
    assert imported.events.page_size == page_size
    assert ("guessed_page_size" in lost(imported)) == is_guess
    indexes = [offset // page_size for offset, _ in places]
    assert imported.events.index.tolist() == indexes


def test_a_page_size_that_is_given_is_used_and_what_contradicts_it_is_counted(
    tmp_path: Path,
) -> None:
    given = Memory(0, 0, SIXTEEN)
    imported = read(tmp_path, text([at(0), at(4096), at(SIXTEEN), at(4 * SIXTEEN, 2)]), given)
    assert imported.events.page_size == SIXTEEN
    assert imported.events.index.tolist() == [0, 1, 4]
    assert lost(imported)["misaligned_folios"] == 1
    assert "guessed_page_size" not in lost(imported)
    with pytest.raises(TraceError, match=r"all 2 folios .* pages of 65536 bytes: .*--page-size"):
        read(tmp_path, text([at(4096), at(SIXTEEN)]), Memory(0, 0, SIXTY_FOUR))


def test_a_memory_that_is_typed_is_of_the_pages_that_the_trace_shows(tmp_path: Path) -> None:
    places = [at(SIXTEEN * number) for number in range(6)]
    typed = Memory(0, 0, 0, typed_bytes=(1 << 30, 8 << 30))
    events = read(tmp_path, text(places), typed).events
    assert (events.page_size, events.data_pages) == (SIXTEEN, (8 << 30) // SIXTEEN)
    with pytest.raises(TraceError, match="not whole pages of 16384 bytes"):
        read(tmp_path, text(places), Memory(0, 0, 0, typed_bytes=(0, SIXTEEN + 4096)))


def test_the_frames_of_file_events_tell_where_memory_lies(tmp_path: Path) -> None:
    lines = [f"{ADD}: dev 8:1 ino a page=0x2776a0 pfn=2586272 ofs=0",
             f"{DELETE}: dev 8:1 ino a page=0x2776a1 pfn=2586273 ofs=4096"]  # fmt: skip
    imported = read(tmp_path, text(lines), None)
    assert imported.events.data_pages == 1 << 15
    (loss,) = (loss for loss in imported.events.losses if loss.name == "guessed_memory")
    assert "from 0x270000 on" in loss.where


def test_a_failed_allocation_is_no_frame(tmp_path: Path) -> None:
    failed = f"mm_page_alloc: page=(null) pfn={2**64 - 1:#x} order=0 gfp_flags=GFP_ATOMIC"
    imported = read(tmp_path, text([alloc(3), failed, add(0)]), None)
    assert imported.events.data_pages == 1 << 15
    assert any("1 allocations failed" in said for said in imported.warnings)


@pytest.mark.parametrize("first", [0, 0x880000, 1 << 31, 1 << 35])
def test_memory_lies_anywhere(tmp_path: Path, first: int) -> None:
    lines = [alloc(first - 0x40000 + 5), at(0, 0, first + 9)]
    imported = read(tmp_path, text(lines), None)
    assert [row[:5] for row in rows(imported.events)] == [(4, 0, 0, 0, 5), (1, 0, 0, 0, 0)]
    assert imported.events.data_pages == 1 << 15
    assert "frames_outside" not in lost(imported)


def test_frames_too_far_from_the_first_ones_are_counted(tmp_path: Path) -> None:
    lines = [alloc(5), alloc(6), alloc(7), alloc(2 * UNKNOWN_FRAMES)]
    imported = read(tmp_path, text(lines), None)
    assert lost(imported)["frames_outside"] == 1
    assert imported.events.data_pages == 1 << 15


ZONE = (
    "Node 0, zone {}\n  pages free     1\n        low      2\n        high     3\n"
    "        spanned  {}\n        present  {}\n  start_pfn:           {}\n"
)


def archive_of(folder: Path, **texts: str) -> Path:
    path = folder / "x.meta.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in texts.items():
            member = tarfile.TarInfo(f"meta/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def test_an_archive_that_claims_what_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beyond = ZONE.format("DMA", 1 << 31, 1 << 31, 0)
    with pytest.raises(TraceError, match="2,147,483,648 frames of memory"):
        read_memory(archive_of(tmp_path, zoneinfo=beyond))
    digits = ZONE.format("9" * 5000, "9" * 5000, "9" * 5000, 0)
    with pytest.raises(TraceError, match="no /proc/zoneinfo with a populated zone"):
        read_memory(
            archive_of(tmp_path, zoneinfo=digits, page_size="4096", samples="1 x " + "9" * 5000)
        )
    sparse = archive_of(tmp_path, samples="")
    member = tarfile.TarInfo("zoneinfo")
    member.size = 1 << 40
    with sparse.open("r+b") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(
        TraceError, match="no archive of a recording: it is no tar, or a damaged one"
    ):
        read_memory(sparse)
    many = archive_of(tmp_path, **{f"x{number}": "" for number in range(20)})
    monkeypatch.setattr(archive, "_MOST_FILES", 10)
    with pytest.raises(TraceError, match="no archive of a recording"):
        read_memory(many)
    monkeypatch.setattr(archive, "_MOST_BYTES", 1000)
    with pytest.raises(TraceError, match="it holds more than 0 MiB"):
        read_memory(many)


@pytest.mark.parametrize(
    "told", ["0", "5000", "4096 16384", "000000000004096999", "9" * 5000, "4 MB"]
)
def test_a_page_size_that_is_none_is_refused(tmp_path: Path, told: str) -> None:
    with pytest.raises(TraceError, match="is no page size"):
        read_memory(archive_of(tmp_path, page_size=told), needs_zones=False)


@pytest.mark.parametrize("told", ["4096", "4 kB", "KernelPageSize:        4 kB\n"])
def test_a_page_size_is_told_in_bytes_or_kilobytes(tmp_path: Path, told: str) -> None:
    assert read_memory(archive_of(tmp_path, pagesize=told), needs_zones=False).page_size == 4096


def test_what_of_a_memory_is_none_is_said(tmp_path: Path) -> None:
    zones = ZONE.format("DMA", 1 << 20, 1 << 20, 0x80000)
    zones += ZONE.format("Normal", 1 << 20, 1 << 20, 0x880000)
    memory = read_memory(archive_of(tmp_path, zoneinfo=zones, page_size="4096"))
    assert memory.holes == 0x880000 - 0x80000 - (1 << 20)
    imported = read(tmp_path, text([add(0)]), memory)
    assert lost(imported)["memory_holes"] == memory.holes
    whole = read_memory(archive_of(tmp_path, zoneinfo=ZONE.format("DMA", 1000, 990, 0x40000)))
    assert (whole.page_size, whole.holes) == (0, 10)
    imported = read(tmp_path, text([add(0), add(1)]), whole)
    assert "memory_holes" not in lost(imported)
    assert imported.events.page_size == 4096


def test_an_archive_tells_the_kernel_the_events_and_the_samples(tmp_path: Path) -> None:
    samples = "10 tagged_pages 100\n10 sampled_pages 65536\n15 tagged_pages 301\n15 nr_x 7\n"
    samples += "15 sampled_pages 65000\nnonsense\n"
    path = archive_of(
        tmp_path, zoneinfo=ZONE.format("DMA", 1000, 1000, 0x40000), version="6.12.9-android\n",
        events="mm_page_alloc\nmm_page_free\n", samples=samples,
    )  # fmt: skip
    memory = read_memory(path)
    assert memory.kernel == "6.12.9-android"
    assert memory.recorded == ("mm_page_alloc", "mm_page_free")
    sampled = {
        "samples": 2, "tagged_pages_mean": 200, "tagged_pages_peak": 301,
        "sampled_pages": 65536, "nr_x_mean": 7, "nr_x_peak": 7,
    }  # fmt: skip
    assert dict(memory.sampled) == sampled
    assert samples_of("") == ()
    events = read(tmp_path, text([add(0), add(1)]), memory).events
    write_events(tmp_path / "x.parquet", events)
    assert dict(read_events(tmp_path / "x.parquet").sampled) == sampled
    # Nothing was allocated while it was recorded: that is no lack of the trace.
    assert "no_page_alloc" not in {loss.name for loss in events.losses}


def test_what_a_trace_lacks_stays_with_its_table_and_its_accesses(tmp_path: Path) -> None:
    imported = read(tmp_path, text([add(0), add(1)]), None, with_accesses=True)
    assert {"no_page_alloc", "no_deletions", "guessed_memory"} <= set(lost(imported))
    write_events(tmp_path / "x.parquet", imported.events)
    assert read_events(tmp_path / "x.parquet").losses == imported.events.losses
    assert imported.accesses is not None
    write_accesses(tmp_path / "a.parquet", imported.accesses)
    assert read_accesses(tmp_path / "a.parquet").losses == imported.events.losses
    tagged = read(tmp_path, text([alloc(3), add(0)]))
    assert {"no_tag_probes", "no_page_free"} <= set(lost(tagged))
    only_pages = read(tmp_path, text([alloc(3), "mm_page_free: pfn=0x40003 order=0"]))
    assert lost(only_pages)["no_file_events"] == 1
    deletions = [f"kswapd0-9 | {DELETE}: dev 8:1 ino a pfn=0x40001 ofs=4096 order=0"]
    assert lost(read(tmp_path, text(deletions)))["no_insertions"] == 1


def test_frames_of_a_given_memory_are_counted_from_its_first(tmp_path: Path) -> None:
    events = read(tmp_path, text([alloc(3)]), Memory(0x3FFF0, 64, 4096)).events
    assert events.pfn.tolist() == [0x13]
    assert events.time_ns.dtype == np.int64


def test_an_archive_tells_the_size_of_zram_and_the_pages_of_the_allocator(tmp_path: Path) -> None:
    zone = ZONE.replace("  start_pfn", "        managed  {}\n  start_pfn")
    zones = zone.format("DMA", 1000, 990, 900, 0x40000) + zone.format("Normal", 50, 50, 40, 0x50000)
    swaps = (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/zram0                              partition\t262140\t\t0\t\t100\n"
        "/dev/block/zram1                        partition\t1024\t\t0\t\t100\n"
        "/dev/sda2                               partition\t999\t\t0\t\t-2\n"
    )
    memory = read_memory(archive_of(tmp_path, zoneinfo=zones, swaps=swaps, page_size="4096"))
    assert memory.zram_size == (262_140 + 1024) * 1024
    assert memory.managed_pages == 900 + 40
    accesses = read(tmp_path, text([add(0), add(1)]), memory, with_accesses=True).accesses
    assert accesses is not None
    assert (accesses.zram_size, accesses.managed_pages) == (memory.zram_size, 940)
    none = read_memory(archive_of(tmp_path, zoneinfo=zones, swaps="Filename Type Size\n"))
    assert none.zram_size == 0


def test_the_sample_that_finds_most_free_and_in_use_tells_what_was_free(tmp_path: Path) -> None:
    def sample(free: int) -> str:
        return f"tracing_mark_write: TSO_VM nr_free_pages={free} pgsteal=0 refault=0"

    # 600 were free in all: the CPU kept 40 at the first sample, 10 at the second, with 5 in use
    # since the trace began, and 30 at the third.
    lines = [sample(560), *(alloc(frame) for frame in range(5)), sample(585), sample(565), add(0)]
    accesses = read(tmp_path, text(lines), with_accesses=True).accesses
    assert accesses is not None
    assert accesses.free_pages == 590
