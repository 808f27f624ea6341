"""Copies of a database that another process holds: up to date, and gone with who needed them."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from database_processes import trial

from sweep.results import Store, StoreError
from sweep.results.arrow import arrow_table
from sweep.results.copies import copied, remove_leftovers
from sweep.results.reading import Snapshot, read_rows
from sweep.results.spool import Rows, Spool, content_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a trial of a study that has two scenarios."""
    path = tmp_path / "results.duckdb"
    store = Store(path)
    store.add("studies", {"study": "s", "yaml": "", "identity": "{}", "goals": []})
    store.add("scenarios", *({"study": "s", "scenario": name} for name in "ab"))
    store.add(*of_trial("trials", 0))
    store.flush()
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder where copies go."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr("sweep.results.copies._MEMORY", str(place))
    return place


def of_trial(table: str, number: int, **more: Any) -> tuple[str, dict[str, Any]]:
    place = {"study": "s", "role": "trial", "number": number}
    return table, (trial(number) if table == "trials" else place) | more


def arrow(table: str, row: dict[str, Any]) -> Rows:
    return table, arrow_table(table, [row])


def spooled(path: Path, name: str) -> Path:
    folder = Path(f"{path}.spool")
    folder.mkdir(exist_ok=True)
    return folder / name


def seen(snapshot: Snapshot) -> list[int]:
    with snapshot.connect() as connection:
        rows = read_rows(connection, "SELECT number FROM trials ORDER BY number")
    return [row["number"] for row in rows]


def test_a_snapshot_that_is_renewed_shows_what_a_new_one_does(path: Path) -> None:
    snapshot = Snapshot(path)
    assert seen(snapshot) == [0]
    Spool(Path(f"{path}.spool")).write([arrow(*of_trial("trials", 1))])
    assert seen(snapshot) == seen(Snapshot(path)) == [0, 1]
    # Of trial 2 an outcome is damaged: it has one scenario, and the study, in the database, two.
    parts = [arrow(*of_trial("trials", 2))]
    for name in "ab":
        run = {"scenario": name, "workload": "w", "replicate": 0}
        parts.append(arrow(*of_trial("runs", 2, **run)))
        parts.append(arrow(*of_trial("outcomes", 2, scenario=name)))
    content = content_of(parts)
    spooled(path, "9-1.arrows").write_bytes(content[:-20] + bytes(20))
    assert seen(snapshot) == seen(Snapshot(path)) == [0, 1]
    Spool(Path(f"{path}.spool")).write([arrow(*of_trial("trials", 3))])
    assert seen(snapshot) == seen(Snapshot(path)) == [0, 1, 3]


def test_a_file_that_can_be_read_only_later_is_seen_then(path: Path) -> None:
    file = spooled(path, "1-1.arrows")
    file.mkdir()
    snapshot = Snapshot(path)
    assert seen(snapshot) == [0]
    file.rmdir()
    file.write_bytes(content_of([arrow(*of_trial("trials", 1))]))
    assert seen(snapshot) == [0, 1]


def test_a_leftover_that_cannot_be_removed_keeps_no_other(place: Path) -> None:
    for name in "abc":
        (place / f"sweep-snapshot-{name}").mkdir()
    (place / "sweep-snapshot-b").rmdir()
    (place / "sweep-snapshot-b").symlink_to("b")  # as one that may not be entered
    remove_leftovers()
    assert [each.name for each in place.iterdir()] == ["sweep-snapshot-b"]


def test_a_folder_that_cannot_be_locked_is_not_left(
    path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StoreError, match="no copy of it can be made: No locks"), copied(path):
        pass
    assert os.listdir("/proc/self/fd") == before
    assert not list(place.iterdir())
