"""Evicted folios and phases of an imported capture: hand-worked lines of each rule."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from ftrace_lines import (
    BEGIN,
    DELETE,
    MEMORY,
    add,
    alloc,
    delete,
    evicting,
    fault,
    folio,
    get_pages,
    read,
    refault,
    rows,
    text,
    touched,
)

from core.event_files import read_events, write_events
from core.events import MAPPED, NO_PHASE, WORKINGSET
from core.workload.ftrace.memory import read_memory
from core.workload.ftrace.page_flags import PageFlags
from core.workload.survey import survey_events

W, M = 1 << 9, 1 << 11


def store_flags(lines: list[str], tmp_path: Path) -> list[int]:
    return [row[5] for row in rows(read(tmp_path, text(lines)).events) if row[0] == 0]


def test_flags_of_an_evicted_folio_tell_workingset_and_mapped(tmp_path: Path) -> None:
    lines = [
        add(0),
        evicting(0, W | 1), delete(0),
        evicting(4, M), f"kswapd0-42 | {DELETE}: {folio(4, 2)}",
        evicting(9, W | M | 1 << 17),  # an anonymous folio
        evicting(8, W | M), delete(8),
        evicting(3, 0), delete(3),
        add(3), refault(3, 0x3),  # what flags said is not learnt anew
    ]  # fmt: skip
    imported = read(tmp_path, text(lines))
    flags = [row[5] for row in rows(imported.events) if row[0] == 0]
    assert flags == [WORKINGSET, MAPPED, WORKINGSET | MAPPED, 0]
    assert imported.events.mapped
    assert imported.events.workingset_inferred_ratio == 0
    assert any("1 store has another workingset bit" in said for said in imported.warnings)
    assert any("taken as those of Linux 6.12" in said for said in imported.warnings)


def test_mapped_is_recorded_only_if_every_store_has_flags(tmp_path: Path) -> None:
    lines = [evicting(0, W | M), delete(0), evicting(1, W | M), delete(2), delete(1)]
    imported = read(tmp_path, text(lines))
    assert [row[5] for row in rows(imported.events)] == [WORKINGSET | MAPPED, 0, 0]
    assert not imported.events.mapped
    assert imported.events.workingset_inferred_ratio == pytest.approx(2 / 3)
    assert any("2 stores have no flags" in said for said in imported.warnings)


def test_bits_of_flags_are_those_of_the_recorded_kernel(tmp_path: Path) -> None:
    memory = MEMORY._replace(page_flags=PageFlags(8, 15, 20))
    lines = [evicting(0, 1 << 8 | 1 << 9), delete(0), evicting(1, 1 << 15), delete(1)]
    imported = read(tmp_path, text(lines), memory)
    assert [row[5] for row in rows(imported.events)] == [WORKINGSET, MAPPED]
    assert not any("folio->flags" in said for said in imported.warnings)


@pytest.mark.parametrize(
    ("files", "bits"),
    [
        ({"page_flags": "workingset 8\nmappedtodisk 15\nswapbacked 18\n"}, PageFlags(8, 15, 18)),
        ({"page_flags": "PG_workingset 8\n", "version": "6.18.1"}, PageFlags(8, 11, 17)),
        ({"version": "6.12.30-android16\n"}, PageFlags()),
        ({"uname": "Linux (none) 6.12.117 #3 SMP aarch64"}, PageFlags()),
        ({"version": "6.6.50"}, None),
    ],
)
def test_an_archive_tells_the_bits_or_its_kernel_does(
    tmp_path: Path, files: dict[str, str], bits: PageFlags | None
) -> None:
    zone = "Node 0, zone DMA\n  pages free 3\n spanned 64\n present 64\n  start_pfn: 0\n"
    archive = tmp_path / "x.meta.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in ({"zoneinfo.before": zone} | files).items():
            member = tarfile.TarInfo(f"meta/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    assert read_memory(archive).page_flags == bits


def test_without_flags_two_touches_in_a_residency_make_a_workingset_folio(tmp_path: Path) -> None:
    lines = [
        add(0), touched(0), touched(0), touched(0), delete(0),
        add(1), touched(1), delete(1),
        add(0), touched(0), refault(0, 0x1), delete(0),  # another residency; its refault learns
        add(2), touched(2), touched(2, inode=77), delete(2),
    ]  # fmt: skip
    imported = read(tmp_path, text(lines))
    flags = [row[5] for row in rows(imported.events) if row[0] == 0]
    assert flags == [0, 0, 0, 0]  # the first one's shadow says that it was none
    assert imported.events.workingset_inferred_ratio == pytest.approx(3 / 4)
    assert store_flags(lines[:5], tmp_path) == [WORKINGSET]
    assert any(
        "3 of 4 stores have their workingset bit by a rule (two" in s for s in imported.warnings
    )


def test_without_marks_a_refault_in_the_residency_makes_a_workingset_folio(tmp_path: Path) -> None:
    lines = [delete(0), add(0), refault(0, 0x1), delete(0), add(0), delete(0)]
    assert store_flags(lines, tmp_path) == [0, WORKINGSET, 0]


def test_the_shadow_of_a_large_folio_is_that_of_its_last_page_that_has_one(tmp_path: Path) -> None:
    lines = [delete(4), delete(5), delete(6), add(4, 2), refault(4, 0x3)]
    assert store_flags(lines, tmp_path) == [0, 0, WORKINGSET]


def test_an_inode_that_goes_takes_what_was_evicted_of_its_file(tmp_path: Path) -> None:
    lines = [
        add(0), delete(0), delete(1),
        f"evict: ino={0xA4CF} dev={254 << 20}",
        f"evict: ino={0xA4CF} dev={254 << 20 | 1}",  # of another device
        f"evict: ino={77} dev={254 << 20}",  # never seen
        f"evict: ino={254 << 20} dev=3",  # a block device
        add(0), delete(0), add(0),
    ]  # fmt: skip
    imported = read(tmp_path, text(lines))
    assert [row[:2] for row in rows(imported.events)] == [
        (1, 0), (0, 0), (0, 0), (3, 0), (1, 0), (0, 0), (1, 0),
    ]  # fmt: skip
    assert imported.counts["inodes_gone"] == 1
    assert imported.counts["refaulted_pages"] == 1


def phases(marks: list[str], tmp_path: Path, event: str = "tracing_mark_write: ") -> list[object]:
    """Return the name of each phase that marks begin, "" where one ends, None at another row."""
    lines = [
        f"{who or 'app-7'} | {event}{mark}"
        for who, _, mark in ([("", "", m) if " | " not in m else m.partition(" | ") for m in marks])
    ]
    events = read(tmp_path, text([*lines, add(0)])).events
    return [
        (events.phases[row[2]] if row[2] != NO_PHASE else "") if row[0] == 7 else None
        for row in rows(events)[:-1]
    ]


@pytest.mark.parametrize(
    "event", ["tracing_mark_write: ", "print: ", "print: tracing_mark_write: "]
)
def test_a_phase_mark_begins_a_phase(tmp_path: Path, event: str) -> None:
    marks = [
        "PHASE launch 1 shop",
        "PHASE two",
        "TAG tagged=0 g32=0 order=3 shadow=1",
        "PHASE launch 1 shop",
    ]
    assert phases(marks, tmp_path, event) == ["launch 1 shop", "two", "launch 1 shop"]


def test_a_launch_is_a_phase_from_the_begin_to_the_end_of_its_span(tmp_path: Path) -> None:
    marks = [
        "S|1204|launching: com.a|0", "S|1204|deliverInput|7", "F|1204|deliverInput|7",
        "F|1204|launching: com.a|1",  # of another cookie
        "F|1204|launching: com.a|0",
        "F|1204|launching: com.a|0",
    ]  # fmt: skip
    assert phases(marks, tmp_path) == ["com.a", ""]


def test_where_spans_overlap_the_last_begun_counts(tmp_path: Path) -> None:
    marks = [
        "S|1|launching: a|0", "S|1|launching: b|1", "F|1|launching: a|0", "F|1|launching: b|1",
        "S|1|launching: a|2", "S|1|launching: c|3", "F|1|launching: c|3", "F|1|launching: a|2",
    ]  # fmt: skip
    assert phases(marks, tmp_path) == ["a", "b", "", "a", "c", "a", ""]


def test_a_synchronous_span_ends_with_the_end_of_its_own_thread(tmp_path: Path) -> None:
    marks = [
        "B|9|outer", "B|9|launching: a", "B|9|inner", "other-8 | E|9", "E|9", "E|9", "E|9", "E|9",
    ]  # fmt: skip
    assert phases(marks, tmp_path) == ["a", ""]


def test_what_is_told_beside_the_rows_survives_the_file(tmp_path: Path) -> None:
    lines = [fault(0), add(0), evicting(0, M), delete(0), "tracing_mark_write: PHASE one"]
    lines += [alloc(4, 0, "gfp_flags=GFP_NOFS|__GFP_WRITE"), add(8, frame=4)]
    events = read(tmp_path, text([*lines, f"{BEGIN}: order=0"])).events
    write_events(tmp_path / "x.parquet", events)
    again = read_events(tmp_path / "x.parquet")
    assert again.about == events.about
    assert dict(again.left_out)["write_pages"] == 1


def test_a_survey_says_what_a_capture_tells(tmp_path: Path) -> None:
    lines = [
        "tracing_mark_write: PHASE one", add(0), add(1), add(2), get_pages(0, 1),
        "tracing_mark_write: PHASE two", add(8), add(10), get_pages(20, 20),
        evicting(0, W | M), delete(0), evicting(1, 0), delete(1), add(0), get_pages(0, 0),
        add(5, inode="fe00000", dev="0:3"), delete(5, inode="fe00000", dev="0:3"),
        add(5, inode="fe00000", dev="0:3"),
    ]  # fmt: skip
    figures = survey_events(read(tmp_path, text(lines)).events).figures
    assert figures["requests"] == {
        "recorded": True, "count": 3, "pages_mean": 2.0, "pages_median": 2.0,
        "waited_ratio": 0.6667, "commands": 4,
    }  # fmt: skip
    assert figures["phases"] == {"one": 3, "two": 5}
    assert figures["workingset_inferred_ratio"] == 0
    assert (figures["mapped"], figures["mapped_stores"]) == (True, 1)
    assert figures["left_out"]["metadata_refaults"] == 1
    assert (figures["refaults"], figures["kernel_refaults"]) == (1, 2)


def test_a_survey_of_a_table_that_tells_nothing_says_so(tmp_path: Path) -> None:
    lines = [add(0), add(1), add(9), delete(0)]
    events = read(tmp_path, text(lines)).events._replace(workingset_inferred_ratio=float("nan"))
    figures = survey_events(events).figures
    assert figures["requests"]["recorded"] is False
    assert (figures["requests"]["count"], figures["requests"]["waited_ratio"]) == (2, 1)
    assert figures["workingset_inferred_ratio"] is None
    assert (figures["mapped"], figures["mapped_stores"]) == (False, None)
    assert figures["phases"] == {}
