"""Captures of kernels with pages of 16 and 64 KiB, from the text to the outcomes of a study."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from commands import CommandInThisProcess
from ftrace_lines import ADD, DELETE, alloc, text

from core.event_files import read_events
from sweep.results import answer_query

FRAMES = 8192
STUDY = """\
study: larger
workload: [{{trace: x.parquet}}, {{trace: x.parquet, tagged_ratio: 0.1, burstiness: 0.0}}]
policies:
  - parameters: {{eviction: {{type: categorical, choices: [lru, none]}}}}
  - policy: {{system: zswap}}
baselines: [{{system: carveout}}, {{preset: gcma}}]
objectives: [{{metric: restored, direction: maximize}}]
scenarios: {{tag_block_size: [{sizes}]}}
sampler: {{name: grid}}
"""


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def write_capture(folder: Path, page_size: int, with_archive: bool) -> None:
    def at(event: str, index: int, order: int = 0) -> str:
        fields = f"dev 254:0 ino a pfn={0x40100 + index:#x} ofs={index * page_size} order={order}"
        return f"kswapd0-9 | {event}: {fields}"

    lines = []
    for index in range(64):
        lines += [at(ADD, index)]
    lines += [at(ADD, 64, 2), alloc(7), alloc(40, 2)]
    lines += [at(DELETE, index) for index in range(64)] + [at(DELETE, 64, 2)]
    lines += [at(ADD, index) for index in range(64)] + ["mm_page_free: pfn=0x40028 order=2"]
    (folder / "x.ftrace.txt").write_text(text(lines))
    if with_archive:
        zones = (
            "Node 0, zone    DMA\n  pages free     1\n        low      2\n        high     3\n"
            f"        spanned  {FRAMES}\n        present  {FRAMES}\n  start_pfn:           262144\n"
        )
        with tarfile.open(folder / "x.meta.tar.gz", "w:gz") as archive:
            for name, content in (("zoneinfo", zones), ("page_size", f"{page_size}\n")):
                member = tarfile.TarInfo(f"meta/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content.encode()))


@pytest.mark.parametrize("with_archive", [True, False])
def test_captures_differ_by_the_size_of_their_pages_alone(
    with_archive: bool, tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    outcomes = []
    for page_kib in (4, 16, 64):
        folder = tmp_path / str(page_kib)
        folder.mkdir()
        outcomes.append(outcomes_of(folder, 1024 * page_kib, with_archive, sweep))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    gcma = [row for row in outcomes[0] if row[1:4] == ("x.parquet", "baseline", 1)]
    # A tag page has the tags of 32 pages: frames 7 and 40 to 43 are two blocks of one, or one of 8.
    assert [(row[0], row[-1]) for row in gcma] == [(1, 2), (8, 1)]
    none = [row[5] for row in outcomes[0] if row[1:4] == ("x.parquet", "trial", 1)]
    assert none == [64, 64]
    assert min(row[-1] for row in outcomes[0] if row[1] != "x.parquet" and row[2] == "trial") > 10


def outcomes_of(
    folder: Path, page_size: int, with_archive: bool, sweep: CommandInThisProcess
) -> list[tuple[object, ...]]:
    """Import and run; return the outcomes of each run, with tag blocks in pages."""
    write_capture(folder, page_size, with_archive)
    table = folder / "x.parquet"
    memory = ("--memory", str(FRAMES * page_size), "--memory-start", str(0x40000 * page_size))
    words = () if with_archive else memory
    code, _, err = sweep("trace", "import", folder / "x.ftrace.txt", "-o", table, *words)
    assert code == 0, err
    events = read_events(table)
    assert (events.page_size, events.data_pages) == (page_size, FRAMES)
    guessed = {loss.name for loss in events.losses} & {"guessed_page_size", "guessed_memory"}
    assert guessed == (set() if with_archive or page_size == 4096 else {"guessed_page_size"})
    study, database = folder / "larger.yaml", folder / "x.duckdb"
    study.write_text(STUDY.format(sizes=f"{page_size}, {8 * page_size}"))
    code, _, err = sweep("run", study, "--db", database, "--executor", "in-process")
    assert code == 0, err
    sql = (
        f"SELECT tag_block_size // {page_size} AS pages, workload, role, number, stored, restored, "
        "missed, reclaimed, recalled, reservations FROM runs JOIN scenarios USING (study, scenario)"
        " ORDER BY ALL"
    )
    return [tuple(row) for row in answer_query(database, sql).rows]
