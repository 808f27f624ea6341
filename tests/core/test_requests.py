"""Requests of other formats: their lines, their pages, and the textbook cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import request_files as files
from hypothesis import given
from hypothesis import strategies as st
from tables_of_text import import_csv

from core.accesses import LOOKUP, WRITE, Accesses, check_accesses
from core.backend import replay
from core.lane import MISSED
from core.machine import Machine
from core.policy import Policy
from core.workload.requests.blkparse import import_blkparse
from core.workload.requests.collector import FileNumbers, TextKeys
from core.workload.requests.decimal_text import NEGATIVE, NO_NUMBER, TOO_LARGE, parse_decimals
from core.workload.requests.delimited import import_delimited
from core.workload.requests.delimited_formats import BY_NAME
from core.workload.requests.fio import import_fio
from core.workload.requests.oracle_general import import_oracle_general
from core.workload.requests.requests import Requests, accesses_of, plain_events
from core.workload.requests.table_options import parse_columns
from core.workload.text import TraceError

PEERS = {"fifo": "FIFO", "lru": "LRU", "clock": "Clock", "sieve": "Sieve"}


def as_requests(runs: list[tuple[int, int]]) -> Requests:
    first, pages = np.array(runs, dtype=np.uint32).reshape(-1, 2).T.copy()
    steps = np.arange(first.size)
    return Requests(steps, steps.astype(np.uint32), first, pages, steps % 2 == 1, "runs")


def pages_of(accesses: Accesses) -> list[tuple[int, int]]:
    rows = zip(
        accesses.inode.tolist(), accesses.index.tolist(), accesses.order.tolist(), strict=True
    )
    return [(inode, page) for inode, at, order in rows for page in range(at, at + (1 << order))]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 3000), st.integers(1, 2000)), max_size=5))
def test_runs_cover_exactly_the_pages_in_order(runs: list[tuple[int, int]]) -> None:
    requests = as_requests(runs)
    accesses = accesses_of(requests, 4096)
    check_accesses(accesses, "runs")
    wanted = [(i, page) for i, (at, n) in enumerate(runs) for page in range(at, at + n)]
    assert pages_of(accesses) == wanted
    assert set(accesses.op[accesses.inode % 2 == 1].tolist()) <= {WRITE}
    assert set(accesses.op[accesses.inode % 2 == 0].tolist()) <= {LOOKUP}
    events = plain_events(requests, 4096, 1 << 16)
    assert list(zip(events.inode[::2].tolist(), events.index[::2].tolist(), strict=True)) == wanted
    assert (events.index[::2] == events.index[1::2]).all()
    assert events.op.tolist() == [1, 0] * len(wanted)


def test_a_run_is_as_long_as_its_alignment_allows() -> None:
    accesses = accesses_of(as_requests([(0, 1024), (3, 14), (512, 511)]), 4096)
    orders = accesses.order.tolist()
    assert orders == [9, 9, 0, 2, 3, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert (accesses.data_pages, accesses.free_pages) == (0, 0)


def test_a_plain_cache_trace_has_the_misses_of_libcachesim(tmp_path: Path) -> None:
    lcs = pytest.importorskip("libcachesim")
    path = files.write(tmp_path, "oracle_general", files.whole_files(1500, files=300))
    requests = import_oracle_general([path], ignore_size=True).requests
    for slots in (10, 60):
        events = plain_events(requests, 4096, 32 * slots)
        batch = [Policy(eviction=name) for name in PEERS]
        outcomes = replay(events, Machine(4096, 32 * slots), batch)
        for name, missed in zip(PEERS, outcomes.tallies[:, MISSED].tolist(), strict=True):
            reader = lcs.TraceReader(
                str(path),
                lcs.TraceType.ORACLE_GENERAL_TRACE,
                lcs.ReaderInitParam(ignore_obj_size=True),
            )
            ratio, _ = getattr(lcs, PEERS[name])(slots).process_trace(reader)
            assert missed == round(ratio * requests.inode.size), name


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9)), max_size=9))
def test_files_are_numbered_by_first_appearance(parts: list[list[int]]) -> None:
    numbers, known = FileNumbers(), dict[int, int]()
    numbers.number(np.empty(0, dtype=np.int64))
    for part in parts:
        wanted = [known.setdefault(key, len(known)) for key in part]
        assert numbers.number(np.array(part, dtype=np.int64)).tolist() == wanted
    assert numbers.count == len(known)


def test_numbers_of_files_outgrow_their_table() -> None:
    numbers = FileNumbers()
    keys = np.arange(5000, dtype=np.int64) * 4096
    for part in (keys[:100], keys[:3000], keys, keys[::-1]):
        assert (numbers.number(part) == part // 4096).all()


def test_names_have_equal_keys_when_their_text_is_equal() -> None:
    names = ["7", "07", "a", "7", "", "18446744073709551615", "a", "0", "-1"]
    keys = TextKeys().keys(pa.array(names)).tolist()
    assert keys[0] == keys[3] == 7
    assert len(set(keys)) == len(set(names))


def test_decimals_are_exact() -> None:
    text = ["1700000000.123456789", " 5 ", "1.2e-05", "0.5", "7.", "9223372036854775807", "+1e3"]
    whole, part, row, _ = parse_decimals(pa.array(["x", *text])[1:], 9)
    assert row == -1
    assert whole.tolist() == [1_700_000_000, 5, 0, 0, 7, 2**63 - 1, 1000]
    assert part.tolist() == [123_456_789, 0, 12_000, 500_000_000, 0, 0, 0]
    for word, fault in (
        ("-1", NEGATIVE), ("", NO_NUMBER), (".", NO_NUMBER), ("1 2", NO_NUMBER), ("nan", NO_NUMBER),
        ("inf", NO_NUMBER), ("9223372036854775808", TOO_LARGE), ("é", NO_NUMBER),
    ):  # fmt: skip
        assert parse_decimals(pa.array(["1", word]), 3)[2:] == (1, fault), word


def write(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


def refused(run: object, path: Path, **options: object) -> str:
    with pytest.raises(TraceError) as caught:
        run([path], **options)
    return str(caught.value).removeprefix(f"{path.parent}/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,file\n1,a\n\n1x,a\n", "t:4: column time: '1x' is no number"),
        ("time,file,size\n1,a,4\n2,a,-4\n", "t:3: column size: '-4' is negative"),
        ("time,file,size\n1,a,4.5\n", "t:2: column size: '4.5' is no whole number"),
        ("time,file,offset\n1,a,\n", "t:2: column offset: '' is no number"),
        (
            "time,file,op\n1,a,trim\n1,a,T\n",
            "t:2: no op is a word for a read or a write: 'trim' 1, 'T' 1",
        ),
        ("time,file\n1,a\n2\n", "t:3: 1 columns, not 2: '2'"),
        ("\ntime,name\n1,a\n", "t:2: no column file (for file) in time, name"),
        ("Time,file\n1,a\n", "did you mean --columns time=Time?"),
        ("time,file,time\n1,a,1\n", "t:1: there are 2 columns time"),
        ("time,file\n", "t: holds no request"),
        ("\n\n", "t: holds no header"),
        ("time,file\rsize\n1,a\n", "t:1: a carriage return within the line"),
        ('time,file\n1,a\n\n2,"b\n3,c\n4,"d"\n', "t:4: a quote is not closed in its line"),
        ("time,file\n1,a\n9999999999999,a\n", "t:3: column time: '9999999999999' is more than 292"),
        ("time,file,offset\n1,a,17592186040320\n", "t:2: 1 bytes at 17592186040320 reach"),
        ("time,file,size\n1,a,9223372036854775807\n", "reach beyond 4294967295 pages"),
    ],
)
def test_what_is_wrong_with_a_csv_is_told_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in refused(import_csv, write(tmp_path / "t", text))


def test_a_row_that_is_no_utf_8_is_told_with_its_line_too(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"time,file\n1,caf\xe9\n2,caf\xe9,3\n")
    assert refused(import_csv, path) == "t:3: 3 columns, not 2: '2,caf\\\\xe9,3'"


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    text = "ts,x,path,len\n1500.5,,/a,5000\n1501.75,,9,1\n1500.25,,/a,0\n"
    path = write(tmp_path / "t", "\ufeff" + text)
    columns = parse_columns("time=ts, file=path,size=len")
    imported = import_csv([path], columns, "ms")
    assert imported.requests.time_ns.tolist() == [0, 250_000, 1_500_000]
    assert imported.requests.inode.tolist() == [0, 0, 1]
    assert imported.requests.pages.tolist() == [1, 2, 1]
    assert [warning.split(" requests")[0] for warning in imported.warnings] == ["1", "1"]
    assert refused(import_csv, path).endswith("did you mean --columns time=ts,file=path,size=len?")
    said = refused(import_csv, path, columns={"time": "tss", "file": "path"})
    assert said.endswith("did you mean --columns time=ts,file=path,size=len?")
    for text, said in (
        ("time", "not of the form"),
        ("tme=a", "did you mean time?"),
        ("time=a,time=b", "twice"),
    ):
        with pytest.raises(TraceError, match=said):
            parse_columns(text)


def test_an_optional_column_that_is_nearly_there_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path / "t", "time,file,Size\n1,a,8192\n")
    imported = import_csv([path])
    assert imported.requests.pages.tolist() == [1]
    (loss,) = imported.losses
    assert loss.name == "columns_left_out"
    assert "did you mean --columns size=Size?" in loss.where


def test_lines_are_counted_over_chunks_and_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.workload.text.CHUNK_BYTES", 64)
    rows = [f"{number},{number % 7},{number * 4096}" for number in range(99)]
    good = write(tmp_path / "good", "\n".join(["time,file,offset", *rows]))
    parts = import_csv([good, write(tmp_path / "more", "file,time\n3,99\n")])
    assert parts.requests.first_page.tolist() == [*range(99), 0]
    assert parts.requests.inode.tolist() == [*(number % 7 for number in range(99)), 3]
    bad = write(tmp_path / "bad", "\n".join(["time,file,offset", *rows, "99,1,x"]))
    assert "bad:101: column offset: 'x'" in refused(import_csv, bad)
    records = files.oracle_general(files.whole_files(50))
    path = tmp_path / "t.oracleGeneral"
    path.write_bytes(records[24:] + records[:24])
    assert "record 49: time goes back from" in refused(import_oracle_general, path)
    path.write_bytes(records)
    assert import_oracle_general([path]).counts["requests"] == 50


def test_a_damaged_oracle_general_is_told_by_its_record(tmp_path: Path) -> None:
    records = files.oracle_general(files.whole_files(50))
    path = tmp_path / "t.oracleGeneral"
    path.write_bytes(records[:-5])
    assert refused(import_oracle_general, path).endswith("record 49: cut off: 19 bytes of 24")
    path.write_bytes(b"")
    assert refused(import_oracle_general, path).endswith("is empty")
    path.write_bytes(files.packed(b"", ".zst"))
    assert refused(import_oracle_general, path).endswith("holds no record")
    path.write_bytes(files.packed(records, ".zst")[:-20])
    assert "cut off or damaged" in refused(import_oracle_general, path)


def test_an_object_has_the_pages_of_its_size(tmp_path: Path) -> None:
    sizes = [0, 1, 4096, 4097, 2**32 - 1]
    requests = [files.Request(1, 5, 0, size, False) for size in sizes]
    path = files.write(tmp_path, "oracle_general", requests)
    imported = import_oracle_general([path])
    assert imported.requests.pages.tolist() == [1, 1, 1, 2, 2**20]
    assert imported.warnings == ["1 requests of no bytes are one page each"]
    assert import_oracle_general([path], ignore_size=True).requests.pages.tolist() == [1] * 5


def test_lines_of_blkparse_that_ask_for_no_page_are_counted(tmp_path: Path) -> None:
    lines = (
        "8,0 3 1 0.000000000 697 Q W 8 + 9 [a b]\n"
        "8,0 3 2 0.000001000 697 Q D 8 + 8 [a]\n"
        "8,0 3 3 0.000001000 697 Q FWS [a]\n"
        "8,0 3 3 0.000001000 697 Q FWS 0 + 0 [a]\n"
        "8,0 3 4 0.000001000 697 Q N 0 + 8 [a]\n"
        "8,0 3 5 0.000001000 697 C RA 8 + 8 [0]\n"
        "8,16 1 1 0.000000500 697 Q RA 7 + 2 [a]\n"
        "CPU0 (8,0):\n\n"
    )
    imported = import_blkparse([write(tmp_path / "t", lines)])
    assert imported.unused == {
        "action C": 1, "discards": 1, "flushes": 2, "neither reads nor writes": 1,
        "lines around the requests": 1,
    }  # fmt: skip
    requests = imported.requests
    assert requests.time_ns.tolist() == [0, 500]
    assert requests.writes.tolist() == [True, False]
    assert requests.first_page.tolist() == [1, 0]
    assert requests.pages.tolist() == [2, 2]
    bad = write(tmp_path / "bad", "".join(lines.splitlines(keepends=True)[1:6]))
    assert "bad:1: '8,0 3 2 0.000001000 697 Q D 8 + 8 [a]': no line" in refused(
        import_blkparse, bad
    )


def test_lines_of_fio_that_ask_for_no_page_are_counted(tmp_path: Path) -> None:
    text = "fio version 2 iolog\n/a add\n/a open\n/a wait 90\n/a wait 10 0\n"
    text += "/b write 0 1\n/a sync 0 0\n"
    imported = import_fio(
        [write(tmp_path / "t", text + "/a read 0 0\n???\n/a wait 7\n/a read 4096 9\n")]
    )
    assert imported.unused == {
        "add": 1, "open": 1, "sync": 1, "requests of no bytes": 1, "lines of another form": 1,
    }  # fmt: skip
    assert imported.requests.time_ns.tolist() == [0, 7000]
    assert imported.requests.inode.tolist() == [0, 1]
    assert "t:2: '/a add': no line" in refused(import_fio, write(tmp_path / "t", text[:35]))
    assert "t: no line" in refused(import_fio, write(tmp_path / "t", text[:20]))
    path = write(tmp_path / "t", "fio version 4 iolog\n")
    assert "t:1: 'fio version 4 iolog' is not" in refused(import_fio, path)


def test_times_that_go_back_are_sorted_and_counted(tmp_path: Path) -> None:
    requests = [files.Request(time_s, time_s, 0, 512, False) for time_s in (5, 3, 5, 4, 9)]
    imported = import_delimited([files.write(tmp_path, "msr", requests)], BY_NAME["msr"])
    assert (imported.requests.time_ns // 10**9).tolist() == [0, 1, 2, 2, 6]
    assert imported.requests.inode.tolist() == [1, 2, 0, 0, 3]
    assert imported.warnings == ["2 requests came after later ones; sorted by time"]
