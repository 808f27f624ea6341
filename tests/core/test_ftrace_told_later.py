"""What later events of a trace tell of earlier accesses, by lines worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrace_lines import (
    BEGIN,
    DELETE,
    END,
    MEMORY,
    add,
    alloc,
    fault,
    folio,
    get_pages,
    page,
    read,
    text,
)

from core.accesses import (
    EXIT,
    FROM_BEFORE,
    GIVE,
    IN_FAULT,
    MAP,
    METADATA,
    READ,
    TAKE,
    TOUCH,
    TRUNCATE,
    Accesses,
    check_accesses,
)
from core.events import ANONYMOUS
from core.workload.ftrace.memory import Memory

#: A tagged allocation, which tells the frame of a struct page.
BASE = [f"tag_clear_highpage: page={page(9)}", alloc(9)]
PROGRAM_GFP = "gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP"
ZRAM = MEMORY._replace(zram_size=1 << 20)
MAP_PAGES = "mm_filemap_map_pages: dev=254:0 ino=a4cf ofs=0-4095"


def accesses_of(folder: Path, lines: list[str], memory: Memory = MEMORY) -> Accesses:
    imported = read(folder, text(lines, start=0), memory, with_accesses=True)
    assert imported.accesses is not None
    check_accesses(imported.accesses, "x")
    return imported.accesses


def rows(accesses: Accesses, *ops: int) -> list[tuple[int, ...]]:
    """Return (op, index, order, flags, line) of the rows of some ops; lines count from 0."""
    columns = (accesses.op, accesses.index, accesses.order, accesses.flags)
    line = (accesses.time_ns // 1000).tolist()
    table = zip(*(column.tolist() for column in columns), line, strict=True)
    return [row for row in table if row[0] in ops]


def evicted(index: int, order: int = 0, frame: int = 1) -> str:
    return f"kswapd0-42 | {DELETE}: {folio(index, order, frame=frame)}"


def truncated(index: int) -> str:
    return f"rm-8 | {DELETE}: {folio(index)}"


def touched(frame: int = 1) -> str:
    return f"folio_mark_accessed: folio={page(frame)} index=0 ino=42191"


def ends(task: int = 7) -> str:
    return f"app one-{task} | sched_process_exit: comm=app pid={task} prio=120"


def freed(frame: int, task: str = "app one-7") -> str:
    return f"{task} | mm_page_free: page={page(frame)} pfn={0x40000 + frame:#x} order=0"


OLD, YOUNG = FROM_BEFORE, FROM_BEFORE | IN_FAULT


def test_what_is_evicted_before_it_is_read_was_there_when_the_trace_began(tmp_path: Path) -> None:
    lines = [add(5, frame=5), evicted(0), evicted(8, 2, frame=8), add(0, frame=6)]
    assert rows(accesses_of(tmp_path, lines), READ) == [
        (READ, 0, 0, OLD, 0), (READ, 8, 2, OLD, 0), (READ, 5, 0, 0, 0), (READ, 0, 0, 0, 3),
    ]  # fmt: skip


def test_it_is_old_if_reclaim_took_it_before_anything_that_the_trace_read(tmp_path: Path) -> None:
    lines = [add(5, frame=5), evicted(0), evicted(5, frame=5), evicted(1), evicted(2)]
    # Page 5 was read in the trace, and is evicted before pages 1 and 2.
    assert rows(accesses_of(tmp_path, lines), READ)[:3] == [
        (READ, 0, 0, OLD, 0), (READ, 1, 0, YOUNG, 0), (READ, 2, 0, YOUNG, 0),
    ]  # fmt: skip


def test_what_is_truncated_before_it_is_read_was_there_too(tmp_path: Path) -> None:
    accesses = accesses_of(tmp_path, [add(5, frame=5), truncated(0)])
    assert rows(accesses, READ, TRUNCATE) == [
        (READ, 0, 0, OLD, 0), (READ, 5, 0, 0, 0), (TRUNCATE, 0, 0, 0, 1),
    ]  # fmt: skip


def test_what_is_mapped_and_never_read_was_there_as_by_a_fault(tmp_path: Path) -> None:
    lines = [add(5, frame=5), fault(3), fault(5), fault(3), evicted(0)]
    accesses = accesses_of(tmp_path, lines)
    assert rows(accesses, READ) == [
        (READ, 0, 0, OLD, 0), (READ, 3, 0, YOUNG, 0), (READ, 5, 0, 0, 0),
    ]  # fmt: skip
    assert [row[1] for row in rows(accesses, MAP)] == [3, 5, 3]


def test_what_is_mapped_and_then_evicted_was_there_once(tmp_path: Path) -> None:
    lines = [add(5, frame=5), fault(3), evicted(3), fault(3), add(3)]
    reads = rows(accesses_of(tmp_path, lines), READ)
    assert [row[1] for row in reads] == [3, 5, 3]
    assert reads[0][3] & FROM_BEFORE


COMES = [*BASE, fault(0), add(0)]


@pytest.mark.parametrize(
    ("lines", "stays"),
    [
        ([touched()], False),  # the page is mapped, and nobody read it: its task ends
        ([ends(), touched()], False),
        ([get_pages(0, 0), touched()], True),  # a read() of it
        ([get_pages(0, 3), touched()], True),
        ([get_pages(1, 3), touched()], False),  # of other pages
        ([get_pages(0, 0, "beef"), touched()], False),  # of another file
        ([f"b-8 | {get_pages(0, 0)}", touched()], False),  # by another task
        ([evicted(0), add(0), touched()], True),  # it came back since, and is mapped no more
        ([evicted(0), fault(0), add(0), touched()], True),  # the fault was before it came
        ([evicted(0), add(0), fault(0), touched()], False),
    ],
)
def test_a_touch_of_a_mapped_page_that_its_task_did_not_read_is_left_out(
    tmp_path: Path, lines: list[str], stays: bool
) -> None:
    # It came and was mapped, so that the last line is what tells.
    accesses = accesses_of(tmp_path, [*COMES, fault(0), *lines])
    assert [row[1] for row in rows(accesses, TOUCH)] == [0] * stays


def test_a_touch_of_a_page_that_is_not_mapped_stays(tmp_path: Path) -> None:
    assert len(rows(accesses_of(tmp_path, [*BASE, add(0), touched()]), TOUCH)) == 1
    # Nor has a task mapped it that got a copy at once.
    copied = f"copy_highpage: to={page(20)} from={page(1)}"
    lines = [alloc(20, gfp=PROGRAM_GFP), add(0), fault(0), copied, touched()]
    assert len(rows(accesses_of(tmp_path, [*BASE, *lines]), TOUCH)) == 1


RECLAIMED = [f"{BEGIN}: order=0 gfp_flags=GFP_KERNEL", freed(20), f"{END}: nr_reclaimed=1"]


@pytest.mark.parametrize(
    ("memory", "gives"),
    # Lines 0 to 8: taken in 1, freed by reclaim in 3; the other task ends in 5, and its own in 7.
    [(ZRAM, [(GIVE, 7)]), (MEMORY, [(GIVE, 3)])],
)
def test_what_reclaim_put_into_zram_is_given_when_its_task_ends(
    tmp_path: Path, memory: Memory, gives: list[tuple[int, int]]
) -> None:
    taken = alloc(20, gfp=PROGRAM_GFP)
    lines = [add(5, frame=5), taken, *RECLAIMED, ends(8), add(6, frame=6), ends(), ends()]
    accesses = accesses_of(tmp_path, lines, memory)
    takes, given = rows(accesses, TAKE), rows(accesses, GIVE)
    assert [row[3] & ANONYMOUS for row in takes] == [ANONYMOUS]
    assert [(row[0], row[4]) for row in given] == gives
    handles = accesses.handle[(accesses.op == TAKE) | (accesses.op == GIVE)]
    assert len(set(handles.tolist())) == 1
    assert len(rows(accesses, EXIT)) == 3


def test_a_task_that_never_ends_keeps_what_it_has_in_zram(tmp_path: Path) -> None:
    lines = [add(5, frame=5), alloc(20, gfp=PROGRAM_GFP), *RECLAIMED, ends(8)]
    assert rows(accesses_of(tmp_path, lines, ZRAM), GIVE) == []
    # What it frees itself it has not.
    lines = [add(5, frame=5), alloc(20, gfp=PROGRAM_GFP), freed(20)]
    assert [row[4] for row in rows(accesses_of(tmp_path, lines, ZRAM), GIVE)] == [2]


def test_what_a_kswapd_frees_of_a_program_is_in_zram(tmp_path: Path) -> None:
    taken = alloc(20, gfp=PROGRAM_GFP)
    lines = [add(5, frame=5), taken, evicted(5, frame=5), freed(20, "kswapd0-42"), ends()]
    assert [row[4] for row in rows(accesses_of(tmp_path, lines, ZRAM), GIVE)] == [4]


def test_an_exec_ends_what_a_task_had(tmp_path: Path) -> None:
    execs = "sched_process_exec: filename=/bin/a pid=7 old_pid=7"
    lines = [alloc(20, gfp=PROGRAM_GFP), add(5, frame=5), *RECLAIMED, execs, ends()]
    assert [row[4] for row in rows(accesses_of(tmp_path, lines, ZRAM), GIVE)] == [5]


def test_what_a_read_brings_in_is_no_fault_s_whatever_the_task_did_before(tmp_path: Path) -> None:
    lines = [fault(9), add(9), MAP_PAGES, add(0), add(1), get_pages(0, 1)]
    in_fault = [row[3] & IN_FAULT for row in rows(accesses_of(tmp_path, lines), READ)]
    assert in_fault == [IN_FAULT, 0, 0]
    # What no get_pages tells of is the fault's, around its page.
    lines = [fault(9), add(8), add(9), add(10), f"b-8 | {get_pages(0, 0)}"]
    in_fault = [row[3] & IN_FAULT for row in rows(accesses_of(tmp_path, lines), READ)]
    assert in_fault == [IN_FAULT] * 3


def test_metadata_is_read_in_the_fault_whose_request_it_is_read_for(tmp_path: Path) -> None:
    block = add(7, inode="fe00000", dev="0:3")
    flags = {}
    for name, lines in {
        "fault": [fault(5), add(5), block, add(6), f"b-8 | {get_pages(0, 0)}"],
        "read": [fault(9), add(9), MAP_PAGES, add(0), block, get_pages(0, 0)],
        "alone": [fault(9), add(9), MAP_PAGES, block, f"b-8 | {get_pages(0, 0)}"],
    }.items():
        accesses = accesses_of(tmp_path, lines)
        (of_block,) = (row for row in rows(accesses, READ) if row[3] & METADATA)
        flags[name] = of_block[3]
    assert flags == {"fault": METADATA | IN_FAULT, "read": METADATA, "alone": METADATA}


def copy(target: int) -> str:
    return f"copy_highpage: to={page(target)} from={page(1)}"


@pytest.mark.parametrize(
    ("copies", "is_known"),
    [
        ([], False),
        ([alloc(20), copy(20)], False),
        ([alloc(20), copy(20), alloc(21), copy(21)], True),
        # Compaction's copies are to frames that nobody allocated.
        ([alloc(20), copy(30), copy(31)], False),
        ([alloc(20), copy(30), copy(20), alloc(21), copy(21)], True),
        # Another task's allocation is not what this one copies to.
        ([alloc(20), f"b-8 | {alloc(21)}", copy(21), alloc(22), copy(22)], False),
    ],
)
def test_two_copies_to_what_was_just_allocated_locate_the_array_of_struct_page(
    tmp_path: Path, copies: list[str], is_known: bool
) -> None:
    accesses = accesses_of(tmp_path, [*copies, add(0), touched()])
    assert len(rows(accesses, TOUCH)) == is_known
