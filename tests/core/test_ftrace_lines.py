"""Each form of a line is understood, or counted under a name that says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrace_dialects import DIALECTS, line_of
from ftrace_lines import (
    ADD,
    BEGIN,
    DELETE,
    END,
    MEMORY,
    alloc,
    folio,
    lost_in_lines,
    page,
    read,
    rows,
    text,
)

from core.events import digest_events
from core.workload.ftrace.capture import Imported
from core.workload.ftrace.lines import UNKNOWN_PID, LineParser, Records
from core.workload.ftrace.words import ABSENT, FRAME, INO, OFFSET_BYTES
from core.workload.text import TraceError

STORY = [
    f"{ADD}: {folio(0)}",
    f"other:1 [x] 2-8 | {ADD}: {folio(4, 2)}",
    f"{BEGIN}: order=0 gfp_flags=1",
    f"{DELETE}: {folio(0)}",
    f"other:1 [x] 2-8 | {DELETE}: {folio(4, 2)}",  # not its reclaim
    f"{END}: nr_reclaimed=1",
    alloc(3),
    f"kswapd0-42 | {DELETE}: {folio(8, 1)}",
    f"kswapd1:0-43 | {DELETE}: {folio(16, 1)}",
    "mm_page_free: pfn=0x40003 order=0",
    "mm_filemap_fault: dev=254:0 ino=a4cf ofs=4096",
]


def lines_of(content: str, page_size: int = 4096) -> tuple[Records, LineParser]:
    parser = LineParser(page_size=page_size)
    return parser.parse(content.encode()), parser


def lost(parser: LineParser) -> dict[str, int]:
    return {loss.name: loss.count for loss in parser.losses()}


def said(imported: Imported) -> str:
    return "\n".join(loss.warning for loss in imported.events.losses)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_of_the_same_events_gives_the_same_rows(tmp_path: Path, dialect: str) -> None:
    plain = text(STORY, start=15_000_001)
    other = [DIALECTS[dialect](line_of(line)) for line in plain.splitlines()]
    imported = read(tmp_path, "\n".join(other) + "\n")
    expected = read(tmp_path, plain)
    assert digest_events(imported.events) == digest_events(expected.events)
    assert (imported.counts["reclaimed_folios"], imported.counts["truncated_folios"]) == (3, 1)
    assert not lost_in_lines(imported), said(imported)


@pytest.mark.parametrize(
    ("head", "pid", "is_kswapd", "is_named"),
    [
        ("<...>-101 [000] .....", 101, False, False),
        ("-101 [000] .....", 101, False, False),
        ("kswapd0-97 [000] d..2.", 97, True, True),
        ("kswapd12-97 [000] d..2.", 97, True, True),
        ("kswapd0:0-97 (-----) [000] d..2.", 97, True, True),
        ("kswapd0  97/97  [000]", 97, True, True),
        ("trace.txt:kswapd0-97 [000] d..2.", 97, True, True),
        ("kswapd-watch-300 [000] .....", 300, False, True),
        ("my-kswapd0-300 [000] .....", 300, False, True),
        ("Surface Flinger -101 [1023] .....", 101, False, True),
        ("pool-3-thread-1-101 (  7) [001] .....", 101, False, True),
        ("x [002] 1.000000-101 [001] .....", 101, False, True),
        ("a 1.500000: b-101 [001] .....", 101, False, True),
        ("[w] 7-101 [001] .....", 101, False, True),
        ("(sd-pam)-101 [001] d..h1.3", 101, False, True),
        ("in:imjournal-4194304 [001] .....", 4194304, False, True),
        ("101 [001]", 101, False, False),
        ("100/101 [001]", 101, False, False),
        ("101", 101, False, False),
        ("reader 101", 101, False, True),
        ("kswapd0 [000]", UNKNOWN_PID, True, True),
        ("[000]", UNKNOWN_PID, False, False),
        ("", UNKNOWN_PID, False, False),
    ],
)
def test_a_task_is_told_from_its_columns(
    head: str, pid: int, is_kswapd: bool, is_named: bool
) -> None:
    records, parser = lines_of(f"{head} 10.000001: filemap:{DELETE}: {folio(0)}\n")
    assert records.named is not None
    told = (records.pid.tolist(), records.kswapd.tolist(), records.named.tolist())
    assert told == ([pid], [is_kswapd], [is_named])
    assert lost(parser) == ({"unknown_tasks": 1} if pid == UNKNOWN_PID else {})


def test_fields_by_the_names_of_the_kernels_structures_are_read() -> None:
    printed = "pfn=0x40002 (262146) i_ino=0xa (10) index=0x3 (3) s_dev=0x800001 (8388609) order=(0)"
    raw = "pfn=0x40002 i_ino=10 index=0x3 s_dev=8388609 order=0"
    perfetto = "pfn=262146 i_ino=10 index=3 s_dev=8388609 page=0"
    lines = [f"{ADD}: {fields}" for fields in (printed, raw, f"[FAILED TO PARSE] {raw}", perfetto)]
    for page_size in (4096, 16384):
        records, parser = lines_of(text(lines), page_size)
        assert {tuple(row) for row in records.fields.tolist()} == {
            (8 << 20 | 1, 10, 0x40002, 3 * page_size, 0, ABSENT)
        }
    assert lost(parser) == {"missing_orders": 1}


def test_inodes_in_digits_of_two_kinds_are_never_the_same_file() -> None:
    lines = [f"{ADD}: pfn=1 i_ino={inode} index=0 s_dev=1 order=0" for inode in ("1a", "26")]
    inodes = lines_of(text(lines))[0].fields[:, INO].tolist()
    assert inodes[1] == 26 != inodes[0]


def test_the_first_value_of_a_key_counts_and_fields_of_others_do_not() -> None:
    lines = [
        f"{ADD}: nr=7 {folio(3, 2)} name=my order=7 file pfn=0x1 flags=0x9",
        f"{ADD}: dev 254,0 ino=A4CF page=0 pfn=262145 ofs=12288 order=2",
        f"{ADD}: dev 254:0 ino 0xa4cfpfn=0x40001ofs=12288 order=2",  # run together
    ]
    rows_read = lines_of(text(lines))[0].fields.tolist()
    assert rows_read == [[254 << 20, 0xA4CF, 0x40001, 12288, 2, ABSENT]] * 3


@pytest.mark.parametrize(
    "fields",
    [
        "page=(null) pfn=0",
        "page=          (null) pfn=0",
        "page=(nil) pfn=0x0",
        "page=0 pfn=0",
        "page=0000000000000000 pfn=0x0",
        "page=0x0 pfn=-1",
        "pfn=-1",
        "pfn=0",
        "pfn=0xffffffffffffffff",
        "pfn=0xffffffffffffffff (-1)",
        "page=0xffffffffffffffff pfn=18446744073709551615",
        "pfn=99999999999999999999999999",
        "pfn=0x7fffffffffffffff",
    ],
)
@pytest.mark.parametrize("first_frame", [0, 0x40000])
def test_a_failed_allocation_is_of_no_frame(tmp_path: Path, fields: str, first_frame: int) -> None:
    line = f"mm_page_alloc: {fields} order=0 migratetype=1 gfp_flags=GFP_KERNEL|__GFP_ZEROTAGS"
    memory = MEMORY._replace(first_frame=first_frame)
    imported = read(tmp_path, text([line, f"{ADD}: {folio(0)}"]), memory)
    assert imported.counts["tagged_allocations"] == 0
    assert any("1 allocations failed" in warning for warning in imported.warnings)


def test_frame_0_is_one_where_it_has_a_page(tmp_path: Path) -> None:
    line = "mm_page_alloc: page=0000000012345678 pfn=0x0 order=0 gfp_flags=GFP_USER|__GFP_ZEROTAGS"
    imported = read(tmp_path, text([line]), MEMORY._replace(first_frame=0))
    assert rows(imported.events) == [(4, 0, 0, 0, 0, 2)]


def test_notes_of_lost_events_are_counted_and_headers_are_no_garbage(tmp_path: Path) -> None:
    notes = [
        "# tracer: nop\n# entries-in-buffer/entries-written: 2/99328   #P:2\n#",
        "cpus=2\nversion = 6\nCPU 1 is empty",
        "CPU:1 [4711 EVENTS DROPPED]\nCPU:0 [LOST 12 EVENTS]\nCPU:1 [SUBBUFFER START]",
        "CPU 0 [LOST EVENTS]\nCPU:0 [EVENTS DROPPED]",
        "app 101 [001] 15.000002: PERF_RECORD_LOST lost 100",
        "app 101 [001] 15.000002: PERF_RECORD_FORK(101:101):(1:1)",
        "##### CPU 1 buffer started ####\n---\n```console\n```\nDumping ftrace buffer:",
        "trace-cmd stat\nCPU: 0\nentries: 0\noverrun: 3\ncommit overrun: 0\ndropped events: 1000\n",
    ]
    imported = read(tmp_path, "\n".join([*notes, text([f"{ADD}: {folio(0)}"])]))
    assert lost_in_lines(imported) == {
        "lost_events": 4711 + 12 + 100 + 1000,
        "uncounted_losses": 2,
        "overwritten_events": 99_326 + 3,
    }
    assert "99,329 events were overwritten" in said(imported)
    assert "(of 99,328 written)" in said(imported)
    assert imported.unused == {"PERF_RECORD_FORK": 1}


def test_the_buffers_of_other_cpus_are_missed(tmp_path: Path) -> None:
    header = "# entries-in-buffer/entries-written: 1/1   #P:8\n# buffer: cpu3\n"
    imported = read(tmp_path, header + text([f"{ADD}: {folio(0)}"]))
    assert "the buffers of 7 CPUs are not in it" in said(imported)


def test_a_word_that_is_no_note_loses_nothing(tmp_path: Path) -> None:
    content = text([f"LOST-7 | {ADD}: {folio(0)}"]) + "LOST+FOUND is 12 files\n"
    imported = read(tmp_path, content)
    assert said(imported).splitlines()[0] == "1 line is no event (the first is line 2)"


@pytest.mark.parametrize(
    ("line", "loss", "why"),
    [
        (f"app-7 [000] ..... 10000001: {ADD}: {folio(0)}", "counted_times", "x86-tsc"),
        (f"app-7 0d..2 10000001: {ADD}: {folio(0)}", "counted_times", "trace clock"),
        (f"app 7 [000] filemap:{ADD}: {folio(0)}", "events_without_time", "no time"),
        (f"{ADD}: {folio(0)}", "events_without_time", "no time"),
        (f"[  +0.000001] {ADD}: {folio(0)}", "events_without_time", "differences"),
        (f"app-7 [000] ..... 10000.001: {ADD}: {folio(0)}", "events_without_time", "time"),
        (f"app 7 [000] 10.000001: {folio(0)}", "events_without_name", "no names"),
        (f" 1)               |  /* {ADD}: {folio(0)} */", "function_graph_events", "nop"),
        ("101 1 10000001000 type: 500", "raw_lines", "raw"),
        ("00000065 00000001 00000002540be7e8 type: 500", "raw_lines", "hex"),
        (f"app-7 [000] ..... 99999999999.000001: {ADD}: {folio(0)}", "late_times", "64 bits"),
        (f"app-7 [000] ..... 10.000001: {ADD}: dev 254:0 ino a4cf", "incomplete_events", "lack"),
        (f"app-7 [000] ..... 10.000001: {ADD}: {folio(0)}z", "incomplete_events", "lack"),
        ("what is this", "garbage_lines", "is it ftrace"),
        ("x" * 5000, "garbage_lines", "is it ftrace"),
    ],
)
def test_what_is_not_understood_has_a_name(tmp_path: Path, line: str, loss: str, why: str) -> None:
    parser = lines_of(line + "\n" + text([f"{ADD}: {folio(0)}"]))[1]
    assert lost(parser) == {loss: 1}
    with pytest.raises(TraceError, match=why):
        read(tmp_path, line + "\n")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("# tracer: nop\n# entries-in-buffer/entries-written: 0/0   #P:8\n", "no event was"),
        ("# event histogram\n#\n{ order: 0 } hitcount: 9\n", "a histogram"),
    ],
)
def test_a_trace_without_events_says_what_it_is(tmp_path: Path, content: str, why: str) -> None:
    with pytest.raises(TraceError, match=why):
        read(tmp_path, content)


def test_functions_and_call_chains_are_no_garbage(tmp_path: Path) -> None:
    content = (
        " ------------------------------------------\n"
        " 1) kswapd0-42  =>  app-7\n"
        " 1)   3.328 us    |  }\n"
        "app-7 [000] ..... 15.000000: clear_page <-post_alloc_hook\n"
        "app-7 [000] ..... 15.000000: <user stack trace>\n => libc.so.6[+0x1234]\n => <000074c5>\n"
    )
    imported = read(tmp_path, content + text([f"{ADD}: {folio(0)}"]))
    assert not lost_in_lines(imported)
    assert imported.unused == {"functions of function_graph": 2, "functions": 1}


def test_a_line_without_a_name_is_no_rest_of_the_one_before(tmp_path: Path) -> None:
    nameless = f"app 7 [000] 15.000009: {folio(1)}\n"
    imported = read(tmp_path, text([f"{ADD}: {folio(0)}"]) + nameless)
    assert lost_in_lines(imported) == {"events_without_name": 1}


def test_events_that_make_no_row_are_not_called_none(tmp_path: Path) -> None:
    untagged = alloc(3, gfp="gfp_flags=0xffffffff")
    why = "1 events, and none is of a file's page or of a tagged one; 1 page allocation has gfp_"
    with pytest.raises(TraceError, match=why):
        read(tmp_path, text([untagged]))


def test_cut_lines_are_told(tmp_path: Path) -> None:
    lines = text([alloc(3), f"{ADD}: {folio(0, 2)}", f"kswapd0-42 | {DELETE}: {folio(0, 2)}"])
    first, second, third = lines.splitlines()
    cut = "\n".join([first[: first.index("gfp_flags")], second, third[:-6], ""])
    imported = read(tmp_path, cut)
    assert "1 page allocation has no gfp_flags" in said(imported)
    assert "1 folio lacks the order that others have" in said(imported)


def test_marks_stand_behind_functions_and_addresses(tmp_path: Path) -> None:
    lines = [
        "tracing_mark_write: PHASE one",
        f"{ADD}: {folio(0)}",
        "print: 0xffffffff81042abcs: PHASE two",
        "0: B|7|launching: x",
        "print: ip=0xffffffff81042abc buf=PHASE three",
        f"{ADD}: {folio(1)}",
    ]
    assert read(tmp_path, text(lines)).events.phases == ("one", "two", "x", "three")


def test_chunks_of_a_trace_are_counted_together() -> None:
    parser = LineParser()
    quoted = f"> {text([f'{ADD}: {folio(0)}'])}what is this\n"
    for _ in range(3):
        records = parser.parse((quoted + text(["sched_switch: a=1"])).encode())
        assert records.fields[:, OFFSET_BYTES].tolist() == [0]
        assert parser.text.count(b"\n") == 3
    assert records.line.tolist() == [7]
    assert parser.others == {"sched_switch": 3}
    assert [loss.warning for loss in parser.losses()] == [
        "3 lines are no events (the first is line 2)"
    ]


def test_a_pointer_to_a_page_is_no_frame() -> None:
    lines = [f"mm_page_free: page={page(3)} order=0", f"mm_page_free: page={page(3)} pfn=7 order=0"]
    records, parser = lines_of(text(lines))
    assert records.fields[:, FRAME].tolist() == [7]
    assert lost(parser) == {"incomplete_events": 1}
