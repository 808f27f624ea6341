"""The order of a trace's events, and what tells that a pid is of several threads."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrace_lines import ADD, BEGIN, DELETE, END, alloc, folio, read, text

from core.workload.ftrace.capture import Imported
from core.workload.ftrace.other_heads import OtherHead, other_head, undecorated
from core.workload.ftrace.shared_pids import SharedPids
from core.workload.text import TraceError

STORY = [f"{ADD}: {folio(0, 1)}", f"{ADD}: {folio(3, 1)}", alloc(3), f"{DELETE}: {folio(0, 1)}"]


def lost(imported: Imported) -> dict[str, int]:
    return {loss.name: loss.count for loss in imported.events.losses}


def test_events_of_two_buffers_in_one_text_count_once(tmp_path: Path) -> None:
    once, lines = read(tmp_path, text(STORY)), text(STORY).splitlines()
    twice = read(tmp_path, "".join(f"{line}\n{line}\n" for line in lines))
    assert lost(twice)["repeated_events"] == len(STORY)
    for name in ("insertions", "tagged_allocations", "truncated_folios"):
        assert twice.counts[name] == once.counts[name]
    assert "repeated_events" not in lost(once)


@pytest.mark.parametrize("step_us", [1, 5_000])
def test_the_newest_first_is_refused_with_what_turns_it(tmp_path: Path, step_us: int) -> None:
    lines = [text([line], start=1_000_000 + n * step_us) for n, line in enumerate(STORY)]
    with pytest.raises(TraceError, match=r"newest first.*tac"):
        read(tmp_path, "".join(lines[::-1]))
    read(tmp_path, "".join(lines))


def test_lines_of_several_clocks_are_refused(tmp_path: Path) -> None:
    late = text([STORY[0]], start=9_000_000_000_000_000)
    with pytest.raises(TraceError, match="several clocks"):
        read(tmp_path, (text([STORY[1]]) + late) * 3 + text([STORY[2]]))


def test_a_trace_without_any_order_says_so_unless_its_kernel_has_none(tmp_path: Path) -> None:
    without = text([f"{ADD}: {folio(0)}".replace(" order=0", ""), alloc(3)])
    assert lost(read(tmp_path, without))["unknown_orders"] == 1
    old = read(tmp_path, "# os release : 5.10.1\n" + without)
    assert "unknown_orders" not in lost(old)
    assert "unknown_orders" not in lost(read(tmp_path, text(STORY)))


@pytest.mark.parametrize(
    "line", ['{"a":' * 700, '{"log": "\\ud800"}', "{" * 100_000, "[" * 4000, "a" + " " * 3900 + "x"]
)
def test_no_odd_line_stops_an_import(line: str) -> None:
    assert isinstance(other_head(undecorated(line.encode() + b" 1.000001: x: y=1")), OtherHead)


@pytest.mark.parametrize(
    ("tasks", "shared"),
    [
        ("reader writer reader", 1),
        ("sh ls ls", 0),
        ("sh ls cat", 0),
        ("worker worker worker", 0),
    ],
)
def test_names_by_turns_tell_the_pid_of_a_process(tasks: str, shared: int) -> None:
    pids = SharedPids()
    for number, name in enumerate(tasks.split()):
        pids.look(f"  {name}   101 [001]  10.00000{number}: filemap:{ADD}: x\n".encode())
    assert [loss.count for loss in pids.losses()] == [shared] * (shared > 0)


@pytest.mark.parametrize(("between", "shared"), [((), 1), ((END,), 0)])
def test_a_direct_reclaim_within_another_tells_it_too(
    between: tuple[str, ...], shared: int
) -> None:
    pids = SharedPids()
    lines = [f" w 101 10.000001: vmscan:{event}: order=0\n" for event in (BEGIN, *between, BEGIN)]
    pids.look("".join(lines).encode())
    assert len(pids.losses()) == shared
