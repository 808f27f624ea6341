"""Access traces are kept as they are, and a capture's are what its kernel was asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from access_rows import as_accesses, read, skewed_rows
from captures import CAPTURE_PART
from streams import compiled

from core.accesses import (
    ACCESSES,
    FROM_BEFORE,
    READ,
    TAKE,
    check_accesses,
    read_accesses,
    write_accesses,
)
from core.events import TAGGED, EventsError
from core.frontend.run import FrontEnd, Reclaim, run_frontend
from core.workload.ftrace.capture import import_ftrace
from core.workload.ftrace.memory import Memory


def test_an_access_trace_is_read_back_and_a_bad_one_refused(tmp_path: Path) -> None:
    accesses = as_accesses(skewed_rows())
    path = tmp_path / "x.parquet"
    write_accesses(path, accesses)
    again = read_accesses(path)
    for name, column in accesses.columns.items():
        assert np.array_equal(column, again.columns[name])
    assert again[-7:] == accesses[-7:]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(EventsError, match="truncated, corrupt"):
        read_accesses(path)
    with pytest.raises(EventsError, match="row 1, column op"):
        check_accesses(as_accesses([read(0), (len(ACCESSES), 0, 0, 0, 0, 0)]), "x")
    with pytest.raises(EventsError, match="row 0, column index"):
        check_accesses(as_accesses([read(3, 1)]), "x")


@compiled
def test_the_accesses_of_a_part_of_a_capture_are_those_of_its_kernel() -> None:
    imported = import_ftrace([CAPTURE_PART], Memory(0x40000, 65536, 4096), with_accesses=True)
    accesses = imported.accesses
    assert accesses is not None
    reads = (accesses.op == READ) & (accesses.flags & FROM_BEFORE == 0)
    assert int(reads.sum()) == imported.counts["insertions"]
    tagged = accesses.flags[accesses.op == TAKE] & TAGGED != 0
    assert int(tagged.sum()) == imported.counts["tagged_allocations"]
    assert accesses.free_pages > 0
    plenty = accesses._replace(free_pages=60_000, data_pages=65536)
    assert run_frontend(plenty, FrontEnd(reclaim=Reclaim.MGLRU)).counts["evictions"] == 0
