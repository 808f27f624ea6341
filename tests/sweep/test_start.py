"""The start: what is not done again, since it was done before, is told from what has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_study

from core import event_files
from core.event_files import read_events, write_events
from core.events import INVALIDATE_INODE, STORE, EventsError, make_events
from sweep.engine.inputs import load_inputs
from sweep.engine.register import StartAfresh, register
from sweep.results import Store
from sweep.study.read import load_study

#: What a study with nothing to do has no use for. (Numba needs scipy.linalg to load compiled code.)
UNUSED = ("optuna", "ray", "scipy.special", "scipy.linalg", "plotly", "matplotlib")


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the tables that are checked, in a cache that knows of none."""
    names: list[str] = []

    def check(events: object, data_pages: int, name: str) -> None:
        names.append(Path(name).name)
        real(events, data_pages, name)  # type: ignore[arg-type]

    real = event_files.check_events
    (tmp_path / "found_good").mkdir()
    monkeypatch.setattr(event_files, "FOUND_GOOD", tmp_path / "found_good")
    monkeypatch.setattr(event_files, "check_events", check)
    return names


def write(path: Path, op: int, order: int = 0) -> None:
    """Write a table of three rows; two that differ in op alone have files of one size."""
    columns = {
        field.name: np.zeros(3, field.type.to_pandas_dtype()) for field in event_files.SCHEMA
    }
    columns["op"][:] = op
    columns["order"][:] = order
    about = {"page_size": 4096, "data_pages": 64, "source": ""}
    write_events(path, make_events(columns, **about, check=False))


def test_a_table_that_was_found_good_is_not_checked_again(
    tmp_path: Path, checked: list[str]
) -> None:
    write(tmp_path / "x.parquet", STORE)
    read_events(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").rename(tmp_path / "y.parquet")
    read_events(tmp_path / "y.parquet")
    assert checked == ["x.parquet"]


def test_a_trace_that_is_changed_in_place_is_checked_whatever_its_time_and_size(
    tmp_path: Path, checked: list[str]
) -> None:
    path = tmp_path / "x.parquet"
    write(path, INVALIDATE_INODE)
    read_events(path)
    before = path.stat()
    write(tmp_path / "bad.parquet", 99)
    path.write_bytes((tmp_path / "bad.parquet").read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    same = ("st_ino", "st_size", "st_mtime_ns")
    assert [getattr(before, name) for name in same] == [getattr(after, name) for name in same]
    for _ in range(2):
        with pytest.raises(EventsError, match="unknown op 99"):
            read_events(path)
    assert checked == ["x.parquet"] * 3


def test_a_table_is_read_where_no_cache_can_be_written(
    tmp_path: Path, checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(event_files, "FOUND_GOOD", tmp_path / "file" / "found_good")
    write(tmp_path / "x.parquet", STORE)
    for _ in range(2):
        assert read_events(tmp_path / "x.parquet").op.size == 3
    assert checked == ["x.parquet"] * 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a study and the database of its run."""
    folder = tmp_path_factory.mktemp("finished")
    small_study.write_trace(folder)
    path = small_study.write_study(folder, n_trials=4)
    small_study.run(path, folder / "results.duckdb")
    return path, folder / "results.duckdb"


def test_a_study_with_nothing_to_do_imports_no_more_than_it_needs_and_writes_nothing(
    finished: tuple[Path, Path],
) -> None:
    path, database = finished
    before = database.stat()
    program = (
        "import atexit, runpy, sys\n"
        f"loaded = lambda: [name for name in {UNUSED} if name in sys.modules]\n"
        "atexit.register(lambda: print('loaded', loaded(), file=sys.stderr))\n"
        f"sys.argv = ['sweep', 'run', {str(path)!r}, '--db', {str(database)!r}]\n"
        "runpy.run_module('sweep', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ask next" in done.stdout
    assert done.stderr.splitlines()[-1] == "loaded []"
    assert (database.stat().st_ino, database.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )


def test_a_finished_study_that_is_reworded_is_written(finished: tuple[Path, Path]) -> None:
    path, database = finished
    text = path.read_text()
    path.write_text(f"question: Which one?\n{text}")
    study, source = load_study(path)
    store = Store(database)
    (before,) = store.rows("SELECT * FROM studies")
    register(store, study, source.text, load_inputs(study, source), path, StartAfresh.NEVER)
    (after,) = store.rows("SELECT * FROM studies")
    assert after == before | {"question": "Which one?", "yaml": source.text}


def test_a_command_starts_where_no_home_is_known(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-m", "sweep", "status"],
        cwd=tmp_path, capture_output=True, text=True, env=kept,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("results.duckdb: no such database")
    assert done.stderr.count("\n") == 1
