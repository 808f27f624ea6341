"""The same requests written in every binary format, whose records have one size."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.workload.requests import lcs as lcs_format
from core.workload.requests import oracle_general as oracle
from core.workload.requests import vscsi as vscsi_format

if TYPE_CHECKING:
    from request_files import Request


def oracle_general(requests: Sequence[Request]) -> bytes:
    rows = [(request.time_s, request.file, request.size, -1) for request in requests]
    return np.array(rows, dtype=oracle.RECORD).tobytes()


def oracle_general_op_ns(requests: Sequence[Request]) -> bytes:
    rows = [
        (request.time_s, request.file, request.size, 3 if request.write else 1, 7, -1)
        for request in requests
    ]
    return np.array(rows, dtype=oracle.RECORD_OP_NS).tobytes()


def oracle_sys_twr_ns(requests: Sequence[Request]) -> bytes:
    rows = [
        (request.time_s, request.file, 12, request.size - 12, 3 if request.write else 2, 7, 60, -1)
        for request in requests
    ]
    return np.array(rows, dtype=oracle.RECORD_SYS_TWR_NS).tobytes()


def lcs(version: int, header_bytes: int = 8192) -> Callable[[Sequence[Request]], bytes]:
    """Return what writes requests in a version of the format lcs."""

    def content(requests: Sequence[Request]) -> bytes:
        record = lcs_format.RECORDS[version]
        rows = np.zeros(len(requests), dtype=record)
        for name, values in (
            ("time_s", [request.time_s for request in requests]),
            ("object", [request.file for request in requests]),
            ("bytes", [request.size for request in requests]),
            ("op", [(13 if request.write else 12) | 5 << 8 for request in requests]),
            ("next", -1),
        ):
            if name in record.names:
                rows[name] = values
        magic = struct.pack("<Q", lcs_format.MAGIC)
        header = magic + struct.pack("<QQQ", version, 1, len(requests))
        return header.ljust(header_bytes - 8, b"\0") + magic + rows.tobytes()

    return content


def vscsi(version: int) -> Callable[[Sequence[Request]], bytes]:
    """Return what writes requests for one disk in a version of the format vscsi."""

    def content(requests: Sequence[Request]) -> bytes:
        rows = np.zeros(len(requests), dtype=vscsi_format.RECORDS[version])
        rows["serial"] = 0x80000000 + np.arange(len(requests))
        rows["bytes"] = [request.size for request in requests]
        rows["pieces"] = 1
        rows["command"] = [0x2A if request.write else 0x28 for request in requests]
        rows["version"] = version << 8
        rows["block"] = [request.offset // 512 for request in requests]
        rows["time_us"] = [5 * 10**12 + request.time_s * 10**6 for request in requests]
        return rows.tobytes()

    return content
