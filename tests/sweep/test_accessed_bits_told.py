"""Whether accessed bits are recorded or modelled is said wherever a trace is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import CommandInThisProcess
from ftrace_lines import add, alloc, fault, get_pages, page, text

MEMORY = ("--memory", "4MiB", "--memory-start", str(0x40000 * 4096))


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def test_how_accessed_bits_are_known_is_said_by_import_info_and_a_front_end_s_table(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    lines = [f"tag_clear_highpage: page={page(9)}", alloc(9), fault(0), add(0), get_pages(0, 0)]
    look = f"kswapd0-42 | folio_referenced: folio={page(1)} ret=1"
    said = "accessed bits: modelled: 1 fault is known to map a page"
    trace, table, accesses = (tmp_path / name for name in ("x.txt", "x.parquet", "a.parquet"))
    for told, probed in (("modelled", []), ("recorded", [look, look])):
        trace.write_text(text([*lines, *probed]))
        importing = ("trace", "import", trace, "-o", table, "--accesses", accesses, *MEMORY)
        code, out, err = say_here(*importing)
        assert code == 0, err
        assert f"accessed bits: {told}\n" in out
        assert (said in err) == (told == "modelled")
        code, out, err = say_here(*importing, "--json")
        assert json.loads(out)["accessed_bits"] == told
        code, out, err = say_here("trace", "info", accesses)
        assert f"  accessed bits: {told}\n" in out
        assert (said in out) == (told == "modelled")
        code, out, err = say_here("trace", "reclaim", accesses, "-o", table)
        assert code == 0, err
        code, out, err = say_here("trace", "info", table)
        assert (said in out) == (told == "modelled")
