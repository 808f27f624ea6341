"""A trace of Perfetto says what it lacks, and what had to be guessed."""

from __future__ import annotations

from pathlib import Path

import perfetto_traces as made
import pytest
from perfetto_traces import (
    ADD,
    NAMES,
    Event,
    losses,
    protos,
    read,
    rows,
    spread,
    trace,
)

from core.workload.text import TraceError


def test_what_the_recorder_lost_is_told(tmp_path: Path) -> None:
    content = trace(spread(made.ALL_KINDS))
    assert not {"lost_events", "lost_packets"} & set(losses(read(tmp_path, content)))
    flagged = protos.FtraceEventBundle(cpu=0, lost_events=True).SerializeToString()
    imported = read(tmp_path, content + made.packet(flagged))
    assert losses(imported)["lost_events"] == 1
    assert any("(1 at least)" in warning for warning in imported.warnings)

    def stats(phase: int, overrun: int) -> bytes:
        told = protos.FtraceStats(phase=phase)
        told.cpu_stats.add(cpu=0, overrun=overrun, dropped_events=2)
        told.cpu_stats.add(cpu=1, commit_overrun=overrun)
        return made.packet(ftrace_stats=told)

    buffers = protos.TraceStats()
    buffers.buffer_stats.add(chunks_overwritten=3, trace_writer_packet_loss=4, chunks_discarded=5)
    lost = stats(1, 10) + stats(2, 60) + made.packet(trace_stats=buffers)
    found = losses(read(tmp_path, content + made.packet(flagged) + lost))
    assert found["lost_events"] == 100
    assert (found["overwritten_chunks"], found["discarded_chunks"]) == (3, 5)
    assert found["lost_packets"] == 4
    dropped = made.packet(flagged, previous_packet_dropped=1)
    assert losses(read(tmp_path, content + dropped))["lost_packets"] == 1
    bundle = protos.FtraceEventBundle(cpu=0)
    bundle.error.add(status=4)
    broken = read(tmp_path, content + made.packet(bundle.SerializeToString()))
    assert losses(broken)["unreadable_ftrace"] == 1
    assert any("ABI_INVALID_PAGE_HEADER 1" in warning for warning in broken.warnings)


def test_events_before_every_cpu_has_its_own_are_counted(tmp_path: Path) -> None:
    early = made.bundle_of([Event(10**9, *made.file_event(ADD, number)) for number in range(3)], 0)
    late = Event(10**9 + 50, *made.file_event(ADD, 9), cpu=1)
    begins = protos.FtraceEventBundle(cpu=1, previous_bundle_end_timestamp=10**9 + 20)
    second = begins.SerializeToString() + made.bundle_of([late], 1)
    imported = read(tmp_path, made.packet(early) + made.packet(second))
    assert losses(imported)["partial_events"] == 3


def with_clock(bundle: bytes, clock: int, clock_ns: int = 0, boot_ns: int = 0) -> bytes:
    told = protos.FtraceEventBundle(ftrace_clock=clock)
    if boot_ns:
        told.ftrace_timestamp, told.boot_timestamp = clock_ns, boot_ns
    return bundle + bytes(told.SerializeToString())


def test_times_of_several_clocks_become_those_of_one(tmp_path: Path) -> None:
    boot, other = Event(5000, *made.file_event(ADD, 1)), Event(100, *made.file_event(ADD, 2))
    bundles = [made.bundle_of([event], 0) for event in (boot, other)]
    tied = with_clock(bundles[1], 2, 100, 4000)
    content = made.packet(bundles[0]) + made.packet(tied)
    imported = read(tmp_path, content)
    assert [(row[0], row[3]) for row in rows(imported.events)] == [(4000, 2), (5000, 1)]
    raw = made.packet(bundles[0]) + made.packet(with_clock(bundles[1], 4))
    snapshot = protos.ClockSnapshot()
    snapshot.clocks.add(clock_id=6, timestamp=10_000)
    snapshot.clocks.add(clock_id=5, timestamp=7_000)
    imported = read(tmp_path, raw + made.packet(clock_snapshot=snapshot))
    assert [(row[0], row[3]) for row in rows(imported.events)] == [(3100, 2), (5000, 1)]
    untied = read(tmp_path, raw)
    assert [row[3] for row in rows(untied.events)] == [1]
    assert losses(untied)["unknown_clocks"] == 1
    alone = read(tmp_path, made.packet(with_clock(bundles[1], 4)))
    assert [row[3] for row in rows(alone.events)] == [2]
    assert "unknown_clocks" not in losses(alone)


def test_flags_are_numbers_of_the_kernel_that_the_trace_names(tmp_path: Path) -> None:
    events = spread([made.alloc(1), made.alloc(2, 0, made.MOVABLE), made.alloc(3, 0, 0x820)])
    told = read(tmp_path, trace(events))
    assert [row[6] for row in rows(told.events)] == [2 | 16]
    assert not {"guessed_gfp_numbers", "undecoded_gfp_numbers"} & set(losses(told))
    assert told.counts["tagged_allocations"] == 1
    untold = read(tmp_path, trace(events, about=b""))
    assert rows(untold.events) == rows(told.events)
    assert losses(untold)["guessed_gfp_numbers"] == 3
    old = [*events, *spread([made.file_event(ADD, 0, 9)])]
    known_old = read(tmp_path, trace(old, about=made.system("4.19.5-android")))
    assert known_old.counts["tagged_allocations"] == 0
    assert losses(known_old)["no_tagged_allocations"] == 3
    android = read(tmp_path, trace(events, about=made.system("5.10.1-android12")))
    assert android.counts["tagged_allocations"] == 1


@pytest.mark.parametrize("encoding", ["inline", "described"])
@pytest.mark.parametrize("generic", [True, False])
def test_a_failed_allocation_is_no_frame(tmp_path: Path, encoding: str, generic: bool) -> None:
    events = spread([made.alloc(1), made.alloc(-0x40001)])
    imported = read(tmp_path, trace(events, 9, encoding, generic), None)
    assert any("1 allocations failed" in warning for warning in imported.warnings)
    assert imported.counts["tagged_allocations"] == 1
    assert imported.events.data_pages == 1 << 15


def test_probes_without_arguments_and_events_without_a_description_are_counted(
    tmp_path: Path,
) -> None:
    bundle = protos.FtraceEventBundle(cpu=0)
    for number, name in enumerate(("mte_sync_tags", "mte_sync_tags", "my_probe")):
        bundle.event.add(timestamp=10**9 + number, pid=7).kprobe_event.name = name
    content = trace(spread(made.ALL_KINDS)) + made.packet(bundle.SerializeToString())
    imported = read(tmp_path, content)
    assert losses(imported)["empty_probes"] == 2
    assert any("define the probes in tracefs (mte_sync_tags)" in word for word in imported.warnings)
    assert imported.unused["my_probe"] == 1
    unknown = made.counted(
        2,
        bytes(protos.FtraceEvent(timestamp=10**9).SerializeToString())
        + made.counted(70_000, b"\x08\x01"),
    )
    assert losses(read(tmp_path, content + made.packet(unknown)))["undescribed_events"] == 1
    incomplete = Event(10**9, "mm_page_free", {"order": 0})
    bad_order = Event(10**9, "mm_page_free", {"order": 99, "pfn": 0x40001})
    short = made.packet(made.bundle_of([incomplete, bad_order], 0))
    assert losses(read(tmp_path, content + short))["incomplete_events"] == 2


def test_the_events_of_another_machine_are_left_out(tmp_path: Path) -> None:
    content = trace(spread(made.ALL_KINDS)) + NAMES
    guest = made.packet(made.bundle_of(spread(made.ALL_KINDS), 0), machine_id=7)
    imported = read(tmp_path, content + guest)
    assert rows(imported.events) == rows(read(tmp_path, content).events)
    assert losses(imported)["other_machines"] == 1


def test_a_trace_that_is_cut_off_or_damaged_says_so(tmp_path: Path) -> None:
    content = trace(spread(made.ALL_KINDS), 5)
    cut_off = read(tmp_path, content[:-20])
    assert losses(cut_off)["cut_off_packets"] == 1
    noise = read(tmp_path, content + b"\x07" * 99)
    assert losses(noise)["unread_bytes"] == 99
    assert any(f"from byte {len(content):,} of" in warning for warning in noise.warnings)
    garbled = bytearray(made.bundle_of(spread([made.alloc(1), made.alloc(2)]), 0))
    garbled[5] = 0x0F  # a wire type that there is none of, in the first event
    found = losses(read(tmp_path, content + made.packet(bytes(garbled))))
    assert found["garbled_events"] == 1
    refusals = [refusal(tmp_path, content[:end]) for end in range(1, len(content), 7)]
    refused = [text for text in refusals if text is not None]
    assert 1 < len(refused) < len(refusals)
    assert all(text.startswith(f"{tmp_path}/x.pftrace: ") for text in refused)


def refusal(folder: Path, content: bytes) -> str | None:
    try:
        read(folder, content)
    except TraceError as error:
        return str(error)
    return None


def test_a_trace_without_events_of_use_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"no ftrace event in its 2 packets: sweep trace record"):
        read(tmp_path, made.system() + NAMES)
    bundle = protos.FtraceEventBundle(cpu=1)
    bundle.compact_sched.switch_timestamp.extend([10**9, 5])
    with pytest.raises(TraceError, match=r"only compact_sched: sweep trace record --perfetto"):
        read(tmp_path, made.packet(bundle.SerializeToString()))


def test_text_that_is_damaged_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    content = trace(spread(made.ALL_KINDS)) + made.names(kswapd0=42)
    for word in (b"6.12.5-android", b"kswapd0"):
        damaged = content.replace(word, b"\xff\xfe" + word[2:])
        assert len(damaged) == len(content)
        assert read(tmp_path, damaged).counts["rows"] > 10
    described = trace(spread(made.ALL_KINDS), encoding="described")
    damaged = described.replace(b"tag_clear_highpage", b"\xff" * 18)
    assert read(tmp_path, damaged).counts["rows"] > 10
