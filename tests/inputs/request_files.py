"""The same requests written in every format, plain and compressed."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from request_records import (
    lcs,
    oracle_general,
    oracle_general_op_ns,
    oracle_sys_twr_ns,
    vscsi,
)
from request_tables import TABLES


class Request(NamedTuple):
    time_s: int
    file: int
    offset: int
    size: int
    write: bool


def csv(requests: Sequence[Request]) -> bytes:
    lines = ["time,file,offset,size,op"]
    for time_s, file, offset, size, write in requests:
        lines.append(f"{time_s}.0,/data/{file},{offset},{size},{'write' if write else 'R'}")
    return "\n".join(lines).encode()


def fio_2(requests: Sequence[Request]) -> bytes:
    lines, now_s = ["fio version 2 iolog"], requests[0].time_s
    for time_s, file, offset, size, write in requests:
        if time_s != now_s:
            lines.append(f"/dev/{file} wait {(time_s - now_s) * 10**6} 0")
        now_s = time_s
        lines.append(f"/dev/{file} {'write' if write else 'read'} {offset} {size}")
    return "\n".join(lines).encode()


def fio_3(requests: Sequence[Request]) -> bytes:
    lines = ["fio version 3 iolog"]
    lines += [f"0 /dev/{file} add" for file in sorted({request.file for request in requests})]
    for time_s, file, offset, size, write in requests:
        action = "write" if write else "read"
        lines.append(f"{time_s * 10**6} /dev/{file} {action} {offset} {size}")
    return "\n".join(lines).encode() + b"\n"


def blkparse(actions: str) -> Callable[[Sequence[Request]], bytes]:
    """Return what writes requests as blkparse prints them, with a line for each action."""
    return lambda requests: _blkparse(requests, actions)


def _blkparse(requests: Sequence[Request], actions: str) -> bytes:
    lines = ["Input file sda.blktrace.0 added\n", "Input file sda.blktrace.1 added\n"]
    for number, (time_s, file, offset, size, write) in enumerate(requests):
        begin = f"  8,{file}    3 {number + 1:>8} {time_s:>5}.000000000   697 "
        where = f"{offset // 512} + {size // 512}"
        for action in actions:
            lines.append(f"{begin} {action}  {'WS' if write else 'RA'} {where} [a b]\n")
    return "".join([*lines, "CPU0 (8,0):\n", "\n", " Reads Queued: 1, 4KiB\n"]).encode()


class Writer(NamedTuple):
    """A form of a format: how requests are written in it."""

    format: str  # a name of `core.workload.formats.FORMATS`
    suffix: str  # how the name of a file ends
    content: Callable[[Sequence[Request]], bytes]
    only: tuple[str, ...] = ()  # "objects", "reads", .. as below

    def can_say(self, requests: Sequence[Request]) -> bool:
        """Whether the form has the words for all of the requests."""
        said = {
            "objects": not any(request.offset for request in requests),
            "reads": not any(request.write for request in requests),
            "one file": len({request.file for request in requests}) == 1,
            "one time": len(requests) == 1,
            "pages": all(request.size <= 4096 for request in requests)
            and not any(request.offset % 4096 for request in requests),
        }
        return all(said[limit] for limit in self.only)


#: The forms of all formats of requests; of fio there are two versions.
WRITERS: dict[str, Writer] = {
    "oracle_general": Writer(
        "oracle_general", ".oracleGeneral", oracle_general, ("objects", "reads")
    ),
    "csv": Writer("csv", ".csv", csv),
    **{form: Writer(*told) for form, told in TABLES.items()},
    "fio_2": Writer("fio", ".iolog", fio_2),
    "fio_3": Writer("fio", ".iolog", fio_3),
    "blktrace": Writer("blktrace", ".txt", blkparse("QGIDC")),
    "blktrace_issued": Writer("blktrace", ".txt", blkparse("DC")),
    "blktrace_completed": Writer("blktrace", ".txt", blkparse("C")),
    "oracle_general_op_ns": Writer(
        "oracle_general_op_ns", ".oracleGeneralOpNS", oracle_general_op_ns, ("objects",)
    ),
    "oracle_sys_twr_ns": Writer(
        "oracle_sys_twr_ns", ".oracleSysTwrNS", oracle_sys_twr_ns, ("objects",)
    ),
    "lcs_1": Writer("lcs", ".lcs", lcs(1), ("objects", "reads")),
    **{
        f"lcs_{version}": Writer("lcs", ".lcs", lcs(version), ("objects",))
        for version in range(2, 9)
    },
    "lcs_early": Writer("lcs", ".lcs", lcs(2, 1024), ("objects",)),
    "vscsi_1": Writer("vscsi", ".vscsi", vscsi(1), ("one file",)),
    "vscsi_2": Writer("vscsi", ".vscsi", vscsi(2), ("one file",)),
}


def packed(content: bytes, how: str) -> bytes:
    if how == ".gz":
        return gzip.compress(content, 1)
    if how == ".zst":
        return pa.Codec("zstd").compress(content, asbytes=True)
    return content


def write(folder: Path, name: str, requests: Sequence[Request], how: str = "") -> Path:
    """Write requests in a form of a format, and return the file."""
    writer = WRITERS[name]
    path = folder / f"{name}{writer.suffix}{how}"
    path.write_bytes(packed(writer.content(requests), how))
    return path


def whole_files(count: int, seed: int = 1, files: int = 8) -> list[Request]:
    """Return requests for whole small files, as every format can say them."""
    rng = random.Random(seed)
    sizes = [512 * rng.randint(1, 64) for _ in range(files)]
    requests, time_s = [], 1
    for _ in range(count):
        time_s += rng.randint(0, 1)
        file = min(rng.randrange(files), rng.randrange(files))
        requests.append(Request(time_s, file, 0, sizes[file], False))
    return requests
