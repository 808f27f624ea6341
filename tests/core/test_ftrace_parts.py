"""Parts of a trace: files that follow one another, or one of each CPU, become one trace."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ftrace_lines import ADD, MEMORY, add, delete, folio, rows, text

from core.events import PHASE, digest_events
from core.workload import text as text_of_traces
from core.workload.ftrace.capture import Imported, import_ftrace
from core.workload.text import TraceError


def lines_of(events: int, cpus: int, seed: int) -> list[tuple[int, str]]:
    """Return (cpu, line) of a trace of several CPUs, in the order of time."""
    chance = random.Random(seed)
    lines = []
    for number in range(events):
        cpu = chance.randrange(cpus)
        event = chance.choice([add, delete])(number % 50)
        if number % 17 == 3:
            event = f"tracing_mark_write: PHASE p{number}"
        line = text([event], task=f"app-{100 + cpu}", start=10_000_000 + 700 * number)
        lines.append((cpu, line.replace("[000]", f"[{cpu:03}]")))
    return lines


def write(folder: Path, **contents: str) -> list[Path]:
    paths = []
    for name, content in contents.items():
        path = folder / f"{name}.txt"
        path.write_text(content)
        paths.append(path)
    return paths


def words(imported: Imported) -> str:
    return "\n".join(imported.warnings)


@pytest.mark.parametrize("chunk_bytes", [300, 1 << 22])
def test_the_files_of_the_cpus_make_the_trace_that_one_file_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(text_of_traces, "CHUNK_BYTES", chunk_bytes)
    for seed in range(4):
        lines = lines_of(120, 3, seed)
        (whole,) = write(tmp_path, whole="".join(line for _, line in lines))
        parts = {
            f"cpu{cpu}": f"# buffer: cpu{cpu}\n" + "".join(line for of, line in lines if of == cpu)
            for cpu in range(3)
        }
        paths = write(tmp_path, **parts)
        random.Random(seed).shuffle(paths)
        merged = import_ftrace(paths, MEMORY)
        assert digest_events(merged.events) == digest_events(import_ftrace([whole], MEMORY).events)
        assert PHASE in merged.events.op
        assert "3 files overlap in time: merged" in words(merged)
        assert "clock" not in words(merged)


def test_files_that_follow_one_another_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    lines = [line for _, line in lines_of(90, 2, 1)]
    (whole,) = write(tmp_path, whole="".join(lines))
    paths = write(
        tmp_path, a="".join(lines[:30]), b="".join(lines[30:60]), c="# nothing\n",
        d="".join(lines[60:]),
    )  # fmt: skip
    events = import_ftrace([whole], MEMORY).events
    imported = import_ftrace(paths, MEMORY)
    assert digest_events(imported.events) == digest_events(events)
    assert "order of their times" not in words(imported)
    assert "overlap" not in words(imported)
    again = import_ftrace(paths[::-1], MEMORY)
    assert digest_events(again.events) == digest_events(events)
    order = ", ".join(str(paths[number]) for number in (0, 1, 3))
    assert f"the files are read in the order of their times: {order}" in words(again)


def test_files_of_one_cpu_that_overlap_are_no_parts_of_a_trace(tmp_path: Path) -> None:
    paths = write(
        tmp_path,
        a=text([add(0)], start=10_000_000) + text([add(1)], start=20_000_000),
        b=text([add(2)], start=15_000_000),
    )
    with pytest.raises(TraceError, match=r"b.txt: overlaps .*a.txt in time, .* events of CPU 0"):
        import_ftrace(paths, MEMORY)


def test_events_a_little_older_than_the_file_before_are_no_overlap(tmp_path: Path) -> None:
    paths = write(
        tmp_path, a=text([add(0), add(1)], start=10_000_500), b=text([add(2)], start=10_000_499)
    )
    imported = import_ftrace(paths, MEMORY)
    assert sorted(row[2] for row in rows(imported.events)) == [0, 1, 2]
    assert "overlap" not in words(imported)


def test_a_line_is_named_with_its_file(tmp_path: Path) -> None:
    first = text([add(0), add(1)], start=10_000_000)
    second = text([add(2)], start=30_000_000) + "garbage\n" + text([add(3)], start=20_000_000)
    second += text([f"{ADD}: dev 8:1 ino a", f"{ADD}: {folio(1)}"], start=21_000_000)
    first_path, second_path = write(tmp_path, a=first, b=second)
    said = words(import_ftrace([first_path, second_path], MEMORY))
    assert f"1 line is no event (the first is line 2 of {second_path})" in said
    assert f"the first in line 3 of {second_path})" in said
    assert f"(the first is line 4 of {second_path})" in said
    said = words(import_ftrace([second_path], MEMORY))
    assert "1 line is no event (the first is line 2)" in said
