"""Cuts of tables: what is in use where a cut begins is there at its first row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from captures import TRACES

from core.accesses import (
    ANONYMOUS,
    BOOT_HANDLE,
    EXIT,
    GIVE,
    MAP,
    READ,
    TAKE,
    UNMAP,
    Accesses,
    check_accesses,
    read_accesses,
)
from core.event_files import read_events
from core.events import (
    ALLOC,
    ATOMIC,
    FREE,
    JOIN,
    NO_PHASE,
    PHASE,
    RESTORE,
    STORE,
    TAGGED,
    Events,
    check_events,
    make_events,
)
from core.import_losses import Loss
from core.workload.cut.asked import Asked, Moment, NoSuchPhase
from core.workload.cut.tables import anonymous, cut_table
from core.workload.text import TraceError

COLUMNS = ("time_ns", "op", "inode", "index", "order", "pfn", "flags")
ROWS = [
    (0, PHASE, 0, 1, 0, 0, 0),
    (1, ALLOC, 0, 0, 2, 8, TAGGED | ATOMIC),
    (2, FREE, 0, 0, 0, 9, 0),
    (3, ALLOC, 0, 0, 0, 20, 0),
    (4, RESTORE, 70, 0, 0, 0, 0),
    (5, RESTORE, 70, 1, 0, 0, JOIN),
    (6, STORE, 70, 0, 0, 0, 0),
    (7, PHASE, 0, 0, 0, 0, 0),
    (8, FREE, 0, 0, 1, 10, 0),
    (9, RESTORE, 30, 0, 0, 0, 0),
    (10, PHASE, 0, 1, 0, 0, 0),
    (11, FREE, 0, 0, 0, 8, 0),
]


def table() -> Events:
    columns = {
        name: np.array(values)
        for name, values in zip(COLUMNS, zip(*ROWS, strict=True), strict=True)
    }
    about = {"phases": ("secret", "other"), "losses": (Loss("lost_events", 3, "secret"),)}
    return make_events(
        columns, page_size=4096, data_pages=64, source="secret", requests=True, **about
    )


def rows_of(events: Events | Accesses) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in events.columns.values()), strict=True))


def cut(asked: Asked) -> Events:
    done = cut_table(table(), asked, "x").table
    assert isinstance(done, Events)
    check_events(done, 64, "cut")
    return done


def test_what_is_in_use_at_the_cut_becomes_rows_at_its_begin() -> None:
    done = cut(Asked(begin=Moment(5), end=Moment(9)))
    assert rows_of(done) == [
        (5, ALLOC, 0, 0, 0, 8, TAGGED),
        (5, ALLOC, 0, 0, 0, 10, TAGGED),
        (5, ALLOC, 0, 0, 0, 11, TAGGED),
        (5, ALLOC, 0, 0, 0, 20, 0),
        (5, PHASE, 0, 0, 0, 0, 0),
        (5, RESTORE, 70, 1, 0, 0, 0),  # its request began before
        (6, STORE, 70, 0, 0, 0, 0),
        (7, PHASE, 0, 1, 0, 0, 0),
        (8, FREE, 0, 0, 1, 10, 0),
    ]
    assert done.phases == ("other", "secret")
    assert done.source == "secret"
    assert [(loss.name, loss.count, loss.where) for loss in done.losses] == [
        ("lost_events", 3, "secret"),
        ("cut", 8, "from 5e-09s, to 9e-09s"),
        ("carried_frames", 4, ""),
    ]


def test_a_table_is_cut_by_phase_and_its_occurrence() -> None:
    assert [row[0] for row in rows_of(cut(Asked(phase="secret")))] == [7] * 4 + [7, 8, 9]
    again = cut(Asked(phase="other", occurrence=2))
    assert [row[:2] for row in rows_of(again)] == [(10, ALLOC)] * 2 + [(10, PHASE), (11, FREE)]
    with pytest.raises(NoSuchPhase) as raised:
        cut(Asked(phase="othre"))
    assert raised.value.phases == ["secret", "other"]
    with pytest.raises(TraceError, match="occurs 2 times"):
        cut(Asked(phase="other", occurrence=3))


def test_a_cut_of_everything_is_the_whole_table() -> None:
    whole = table()
    assert cut_table(whole, Asked(begin=Moment(0), end=Moment(12)), "x").table is whole


def test_what_a_table_cannot_tell_is_refused() -> None:
    with pytest.raises(TraceError, match="x: --task: a table does not say which task did what"):
        cut(Asked(task="7"))
    with pytest.raises(TraceError, match=r"nothing is left from 1s: it lasts 1\.1e-08s"):
        cut(Asked(begin=Moment(10**9)))


def test_an_anonymised_table_names_nobody() -> None:
    done = anonymous(table())
    assert (done.source, done.phases) == ("anonymised", ("phase-1", "phase-2"))
    assert done.losses == (Loss("lost_events", 3),)
    assert [row[2] for row in rows_of(done)] == [0] * 9 + [1, 0, 0]
    assert np.array_equal(done.pfn, table().pfn)
    assert table().inode[4] == 70


def test_memory_that_is_taken_and_pages_of_address_spaces_are_there_at_the_begin() -> None:
    boot = BOOT_HANDLE + 40
    rows = [
        (0, TAKE, 0, 0, 2, 1, TAGGED),
        (1, TAKE, 0, 0, 0, 2, 0),
        (2, GIVE, 0, 0, 0, 1, 0),  # a quarter of the first
        (3, GIVE, 0, 0, 0, 2, 0),
        (4, GIVE, 0, 0, 0, boot, 0),
        (5, ANONYMOUS, 9, 0, 1, 0, TAGGED),
        (6, UNMAP, 9, 1, 0, 0, 0),
        (7, READ, 5, 0, 0, 0, 0),
        (8, MAP, 5, 0, 0, 77, 0),
        (9, EXIT, 0, 0, 0, 77, 0),
    ]
    names = ("time_ns", "op", "inode", "index", "order", "handle", "flags")
    kinds = ("i8", "u1", "u4", "u4", "u1", "i8", "u1")
    columns = zip(*rows, strict=True)
    arrays = {name: np.array(values, dtype=kind)
              for name, values, kind in zip(names, columns, kinds, strict=True)}  # fmt: skip
    accesses = Accesses(**arrays, page_size=4096, data_pages=64, free_pages=32, low_pages=1,
                        high_pages=2, source="s")  # fmt: skip
    done = cut_table(accesses, Asked(begin=Moment(7)), "x").table
    assert isinstance(done, Accesses)
    check_accesses(done, "cut")
    assert rows_of(done) == [
        (7, TAKE, 0, 0, 2, 1, TAGGED),
        (7, GIVE, 0, 0, 0, 1, 0),
        (7, GIVE, 0, 0, 0, boot, 0),
        (7, ANONYMOUS, 9, 0, 0, 0, TAGGED),
        *rows[7:],
    ]
    hidden = anonymous(done)
    assert [row[5] for row in rows_of(hidden)][-2:] == [0, 0]
    assert [row[2] for row in rows_of(hidden)][-4:-1] == [0, 1, 1]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cuts_of_a_capture_are_tables_whose_rows_a_kernel_could_have_produced(share: float) -> None:
    events = read_events(TRACES / "launch-mglru-224w.parquet")
    span_ns = int(events.time_ns[-1] - events.time_ns[0])
    asked = Asked(begin=Moment(round(span_ns * share)), end=Moment(round(span_ns * share * 1.5)))
    done = cut_table(events, asked, "x")
    assert isinstance(done.table, Events)
    check_events(done.table, events.data_pages, "cut")
    assert done.table.op.size == done.kept_rows + done.carried_rows
    # As many frames are tagged at the begin as the rows before it leave.
    change = np.where(events.op == ALLOC, 1, -1) * (1 << events.order.astype(np.int64))
    change[(events.op != ALLOC) & (events.op != FREE)] = 0
    first = int(np.searchsorted(events.time_ns, events.time_ns[0] + asked.begin.ns))  # type: ignore[union-attr]
    carried = done.table.op[: done.carried_rows]
    assert int((carried == ALLOC).sum()) == int(change[:first].sum())
    assert not done.table.checks


def test_cuts_of_accesses_are_accesses(tmp_path: Path) -> None:
    accesses = read_accesses(TRACES / "database-xfs-256w.accesses.parquet")
    done = cut_table(accesses, Asked(begin=Moment(50 * 10**9), anonymise=True), "x").table
    assert isinstance(done, Accesses)
    check_accesses(done, "cut")
    assert 0 < done.op.size < accesses.op.size
    assert NO_PHASE not in done.index[done.op == PHASE]
