"""Read requests of an imported capture: hand-worked lines of each rule that ends or wants one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ftrace_lines import (
    ADD,
    BEGIN,
    DELETE,
    END,
    READAHEAD_GFP,
    WRITE_GFP,
    add,
    alloc,
    delete,
    fault,
    folio,
    get_pages,
    read,
    restores,
    rows,
    text,
)
from hypothesis import given
from hypothesis import strategies as st

from core.accesses import BY_WRITE, METADATA, READ, TOUCH
from core.events import JOIN, WANTED
from core.workload import text as text_module
from core.workload.ftrace.interleaving import FILE, NOTHING, PAGES, bring_together

MAP_PAGES = "mm_filemap_map_pages: dev=254:0 ino=a4cf ofs=0-4095"
EXIT = "sched_process_exit: comm=app one pid=7 prio=120"
# Without any lookup in a trace, its requests are guessed.
OTHERS_LOOKUP = f"b-8 | {get_pages(0, 0)}"
EXEC = "sched_process_exec: filename=/bin/a pid=7 old_pid=7"


def test_get_pages_ends_a_request_and_wants_what_its_range_overlaps(tmp_path: Path) -> None:
    lines = [add(0), add(4, 2), add(8), get_pages(1, 7), add(9), get_pages(0, 9), add(10)]
    events = read(tmp_path, text(lines)).events
    assert events.requests
    assert restores(events) == [
        (0, 0, ""), (0, 4, "jw"), (0, 8, "j"), (0, 9, "w"), (0, 10, ""),
    ]  # fmt: skip


def test_get_pages_of_another_file_ends_a_request_and_wants_nothing(tmp_path: Path) -> None:
    lines = [add(0), get_pages(0, 0, "beef"), add(1), get_pages(0, 1)]
    assert restores(read(tmp_path, text(lines)).events) == [(0, 0, ""), (0, 1, "w")]


def test_a_fault_ends_a_request_and_wants_the_folio_of_its_page(tmp_path: Path) -> None:
    lines = [add(0), fault(6), add(3), add(4, 2), add(8), fault(6), add(9), OTHERS_LOOKUP]
    assert restores(read(tmp_path, text(lines)).events) == [
        (0, 0, ""), (0, 3, ""), (0, 4, "jw"), (0, 8, "j"), (0, 9, ""),
    ]  # fmt: skip


@pytest.mark.parametrize("ends", [MAP_PAGES, EXIT, EXEC])
def test_a_request_ends_with_its_task_and_at_a_mapping(tmp_path: Path, ends: str) -> None:
    lines = [fault(0), add(0), ends, add(1), add(2), OTHERS_LOOKUP]
    assert restores(read(tmp_path, text(lines)).events) == [(0, 0, "w"), (0, 1, ""), (0, 2, "j")]


def test_an_insertion_into_another_file_ends_a_request(tmp_path: Path) -> None:
    lines = [add(0), add(1), add(2, inode="beef"), add(2), get_pages(0, 2)]
    assert restores(read(tmp_path, text(lines)).events) == [
        (0, 0, ""), (0, 1, "j"), (1, 2, ""), (0, 2, "w"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("device", "inode"), [("0:3", "fe00000"), ("0:5", "10300005"), ("254:0", "fe00000")]
)
def test_metadata_is_no_row_and_ends_no_request(tmp_path: Path, device: str, inode: str) -> None:
    of_metadata = {"inode": inode, "dev": device}
    lines = [add(0), add(7, **of_metadata), add(1), get_pages(0, 1), delete(7, **of_metadata)]
    lines += [add(7, **of_metadata), "workingset_refault: folio=0x1 shadow=0x3 index=7 ino=1"]
    imported = read(tmp_path, text(lines), with_accesses=True)
    assert restores(imported.events) == [(0, 0, "w"), (0, 1, "jw")]
    assert imported.events.op.size == 2
    assert dict(imported.events.left_out) == {
        "metadata_pages": 2, "metadata_refaults": 1, "write_pages": 0, "write_refaults": 0,
        "row_refaults": 0,
    }  # fmt: skip
    assert imported.counts["insertions"] == 4
    assert imported.accesses is not None
    flags = imported.accesses.flags[imported.accesses.op == READ].tolist()
    assert flags == [WANTED, JOIN | WANTED, METADATA, METADATA]  # a reading moved up


def test_a_file_whose_inode_is_large_is_no_metadata(tmp_path: Path) -> None:
    lines = [add(0, inode="fe00000", dev="254:1"), add(0, inode="400000", dev="0:45")]
    assert len(restores(read(tmp_path, text(lines)).events)) == 2


def test_an_insertion_whose_frame_was_allocated_for_writing_is_no_row(tmp_path: Path) -> None:
    lines = [
        alloc(4, 0, WRITE_GFP), add(0, frame=4), delete(0),
        alloc(4, 0, READAHEAD_GFP), add(1, frame=4),
        alloc(8, 2, WRITE_GFP), add(4, 2, frame=8),
        get_pages(0, 1),
    ]  # fmt: skip
    imported = read(tmp_path, text(lines), with_accesses=True)
    assert [row[:3] for row in rows(imported.events)] == [(0, 0, 0), (1, 0, 1)]
    assert restores(imported.events) == [(0, 1, "w")]
    assert imported.counts["write_insertions"] == 2
    assert dict(imported.events.left_out)["write_pages"] == 5
    assert imported.accesses is not None
    flags = imported.accesses.flags[imported.accesses.op == READ].tolist()
    assert flags == [BY_WRITE, WANTED, BY_WRITE]


def test_tasks_that_interleave_have_their_own_requests(tmp_path: Path) -> None:
    lines = [
        add(0), f"b-8 | {add(10)}", add(1), f"b-8 | {add(11)}", add(2),
        f"b-8 | {get_pages(10, 10)}", get_pages(2, 2),
    ]  # fmt: skip
    events = read(tmp_path, text(lines)).events
    assert restores(events) == [
        (0, 0, ""), (0, 1, "j"), (0, 2, "jw"), (0, 10, "w"), (0, 11, "j"),
    ]  # fmt: skip
    first = 15 * 10**9
    assert events.time_ns.tolist() == [first, first, first, first + 1000, first + 3000]


def test_rows_of_other_ops_do_not_part_a_request(tmp_path: Path) -> None:
    lines = [add(0), delete(1), add(1), get_pages(0, 1)]
    events = read(tmp_path, text(lines)).events
    assert [row[0] for row in rows(events)] == [1, 0, 1]
    assert restores(events) == [(0, 0, "w"), (0, 1, "jw")]


def test_a_restore_stays_where_a_row_in_between_touches_its_pages(tmp_path: Path) -> None:
    lines = [add(0), f"b-8 | {add(10)}", delete(1), add(1), add(2), get_pages(0, 2)]
    events = read(tmp_path, text(lines)).events
    assert [row[0] for row in rows(events)] == [1, 1, 0, 1, 1]
    assert restores(events) == [(0, 0, "w"), (0, 10, ""), (0, 1, "w"), (0, 2, "jw")]


def test_a_restore_stays_where_its_whole_file_went_in_between() -> None:
    # Reads of file 0, of file 1, the end of the inode of file 0 or 2, another read of file 0.
    for gone, order in ((2, [0, 3, 1, 2]), (0, [0, 1, 2, 3])):
        together = bring_together(
            {
                "time_ns": np.arange(4),
                "inode": np.array([0, 1, gone, 0]),
                "index": np.array([0, 0, 0, 1]),
                "order": np.zeros(4, dtype=np.uint8),
            },
            np.array([1, 2, 0, 1], dtype=np.int32),
            np.array([True, True, False, True]),
            np.array([PAGES, PAGES, FILE, PAGES], dtype=np.uint8),
        )
        assert together.row.tolist() == order
        assert together.joins.tolist() == [False, gone == 2, False, False]
        assert (np.diff(together.time_ns) >= 0).all()
    assert NOTHING not in (PAGES, FILE)


ROWS = st.lists(
    # Request (0: none), page, what is touched, a reading or not.
    st.tuples(
        st.integers(0, 3), st.integers(0, 4), st.sampled_from([NOTHING, PAGES, FILE]), st.booleans()
    ),
    max_size=12,
)


def plainly(rows: list[tuple[int, int, int, bool]]) -> list[tuple[int, bool]]:
    """Return (row, whether it joins) where requests are together, by way of a plain list."""
    places: list[int] = []
    joins: dict[int, bool] = {}
    for row, (request, page, _, _) in enumerate(rows):
        mine = [at for at, other in enumerate(places) if request and rows[other][0] == request]
        between = places[mine[-1] + 1 :] if mine else []
        joins[row] = bool(mine) and not any(rows[other][3] for other in between)
        touched = any(
            rows[other][2] == FILE or (rows[other][2] == PAGES and rows[other][1] == page)
            for other in between
        )
        if mine and not joins[row] and not touched:
            joins[row] = True
            places.insert(mine[-1] + 1, row)
        else:
            places.append(row)
    return [(row, joins[row]) for row in places]


@given(ROWS)
def test_requests_come_together_as_in_a_plain_list(rows: list[tuple[int, int, int, bool]]) -> None:
    # What is in a request is a reading, and touches its page.
    rows = [(q, page, PAGES if q else what, bool(q) or reads) for q, page, what, reads in rows]
    request, page, touches, reads = (
        (np.array(column) for column in zip(*rows, strict=True))
        if (rows)
        else (np.empty(0, dtype=np.int64),) * 4
    )
    columns = {"time_ns": np.arange(len(rows)), "inode": np.zeros(len(rows), dtype=np.uint32)}
    columns |= {"index": page.astype(np.uint32), "order": np.zeros(len(rows), dtype=np.uint8)}
    together = bring_together(
        columns, request.astype(np.int32), reads.astype(np.bool_), touches.astype(np.uint8)
    )
    assert list(zip(together.row.tolist(), together.joins.tolist(), strict=True)) == plainly(rows)
    assert (np.diff(together.time_ns) >= 0).all()


def test_a_chunk_of_text_that_ends_in_a_request_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        alloc(4, 0, WRITE_GFP), add(0, frame=4), fault(5), add(5), f"b-8 | {add(10)}", add(6),
        get_pages(6, 6), f"b-8 | {get_pages(10, 10)}", "tracing_mark_write: PHASE two",
    ]  # fmt: skip
    whole = read(tmp_path, text(lines)).events
    monkeypatch.setattr(text_module, "CHUNK_BYTES", 100)
    parted = read(tmp_path, text(lines)).events
    assert rows(parted) == rows(whole)
    assert restores(whole) == [(0, 5, "w"), (0, 6, "jw"), (0, 10, "w")]


def test_a_task_waits_for_its_own_reclaim_and_not_for_kswapd(tmp_path: Path) -> None:
    lines = [
        fault(9), f"{BEGIN}: order=0 gfp_flags=1", f"{DELETE}: {folio(0)}", f"{END}: nr=1",
        delete(1), OTHERS_LOOKUP,
    ]  # fmt: skip
    assert [row[5] for row in rows(read(tmp_path, text(lines)).events)] == [WANTED, 0]


def readahead(kind: str, index: int, fields: str) -> str:
    return f"page_cache_{kind}: dev=254:0 ino=a4cf index={index} {fields}"


def test_readahead_events_tell_requests_where_get_pages_is_missing(tmp_path: Path) -> None:
    more = "order=0 size=32 async_size=16 ra_pages=32 mmap_miss=0 prev_pos=520192"
    lines = [
        readahead("sync_ra", 0, f"req_count=2 {more}"),
        readahead("ra_unbounded", 0, "nr_to_read=4 lookahead_size=2"),
        alloc(4, 0, READAHEAD_GFP), add(0, frame=4),
        alloc(4, 0, READAHEAD_GFP), add(1, frame=4),
        alloc(4, 0, READAHEAD_GFP), add(2, frame=4),
        "block_rq_issue: 254,0 RA 12288 () 40208 + 24 [app]",
        readahead("async_ra", 3, f"req_count=1 {more}"),
        readahead("ra_order", 3, "order=2 size=64 async_size=32 ra_pages=32"),
        alloc(4, 0, READAHEAD_GFP), add(3, frame=4),
        alloc(4, 2, READAHEAD_GFP), add(4, 2, frame=4),
        alloc(5, 0, "gfp_flags=GFP_NOFS"), add(8, frame=5),  # asked for by itself
    ]  # fmt: skip
    imported = read(tmp_path, text(lines))
    assert imported.events.requests
    assert restores(imported.events) == [
        (0, 0, "w"), (0, 1, "jw"), (0, 2, "j"), (0, 3, ""), (0, 4, "j"), (0, 8, "jw"),
    ]  # fmt: skip
    assert "readahead:page_cache_ events tell requests" in "\n".join(imported.warnings)


def test_readahead_events_are_not_used_beside_get_pages(tmp_path: Path) -> None:
    lines = [add(0), readahead("ra_unbounded", 1, "nr_to_read=4"), add(1), get_pages(1, 1)]
    assert restores(read(tmp_path, text(lines)).events) == [(0, 0, ""), (0, 1, "jw")]


@pytest.mark.parametrize("newer", ["", " none,0,0"])
def test_commands_to_the_device_tell_requests_of_older_kernels(tmp_path: Path, newer: str) -> None:
    def issue(operation: str, task: str = "app one-7") -> str:
        return f"{task} | block_rq_issue: 254,0 {operation} 8192 () 40208 + 16{newer} [cat]"

    older = "dev 259:5 ino 0x9b11 page=(null) pfn=262145"
    lines = [
        f"{ADD}: {older} ofs=0", f"{ADD}: {older} ofs=4096", issue("RA"),
        f"{ADD}: {older} ofs=8192", issue("W"), issue("RM"), issue("R", "cat-9"),
        f"{ADD}: {older} ofs=12288", issue("RS"), f"{ADD}: {older} ofs=16384",
    ]  # fmt: skip
    imported = read(tmp_path, text(lines))
    assert imported.events.requests
    assert restores(imported.events) == [
        (0, 0, "w"), (0, 1, "jw"), (0, 2, "w"), (0, 3, "jw"), (0, 4, "w"),
    ]  # fmt: skip
    assert "requests end where block_rq_issue" in imported.warnings[-1]


def test_requests_are_guessed_where_nothing_tells_them(tmp_path: Path) -> None:
    imported = read(tmp_path, text([add(0), f"b-8 | {add(9)}", add(1)]), with_accesses=True)
    assert not imported.events.requests
    assert restores(imported.events) == [(0, 0, ""), (0, 9, ""), (0, 1, "")]
    assert "requests are guessed: neither mm_filemap_get_pages nor" in imported.warnings[-1]
    assert imported.accesses is not None
    assert not imported.accesses.requests
    assert imported.accesses.flags.tolist() == [0, 0, 0]


@pytest.mark.parametrize("events", [[fault(5), add(5)], [MAP_PAGES], [fault(5), add(5), MAP_PAGES]])
def test_faults_and_mappings_alone_tell_no_requests(tmp_path: Path, events: list[str]) -> None:
    # What a read() brings in is then no request that is recorded and waited for by nobody.
    imported = read(tmp_path, text([add(0), add(1), *events, add(2)]), with_accesses=True)
    assert not imported.events.requests
    assert not any(letters for _, _, letters in restores(imported.events))
    guessed = "requests are guessed: neither mm_filemap_get_pages nor"
    assert any(guessed in warning for warning in imported.warnings)
    assert imported.accesses is not None
    assert not imported.accesses.requests


def test_an_access_table_tells_the_same_requests(tmp_path: Path) -> None:
    lines = [
        alloc(3), "tag_clear_highpage: page=0xffffc1ffc00000c0", alloc(3),
        fault(0), add(0, frame=9), f"b-8 | {add(10)}", add(1, frame=10), get_pages(0, 0),
        "tracing_mark_write: PHASE next",
    ]  # fmt: skip
    accesses = read(tmp_path, text(lines), with_accesses=True).accesses
    assert accesses is not None
    assert accesses.requests
    assert accesses.phases == ("next",)
    reads = accesses.op == READ
    assert accesses.index[reads].tolist() == [0, 1, 10]
    assert (accesses.flags[reads] & (JOIN | WANTED)).tolist() == [WANTED, JOIN, 0]
    assert TOUCH not in accesses.op
