"""Cuts of a capture's text: which lines are kept, and what an import makes of them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from captures import CAPTURE_PART
from ftrace_lines import (
    ADD,
    BASE,
    BEGIN,
    DELETE,
    END,
    MEMORY,
    READAHEAD_GFP,
    add,
    alloc,
    folio,
    get_pages,
    lost_in_lines,
    page,
    rows,
    text,
)
from streams import compiled

from core.accesses import check_accesses
from core.events import RESTORE, STORE
from core.workload.cut.asked import Asked, Moment, NoSuchPhase, NoSuchTask
from core.workload.cut.tables import cut_table
from core.workload.cut.text import CutText, cut_text
from core.workload.ftrace.capture import Imported, import_ftrace
from core.workload.text import TraceError, read_chunks

EVERYTHING = Asked(begin=Moment(0))


def write(folder: Path, content: str) -> Path:
    path = folder / "whole.ftrace.txt"
    path.write_text(content)
    return path


def cut(path: Path, asked: Asked, **more: object) -> tuple[str, CutText]:
    """Return the lines that are kept, without the note of the cut, and the counts."""
    pieces: list[bytes] = []
    done = cut_text(path, pieces.append, asked, **more)  # type: ignore[arg-type]
    kept = b"".join(pieces).decode()
    lines = [line for line in kept.splitlines(keepends=True) if not line.startswith("# cut: ")]
    return "".join(lines), done


def imported(folder: Path, content: str, with_accesses: bool = False) -> Imported:
    path = folder / "cut.ftrace.txt"
    path.write_text(content)
    return import_ftrace([path], MEMORY, with_accesses=with_accesses)


@compiled
def test_a_cut_of_everything_is_the_whole(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    done = cut_text(CAPTURE_PART, pieces.append, EVERYTHING)
    assert done.lines == done.kept_lines == 18_001
    assert b"".join(pieces) == b"".join(text for _, text in read_chunks([CAPTURE_PART]))


def test_a_cut_by_time_has_its_begin_and_not_its_end(tmp_path: Path) -> None:
    # Events a microsecond apart, from 15 s on; a stack goes with the line before it, and what
    # stands before all events stays.
    content = "# tracer: nop\n" + text([add(0), add(1), add(2), add(3)])
    lines = content.splitlines(keepends=True)
    lines.insert(3, " => filemap_add_folio\n")
    path = write(tmp_path, "".join(lines))
    expected = "".join([lines[0], lines[2], lines[3], lines[4]])
    relative = Asked(begin=Moment(1000), end=Moment(3000))
    stamps = Asked(
        begin=Moment(15_000_001_000, is_stamp=True), end=Moment(15_000_003_000, is_stamp=True)
    )
    for asked in (relative, stamps):
        kept, done = cut(path, asked)
        assert kept == expected
        assert (done.lines, done.kept_lines) == (6, 4)
    assert cut(path, Asked(end=Moment(1000)))[0] == "".join(lines[:2])


def test_time_goes_on_where_the_clock_steps_back(tmp_path: Path) -> None:
    path = write(tmp_path, text([add(0), add(1)]) + text([add(2), add(3)], start=3_000_000))
    kept, done = cut(path, Asked(begin=Moment(2000)))
    assert kept == text([add(3)], start=3_000_001)
    assert done.end_ns - done.begin_ns == 2000


def test_the_import_of_a_cut_says_that_it_is_one(tmp_path: Path) -> None:
    path = write(tmp_path, text([add(0), add(1), add(2)]))
    pieces: list[bytes] = []
    cut_text(path, pieces.append, Asked(begin=Moment(1000)))
    losses = imported(tmp_path, b"".join(pieces).decode()).events.losses
    (loss,) = [loss for loss in losses if loss.name == "cut"]
    assert (loss.name, loss.count, loss.where) == ("cut", 1, "from 1e-06s")
    assert "a part of a longer trace, of which 1 lines or rows were left out" in loss.warning


def test_a_cut_by_task_keeps_its_lines_and_what_became_of_what_it_brought_in(
    tmp_path: Path,
) -> None:
    frame_of_page = f"{BASE + (0x40000 + 30) * 64:#x}"
    # (task, event, whether it is kept)
    events = [
        ("app-7", alloc(1, gfp=READAHEAD_GFP), True),
        ("app-7", add(0, frame=1), True),
        ("db-9", alloc(2, gfp=READAHEAD_GFP), False),
        ("db-9", add(1, frame=2), False),
        ("db-9", "tracing_mark_write: PHASE warm", True),
        ("app-7", f"tag_clear_highpage: page={page(20)}", True),
        ("app-7", alloc(20), True),
        ("db-9", f"tag_clear_highpage: page={page(21)}", False),
        ("db-9", alloc(21), False),
        # kswapd takes a folio of each, and frees their frames.
        ("kswapd0-42", f"{DELETE}: {folio(0, frame=1)}", True),
        ("kswapd0-42", f"{DELETE}: {folio(1, frame=2)}", False),
        ("kswapd0-42", "mm_page_free: pfn=0x40001 order=0", True),
        ("kswapd0-42", "mm_page_free: pfn=0x40002 order=0", False),
        # Compaction moves a tagged page of each to frames that are theirs then.
        ("kcompactd0-43", f"copy_highpage: to={page(30)} from={page(20)}", True),
        ("kcompactd0-43", f"copy_highpage: to={page(31)} from={page(21)}", False),
        ("kcompactd0-43", "mm_page_free: pfn=0x40014 order=0", True),
        ("db-9", "mm_page_free: pfn=0x4001e order=0", True),
        ("db-9", "mm_page_free: pfn=0x4001f order=0", False),
        ("db-9", f"{BEGIN}: order=0", True),
        ("db-9", "sched_switch: prev_comm=db", False),
        ("db-9", f"{END}: nr_reclaimed=1", True),
        ("app-7", "sched_process_fork: comm=app pid=7 child_comm=app child_pid=8", True),
        ("app-8", add(5), True),
        ("db-9", "sched_process_fork: comm=db pid=9 child_comm=db child_pid=8", False),
        ("db-8", add(6), False),
    ]
    assert frame_of_page == page(30)
    content = text(f"{task} | {event}" for task, event, _ in events)
    lines = content.splitlines(keepends=True)
    expected = "".join(line for line, (_, _, kept) in zip(lines, events, strict=True) if kept)
    path = write(tmp_path, content)
    assert cut(path, Asked(task="7"))[0] == expected
    assert cut(path, Asked(task="app"))[0] == expected
    ops = [row[0] for row in rows(imported(tmp_path, expected).events)]
    # restore; phase; alloc; store; the moved page's alloc, and the frees of both frames; restore
    assert ops == [1, 7, 4, 0, 4, 5, 5, 1]


def test_a_cgroup_has_those_that_join_it_and_those_below_it(tmp_path: Path) -> None:
    attach = "cgroup_attach_task: dst_root=1 dst_id=3 dst_level=1 dst_path={} pid={} comm=x"
    events = [
        ("a-7", add(0), True),  # by the archive
        ("b-8", add(1), False),
        ("init-1", attach.format("/apps/web", 8), True),
        ("b-8", add(2), True),
        ("b-8", "sched_process_fork: comm=b pid=8 child_comm=b child_pid=9", True),
        ("b-9", add(3), True),
        ("init-1", attach.format("/application", 9), False),
        ("b-9", add(4), False),
    ]
    content = text(f"{task} | {event}" for task, event, _ in events)
    lines = zip(content.splitlines(keepends=True), events, strict=True)
    expected = "".join(line for line, (_, _, kept) in lines if kept)
    path = write(tmp_path, content)
    groups = [(7, "/apps"), (8, "/"), (1, "/init")]
    assert cut(path, Asked(cgroup="/apps"), cgroups=groups)[0] == expected
    assert cut(path, Asked(cgroup="/apps/"), cgroups=groups)[0] == expected
    assert cut(path, Asked(cgroup="apps"), cgroups=groups)[0] == expected
    with pytest.raises(NoSuchTask) as listed:
        cut(path, Asked(cgroup="/nosuch"), cgroups=groups)
    assert set(listed.value.known) == {"/apps", "/", "/init", "/apps/web", "/application"}
    with pytest.raises(NoSuchTask, match=r"nothing of cgroup /app") as raised:
        cut(path, Asked(cgroup="/app"))
    assert raised.value.known == ["/apps/web", "/application"]


def test_a_phase_is_cut_from_its_mark_to_the_next_one(tmp_path: Path) -> None:
    mark = "tracing_mark_write: "
    span = f"{mark}{{}}|3|launching: web|7"
    again = f"{mark}PHASE a"
    content = text(
        [again, add(0), span.format("S"), add(1), span.format("F"), add(2), again, add(3)]
    )
    lines = content.splitlines(keepends=True)
    path = write(tmp_path, content)
    assert cut(path, Asked(phase="a"))[0] == "".join(lines[:2])
    assert cut(path, Asked(phase="web"))[0] == "".join(lines[2:4])
    second, done = cut(path, Asked(phase="a", occurrence=2))
    assert (second, done.occurrences) == ("".join(lines[6:]), 2)
    with pytest.raises(NoSuchPhase) as raised:
        cut(path, Asked(phase="wep"))
    assert raised.value.phases == ["a", "web"]
    with pytest.raises(TraceError, match="occurs 2 times"):
        cut(path, Asked(phase="a", occurrence=3))


def test_a_cut_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, text([add(0), add(1)]))
    with pytest.raises(TraceError, match=r"nothing is left from 5s: it lasts 1e-06s, from @15\.0"):
        cut(path, Asked(begin=Moment(5 * 10**9)))
    with pytest.raises(NoSuchTask, match="nothing of task sqlite") as raised:
        cut(path, Asked(task="sqlite"))
    assert raised.value.known == ["app one"]
    with pytest.raises(TraceError, match="no line of it is an event"):
        cut(write(tmp_path, "time,offset\n1,2\n"), EVERYTHING)


def random_trace(seed: int) -> str:
    """Return a trace whose three parts leave nothing over: all that is brought in goes in it."""
    chosen = random.Random(seed)
    events = []
    for part in range(3):
        events.append(f"tracing_mark_write: PHASE part{part}")
        live: list[tuple[int, int]] = []
        for number in range(chosen.randrange(5, 30)):
            frame, inode = 100 * part + number, chosen.randrange(1, 4)
            index = 1000 * part + number
            if chosen.random() < 0.3:
                events.append(alloc(500 + frame))
                live.append((500 + frame, -1))
            else:
                events += [add(index, inode=f"{inode:x}", frame=frame)]
                events.append(get_pages(index, index, inode=f"{inode:x}"))
                live.append((index, inode))
        chosen.shuffle(live)
        for place, inode in live:
            if inode < 0:
                events.append(f"mm_page_free: pfn={0x40000 + place:#x} order=0")
            else:
                events.append(f"kswapd0-42 | {DELETE}: {folio(place, inode=f'{inode:x}')}")
    return text(events)


def by_first_use(found: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return rows with the numbers of files, and of phases, in the order of their first use."""
    files: dict[int, int] = {}
    return [
        (row[0], files.setdefault(row[1], len(files)) if row[0] < 4 else 0, *row[2:])
        for row in found
    ]


@pytest.mark.parametrize("seed", range(20))
def test_to_cut_and_import_is_to_import_and_cut_where_nothing_is_carried_over(
    tmp_path: Path, seed: int
) -> None:
    content = random_trace(seed)
    path = write(tmp_path, content)
    stamps = [int(line.split()[4][:-1].replace(".", "")) * 1000 for line in content.splitlines()
              if "PHASE" in line]  # fmt: skip
    whole = imported(tmp_path, content).events
    for first, last in ((0, 1), (1, 2), (0, 2)):
        asked = Asked(Moment(stamps[first], is_stamp=True), Moment(stamps[last], is_stamp=True))
        table = cut_table(whole, asked, "whole").table
        again = imported(tmp_path, cut(path, asked)[0]).events
        assert by_first_use(rows(again)) == by_first_use(rows(table))  # type: ignore[arg-type]
        assert (again.time_ns == table.time_ns).all()
        assert again.phases == table.phases


@pytest.mark.parametrize(
    "told", ["mm_vmscan_reclaim_pages: nid=0 nr_reclaimed=1", "mm_vmscan_kswapd_sleep: nid=0"]
)
def test_an_anonymised_capture_tells_who_reclaims(told: str, tmp_path: Path) -> None:
    deletion = f"<...>-9 | {DELETE}: {folio(0)}"
    content = text([add(0), deletion, f"<...>-9 | {told}", add(0)])
    again = imported(tmp_path, cut(write(tmp_path, content), Asked(anonymise=True))[0])
    assert by_first_use(rows(again.events)) == by_first_use(
        rows(imported(tmp_path, content).events)
    )
    assert [row[0] for row in rows(again.events)] == [RESTORE, STORE, RESTORE]


@compiled
def test_the_import_of_an_anonymised_capture_is_the_same_but_for_numbers(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    done = cut_text(CAPTURE_PART, pieces.append, Asked(anonymise=True))
    assert done.left_out_lines == 0
    written = b"".join(pieces).splitlines()
    assert done.kept_lines == sum(not line.startswith(b"#") for line in written) > 17_000
    path = tmp_path / "anonymous.ftrace.txt"
    path.write_bytes(b"".join(pieces))
    ours = import_ftrace([path], with_accesses=True)
    theirs = import_ftrace([CAPTURE_PART], with_accesses=True)
    assert by_first_use(rows(ours.events)) == by_first_use(rows(theirs.events))
    assert (ours.events.time_ns == theirs.events.time_ns).all()
    assert ours.events.phases == ("phase-1",)
    assert ours.events.losses == theirs.events.losses
    counts = {name: theirs.counts[name] for name in theirs.counts if name != "lines"}
    assert {name: ours.counts[name] for name in counts} == counts
    assert ours.accesses is not None
    assert theirs.accesses is not None
    check_accesses(ours.accesses, "ours")
    for name in ("time_ns", "op", "index", "order", "flags"):
        assert np.array_equal(ours.accesses.columns[name], theirs.accesses.columns[name]), name
    assert ours.accesses.free_ranges == theirs.accesses.free_ranges


def test_an_anonymised_trace_tells_of_nobody(tmp_path: Path) -> None:
    events = [
        f"{ADD}: {folio(1, inode='a4cf', dev='254:3')}",
        "secret-1-8 | sched_process_exec: filename=/usr/bin/secret pid=8 old_pid=8",
        "kswapd1-43 | mm_vmscan_kswapd_wake: nid=1 order=0",
        "<...>-9 | " + add(2),
        "tracing_mark_write: S|3|launching: com.secret.app|7",
        "tracing_mark_write: B|3|secret",
        "block_rq_issue: 254,3 RA 4096 () 40208 + 8 [secret]",
        f"evict: ino={0xA4CF} dev={254 << 20 | 3}",
        f"{ADD}: {folio(3, inode='fe00003', dev='0:5')}",
        f"tag_clear_highpage: page={page(20)}",
    ]
    content = "# a comment of secret\n" + text(events, task="secret-7") + " => secret_function\n"
    content += "CPU:0 [LOST 12 EVENTS]\n"
    kept, _ = cut(write(tmp_path, content), Asked(anonymise=True))
    stamps = [f"15.{number:06}000:" for number in range(10)]
    assert kept == (
        f"            task-1       [000] ..... {stamps[0]} {ADD}: dev=254:0 ino=10 pfn=0x40001 "
        "ofs=4096 order=0\n"
        f"            task-2       [000] ..... {stamps[1]} sched_process_exec:\n"
        f"         kswapd1-3       [000] ..... {stamps[2]} mm_vmscan_kswapd_wake:\n"
        f"           <...>-4       [000] ..... {stamps[3]} {ADD}: dev=254:1 ino=10 pfn=0x40001 "
        "ofs=8192 order=0\n"
        f"            task-1       [000] ..... {stamps[4]} tracing_mark_write: PHASE phase-1\n"
        f"            task-1       [000] ..... {stamps[6]} block_rq_issue: 254,0 RA 4096 () "
        "40208 + 8 [task]\n"
        f"            task-1       [000] ..... {stamps[7]} evict: ino=16 dev=254:0\n"
        # A block device's own mapping stays one, of the same device.
        f"            task-1       [000] ..... {stamps[8]} {ADD}: dev=0:5 ino=fe00000 pfn=0x40001 "
        "ofs=12288 order=0\n"
        f"            task-1       [000] ..... {stamps[9]} tag_clear_highpage: page=0x10000000000\n"
        "# lost: lost_events 12\n"
    )
    assert lost_in_lines(imported(tmp_path, kept)) == {"lost_events": 12}
