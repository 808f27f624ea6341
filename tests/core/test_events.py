"""The event table: a round trip loses nothing, and no bad table gets in."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import as_events, machines, streams

from core.event_files import read_events, write_events
from core.events import (
    ANONYMOUS,
    JOIN,
    SCHEMA,
    WANTED,
    EventsError,
    digest_events,
    make_events,
)
from core.machine import Machine
from core.timeline.prepare import prepare
from core.workload.repair import repair

GOOD = [
    (0, 4, 0, 0, 1, 2, 2),  # frames 2 and 3 allocated tagged
    (1, 0, 1, 4, 2, 0, 1),  # a store of pages 4 to 7
    (2, 5, 0, 0, 0, 3, 0),  # frame 3 freed alone
    (2, 4, 0, 0, 0, 3, 0),  # and allocated untagged
    (3, 4, 0, 0, 0, 3, 2),  # then mapped tagged
    (4, 6, 0, 0, 0, 99, 0),
]


def table(rows: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {
        field.name: np.array([row[i] for row in rows], dtype=field.type.to_pandas_dtype())
        for i, field in enumerate(SCHEMA)
    }


def write(path: Path, rows: list[tuple[int, ...]], **metadata: object) -> Path:
    """Write rows unchecked, with metadata changed."""
    values = {"version": 1, "page_size": 4096, "data_pages": 64, "source": "test"} | metadata
    schema = SCHEMA.with_metadata({b"mm_events": json.dumps(values).encode()})
    arrays = [pa.array(column) for column in table(rows).values()]
    parquet.write_table(pa.table(arrays, schema=schema), path)
    return path


@settings(max_examples=50)
@given(st.data())
def test_a_written_table_is_read_back_with_its_digest(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    machine = data.draw(machines())
    events = as_events(data.draw(streams(machine.data_pages)), machine)
    path = tmp_path_factory.mktemp("events") / "x.parquet"
    write_events(path, events)
    again = read_events(path)
    assert digest_events(again) == digest_events(events)
    assert repr(again.about) == repr(events.about)


def test_a_digest_tells_tables_apart() -> None:
    digests = {
        digest_events(make_events(table(rows), page_size=size, data_pages=pages, source=""))
        for rows in (GOOD, GOOD[:-1], [])
        for size, pages in ((4096, 64), (16384, 64), (4096, 65))
    }
    assert len(digests) == 9
    about = {"page_size": 4096, "data_pages": 64, "source": ""}
    told = ({}, {"requests": True}, {"phases": ("a",)}, {"mapped": True}, {"version": 1})
    assert len({digest_events(make_events(table(GOOD), **about, **more)) for more in told}) == 5
    # Where the workingset bits come from changes no replay.
    recorded = make_events(table(GOOD), **about, workingset_inferred_ratio=0.0)
    assert digest_events(recorded) in digests


def test_good_rows_are_taken(tmp_path: Path) -> None:
    assert read_events(write(tmp_path / "x.parquet", GOOD)).op.size == len(GOOD)


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        ((9, 7, 0, 0, 0, 0, 0), "op", "unknown op 7; ops are 0 to 6"),
        ((1, 0, 1, 0, 0, 0, 0), "time_ns", "backwards"),
        ((9, 0, 1, 2, 2, 0, 0), "index", "not aligned"),
        ((9, 1, 1, 0, 14, 0, 0), "order", "above 13"),
        ((9, 4, 0, 0, 0, 64, 2), "pfn", "outside the 64 data pages"),
        ((9, 4, 0, 0, 3, 60, 2), "pfn", "outside"),
        ((9, 5, 0, 0, 0, -1, 0), "pfn", "outside"),
        ((9, 4, 0, 0, 1, 2, 0), "pfn", "is allocated"),
        ((9, 5, 0, 0, 2, 0, 0), "pfn", "is not allocated"),
        ((9, 6, 0, 0, 0, -5, 0), "pfn", "size of -5"),
    ],
)
def test_a_bad_row_is_refused_by_file_row_and_column(
    tmp_path: Path, row: tuple[int, ...], column: str, what: str
) -> None:
    path = write(tmp_path / "x.parquet", [*GOOD, row])
    with pytest.raises(EventsError) as caught:
        read_events(path)
    assert str(caught.value).startswith(f"{path}: row {len(GOOD)}, column {column}: ")
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        ((9, 8, 0, 0, 0, 0, 0), "op", "unknown op 8; ops are 0 to 7"),
        ((9, 7, 0, 1, 0, 0, 0), "index", "phase 1 has no name; the metadata names 1"),
        ((9, 0, 1, 0, 0, 0, JOIN), "flags", "no restore behind another one"),
        ((9, 1, 1, 0, 0, 0, JOIN), "flags", "no restore behind another one"),
        ((9, 2, 1, 0, 0, 0, WANTED), "flags", "no store and no restore"),
        ((0, 7, 0, 0, 0, 0, 0), "time_ns", "backwards"),
    ],
)
def test_a_bad_row_of_version_2_is_refused_by_file_row_and_column(
    tmp_path: Path, row: tuple[int, ...], column: str, what: str
) -> None:
    about = {"version": 2, "requests": True, "phases": ["a"]}
    path = write(tmp_path / "x.parquet", [*GOOD, row], **about)
    with pytest.raises(EventsError) as caught:
        read_events(path)
    assert str(caught.value).startswith(f"{path}: row {len(GOOD)}, column {column}: ")
    assert what in str(caught.value)


def test_a_request_of_both_kinds_is_refused_and_bits_that_tell_no_request_are_not() -> None:
    rows = [(0, 1, 1, 0, 0, 0, WANTED), (1, 1, 1, 1, 0, 0, JOIN | ANONYMOUS)]
    about = {"page_size": 4096, "data_pages": 64, "source": "", "name": "x"}
    with pytest.raises(EventsError, match=r"x: row 1, column flags: .* of the other kind"):
        make_events(table(rows), **about, requests=True)
    make_events(table(rows), **about)


def test_a_table_of_version_1_is_read_as_one_that_tells_no_requests(tmp_path: Path) -> None:
    said = {"requests": True, "mapped": "recorded", "workingset": "recorded"}
    events = read_events(write(tmp_path / "x.parquet", GOOD, **said))
    assert (events.version, events.requests, events.mapped) == (1, False, False)
    assert np.isnan(events.workingset_inferred_ratio)


def test_what_is_left_of_a_request_whose_first_row_is_dropped_begins_it() -> None:
    bad_order = (0, 1, 1, 0, 14, 0, WANTED)
    rows = [
        (0, 1, 1, 9, 0, 0, WANTED), bad_order, (1, 1, 1, 1, 0, 0, JOIN), (1, 1, 1, 2, 0, 0, JOIN),
        (2, 1, 1, 3, 14, 0, JOIN), (3, 1, 1, 4, 0, 0, JOIN),
    ]  # fmt: skip
    about = {"page_size": 4096, "data_pages": 64, "source": "", "requests": True}
    repaired, dropped = repair(make_events(table(rows), **about, check=False))
    assert sum(dropped.values()) == 2
    assert repaired.index.tolist() == [9, 1, 2, 4]
    assert repaired.flags.tolist() == [WANTED, 0, JOIN, JOIN]


@settings(max_examples=150)
@given(
    st.integers(1, 70),
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 7), st.integers(0, 1), st.integers(0, 9),
            st.integers(0, 3), st.integers(-1, 70), st.integers(0, 31) | st.integers(0, 255),
        ),
        max_size=30,
    ),
    st.booleans(),
    st.sampled_from([(), ("a",), tuple("abcdefgh")]),
)  # fmt: skip
def test_the_first_fault_is_the_references(
    data_pages: int, rows: list[tuple[int, ...]], requests: bool, phases: tuple[str, ...]
) -> None:
    events = [reference.Event(*row) for row in rows]
    expected = reference.check(events, data_pages, requests, phases)
    about = {"requests": requests, "phases": phases}
    if any(row[1] == 6 and row[5] < 0 for row in rows):
        return  # the reference does not judge the size of a resize
    try:
        make_events(
            table(rows), page_size=4096, data_pages=data_pages, source="", name="x", **about
        )
        refused = None
    except EventsError as error:
        refused = str(error).partition(": ")[2].partition(":")[0]
    assert refused == (expected and f"row {expected[0]}, column {expected[1]}")


def test_a_smaller_machine_is_refused_where_a_frame_falls_outside(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", GOOD)
    with pytest.raises(EventsError, match=r"row 0, column pfn: .* outside the 3 data pages"):
        read_events(path, 3)
    assert read_events(path, 4).op.size == len(GOOD)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good.parquet", GOOD).read_bytes()
    for name, content in (
        ("truncated", good[:-40]),
        ("half", good[: len(good) // 2]),
        ("text", b"time_ns,op\n1,2\n"),
        ("empty", b""),
    ):
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(content)
        with pytest.raises(EventsError, match=r"truncated, corrupt, or not a Parquet file"):
            read_events(path)
    with pytest.raises(EventsError, match="no such file"):
        read_events(tmp_path / "none.parquet")
    with pytest.raises(EventsError, match="folder"):
        read_events(tmp_path)


def test_flipped_bytes_never_get_past_as_a_traceback(tmp_path: Path) -> None:
    good = write(tmp_path / "good.parquet", GOOD * 1).read_bytes()
    rng = np.random.default_rng(3)
    for place in rng.integers(0, len(good), 60):
        bad = bytearray(good)
        bad[place] ^= 0xFF
        path = tmp_path / "bad.parquet"
        path.write_bytes(bad)
        with suppress(EventsError):
            read_events(path)


def test_columns_that_are_missing_mistyped_or_empty_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    schema = SCHEMA.with_metadata(
        {b"mm_events": b'{"version": 1, "page_size": 4096, "data_pages": 64}'}
    )
    whole = pa.table([pa.array(column) for column in table(GOOD).values()], schema=schema)
    parquet.write_table(whole.drop_columns(["order"]), path)
    with pytest.raises(EventsError, match="column order: missing"):
        read_events(path)
    place = whole.schema.get_field_index("pfn")
    parquet.write_table(whole.set_column(place, "pfn", whole["pfn"].cast(pa.int32())), path)
    with pytest.raises(EventsError, match="column pfn: of type int32, not int64"):
        read_events(path)
    holed = pa.array([1, None, 3, 4, 5, 6], pa.int64())
    parquet.write_table(whole.set_column(place, "pfn", holed), path)
    with pytest.raises(EventsError, match="row 1, column pfn: no value"):
        read_events(path)


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"version": 3}, "version 3, not 1 to 2"),
        ({"version": 2, "phases": "a"}, "phases"),
        ({"page_size": "4096"}, "page_size"),
        ({"data_pages": 0}, "data_pages"),
        ({"data_pages": None}, "data_pages"),
    ],
)
def test_metadata_that_cannot_be_read_is_refused(
    tmp_path: Path, metadata: dict[str, object], what: str
) -> None:
    with pytest.raises(EventsError, match=f"metadata mm_events.*{what}"):
        read_events(write(tmp_path / "x.parquet", GOOD, **metadata))


def test_columns_that_do_not_fit_are_refused_not_wrapped() -> None:
    for column, values in (("op", [256] * 6), ("inode", [-1] * 6), ("flags", [0])):
        columns = table(GOOD) | {column: np.array(values)}
        with pytest.raises(EventsError, match=f"column {column}: "):
            make_events(columns, page_size=4096, data_pages=64, source="")


def test_a_replay_on_too_small_a_machine_is_refused() -> None:
    events = make_events(table(GOOD), page_size=4096, data_pages=64, source="x")
    with pytest.raises(EventsError, match="x: row 0, column pfn"):
        prepare(events, Machine(4096, 3))
