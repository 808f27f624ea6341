"""An import checks itself against what the kernel counted, and the table keeps what came of it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from ftrace_lines import (
    ADD,
    BEGIN,
    DELETE,
    END,
    MEMORY,
    WRITE_GFP,
    alloc,
    folio,
    page,
    read,
    refault,
    text,
)

from core.event_files import read_events, write_events
from core.events import Events, EventsError, digest_events
from core.import_checks import COMPARISONS, ImportCheck
from core.workload.ftrace.checks import kernel_counts
from core.workload.ftrace.memory import read_memory
from core.workload.repair import repair
from core.workload.survey import survey_events

#: What a kernel would have counted itself while it did what `LINES` say.
COUNTED = {
    "reclaimed_pages": 6,
    "kernel_refaults": 1,
    "allocated_pages": 6,
    "freed_pages": 2,
    "reservations": 2,
    "releases": 1,
}
LINES = [
    f"{ADD}: {folio(0)}",
    f"{ADD}: {folio(4, 2)}",
    f"{ADD}: {folio(1)}",
    f"kswapd0-42 | {DELETE}: {folio(0)}",
    f"kswapd0-42 | {DELETE}: {folio(4, 2)}",
    f"{BEGIN}: order=0 gfp_flags=1",
    f"{DELETE}: {folio(1)}",
    f"{END}: nr_reclaimed=1",
    f"{ADD}: {folio(0)}",
    refault(0, 0x1400041),
    f"tag_clear_highpage: page={page(3)}",
    alloc(3),
    alloc(4, 0, "gfp_flags=GFP_KERNEL"),
    alloc(32, 1),
    alloc(64, 1, WRITE_GFP),
    "tracing_mark_write: TAG tagged=3 nonlru=0 g32=2",
    "mm_page_free: pfn=0x40003 order=0",
    "mm_page_free: pfn=0x40004 order=0",
    "tracing_mark_write: TAG tagged=2 nonlru=0 g32=1",
]


def imported(folder: Path, **changed: int) -> Events:
    """Return the table of `LINES`, of a kernel that counted so much else."""
    counted = tuple((COUNTED | changed).items())
    return read(folder, text(LINES), MEMORY._replace(kernel_counts=counted)).events


def test_every_count_of_the_kernel_has_ours_beside_it(tmp_path: Path) -> None:
    checks = {check.name: (check.theirs, check.ours) for check in imported(tmp_path).checks}
    assert checks == {
        **{name: (count, count) for name, count in COUNTED.items()},
        "returned_pages": (1, 1),
        "tagged_pages": (5, 5),  # 3 and then 2
        "tagged_groups": (3, 3),  # 2 and then 1
    }
    assert list(checks) == list(COMPARISONS)


def test_what_the_kernel_did_not_count_is_no_check(tmp_path: Path) -> None:
    no_samples = [line for line in LINES if "TAG" not in line]
    assert read(tmp_path, text(no_samples)).events.checks == ()
    memory = MEMORY._replace(kernel_counts=tuple(COUNTED.items()))
    no_refaults = [line for line in LINES if "workingset_refault" not in line]
    checks = {
        check.name: check for check in read(tmp_path, text(no_refaults), memory).events.checks
    }
    assert "kernel_refaults" not in checks
    assert checks["returned_pages"].ours == 1


def test_a_page_that_a_write_brings_back_is_no_refault(tmp_path: Path) -> None:
    writes = [*LINES, "x-7 | " + alloc(70, 0, WRITE_GFP), f"x-7 | {ADD}: {folio(4, frame=70)}"]
    memory = MEMORY._replace(kernel_counts=tuple(COUNTED.items()))
    found = read(tmp_path, text(writes), memory)
    assert found.counts["write_insertions"] == 1
    checks = {check.name: check.ours for check in found.events.checks}
    assert checks["returned_pages"] == 1


@pytest.mark.parametrize(
    ("check", "is_beyond"),
    [
        (ImportCheck("reclaimed_pages", 10_000, 10_100), False),
        (ImportCheck("reclaimed_pages", 10_000, 10_101), True),
        (ImportCheck("reclaimed_pages", 10_000, 9_899), True),
        (ImportCheck("reclaimed_pages", 10, 13), False),
        (ImportCheck("reclaimed_pages", 0, 4), True),
        (ImportCheck("reclaimed_pages", -50, 4), True),  # of another boot
        (ImportCheck("tagged_pages", 10_000, 10_200), False),
        (ImportCheck("tagged_pages", 10_000, 10_201), True),
        (ImportCheck("of_a_later_version", 10_000, 10_101), True),
    ],
)
def test_beyond_a_percent_is_a_warning_and_beyond_two_where_theirs_is_a_sample(
    check: ImportCheck, is_beyond: bool
) -> None:
    assert check.is_beyond == is_beyond


def test_a_warning_says_what_either_counted_and_why_both_may_differ(tmp_path: Path) -> None:
    assert imported(tmp_path)._replace(losses=()).import_warnings() == []
    events = imported(tmp_path, freed_pages=40)
    assert [loss.name for loss in events.losses] == ["guessed_requests"]
    (warning,) = events._replace(losses=()).import_warnings()
    assert warning == (
        "freed_pages: the kernel counted 40 (pgfree of /proc/vmstat), the import 2, 95.0% fewer: "
        "the trace lacks events, or the kernel also counted what was not traced: the recorder's "
        "own work, and what came before and after"
    )
    assert ImportCheck("new", 0, 4).warning == "new: the kernel counted 0, the import 4"
    said = read(tmp_path, text(LINES), MEMORY._replace(kernel_counts=(("freed_pages", 40),)))
    assert f"{tmp_path / 'x.ftrace.txt'}: {warning}" in said.warnings


def test_checks_stay_on_the_trace_and_change_no_digest(tmp_path: Path) -> None:
    events = imported(tmp_path, reclaimed_pages=60)
    assert len(events.import_warnings()) == 1 + len(events.losses)
    write_events(tmp_path / "x.parquet", events)
    again = read_events(tmp_path / "x.parquet")
    assert again.checks == events.checks
    assert again.import_warnings() == events.import_warnings()
    repaired, _ = repair(again)
    assert repaired.checks == events.checks
    figures = survey_events(again).figures
    assert figures["import_warnings"] == events.import_warnings()
    assert figures["checks"][0] == {
        "name": "reclaimed_pages", "theirs": 60, "ours": 6, "difference_ratio": -0.9,
    }  # fmt: skip
    assert digest_events(events) == digest_events(events._replace(checks=()))


@pytest.mark.parametrize("written", [None, 3, {"a": 1}, [1], [{"name": "a", "theirs": 1}],
                                     [{"name": "a", "theirs": 1, "ours": "2"}]])  # fmt: skip
def test_checks_that_are_none_are_refused_by_file(tmp_path: Path, written: object) -> None:
    path = tmp_path / "x.parquet"
    write_events(path, imported(tmp_path))
    table = parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"mm_events"]) | {"checks": written}
    parquet.write_table(
        table.replace_schema_metadata({b"mm_events": json.dumps(about).encode()}), path
    )
    with pytest.raises(EventsError, match=r"x\.parquet: metadata mm_events: checks are no list"):
        read_events(path)


def test_a_table_that_tells_no_checks_has_none(tmp_path: Path, traces: Path) -> None:
    path = tmp_path / "x.parquet"
    write_events(path, imported(tmp_path))
    table = parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"mm_events"])
    del about["checks"]
    parquet.write_table(
        table.replace_schema_metadata({b"mm_events": json.dumps(about).encode()}), path
    )
    assert read_events(path).checks == ()
    version_1 = read_events(traces / "mixed-xfs.parquet")
    assert (version_1.checks, version_1.import_warnings()) == ((), [])


VMSTAT = "nr_free_pages {}\npgalloc_dma {}\npgalloc_normal {}\npgfree {}\npgsteal_file {}\n"
REFAULTS = "workingset_refault_anon {}\nworkingset_refault_file {}\n"


def test_what_the_kernel_counted_is_what_its_counters_grew_by() -> None:
    before = VMSTAT.format(9, 10, 20, 30, 40) + REFAULTS.format(1, 2)
    start = VMSTAT.format(9, 11, 22, 33, 44) + REFAULTS.format(1, 3)
    after = VMSTAT.format(5, 111, 222, 333, 444) + REFAULTS.format(7, 103)
    grown = {"reclaimed_pages": 400, "kernel_refaults": 100, "allocated_pages": 300,
             "freed_pages": 300}  # fmt: skip
    texts = {"vmstat.before": before, "vmstat.start": start, "vmstat.after": after}
    assert dict(kernel_counts(texts)) == grown
    del texts["vmstat.start"]
    assert dict(kernel_counts(texts))["reclaimed_pages"] == 404
    assert kernel_counts({"vmstat.before": before}) == ()
    assert kernel_counts({"vmstat.after": after}) == ()
    assert kernel_counts({"vmstat.before": before, "vmstat.after": "\0 no text"}) == ()
    # Before Linux 5.9, workingset_refault counted files alone.
    older = {"vmstat.before": "workingset_refault 3\n", "vmstat.after": "workingset_refault 8\n"}
    assert kernel_counts(older) == (("kernel_refaults", 5),)


def test_tag_storage_that_no_tagged_page_reserves_is_not_compared() -> None:
    counters = "stored 7\nreservations {}\nreleases {}\n"
    reserved = {"cc.start": counters.format(1, 1), "cc.after": counters.format(9, 8)}
    assert kernel_counts(reserved) == (("reservations", 8), ("releases", 7))
    del reserved["cc.start"]
    assert kernel_counts(reserved) == (("reservations", 9), ("releases", 8))
    assert kernel_counts({"cc.after": counters.format(0, 0)}) == ()


def test_counters_come_with_the_archive_of_a_recording(tmp_path: Path) -> None:
    texts = {
        "zoneinfo.before": "Node 0, zone Normal\n pages free 1\n spanned 64\n present 64\n"
        " start_pfn: 5\n",
        "vmstat.before": "pgfree 10\n",
        "vmstat.after": "pgfree 25\n",
    }
    with tarfile.open(tmp_path / "x.meta.tar", "w") as archive:
        for name, content in texts.items():
            member = tarfile.TarInfo(f"x.meta/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    assert read_memory(tmp_path / "x.meta.tar").kernel_counts == (("freed_pages", 15),)


#: Captures whose checks differ by more than is allowed (docs/evidence.md says why), and what does.
BEYOND: dict[str, list[str]] = {
    "database-mglru-256w": ["returned_pages"],
    "database-xfs-256w": ["returned_pages"],
    "launch-mglru-224w": ["freed_pages"],
    "cache-app-tags": [],
    "cache-db-lru-tags": [],
    "cache-db-tags": [],
    "cache-wr": [],
    "cache-dbxfs": [],
}


@pytest.mark.parametrize("name", BEYOND)
def test_the_captures_were_checked_against_their_kernels(traces: Path, name: str) -> None:
    checks = {check.name: check for check in read_events(traces / f"{name}.parquet").checks}
    assert [name for name, check in checks.items() if check.is_beyond] == BEYOND[name]
    equal = {"reclaimed_pages", "tagged_pages", "tagged_groups", "reservations", "releases"}
    for check in checks.values():
        assert check.theirs == check.ours or check.name not in equal
    assert ("reservations" in checks) == name.endswith("-tags")
