"""The forms of blkparse, fio and libCacheSim: what is read, counted, said to be lost, refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import request_files as files

from core.import_losses import SENTENCES, Loss
from core.workload.formats import detect
from core.workload.requests import lcs, oracle_general, vscsi
from core.workload.requests.blkparse import import_blkparse
from core.workload.requests.fio import import_fio
from core.workload.text import TraceError

PREAMBLE = "Input file sda.blktrace.0 added\nInput file sda.blktrace.1 added\n"
SUMMARY = """CPU0 (sda):
 Reads Queued:           1,        4KiB\t Writes Queued:           0,        0KiB
 Read Dispatches:        1,        4KiB\t Write Dispatches:        0,        0KiB
 Reads Requeued:         0\t\t Writes Requeued:         0
 Reads Completed:        1,        4KiB\t Writes Completed:        0,        0KiB
 Read Merges:            0,        0KiB\t Write Merges:            0,        0KiB
 PC Reads Queued:        0,        0KiB\t PC Writes Queued:        0,        0KiB
 Read depth:             1        \t Write depth:             0
 IO unplugs:             1        \t Timer unplugs:           0

Total (sda):
 Reads Queued:           1,        4KiB\t Writes Queued:           0,        0KiB

Throughput (R/W): 4KiB/s / 0KiB/s
Events (sda): 5 entries
Skips: 3 forward (1,204 -   8.1%)
"""


def line(action: str, rest: str, device: str = "8,0", at_ns: int = 0) -> str:
    return f"{device:>6}    3        1     0.{at_ns:09}   697 {action:>2} {rest}\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(run: Callable[..., Any], path: Path) -> str:
    with pytest.raises(TraceError) as caught:
        run([path])
    return str(caught.value).removeprefix(f"{path.parent}/")


def losses(imported: Any) -> dict[str, int]:
    return {loss.name: loss.count for loss in imported.losses}


def test_every_loss_of_these_forms_has_a_sentence() -> None:
    for name in (
        "requests_are_issues", "requests_are_completions", "stacked_devices",
        "requests_without_time", "operations_not_named", "missing_requests",
    ):  # fmt: skip
        assert Loss(name, 3).warning == SENTENCES[name].format(count="3")


def test_what_blkparse_prints_around_the_requests_is_known(tmp_path: Path) -> None:
    text = PREAMBLE + line("Q", "RA 8 + 8 [a b]") + SUMMARY
    path = write(tmp_path / "t", text)
    assert detect(path).name == "blktrace"
    imported = import_blkparse([path])
    assert imported.counts["requests"] == 1
    assert imported.unused == {"lines around the requests": 16}
    assert losses(imported) == {"lost_events": 1204}
    noted = write(tmp_path / "n", "You have 88 dropped events\nwhat?\n" + line("Q", "R 8 + 8 [a]"))
    imported = import_blkparse([noted])
    assert losses(imported) == {"lost_events": 88, "garbage_lines": 1}
    assert imported.losses[-1].where == "the first is n:2: 'what?'"
    assert detect(noted).name == "blktrace"


def test_a_trace_without_queued_requests_gives_the_issued_ones_and_says_so(tmp_path: Path) -> None:
    issued = line("D", "WS 2048 + 8 [app]", at_ns=12_000)
    completed = line("C", "WS 2048 + 8 [0]", at_ns=350_000)
    imported = import_blkparse([write(tmp_path / "t", issued + completed)])
    assert imported.counts["requests"] == 1
    assert imported.requests.writes.tolist() == [True]
    assert imported.unused == {"action C": 1}
    (loss,) = imported.losses
    assert (loss.name, loss.count) == ("requests_are_issues", 1)
    assert loss.where == "queued (Q): 0, issued (D): 1, completed (C): 1"
    imported = import_blkparse([write(tmp_path / "t", completed * 2 + line("M", "R 1 + 1 [a]"))])
    assert losses(imported) == {"requests_are_completions": 2}
    assert imported.unused == {"action M": 1}


def test_issued_requests_are_not_used_once_one_was_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.workload.text.CHUNK_BYTES", 64)
    text = line("D", "R 8 + 8 [a]") * 5 + line("Q", "R 80 + 8 [a]") + line("D", "R 80 + 8 [a]")
    imported = import_blkparse([write(tmp_path / "t", text + line("D", "D 8 + 8 [a]"))])
    assert imported.counts["requests"] == 1
    assert imported.requests.first_page.tolist() == [10]
    assert imported.unused == {"action D": 7}
    assert not imported.losses
    only_flushes = write(tmp_path / "t", line("Q", "FN [a]") + line("D", "R 8 + 8 [a]"))
    assert "t:1: " in refused(import_blkparse, only_flushes)
    assert refused(import_blkparse, only_flushes).endswith("(flushes 1; action D 1)")


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ("R 8 + 8 [a]", ""), ("RA 8 + 8 [a]", ""), ("RM 8 + 8 [a]", ""), ("RAM 8 + 8 [a]", ""),
        ("W 8 + 8 [a]", "write"), ("WS 8 + 8 [a]", "write"), ("WFSM 8 + 8 [a]", "write"),
        ("FWFS 8 + 8 [a]", "write"), ("WSM 8 + 8 ( 1234) [a]", "write"), ("ZAS 8 + 8 [a]", "write"),
        ("D 8 + 8 [a]", "discards"), ("DS 8 + 8 [a]", "discards"), ("DE 8 + 8 [a]", "discards"),
        ("FN [a]", "flushes"), ("FWS [a]", "flushes"), ("FWS 0 [a]", "flushes"),
        ("N 0 + 8 [a]", "neither reads nor writes"), ("N [a]", "neither reads nor writes"),
        ("ZR 8 + 8 [a]", "commands for zones"), ("R 8 [a]", "requests of no sectors"),
        ("R 36 (12 00 00 00 24 00 ..) [udevd]", "packet commands"),
        ("R 18446744073709551615 + 8 [a]", "lines of another form"),
        ("R 8 + 12345678901 [a]", "lines of another form"),
    ],
)  # fmt: skip
def test_each_word_for_the_way_of_a_request_is_told(tmp_path: Path, rest: str, kind: str) -> None:
    text = line("Q", "R 80 + 8 [a]") + line("Q", rest)
    imported = import_blkparse([write(tmp_path / "t", text)])
    used = kind in ("", "write")
    assert imported.counts["requests"] == 1 + used
    assert imported.counts["writes"] == (kind == "write")
    assert imported.unused == ({} if used else {kind: 1})


def test_actions_that_are_no_requests_are_counted(tmp_path: Path) -> None:
    text = line("Q", "R 8 + 8 [a]") + "".join(
        line(action, rest)
        for action, rest in (
            ("G", "R 8 + 8 [a]"), ("M", "R 16 + 8 [a]"), ("F", "R 0 + 8 [a]"), ("P", "N [a]"),
            ("UT", "N [a] 1"), ("X", "R 8 / 16 [a]"), ("m", "N cfq1 insert_request"),
            ("A", "R 8 + 8 <- (8,1) 1"),
        )
    )  # fmt: skip
    imported = import_blkparse([write(tmp_path / "t", text)])
    assert imported.counts["requests"] == 1
    assert imported.unused == {
        f"action {action}": 1 for action in ("G", "M", "F", "P", "UT", "X", "m", "A")
    }
    assert not imported.losses


def test_requests_that_count_for_two_devices_are_told(tmp_path: Path) -> None:
    text = line("Q", "R 8 + 8 [a]", "253,0") + line("A", "R 80 + 8 <- (253,0) 8")
    text += line("Q", "R 80 + 8 [a]") + line("A", "R 80 + 8 <- (8,1) 8")
    imported = import_blkparse([write(tmp_path / "t", text)])
    assert imported.counts["files"] == 2
    (loss,) = imported.losses
    assert (loss.name, loss.count, loss.where) == ("stacked_devices", 1, "253,0")


def test_lines_of_blkparse_that_a_mail_quotes_are_read(tmp_path: Path) -> None:
    text = PREAMBLE + line("Q", "RA 8 + 8 [a b]") + SUMMARY
    path = write(tmp_path / "t", "".join(f"> {quoted}\n" for quoted in text.splitlines()))
    assert detect(path).name == "blktrace"
    imported = import_blkparse([path])
    assert imported.counts["requests"] == 1
    assert losses(imported) == {"lost_events": 1204}


def test_another_form_of_blkparse_is_refused_with_its_own(tmp_path: Path) -> None:
    said = refused(import_blkparse, write(tmp_path / "t", "0.000000 Q 8 + 8 R\n" * 3))
    assert said.startswith("t:1: '0.000000 Q 8 + 8 R': no line is a read or a write that blkparse")
    assert "Q WS 223490 + 8" in said
    assert said.endswith("(lines of another form 3)")


def test_a_name_in_a_log_of_fio_is_all_before_the_action(tmp_path: Path) -> None:
    names = ["/a", "/mnt/my disk/test.0.0", "/mnt/read 0 4096", "/a  b\tc", "/ends in add"]
    lines = ["fio version 3 iolog"]
    for name in names:
        lines += [f"0 {name} add", f"1 {name} open", f"5 {name} read 0 4096", f"6 {name} close"]
    path = write(tmp_path / "t", "\n".join(lines))
    imported = import_fio([path])
    assert imported.counts["requests"] == imported.counts["files"] == len(names)
    assert imported.requests.inode.tolist() == list(range(len(names)))
    assert imported.unused == {"add": 5, "open": 5, "close": 5}
    lines = [
        line.partition(" ")[2] if at else "fio version 2 iolog" for at, line in enumerate(lines)
    ]
    again = import_fio([write(tmp_path / "t", "\n".join(lines))])
    assert again.requests.inode.tolist() == list(range(len(names)))
    assert losses(again) == {"requests_without_time": 5}
    assert not losses(imported)


def test_a_log_of_fio_without_times_says_so(tmp_path: Path) -> None:
    lines = "".join(f"0 /a read {at * 4096} 4096\n" for at in range(3))
    path = write(tmp_path / "t", "fio version 3 iolog\n" + lines)
    assert losses(import_fio([path])) == {"requests_without_time": 3}
    path = write(tmp_path / "t", "fio version 3 iolog\n" + lines + "9 /a read 0 1\n")
    assert not losses(import_fio([path]))


def test_a_name_in_a_log_of_fio_may_be_of_any_encoding(tmp_path: Path) -> None:
    content = b"fio version 2 iolog\n/caf\xe9 read 0 1\n/caf\xe9 au lait read 0 1\n/a wait 7 0\n"
    assert import_fio([write(tmp_path / "t", content)]).counts["files"] == 2


def test_lines_of_fio_keep_their_order_whatever_their_names(tmp_path: Path) -> None:
    text = "fio version 2 iolog\n"
    for number in range(6):
        name = "/a b" if number % 2 else "/a"
        text += f"{name} wait {number} 0\n{name} read {number * 4096} 4096\n"
    imported = import_fio([write(tmp_path / "t", text)])
    assert imported.requests.first_page.tolist() == list(range(6))
    assert (imported.requests.time_ns // 1000).tolist() == [0, 1, 3, 6, 10, 15]


def test_what_is_no_action_of_fio_is_counted_with_its_place(tmp_path: Path) -> None:
    text = "\ufefffio version 3 iolog\r\n5 /a read 0 4096\r\n6 /a punch 0 9\r\n7 /a write 4096\r\n"
    text += "8 /a trim 0 4096\r\n8 /a datasync 0 0\r\n"
    path = write(tmp_path / "t", text)
    assert detect(path).name == "fio"
    imported = import_fio([path])
    assert imported.unused == {"lines of another form": 2, "trim": 1, "datasync": 1}
    (loss,) = imported.losses
    assert (loss.name, loss.count) == ("garbage_lines", 2)
    assert loss.where == "the first is t:3: '6 /a punch 0 9'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0, 4096, 8192\n", "t:1: '0, 4096, 8192' is not 'fio version 2 iolog' (or 3): version 1"),
        ("fio version 2 iolog\n/a wait 999999999999999999\n", "t:2: waits for more than 100 years"),
        ("fio version 2 iolog\n/a wait 3000000000000000\n/a wait 3000000000000000\n", "t:3: waits"),
        ("fio version 3 iolog\n1 /a add\n", "t:2: '1 /a add': no line is a read or a write"),
    ],
)
def test_a_log_of_fio_that_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert refused(import_fio, write(tmp_path / "t", text)).startswith(said)


RUNS = {
    "oracle_general_op_ns": oracle_general.import_oracle_general_op_ns,
    "oracle_sys_twr_ns": oracle_general.import_oracle_sys_twr_ns,
    **{f"lcs_{version}": lcs.import_lcs for version in range(1, 9)},
    "vscsi_1": vscsi.import_vscsi,
    "vscsi_2": vscsi.import_vscsi,
}


@pytest.mark.parametrize("form", RUNS)
def test_a_record_that_is_cut_off_is_told_by_its_number(tmp_path: Path, form: str) -> None:
    content = files.WRITERS[form].content(files.whole_files(50))
    said = refused(RUNS[form], write(tmp_path / "t", content[:-5]))
    assert "record 49: cut off: " in said


@pytest.mark.parametrize(
    "form", [*(f"lcs_{version}" for version in range(1, 9)), "vscsi_1", "vscsi_2", "oracle_general"]
)
def test_libcachesim_reads_the_same_requests(tmp_path: Path, form: str) -> None:
    peer = pytest.importorskip("libcachesim")
    requests = [
        files.Request(time_s, file, 0, 512 + 512 * file, False)
        for time_s, file, *_ in files.whole_files(300)
    ]
    if files.WRITERS[form].only == ("one file",):
        requests = [r._replace(file=0, offset=r.file * 512) for r in requests]
    path = files.write(tmp_path, form, requests)
    kind = {"lcs": "LCS_TRACE", "vscsi": "VSCSI_TRACE", "oracle_general": "ORACLE_GENERAL_TRACE"}
    theirs = [
        (read.clock_time, read.obj_id, read.obj_size)
        for read in peer.TraceReader(
            str(path), getattr(peer.TraceType, kind[files.WRITERS[form].format])
        )
    ]
    ours = detect(path).load_importer()([path]).requests
    assert len(theirs) == ours.time_ns.size
    begin = theirs[0][0]
    assert [time_s - begin for time_s, *_ in theirs] == (ours.time_ns // 10**9).tolist()
    pages = [
        (obj * 512 + size - 1) // 4096 - obj * 512 // 4096 + 1 if "vscsi" in form
        else (size + 4095) // 4096
        for _, obj, size in theirs
    ]  # fmt: skip
    assert pages == ours.pages.tolist()
    if "vscsi" in form:
        assert [obj * 512 // 4096 for _, obj, _ in theirs] == ours.first_page.tolist()
    else:
        known: dict[int, int] = {}
        numbers = [known.setdefault(obj, len(known)) for _, obj, _ in theirs]
        assert numbers == ours.inode.tolist()


def with_operations(operations: list[int]) -> bytes:
    content = files.WRITERS["oracle_general_op_ns"].content(files.whole_files(len(operations)))
    rows = np.frombuffer(content, dtype=oracle_general.RECORD_OP_NS).copy()
    rows["op"] = operations
    return rows.tobytes()


def test_operations_read_or_write_or_are_counted(tmp_path: Path) -> None:
    run = oracle_general.import_oracle_general_op_ns
    path = write(tmp_path / "t", with_operations([*range(15), 99]))
    imported = run([path])
    reads = {"nop": 0, "get": 1, "gets": 2, "read": 12}
    assert imported.counts["requests"] == 14
    assert imported.counts["writes"] == 14 - len(reads)
    assert imported.unused == {"delete": 1, "operation 99": 1}
    assert losses(imported) == {"operations_not_named": 1}
    said = refused(run, write(tmp_path / "t", with_operations([9, 9])))
    assert said == "t: no request reads or writes (delete 2)"


def test_a_disk_has_commands_that_move_no_blocks(tmp_path: Path) -> None:
    rows = np.frombuffer(
        files.WRITERS["vscsi_2"].content(files.whole_files(8)), dtype=vscsi.RECORDS[2]
    ).copy()
    rows["command"] = [0x28, 0x2A, 0x88, 0x8A, 0x42, 0x35, 0x00, 0x77]
    imported = vscsi.import_vscsi([write(tmp_path / "t", rows.tobytes())])
    assert imported.requests.writes.tolist() == [False, True, False, True]
    assert imported.unused == {
        "unmap": 1, "synchronize cache": 1, "test unit ready": 1, "command 0x77": 1,
    }  # fmt: skip
    rows["time_us"][2] = 2**63
    assert "record 2: is more than 100 years" in refused(
        vscsi.import_vscsi, write(tmp_path / "t", rows.tobytes())
    )
    rows["time_us"][2] = rows["time_us"][1]
    rows["version"][3] = 0x0300
    assert refused(vscsi.import_vscsi, write(tmp_path / "t", rows.tobytes())).startswith(
        "t: record"
    )


def test_a_header_of_lcs_is_checked(tmp_path: Path) -> None:
    content = bytearray(files.WRITERS["lcs_3"].content(files.whole_files(20)))
    struct.pack_into("<q", content, 24, 25)
    imported = lcs.import_lcs([write(tmp_path / "t", bytes(content))])
    assert losses(imported) == {"missing_requests": 5}
    negative = content.copy()
    struct.pack_into("<q", negative, 8192 + 12, -7)
    assert refused(lcs.import_lcs, write(tmp_path / "t", bytes(negative))) == (
        "t: record 0: an object of -7 bytes"
    )
    struct.pack_into("<Q", content, 8, 9)
    said = refused(lcs.import_lcs, write(tmp_path / "t", bytes(content)))
    assert said.startswith("t: lcs: version 9: versions 1 to 8")
    struct.pack_into("<Q", content, 8184, 0)
    assert "does not end as it begins" in refused(
        lcs.import_lcs, write(tmp_path / "t", bytes(content))
    )
    assert "does not begin" in refused(lcs.import_lcs, write(tmp_path / "t", content[:99]))
    assert refused(lcs.import_lcs, write(tmp_path / "t", files.WRITERS["lcs_2"].content([]))) == (
        "t: holds no record"
    )


def test_a_shorter_header_of_lcs_says_the_unit_of_its_times(tmp_path: Path) -> None:
    content = bytearray(files.WRITERS["lcs_early"].content(files.whole_files(20)))
    seconds = lcs.import_lcs([write(tmp_path / "t", bytes(content))]).requests.time_ns
    struct.pack_into("<i", content, 124, 2)
    imported = lcs.import_lcs([write(tmp_path / "t", bytes(content))])
    assert (imported.requests.time_ns * 1000 == seconds).all()


@pytest.mark.parametrize("form", ["oracle_general", "oracle_general_op_ns", "oracle_sys_twr_ns"])
def test_records_are_recognised_by_what_they_say(form: str) -> None:
    content = files.WRITERS[form].content(files.whole_files(40))
    record = oracle_general.RECORDS[form]
    assert oracle_general.oracle_format("trace", content) == form
    assert oracle_general.oracle_format("trace", content[:-3]) == form
    size = record.itemsize
    backwards = content[5 * size :] + content[: 5 * size]
    assert oracle_general.oracle_format("trace", backwards) == ""
    assert oracle_general.oracle_format(f"a.{form.replace('_', '')}.bin", backwards) == form
    assert oracle_general.oracle_format("a.oracleGeneral.csv", b"time,obj\n1,2\n") == ""
    unknown = np.random.default_rng(1).integers(0, 256, 240 * size, dtype=np.uint8).tobytes()
    for other in (unknown, bytes(240 * size), b"\x17\x08Dtracing6\0" + bytes(99 * size)):
        assert oracle_general.oracle_format("trace", other) == ""
