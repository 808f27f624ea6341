"""Captures of which something is missing, or that are put together: said, or read as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.import_losses import SENTENCES, Loss
from core.workload.ftrace.capture import Imported, import_ftrace
from core.workload.ftrace.memory import UNKNOWN_START, Memory
from core.workload.survey import survey_events
from core.workload.text import TraceError

HEADER = "# tracer: nop\n#\n# entries-in-buffer/entries-written: {0}/{0}   #P:2\n#\n"


def line(number: int, name: str, fields: str, cpu: int = 0) -> str:
    head = f"           app-{10 + cpu}      [{cpu:03d}] ..... {100 + number / 1e3:.6f}"
    return f"{head}: {name}: {fields}\n"


def add(number: int, cpu: int = 0) -> str:
    fields = f"dev 254:2 ino 1f pfn=0x{0x80000 + number:x} ofs={4096 * number} order=0"
    return line(number, "mm_filemap_add_to_page_cache", fields, cpu)


def alloc(number: int, flags: str = "GFP_KERNEL|__GFP_ZEROTAGS") -> str:
    fields = (
        f"page=0000000000008022 pfn=0x{0x80000 + number:x} order=0 migratetype=1 gfp_flags={flags}"
    )
    return line(number, "mm_page_alloc", fields)


def read(folder: Path, text: str, memory: Memory | None = None) -> Imported:
    path = folder / "x.txt"
    path.write_text(text)
    return import_ftrace([path], memory)


def lost(imported: Imported) -> dict[str, int]:
    return {loss.name: loss.count for loss in imported.events.losses}


def test_events_that_the_header_counts_and_the_text_lacks_are_counted(tmp_path: Path) -> None:
    whole = HEADER.format(4) + "".join(map(add, range(4)))
    assert "missing_events" not in lost(read(tmp_path, whole))
    assert lost(read(tmp_path, HEADER.format(9) + whole.split("#\n")[-1]))["missing_events"] == 5
    # A header that stands there again counts the same events.
    assert "missing_events" not in lost(read(tmp_path, HEADER.format(4) + whole))
    # A cut says itself that it is none of the whole.
    cut = HEADER.format(9) + add(0) + "# cut: 8 of 9 lines are left out\n"
    assert "missing_events" not in lost(read(tmp_path, cut))


@pytest.mark.parametrize("flags", ["GFP_KERNEL|__GFP_", "GFP_KERNEL|__GFP_ZEROTA", "GFP_USER|", ""])
def test_a_last_line_that_ends_within_its_flags_is_counted(tmp_path: Path, flags: str) -> None:
    assert lost(read(tmp_path, add(0) + alloc(1, flags).rstrip()))["cut_off_flags"] == 1
    assert "cut_off_flags" not in lost(read(tmp_path, add(0) + alloc(1).rstrip()))


def of_one_width(stamp: str) -> str:
    event = "mm_filemap_add_to_page_cache: dev 254:2 ino 1f pfn=0x8000{0} ofs=0 order=0"
    return "".join(f"app-11 {stamp} {event}\n".format(100_000 + number) for number in range(40))


@pytest.mark.parametrize("stamp", ["1..... {0}us :", "[000] ..... 9.{0}:"])
def test_lines_of_one_width_are_not_taken_for_wrapped(tmp_path: Path, stamp: str) -> None:
    assert read(tmp_path, of_one_width(stamp)).counts["insertions"] == 40


def test_lines_of_one_width_of_a_clock_that_counts_are_called_that(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="trace clock counts"):
        read(tmp_path, of_one_width("[000] ..... {0}000:"))


def test_lines_wrapped_within_words_are_refused(tmp_path: Path) -> None:
    wide = 100
    lines = [add(number).rstrip() for number in range(40)]
    text = "\n".join(part for each in lines for part in (each[:wide], each[wide:]) if part)
    with pytest.raises(TraceError, match=r"wrapped at 100 columns.* copy the file"):
        read(tmp_path, text + "\n")
    assert read(tmp_path, "\n".join(lines) + "\n").counts["insertions"] == 40


def test_traces_of_cpus_one_behind_the_other_are_merged_by_time(tmp_path: Path) -> None:
    parts = ["".join(add(number, cpu) for number in range(cpu, 60, 3)) for cpu in range(3)]
    whole = "".join(add(number, number % 3) for number in range(60))
    one = read(tmp_path, HEADER.format(60) + whole)
    together = read(tmp_path, "".join(HEADER.format(20) + part for part in parts))
    for name, column in one.events.columns.items():
        assert (together.events.columns[name] == column).all(), name
    assert not {"clock_steps", "missing_events"} & set(lost(together))
    assert any("3 traces of a CPU each" in warning for warning in together.warnings)
    # The place of what is wrong is that in the file.
    broken = HEADER.format(20) + parts[0] + HEADER.format(20) + "what is this\n" + parts[1]
    assert any("line 29" in warning for warning in read(tmp_path, broken).warnings)


def test_two_recordings_of_the_same_cpu_are_not_merged(tmp_path: Path) -> None:
    part = HEADER.format(30) + "".join(map(add, range(30)))
    assert lost(read(tmp_path, part + part.replace("ino 1f", "ino 2f")))["clock_steps"] == 1


def test_memory_of_a_typed_size_begins_where_the_frames_lie(tmp_path: Path) -> None:
    text = "".join(map(alloc, range(30)))
    imported = read(tmp_path, text, Memory(0, 0, 0, typed_bytes=(UNKNOWN_START, 1 << 28)))
    assert imported.events.pfn.max() == 29
    assert imported.events.data_pages == 1 << 16
    assert lost(imported)["guessed_memory_start"] == 1 << 16
    assert any("--memory-start" in warning for warning in imported.warnings)
    with pytest.raises(TraceError, match=r"too few.* from 0x80000 to 0x8001d"):
        read(tmp_path, text, Memory(0, 0, 0, typed_bytes=(UNKNOWN_START, 1 << 16)))


def test_a_typed_memory_without_the_frames_of_the_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"30 of 30 frames .* from 0x80000 to 0x8001d"):
        read(
            tmp_path,
            "".join(map(alloc, range(30))),
            Memory(0, 0, 0, typed_bytes=(1 << 30, 1 << 24)),
        )


def test_a_trace_of_which_most_folios_cannot_be_placed_is_refused(tmp_path: Path) -> None:
    odd = "".join(add(number).replace("ofs=", "ofs=1") for number in range(1, 20))
    with pytest.raises(TraceError, match=r"of 20 folios .*--page-size"):
        read(tmp_path, add(0) + odd, Memory(0, 0, 4096))


@pytest.mark.parametrize("name", SENTENCES)
def test_one_of_a_thing_is_told_in_the_singular(name: str) -> None:
    said = Loss(name, 1).warning
    assert not said.startswith(("1 events", "1 times", "1 lines", "1 folios", "1 packets"))
    assert Loss(name, 2).warning == SENTENCES[name].format(count=2)


def test_folios_whose_orders_nothing_tells_are_not_counted_by_order(tmp_path: Path) -> None:
    text = "".join(map(add, range(4)))
    assert survey_events(read(tmp_path, text).events).figures["folio_orders"] == {0: 4}
    unknown = read(tmp_path, text.replace(" order=0", "")).events
    assert survey_events(unknown).figures["folio_orders"] is None
