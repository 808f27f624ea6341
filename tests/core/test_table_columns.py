"""Columns of tables of text: what their names say, and what is refused or doubted of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tables_of_text import import_csv, imported, losses, refused, write

from core.workload.formats import detect
from core.workload.requests.delimited import import_delimited
from core.workload.requests.delimited_formats import BY_NAME
from core.workload.requests.table_options import parse_columns
from core.workload.text import TraceError

pa = pytest.importorskip("pyarrow")


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
    said = losses(imported(tmp_path, f"{header}\n1,a,8,8,x\n"))
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
        text = f"time,file\n{first}.0,a\n{first + days * 86_400}.5,a\n"
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


def test_whole_numbers_are_hardly_seconds_where_few_requests_come_in_one(tmp_path: Path) -> None:
    def doubted(times: list[str], name: str = "time", **options: object) -> bool:
        text = f"{name},file\n" + "".join(f"{time},a\n" for time in times)
        columns = {} if name == "time" else {"columns": {"time": name}}
        return "doubtful_time_unit" in losses(imported(tmp_path, text, **columns, **options))

    slow = [str(5 * number) for number in range(200)]
    assert doubted(slow)
    assert not doubted(slow[:100])  # too few to tell
    assert not doubted([f"{time}.0" for time in slow])
    assert not doubted([str(number // 2) for number in range(200)])
    assert doubted(["0", "86401"])
    assert not doubted(["0", "86400"])
    assert not doubted([str(1_700_000_000 + 5 * number) for number in range(200)])
    for said in ({"time_unit": "s"}, {"name": "time_s"}):
        assert not doubted(slow, **said)  # type: ignore[arg-type]


def test_times_beyond_what_seconds_can_be_name_the_option(tmp_path: Path) -> None:
    text = "time,file\n0,a\n9300000000,a\n"
    assert refused(tmp_path, text).endswith("taken as seconds; --time-unit ns if these are ns")
    assert refused(tmp_path, text, time_unit="s").endswith("292 years from the first time")


def test_what_is_suggested_names_every_column_and_the_units(tmp_path: Path) -> None:
    bio = "TIME(s),COMM,DISK,T,SECTOR,BYTES\n0.1,dd,vda,R,8,4096\n0.2,dd,vda,W,16,4096\n"
    option = "'time=TIME(s),file=DISK,offset=SECTOR,size=BYTES,op=T' --offset-unit 512?"
    assert refused(tmp_path, bio).endswith(f"did you mean --columns {option}")
    lba = refused(tmp_path, "time,disk,lba,sectors\n1,0,8,8\n")
    assert lba.endswith("file=disk,offset=lba,size=sectors --offset-unit 512 --size-unit 512?")
    bare = imported(
        tmp_path,
        "1.5,a,4096,512,R\n2.5,a,0,512,W\n",
        columns={"time": "1", "file": "2", "offset": "3"},
    )
    assert "size=4,op=5" in losses(bare)["columns_left_out"]
    assert "say which is: --columns time=.." in refused(tmp_path, "foo,bar,baz\n1,2,3\n")
