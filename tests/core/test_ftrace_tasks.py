"""Tasks are told by their pid and by what they do: which deletions of a trace are reclaim."""

from __future__ import annotations

import random
from pathlib import Path

import ftrace_lines
import pytest
from ftrace_lines import (
    ADD,
    BEGIN,
    DELETE,
    END,
    MEMORY,
    add,
    fault,
    folio,
    get_pages,
    rows,
    text,
)

from core.accesses import TRUNCATE
from core.events import INVALIDATE, STORE, WANTED
from core.workload import text as text_of_traces
from core.workload.ftrace import capture
from core.workload.ftrace.capture import Imported
from core.workload.ftrace.memory import Memory

WAKE, SLEEP = "mm_vmscan_kswapd_wake: nid=0 order=0", "mm_vmscan_kswapd_sleep: nid=0"
BEGINS, ENDS = f"{BEGIN}: order=0 gfp_flags=GFP_KERNEL", f"{END}: nr_reclaimed=1"
MEMCG_BEGINS = "mm_vmscan_memcg_reclaim_begin: order=0 gfp_flags=GFP_KERNEL"
MEMCG_ENDS = "mm_vmscan_memcg_reclaim_end: nr_reclaimed=1"


def gone(index: int, task: str = "app-7") -> str:
    return f"{task} | {DELETE}: {folio(index)}"


def read(
    folder: Path, lines: list[str], memory: Memory = MEMORY, with_accesses: bool = False
) -> Imported:
    """Import lines and one more, which tells that a lookup of another task ends its request."""
    content = text([*lines, f"looks-5 | {get_pages(0, 0)}"])
    return ftrace_lines.read(folder, content, memory, with_accesses)


def by_reclaim(imported: Imported) -> str:
    """Return a letter for each deletion: k by a kswapd, w while a task waits, t for truncation."""
    letters = {STORE: "k", STORE + 100: "w", INVALIDATE: "t"}
    return "".join(
        letters[op + (100 if flags & WANTED else 0)]
        for op, _, _, _, _, flags in rows(imported.events)
        if op in (STORE, INVALIDATE)
    )


def losses(imported: Imported) -> dict[str, int]:
    names = ("reclaim_or_truncation", "lost_reclaim_begins", "lost_reclaim_ends", "unknown_tasks")
    return {loss.name: loss.count for loss in imported.events.losses if loss.name in names}


@pytest.mark.parametrize("name", ["<...>-97", "-97", "kworker/0:1-97", "kswapd1-97", "a b-c-97"])
def test_who_wakes_as_a_kswapd_is_one_whatever_its_name(tmp_path: Path, name: str) -> None:
    lines = [
        gone(9),
        f"{name} | {WAKE}",
        gone(0, name),
        gone(1),
        f"{name} | {SLEEP}",
        gone(2, name),
    ]
    assert by_reclaim(read(tmp_path, [*lines, BEGINS, ENDS])) == "tktk"


def test_a_kswapd_that_runs_when_the_trace_begins_is_told_by_its_sleep(tmp_path: Path) -> None:
    lines = [gone(0, "<...>-97"), gone(1, "<...>-98"), gone(2, "<...>-97"), BEGINS, ENDS]
    told = [*lines, f"<...>-97 | {SLEEP}", "<...>-98 | mm_vmscan_kswapd_sleep: nid=1"]
    imported = read(tmp_path, told)
    assert by_reclaim(imported) == "kkk"
    assert losses(imported) == {}
    imported = read(tmp_path, lines)
    assert by_reclaim(imported) == "ttt"
    assert losses(imported) == {"reclaim_or_truncation": 3}


def test_a_name_on_one_line_is_the_task_s_on_every_line(tmp_path: Path) -> None:
    lines = [gone(0, "<...>-97"), gone(1, "kswapd0-97"), gone(2, "-97"), gone(3, "<...>-55")]
    assert by_reclaim(read(tmp_path, lines)) == "kkkt"


def test_a_kswapd_that_is_told_late_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_of_traces, "CHUNK_BYTES", 100)
    monkeypatch.setattr(capture, "PRELUDE_RECORDS", 2)
    lines = [gone(0, "<...>-97"), gone(1, "<...>-97"), BEGINS, ENDS, f"<...>-97 | {WAKE}"]
    imported = read(tmp_path, [*lines, gone(2, "<...>-97")])
    assert by_reclaim(imported) == "ttk"
    assert losses(imported) == {"reclaim_or_truncation": 2}


def test_reclaims_within_one_another_end_with_the_outer_one(tmp_path: Path) -> None:
    lines = [BEGINS, gone(0), MEMCG_BEGINS, gone(1), MEMCG_ENDS, gone(2), ENDS, gone(3)]
    imported = read(tmp_path, lines)
    assert by_reclaim(imported) == "wwwt"
    assert losses(imported) == {}


def test_a_reclaim_whose_end_is_lost_ends_where_its_task_does_something_else(
    tmp_path: Path,
) -> None:
    for other in (get_pages(0, 0), fault(0), add(9), "sched_process_exit: comm=app pid=7"):
        imported = read(tmp_path, [BEGINS, gone(0), other, gone(1), BEGINS, gone(2), ENDS])
        assert by_reclaim(imported) == "wtw", other
        assert losses(imported) == {"lost_reclaim_ends": 1}
    # A begin is inside of the reclaim whose end is lost; when it has ended, another begin tells.
    lines = [BEGINS, gone(0), BEGINS, gone(1), ENDS, gone(2), BEGINS, gone(3), ENDS, gone(4)]
    imported = read(tmp_path, lines)
    assert by_reclaim(imported) == "wwtwt"
    assert losses(imported) == {"lost_reclaim_ends": 1}


def test_metadata_that_is_read_within_reclaim_ends_none(tmp_path: Path) -> None:
    reads = f"{ADD}: dev 0:4 ino 800001 pfn=0x40009 ofs=0 order=0"
    imported = read(tmp_path, [BEGINS, gone(0), reads, gone(1), ENDS, gone(2)])
    assert by_reclaim(imported) == "wwt"


def test_an_end_of_a_reclaim_from_before_the_trace_tells_the_deletions_before_it(
    tmp_path: Path,
) -> None:
    imported = read(tmp_path, [gone(0), gone(1, "b-8"), gone(2), ENDS, gone(3)])
    assert by_reclaim(imported) == "wtwt"
    assert losses(imported) == {}
    # What the task deleted before it did something else was not in that reclaim.
    lines = [BEGINS, ENDS, gone(0), get_pages(0, 0), gone(1), ENDS]
    imported = read(tmp_path, lines)
    assert by_reclaim(imported) == "tw"
    assert losses(imported) == {"lost_reclaim_begins": 1}


def test_deletions_that_nothing_tells_of_are_counted(tmp_path: Path) -> None:
    no_events = read(tmp_path, [add(0), gone(0), gone(1, "b-8"), gone(2, "kswapd0-9")])
    assert by_reclaim(no_events) == "ttk"
    assert losses(no_events) == {"reclaim_or_truncation": 2}
    (said,) = (said for said in no_events.warnings if "may be reclaim" in said)
    assert "no mm_vmscan_direct_reclaim_begin" in said
    recorded = MEMORY._replace(recorded=("mm_vmscan_direct_reclaim_begin",))
    lines = [add(0), gone(0), gone(1, "b-8"), gone(2, "<...>-9")]
    assert losses(read(tmp_path, lines, recorded)) == {"reclaim_or_truncation": 1}
    # A task that looks pages up, or reclaims itself, is no kswapd, whatever its name.
    lines = [f"<...>-9 | {BEGINS}", f"<...>-9 | {ENDS}", gone(2, "<...>-9"), gone(3)]
    assert losses(read(tmp_path, lines)) == {}


def test_a_number_beyond_those_of_a_kernel_is_no_other_task(tmp_path: Path) -> None:
    beyond = f"x-{(1 << 22) + 7}"
    lines = [BEGINS, gone(0, beyond), gone(1), f"{beyond} | {BEGINS}", ENDS, gone(2, beyond)]
    assert by_reclaim(read(tmp_path, lines)) == "tww"


def test_a_whole_trace_of_many_tasks_has_the_reclaim_that_was_put_in(tmp_path: Path) -> None:
    for seed in range(20):
        chance = random.Random(seed)
        inside: dict[int, int] = {}
        lines, expected = [f"{BEGIN}: order=0", f"{END}: nr_reclaimed=0"], ""
        for index in range(200):
            task = chance.randrange(100, 106)
            kswapd, depth = task >= 104, inside.get(task, 0)
            name = f"<...>-{task}"
            if not kswapd and depth < 2 and chance.random() < 0.3:
                lines.append(f"{name} | {BEGINS}")
                inside[task] = depth + 1
            elif depth and chance.random() < 0.4:
                lines.append(f"{name} | {ENDS}")
                inside[task] = depth - 1
            elif not kswapd and not depth and chance.random() < 0.3:
                lines.append(f"{name} | {add(index)}")
            else:
                lines.append(gone(index, name))
                expected += "k" if kswapd else "w" if depth else "t"
        lines += [f"<...>-{task} | {ENDS}" for task, depth in inside.items() for _ in range(depth)]
        lines += [f"<...>-{task} | {SLEEP}" for task in (104, 105)]
        assert by_reclaim(read(tmp_path, lines)) == expected, seed


def test_an_access_trace_has_the_same_truncations(tmp_path: Path) -> None:
    lines = [f"<...>-97 | {WAKE}", gone(0, "<...>-97"), gone(1), BEGINS, gone(2), ENDS, gone(3)]
    imported = read(tmp_path, lines, with_accesses=True)
    assert imported.accesses is not None
    truncated = imported.accesses.index[imported.accesses.op == TRUNCATE]
    assert truncated.tolist() == [1, 3]


def test_what_a_program_or_damon_pages_out_is_reclaim(tmp_path: Path) -> None:
    paged_out = "mm_vmscan_reclaim_pages: nid=0 nr_scanned=1 nr_reclaimed=1"
    lines = [gone(9), get_pages(0, 0), gone(0), gone(1), paged_out, gone(2), BEGINS, ENDS]
    imported = read(tmp_path, [f"app-7 | {line}" if " | " not in line else line for line in lines])
    assert by_reclaim(imported) == "twwt"
    assert by_reclaim(read(tmp_path, [gone(0, "kdamond.0-60"), gone(1, "kdamondx-61")])) == "kt"
