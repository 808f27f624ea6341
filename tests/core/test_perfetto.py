"""A trace of Perfetto tells what the same events as text tell, and says what it lacks."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import perfetto_traces as made
import pyarrow as pa
import pytest
from format_examples import examples
from perfetto_traces import (
    ADD,
    DELETE,
    MEMORY,
    NAMES,
    Event,
    losses,
    protos,
    read,
    rows,
    spread,
    text_of,
    trace,
)

from core.event_files import read_events, write_events
from core.workload.ftrace.capture import import_ftrace
from core.workload.perfetto.reader import PerfettoReader, import_perfetto
from core.workload.text import TraceError

KSWAPD = ("kswapd0", 42)


@pytest.mark.parametrize("encoding", ["inline", "described"])
@pytest.mark.parametrize("generic", [True, False])
@pytest.mark.parametrize("by", [1, 9, 1000])
def test_every_encoding_tells_what_the_text_tells(
    tmp_path: Path, encoding: str, generic: bool, by: int
) -> None:
    events = spread(made.ALL_KINDS, cpus=3)
    text = text_of(tmp_path, events, with_accesses=True)
    content = trace(events, by, encoding, generic) + NAMES
    imported = read(tmp_path, content, with_accesses=True)
    assert rows(imported.events) == rows(text.events)
    assert imported.events.phases == text.events.phases == ("start", "com.app")
    assert imported.accesses is not None
    assert text.accesses is not None
    for name, column in text.accesses.columns.items():
        assert np.array_equal(column, imported.accesses.columns[name]), name
    assert imported.counts["trace_events"] == len(events)
    counts = {name: count for name, count in text.counts.items() if name != "lines"}
    assert {name: imported.counts[name] for name in counts} == counts
    expected = losses(text) | ({} if generic else {"unknown_orders": 7})
    expected.pop("guessed_flag_bits")  # a trace of Perfetto tells its kernel
    assert losses(imported) == expected


def test_an_unknown_order_stays_with_the_table(tmp_path: Path) -> None:
    folios = [made.file_event(ADD, 16, 4, order=2), (*made.file_event(DELETE, 16, 4, 2), KSWAPD)]
    known = read(tmp_path, trace(spread(folios), generic=True))
    assert [row[4] for row in rows(known.events)] == [2, 2]
    assert not any("orders" in warning for warning in known.warnings)
    unknown = read(tmp_path, trace(spread(folios)))
    assert [row[4] for row in rows(unknown.events)] == [0, 0]
    assert any("orders: unknown: 2 insertions and" in warning for warning in unknown.warnings)
    write_events(tmp_path / "t.parquet", unknown.events)
    again = read_events(tmp_path / "t.parquet")
    assert any("orders: unknown" in warning for warning in again.import_warnings())


@pytest.mark.parametrize("encoding", ["inline", "described"])
def test_a_probe_that_tells_the_order_takes_the_place_of_the_event_itself(
    tmp_path: Path, encoding: str
) -> None:
    name, fields = made.file_event(ADD, 16, 4, order=2)
    probe = {key: value for key, value in fields.items() if key != "s_dev"}
    probe["dev"] = made.DEVICE  # as the kernel has it: a probe's number is no device to Perfetto
    event, same = Event(10**9, name, fields), Event(10**9 + 100, name, probe)
    described = made.Described() if encoding == "described" else None
    both = [made.bundle_of([event], 0), made.bundle_of([same], 0, described, generic=True)]
    if described is not None:
        both += [bundle.SerializeToString() for bundle in described.descriptors]
    for content in (both, both[::-1]):
        imported = read(tmp_path, made.system() + b"".join(map(made.packet, content)))
        assert [row[1:5] for row in rows(imported.events)] == [(1, 0, 16, 2)]
        assert imported.unused == {ADD: 1}
        assert "unknown_orders" not in losses(imported)


def in_zlib(packets: bytes) -> bytes:
    return made.packet(compressed_packets=zlib.compress(packets))


def in_zstd(packets: bytes) -> bytes:
    body = pa.Codec("zstd").compress(packets, asbytes=True)
    return made.counted(1, made.counted(133, body))


def as_text_form(packets: bytes) -> bytes:
    return made.as_text_form(packets).encode()


@pytest.mark.parametrize("packed", [in_zlib, in_zstd, as_text_form])
def test_compressed_packets_and_text_of_packets_are_read_alike(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    events = spread([*made.ALL_KINDS] * 3)
    content = trace(events, 11) + NAMES
    plain = read(tmp_path, content)
    other = read(tmp_path, packed(content))
    assert rows(other.events) == rows(plain.events)
    assert other.counts == plain.counts
    assert losses(other) == losses(plain)


def test_a_packet_of_text_that_cannot_be_read_is_counted_with_its_line(tmp_path: Path) -> None:
    content = (
        made.as_text_form(trace(spread(made.ALL_KINDS), 9)) + 'packet {\n  timestamp: "}"\n}\n'
    )
    imported = read(tmp_path, content.encode())
    line = content.count("\n") - 2
    assert any(
        f"1 packet cannot be read: what it held is missing (the first in {tmp_path}/x.pftrace:"
        f"{line})" in warning
        for warning in imported.warnings
    )
    with pytest.raises(TraceError, match=r"x\.pftrace:1: holds no packet of Perfetto that can"):
        read(tmp_path, b"packet { nonsense: }\n")


def compact_sched() -> bytes:
    bundle = protos.FtraceEventBundle(cpu=1)
    sched = bundle.compact_sched
    sched.intern_table.extend(["swapper/0", "kswapd0"])
    sched.switch_timestamp.extend([10**9, 5])
    sched.switch_next_pid.extend([0, 42])
    sched.switch_next_comm_index.extend([0, 1])
    sched.waking_timestamp.extend([10**9])
    return made.packet(bundle.SerializeToString())


def sched_switch() -> bytes:
    fields: dict[str, int | str] = {"prev_comm": "kswapd0", "prev_pid": 42, "next_comm": "a"}
    return made.packet(made.bundle_of([Event(10**9, "sched_switch", fields, 42)], 0))


def process() -> bytes:
    return made.packet(
        process_tree=protos.ProcessTree(processes=[{"pid": 42, "cmdline": ["kswapd0"]}])
    )


@pytest.mark.parametrize("named", [NAMES, process(), compact_sched(), sched_switch()])
@pytest.mark.parametrize("is_first", [True, False])
def test_kswapd_is_told_by_any_name_that_a_trace_has(
    tmp_path: Path, named: bytes, is_first: bool
) -> None:
    event = Event(10**9, DELETE, made.file_event(DELETE, 3)[1], 42, "")
    other = Event(10**9 + 5, DELETE, made.file_event(DELETE, 4)[1], 43, "")
    content = trace([event, other])
    imported = read(tmp_path, named + content if is_first else content + named)
    assert [row[1] for row in rows(imported.events)] == [0, 2]  # a store, and an invalidate


def test_events_of_every_cpu_and_source_are_merged_by_time(tmp_path: Path) -> None:
    events = spread([*made.ALL_KINDS] * 20, cpus=4)
    whole = read(tmp_path, trace(events, 10**6) + NAMES)
    in_drains = read(tmp_path, trace(events, 7) + NAMES)
    assert rows(in_drains.events) == rows(whole.events)
    # Two data sources, one after the other in the file, of which both record the marks.
    is_memory = [event.name.startswith("mm_") for event in events]
    first = [event for event, is_mm in zip(events, is_memory, strict=True) if is_mm]
    rest = [event for event, is_mm in zip(events, is_memory, strict=True) if not is_mm]
    first = sorted([*first, *(event for event in rest if event.name == "print")])
    sources = [
        b"".join(made.packet(made.bundle_of([event], event.cpu), sequence) for event in of_one)
        for sequence, of_one in ((1, first), (2, rest))
    ]
    both = read(tmp_path, made.system() + NAMES + b"".join(sources))
    assert rows(both.events) == rows(whole.events)
    marks = sum(event.name == "print" for event in events)
    assert losses(both)["repeated_events"] == marks


def test_events_are_passed_on_long_before_the_trace_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.workload.text.CHUNK_BYTES", 4096)
    events = spread([*made.ALL_KINDS] * 60, cpus=4)
    path = tmp_path / "x.pftrace"
    path.write_bytes(trace(events, 20))
    sizes = [records.kind.size for records in PerfettoReader([path]).records()]
    assert sum(sizes) > 1500
    assert max(sizes) < 200


def test_launches_are_phases_however_they_are_marked(tmp_path: Path) -> None:
    marks = [
        "B|9|inflate\n",
        "B|9|launching: com.one\n",
        "B|9|inflate\n",
        "E|9\n",
        "E|9\n",
        "S|9|launching: com.two|4\n",
        "S|9|other|4\n",
        "F|9|launching: com.two|4\n",
        "C|9|heap|4\n",
    ]
    what = [item for mark in marks for item in (("print", {"buf": mark}), made.file_event(ADD, 1))]
    imported = read(tmp_path, trace(spread(what), 3))
    assert imported.events.phases == ("com.one", "com.two")
    phases = [row[3] for row in rows(imported.events) if row[1] == 7]
    assert phases == [0, 2**32 - 1, 1, 2**32 - 1]
    assert rows(imported.events) == rows(text_of(tmp_path, spread(what)).events)


def test_counters_of_the_kernel_stay_with_the_table(tmp_path: Path) -> None:
    samples = []
    for number in range(3):
        stats = protos.SysStats()
        stats.vmstat.add(key=protos.VMSTAT_PGSTEAL_KSWAPD, value=100 + 50 * number)
        stats.vmstat.add(key=protos.VMSTAT_PSWPIN, value=7)
        stats.vmstat.add(key=protos.VMSTAT_NR_FREE_PAGES, value=1000 - number)
        stats.meminfo.add(key=protos.MEMINFO_MEM_FREE, value=4000 - number)
        stats.psi.add(
            resource=protos.SysStats.PsiSample.PSI_RESOURCE_MEMORY_SOME, total_ns=5 * number
        )
        samples.append(made.packet(sys_stats=stats))
    imported = read(tmp_path, trace(spread(made.ALL_KINDS)) + b"".join(samples))
    expected = {
        "psi_memory_some_ns": 10,
        "pgsteal_kswapd": 100,
        "nr_free_pages_least": 998,
        "nr_free_pages_most": 1000,
        "mem_free_kib_least": 3998,
        "mem_free_kib_most": 4000,
    }
    assert dict(imported.events.sampled) == expected
    write_events(tmp_path / "t.parquet", imported.events)
    assert dict(read_events(tmp_path / "t.parquet").sampled) == expected


def test_pages_have_the_size_that_the_trace_tells(tmp_path: Path) -> None:
    events = spread([made.alloc(3), made.file_event(ADD, 0), made.file_event(ADD, 5, 2)])
    for size in (4096, 16384, 65536):
        content = trace(events, about=made.system(page_size=size))
        imported = read(tmp_path, content, None)
        assert imported.events.page_size == size
        assert [row[3] for row in rows(imported.events) if row[1] == 1] == [0, 5]
        assert any(f"of {size} bytes" in warning for warning in imported.warnings)
    # A size that is given is the machine's, whatever the trace says.
    given = read(tmp_path, content, MEMORY._replace(page_size=4096))
    assert [row[3] for row in rows(given.events) if row[1] == 1] == [0, 5]


def test_parts_are_read_as_one_trace_in_whatever_order_they_are_given(tmp_path: Path) -> None:
    events = spread([*made.ALL_KINDS] * 2)
    whole = read(tmp_path, trace(events) + NAMES)
    paths = [tmp_path / "a.pftrace", tmp_path / "b.pftrace"]
    half = len(events) // 2
    paths[0].write_bytes(trace(events[:half], encoding="described"))
    paths[1].write_bytes(trace(events[half:][::-1][::-1], encoding="described") + NAMES)
    for order in (paths, paths[::-1]):
        assert rows(import_perfetto(order, MEMORY).events) == rows(whole.events)


def test_the_export_of_perfetto_as_text_of_systrace_is_read_as_ftrace(tmp_path: Path) -> None:
    lines = [
        "# tracer: nop",
        "#           TASK-PID     TGID   CPU#  ||||    TIMESTAMP  FUNCTION",
        "  app one-7     (    7) [001] .... 15.000001: print: S|99|launching: com.app|5",
        f"  app one-7     (    7) [001] .... 15.000002: {ADD}: dev 254:0 ino a4cf "
        "page=0000000000000000 pfn=262145 ofs=4096",
        f"  kswapd0-42    (-----) [000] .... 15.000003: {DELETE}: dev 254:0 ino a4cf "
        "page=0000000000000000 pfn=262145 ofs=4096",
        "  app one-7     (    7) [001] .... 15.000004: print: F|99|launching: com.app|5",
    ]
    path = tmp_path / "export.txt"
    path.write_text("\n".join(lines) + "\n")
    imported = import_ftrace([path], MEMORY)
    assert imported.events.phases == ("com.app",)
    assert [row[1:4] for row in rows(imported.events)] == [
        *((7, 0, 0), (1, 0, 1), (0, 0, 1), (7, 0, 2**32 - 1)),
    ]


def test_a_field_of_number_0_ends_what_is_read_of_a_bundle(tmp_path: Path) -> None:
    """Else more events were read behind it than the survey had counted, and made room for."""
    (example,) = (each for each in examples() if each.form == "perfetto")
    path = tmp_path / "zeros.perfetto"
    told = set()
    for place in range(150, 300):
        path.write_bytes(example.content[:place] + b"\0\0" + example.content[place + 1 :])
        try:
            told.add(import_perfetto([path]).events.op.size)
        except TraceError:
            told.add(-1)
    assert len(told) > 2
