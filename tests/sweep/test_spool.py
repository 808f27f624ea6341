"""What cannot be read in a spool is put aside and named; all else goes on, and a run mends it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
import small_study
from commands import CommandInThisProcess
from database_processes import held, numbers, spool_of, trial

from core.errors import InputError
from sweep.results import Store, answer_query
from sweep.results.arrow import arrow_table
from sweep.results.errors import tell_once
from sweep.results.spool import Rows, Spool, content_of, read_content

#: Lines that are no rows, with what is said of each.
NO_ROWS = {
    "5": "no row of a table",
    "null": "no row of a table",
    "[1,2]": "there is no table 1",
    '["trials",5]': "no row of a table",
    '["trials",null]': "no row of a table",
    '["trials",{}]': "a row of trials without study",
    '["trials",{"study":"s","role":"trial","number":"x"}]': "column number cannot hold 'x'",
    '["trials",{"study":["s"],"role":"trial","number":1}]': "column study cannot hold ['s']",
    '["trials",{"study":"s","role":"trial","number":9223372036854775808}]': "column number",
    '["trials",{"study":"s","role":"trial","number":1,"state":"complete"}]': "without policy_key",
    '["nobody",{"study":"s"}]': "there is no table nobody",
    '["outcomes",{"time_saved_by_cost":5}]': "time_saved_by_cost cannot hold 5",
    '["runs",{"reservation_samples":[5]}]': "no row of a table",
    '["studies",{"study":"s","yaml":"","identity":"{"}]': "whose identity is none",
    '["studies",{"study":"s","yaml":"","identity":"[]"}]': "whose identity is none",
    '["studies",{"study":"s","created_at":"never"}]': "Invalid isoformat",
    "[" * 100_000: "no row of a table",
    "\ufeff5": "no row of a table",
    '["trials",': "no row of a table",
    '["\x1b[2J",{}]': "no row of a table",
    '["\\u001b[2J",{}]': r"there is no table \x1b[2J",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with one trial."""
    path = tmp_path / "results.duckdb"
    store = Store(path)
    store.add("trials", trial(0))
    store.flush()
    return path


def spooled(path: Path, name: str, content: bytes) -> Path:
    file = path.parent / f"{path.name}.spool" / name
    file.write_bytes(content)
    return file


def aside(path: Path) -> list[str]:
    folder = path.parent / f"{path.name}.spool" / "aside"
    return sorted(os.listdir(folder)) if folder.exists() else []


def rows_of(*numbers: int, **more: object) -> Rows:
    return "trials", arrow_table("trials", [trial(number, **more) for number in numbers])


@pytest.mark.parametrize(("line", "said"), NO_ROWS.items(), ids=[line[:40] for line in NO_ROWS])
def test_a_line_that_is_no_row_is_named(line: str, said: str) -> None:
    good = '["trials",{"study":"s","role":"trial","number":%d,"state":"fail","policy_key":"k"}]'
    content = "\n".join([good % 1, line, good % 2]).encode()
    file = read_content("1-1.jsonl", content)
    taken = [number for _, rows in file.rows for number in rows["number"].to_pylist()]
    assert taken == [1, 2]
    assert len(file.faults) == 1
    assert said in file.faults[0] or said.encode().decode("unicode_escape") in file.faults[0]


def test_no_file_of_a_spool_stops_a_command(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = CommandInThisProcess(monkeypatch, capsys)
    places = {"study": ["s"], "role": ["trial"], "number": [1]}
    foreign = {
        "1-1.jsonl": "\n".join(NO_ROWS).encode(),
        "2-1.jsonl": b"\xff\xfe\x00",
        "3-1.arrows": b"PAR1 of another program",
        "4-1.arrows": b"",
        "5-1.arrows": bytes(100),
        "6-1.arrows": content_of([("nobody", pa.table(places))]),
        "7-1.arrows": content_of([("trials", pa.table(places))]),  # lacks what is never NULL
        "8-1.arrows": content_of([("trials", pa.table(places | {"stored": [2.0**70]}))]),
        "8-2.arrows": (-5).to_bytes(4, "little", signed=True) + random.Random(1).randbytes(9000),
        "9-1.arrows": content_of([("trials", pa.table({"study": [["s"]]}))]),
    }
    for name, content in foreign.items():
        spooled(path, name, content)
    spooled(path, "9-2.arrows", content_of([rows_of(5)]))
    code, out, err = sweep("query", "SELECT number FROM trials ORDER BY ALL", "--db", path, "--csv")
    assert (code, out.split()) == (0, ["number", "0", "5"])
    lines = err.splitlines()
    assert [line.split(":")[1].rpartition("/")[2] for line in lines] == list(foreign)
    assert all("passed over" in line and "replays what is missing" in line for line in lines)
    assert "its other rows are taken" not in err  # none of these has one
    assert not aside(path), "a reader writes nothing"
    Store(path)  # as a run does
    assert aside(path) == list(foreign)
    assert {
        name: (path.parent / f"{path.name}.spool/aside" / name).read_bytes() for name in foreign
    } == foreign
    assert capsys.readouterr().err.count("put aside as") == len(foreign)
    assert sweep("status", "--db", path)[2] == ""
    assert not spool_of(path)


def test_a_study_of_which_no_goal_is_known_stops_no_other(path: Path) -> None:
    spooled(path, "1-1.jsonl", b'["studies",{"study":"zz","yaml":"::::","identity":"{}"}]')
    assert numbers(path) == [0]
    Store(path)
    assert numbers(path) == [0]


def test_a_file_of_one_name_does_not_replace_what_was_put_aside_before(path: Path) -> None:
    for content in (b"5", b"6"):
        spooled(path, "1-1.jsonl", content)
        Store(path)
    assert aside(path) == ["1-1.jsonl", "1-1.jsonl~2"]
    assert numbers(path) == [0]


def test_a_place_that_cannot_be_read_is_passed_over_and_stays(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = path.parent / f"{path.name}.spool"
    os.mkfifo(folder / "1-1.arrows")
    (folder / "2-1.jsonl").mkdir()
    spooled(path, "3-1.arrows", content_of([rows_of(5)]))
    assert sorted(numbers(path)) == [0, 5]
    assert {"1-1.arrows", "2-1.jsonl"} <= set(os.listdir(folder))
    assert capsys.readouterr().err.count("no file), and is passed over") == 2


def test_who_may_not_write_names_it_too_and_reads_on(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spooled(path, "1-1.jsonl", b"5")
    spooled(path, "2-1.arrows", content_of([rows_of(5)]))
    with held(path):
        capsys.readouterr()
        for _ in range(2):
            assert sorted(numbers(path)) == [0, 5]
        assert capsys.readouterr().err.count("1-1.jsonl: line 1: no row of a table") == 1
        assert aside(path) == []
    Store(path)
    assert sorted(numbers(path)) == [0, 5]
    assert aside(path) == ["1-1.jsonl"]


def flip(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    changed = bytes([content[place] ^ 1 << chance.randrange(8)])
    return content[:place] + changed + content[place + 1 :]


def tear(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def blank(content: bytes, chance: random.Random) -> bytes:
    start, length = chance.randrange(len(content)), chance.randint(1, 4096)
    return content[:start] + bytes(len(content[start : start + length])) + content[start + length :]


@pytest.mark.parametrize("damage", [flip, tear, blank])
def test_damage_is_seen_and_other_parts_are_read(
    damage: Callable[[bytes, random.Random], bytes],
) -> None:
    chance = random.Random(1)
    parts = [rows_of(1), rows_of(2, 3), rows_of(4)]
    content = content_of(parts)
    whole = [rows["number"].to_pylist() for _, rows in parts]
    assert [
        rows["number"].to_pylist() for _, rows in read_content("a.arrows", content).rows
    ] == whole
    for _ in range(300):
        damaged = damage(content, chance)
        file = read_content("a.arrows", damaged)
        read = [rows["number"].to_pylist() for _, rows in file.rows]
        assert bool(file.faults) == (damaged != content)
        assert all(each in whole for each in read)
        assert damage is not flip or len(read) >= 2 or not read


def test_a_trial_whose_other_rows_are_damaged_is_replayed(tmp_path: Path) -> None:
    small_study.write_trace(tmp_path, 2000)
    study = small_study.write_study(tmp_path, n_trials=6)
    expected, path = tmp_path / "expected.duckdb", tmp_path / "results.duckdb"
    small_study.run(study, expected)
    Store(path)
    with held(path):
        small_study.run(study, path)
        chance = random.Random(3)
        for file in spool_of(path):
            content = file.read_bytes()
            if content.count(b"\x89rows") == 3:  # trials, outcomes, runs
                where = content.rindex(b"\x89rows") + chance.randrange(1000)
                file.write_bytes(content[:where] + b"damage" + content[where + 6 :])
    asked = "SELECT count(*) FROM trials WHERE role = 'trial' AND state = 'complete'"
    assert answer_query(path, asked).rows == [(0,)]
    small_study.run(study, path)
    assert aside(path)
    assert small_study.tables(path) == small_study.tables(expected)


def test_a_value_that_no_column_holds_never_reaches_the_spool(path: Path) -> None:
    store = Store(path)
    for name, value in (("stored", 2**63), ("stored", "x"), ("eviction", 5), ("objectives", 1.0)):
        with pytest.raises(InputError, match=f"study s: column {name} cannot hold {value!r}"):
            store.add("trials", trial(1), trial(2, **{name: value}))
    store.flush()
    assert numbers(path) == [0]


def test_a_time_that_python_cannot_tell_is_put_aside(path: Path) -> None:
    rows = rows_of(1, 2, state="fail")[1]
    place = rows.column_names.index("finished_at")
    times = pa.array([2**62, None], pa.int64()).cast(pa.timestamp("us"))
    Spool(Path(f"{path}.spool")).write([("trials", rows.set_column(place, "finished_at", times))])
    Store(path)
    assert sorted(numbers(path)) == [0, 2]
    assert len(aside(path)) == 1


def test_streams_without_checksums_are_read_still(path: Path) -> None:
    buffer = pa.BufferOutputStream()
    for number in (1, 2):
        rows = rows_of(number, finished_at=datetime(2026, 1, 1))[1]
        schema = rows.schema.with_metadata({"table": "trials"})
        with pa.ipc.new_stream(buffer, schema) as stream:
            stream.write_table(rows.cast(schema))
    content = buffer.getvalue().to_pybytes()
    spooled(path, "1-1.arrows", content)
    assert sorted(numbers(path)) == [0, 1, 2]
    assert not aside(path)
    file = read_content("1-1.arrows", content[:-3000])
    assert [rows["number"].to_pylist() for _, rows in file.rows] == [[1]]
    assert len(file.faults) == 1


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    tell_once.cache_clear()


def test_a_name_in_the_spool_that_is_no_time_stops_no_run(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "results.duckdb.spool")
    spool.folder.mkdir()
    for name in ("\u00b2-x.arrows", f"{'9' * 200}-x.arrows"):
        (spool.folder / name).touch()
    spool.write([])
    assert len(spool.names()) == 3
