"""The same requests written as text in columns, in every format of that kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from request_files import Request

#: The first second of 2020: formats that count from 1970 are told by times of such a size.
EPOCH_S = 1_577_836_800

#: A format, and what is written of each request, by its number.
Row = Callable[[int, "Request"], str]


def table(row: Row, header: str = "") -> Callable[[Sequence[Request]], bytes]:
    """Return what writes a table: its header, if it has one, and a line a request."""

    def content(requests: Sequence[Request]) -> bytes:
        lines = [row(number, request) for number, request in enumerate(requests)]
        return "".join(f"{line}\n" for line in [header, *lines] if line).encode()

    return content


def letter(request: Request) -> str:
    return "W" if request.write else "R"


def msr(number: int, request: Request) -> str:
    begin = 128_166_372_003_061_629 + request.time_s * 10**7
    kind = "Write" if request.write else "Read"
    return f"{begin},usr,{request.file},{kind},{request.offset},{request.size},41"


def plain(separator: str) -> Row:
    def row(number: int, request: Request) -> str:
        op = "put" if request.write else "GET"
        cells = [f"{request.time_s}.0", request.file, request.offset, request.size, op]
        return separator.join(map(str, cells))

    return row


def alibaba(number: int, request: Request) -> str:
    time_us = (EPOCH_S + request.time_s) * 10**6
    return f"{request.file},{letter(request)},{request.offset},{request.size},{time_us}"


def tencent(number: int, request: Request) -> str:
    where = f"{request.offset // 512},{request.size // 512}"
    return f"{EPOCH_S + request.time_s},{where},{int(request.write)},{request.file}"


def systor17(number: int, request: Request) -> str:
    begin = f"{EPOCH_S + request.time_s}.000000000,0.0012"
    return f"{begin},{letter(request)},{request.file},{request.offset},{request.size}"


def spc(number: int, request: Request) -> str:
    where = f"{request.file},{request.offset // 512},{request.size}"
    return f"{where},{letter(request).lower()},{request.time_s}.000000"


def fiu(number: int, request: Request) -> str:
    where = f"{request.offset // 512} {request.size // 512} {letter(request)}"
    return f"{request.time_s * 10**9} 5183 smbd {where} 8 {request.file} {number:032x}"


def cachelib(number: int, request: Request) -> str:
    op = "SET" if request.write else "GET_LEASE"
    return f"{request.time_s},{request.file},40,{op},1,{request.size}"


def cachelib_block(number: int, request: Request) -> str:
    op = "putChunk.Permanent" if request.write else "getChunkData.Permanent"
    return f"{request.time_s},b-{request.file},{request.size},{request.offset},{op},1"


def twitter(number: int, request: Request) -> str:
    op = "set" if request.write else "gets"
    return f"{request.time_s},q:{request.file},17,{request.size - 17},4,{op},0"


def libcachesim_csv(number: int, request: Request) -> str:
    return f"{request.time_s},{request.file},{request.size},{letter(request)}"


def vscsi_csv(number: int, request: Request) -> str:
    op = "2a" if request.write else "28"
    return f"1,{request.time_s},{op},{request.size},{request.offset // 512}"


def arc(number: int, request: Request) -> str:
    return f"{request.offset // 512} {request.size // 512} 0 {number}"


def address(number: int, request: Request) -> str:
    return f"{'s' if request.write else 'l'} {request.offset:#x} 1"


SYSTOR = "Timestamp,Response,IOType,LUN,Offset,Size"
MSR = "Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime"

#: (format, how a file's name ends, what writes it, what its requests can only be) by form.
TABLES: dict[str, tuple[str, str, Callable[[Sequence[Request]], bytes], tuple[str, ...]]] = {
    "csv_tabs": ("csv", ".tsv", table(plain("\t"), "time\tfile\toffset\tsize\top"), ()),
    "csv_semicolons": ("csv", ".csv", table(plain(";"), "time;file;offset;size;op"), ()),
    "csv_spaces": ("csv", ".txt", table(plain("  "), "time  file  offset  size  op"), ()),
    "msr": ("msr", ".csv", table(msr), ()),
    "msr_header": ("msr", ".csv", table(msr, MSR), ()),
    "alibaba": ("alibaba", ".csv", table(alibaba), ()),
    "tencent": ("tencent", ".csv", table(tencent), ()),
    "systor17": ("systor17", ".csv", table(systor17, SYSTOR), ()),
    "systor17_rows": ("systor17", ".csv", table(systor17), ()),
    "spc": ("spc", ".spc", table(spc), ()),
    "fiu": ("fiu", ".blkparse", table(fiu), ()),
    "cachelib": (
        "cachelib", ".csv", table(cachelib, "op_time,key,key_size,op,op_count,size"), ("objects",),
    ),
    "cachelib_block": (
        "cachelib_block", ".csv",
        table(cachelib_block, "op_time,block_id,io_size,io_offset,op_name,op_count"), (),
    ),
    "twitter": ("twitter", "", table(twitter), ("objects",)),
    "libcachesim_csv": (
        "libcachesim_csv", ".csv", table(libcachesim_csv, "time,obj_id,obj_size,op"), ("objects",),
    ),
    "vscsi_csv": (
        "vscsi_csv", ".csv", table(vscsi_csv, "version,time,op,size,lbn"), ("one file",),
    ),
    "arc": ("arc", ".lis", table(arc), ("one file", "reads", "one time")),
    "lirs": (
        "lirs", ".trc", table(lambda number, request: str(request.offset // 4096), "*"),
        ("one file", "reads", "one time", "pages"),
    ),
    "libcachesim_txt": (
        "libcachesim_txt", ".txt", table(lambda number, request: str(request.file)),
        ("objects", "reads", "one time", "pages"),
    ),
    "address": ("address", ".trace", table(address), ("one file", "one time", "pages")),
}  # fmt: skip
