"""What `trace info` says of how a cache fills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import CommandInThisProcess
from reference import ALLOC, RESTORE, STORE, TAGGED, Event
from streams import as_events

from core.event_files import write_events
from core.machine import Machine
from sweep.cli.cache_filling import cache_filling, filling_lines

#: Times run from 0 to 64, so that part n ends at n; there are two tag pages.
MACHINE = Machine(4096, 64)
END = Event(64, RESTORE, 1, 9, 0, 0, 0)


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    """Return `say` in this process: the commands that are refused are many."""
    return CommandInThisProcess(monkeypatch, capsys)


def stored(*times: int) -> list[Event]:
    """Return a table in which a page is stored at each of some times."""
    first = Event(0, RESTORE, 1, 8, 0, 0, 0)
    return [first, *(Event(ns, STORE, 1, page, 0, 0, 0) for page, ns in enumerate(times)), END]


def test_a_cache_has_filled_at_the_first_part_that_leaves_no_slot_empty() -> None:
    filling = cache_filling(as_events(stored(5, 17), MACHINE))
    assert (filling.filled_part, filling.warm_up) == (17, 17 / 64)
    assert filling.cached_share_of_quarters == [0.5, 1, 1, 1]
    assert filling_lines(filling) == [
        "a cache of its tag storage (2 pages) has filled at the end of part 17 of 64 "
        "(warm_up: 0.265625)",
        "cached pages of it at the end of each quarter: 50%, 100%, 100%, 100%",
    ]


def test_a_slot_that_a_tag_block_reserves_is_not_empty() -> None:
    rows = stored(40)
    rows.insert(1, Event(2, ALLOC, 0, 0, 0, 0, TAGGED))
    filling = cache_filling(as_events(rows, MACHINE))
    assert (filling.filled_part, filling.cached_share_of_quarters) == (40, [0, 0, 0.5, 0.5])


def test_a_cache_that_never_fills_says_how_far_it_came() -> None:
    filling = cache_filling(as_events(stored(33), MACHINE))
    assert (filling.filled_part, filling.warm_up) == (None, None)
    assert (filling.most_used_share, filling.most_used_part) == (0.5, 33)
    assert (
        "never fills: at most 50.0% of it is cached pages or tags, at the end of part 33"
        in (filling_lines(filling)[0])
    )


def test_no_warm_up_leaves_out_a_cache_that_fills_in_the_last_part() -> None:
    rows = stored(5)
    rows.insert(2, Event(64, STORE, 1, 1, 0, 0, 0))
    filling = cache_filling(as_events(rows, MACHINE))
    assert (filling.filled_part, filling.warm_up) == (64, None)
    assert "of 64 only, which no warm_up leaves out" in filling_lines(filling)[0]


@pytest.mark.parametrize("stores", [2, 0])
def test_trace_info_tells_where_a_cache_has_filled(
    tmp_path: Path, say_here: CommandInThisProcess, stores: int
) -> None:
    path = tmp_path / "events.parquet"
    write_events(path, as_events(stored(*(5, 17)[:stores]), MACHINE))
    code, said, err = say_here("trace", "info", path)
    assert (code, "part 17 of 64 (warm_up: 0.265625)" in said) == (0, stores > 0), err
    code, said, err = say_here("trace", "info", path, "--json")
    told = json.loads(said)["cache_filling"]
    assert (told["warm_up"] if told else None) == (0.265625 if stores else None)
