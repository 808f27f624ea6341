"""What reads cost, estimated from the block events of devices whose costs are known."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest
from block_events import FORMS, SECTORS, Device, Truth

from core.workload.ftrace.block_lines import BlockRequests, device_name, read_block_requests
from core.workload.ftrace.emulation import emulation_shown
from core.workload.ftrace.read_costs import (
    NEEDED_READS,
    Estimate,
    Lack,
    ReadCosts,
    estimate_read_costs,
)
from core.workload.text import TraceError

PHONE = Truth(110_000, 10_000, 2_800)
DRIVE = Truth(78_000, 2_128, 1_400)


def requests_in(folder: Path, text: bytes) -> BlockRequests:
    path = folder / "trace.txt"
    path.write_bytes(text)
    return read_block_requests([path]).requests


def estimates(folder: Path, text: bytes) -> ReadCosts:
    return estimate_read_costs(requests_in(folder, text), 4096)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [5, 32])
@pytest.mark.parametrize("truth", [PHONE, DRIVE])
def test_known_costs_are_found_within_a_tenth(
    truth: Truth, depth: int, seed: int, tmp_path: Path
) -> None:
    device = Device(truth, seed)
    for _ in range(4):
        device.alone(200)
        device.parallel(300, depth)
        device.writes(50)
    found = estimates(tmp_path, device.text())
    assert found.depth == {5: 3, 32: 24}[depth]
    for name, cost in found.costs.items():
        assert isinstance(cost, Estimate), name
        assert cost.cost_ns == pytest.approx(getattr(truth, name), rel=0.1), name
        assert cost.low_ns <= cost.cost_ns <= cost.high_ns, name


def test_an_interval_of_95_percent_holds_the_truth_19_times_in_20(tmp_path: Path) -> None:
    held = dict.fromkeys(PHONE._fields, 0)
    for seed in range(40):
        device = Device(PHONE._replace(read_random_ns=90_000), seed)
        device.alone(400)
        device.parallel(800, 8)
        for name, cost in estimates(tmp_path, device.text()).costs.items():
            assert isinstance(cost, Estimate)
            true_ns = 90_000 if name == "read_random_ns" else getattr(PHONE, name)
            # A delay of one read in twenty moves the median by less than a hundredth.
            held[name] += cost.low_ns * 0.99 <= true_ns <= cost.high_ns * 1.01
    assert min(held.values()) >= 34, held


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("priority", ["", "none,0,0 ", "be,0,4 "])
def test_every_form_of_a_line_says_the_same(form: str, priority: str, tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.alone(50)
    expected = requests_in(tmp_path, device.text())
    found = requests_in(tmp_path, device.text(form, priority))
    assert found.device.size == 50
    for name in ("device", "sector", "sectors", "is_read"):
        assert (getattr(found, name) == getattr(expected, name)).all(), name
    # perf and trace-cmd print microseconds.
    assert abs(found.completed_ns - expected.completed_ns).max() < 1000


def test_parts_of_a_trace_are_read_in_any_order_and_compressed(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.alone(50)
    whole = requests_in(tmp_path, device.text())
    lines = device.text().splitlines(keepends=True)
    first, second = tmp_path / "cpu0.txt", tmp_path / "cpu1.txt.gz"
    first.write_bytes(b"".join(lines[1::2]))
    second.write_bytes(gzip.compress(b"".join(lines[::2])))
    found = read_block_requests([second, first]).requests
    assert all((mine == theirs).all() for mine, theirs in zip(found, whole, strict=True))


def test_a_request_counts_if_it_was_issued_and_completed_whole(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    # Neither a completion alone, nor an issue alone, nor one in parts.
    for kind, where in (("complete", "8 + 8"), ("issue", "16 + 8"), ("issue", "32 + 16")):
        size = "4096 " if kind == "issue" else ""
        device.events.append((1, f"block_rq_{kind}", f"8,0 R {size}() {where} [0]"))
    device.events.append((2, "block_rq_complete", "8,0 R () 32 + 8 [0]"))
    device.request(3, 7, 2, "RM", 64)
    path = tmp_path / "trace.txt"
    # Priorities, commands and errors may stand there.
    path.write_bytes(device.text().replace(b"R () 32", b"R (28 00 a4) 32"))
    trace = read_block_requests([path])
    assert (trace.lines, trace.unpaired_lines, trace.unreadable_lines) == (6, 4, 0)
    assert [column.tolist() for column in trace.requests] == [
        [8 << 20],
        [3],
        [7],
        [64],
        [16],
        [True],
    ]
    assert device_name(8 << 20 | 17) == "8:17"


def test_times_since_1970_are_told_apart(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.request(1_999_999_999 * 10**9, 2_000_000_000 * 10**9, 1, "R", 64)
    found = requests_in(tmp_path, device.text())
    assert found.issued_ns.tolist() == [1_999_999_999 * 10**9]
    assert found.completed_ns.tolist() == [2_000_000_000 * 10**9]


@pytest.mark.parametrize(
    "fields",
    [
        f"dev={2**32} sector=8 nr_sector=8 bytes=4096 rwbs=R",
        "dev=8388608 nr_sector=8 bytes=4096 rwbs=R",
        "dev=8388608 sector=8 nr_sector=8 bytes=4096 rwbs=ARRAY[]",
        "dev=8388608 sector=W nr_sector=8 bytes=4096 rwbs=R",
    ],
)
def test_named_fields_that_lack_one_are_unreadable(fields: str, tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.request(3, 7, 2, "RM", 64)
    path = tmp_path / "trace.txt"
    path.write_bytes(device.text() + f" cat-1 [000] 1.000000: block_rq_issue: {fields}\n".encode())
    trace = read_block_requests([path])
    assert (trace.lines, trace.unreadable_lines, trace.unpaired_lines) == (3, 1, 0)


def test_a_flush_is_in_flight_until_it_is_completed_at_the_last_sector(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.events.append((1, "block_rq_issue", "8,0 FF 0 () 0 + 0 [kworker/0:1H]"))
    device.events.append((9, "block_rq_complete", f"8,0 FF () {2**64 - 1} + 0 [0]"))
    found = requests_in(tmp_path, device.text())
    assert (found.completed_ns - found.issued_ns).tolist() == [8]
    assert not found.is_read.any()


def test_lines_without_a_time_in_seconds_are_refused_by_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "counter.txt"
    path.write_bytes(
        b"# tracer: nop\n cat-1 [000] d..1. 123456: block_rq_issue: 8,0 R 4096 () 8 + 8 [c]\n"
    )
    with pytest.raises(
        TraceError, match=r"counter\.txt:2: .*12\.345678: block_rq_issue.* trace_clock"
    ):
        read_block_requests([path])


@pytest.mark.parametrize(
    "line",
    [
        f"{2**43},0 R 4096 () 8 + 8 [c]",
        f"8,{2**64} R 4096 () 8 + 8 [c]",
        f"8,{2**20} R 4096 () 8 + 8 [c]",
        f"8,0 R 4096 () {2**63} + 8 [c]",
        f"8,0 R 4096 () {2**63 - 1} + 8 [c]",
    ],
)
def test_a_line_of_no_device_or_sector_that_there_can_be_is_unreadable(
    line: str, tmp_path: Path
) -> None:
    device = Device(PHONE, 1)
    device.request(3, 7, 2, "RM", 64)
    device.events += [(8, "block_rq_issue", line), (9, "block_rq_complete", line)]
    path = tmp_path / "trace.txt"
    path.write_bytes(device.text())
    trace = read_block_requests([path])
    assert (trace.lines, trace.unreadable_lines, trace.unpaired_lines) == (4, 2, 0)
    assert trace.requests.sector.tolist() == [64]


def test_reads_beside_others_and_odd_sizes_tell_no_cost(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.writes(100)
    for at in range(100):
        # Half a page, and contiguous ones.
        start_ns = 10**12 + at * 10**7
        device.request(start_ns, start_ns + 5, 1, "R", 10**7 + at * SECTORS)
    text = device.text().replace(b"+ 16 ", b"+ 12 ")
    found = estimates(tmp_path, text).costs["read_random_ns"]
    assert found == Lack("reads of one page that are alone on the device", 1, NEEDED_READS)


def test_too_few_samples_are_counted_and_no_cost(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.alone(400, longest_pages=1)
    device.parallel(50, 8)
    found = estimates(tmp_path, device.text())
    assert isinstance(found.costs["read_random_ns"], Estimate)
    lacks = [found.costs["read_parallel_ns"], found.costs["read_sequential_ns"]]
    assert all(isinstance(lack, Lack) and lack.found < lack.needed for lack in lacks), lacks
    assert found.depth == 0
    nothing = BlockRequests(*(column[:0] for column in requests_in(tmp_path, device.text())))
    costs = estimate_read_costs(nothing, 4096).costs
    assert all(isinstance(lack, Lack) and lack.found == 0 for lack in costs.values()), costs


def test_a_page_of_the_machine_is_the_unit(tmp_path: Path) -> None:
    device = Device(Truth(100_000, 10_000, 1_000), 3)
    device.alone(800)
    requests = requests_in(tmp_path, device.text())
    # Each request of 16 KiB pages is four times as long as one of 4 KiB pages.
    wide = requests._replace(sector=requests.sector * 4, sectors=requests.sectors * 4)
    assert estimate_read_costs(wide, 16384) == estimate_read_costs(requests, 4096)


def test_a_device_is_shown_to_be_emulated_by_its_number_or_by_the_archive(tmp_path: Path) -> None:
    phone, virtual = 8 << 20, 254 << 20
    assert emulation_shown(phone, None) is None
    assert "major number 254" in str(emulation_shown(virtual, None))
    for text, word in ((b"virtio_blk virtio2: [vda]", "virtio"), (b"ufshcd-qcom 1d84000", None)):
        log, archive = tmp_path / "dmesg", tmp_path / "x.meta.tar.gz"
        log.write_bytes(text)
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(log, "meta/dmesg")
        shown = emulation_shown(phone, archive)
        assert shown == (word and f"meta/dmesg in x.meta.tar.gz names {word}")
    archive.write_bytes(b"no archive")
    with pytest.raises(TraceError, match="no archive of a recording"):
        emulation_shown(phone, archive)
