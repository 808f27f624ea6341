"""Laws of every format of traces; a new row of `FORMATS` is under them at once.

A row needs an example: a format of requests has its writers in tests/inputs/request_files.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import request_files as files
from commands import CommandInThisProcess
from format_examples import Example, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from core.accesses import Accesses, check_accesses, read_accesses, write_accesses
from core.errors import InputError
from core.event_files import read_events, write_events
from core.events import Events, check_events
from core.workload.formats import FORMATS, Beginning, detect
from core.workload.requests.requests import accesses_of
from core.workload.text import TraceError

every_example = pytest.mark.parametrize("example", examples(), ids=lambda example: example.form)


def imported(example: Example, path: Path) -> Any:
    """Return what the row's own importer makes of a file."""
    return example.format.load_importer()([path], source="here")


def refusal(example: Example, path: Path) -> str | None:
    """Return why a file is refused, or None if it is imported."""
    try:
        imported(example, path)
    except InputError as error:
        return str(error)
    return None


def columns_of(what: Any) -> list[np.ndarray]:
    """Return the columns of what was imported: events, or requests."""
    table = what.requests if hasattr(what, "requests") else what.events
    return [column for column in table if isinstance(column, np.ndarray)]


def test_every_row_has_a_name_of_its_own_and_an_example() -> None:
    names = [row.name for row in FORMATS]
    assert len(set(names)) == len(names)
    assert {example.format.name for example in examples()} == set(names)


@every_example
@pytest.mark.parametrize("how", ["", ".gz", ".zst"])
def test_an_example_is_recognised_as_its_own_kind_and_as_no_other(
    example: Example, how: str, tmp_path: Path
) -> None:
    path = tmp_path / f"trace{how}"
    path.write_bytes(files.packed(example.content, how))
    assert detect(path) is example.format
    first_line = example.content.splitlines()[0] if b"\0" not in example.content else b""
    beginning = Beginning(path, example.content, first_line)
    any_file, *rows = FORMATS
    assert any_file.is_recognised(beginning)
    recognised = [row.name for row in rows if row.is_recognised(beginning)]
    assert recognised == [example.format.name] * (example.format is not any_file)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"# tracer: nop\n#\n", "ftrace"),
        (b"cpus=4\n", "ftrace"),
        (b"  a,b-12 [001] d..1. 1.000001: mm_page_free: page=0 pfn=1 order=0\n", "ftrace"),
        (b"\n\nts,path name,len (b)\n", "csv"),
        (b"1,2,3\n", "csv"),
        (b"\1\0\0\0" + b"\1" * 12 + b"\xff" * 8, "oracle_general"),
        (b"\1\0\0\0" + b"\1" * 12 + b"\xff" * 7, "ftrace"),
        (b"\0" * 48, "ftrace"),
    ],
)
def test_a_format_is_recognised_by_the_content(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content)
    assert detect(path).name == name


@every_example
def test_what_is_imported_is_kept_on_disk_as_it_is(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(example.content)
    what = imported(example, path)
    assert what.counts
    assert min(what.counts.values()) >= 0
    table: Accesses | Events
    if example.format.of_requests:
        assert what.counts["requests"] == 60
        table = accesses_of(what.requests, 4096)
        check_accesses(table, "imported")
        write_accesses(tmp_path / "out", table)
        again: Accesses | Events = read_accesses(tmp_path / "out")
    else:
        table = what.events
        check_events(table, table.data_pages, "imported")
        write_events(tmp_path / "out", table)
        again = read_events(tmp_path / "out")
    assert table.source == again.source == "here"
    for name, column in table.columns.items():
        assert np.array_equal(column, again.columns[name]), name


@every_example
@pytest.mark.parametrize("how", [".gz", ".zst"])
def test_neither_compression_nor_chunks_change_what_is_imported(
    example: Example, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, compressed = tmp_path / "plain", tmp_path / f"compressed{how}"
    plain.write_bytes(example.content)
    compressed.write_bytes(files.packed(example.content, how))
    whole = columns_of(imported(example, plain))
    monkeypatch.setattr("core.workload.text.CHUNK_BYTES", 720)
    in_chunks = columns_of(imported(example, compressed))
    assert all(map(np.array_equal, whole, in_chunks))


@every_example
@settings(max_examples=15)
@given(data=st.data())
def test_a_file_that_is_cut_off_inside_its_compressed_data_is_refused(
    example: Example, data: st.DataObject
) -> None:
    whole = files.packed(example.content, data.draw(st.sampled_from([".gz", ".zst"])))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(whole[: data.draw(st.integers(5, len(whole) - 9))])
        with pytest.raises(TraceError, match="cut off or damaged"):
            imported(example, path)


@every_example
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_garbled_file_is_imported_or_refused(example: Example, data: st.DataObject) -> None:
    content = bytearray(example.content)
    scraps = st.binary(max_size=6) | st.sampled_from([b"-1", b"9" * 20, b"\n", b",", b"\0", b'"'])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.sampled_from([0, 1, 7, 3000]))] = data.draw(scraps)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(content)
        message = refusal(example, path)
        assert message is None or message.startswith(str(path))
        assert "\n" not in (message or "")


def cut(content: bytes) -> bytes:
    return files.packed(content, ".gz")[:-12]


@every_example
@pytest.mark.parametrize(
    "spoil", [lambda content: b"", cut, lambda content: b"\x07" * 99], ids=["empty", "cut", "noise"]
)
def test_the_command_refuses_a_damaged_file_in_one_line(
    example: Example,
    spoil: Callable[[bytes], bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(spoil(example.content))
    say_here = CommandInThisProcess(monkeypatch, capsys)
    words = ("--format", example.format.name, "-o", tmp_path / "out.parquet")
    code, out, err = say_here("trace", "import", path, *words)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()  # a line of progress may have been wiped before it
    assert line.startswith(str(path))
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [path]


@st.composite
def requests_in_sectors(draw: st.DrawFn) -> list[files.Request]:
    """Return requests in sectors; of some traces each is a read of a whole object."""
    objects = draw(st.booleans())
    file = draw(st.sampled_from([st.just(0), st.integers(0, 4)]))
    size = st.integers(1, 40_000).map(lambda sectors: sectors * 512)
    offset = st.just(0) if objects else st.integers(0, 2**31).map(lambda sectors: sectors * 512)
    write = st.just(False) if objects else st.booleans()
    steps = st.tuples(st.integers(0, 3), file, offset, size, write)
    requests, time_s = [], draw(st.integers(0, 9000))
    for step, *rest in draw(st.lists(steps, min_size=1, max_size=20)):
        time_s += step
        requests.append(files.Request(time_s, *rest))
    return requests


@settings(max_examples=30)
@given(
    requests_in_sectors(),
    st.sampled_from(["", ".gz", ".zst"]),
    st.sampled_from([4096, 16384]),
)
def test_every_format_of_the_same_requests_gives_the_same_accesses(
    requests: list[files.Request], how: str, page_size: int
) -> None:
    accesses: dict[str, Accesses] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form, writer in files.WRITERS.items():
            if not writer.can_say(requests):
                continue
            path = files.write(Path(folder), form, requests, how)
            what = detect(path).load_importer()([path], page_size=page_size, source="same")
            assert not what.warnings
            accesses[form] = accesses_of(what.requests, page_size)
            check_accesses(accesses[form], form)
    expected = accesses["csv"]
    assert expected.time_ns[-1] == (requests[-1].time_s - requests[0].time_s) * 10**9
    for form, table in accesses.items():
        assert table[7:] == expected[7:], form
        for column in expected.columns:
            assert np.array_equal(table.columns[column], expected.columns[column]), (form, column)
