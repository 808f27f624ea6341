"""Tables of text: what separates columns, what they hold, and what a guess leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tables_of_text import import_csv, imported, losses, refused, write

from core.workload.formats import FORMATS, about, detect
from core.workload.requests.decimal_text import NO_NUMBER, parse_decimals
from core.workload.requests.delimited import import_delimited
from core.workload.requests.delimited_formats import BY_NAME, DELIMITED
from core.workload.requests.table_options import parse_columns, parse_delimiter
from core.workload.text import TraceError

pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize("form", DELIMITED, ids=lambda form: form.name)
def test_the_example_of_every_table_is_read_as_what_it_is_an_example_of(
    form: object, tmp_path: Path
) -> None:
    path = write(tmp_path, form.example)
    row = detect(path)
    assert row.name == form.name
    assert {plain for plain, _ in form.places.items()} <= {*BY_NAME["csv"].places, "count"}
    what = row.load_importer()([path])
    used = sum(not line.startswith("*") for line in form.example.splitlines())
    skipped = sum(what.unused.values()) - what.unused.get("lines of *", 0)
    repeated = {"cachelib": 2, "cachelib_block": 1}.get(form.name, 0)
    headed = int(bool(form.told_by) and not form.matches(form.example.splitlines()[0].encode()))
    headed = headed or int(form.name == "csv")
    assert what.counts["requests"] == used - skipped - headed + repeated


def test_every_format_says_what_it_holds_and_how_it_is_told() -> None:
    for row in FORMATS:
        told = about(row)
        assert min(len(told.title), len(told.columns), len(told.recognised)) > 10, row.name


CASES = {
    "an epoch in microseconds": (
        "device_id,opcode,offset,length,timestamp\n4,W,8192,16384,1577808144360767\n"
        "7,R,0,4096,1577808144360891\n",
        [0, 124_000], [True, False], {},
    ),
    "GET and SET": (
        "op_time,key,key_size,op,op_count,size\n1674000000,aa11,40,GET,1,4096\n"
        "1674000001,aa12,40,SET,1,8192\n",
        [0, 10**9], [False, True], {},
    ),
    "a blank op": (
        "Timestamp,Response,IOType,LUN,Offset,Size\n1456135200.013118000,0.001,W,0,4096,4096\n"
        "1456135202.013118000,0.001,,0,4096,4096\n",
        [0], [True], {"op (blank)": 1},
    ),
    "no header": (
        "4,W,8192,16384,1577808144360767\n7,R,0,4096,1577808144360891\n",
        [0, 124_000], [True, False], {},
    ),
    "MSR with a header": (
        "Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime\n"
        "128166372010810581,h,0,Write,8192,4096,54086\n"
        "128166372011606862,h,1,Read,0,4096,39055\n",
        [0, 79_628_100], [True, False], {},
    ),
    "an index of pandas": (
        ",time,file,offset,size,op\n0,1,a,0,4096,R\n1,2,b,4096,4096,W\n",
        [0, 10**9], [False, True], {},
    ),
    "tabs": ("time\tfile\tsize\n1\ta\t4096\n2\tb\t8192\n", [0, 10**9], [False, False], {}),
    "semicolons and CRLF": (
        "time;file;size\r\n1.5;a;4096\r\n2;b;8192\r\n", [0, 5 * 10**8], [False, False], {},
    ),
    "bars": ("time|file\n1|a,b\n2|c\n", [0, 10**9], [False, False], {}),
    "spaces in columns": (
        "  time  file  op\n  1.0   a     R\n\n 10.0   b     ws \n",
        [0, 9 * 10**9], [False, True], {},
    ),
    "quoted names with commas": (
        '"time","file","op"\n"1","a,b","r"\n"2","a,b","w"\n', [0, 10**9], [False, True], {},
    ),
    "a header that is a comment": (
        "# time, object, size\n1, 2, 3\n# and so on\n4, 5, 6\n",
        [0, 3 * 10**9], [False, False], {"lines of #": 2},
    ),
    "headers again": (
        "time,file\n1,a\ntime,file\n2,a\n", [0, 10**9], [False, False], {"headers again": 1},
    ),
    "dates": (
        "time,file\n2026-01-02 03:04:05.678,a\n2026-01-02T03:04:06Z,a\n",
        [0, 322_000_000], [False, False], {},
    ),
    "a unit in the header": ("time (ms),file\n5,a\n7,a\n", None, None, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_table_is_read_as_people_write_it(case: str, tmp_path: Path) -> None:
    text, time_ns, writes, unused = CASES[case]
    if time_ns is None:
        assert "did you mean --columns 'time=time (ms)'?" in refused(tmp_path, text)
        said = imported(tmp_path, text, columns={"time": "time (ms)"})
        assert said.requests.time_ns.tolist() == [0, 2 * 10**6]
        return
    what = imported(tmp_path, text)
    assert what.requests.time_ns.tolist() == time_ns
    assert what.requests.writes.tolist() == writes
    assert what.unused == unused
    assert what.counts["files"] == len(set(what.requests.inode.tolist()))


def test_a_disk_of_a_host_is_a_file_with_a_header_too(tmp_path: Path) -> None:
    what = imported(tmp_path, CASES["MSR with a header"][0])
    assert what.counts["files"] == 2
    assert what.requests.first_page.tolist() == [2, 0]


def test_columns_by_number_need_no_header(tmp_path: Path) -> None:
    text = "7.5,x,8192,W\n8.5,y,0,R\n"
    columns = parse_columns("time=1,file=2,offset=3,op=4")
    what = imported(tmp_path, text, columns=columns)
    assert what.requests.first_page.tolist() == [2, 0]
    assert what.requests.writes.tolist() == [True, False]
    only = imported(tmp_path, text, columns=parse_columns("time=1,offset=3"))
    assert only.counts["files"] == 1
    assert only.requests.first_page.tolist() == [2, 0]
    headed = imported(tmp_path, "when,file\n1,a\n", columns=parse_columns("time=1"))
    assert headed.counts["requests"] == 1
    said = refused(tmp_path, text, columns=parse_columns("time=9,file=2"))
    assert said.startswith("t.txt:1: --columns: time=9 is none of 1 to 4; the file's columns, ")
    assert "says no time" in refused(tmp_path, text, columns=parse_columns("file=2"))
    assert "neither file nor offset" in refused(tmp_path, text, columns={"time": "1"})


def test_rows_without_a_header_are_shown_with_what_would_read_them(tmp_path: Path) -> None:
    path = write(tmp_path, CASES["no header"][0])
    with pytest.raises(TraceError) as caught:
        import_csv([path])
    said = str(caught.value)
    assert "has no header; its columns, separated by commas: 1 '4', 2 'W', 3 '8192'" in said
    assert "--columns time=5,file=1,offset=3,size=4,op=2; formats that come near" in said
    assert "--format alibaba (device_id,opcode,offset,length,timestamp)" in said
    columns = parse_columns("time=5,file=1,offset=3,size=4,op=2")
    assert import_csv([path], columns).requests.time_ns.tolist() == [0, 124_000]


@pytest.mark.parametrize("text", ["1,2,3\n", "a;1;x\nb;2;y\n", "0.5 17 4096\n1.5 18 4096\n"])
def test_a_table_is_never_asked_whether_it_is_a_capture(text: str, tmp_path: Path) -> None:
    said = refused(tmp_path, text)
    assert "has no header" in said
    assert "ftrace" not in said


@pytest.mark.parametrize(
    ("first", "unit"),
    [(1577808144, ""), (1577808144360, "ms"), (1577808144360767, "us"),
     (1577808144360767123, "ns"), (128166372003061629, "100ns"), (5, ""), (10**13, "")],
)  # fmt: skip
def test_the_unit_of_a_date_is_guessed_and_the_guess_stays_with_the_table(
    first: int, unit: str, tmp_path: Path
) -> None:
    text = f"time,file\n{first},a\n{first + 1},a\n"
    what = imported(tmp_path, text)
    step = {"ms": 10**6, "us": 1000, "ns": 1, "100ns": 100}.get(unit, 10**9)
    assert what.requests.time_ns.tolist() == [0, step]
    assert ("guessed_time_unit" in losses(what)) == bool(unit)
    assert ("doubtful_time_unit" in losses(what)) == (first == 10**13)
    said = imported(tmp_path, text, time_unit="ms")
    assert said.requests.time_ns.tolist() == [0, 10**6]
    assert not said.losses


def test_times_that_span_years_as_seconds_are_doubted(tmp_path: Path) -> None:
    what = imported(tmp_path, "time,file\n0,a\n124000000,b\n")
    assert "they span 1,435 days; --time-unit" in losses(what)["doubtful_time_unit"]
    assert not imported(tmp_path, "time,file\n0,a\n124000000,b\n", time_unit="s").losses


def test_sectors_are_doubted_unless_the_unit_is_said(tmp_path: Path) -> None:
    text = "time,lba,size\n1,16,8\n2,32,8\n"
    columns = {"offset": "lba"}
    what = imported(tmp_path, text, columns=columns)
    assert what.requests.first_page.tolist() == [0, 0]
    assert set(losses(what)) == {"doubtful_offset_unit", "doubtful_size_unit"}
    said = imported(tmp_path, text, columns=columns, offset_unit=512, size_unit=512)
    assert said.requests.first_page.tolist() == [2, 4]
    assert said.requests.pages.tolist() == [1, 1]
    assert not said.losses
    far = "time,offset\n1,9223372036854775807\n"
    assert "times 512 bytes is too large" in refused(tmp_path, far, offset_unit=512)


def test_words_for_reads_and_writes_are_the_users(tmp_path: Path) -> None:
    text = "time,file,op\n1,a,0\n2,a,1\n3,a,1\n4,a,TRIM\n5,a,\n"
    said = refused(tmp_path, text)
    assert said.startswith(
        "t.txt:2: no op is a word for a read or a write: '1' 2, '0' 1, 'TRIM' 1, '(blank)' 1"
    )
    what = imported(tmp_path, text, reads=("1",), writes=("0",))
    assert what.requests.writes.tolist() == [True, False, False]
    assert what.unused == {"op TRIM": 1, "op (blank)": 1}
    assert losses(what)["skipped_operations"].startswith("2 requests neither read nor write")
    turned = imported(tmp_path, "time,file,op\n1,a,R\n2,a,W\n", reads=("w",), writes=("r",))
    assert turned.requests.writes.tolist() == [True, False]


def test_what_a_skipped_request_lacks_does_not_matter_and_lines_are_still_told(
    tmp_path: Path,
) -> None:
    text = "time,file,size,op\n1,a,1,R\n2,a,,DELETE\n3,a,x,W\n"
    assert refused(tmp_path, text) == "t.txt:4: column size: 'x' is no number"
    assert imported(tmp_path, text.replace("x", "9")).counts["requests"] == 2


def test_many_odd_words_are_counted_together(tmp_path: Path) -> None:
    rows = "".join(f"{at},a,word{at}\n" for at in range(40))
    what = imported(tmp_path, "time,file,op\n0,a,R\n" + rows)
    assert len(what.unused) == 13
    assert sum(what.unused.values()) == 40


def test_an_op_is_repeated_as_often_as_its_count_says(tmp_path: Path) -> None:
    head = "op_time,key,key_size,op,op_count,size\n"
    what = imported(tmp_path, head + "5,k,1,GET,3,9000\n6,k,1,SET,0,1\n7,k,1,GET,1,1\n")
    assert what.requests.pages.tolist() == [3, 3, 3, 1]
    assert what.unused == {"requests that are repeated 0 times": 1}
    far = refused(tmp_path, head + "5,k,1,GET,1000001,9000\n")
    assert far == "t.txt:2: column op_count: '1000001' is more than 1,000,000 times"


def test_columns_that_may_say_more_are_named(tmp_path: Path) -> None:
    what = imported(tmp_path, "time,file,length,opcode\n1,a,8192,W\n")
    assert "did you mean --columns size=length,op=opcode?" in losses(what)["columns_left_out"]
    assert not losses(imported(tmp_path, "time,file,temperature\n1,a,8192\n"))


def test_a_number_a_line_is_an_object_unless_a_mark_or_the_name_makes_it_a_block(
    tmp_path: Path,
) -> None:
    for name, text, format_name in (
        ("t.txt", "7\n8\n", "libcachesim_txt"),
        ("t.trc", "7\n8\n", "lirs"),
        ("t.txt", "7\n*\n8\n", "lirs"),
    ):
        assert detect(write(tmp_path, text, name)).name == format_name
    assert imported(tmp_path, "7\n8\n").counts["files"] == 2
    assert imported(tmp_path, "*\n7\n8\n").requests.first_page.tolist() == [7, 8]
    assert refused(tmp_path, "7\n8\nx\n") == "t.txt:3: column object: 'x' is no number"
    assert "requests_without_time" in losses(imported(tmp_path, "7\n8\n"))


def test_a_part_without_a_header_goes_on_as_the_one_before(tmp_path: Path) -> None:
    parts = [
        write(tmp_path, "time,file\n1,a\n", "1"),
        write(tmp_path, "2,b\n3,a\n", "2"),
        write(tmp_path, "file,time\nb,4\n", "3"),
    ]
    what = import_csv(parts)
    assert what.requests.inode.tolist() == [0, 1, 0, 1]
    assert what.counts["lines"] == 6


def test_a_format_that_was_asked_for_refuses_other_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "1,2,3\n")
    with pytest.raises(TraceError, match=r"t\.txt:1: 3 columns, and tencent has 5 \(Timestamp"):
        import_delimited([path], BY_NAME["tencent"])
    path = write(tmp_path, "time,key\n1,2\n")
    with pytest.raises(TraceError, match="columns time, key are not those of cachelib: key, op"):
        import_delimited([path], BY_NAME["cachelib"])


def test_the_line_of_a_fault_is_right_below_comments_and_blanks(tmp_path: Path) -> None:
    text = "# made by hand\n\ntime,file\n1,a\n   \n# more\ntime,file\nx,a\n"
    assert refused(tmp_path, text) == "t.txt:8: column time: 'x' is no number"
    assert refused(tmp_path, "time,file\n1,a\n2,b\r3\n").startswith("t.txt:3: a carriage return")
    dates = "time,file\n2026-01-02 03:04:05,a\nyesterday,a\n"
    assert "t.txt:3: column time: 'yesterday' is no date" in refused(tmp_path, dates)


def test_hexadecimal_numbers_are_exact() -> None:
    whole, part, row, _ = parse_decimals(pa.array(["0x1fffff50", "0Xa", "10", "0"]), 3)
    assert (whole.tolist(), part.tolist(), row) == ([0x1FFFFF50, 10, 10, 0], [0] * 4, -1)
    for word in ("0x", "0xg", "1x2", "0x" + "f" * 16):
        assert parse_decimals(pa.array(["1", word]), 3)[2:] == (1, NO_NUMBER)


def test_a_delimiter_is_a_sign_or_its_name(tmp_path: Path) -> None:
    assert [parse_delimiter(word) for word in ("tab", "\t", ";", "bar")] == ["\t", "\t", ";", "|"]
    with pytest.raises(TraceError, match="is none of comma, tab"):
        parse_delimiter("x")
    what = imported(tmp_path, "time,x;file\n1;a\n", columns={"time": "time,x"}, delimiter=";")
    assert what.counts["requests"] == 1
