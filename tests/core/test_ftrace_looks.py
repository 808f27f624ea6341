"""What reclaim saw of accessed bits tells when mapped pages were used: hand-worked lines."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from ftrace_lines import add, alloc, delete, fault, page, read, text

from core.accesses import (
    COPIED_AT_ONCE,
    FORM,
    MAP,
    USE,
    Accesses,
    check_accesses,
    read_accesses,
    told_bits,
    write_accesses,
)
from core.frontend.run import FrontEnd, run_frontend
from core.workload.cut.asked import Asked
from core.workload.cut.text import cut_text

#: A tagged allocation, which tells the frame of a struct page.
BASE = [f"tag_clear_highpage: page={page(9)}", alloc(9)]
COMES = [fault(0), add(0)]
#: The first line after these.
NEXT = len(BASE + COMES)


def looked(returned: int, frame: int = 1) -> str:
    return f"kswapd0-42 | folio_referenced: folio={page(frame)} index=0 ino=42191 ret={returned}"


def young(frame: int = 1, task: str = "kswapd0-42") -> str:
    return f"{task} | folio_update_gen: folio={page(frame)} gen=1 index=0 ino=42191"


def aged(returned: int = 1, task: str = "kswapd0-42") -> str:
    return f"{task} | try_to_inc_max_seq: ret={returned}"


def accesses_of(folder: Path, lines: list[str]) -> Accesses:
    imported = read(folder, text([*BASE, *lines], start=0), with_accesses=True)
    assert imported.accesses is not None
    check_accesses(imported.accesses, "x")
    return imported.accesses


def uses(accesses: Accesses) -> list[tuple[int, float]]:
    """Return (index, line) of each use; the line counts from 0, and lines are 1 us apart."""
    rows = accesses.op == USE
    return list(
        zip(accesses.index[rows].tolist(), (accesses.time_ns[rows] / 1000).tolist(), strict=True)
    )


def test_a_bit_that_is_found_set_again_is_a_use_between_the_looks(tmp_path: Path) -> None:
    # The fault set the bit that the first look found.
    accesses = accesses_of(tmp_path, [*COMES, looked(1), add(1, frame=2), looked(1)])
    assert uses(accesses) == [(0, NEXT + 1)]
    assert told_bits(accesses) == "recorded"
    assert "modelled_accessed_bits" not in {loss.name for loss in accesses.losses}


def test_a_bit_that_is_found_clear_is_no_use_and_a_look(tmp_path: Path) -> None:
    lines = [*COMES, looked(1), looked(0), looked(0), looked(3)]
    assert uses(accesses_of(tmp_path, lines)) == [(0, NEXT + 2.5)]


def test_a_bit_that_a_fault_set_since_is_no_use(tmp_path: Path) -> None:
    assert not uses(accesses_of(tmp_path, [*COMES, looked(1), fault(0), looked(1)]))


def test_a_bit_that_nobody_saw_set_is_a_use_since_the_page_came(tmp_path: Path) -> None:
    assert uses(accesses_of(tmp_path, [add(0), add(1, frame=2), looked(1)])) == [(0, 3)]


def test_a_look_that_had_to_be_given_up_is_none(tmp_path: Path) -> None:
    assert uses(accesses_of(tmp_path, [*COMES, looked(1), looked(-1), looked(1)])) == [
        (0, NEXT + 1)
    ]


def test_what_is_looked_at_and_is_no_file_page_is_skipped(tmp_path: Path) -> None:
    lines = [*COMES, looked(1, 9), looked(1, 9), young(9), young(700), aged()]
    accesses = accesses_of(tmp_path, lines)
    assert not uses(accesses)
    assert told_bits(accesses) == "modelled"


def test_a_page_that_came_back_was_not_used_before(tmp_path: Path) -> None:
    gone = [*COMES, looked(1), looked(0), delete(0)]
    back = [*gone, add(0, frame=5), add(1, frame=6), looked(1, 5)]
    assert uses(accesses_of(tmp_path, back)) == [(0, NEXT + 4)]
    assert not uses(accesses_of(tmp_path, [*gone, fault(0), add(0, frame=5), looked(1, 5)]))


@pytest.mark.parametrize(
    "fields",
    [
        "(shrink_folio_list+0x1c/0xd20 <- folio_referenced) ret=2 ino=42191 folio={} index=0",
        "folio={} ret=0x1",
    ],
)
def test_fields_in_another_order_say_the_same(tmp_path: Path, fields: str) -> None:
    again = f"kswapd0-42 | folio_referenced: {fields.format(page(1))}"
    assert uses(accesses_of(tmp_path, [*COMES, looked(1), again])) == [(0, NEXT + 0.5)]


def test_a_walk_looks_at_every_page_at_once(tmp_path: Path) -> None:
    # Two tasks walk for one aging, and meet the page by two page tables.
    walk = [young(), young(task="other-8"), aged(0), aged(task="other-8")]
    accesses = accesses_of(tmp_path, [*COMES, *walk])
    assert not uses(accesses)
    # The second walk finds it young: it was used after the first one's end.
    again = accesses_of(tmp_path, [*COMES, *walk, add(1, frame=2), young(), aged()])
    assert uses(again) == [(0, NEXT + 4)]
    # The second does not find it, the third does.
    late = accesses_of(tmp_path, [*COMES, *walk, aged(), add(1, frame=2), young(), aged()])
    assert uses(late) == [(0, NEXT + 5)]


def test_a_look_around_a_page_is_one_look_at_it(tmp_path: Path) -> None:
    around = [young(), young(2), looked(1)]
    neighbours = [*COMES, fault(1), add(1, frame=2)]
    assert not uses(accesses_of(tmp_path, [*neighbours, *around]))
    found = uses(accesses_of(tmp_path, [*neighbours, *around, *around]))
    first = NEXT + 2
    assert found == [(0, first + 1.5), (1, first + 2.5)]


def test_a_fault_at_any_page_of_a_large_folio_makes_it_young(tmp_path: Path) -> None:
    lines = [add(4, 2, frame=4), fault(6), looked(1, 4), looked(1, 4)]
    assert uses(accesses_of(tmp_path, lines)) == [(4, 5 - 0.5)]


def copied(source: int, target: int, task: str = "app one-7") -> str:
    return f"{task} | copy_highpage: to={page(target)} from={page(source)}"


def test_a_fault_after_which_the_page_is_copied_leaves_no_accessed_bit(tmp_path: Path) -> None:
    taken = alloc(20, gfp="gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP")
    lines = [taken, *COMES, copied(1, 20)]
    accesses = accesses_of(tmp_path, [*lines, f"other-8 | {fault(0)}"])
    assert accesses.flags[accesses.op == MAP].tolist() == [COPIED_AT_ONCE, 0]
    # What reclaim finds set, something else has set.
    assert uses(accesses_of(tmp_path, [*lines, add(1, frame=2), looked(1)])) == [(0, 5.5)]
    # Another task's copy, and compaction's, say nothing of this task's mapping.
    for copy in (copied(1, 20, "other-8"), copied(1, 21)):
        accesses = accesses_of(tmp_path, [taken, *COMES, copy, looked(1)])
        assert not accesses.flags[accesses.op == MAP].any()


def test_a_trace_without_probes_says_that_bits_are_modelled(tmp_path: Path) -> None:
    accesses = accesses_of(tmp_path, [*COMES, fault(0)])
    assert told_bits(accesses) == "modelled"
    losses = {loss.name: loss.count for loss in accesses.losses}
    assert losses["modelled_accessed_bits"] == 2
    # What a front end makes of it says so too.
    assert run_frontend(accesses, FrontEnd()).events.losses == accesses.losses


def test_whether_bits_are_recorded_stays_with_the_file(tmp_path: Path) -> None:
    path, older = tmp_path / "x.parquet", tmp_path / "older.parquet"
    for lines, told in (([looked(1), looked(1)], "recorded"), ([], "modelled")):
        accesses = accesses_of(tmp_path, [*COMES, *lines])
        write_accesses(path, accesses)
        again = read_accesses(path)
        assert told_bits(again) == told
        assert (uses(again), again.losses) == (uses(accesses), accesses.losses)
    # A file of a version that did not know of it is as one without probes.
    table = parquet.read_table(path)
    about = table.schema.metadata[FORM.key].replace(b', "accessed_bits": false', b"")
    assert about != table.schema.metadata[FORM.key]
    about = about.replace(b"modelled_accessed_bits", b"clock_steps")
    parquet.write_table(table.replace_schema_metadata({FORM.key: about}), older)
    assert told_bits(read_accesses(older)) == "modelled"
    assert "modelled_accessed_bits" in {loss.name for loss in read_accesses(older).losses}


def test_a_text_that_names_nobody_tells_the_same_uses(tmp_path: Path) -> None:
    lines = [*COMES, looked(1), looked(-1), looked(0), looked(1), young(), aged(), young(), aged()]
    known = accesses_of(tmp_path, lines)
    assert len(uses(known)) == 3
    pieces: list[bytes] = []
    cut_text(tmp_path / "x.ftrace.txt", pieces.append, Asked(anonymise=True))
    nameless = read(tmp_path, b"".join(pieces).decode(), with_accesses=True).accesses
    assert nameless is not None
    assert uses(nameless) == uses(known)
    assert (nameless.op == MAP).sum() == (known.op == MAP).sum()
