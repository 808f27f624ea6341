"""Tables of text: what separates columns, what they hold, and what a guess leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.workload.formats import FORMATS, about, detect
from core.workload.requests.collector import ImportedRequests
from core.workload.requests.decimal_text import NO_NUMBER, parse_decimals
from core.workload.requests.delimited import import_csv, import_delimited
from core.workload.requests.delimited_formats import BY_NAME, DELIMITED
from core.workload.requests.table_options import Options, parse_columns, parse_delimiter
from core.workload.text import TraceError

pa = pytest.importorskip("pyarrow")


def write(folder: Path, text: str, name: str = "t.txt") -> Path:
    path = folder / name
    path.write_text(text, newline="")
    return path


def imported(folder: Path, text: str, **options: object) -> ImportedRequests:
    """Return what is read as the format that the text is recognised as, or as CSV with options."""
    path = write(folder, text)
    if options:
        return import_delimited([path], options=Options(**options))
    return detect(path).load_importer()([path])


def refused(folder: Path, text: str, **options: object) -> str:
    with pytest.raises(TraceError) as caught:
        imported(folder, text, **options)
    return str(caught.value).removeprefix(f"{folder}/")


def losses(what: ImportedRequests) -> dict[str, str]:
    return {loss.name: loss.warning for loss in what.losses}


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


def test_what_is_said_of_a_column_that_is_none_is_refused(tmp_path: Path) -> None:
    text = "1,a,0,4096,0\n2,b,0,4096,1\n"
    columns = parse_columns("time=1,file=2")
    for options, option in (
        ({"reads": ("0",)}, "--reads, --writes: no column is the op"),
        ({"offset_unit": 512}, "--offset-unit: no column is the offset"),
        ({"size_unit": 512}, "--size-unit: no column is the size"),
    ):
        assert option in refused(tmp_path, text, columns=columns, **options)
        headed = refused(tmp_path, "time,file\n1,a\n", **options)
        assert option in headed
    same = refused(tmp_path, text, columns=parse_columns("time=1,offset=3,size=3"))
    assert same == "--columns: offset and size are the same column"
    for word in ("²", "0", "6", "-1", "1.0", "9999999999"):
        said = refused(tmp_path, text, columns={"time": word, "file": "2"})
        assert said.startswith(("t.txt:1: no column", "t.txt:1: --columns: time="))
    twice = refused(tmp_path, "time,file,op,op\n1,a,R,W\n")
    assert "there are 2 columns op; say which by its number: --columns op=3" in twice


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("time,file,io_offset,io_size,op_name", "offset=io_offset,size=io_size,op=op_name"),
        ("time,file,size (KiB),x,y", "'size=size (KiB)'"),
        ("time,file,offset_in_sectors,x,y", "offset=offset_in_sectors"),
        ("time,file,page,pages,y", "offset=page,size=pages"),
        ("time,file,key_size,response_time,user_id", ""),
    ],
)
def test_no_column_that_may_say_more_is_left_out_in_silence(
    header: str, found: str, tmp_path: Path
) -> None:
    said = losses(imported(tmp_path, f"{header}\n1,a,8,8,write\n"))
    assert bool(found) == ("columns_left_out" in said)
    if found:
        assert f"did you mean --columns {found}" in said["columns_left_out"]


def test_a_command_that_is_suggested_reads_the_table(tmp_path: Path) -> None:
    text = "Time (us),block_id,io offset,LEN (B)\n5,a,8192,4096\n9,a,0,1\n"
    said = refused(tmp_path, text)
    option = said.partition("did you mean --columns '")[2].partition("'?")[0]
    assert option == "time=Time (us),file=block_id,offset=io offset,size=LEN (B)"
    what = imported(tmp_path, text, columns=parse_columns(option))
    assert what.requests.time_ns.tolist() == [0, 4000]
    assert what.requests.first_page.tolist() == [2, 0]
    assert "file=NAME" in refused(tmp_path, "timestamp,uuid\n1,a\n")
    assert "read from its text" in refused(tmp_path, "ts,pfn,event\n1,7,mm_page_alloc\n")


@pytest.mark.parametrize(
    ("name", "step_ns", "doubt"),
    [
        ("timeMs", 10**6, ""), ("time[ns]", 1, ""), ("timens", 1, ""), ("ts_usec", 1000, ""),
        ("op_time", 10**9, ""), ("time_min", 10**9, "time_min"), ("time (hours)", 10**9, "hours"),
    ],
)  # fmt: skip
def test_a_unit_in_a_name_is_taken_or_doubted(
    name: str, step_ns: int, doubt: str, tmp_path: Path
) -> None:
    what = imported(tmp_path, f"{name},file\n1,a\n2,a\n", columns={"time": name})
    assert what.requests.time_ns.tolist() == [0, step_ns]
    assert doubt in losses(what).get("doubtful_time_unit", "")
    assert bool(doubt) == bool(what.losses)


@pytest.mark.parametrize(
    ("column", "unit"), [("size_kb", 1024), ("pages", 4096), ("sectors", 512), ("block_size", 0)]
)
def test_sizes_in_a_column_of_other_units_are_doubted(
    column: str, unit: int, tmp_path: Path
) -> None:
    text = f"time,file,{column}\n1,a,600\n"
    said = losses(imported(tmp_path, text, columns={"size": column}))
    assert ("doubtful_size_unit" in said) == bool(unit)
    assert f"--size-unit {unit}" in said.get("doubtful_size_unit", "--size-unit 0")
    assert not imported(tmp_path, text, columns={"size": column}, size_unit=unit or 512).losses


def test_seconds_of_more_than_a_month_are_doubted_unless_they_are_dates(tmp_path: Path) -> None:
    for first, days, doubted in ((0, 30, False), (0, 32, True), (1_700_000_000, 300, False)):
        text = f"time,file\n{first},a\n{first + days * 86_400},a\n"
        assert ("doubtful_time_unit" in losses(imported(tmp_path, text))) == doubted


def test_the_vscsi_table_is_in_seconds_or_in_microseconds(tmp_path: Path) -> None:
    for first, step, unit in ((5633898, 10**9, "s"), (5633898368802, 1000, "us")):
        text = f"version,time,op,size,lbn\n1,{first},2a,512,8\n1,{first + 1},28,512,16\n"
        what = imported(tmp_path, text)
        assert what.requests.time_ns.tolist() == [0, step]
        assert what.read_as.endswith(f"time in {unit}")
        assert ("guessed_time_unit" in losses(what)) == (unit == "us")


def test_an_object_of_twitter_is_as_large_as_its_key_and_its_value(tmp_path: Path) -> None:
    what = imported(tmp_path, "0,k,17,4079,4,get,0\n1,k,17,4080,4,get,0\n2,k,17,0,4,get,0\n")
    assert what.requests.pages.tolist() == [1, 2, 1]
    assert not what.warnings
    assert "the key's and the value's size" in BY_NAME["twitter"].meaning


def test_dates_with_zones_are_exact(tmp_path: Path) -> None:
    text = (
        "time,file\n2026-01-02 03:04:05+0200,a\n2026-01-02T02:04:06.5+01:00,a\n"
        "2026-01-02T01:04:07Z,b\n"
    )
    assert imported(tmp_path, text).requests.time_ns.tolist() == [0, 15 * 10**8, 2 * 10**9]


def test_bytes_that_are_no_text_in_a_date_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"time,file\n2026-01-02 03:04:05,a\n2026-01-02 03:0\xff:05,a\n")
    with pytest.raises(TraceError, match=r"t\.csv:3: column time: .* is no date such as"):
        import_csv([path])


def test_rows_with_more_columns_than_others_are_read(tmp_path: Path) -> None:
    text = "0,8,512,W,0.5,Alpha/NT\n0,16,512,W,0.6,\r\n0,24,512,r,0.7\n"
    what = imported(tmp_path, text)
    assert what.requests.writes.tolist() == [True, True, False]
    assert what.requests.first_page.tolist() == [1, 2, 3]
    assert "t.txt:4: 2 columns, not 5" in refused(tmp_path, text + "0,8\n")


def test_requests_without_a_file_are_counted(tmp_path: Path) -> None:
    what = imported(tmp_path, "time,file,offset\n0,,0\n1,a,0\n2,,0\n")
    assert losses(what)["requests_without_file"].startswith("2 requests name no file")


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("0.1s,a,0", "take units out"), ('"0,5",a,0', "decimal commas"), ("1,a,4K", "take units"),
        ("03:04:05.678,a,0", "no date such as"), ("01/02/2026 03:04:05,a,0", "no date such as"),
    ],
)  # fmt: skip
def test_text_that_people_take_for_a_number_is_refused_with_what_to_do(
    cells: str, why: str, tmp_path: Path
) -> None:
    assert why in refused(tmp_path, f"time,file,size\n{cells}\n")


def test_lines_that_are_of_another_format_are_refused_with_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "1538323199,12910952,128,0,1063\n1538323199,6338688,8,1,1627\n")
    with pytest.raises(TraceError, match=r"one of alibaba .*; it looks like --format tencent"):
        import_delimited([path], BY_NAME["alibaba"])


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ("1 1 120\n2 2 64\n3 1 120\n", "time=1,file=2,size=3"),
        ("1 101 120 4 5 2\n2 102 64 4 5 2\n", "time=1,file=2,size=3"),
        ("1,15148.001,R,4096,512\n2,15148.002,W,8192,512\n", "time=2,file=1,offset=4,size=5,op=3"),
        ("0.5 W 1234 8 0\n0.6 R 1242 8 1\n", "time=1,offset=3,size=4,op=2"),
        ("7 11.5 http://a -\n8 11.6 http://b -\n9 11.7 http://a save\n", "time=2,file=3"),
    ],
)
def test_columns_without_a_header_are_suggested_by_what_they_look_like(
    rows: str, columns: str, tmp_path: Path
) -> None:
    said = refused(tmp_path, rows)
    assert f"such as --columns {columns}" in said
    assert len(said) < 300
    assert imported(tmp_path, rows, columns=parse_columns(columns)).counts["requests"] > 1


def test_lines_of_an_old_mac_are_recognised(tmp_path: Path) -> None:
    path = write(tmp_path, "time,file\r1,a\r2,b\r")
    assert detect(path).name == "csv"
    assert detect(path).load_importer()([path]).counts["requests"] == 2
