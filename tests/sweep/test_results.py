"""The tables: typed columns that keep every value, in a file that is told of when it is unfit."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from database_processes import held, numbers, spool_of, trial

from core.costs import COST_FIELDS
from core.outcomes import UNITS
from core.policy import DECISIONS, DECLARED, POLICY_FIELDS
from core.times import PARTS
from sweep.results import Store, StoreError, answer_query, write_row_files
from sweep.results.schema import TABLES
from sweep.results.views import VIEWS

WORDS = [
    *("system", "eviction", "admission", "restore", "drop", "large_folios", "headroom_mode"),
    *("offer", "lookup", "slot_reclaim", "use", "clean"),
    *("placement", "tagged_placement", "guests", "packing", "anonymous", "metadata"),
]
DOUBLES = [
    name
    for name, unit in UNITS.items()
    if unit == "ratio" or name in ("reservation_mean_ns", "atomic_reservation_mean_ns")
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.duckdb"


def test_every_field_cost_and_outcome_is_a_typed_column(path: Path) -> None:
    Store(path)
    expected = {
        **{name: "VARCHAR" if name in WORDS else "BIGINT" for name in POLICY_FIELDS},
        **{name: "DOUBLE" for name in DECLARED if DECLARED[name].sql_type == "DOUBLE"},
        **dict.fromkeys(("tag_block_size", "page_size", "data_memory"), "BIGINT"),
        **dict.fromkeys(COST_FIELDS, "BIGINT"),
        **{name: "DOUBLE" if name in DOUBLES else "BIGINT" for name in UNITS},
    }
    world = {*POLICY_FIELDS} - {*DECISIONS} | {"tag_block_size", "page_size", "data_memory"}
    for table, names in (
        ("scenarios", [*world, *COST_FIELDS]),
        ("trials", [*DECISIONS, *UNITS]),
        ("outcomes", list(UNITS)),
        ("runs", list(UNITS)),
    ):
        rows = answer_query(path, f"DESCRIBE {table}").rows
        wanted = {name: expected[name] for name in names}
        assert wanted.items() <= {row[0]: row[1] for row in rows}.items()
    tables = [name for (name,) in answer_query(path, "SHOW TABLES").rows]
    assert tables == [
        *("attempts", "best_trials", "outcomes", "runs", "scenarios", "studies", "study_status"),
        "trials",
    ]


EXTREMES: list[tuple[int | None, float | None, str | None]] = [
    (2**63 - 1, 0.1, "lru"),
    (-(2**63), -0.0, ""),
    (2**53 + 1, 5e-324, "quote ' \" \\ tab\t new\nline \u2028 é 🐧"),
    (0, math.nextafter(1.0, 2.0), "NULL"),
    (1, 1.7976931348623157e308, "null"),
    (3, math.inf, "1"),
    (None, None, None),
]


@pytest.mark.parametrize("spooled", [False, True])
def test_values_and_nulls_come_back_exactly(path: Path, spooled: bool) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678901)
    sample = {"atomic": True, "blocks": 2**62, "dropped": 0, "written": 0, "migrated": 3}
    samples = [sample | {"count": 1}]
    phases = [{"name": "launch é", "wait_ns": 2**62, "all_missed_wait_ns": None}]
    whole = [name for name in UNITS if name not in DOUBLES]
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("scenarios", "trials", "outcomes", "runs")
    }
    for number, (integer, double, text) in enumerate(EXTREMES):
        outcomes = dict.fromkeys(whole, integer) | dict.fromkeys(DOUBLES, double)
        row = trial(number, **outcomes, finished_at=now if number % 2 else None, feasible=False)
        values = {"VARCHAR": text, "BIGINT": integer, "DOUBLE": double}
        policy = {name: values[declared.sql_type] for name, declared in DECLARED.items()}
        row |= {name: policy.pop(name) for name in DECISIONS}
        beyond = double or None  # in a list -0.0 becomes 0.0
        listed = {"objectives": [beyond, 0.5], "violations": [beyond] * number, "asked": text}
        tables["trials"].append(row | listed)
        world = policy | dict.fromkeys((*COST_FIELDS, "tag_block_size"), integer)
        name = f"{number} {text}"
        tables["scenarios"].append({"study": "s", "scenario": name, "place": number} | world)
        run = {key: row[key] for key in ("study", "role", "number", *UNITS)} | {"scenario": name}
        by_cost = {"read_random_ns": integer or 0, text or "": -3}
        saved = {"time_saved_by_cost": by_cost, "wait_saved_by_cost": {} if number else None}
        tables["outcomes"].append(run | saved)
        run |= {"workload": text or "w", "replicate": number}
        run |= dict.fromkeys(("requests", "workingset", "mapped"), text)
        run |= {f"series_{name}": [integer] * number for name in PARTS}
        run |= {"workingset_inferred_ratio": double, "phases": phases * number}
        tables["runs"].append(run | {"reservation_samples": samples * number})
    tables["runs"][0]["reservation_samples"] = None
    store = Store(path)
    with held(path) if spooled else nullcontext():
        for table, rows in tables.items():
            for row in rows:
                store.add(table, row)
        store.flush()
        assert len(spool_of(path)) == spooled
        check = store.rows("SELECT number FROM trials")
        assert len(check) == len(EXTREMES)
    for table, rows in tables.items():
        order = "place" if table == "scenarios" else "number"
        stored_rows = store.rows(f"SELECT * FROM {table} ORDER BY {order}")
        for row, back in zip(rows, stored_rows, strict=True):
            assert repr({name: back[name] for name in row}) == repr(row)


def _foreign(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE trials (study VARCHAR, x INTEGER)")


def _keyless(path: Path) -> None:
    """Make a copy as CREATE TABLE AS makes it: same columns, but no keys."""
    Store(path)
    with duckdb.connect(str(path)) as connection:
        for view in VIEWS:
            connection.execute(f"DROP VIEW {view}")
        for table in TABLES:
            connection.execute(f"CREATE TABLE copied AS FROM {table}")
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"ALTER TABLE copied RENAME TO {table}")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("study,number\n" * 1000), "not a valid DuckDB"),
    "empty": (lambda path: path.touch(), "not a valid DuckDB"),
    "parquet": (lambda path: path.write_bytes(b"PAR1" + bytes(20000)), "not a valid DuckDB"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
    "foreign": (_foreign, "table trials has no column role, number, state and"),
    "keyless": (_keyless, "has no PRIMARY KEY"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_used_is_told_in_a_line(path: Path, name: str) -> None:
    make, meant = BROKEN[name]
    make(path)
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=meant) as caught:
        _write_one(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert content is None or path.read_bytes() == content


def test_a_file_of_rows_that_cannot_be_written_is_the_one_that_is_named(
    path: Path, tmp_path: Path
) -> None:
    _write_one(path)
    with pytest.raises(StoreError, match=f"^{tmp_path}/none/studies.parquet: .*No such file"):
        write_row_files(path, "s", tmp_path / "none")


def _write_one(path: Path) -> None:
    store = Store(path)
    store.add("trials", trial(0))
    store.flush()


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        ("missing/results.duckdb", "there is no folder"),
        ("file/results.duckdb", "there is no folder"),
        ("/proc/results.duckdb", "No such file|not permitted|denied"),  # no one writes there
        ("/sys/results.duckdb", "No such file|not permitted|denied"),
    ],
)
def test_a_place_that_cannot_be_used_is_told_in_a_line(
    tmp_path: Path, place: str, meant: str
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / place
    for use in (_write_one, numbers):
        with pytest.raises(StoreError, match=meant if use is _write_one else "no such") as caught:
            use(path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(path))
