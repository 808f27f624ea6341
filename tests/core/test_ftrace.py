"""An imported capture says what the kernel did: hand-worked lines, a real part, and damage."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from captures import CAPTURE_PART
from ftrace_lines import (
    ADD,
    BEGIN,
    DELETE,
    END,
    MEMORY,
    TAGGED_GFP,
    alloc,
    folio,
    page,
    read,
    refault,
    rows,
    text,
)
from streams import compiled

from core.events import digest_events, make_events
from core.workload.ftrace.capture import import_ftrace
from core.workload.ftrace.memory import Memory, meta_beside, read_memory
from core.workload.repair import repair
from core.workload.survey import survey_events
from core.workload.text import TraceError


def test_a_deletion_by_reclaim_is_a_store_and_any_other_an_invalidate(tmp_path: Path) -> None:
    imported = read(
        tmp_path,
        text(
            [
                f"{ADD}: {folio(0)}",
                f"{ADD}: {folio(4, 2)}",
                f"kswapd0-42 | {DELETE}: {folio(0)}",
                f"{BEGIN}: order=0 gfp_flags=1",
                f"other-8 | {DELETE}: {folio(8, inode='10')}",  # not its reclaim
                f"{DELETE}: {folio(4, 2)}",
                f"{END}: nr_reclaimed=4",
                f"{DELETE}: {folio(9)}",
            ]
        ),
    )
    assert rows(imported.events) == [
        (1, 0, 0, 0, 0, 0),
        (1, 0, 4, 2, 0, 0),
        (0, 0, 0, 0, 0, 0),
        (2, 1, 8, 0, 0, 0),
        (0, 0, 4, 2, 0, 0),
        (2, 0, 9, 0, 0, 0),
    ]
    assert imported.counts["reclaimed_pages"] == 5
    assert imported.events.time_ns.tolist()[:2] == [15_000_000_000, 15_000_001_000]


def test_a_refault_tells_the_workingset_bit_of_the_eviction_before_it(tmp_path: Path) -> None:
    imported = read(
        tmp_path,
        text(
            [
                f"kswapd0-42 | {DELETE}: {folio(0)}",  # was workingset, as its refault tells
                f"kswapd0-42 | {DELETE}: {folio(1)}",  # was not
                f"{ADD}: {folio(0)}",
                refault(0, 0x1400043),
                f"{ADD}: {folio(1)}",
                refault(1, 0x1400041),
                f"kswapd0-42 | {DELETE}: {folio(1)}",  # refaulted in that residency
                f"kswapd0-42 | {DELETE}: {folio(1)}",  # and not in this one
                refault(7, 3),  # an anonymous page's: no insertion before it
            ]
        ),
    )
    stores = [row for row in rows(imported.events) if row[0] == 0]
    assert [row[-1] for row in stores] == [1, 0, 1, 0]
    assert any("1 refaults are of no insertion" in warning for warning in imported.warnings)


def test_tagged_frames_are_those_of_the_kernel(tmp_path: Path) -> None:
    pte = 0xE8000000000C47 | (0x40000 + 64) << 12
    imported = read(
        tmp_path,
        text(
            [
                f"copy_highpage: to={page(9)} from={page(8)}",  # nothing is tagged yet
                f"tag_clear_highpage: page={page(3)}",
                alloc(3),
                alloc(16, 2),
                alloc(32, 0, "gfp_flags=GFP_ATOMIC|__GFP_ZEROTAGS"),
                f"mte_sync_tags: pte={0xE8000000000C47 | (0x40000 + 3) << 12:#x} nr=1",  # is
                f"mte_sync_tags: pte={pte:#x} nr=2",
                f"copy_highpage: to={page(40)} from={page(3)}",
                f"copy_highpage: to={page(41)} from={page(9)}",  # untagged
                "mm_page_free: pfn=0x40003 order=0",
                "mm_page_free: pfn=0x40010 order=2",
                "mm_page_free: pfn=0x40040 order=2",  # two of its four frames are tagged
                "tracing_mark_write: TAG tagged=2 nonlru=0 g32=1",
                alloc(40, 0, "gfp_flags=GFP_KERNEL"),  # its free was not seen
                "mm_page_free: pfn=0x50000 order=0",  # outside
                alloc(-0x40001),  # failed
            ]
        ),
    )
    assert [(row[0], *row[3:]) for row in rows(imported.events)] == [
        (4, 0, 3, 2 | 16),
        (4, 2, 16, 2 | 16),
        (4, 0, 32, 2 | 4),
        (4, 0, 64, 2),
        (4, 0, 65, 2),
        (4, 0, 40, 2 | 16),
        (5, 0, 3, 0),
        (5, 2, 16, 0),
        (5, 0, 64, 0),
        (5, 0, 65, 0),
        (5, 0, 40, 0),
    ]
    assert imported.counts["equal_tagged_samples"] == imported.counts["tagged_samples"] == 1
    said = "\n".join(imported.warnings)
    assert "page copies came before" not in said  # no page was known to be tagged then
    assert "1 tagged frame was allocated anew" in said
    assert "1 event is of frames outside" in said
    assert "1 allocations failed" in said


EVENTS = [
    f"{ADD}: {folio(0)}",
    f"{BEGIN}: order=0 gfp_flags=1",
    f"{DELETE}: {folio(0)}",
    f"{END}: nr_reclaimed=1",
    f"tag_clear_highpage: page={page(3)}",
    alloc(3),
    f"copy_highpage: to={page(5)} from={page(3)}",
    "mm_page_free: pfn=0x40003 order=0",
    "mm_filemap_fault: dev=254:0 ino=a4cf ofs=4096",
    f"{ADD}: {folio(1)}",
    "mm_filemap_get_pages: dev=254:0 ino=a4cf ofs=0-8191",
    "block_rq_issue: 254,0 RA 8192 () 40208 + 16 [app one]",
    "tracing_mark_write: PHASE one",
    "kswapd0-42 | workingset_eviction: folio=0x1 flags=0xa00 index=1 ino=42191",
    f"kswapd0-42 | {DELETE}: {folio(1)}",
    "evict: ino=42191 dev=266338304",
]


def other_form(line: str, form: str) -> str:
    head, what = line.rstrip("\n").split(": ", 1)
    task, _, stamp = head.partition("[000] ..... ")
    name, _, fields = what.partition(": ")
    comm, _, pid = task.strip().rpartition("-")
    if form == "trace_pipe with tgid":
        return f"{comm:>16}-{pid:<7} (  {pid}) [000] d..1. {stamp}: {name}: {fields}\n"
    if form == "trace-cmd report":
        return f"{comm:>16}-{pid:<5} [000] {stamp}: {name + ':':<22} {fields}\n"
    if form == "kprobe with address":
        address = "(do_it+0x0/0x60) " if name in ("copy_highpage", "tag_clear_highpage") else ""
        return f"{comm:>16}-{pid:<5} [000] ..... {stamp}: {name}: {address}{fields}\n"
    system = "probe" if name in ("copy_highpage", "tag_clear_highpage") else "kmem"
    return f"{comm:>16} {pid:>5} [000] {stamp}: {system:>12}:{name}: {fields}\n"


@pytest.mark.parametrize(
    "form", ["trace_pipe with tgid", "trace-cmd report", "kprobe with address", "perf script"]
)
def test_every_form_of_the_text_gives_the_same_events(tmp_path: Path, form: str) -> None:
    plain = text(EVENTS)
    other = "".join(other_form(line, form) for line in plain.splitlines())
    assert digest_events(read(tmp_path, other).events) == digest_events(
        read(tmp_path, plain).events
    )


def test_fields_of_older_kernels_are_read(tmp_path: Path) -> None:
    lines = [
        "mm_filemap_add_to_page_cache: dev 254:0 ino a4cf page=0x1 pfn=262145 ofs=4096",
        f"mm_page_alloc: page=(____ptrval____) pfn=262147 order=0 migratetype=1 {TAGGED_GFP}",
    ]
    assert rows(read(tmp_path, text(lines)).events) == [(1, 0, 1, 0, 0, 0), (4, 0, 0, 0, 3, 18)]


def test_parts_and_compression_change_nothing(tmp_path: Path) -> None:
    lines = text(EVENTS).splitlines(keepends=True)
    whole = read(tmp_path, "".join(lines)).events
    first, second = tmp_path / "a.gz", tmp_path / "b.zst"
    first.write_bytes(gzip.compress("".join(lines[:3]).encode()))
    with pa.CompressedOutputStream(str(second), "zstd") as stream:
        stream.write("".join(lines[3:]).rstrip("\n").encode())
    assert digest_events(import_ftrace([first, second], MEMORY).events) == digest_events(whole)


def test_garbage_lost_events_and_clock_steps_are_told_and_survived(tmp_path: Path) -> None:
    content = (
        "# tracer: nop\n"
        + text([f"{ADD}: {folio(0)}"], start=50_000_000)
        + "what is this\n\n"
        + "CPU:1 [LOST 12 EVENTS]\n"
        + text([f"{ADD}: {folio(1)}", f"{ADD}: dev 254:0 ino a4cf"], start=20_000_000)
        + text([f"{ADD}: {folio(3, 1)}", f"{ADD}: {folio(2, 1)}"], start=21_000_000)
        + text(["sched_switch: prev_comm=a"], start=22_000_000)
    )
    imported = read(tmp_path, content)
    assert [row[2] for row in rows(imported.events)] == [0, 1, 2]
    assert imported.events.time_ns.tolist() == [50 * 10**9, 50 * 10**9, 51 * 10**9 + 1000]
    assert imported.unused == {"sched_switch": 1}
    said = "\n".join(imported.warnings)
    for what in (
        "1 line is no event (the first is line 3)",
        "12 events were lost",
        "1 time the clock stepped back by more than 1 ms: time goes on there",
        "(by 30 s at most, the first in line 6)",
        "1 event lacks a field, or has one that cannot be, and is left out (the first is line 7)",
        "1 folio lies at no multiple",
    ):
        assert what in said


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "is empty"),
        (b"garbage\nmore\n", "no line of it is an event"),
        (text(["sched_switch: a=1"]).encode(), "only sched_switch: sweep trace record"),
        (b"PAR1\0\0\0\0", "binary data"),
        (b"x" * (6 << 20), "has no lines"),
        (gzip.compress(random.Random(1).randbytes(9999))[:5000], "cut off or damaged"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=error):
        import_ftrace([path])


def test_memory_is_that_of_the_archive_beside_the_trace(tmp_path: Path) -> None:
    zone = (
        "Node 0, zone {}\n  nr_zone_active_file 9\n  pages free     {}\n        min      1\n"
        "        low      {}\n        high     {}\n        spanned  {}\n"
        "        present  {}\n  start_pfn:           {}\n"
    )
    texts = {
        "meta/zoneinfo.before": zone.format("DMA", 1, 3, 4, 100, 90, 1000)
        + zone.format("Normal", 2, 4, 5, 50, 50, 1100)
        + zone.format("Movable", 0, 8, 8, 0, 0, 0),
        "meta/page_size": "16384\n",
    }
    trace = tmp_path / "phone.ftrace.txt.gz"
    with tarfile.open(tmp_path / "phone.meta.tar.gz", "w:gz") as archive:
        for name, content in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    archive = meta_beside(trace)
    assert archive is not None
    assert read_memory(archive) == Memory(1000, 150, 16384, 3, 7, 9, holes=10)
    archive.write_bytes(b"no archive")
    with pytest.raises(TraceError, match="no archive"):
        read_memory(archive)


@compiled
def test_a_part_of_a_real_capture_has_the_live_tagged_set_of_its_sample() -> None:
    imported = import_ftrace([CAPTURE_PART])
    assert imported.counts["insertions"] == 1685
    assert imported.counts["inserted_pages"] == 2628
    assert imported.counts["reclaimed_pages"] == 1289
    assert imported.counts["truncated_folios"] == 0
    assert imported.counts["tagged_allocations"] == 1091
    assert (imported.counts["tagged_samples"], imported.counts["equal_tagged_samples"]) == (1, 1)
    assert imported.unused["sched_process_fork"] == 3
    given = import_ftrace([CAPTURE_PART], Memory(0x40000, 65536, 4096))
    assert digest_events(imported.events) == digest_events(given.events)
    figures = survey_events(imported.events).figures
    assert figures["peak_tagged_pages"] == 1091
    assert figures["events"]["store"] == 959


def test_repair_drops_bad_rows_alone() -> None:
    bad = [
        (0, 4, 0, 0, 0, 3, 2),
        (5, 1, 0, 5, 1, 0, 0),  # not aligned
        (5, 9, 0, 0, 0, 0, 0),  # no op
        (6, 5, 0, 0, 0, 7, 0),  # not allocated
        (4, 1, 0, 0, 0, 0, 0),  # from before the good row? no: after the first one
        (2, 1, 0, 1, 0, 0, 0),  # time goes backwards
        (7, 4, 0, 0, 0, 3, 0),  # untagged, of an allocated frame
        (8, 5, 0, 0, 0, 3, 0),
    ]
    names = ("time_ns", "op", "inode", "index", "order", "pfn", "flags")
    columns = {name: np.array([row[i] for row in bad]) for i, name in enumerate(names)}
    events = make_events(columns, page_size=4096, data_pages=64, source="", check=False)
    kept, dropped = repair(events)
    assert kept.time_ns.tolist() == [0, 4, 8]
    assert sum(dropped.values()) == 5
    assert dropped["time going backwards"] == 1
    again, nothing = repair(kept)
    assert digest_events(again) == digest_events(kept)
    assert nothing == {}
