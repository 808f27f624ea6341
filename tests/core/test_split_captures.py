"""A capture whose lines lie in a file of each CPU is the same capture in one file."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path

import numpy as np
import pytest
from captures import CAPTURE_PART

from core.accesses import SCHEMA
from core.event_files import read_events, write_events
from core.events import digest_events
from core.workload.ftrace.capture import Imported, import_ftrace
from core.workload.ftrace.memory import Memory

_LINE = re.compile(r" \[\d+\] \S+ +(\d+\.\d+): ")


def on_cpus(lines: list[str], cpus: int, seed: int) -> list[str]:
    """Return the lines as those of several CPUs; a stamp is of one CPU, so that order is told."""
    chance, cpu, last = random.Random(seed), 0, ""
    moved = []
    for line in lines:
        found = _LINE.search(line)
        if found is None:
            continue
        if found[1] != last and chance.random() < 0.3:
            cpu = chance.randrange(cpus)
        last = found[1]
        moved.append(re.sub(r" \[\d+\] ", f" [{cpu:03}] ", line, count=1))
    return moved


def split_by_cpu(folder: Path, lines: list[str]) -> list[Path]:
    """Write the lines of each CPU as tracefs does in per_cpu/cpuN/trace."""
    by_cpu: dict[str, list[str]] = {}
    for line in lines:
        by_cpu.setdefault(re.findall(r" \[(\d+)\] ", line)[0], []).append(line)
    paths = []
    for cpu, of_cpu in sorted(by_cpu.items(), reverse=True):
        path = folder / f"cpu{int(cpu)}.trace"
        head = f"# tracer: nop\n#\n# entries-in-buffer/entries-written: {len(of_cpu)}/{len(of_cpu)}"
        head += f"   #P:{len(by_cpu)}\n#\n##### CPU {int(cpu)} buffer started ####\n"
        path.write_text(head + "".join(of_cpu))
        paths.append(path)
    return paths


def same(a: Imported, b: Imported) -> bool:
    assert a.accesses is not None
    assert b.accesses is not None
    for name in SCHEMA.names:
        assert np.array_equal(a.accesses.columns[name], b.accesses.columns[name]), name
    counts = {name: (a.counts[name], b.counts[name]) for name in a.counts if name != "lines"}
    assert all(one == other for one, other in counts.values()), counts
    assert a.events.losses == b.events.losses
    return digest_events(a.events) == digest_events(b.events)


@pytest.mark.parametrize(("cpus", "seed"), [(2, 0), (4, 1), (16, 2)])
def test_files_of_each_cpu_are_the_capture_in_one_file(
    tmp_path: Path, cpus: int, seed: int
) -> None:
    memory = Memory(0x40000, 1 << 16, 4096)
    lines = gzip.decompress(CAPTURE_PART.read_bytes()).decode().splitlines(keepends=True)
    lines = on_cpus(lines, cpus, seed)
    whole = tmp_path / "whole.ftrace.txt"
    whole.write_text("".join(lines))
    paths = split_by_cpu(tmp_path, lines)
    assert len(paths) == cpus
    one = import_ftrace([whole], memory, with_accesses=True)
    for order in (paths, paths[::-1]):
        assert same(one, import_ftrace(order, memory, with_accesses=True))
    assert one.counts["rows"] > 1000
    write_events(tmp_path / "whole.parquet", one.events)
    assert digest_events(read_events(tmp_path / "whole.parquet")) == digest_events(one.events)
    parts = [tmp_path / "a.txt", tmp_path / "b.txt"]  # a trace in parts, one after the other
    parts[0].write_text("".join(lines[: len(lines) // 2]))
    parts[1].write_text("".join(lines[len(lines) // 2 :]))
    assert same(one, import_ftrace(parts[::-1], memory, with_accesses=True))
