"""Files of tables: what is damaged, or claims what is not there, is refused before it is used."""

from __future__ import annotations

import hashlib
import json
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from access_rows import as_accesses, skewed_rows
from access_rows import read as read_row

from core import accesses, backend, event_files, table_files
from core.accesses import digest_accesses, read_accesses, write_accesses
from core.errors import InputError
from core.event_files import read_events, read_machine, write_events
from core.events import SCHEMA, EventsError, digest_events, make_events
from core.frontend import extents, run
from core.frontend.run import FrontEnd, run_frontend
from core.machine import MAX_PAGES, Machine
from core.policy import Policy
from core.table_files import SUMS, TableForm, has_form

TRACES = Path(__file__).parents[2] / "studies" / "traces"
#: A table of two rows, to which a test gives another value.
ABOUT = {"version": 2, "page_size": 4096, "data_pages": 64, "source": "test"}
OF_ACCESSES = {"version": 2, "page_size": 4096, "data_pages": 64, "free_pages": 9, "source": "t"}


def write_events_of(folder: Path) -> Path:
    """Write a table of two thousand stores."""
    size = 2000
    columns = {name: np.zeros(size) for name in SCHEMA.names}
    columns |= {"time_ns": np.arange(size) ** 2, "index": np.arange(size) % 611}
    events = make_events(columns, page_size=4096, data_pages=64, source="a test", phases=("a",))
    write_events(folder / "x.parquet", events)
    return folder / "x.parquet"


def write_accesses_of(folder: Path) -> Path:
    write_accesses(folder / "x.parquet", as_accesses(skewed_rows()))
    return folder / "x.parquet"


def said_by(path: Path, read: Callable[[Path], Any], digest: Callable[[Any], str]) -> object:
    """Return all that a file says, or None where it is refused in a line."""
    try:
        table = read(path)
    except InputError as error:
        refused = str(error)
    else:
        return digest(table), repr(table[7:])
    assert refused.startswith(f"{path}: ")
    assert "\n" not in refused
    return None


@pytest.mark.parametrize(
    ("write", "read", "digest"),
    [
        (write_events_of, read_events, digest_events),
        (write_accesses_of, read_accesses, digest_accesses),
    ],
)
def test_no_damaged_byte_is_read_as_other_content(
    tmp_path: Path,
    write: Callable[[Path], Path],
    read: Callable[[Path], Any],
    digest: Callable[[Any], str],
) -> None:
    path, rng = write(tmp_path), random.Random(18)
    content, said = path.read_bytes(), said_by(path, read, digest)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.randrange(len(damaged))] ^= rng.choice([1, 16, 128, 255])
        path.write_bytes(damaged)
        found = said_by(path, read, digest)
        assert found in (None, said)
        refused += found is None
    assert refused > 200  # what is left changes nothing, as another name of the writer does


def test_a_flipped_bit_of_a_shipped_capture_is_refused_wherever_it_lies(tmp_path: Path) -> None:
    content = bytearray((TRACES / "launch-mglru-224w.parquet").read_bytes())
    content[298_426] ^= 0x10
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(EventsError, match=r"x\.parquet: truncated, corrupt.*CRC"):
        read_events(path)


def test_shipped_captures_are_those_whose_digests_lie_beside_them() -> None:
    lines = (TRACES / SUMS).read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {path.name: path.read_bytes() for path in TRACES.glob("*.parquet")}
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


def test_a_file_is_what_the_list_of_digests_beside_it_says(tmp_path: Path) -> None:
    path = write_events_of(tmp_path)
    true = hashlib.sha256(path.read_bytes()).hexdigest()
    sums = tmp_path / SUMS
    for line in (f"{true}  x.parquet\n", f"{'0' * 64}  another.parquet\n", "no list of digests"):
        sums.write_text(line)
        assert read_events(path).op.size == 2000
    sums.write_text(f"{'0' * 64} *x.parquet\n")
    told = f"its sha256 is {true}, and {SUMS} beside it says {'0' * 64}: "
    with pytest.raises(EventsError, match=told):
        read_events(path)


def test_a_list_of_digests_that_cannot_be_looked_through_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sums = write_events_of(tmp_path), tmp_path / SUMS
    sums.mkdir()
    with pytest.raises(EventsError, match=r"x\.parquet: SHA256SUMS beside it .* cannot be read"):
        read_events(path)
    sums.rmdir()
    sums.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  x.parquet\r\n")
    assert read_events(path).op.size == 2000
    monkeypatch.setattr(table_files, "_MOST_SUMS_BYTES", 20)
    with pytest.raises(EventsError, match=r"x\.parquet: SHA256SUMS beside it has more than 20 b"):
        read_events(path)


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowMemoryError("malloc of size 9 failed")])
def test_what_takes_more_memory_than_there_is_is_not_told_as_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = write_events_of(tmp_path)
    monkeypatch.setattr(parquet.ParquetFile, "read", fail)
    with pytest.raises(EventsError, match=r"x\.parquet: to read it takes more memory than this"):
        read_events(path)


def write_as(path: Path, form: TableForm, rows: int, text: bytes) -> Path:
    """Write a table of zeros, as earlier versions did: without checksums and a digest."""
    columns = [pa.array(np.zeros(rows, field.type.to_pandas_dtype())) for field in form.schema]
    schema = form.schema.with_metadata({form.key: text})
    parquet.write_table(pa.table(columns, schema=schema), path, compression="zstd")
    return path


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    path = write_as(tmp_path / "x.parquet", event_files.FORM, 5, json.dumps(ABOUT).encode())
    assert read_events(path).op.size == 5


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"page_size": 2**63}, "page_size 9223372036854775808|page_size is 9223372036854775808"),
        ({"page_size": 2**40}, "page_size 1099511627776 is no power of two"),
        ({"page_size": 5000}, "page_size 5000"),
        ({"page_size": True}, "page_size is True"),
        ({"data_pages": 2**31}, "data_pages 2147483648 is not between 1 and"),
        ({"data_pages": -1}, "data_pages is -1"),
        ({"version": 1e400}, "version inf"),
        ({"source": ["x"]}, "source is"),
        ({"phases": [1]}, "phases are no list"),
        ({"left_out": {"write_pages": 10**400}}, "left_out is no count"),
        ({"sampled": [1]}, "sampled is no count"),
        ({"checks": [{"name": "x", "theirs": 1, "ours": 2**70}]}, "checks are no list"),
        ({"losses": [{"name": "x", "count": 1e9, "where": ""}]}, "losses are no list"),
        ({"losses": 7}, "losses are no list"),
    ],
)
def test_metadata_beyond_its_domain_is_refused(
    tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    text = json.dumps(ABOUT | changed).encode()
    path = write_as(tmp_path / "x.parquet", event_files.FORM, 2, text)
    with pytest.raises(EventsError, match=rf"x\.parquet: metadata mm_events.*({told})"):
        read_events(path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"data_pages": 2**31}, "data_pages 2147483648"),
        ({"free_pages": 2**63}, "free_pages is"),
        ({"low_pages": 2**62, "high_pages": 2**31}, "low_pages is .* from 0 to 2147483647"),
        ({"zram_size": "1"}, "zram_size is '1'"),
        ({"free_ranges": [[1, 2, 3]]}, "free_ranges is no list of pairs"),
        ({"free_ranges": 5}, "free_ranges is no list of pairs"),
        ({"free_ranges": [[0, 2**60]]}, "the frames that were free"),
        ({"losses": [{"name": 1, "count": 1}]}, "losses are no list"),
    ],
)
def test_metadata_of_an_access_trace_beyond_its_domain_is_refused(
    tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    text = json.dumps(OF_ACCESSES | changed).encode()
    path = write_as(tmp_path / "x.parquet", accesses.FORM, 2, text)
    with pytest.raises(EventsError, match=rf"x\.parquet: .*{told}"):
        read_accesses(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
        (b'{"version": ' + b"9" * 5000 + b"}", "cannot be read"),
        (b'{"source": "\\ud800"}', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "no object"),
        (b'"' + b"x" * (17 << 20) + b'"', "bytes of metadata, and no table has more"),
    ],
)
def test_metadata_that_is_no_json_of_ours_is_refused(
    tmp_path: Path, text: bytes, told: str
) -> None:
    path = write_as(tmp_path / "x.parquet", event_files.FORM, 2, text)
    for read in (read_events, read_machine):
        with pytest.raises(EventsError, match=rf"x\.parquet: .*{told}"):
            read(path)


def test_rows_that_no_recording_packs_so_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "_SMALL_BYTES", 1 << 20)
    text = json.dumps(ABOUT).encode()
    path = write_as(tmp_path / "x.parquet", event_files.FORM, 1_000_000, text)
    with pytest.raises(EventsError, match=r"claims 1,000,000 rows, which take 27,000,000 bytes"):
        read_events(path)


def test_a_time_that_no_sum_over_pages_holds_is_refused() -> None:
    columns = {name: np.zeros(2) for name in SCHEMA.names} | {"time_ns": np.array([0, 7 * 10**13])}
    events = make_events(columns, page_size=4096, data_pages=1 << 23, source="a long one")
    with pytest.raises(
        EventsError, match=r"a long one: .* ns x 262144 tag pages .*: cut the trace"
    ):
        backend.replay(events, Machine(4096, 1 << 23), Policy())


def test_a_damaged_footer_does_not_abort_the_process(tmp_path: Path) -> None:
    path = write_events_of(tmp_path)
    content, chance = path.read_bytes(), random.Random(1)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for _ in range(2000):
        damaged = bytearray(content)
        damaged[chance.randrange(footer, len(content) - 8)] ^= chance.choice([1, 2, 16, 128, 255])
        path.write_bytes(damaged)
        with suppress(EventsError):
            read_events(path)


def test_a_replay_for_which_there_is_no_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {name: np.zeros(9) for name in SCHEMA.names} | {"time_ns": np.arange(9)}
    events = make_events(columns, page_size=4096, data_pages=MAX_PAGES, source="a claim")
    monkeypatch.setattr(backend, "available_bytes", lambda: 1 << 30)
    with pytest.raises(
        EventsError, match=r"a claim: .* 67,108,864 pages .* 1,073,741,824 are free"
    ):
        backend.replay(events, Machine(4096, MAX_PAGES), Policy())


def test_rows_for_which_there_is_no_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_events_of(tmp_path)
    monkeypatch.setattr(table_files, "available_bytes", lambda: 10_000)
    with pytest.raises(EventsError, match=r"takes 162,000 bytes of memory, and 10,000 are free"):
        read_events(path)


def test_other_columns_are_not_read(tmp_path: Path) -> None:
    path = write_as(tmp_path / "x.parquet", event_files.FORM, 2, json.dumps(ABOUT).encode())
    table = parquet.read_table(path)
    many = {f"c{number}": table["op"] for number in range(3000)}
    nested = pa.array([[[[1]]]] * 2)
    wide = pa.table({**{name: table[name] for name in table.column_names}, **many, "n": nested})
    parquet.write_table(wide.replace_schema_metadata(table.schema.metadata), path)
    assert read_events(path).op.size == 2
    bad = path.read_bytes().replace(b"inode", b"in\xffde")
    path.write_bytes(bad)
    with pytest.raises(EventsError, match=r"x\.parquet: "):
        read_events(path)
    assert not has_form(path, event_files.FORM)


def test_a_file_that_must_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_events_of(tmp_path)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(EventsError, match=r"x\.parquet: cannot be read: Permission denied"):
        read_events(path)


def test_a_column_of_lists_is_refused(tmp_path: Path) -> None:
    path = write_as(tmp_path / "x.parquet", event_files.FORM, 2, json.dumps(ABOUT).encode())
    table = parquet.read_table(path)
    place = table.schema.get_field_index("op")
    parquet.write_table(table.set_column(place, "op", pa.array([[1], [2]])), path)
    with pytest.raises(EventsError, match=r"column op: of type list<.*>, not uint8"):
        read_events(path)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ((2**63 - 1, 0, 1, 0, 0, 0, 0), "time_ns"),
        ((2**62, 0, 1, 0, 0, 0, 0), "time_ns"),
        ((9, 6, 0, 0, 0, 2**31, 0), "pfn"),
        ((9, 4, 0, 0, 13, 2**63 - 1, 0), "pfn"),
    ],
)
def test_rows_that_would_overflow_are_refused(row: tuple[int, ...], column: str) -> None:
    columns = {
        field.name: np.array([row[place]], dtype=field.type.to_pandas_dtype())
        for place, field in enumerate(SCHEMA)
    }
    with pytest.raises(EventsError, match=rf"x: row 0, column {column}: "):
        make_events(columns, page_size=4096, data_pages=2**31 - 1, source="", name="x")


@pytest.mark.parametrize(
    ("column", "value"), [("time_ns", -(2**63)), ("time_ns", 2**62), ("handle", 2**63 - 1)]
)
def test_accesses_that_would_overflow_are_refused(tmp_path: Path, column: str, value: int) -> None:
    traced = as_accesses(skewed_rows())
    values = np.full(traced.op.size, value)
    write_accesses(tmp_path / "x.parquet", traced._replace(**{column: values}))
    with pytest.raises(EventsError, match=rf"row 0, column {column}: a .* beyond all"):
        read_accesses(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("room", "about", "told"),
    [
        (run, {"data_pages": 2**31 - 1}, "to simulate 2,147,483,647 pages of memory takes"),
        (extents, {}, "1 files and address spaces reach 4,294,967,296 pages far"),
    ],
)
def test_what_a_trace_reaches_is_held_against_the_memory_that_is_free(
    monkeypatch: pytest.MonkeyPatch, room: ModuleType, about: dict[str, int], told: str
) -> None:
    monkeypatch.setattr(room, "available_bytes", lambda: 1 << 20)
    traced = as_accesses([read_row(2**32 - 1)])._replace(**about)
    with pytest.raises(EventsError, match=told):
        run_frontend(traced, FrontEnd())


def test_the_numbers_of_pages_take_no_more_memory_than_is_held_against_what_is_free() -> None:
    rows = 1 << 16
    traced = as_accesses([read_row(64 * number, inode=1) for number in range(rows)])
    extents.number_pages(traced, 0)  # compiled
    tracemalloc.start()
    numbered = extents.number_pages(traced, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert numbered.chunk_order == 0
    of_rows_and_extents = 100 * rows
    assert peak <= 64 * rows * extents._CHUNK_BYTES * 1.05 + of_rows_and_extents
